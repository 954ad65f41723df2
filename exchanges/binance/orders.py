"""Live orders at Binance: REST for wishes, the user stream for what becomes of them.

A new order is posted exactly once. Whether it exists after a timeout, a broken connection or a 5xx only
the venue knows: the report is "unknown", and the engine asks (`query`) until it has the venue's word.
The one repetition is after -1021 (our clock was off), which the venue refuses before it looks at the order.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from bus.clock import Clock
from bus.ids import CLIENT_ID_PREFIX, ClientOrderId, TradeId, VenueOrderId
from bus.messages.orders import ExecutionReport, WireType
from exchanges.binance.http_line import SentRequest
from exchanges.binance.order_answers import (
    CANCEL_REFUSED,
    KEY_CODES,
    NO_SUCH_ORDER,
    AnswerError,
    OrderStatus,
    parse_status,
    query_reports,
    submission_reports,
)
from exchanges.binance.rest import TIMESTAMP_REFUSED, Answer, RestClient, TransportError, VenueError
from exchanges.binance.user_stream import UserStream
from exchanges.venue import OpenOrder, ReportSink
from market.instrument import Instrument
from market.money import ZERO, MoneyError, parse_decimal, to_text
from risk.approved import Approved, OrderRequest

POLL_EVERY_S: Final = 2.0
"""How often working orders are asked for while the user stream is down (or the venue has none)."""
WARM_EVERY_S: Final = 15.0
"""How often an idle order line is used, so that the venue does not close it."""
MOST_WORKING: Final = 10_000
_ENDS: Final = frozenset({"rejected", "cancelled", "expired", "not_found"})

_WIRE_TYPES: Final[Mapping[WireType, str]] = {"market": "MARKET", "limit": "LIMIT", "stop_limit": "STOP_LOSS_LIMIT"}


@dataclass(frozen=True, slots=True)
class BinanceConfig:
    """Addresses and keys of one account; `ws_api_url` may be empty where the venue has no such stream."""

    name: str
    rest_url: str
    ws_api_url: str
    api_key: str
    api_secret: str
    order_timeout_s: float = 10.0

    def __repr__(self) -> str:
        return f"BinanceConfig({self.name}, {self.rest_url}, keys hidden)"


@dataclass(slots=True)
class _Working:
    """An order that may still change at the venue: asked for while the stream cannot tell."""

    symbol: str
    remaining: Decimal
    trade_ids: set[TradeId] = field(default_factory=set)


class BinanceVenue:
    """Implements `exchanges.venue.Venue`. `start` it inside a running loop before anything else.

    `on_problem` is told in words what no order can cure: refused keys, a clock that cannot be set, a
    defect of our own.
    """

    is_simulated = False

    def __init__(
        self, config: BinanceConfig, sink: ReportSink, clock: Clock, instruments: Sequence[Instrument], *,
        jitter: Callable[[], float], on_problem: Callable[[str], None] = lambda _: None,
        poll_every_s: float = POLL_EVERY_S,
    ) -> None:
        self.name = config.name
        self._config = config
        self._sink = sink
        self._clock = clock
        self._on_problem = on_problem
        self._poll_every_s = poll_every_s
        self._wire_by_symbol = {each.symbol: each.venue_symbol for each in instruments}
        self._symbol_by_wire = {each.venue_symbol: each.symbol for each in instruments}
        self._rest = RestClient(
            config.rest_url, clock, api_key=config.api_key, api_secret=config.api_secret, jitter=jitter,
            timeout_s=config.order_timeout_s,
        )
        self.stream = UserStream(
            config.ws_api_url, self._rest, clock, self._symbol_by_wire, jitter=jitter,
            on_report=self._on_stream_report, on_up=self._query_working,
        )
        self._working: dict[ClientOrderId, _Working] = {}
        self._querying: set[ClientOrderId] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.foreign_reports = 0

    # ---- Venue -----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Set the clock, prove the keys, open the user stream; raises `VenueError` with the remedy."""
        prefix = f"TRADINGD__VENUES__{self.name.upper()}__"
        if not self._rest.has_keys:
            raise VenueError(
                f"{self.name}: live orders need keys. Set {prefix}API_KEY and {prefix}API_SECRET in the environment."
            )
        try:
            await self._rest.synchronise_clock()
        except TransportError as error:
            raise VenueError(f"{self.name}: {error}. Check the network and rest_url in config.toml.") from error
        await self.balances()
        if self._config.ws_api_url:
            self._supervise(self.stream.run(), f"{self.name} user stream")
        self._supervise(self._keep_warm(), f"{self.name} order line")
        self._supervise(self._poll(), f"{self.name} order poll")

    def submit(self, approved: Approved) -> None:
        """Post the order; its fate arrives as reports."""
        order = approved.order
        if len(self._working) < MOST_WORKING:
            self._working[order.client_order_id] = _Working(order.symbol, order.quantity)
        self._supervise(
            self._submit(order, self._posted_now(order)), f"submit {order.client_order_id}", order.client_order_id,
            order.symbol,
        )

    def _posted_now(self, order: OrderRequest) -> SentRequest | None:
        """The order's bytes leave before the engine's step goes on; None leaves the sending to the task."""
        if self._rest.banned_for_s() > 0:
            return None
        try:
            return self._rest.post_now("/api/v3/order", _parameters(order, self._wire_by_symbol[order.symbol]))
        except (KeyError, ValueError):
            return None  # nothing was sent: the task meets the same defect, and says so

    def cancel(self, client_order_id: ClientOrderId, venue_order_id: VenueOrderId, symbol: str) -> None:
        """Ask for its end; repeated on transport errors, for a cancel twice does no harm."""
        self._supervise(
            self._cancel(client_order_id, venue_order_id, symbol), f"cancel {client_order_id}", client_order_id, symbol
        )

    def query(self, client_order_id: ClientOrderId, symbol: str) -> None:
        """Ask what became of it: accepted, all its fills, its end; "not_found"; or "unknown" again."""
        if client_order_id in self._querying:
            return  # the answer on its way serves this question too
        self._querying.add(client_order_id)
        self._supervise(self._query(client_order_id, symbol), f"query {client_order_id}", client_order_id, symbol)

    async def balances(self) -> dict[str, Decimal]:
        """Free and locked per asset, without the zeros; raises `VenueError`."""
        answer = await self._rest.read("/api/v3/account", weight=20, signed=True)
        body = self._good(answer, "account")
        try:
            totals = {
                str(row["asset"]): parse_decimal(row["free"], "free") + parse_decimal(row["locked"], "locked")
                for row in body["balances"]
            }
        except (KeyError, TypeError, MoneyError) as error:
            raise self._odd("account", error) from error
        return {asset: total for asset, total in sorted(totals.items()) if total}

    async def open_orders(self) -> Sequence[OpenOrder]:
        """All working orders of the account, ours or not; raises `VenueError`."""
        answer = await self._rest.read("/api/v3/openOrders", weight=80, signed=True)
        body = self._good(answer, "openOrders")
        try:
            return [
                OpenOrder(
                    ClientOrderId(str(row["clientOrderId"])), VenueOrderId(str(row["orderId"])),
                    self._symbol_by_wire.get(row["symbol"], str(row["symbol"])),
                    parse_decimal(row["origQty"], "origQty"), parse_decimal(row["executedQty"], "executedQty"),
                )
                for row in body
            ]
        except (KeyError, TypeError, MoneyError) as error:
            raise self._odd("openOrders", error) from error

    async def close(self) -> None:
        """End every task; orders on their way stay unanswered here and are asked for after a restart."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._rest.close()

    # ---- requests --------------------------------------------------------------------------------

    async def _submit(self, order: OrderRequest, posted: SentRequest | None) -> None:
        client_order_id, symbol = order.client_order_id, order.symbol
        banned_s = self._rest.banned_for_s()
        if posted is None and banned_s > 0:
            reason = f"not sent: the venue wants no requests for another {banned_s:.1f} s"
            self._tell(ExecutionReport(client_order_id, symbol, "rejected", self._clock.now(), reason=reason))
            return
        parameters = _parameters(order, self._wire_by_symbol[symbol])
        try:
            if posted is not None:
                answer = await self._rest.answer_to(posted, "/api/v3/order")
            else:
                answer = await self._rest.once("POST", "/api/v3/order", parameters, signed=True)
            if answer.code == TIMESTAMP_REFUSED:
                await self._rest.synchronise_clock()
                answer = await self._rest.once("POST", "/api/v3/order", parameters, signed=True)
        except TransportError as error:
            self._tell(ExecutionReport(client_order_id, symbol, "unknown", self._clock.now(), reason=str(error)))
            return
        self._watch_account(answer)
        for report in submission_reports(answer, client_order_id, symbol, self._clock.now()):
            self._tell(report)

    async def _cancel(self, client_order_id: ClientOrderId, venue_order_id: VenueOrderId, symbol: str) -> None:
        parameters = {"symbol": self._wire_by_symbol[symbol], "origClientOrderId": client_order_id}
        try:
            answer = await self._rest.read("/api/v3/order", parameters, signed=True, method="DELETE")
        except VenueError as error:
            self._tell(ExecutionReport(
                client_order_id, symbol, "unknown", self._clock.now(), venue_order_id, reason=f"cancel: {error}"
            ))
            return
        self._watch_account(answer)
        if not answer.is_ok:
            reason = f"{answer.code}: {answer.message}" if answer.code else f"HTTP {answer.status}"
            self._tell(ExecutionReport(
                client_order_id, symbol, "cancel_rejected", self._clock.now(), venue_order_id, reason=reason
            ))
            if answer.code != CANCEL_REFUSED:
                return
        # Cancelled or gone already: what it filled before that is told first, by its status and trades.
        await self._ask(client_order_id, symbol)

    async def _query(self, client_order_id: ClientOrderId, symbol: str) -> None:
        try:
            await self._ask(client_order_id, symbol)
        finally:
            self._querying.discard(client_order_id)

    async def _ask(self, client_order_id: ClientOrderId, symbol: str) -> None:
        wire = self._wire_by_symbol[symbol]
        try:
            answer = await self._rest.read(
                "/api/v3/order", {"symbol": wire, "origClientOrderId": client_order_id}, weight=4, signed=True
            )
            if answer.code == NO_SUCH_ORDER:
                self._tell(ExecutionReport(
                    client_order_id, symbol, "not_found", self._clock.now(), reason=answer.message
                ))
                return
            self._watch_account(answer)
            status = parse_status(self._good(answer, "order"), client_order_id)
            trades: Sequence[Any] = ()
            if status.executed:
                of_order: dict[str, str | int] = {"symbol": wire, "orderId": status.venue_order_id, "limit": 1000}
                trades_answer = await self._rest.read("/api/v3/myTrades", of_order, weight=5, signed=True)
                body = self._good(trades_answer, "myTrades")
                trades = body if isinstance(body, list) else ()
            reports = query_reports(status, trades, client_order_id, symbol)
            self._adopt(client_order_id, symbol, status)
        except (VenueError, AnswerError, MoneyError) as error:
            reports = [ExecutionReport(client_order_id, symbol, "unknown", self._clock.now(), reason=str(error))]
        for report in reports:
            self._tell(report)

    def _adopt(self, client_order_id: ClientOrderId, symbol: str, status: OrderStatus) -> None:
        """An order of an earlier run that still works (a stop may rest for weeks) is watched like our own."""
        if status.ended is None and status.quantity > status.executed and len(self._working) < MOST_WORKING:
            self._working.setdefault(client_order_id, _Working(symbol, status.quantity))

    # ---- the user stream and its stand-in ----------------------------------------------------------

    def _on_stream_report(self, report: ExecutionReport) -> None:
        if not report.client_order_id.startswith(CLIENT_ID_PREFIX):
            self.foreign_reports += 1  # a person's order at the exchange: the balances will show it
            return
        self._tell(report)

    def _query_working(self) -> None:
        for client_order_id in sorted(self._working):
            self.query(client_order_id, self._working[client_order_id].symbol)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self._poll_every_s)
            if not self.stream.is_up:
                self._query_working()

    async def _keep_warm(self) -> None:
        while True:
            if self._rest.banned_for_s() == 0:
                await self._rest.keep_warm()
            await asyncio.sleep(WARM_EVERY_S)

    def _tell(self, report: ExecutionReport) -> None:
        working = self._working.get(report.client_order_id)
        if working is not None:
            if report.exec_type == "fill" and report.trade_id not in working.trade_ids:
                working.trade_ids.add(report.trade_id)
                working.remaining -= report.quantity
            if report.exec_type in _ENDS or working.remaining <= ZERO:
                del self._working[report.client_order_id]
        self._sink(report)

    # ---- supervision -----------------------------------------------------------------------------

    def _supervise(
        self, work: Coroutine[Any, Any, None], what: str,
        client_order_id: ClientOrderId | None = None, symbol: str = "",
    ) -> None:
        """Run it beside us. A defect in it leaves the order unknown, never forgotten."""

        def on_done(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if task.cancelled() or task.exception() is None:
                return
            problem = f"{self.name}: {what} failed: {task.exception()!r}"
            self._on_problem(problem)
            if client_order_id is not None:
                self._tell(
                    ExecutionReport(client_order_id, symbol, "unknown", self._clock.now(), reason=problem[:200])
                )

        task = asyncio.get_running_loop().create_task(work, name=what)
        self._tasks.add(task)
        task.add_done_callback(on_done)

    def _watch_account(self, answer: Answer) -> None:
        if answer.code in KEY_CODES:
            self._on_problem(
                f"{self.name}: the venue refuses our keys ({answer.code}: {answer.message}). Check the key, its "
                "rights and its address list at the exchange."
            )
        elif answer.code == TIMESTAMP_REFUSED:
            self._on_problem(
                f"{self.name}: the venue refuses our clock even after setting it ({answer.message}). "
                "Synchronise this machine's clock (NTP)."
            )

    def _good(self, answer: Answer, what: str) -> Any:
        if answer.is_ok:
            return answer.body
        self._watch_account(answer)
        raise VenueError(
            f"{self.name}: {what}: HTTP {answer.status} {answer.code} {answer.message}. "
            "Check the keys and their rights."
        )

    def _odd(self, what: str, error: Exception) -> VenueError:
        return VenueError(f"{self.name}: {what}: not what Binance documents: {type(error).__name__} {error}")


def _parameters(order: OrderRequest, wire_symbol: str) -> Mapping[str, str | int]:
    parameters: dict[str, str | int] = {
        "symbol": wire_symbol,
        "side": order.side.upper(),
        "type": _WIRE_TYPES[order.wire_type],
        "quantity": to_text(order.quantity),
        "newClientOrderId": order.client_order_id,
        "newOrderRespType": "FULL",
    }
    if order.wire_type != "market":
        if order.price is None:
            raise ValueError(f"{order.client_order_id}: a limit order without a price was approved")
        parameters["timeInForce"] = order.time_in_force
        parameters["price"] = to_text(order.price)
    if order.wire_type == "stop_limit":
        # STOP_LOSS_LIMIT is the one stop every Binance spot symbol takes; a sell triggers when the last price falls
        # to stopPrice, and a stopPrice at or above it is refused with -2010 instead of being sold.
        if order.stop_price is None:
            raise ValueError(f"{order.client_order_id}: a stop without a stop price was approved")
        parameters["stopPrice"] = to_text(order.stop_price)
    return parameters
