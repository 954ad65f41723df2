"""The way between process and exchange: latency, losses, and what an adapter makes of them.

`Link` outlives the process. What it has to say to a process that died is not said to the next one; what was under way
to the exchange arrives all the same.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from random import Random

from bus.ids import ClientOrderId, TradeId, VenueOrderId
from bus.messages.orders import ExecType, ExecutionReport
from exchanges.answers import VenueError
from exchanges.venue import OpenOrder
from risk.approved import Approved, OrderRequest
from simulator.exchange import OURS, Exchange, TrueOrder
from simulator.schedule import MILLISECOND, SECOND, Schedule

TIMEOUT_S = 10.0
POLL_S = 2.0
YOUNG_NS = 4 * SECOND
RESTS_NS = SECOND
"""An order that is older rests: what is executed of it now no answer to its creation tells."""
_ENDS: dict[str, ExecType] = {"cancelled": "cancelled", "expired": "expired", "rejected": "rejected"}


class Link:
    """Implements `exchanges.venue.Venue`; `sink` and `on_send` belong to the living process."""

    name = "model"
    is_simulated = False

    def __init__(
        self, schedule: Schedule, exchange: Exchange, random: Random, has: Callable[[str, str], bool],
    ) -> None:
        """`has(fault, symbol)`: is this fault with us now? Of a symbol "" those that befall everything."""
        self.exchange = exchange
        self.sink: Callable[[ExecutionReport], None] = lambda report: None
        self.on_send: Callable[[OrderRequest, str], None] = lambda order, moment: None
        self.judge: Callable[[OrderRequest], None] = lambda order: None
        """Told of each order that leaves, of all lives."""
        self.guard: Callable[[Callable[[], None]], None] = lambda action: action()
        self.sent: list[tuple[int, OrderRequest]] = []
        self.made_ready = 0
        """Orders of all lives that left as they had been prepared."""
        self.early_answers = 0
        """Questions that were answered "not found" although the order had arrived."""
        self.loses_fills_of: list[str] = []
        """Symbols ("" = any) of which the next execution of an order that rests is not told; each entry is one."""
        self.lost_ns: dict[str, int] = {}
        """When an execution of this symbol was not told of."""
        self._schedule = schedule
        self._random = random
        self._has = has
        self._epoch = 0
        self._working: dict[str, str] = {}
        self._querying: set[str] = set()
        self._was_down = False
        self.is_connected = False
        """The user stream is there: what happens while it is not is told to nobody."""
        self.busy_until_ns = 0
        """When the last of what is on its way arrives."""

    # ---- the process lives and dies ------------------------------------------------------------------

    def hang_up(self) -> None:
        """The process is dead: nothing of before is said to the next one."""
        self._epoch += 1
        self.is_connected = False
        self._working.clear()
        self._querying.clear()

    # ---- Venue -------------------------------------------------------------------------------------

    async def start(self) -> None:
        """The user stream begins."""
        self.is_connected = True

    async def close(self) -> None:
        """Nothing to disconnect from."""

    async def balances(self) -> dict[str, Decimal]:
        if self._is_cut() or self._has("maintenance", ""):
            raise VenueError("model: no answer")
        return {asset: amount for asset, amount in sorted(self.exchange.balances.items()) if amount}

    async def open_orders(self) -> Sequence[OpenOrder]:
        if self._is_cut():
            raise VenueError("model: no answer")
        return [
            OpenOrder(
                ClientOrderId(each.client_id), VenueOrderId(each.venue_id), each.symbol, each.quantity, each.filled,
            )
            for each in self.exchange.working()
        ]

    def submit(self, approved: Approved) -> None:
        order = approved.order
        self.on_send(order, "before")
        self.sent.append((self._schedule.now, order))
        self.judge(order)
        if refused := self._refusal(order.symbol):
            self._later(0.001, self._report_later(order.client_order_id, order.symbol, "rejected", refused))
            return
        self._working[order.client_order_id] = order.symbol
        unknown = self._report_later(order.client_order_id, order.symbol, "unknown", "no answer")
        if self._is_silent(order.symbol) or self._has("timeout_before", order.symbol):
            self._later(TIMEOUT_S, unknown)
        elif self._has("timeout_after_accept", order.symbol):
            self._arrive(lambda: self._create(order), order.symbol)
            self._later(TIMEOUT_S, unknown)
        elif self._has("not_found_early", order.symbol):
            self._arrive(lambda: self._create(order), order.symbol)
            self._later(0.2, unknown)
        elif self._has("http_5xx", order.symbol):
            if self._random.random() < 0.5:
                self._arrive(lambda: self._create(order), order.symbol)
            self._later(0.2, unknown)
        else:
            self._arrive(lambda: self._create_and_answer(order), order.symbol)
        self.on_send(order, "after")

    def prepare(self, order: OrderRequest) -> "Prepared":
        """As adapters do that write a request ahead."""
        return Prepared(self, order)

    def _refusal(self, symbol: str) -> str:
        """What the adapter says at once, without asking the exchange."""
        if self._has("rate_limit", symbol):
            return "not sent: the venue wants no requests"
        if self._has("bad_key", ""):
            return "-2015: Invalid API-key, IP, or permissions for action."
        return ""

    def cancel(self, client_order_id: ClientOrderId, venue_order_id: VenueOrderId, symbol: str) -> None:
        if self._has("cancel_lost", symbol) or self._is_cut(symbol):
            reason = "cancel: no answer"
            self._later(TIMEOUT_S, self._report_later(client_order_id, symbol, "unknown", reason))
            return

        def arrived() -> None:
            is_race = self._has("cancel_race", symbol)
            is_done = self.exchange.cancel(client_order_id, self._schedule.now, after_a_fill=is_race)
            self._pump()

            def answer() -> None:
                if not is_done:
                    self._tell(self._report(client_order_id, symbol, "cancel_rejected", "-2011: Unknown order sent."))
                self._answer_query(client_order_id, symbol)

            self._later(self._latency(symbol), answer)

        self._arrive(arrived, symbol)

    def query(self, client_order_id: ClientOrderId, symbol: str) -> None:
        if client_order_id in self._querying:
            return
        self._querying.add(client_order_id)
        if self._is_cut(symbol):
            self._later(TIMEOUT_S, self._report_later(client_order_id, symbol, "unknown", "query: no answer"))
            return
        self._later(self._latency(symbol), lambda: self._answer_query(client_order_id, symbol))

    # ---- at the exchange ---------------------------------------------------------------------------

    def _create(self, order: OrderRequest) -> tuple[TrueOrder | None, str]:
        if self._has("maintenance", order.symbol):
            return None, "-1008: Server is currently overloaded with other requests"
        if order.wire_type == "stop_limit" and self._has("stop_refused", order.symbol):
            return None, "-2010: Stop price would trigger immediately."
        self.exchange.fill_in_parts = self._has("partial", order.symbol)
        made = self.exchange.create(
            order.client_order_id, order.symbol, order.side, order.wire_type, order.quantity, order.price,
            order.stop_price, self._schedule.now,
            immediate=order.time_in_force in ("IOC", "FOK") and order.wire_type == "limit",
        )
        self._pump()
        return made

    def _create_and_answer(self, order: OrderRequest) -> None:
        made, refusal = self._create(order)
        executions = 0 if made is None else len(made.executions)

        def answer() -> None:
            if made is None:
                kind: ExecType = "unknown" if "Duplicate" in refusal else "rejected"
                self._tell(self._report(order.client_order_id, order.symbol, kind, refusal))
                return
            self._tell_all(made, executions)

        self._later(self._latency(order.symbol), answer)

    def _answer_query(self, client_order_id: str, symbol: str) -> None:
        self._querying.discard(client_order_id)
        order = self.exchange.orders.get(client_order_id)
        if order is None or self._is_not_seen_yet(order):
            self.early_answers += order is not None
            self._tell(self._report(client_order_id, symbol, "not_found", "-2013: Order does not exist."))
            return
        if order.state not in _ENDS:
            self._working.setdefault(client_order_id, symbol)  # as the adapters do with orders of an earlier life
        self._tell_all(order, len(order.executions))

    def _is_not_seen_yet(self, order: TrueOrder) -> bool:
        """The exchange has taken it, and its own readers do not know it yet."""
        return self._schedule.now - order.ts < YOUNG_NS and self._has("not_found_early", order.symbol)

    def _tell_all(self, order: TrueOrder, executions: int) -> None:
        """What an answer says: accepted, its fills, its end."""
        self._tell(self._of(order, "accepted"))
        for number in range(executions):
            self._tell(self._fill(order, number))
        if order.state in _ENDS and executions == len(order.executions):
            self._tell(self._of(order, _ENDS[order.state]))

    # ---- the stream ----------------------------------------------------------------------------------

    def pump(self) -> None:
        """Send out what happened at the exchange since the last look; notice when the stream comes back."""
        self._pump()
        is_down = self._is_stream_down()
        if self._was_down and not is_down:
            self._query_working()
        self._was_down = is_down

    def poll(self) -> None:
        """The adapter's stand-in for a stream that is down."""
        if self._is_stream_down():
            self._query_working()

    def _query_working(self) -> None:
        for client_order_id in sorted(self._working):
            self.query(ClientOrderId(client_order_id), self._working[client_order_id])

    def _pump(self) -> None:
        news, self.exchange.news = self.exchange.news, []
        for order, what in news:
            if not self.is_connected or self._is_stream_down() or not order.client_id.startswith(OURS):
                continue
            if what.startswith("fill"):
                if self._loses(order):
                    self.lost_ns[order.symbol] = self._schedule.now
                    continue
                number = int(what.split()[1])
                report = self._fill(order, number)
            else:
                report = self._of(order, "accepted" if what == "accepted" else _ENDS[what])
            for _ in range(2 if self._has("fill_duplicate", order.symbol) else 1):
                is_late = self._has("reorder", order.symbol)
                delay = self._random.uniform(0, 1) if is_late else self._latency(order.symbol)
                if self._is_not_seen_yet(order):
                    delay += (order.ts + YOUNG_NS - self._schedule.now) / SECOND
                self._later(delay, lambda report=report: self._tell(report))  # type: ignore[misc]

    def _loses(self, order: TrueOrder) -> bool:
        aim = next((each for each in self.loses_fills_of if each in ("", order.symbol)), None)
        if aim is None or self._schedule.now - order.ts <= RESTS_NS:
            return False
        self.loses_fills_of.remove(aim)
        return True

    # ---- words ---------------------------------------------------------------------------------------

    def _of(self, order: TrueOrder, kind: ExecType) -> ExecutionReport:
        return ExecutionReport(
            ClientOrderId(order.client_id), order.symbol, kind, self._schedule.now, VenueOrderId(order.venue_id),
        )

    def _fill(self, order: TrueOrder, number: int) -> ExecutionReport:
        execution = order.executions[number]
        return ExecutionReport(
            ClientOrderId(order.client_id), order.symbol, "fill", execution.ts, VenueOrderId(order.venue_id),
            TradeId(execution.trade_id), execution.quantity, execution.price, execution.fee, self.exchange.quote_asset,
        )

    def _report(self, client_order_id: str, symbol: str, kind: ExecType, reason: str) -> ExecutionReport:
        return ExecutionReport(ClientOrderId(client_order_id), symbol, kind, self._schedule.now, reason=reason)

    def _report_later(self, client_order_id: str, symbol: str, kind: ExecType, reason: str) -> Callable[[], None]:
        def tell() -> None:
            self._querying.discard(client_order_id)
            self._tell(self._report(client_order_id, symbol, kind, reason))

        return tell

    def _tell(self, report: ExecutionReport) -> None:
        order = self.exchange.orders.get(report.client_order_id)
        if report.exec_type in ("rejected", "cancelled", "expired", "not_found") or (
            order is not None and order.state == "filled" and report.trade_id == order.executions[-1].trade_id
        ):
            self._working.pop(report.client_order_id, None)
        self.sink(report)

    # ---- the wire ------------------------------------------------------------------------------------

    def _is_silent(self, symbol: str = "") -> bool:
        """Nothing is answered, nothing arrives."""
        return self._has("network_down", "") or self._has("trading_down", symbol)

    def _is_cut(self, symbol: str = "") -> bool:
        """Questions get no answer that helps."""
        return self._is_silent(symbol) or self._has("bad_key", "") or any(
            self._has(name, symbol) for name in ("timeout_before", "timeout_after_accept", "http_5xx", "rate_limit")
        )

    def _is_stream_down(self) -> bool:
        return self._has("network_down", "") or self._has("bad_key", "") or self._has("stream_down", "")

    def _latency(self, symbol: str = "") -> float:
        """Seconds; a request with a bad timestamp is made again once the clock is set."""
        if self._has("slow", symbol):
            return self._random.uniform(1, 4)
        return self._random.uniform(0.005, 0.05) + (0.3 if self._has("clock_skew", "") else 0.0)

    def _arrive(self, action: Callable[[], object], symbol: str) -> None:
        """At the exchange, whether or not the sender still lives."""
        ts = self._schedule.now + int(self._latency(symbol) * 1000) * MILLISECOND
        self.busy_until_ns = max(self.busy_until_ns, ts)
        self._schedule.at(ts, lambda: (action(), None)[1])

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        """To the process, if it is still the same one."""
        epoch = self._epoch
        self.busy_until_ns = max(self.busy_until_ns, self._schedule.now + int(seconds * SECOND))

        def arrived() -> None:
            if epoch == self._epoch:
                self.guard(action)

        self._schedule.after(seconds, arrived)


class Prepared:
    """Implements `exchanges.venue.PreparedOrder`."""

    def __init__(self, link: Link, order: OrderRequest) -> None:
        self._link = link
        self._order = order

    def send(self, approved: Approved) -> None:
        """Raises `ValueError` for another order."""
        if approved.order != self._order:
            raise ValueError(f"{self._order.client_order_id} was prepared, {approved.order.client_order_id} approved")
        self._link.made_ready += 1
        self._link.submit(approved)
