"""Live orders at Coinbase: REST for wishes, the user channel for news of them, the list of fills for what they did.

A new order is posted exactly once. Whether it exists after a timeout, a broken connection or a 5xx only the venue
knows: the report is "unknown", and the order is looked for until the venue's word is there. Absence is believed when
two complete listings, `ABSENCE_S` apart, do not have it. The one repetition is after a refused signature (401) when
our clock turns out to have been wrong: such a request was never looked at.
"""

import asyncio
import contextlib
import json
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from bus.clock import Clock
from bus.ids import CLIENT_ID_PREFIX, ClientOrderId, VenueOrderId
from bus.messages.orders import ExecType, ExecutionReport
from exchanges.answers import Answer, AnswerError, NoAnswerError, TransportError, VenueError
from exchanges.coinbase.account import read_accounts, read_balances
from exchanges.coinbase.balance_looks import BalanceLooks
from exchanges.coinbase.keys import read_keys
from exchanges.coinbase.order_answers import OrderStatus, cancel_refusal, created_order_id, refusal, story
from exchanges.coinbase.order_lookup import OrderLookup
from exchanges.coinbase.order_memory import OrderMemory
from exchanges.coinbase.order_wishes import create_body, is_immediate
from exchanges.coinbase.patient_search import FIRST_PAUSE_S, PatientSearch
from exchanges.coinbase.rest import ORDERS, CoinbaseRest
from exchanges.coinbase.user_events import OrderNews
from exchanges.coinbase.user_stream import UserStream
from exchanges.given_up_orders import GivenUpOrders
from exchanges.http_line import SentRequest
from exchanges.order_leave import OrderLeave
from exchanges.order_line import OrderLine
from exchanges.order_questions import OrderQuestions
from exchanges.order_tasks import OrderTasks
from exchanges.own_line import OwnLine
from exchanges.permissions import KeyRights, ask_coinbase_rights, examine_key
from exchanges.prepared_submission import PreparedSubmission
from exchanges.venue import BalanceSink, OpenOrder, ReportSink
from exchanges.working_order import ENDS
from market.instrument import Instrument
from market.interval import SECOND_NS
from market.money import ZERO, MoneyError
from risk.approved import Approved, OrderRequest

POLL_EVERY_S: Final = 2.0
"""How often orders of unknown fate are asked for, and all working ones while the user stream is down."""
TRUTH_EVERY: Final = 15
"""Every so many polls all working orders are asked for, whatever the stream says: a frame can be lost unseen."""
FIRST_SWEEP: Final = 3
"""At so many polls after the start: the account may have orders that a new data directory knows nothing of."""
ABSENCE_S: Final = 5.0
WARM_EVERY_S: Final = 10.0
"""How often the connection is used, so that an order finds one open; the clock is measured by the way."""
BEHIND_TRIES: Final = 5
END_DUE_LOOKS: Final = 3
"""So often an order that must be about to end is looked at once more, where no user stream will tell of it."""
OLDEST_NS: Final = 30 * 86_400 * SECOND_NS
"""How far back an order of an earlier run is looked for; one that still works is found however old it is."""
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True)
class CoinbaseConfig:
    """Addresses and keys of one account.

    `allow_withdrawals`: go live with a key that can move money out; `allow_unverified`: with one of unknown rights.
    """

    name: str
    rest_url: str
    ws_user_url: str
    api_key: str
    api_secret: str
    order_timeout_s: float = 10.0
    allow_withdrawals: bool = False
    allow_unverified: bool = False

    def __repr__(self) -> str:
        return f"CoinbaseConfig({self.name}, {self.rest_url}, keys hidden)"


class CoinbaseVenue:
    """Implements `exchanges.venue.Venue`. `start` it inside a running loop before anything else.

    `on_problem` is told in words of an echo of a foreign id, or a defect of our own. `on_refused` hears each time why
    the venue refuses the account; `prove_account` finds out whether it still does. `on_line` hears why no order can be
    sent, "" when it can be again.
    """

    is_simulated = False

    def __init__(
        self, config: CoinbaseConfig, sink: ReportSink, clock: Clock, instruments: Sequence[Instrument], *,
        jitter: Callable[[], float], on_problem: Callable[[str], None] = lambda _: None,
        on_line: Callable[[str], None] = lambda _: None, on_refused: Callable[[str], None] = lambda _: None,
        poll_every_s: float = POLL_EVERY_S, absence_s: float = ABSENCE_S,
    ) -> None:
        self.name = config.name
        self._config = config
        self._sink = sink
        self._clock = clock
        self._on_problem = on_problem
        self._on_refused = on_refused
        self._poll_every_s = poll_every_s
        self._absence_s = absence_s
        self._instruments = {each.symbol: each for each in instruments}
        self._rest = CoinbaseRest(
            config.rest_url, clock, keys=read_keys(config.name, config.api_key, config.api_secret), jitter=jitter,
            timeout_s=config.order_timeout_s,
        )
        self._lookup = OrderLookup(config.name, self._rest)
        self.stream = UserStream(
            config.ws_user_url, self._rest, [each.venue_symbol for each in instruments], jitter=jitter,
            on_news=self._on_news, on_up=self._query_working, on_lost=self._query_working,
            on_problem=lambda text: on_problem(f"{config.name}: {text}"),
        )
        self._memory = OrderMemory(clock.now)
        self._search = PatientSearch(
            self._find_anywhere, self._find_told, lambda each: each in self._memory.venue_ids, absence_s
        )
        self._given_up = GivenUpOrders(self.cancel)
        self._posting: dict[ClientOrderId, bool] = {}  # their request is under way; is a question due behind it?
        self._leave = OrderLeave(lambda: self._rest.order_share, self._rest.banned_for_s, clock)
        self._line = OrderLine(config.name, self._rest.probe, on_line)
        self._tasks = OrderTasks(config.name, clock, on_problem, self._tell)
        self._questions = OrderQuestions(self._tasks, self._ask)
        self._balance_looks = BalanceLooks(
            lambda: read_accounts(self.name, self._rest, self._watch_account), self._rest.banned_for_s
        )
        self.foreign_reports = 0
        self.notes: tuple[str, ...] = ()
        """What a person should know of this account although it may trade; known after `start`."""

    # ---- Venue -----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Set the clock, prove the keys and their rights, open the user stream; raises `VenueError` with the remedy."""
        prefix = f"TRADINGD__VENUES__{self.name.upper()}__"
        if not self._rest.keys:
            raise VenueError(
                f"{self.name}: live orders need keys. Set {prefix}API_KEY and {prefix}API_SECRET in the environment."
            )
        await self._rest.open()
        try:
            await self._rest.synchronise_clock()
        except TransportError as error:
            raise NoAnswerError(f"{self.name}: {error}. Check the network and rest_url in config.toml.") from error
        await self.prove_account()
        await self._rest.keep_warm()
        self.begin()

    def begin(self) -> None:
        """Open the user stream and watch the orders; `start` does it once the account was proven."""
        if self._config.ws_user_url:
            self._tasks.run(self.stream.run(), f"{self.name} user stream")
        self._tasks.run(self._keep_warm(), f"{self.name} order line")
        self._tasks.run(self._line.watch(), f"{self.name} order line watch")
        self._tasks.run(self._poll(), f"{self.name} order poll")
        self._tasks.run(self._balance_looks.run(), f"{self.name} balances")

    def own_line(self) -> OwnLine | None:
        """See `exchanges.own_line`."""
        return self.stream.look() if self._config.ws_user_url else None

    def silent_for_s(self) -> float:
        """Seconds for which the venue wants no requests."""
        return self._rest.banned_for_s()

    async def prove_account(self) -> None:
        """That the venue takes the key, and the key may trade; raises `VenueError` with the remedy."""
        note = await examine_key(
            self.name, self.key_rights, allow_withdrawals=self._config.allow_withdrawals,
            allow_unverified=self._config.allow_unverified,
            is_loopback=urlsplit(self._config.rest_url).hostname in _LOOPBACK,
        )
        self.notes = (note,) if note else ()
        await self.balances()

    async def key_rights(self) -> KeyRights | None:
        """What our key may do; None when the venue does not say. Raises `VenueError`."""
        return await ask_coinbase_rights(self._rest)

    def listen_to_balances(self, sink: BalanceSink) -> None:
        """What is read of balances after fills, refusals, and news of orders that are not ours."""
        self._balance_looks.listen(sink)

    def is_watching(self, client_order_id: ClientOrderId) -> bool:
        """Whether the order works at the venue, as far as is known here."""
        return client_order_id in self._memory.working

    def update_instruments(self, instruments: Sequence[Instrument]) -> None:
        """New increments and minimums, for the orders that follow; symbols are neither added nor removed."""
        self._instruments |= {each.symbol: each for each in instruments if each.symbol in self._instruments}

    def submit(self, approved: Approved) -> None:
        """Post the order; its fate arrives as reports."""
        order = approved.order
        try:
            body = create_body(order, self._instruments[order.symbol])
        except (KeyError, ValueError) as error:
            self._note_submission(order, self._refuse(order, f"not sent: {error}"))
        else:
            self._post(order, body, json.dumps(body))

    def prepare(self, order: OrderRequest) -> PreparedSubmission | None:
        """Its request, whole but for the token."""
        try:
            body = create_body(order, self._instruments[order.symbol])
        except (KeyError, ValueError):
            return None  # `submit` says what is wrong
        return PreparedSubmission(order, partial(self._post, order, body, json.dumps(body)))

    def _post(self, order: OrderRequest, body: dict[str, Any], text: str) -> None:
        """An approved order; `text` is the body's JSON."""
        # Its bytes leave before the engine's step goes on, if they can; else the task sends them.
        has_leave = self._leave.take_now(order)
        posted = self._rest.post_now(ORDERS, text) if has_leave else None
        # What is noted of it can wait until then, for no answer is read meanwhile.
        self._posting[order.client_order_id] = False
        if posted is None:
            self._leave.hold(order.client_order_id, has_leave=has_leave)
        self._note_submission(order, self._submit(order, body, posted))

    def _note_submission(self, order: OrderRequest, work: Coroutine[Any, Any, None]) -> None:
        self._memory.note_submission(order)
        self._tasks.run(work, f"submit {order.client_order_id}", order.client_order_id, order.symbol)

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
        """Available and held per asset, without the zeros; raises `VenueError`."""
        return await read_balances(self.name, self._rest, self._watch_account)

    async def open_orders(self) -> Sequence[OpenOrder]:
        """All working orders of the account, ours or not; raises `VenueError`."""
        symbols = {each.venue_symbol: each.symbol for each in self._instruments.values()}
        return [
            OpenOrder(
                each.client_order_id, each.venue_order_id, symbols.get(each.product, each.product), each.quantity,
                each.executed,
            )
            for each in await self._lookup.open_orders()
        ]

    async def close(self) -> None:
        """End every task; orders on their way stay unanswered here and are asked for after a restart."""
        self._lookup.close()
        await self._tasks.cancel()
        await self._rest.close()

    # ---- a new order -----------------------------------------------------------------------------

    async def _refuse(self, order: OrderRequest, reason: str) -> None:
        self._say(order, "rejected", reason)

    async def _submit(self, order: OrderRequest, body: dict[str, Any], posted: SentRequest | None) -> None:
        client_order_id, symbol = order.client_order_id, order.symbol
        try:
            obstacle = await self._leave.wait(order) if posted is None else None
            if obstacle is not None:
                self._tell(obstacle)
                return
            if posted is not None:
                answer = await self._rest.answer_to(posted, ORDERS)
            else:
                answer = await self._rest.once("POST", ORDERS, body)
            if answer.status == 401 and await self._rest.was_clock_wrong():
                answer = await self._rest.once("POST", ORDERS, body)
        except TransportError as error:
            self._say(order, "unknown", str(error))
            return
        finally:
            is_question_due = self._posting.pop(client_order_id, False)
            self._leave.forget(client_order_id)
        self._watch_account(answer)
        reason = refusal(answer)
        if reason:
            self._balance_looks.wake()  # it may be for want of coins that somebody else has locked or sold
            self._say(order, "rejected", reason)
            return
        try:
            venue_order_id = created_order_id(answer, client_order_id)
        except AnswerError as error:
            if answer.is_ok and "answered about" in str(error):
                self._on_problem(f"{self.name}: {error}. Whether the order exists is being asked.")
            self._say(order, "unknown", f"HTTP {answer.status} {error} {answer.message}".strip())
            return
        self._memory.venue_ids[client_order_id] = venue_order_id
        self._search.on_news(client_order_id)
        self._tell(ExecutionReport(client_order_id, symbol, "accepted", self._clock.now(), venue_order_id))
        if (is_immediate(order) or is_question_due) and client_order_id in self._memory.working:
            if is_immediate(order):
                self._memory.end_is_due(client_order_id, symbol)
            self.query(client_order_id, symbol)

    def _say(self, order: OrderRequest, exec_type: ExecType, reason: str) -> None:
        self._tell(ExecutionReport(
            order.client_order_id, order.symbol, exec_type, self._clock.now(),
            self._memory.venue_ids.get(order.client_order_id, VenueOrderId("")), reason=reason,
        ))

    # ---- the end of an order ---------------------------------------------------------------------

    async def _cancel(self, client_order_id: ClientOrderId, venue_order_id: VenueOrderId, symbol: str) -> None:
        known = venue_order_id or self._memory.venue_ids.get(client_order_id, VenueOrderId(""))
        if not known:
            await self._ask(client_order_id, symbol)  # the venue cancels by its own id only
            known = self._memory.venue_ids.get(client_order_id, VenueOrderId(""))
            if not known:
                return  # absent or unknown, and told so: the wish to cancel is repeated by the engine
        self._memory.venue_ids[client_order_id] = known
        self._memory.end_is_due(client_order_id, symbol)
        try:
            answer = await self._rest.read(
                "brokerage/orders/batch_cancel", {"order_ids": [known]}, budget="cancel", method="POST"
            )
        except VenueError as error:
            self._tell(ExecutionReport(
                client_order_id, symbol, "unknown", self._clock.now(), known, reason=f"cancel: {error}"
            ))
            return
        self._watch_account(answer)
        reason = cancel_refusal(answer, known)
        if reason:
            self._memory.end_is_not_due(client_order_id)
            self._tell(ExecutionReport(
                client_order_id, symbol, "cancel_rejected", self._clock.now(), known, reason=reason
            ))
        # Cancelled, queued or gone already: what it filled before that is told first, by its status and fills.
        await self._ask(client_order_id, symbol, is_cancelled=True)

    # ---- what became of it -----------------------------------------------------------------------

    async def _ask(self, client_order_id: ClientOrderId, symbol: str, *, is_cancelled: bool = False) -> None:
        """Look until the answer is at least as new as what the user channel said; then tell it."""
        reports: list[ExecutionReport] = []
        is_over = is_behind = False
        try:
            for attempt in range(BEHIND_TRIES):
                heard = self._memory.heard_filled(client_order_id) if attempt + 1 < BEHIND_TRIES else None
                status = heard if heard is not None else await self._search.find(client_order_id)
                if status is None:
                    if not is_cancelled and self._memory.was_told_of(client_order_id):
                        raise VenueError(f"{self.name}: it told of this order, and does not list it yet")
                    self._given_up.add(client_order_id)
                    self._tell(ExecutionReport(
                        client_order_id, symbol, "not_found", self._clock.now(),
                        reason=f"in no listing for {self._absence_s:g} s",
                    ))
                    return
                self._given_up.discard(client_order_id)
                is_over = status.is_over
                fills = await self._lookup.fills(status) if status.executed or status.is_filled else []
                reports, filled = story(status, fills, self._instruments[symbol])
                self._memory.adopt(client_order_id, symbol, status)
                is_behind = self._memory.is_behind(client_order_id, status, filled)
                if not is_behind and (attempt >= END_DUE_LOOKS or not self._is_end_due(client_order_id, status)):
                    break
                await self._search.pause(client_order_id, FIRST_PAUSE_S * 2**attempt)
            if is_behind:
                # Its end, told now, would leave out what the channel has counted.
                reports = [each for each in reports if each.exec_type not in ENDS]
                said = "the venue's listings are behind its own stream"
                reports.append(ExecutionReport(client_order_id, symbol, "unknown", self._clock.now(), reason=said))
        except (VenueError, AnswerError, MoneyError) as error:
            reports = [ExecutionReport(client_order_id, symbol, "unknown", self._clock.now(), reason=str(error))]
        for report in reports:
            self._tell(report)
        if is_over:
            self._memory.note_answered(client_order_id)

    async def _find_told(self, client_order_id: ClientOrderId) -> OrderStatus | None:
        heard = self._memory.heard_filled(client_order_id)
        if heard is not None:
            return heard
        known = self._memory.venue_ids.get(client_order_id)
        return await self._lookup.by_venue_id(known, client_order_id) if known is not None else None

    async def _find_anywhere(self, client_order_id: ClientOrderId) -> OrderStatus | None:
        """Raises `VenueError` while its request is under way: then it may come yet."""
        known = self._memory.venue_ids.get(client_order_id)
        status = await self._lookup.by_venue_id(known, client_order_id) if known is not None else None
        if status is None:
            working = self._memory.working.get(client_order_id)
            since_ns = working.sent_ns if working is not None else self._clock.now() - OLDEST_NS
            since_ns += self._rest.clock_offset_ns
            status = await self._lookup.by_client_id(client_order_id, since_ns, is_of_this_run=working is not None)
        if status is not None:
            self._memory.venue_ids[client_order_id] = status.venue_order_id
        elif client_order_id in self._posting:
            raise VenueError(f"{self.name}: no listing has it yet, and its request is still under way")
        return status

    def _is_end_due(self, client_order_id: ClientOrderId, status: OrderStatus) -> bool:
        """Its end will not be told by the user channel, and is not listed yet."""
        return self._memory.is_end_due(client_order_id) and not status.is_over and not self.stream.is_up

    # ---- the user channel and its stand-in ---------------------------------------------------------

    def _on_news(self, news: OrderNews) -> None:
        client_order_id = news.client_order_id
        if not client_order_id.startswith(CLIENT_ID_PREFIX):
            self.foreign_reports += 1  # a person's order at the exchange: the balances will show it
            self._balance_looks.wake()
            return
        working = self._memory.working.get(client_order_id)
        symbol = working.symbol if working is not None else self._symbol_of(news.product)
        if not symbol:
            return
        self._memory.venue_ids.setdefault(client_order_id, news.venue_order_id)
        if client_order_id in self._given_up and news.is_resting:
            self._given_up.end(client_order_id, news.venue_order_id, symbol)
            return
        if working is not None:
            working.hear(news, self._clock.now())
            if news.is_resting and not self._memory.is_end_due(client_order_id):
                self._tell(ExecutionReport(
                    client_order_id, symbol, "accepted", self._clock.now(), news.venue_order_id
                ))
        else:
            self._memory.hear_late(news, symbol)
        self._search.on_news(client_order_id)
        told = working.filled if working is not None else ZERO
        if news.is_over or news.executed > told:
            self._balance_looks.wake()
        if news.is_over or news.executed > told or self._memory.is_unresolved(client_order_id):
            self.query(client_order_id, symbol)

    def _symbol_of(self, product: str) -> str:
        return next((each.symbol for each in self._instruments.values() if each.venue_symbol == product), "")

    async def _sweep(self) -> None:
        """Working orders that carry our mark and that nobody here watches: late arrivals end, others are told of."""
        self._given_up.sweep(await self.open_orders(), self._instruments, self._memory.working, self.query)

    def _query_working(self) -> None:
        """Of an order whose answer is still on its way behind that: what filled meanwhile neither of them tells."""
        for client_order_id, working in sorted(self._memory.working.items()):
            if client_order_id in self._posting:
                self._posting[client_order_id] = True
            else:
                self._questions.put(client_order_id, working.symbol, is_routine=True)

    async def _poll(self) -> None:
        rounds = 0
        while True:
            await asyncio.sleep(self._poll_every_s)
            if self._rest.banned_for_s() > 0:
                continue
            rounds += 1
            if not self.stream.is_up or rounds % TRUTH_EVERY == 0:
                self._query_working()
            if rounds == FIRST_SWEEP or rounds % TRUTH_EVERY == 0:
                with contextlib.suppress(VenueError):  # asked again half a minute later
                    await self._sweep()
            for client_order_id, symbol in self._memory.owed():
                if client_order_id not in self._questions:
                    self.query(client_order_id, symbol)

    async def _keep_warm(self) -> None:
        while True:
            await asyncio.sleep(WARM_EVERY_S)
            if self._rest.banned_for_s() == 0:
                with contextlib.suppress(TransportError):
                    await self._rest.synchronise_clock()
                await self._rest.keep_warm()

    def _tell(self, report: ExecutionReport) -> None:
        self._memory.note(report)
        self._sink(report)

    # ---- the account -----------------------------------------------------------------------------

    def _watch_account(self, answer: Answer) -> None:
        if answer.status in (401, 403):
            self._on_refused(
                f"{self.name}: the venue refuses our keys (HTTP {answer.status} {answer.message}). Check the key, its "
                "rights and its address list at the exchange, and this machine's clock (NTP)."
            )
