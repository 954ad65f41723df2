"""Live orders at Binance: REST for wishes, the user stream for what becomes of them.

A new order is posted exactly once. Whether it exists after a timeout, a broken connection or a 5xx only
the venue knows: the report is "unknown", and the engine asks (`query`) until it has the venue's word.
The one repetition is after what the venue refuses before it looks at the order: -1021 (our clock was off), and
parameters that it did not find where they were (`RestClient.wants_form`).

While the venue wants no requests (429, 418) an entry is refused here and an exit waits until it may be sent: an exit
that is refused would only be given again. Nothing is said of an order to be absent while its own request is under way,
and one that appears after the venue denied it is cancelled. An end that the user stream tells while it counts more
fills than it brought is told after them, by REST.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from bus.clock import Clock
from bus.ids import CLIENT_ID_PREFIX, ClientOrderId, VenueOrderId
from bus.messages.orders import ExecutionReport
from exchanges.answers import AnswerError, NoAnswerError, TransportError, VenueError
from exchanges.binance.account import BinanceAccount
from exchanges.binance.order_answers import (
    ARCHIVED,
    CANCEL_REFUSED,
    NO_SUCH_ORDER,
    OrderStatus,
    end_in,
    end_report,
    parse_status,
    query_reports,
    submission_reports,
)
from exchanges.binance.order_count import CountedBudget
from exchanges.binance.order_wishes import order_parameters
from exchanges.binance.owed_fills import OwedFills
from exchanges.binance.private_budget import PRIVATE_PER_S
from exchanges.binance.rest import TIMESTAMP_REFUSED, RestClient
from exchanges.binance.signing import PreparedPost
from exchanges.binance.user_stream import UserStream
from exchanges.binance.weight_budget import FOR_FATES
from exchanges.given_up_orders import GivenUpOrders
from exchanges.http_line import SentRequest
from exchanges.order_leave import OrderLeave
from exchanges.order_line import OrderLine
from exchanges.order_questions import OrderQuestions
from exchanges.order_tasks import OrderTasks
from exchanges.own_line import OwnLine
from exchanges.prepared_submission import PreparedSubmission
from exchanges.stream_witness import StreamWitness
from exchanges.venue import BalanceSink, OpenOrder, ReportSink
from exchanges.working_order import ENDS, MOST_WORKING, WorkingOrder
from market.instrument import Instrument
from market.interval import SECOND_NS
from market.money import MoneyError
from risk.approved import Approved, OrderRequest

POLL_EVERY_S: Final = 2.0
"""How often working orders are asked for while the user stream is down (or the venue has none)."""
WARM_EVERY_S: Final = 15.0
"""How often an idle order line is used, so that the venue does not close it."""
SWEEP_EVERY_S: Final = 30.0
"""How often the venue is asked for all that rests there: an order may appear after it was said not to exist."""
FIRST_SWEEP_S: Final = 5.0
"""The first time is soon: the account may have orders that a new data directory knows nothing of."""
ABSENCE_S: Final = 5.0
"""An order that was sent so shortly ago may still be on its way: one that is absent then is not given up."""
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True)
class BinanceConfig:
    """Addresses and keys of one account; `ws_api_url` may be empty where the venue has no such stream.

    `allow_withdrawals`: go live with a key that can move money out; `allow_unverified`: with one of unknown rights.
    `checks_key` is false where any key will do. `private_per_s`: signed requests a second.
    """

    name: str
    rest_url: str
    ws_api_url: str
    api_key: str
    api_secret: str
    order_timeout_s: float = 10.0
    allow_withdrawals: bool = False
    allow_unverified: bool = False
    checks_key: bool = True
    private_per_s: float = PRIVATE_PER_S

    def __repr__(self) -> str:
        return f"BinanceConfig({self.name}, {self.rest_url}, keys hidden)"


class BinanceVenue:
    """Implements `exchanges.venue.Venue`. `start` it inside a running loop before anything else.

    `on_problem` is told in words of a defect of our own. `on_refused` hears each time why the venue refuses the
    account (keys, a clock that cannot be set); `prove_account` finds out whether it still does. `on_line` hears why no
    order can be sent, "" when it can be again.
    """

    is_simulated = False

    def __init__(
        self, config: BinanceConfig, sink: ReportSink, clock: Clock, instruments: Sequence[Instrument], *,
        jitter: Callable[[], float], on_problem: Callable[[str], None] = lambda _: None,
        on_line: Callable[[str], None] = lambda _: None, on_refused: Callable[[str], None] = lambda _: None,
        poll_every_s: float = POLL_EVERY_S, sweep_every_s: float = SWEEP_EVERY_S, absence_s: float = ABSENCE_S,
    ) -> None:
        self.name = config.name
        self._config = config
        self._sink = sink
        self._clock = clock
        self._on_problem = on_problem
        self._poll_every_s = poll_every_s
        self._sweep_every_s = sweep_every_s
        self._absence_s = absence_s
        self._begun_ns = clock.now()
        self._wire_by_symbol = {each.symbol: each.venue_symbol for each in instruments}
        self._symbol_by_wire = {each.venue_symbol: each.symbol for each in instruments}
        self._rest = RestClient(
            config.rest_url, clock, api_key=config.api_key, api_secret=config.api_secret, jitter=jitter,
            timeout_s=config.order_timeout_s,
        )
        self._account = BinanceAccount(
            config.name, self._rest, self._symbol_by_wire, config.private_per_s, on_refused
        )
        self.stream = UserStream(
            config.ws_api_url, self._rest, clock, self._symbol_by_wire, jitter=jitter,
            on_report=self._on_stream_report, on_up=self._query_working, on_lost=self._query_working,
            on_problem=lambda text: on_problem(f"{config.name}: {text}"),
            on_balances=lambda balances: self._on_balances(balances),
        )
        self._on_balances: BalanceSink = lambda _: None
        self._working: dict[ClientOrderId, WorkingOrder] = {}
        self._given_up = GivenUpOrders(self.cancel)
        self._owed = OwedFills()
        self._witness = StreamWitness(lambda: self.stream.up_since_ns, self.stream.reopen)
        self._posting: dict[ClientOrderId, bool] = {}  # their request is under way; is a question due behind it?
        budget = CountedBudget(self._account.budget, self._rest.order_count)
        self._leave = OrderLeave(lambda: budget, self._rest.banned_for_s, clock)
        self._line = OrderLine(config.name, self._rest.probe, on_line)
        self._tasks = OrderTasks(config.name, clock, on_problem, self._tell)
        self._questions = OrderQuestions(self._tasks, self._ask)
        self.foreign_reports = 0
        self.notes: tuple[str, ...] = ()
        """What a person should know of this account although it may trade; known after `start`."""

    # ---- Venue -----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Set the clock, prove the keys and their rights, open the user stream; raises `VenueError` with the remedy."""
        prefix = f"TRADINGD__VENUES__{self.name.upper()}__"
        if not self._rest.has_keys:
            raise VenueError(
                f"{self.name}: live orders need keys. Set {prefix}API_KEY and {prefix}API_SECRET in the environment."
            )
        try:
            await self._rest.synchronise_clock()
        except TransportError as error:
            raise NoAnswerError(f"{self.name}: {error}. Check the network and rest_url in config.toml.") from error
        await self.prove_account()
        self.begin()

    def begin(self) -> None:
        """Open the user stream and watch the orders; `start` does it once the account was proven."""
        if self._config.ws_api_url:
            self._tasks.run(self.stream.run(), f"{self.name} user stream")
        self._tasks.run(self._keep_warm(), f"{self.name} order line")
        self._tasks.run(self._line.watch(), f"{self.name} order line watch")
        self._tasks.run(self._poll(), f"{self.name} order poll")
        self._tasks.run(self._keep_sweeping(), f"{self.name} order sweep")

    def own_line(self) -> OwnLine | None:
        """See `exchanges.own_line`."""
        return self.stream.look() if self._config.ws_api_url else None

    def silent_for_s(self) -> float:
        """Seconds for which the venue wants no requests."""
        return self._rest.banned_for_s()

    async def prove_account(self) -> None:
        """That the venue takes the key, and the key may trade; raises `VenueError` with the remedy."""
        await self._examine_key()
        await self.balances()

    async def _examine_key(self) -> None:
        from exchanges.permissions import ask_binance_rights, examine_key  # it knows the other venues, too

        if not self._config.checks_key:
            return
        note = await examine_key(
            self.name, lambda: ask_binance_rights(self._rest), allow_withdrawals=self._config.allow_withdrawals,
            allow_unverified=self._config.allow_unverified,
            is_loopback=urlsplit(self._config.rest_url).hostname in _LOOPBACK,
        )
        self.notes = (note,) if note else ()

    def listen_to_balances(self, sink: BalanceSink) -> None:
        """What the user stream tells of balances."""
        self._on_balances = sink

    def is_watching(self, client_order_id: ClientOrderId) -> bool:
        """Whether the order works at the venue, as far as is known here."""
        return client_order_id in self._working

    def update_instruments(self, instruments: Sequence[Instrument]) -> None:
        """New increments and minimums: nothing here depends on them."""

    def submit(self, approved: Approved) -> None:
        """Post the order; its fate arrives as reports."""
        order = approved.order
        # First of all: what is noted of it can wait, for no answer is read meanwhile.
        has_leave = self._leave.take_now(order)
        self._note_submission(order, self._posted_now(order) if has_leave else None, has_leave=has_leave)

    def prepare(self, order: OrderRequest) -> PreparedSubmission | None:
        """Its request, whole but for time and signature."""
        try:
            post = self._rest.prepare_post("/api/v3/order", order_parameters(order, self._wire_by_symbol[order.symbol]))
        except (KeyError, ValueError):
            return None  # `submit` says what is wrong
        return None if post is None else PreparedSubmission(order, partial(self._submit_prepared, order, post))

    def _submit_prepared(self, order: OrderRequest, post: PreparedPost) -> None:
        has_leave = self._leave.take_now(order)
        self._note_submission(order, post.send() if has_leave else None, has_leave=has_leave)

    def _note_submission(self, order: OrderRequest, posted: SentRequest | None, *, has_leave: bool) -> None:
        client_order_id = order.client_order_id
        if len(self._working) < MOST_WORKING:
            self._working[client_order_id] = WorkingOrder(order.symbol, order.quantity, self._clock.now())
        self._posting[client_order_id] = False
        if posted is None:
            self._leave.hold(client_order_id, has_leave=has_leave)
        self._tasks.run(self._submit(order, posted), f"submit {client_order_id}", client_order_id, order.symbol)

    def _posted_now(self, order: OrderRequest) -> SentRequest | None:
        """The order's bytes leave before the engine's step goes on; None leaves the sending to the task."""
        try:
            return self._rest.post_now("/api/v3/order", order_parameters(order, self._wire_by_symbol[order.symbol]))
        except (KeyError, ValueError):
            return None  # nothing was sent: the task meets the same defect, and says so

    def cancel(self, client_order_id: ClientOrderId, venue_order_id: VenueOrderId, symbol: str) -> None:
        """Ask for its end; repeated on transport errors, for a cancel twice does no harm."""
        if self._leave.take_back(client_order_id):
            return
        self._tasks.run(
            self._cancel(client_order_id, venue_order_id, symbol), f"cancel {client_order_id}", client_order_id, symbol
        )

    def query(self, client_order_id: ClientOrderId, symbol: str) -> None:
        """Ask what became of it: accepted, all its fills, its end; "not_found"; or "unknown" again."""
        self._questions.put(client_order_id, symbol)

    @property
    def questions(self) -> int:
        """How many are not answered yet."""
        return len(self._questions)

    async def balances(self) -> dict[str, Decimal]:
        """Free and locked per asset, without the zeros; raises `VenueError`."""
        return await self._account.balances()

    async def open_orders(self) -> Sequence[OpenOrder]:
        """All working orders of the account, ours or not; raises `VenueError`."""
        return await self._account.open_orders()

    async def close(self) -> None:
        """End every task; orders on their way stay unanswered here and are asked for after a restart."""
        self._witness.close()
        await self._tasks.cancel()
        await self._rest.close()

    # ---- requests --------------------------------------------------------------------------------

    async def _submit(self, order: OrderRequest, posted: SentRequest | None) -> None:
        try:
            await self._post(order, posted)
        finally:
            is_question_due = self._posting.pop(order.client_order_id, False)
            self._leave.forget(order.client_order_id)
        if is_question_due and order.client_order_id in self._working:
            self._questions.put(order.client_order_id, order.symbol, is_routine=True)

    async def _post(self, order: OrderRequest, posted: SentRequest | None) -> None:
        client_order_id, symbol = order.client_order_id, order.symbol
        parameters = order_parameters(order, self._wire_by_symbol[symbol])
        if posted is None:
            obstacle = await self._leave.wait(order)
            if obstacle is not None:
                self._tell(obstacle)
                return
            self._send_late(client_order_id)
        try:
            if posted is not None:
                answer = await self._rest.answer_to(posted, "/api/v3/order")
            else:
                answer = await self._rest.once("POST", "/api/v3/order", parameters, signed=True)
            if answer.code == TIMESTAMP_REFUSED:
                is_wanted_again = not await self._rest.clock_trouble()
            else:
                is_wanted_again = self._rest.wants_form(answer)
            if is_wanted_again:
                self._send_late(client_order_id)
                answer = await self._rest.once("POST", "/api/v3/order", parameters, signed=True)
        except TransportError as error:
            self._tell(ExecutionReport(client_order_id, symbol, "unknown", self._clock.now(), reason=str(error)))
            return
        self._account.watch(answer)
        reports = submission_reports(answer, client_order_id, symbol, self._clock.now())
        for report in reports:
            self._tell(report)
        if answer.is_ok and reports[-1].exec_type == "unknown":
            # It exists, but the answer does not tell all its fills: more than was ordered may have been executed, and
            # the engine asks no more about an order that is filled (F28).
            await self._ask(client_order_id, symbol)

    async def _cancel(self, client_order_id: ClientOrderId, venue_order_id: VenueOrderId, symbol: str) -> None:
        parameters = {"symbol": self._wire_by_symbol[symbol], "origClientOrderId": client_order_id}
        try:
            await self._account.budget().take(is_urgent=True)
            answer = await self._rest.read("/api/v3/order", parameters, weight=0, signed=True, method="DELETE")
        except VenueError as error:
            self._tell(ExecutionReport(
                client_order_id, symbol, "unknown", self._clock.now(), venue_order_id, reason=f"cancel: {error}"
            ))
            return
        self._account.watch(answer)
        if not answer.is_ok:
            reason = f"{answer.code}: {answer.message}" if answer.code else f"HTTP {answer.status}"
            self._tell(ExecutionReport(
                client_order_id, symbol, "cancel_rejected", self._clock.now(), venue_order_id, reason=reason
            ))
            if answer.code != CANCEL_REFUSED:
                return
        ended = end_in(answer, client_order_id)
        if ended is not None and self._told(client_order_id) >= ended.executed:
            self._tell(end_report(ended, client_order_id, symbol))
            return
        if ended is not None:
            self._owed.note(client_order_id, symbol, ended.executed, is_over=True)
        # Cancelled or gone already: what it filled before that is told first, by its status and trades.
        await self._ask(client_order_id, symbol)

    async def _ask(self, client_order_id: ClientOrderId, symbol: str) -> None:
        wire = self._wire_by_symbol[symbol]
        try:
            await self._account.budget().take(is_urgent=False)
            answer = await self._rest.read(
                "/api/v3/order", {"symbol": wire, "origClientOrderId": client_order_id}, weight=4, reserve=FOR_FATES,
                signed=True,
            )
            if answer.code == NO_SUCH_ORDER:
                self._tell(self._absence(client_order_id, symbol, answer.message))
                return
            if answer.code == ARCHIVED:
                now = self._clock.now()
                self._tell(ExecutionReport(client_order_id, symbol, "cancelled", now, reason=answer.message))
                return
            self._account.watch(answer)
            status = parse_status(self._account.good(answer, "order"), client_order_id)
            self._given_up.found(client_order_id, status.venue_order_id, symbol, is_open=status.is_open)
            trades = await self._account.trades(wire, status) if status.executed else ()
            if self._owed.is_behind(client_order_id, status):  # it may have told more while its trades were read
                raise VenueError(f"{self.name}: its answer is behind its own stream")
            reports = query_reports(status, trades, client_order_id, symbol)
            self._adopt(client_order_id, symbol, status)
        except (VenueError, AnswerError, MoneyError) as error:
            reports = [ExecutionReport(client_order_id, symbol, "unknown", self._clock.now(), reason=str(error))]
        for report in reports:
            self._witness.found(report)
            self._tell(report)
        if reports[-1].exec_type != "unknown":
            self._owed.settle(client_order_id)

    def _absence(self, client_order_id: ClientOrderId, symbol: str, said: str) -> ExecutionReport:
        """What it means that the venue does not list it; raises `VenueError` where it may only be behind itself: it is
        for minutes at times, of filled orders, too.
        """
        if client_order_id in self._posting or self._was_sent_late(client_order_id):
            raise VenueError(f"{self.name}: not there yet, and its request may still be under way")
        working, now = self._working.get(client_order_id), self._clock.now()
        is_absent = working is None or (working.is_absent(now, self._absence_s) and not working.was_told_of(now))
        if not is_absent or client_order_id in self._owed:
            raise VenueError(f"{self.name}: it told of this order, and does not list it yet")
        if not self._may_be_under_way(client_order_id):
            self._given_up.add(client_order_id, symbol if working is not None and working.told_ns else "")
        return ExecutionReport(client_order_id, symbol, "not_found", self._clock.now(), reason=said)

    def _adopt(self, client_order_id: ClientOrderId, symbol: str, status: OrderStatus) -> None:
        """An order of an earlier run that still works (a stop may rest for weeks) is watched like our own."""
        if status.is_open and len(self._working) < MOST_WORKING:
            self._working.setdefault(client_order_id, WorkingOrder(symbol, status.quantity, self._clock.now()))

    def _may_be_under_way(self, client_order_id: ClientOrderId) -> bool:
        """Whether its request may still reach the venue; one of an earlier run counts from our start on."""
        working = self._working.get(client_order_id)
        sent_ns = self._begun_ns if working is None else working.sent_ns
        return self._clock.now() - sent_ns < self._absence_s * SECOND_NS

    def _send_late(self, client_order_id: ClientOrderId) -> None:
        working = self._working.get(client_order_id)
        if working is not None:
            working.send_late(self._clock.now())

    def _was_sent_late(self, client_order_id: ClientOrderId) -> bool:
        """Whether it may still arrive when the engine, which counts from its submission, would believe its absence."""
        working = self._working.get(client_order_id)
        return working is not None and working.is_late and self._may_be_under_way(client_order_id)

    async def _keep_sweeping(self) -> None:
        pause_s = min(FIRST_SWEEP_S, self._sweep_every_s)
        while True:
            await asyncio.sleep(pause_s)
            pause_s = self._sweep_every_s
            if self._rest.banned_for_s() == 0:
                with contextlib.suppress(VenueError):  # asked again half a minute later
                    await self._sweep()

    async def _sweep(self) -> None:
        """Working orders that carry our mark and that nobody here watches: late arrivals end, others are told of."""
        there = await self.open_orders()
        self._given_up.sweep(there, self._wire_by_symbol, self._working.keys() | self._posting.keys(), self.query)

    # ---- the user stream and its stand-in ----------------------------------------------------------

    def _on_stream_report(self, report: ExecutionReport, executed: Decimal | None) -> None:
        if not report.client_order_id.startswith(CLIENT_ID_PREFIX):
            self.foreign_reports += 1  # a person's order at the exchange: the balances will show it
            return
        self._witness.told(report)
        if executed is None or self._told_with(report) >= executed:
            self._tell(report)
        else:
            is_over = report.exec_type in ENDS
            self._owed.note(report.client_order_id, report.symbol, executed, is_over=is_over)
            if not is_over:
                self._tell(report)
            elif report.client_order_id in self._working:
                self._working[report.client_order_id].told_ns = self._clock.now()
            self.query(report.client_order_id, report.symbol)
        if report.exec_type == "accepted" and report.client_order_id in self._given_up:
            self._given_up.end(report.client_order_id, report.venue_order_id, report.symbol)

    def _told_with(self, report: ExecutionReport) -> Decimal:
        """How much of its order was told to be filled, once this is told."""
        working, told = self._working.get(report.client_order_id), self._told(report.client_order_id)
        if report.exec_type != "fill" or (working is not None and report.trade_id in working.trade_ids):
            return told
        return told + report.quantity

    def _told(self, client_order_id: ClientOrderId) -> Decimal:
        working = self._working.get(client_order_id)
        return self._owed.told_at_end(client_order_id) if working is None else working.filled

    def _query_working(self) -> None:
        """Of an order whose answer is still on its way behind that: what filled meanwhile neither of them tells."""
        for client_order_id in sorted(self._working):
            if client_order_id in self._posting:
                self._posting[client_order_id] = True
            else:
                self._questions.put(client_order_id, self._working[client_order_id].symbol, is_routine=True)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self._poll_every_s)
            if not self.stream.is_up:
                self._query_working()
            for client_order_id, owed in sorted(self._owed.items()):
                if client_order_id not in self._questions and self._rest.banned_for_s() == 0:
                    self.query(client_order_id, owed.symbol)

    async def _keep_warm(self) -> None:
        while True:
            if self._rest.banned_for_s() == 0:
                await self._rest.keep_warm()
            await asyncio.sleep(WARM_EVERY_S)

    def _tell(self, report: ExecutionReport) -> None:
        working = self._working.get(report.client_order_id)
        if working is not None:
            working.note(report, self._clock.now())
            is_over = report.exec_type in ENDS or working.is_filled
            if report.exec_type == "not_found" and self._may_be_under_way(report.client_order_id):
                is_over = False  # nor does the engine believe it yet
            if is_over:
                del self._working[report.client_order_id]
                self._owed.finish(report.client_order_id, working.filled)
        elif report.exec_type in ENDS:
            self._owed.settle(report.client_order_id)
        self._witness.note(report)
        self._sink(report)
