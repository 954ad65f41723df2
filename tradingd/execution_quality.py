"""How well orders were executed (T15), folded from the journal's facts: per order and in total.

Slippage is measured against three prices, each as a ratio and in quote, positive = worse for us:

- arrival: the price when the trade was decided: the proposal's reference price, else the price at which a held
  order was armed, else the market's price when the order was sent (implementation shortfall, Perold 1988);
- trigger: where the trigger stood when a held order fired;
- sent: what the order would have met in the market at the moment it was sent.

Ratios of several orders are weighted by their value at the price they are measured against.
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import orjson

from bus.messages.council import TradeProposed
from bus.messages.header import Message
from bus.messages.orders import (
    OrderCancelled,
    OrderDenied,
    OrderExpired,
    OrderFilled,
    OrderInitialized,
    OrderRejected,
    OrderSubmitted,
    OrderTriggered,
    Side,
    TrailingArmed,
)
from market.money import ZERO, to_text
from tradingd.packed_ring import UNPACKED, packed, unpacked
from tradingd.read_model_orders import fee_in_quote
from tradingd.read_model_views import iso_or_none

MAX_EXECUTIONS: Final = 2_000
MAX_UNFILLED: Final = 100
"""Of orders that ended without a fill: one may still be told."""
MAX_REFUSALS: Final = 20_000
MAX_PROPOSALS: Final = 2_000
_QUOTE_PLACES: Final = 8
_MILLISECOND_NS: Final = 1_000_000


@dataclass(slots=True)
class Execution:
    """One order's way to its fills. Prices in quote, times UTC ns; 0 and None = not (yet) known."""

    order_id: str
    symbol: str
    side: Side
    order_type: str
    origin: str
    proposal_id: str
    created_ns: int
    arrival: Decimal | None = None
    trigger: Decimal | None = None
    sent: Decimal | None = None
    submitted_ns: int = 0
    first_fill_ns: int = 0
    last_fill_ns: int = 0
    filled: Decimal = ZERO
    paid: Decimal = ZERO
    maker_value: Decimal = ZERO
    fees_quote: Decimal = ZERO
    fills: int = 0

    def slippage_quote(self, reference: Decimal | None) -> Decimal | None:
        """What the fills cost more (or brought less) than `reference` would have; None without fill or reference."""
        if reference is None or not reference or not self.filled:
            return None
        worth = reference * self.filled
        return self.paid - worth if self.side == "buy" else worth - self.paid


@dataclass(frozen=True, slots=True)
class SlippageView:
    """Against one reference price: `ratio` of it and `quote` in money, positive = worse for us."""

    reference: str
    ratio: float
    quote: str


@dataclass(frozen=True, slots=True)
class ExecutionView:
    """One filled order. Times of fills count from its sending; `trigger` only for a held order that fired."""

    order_id: str
    symbol: str
    side: Side
    type: str
    origin: str
    submitted: str | None
    filled: str
    average_price: str
    fills: int
    arrival: SlippageView | None
    trigger: SlippageView | None
    sent: SlippageView | None
    first_fill_ms: float | None
    last_fill_ms: float | None
    fees: str


@dataclass(frozen=True, slots=True)
class SlippageTotal:
    """Over all filled orders that have this reference: value-weighted `ratio`, `quote` in sum."""

    orders: int
    ratio: float | None
    quote: str


@dataclass(frozen=True, slots=True)
class CodeCount:
    """How often one denial code was the answer."""

    code: str
    count: int


@dataclass(frozen=True, slots=True)
class QualityView:
    """Execution quality of the period. `maker_share` is of the filled value; `fee_ratio` = fees / value.

    `denied` orders were refused by us (`denials` by code, most frequent first, refused commands included),
    `rejected` ones by the venue. `orders` are the latest filled ones, newest first.
    """

    symbol: str
    since: str | None
    filled_orders: int
    fills: int
    value: str
    arrival: SlippageTotal
    trigger: SlippageTotal
    sent: SlippageTotal
    average_first_fill_ms: float | None
    average_last_fill_ms: float | None
    slowest_fill_ms: float | None
    fees: str
    fee_ratio: float | None
    maker_share: float | None
    rejected: int
    denied: int
    denials: tuple[CodeCount, ...]
    orders: tuple[ExecutionView, ...]


class QualityFold:
    """Keeps the last 2,000 orders, but for those that ended unfilled, and the last 20,000 refusals.

    All but the newest are kept as text, of a fifth of their weight.
    """

    def __init__(self, max_executions: int = MAX_EXECUTIONS, max_refusals: int = MAX_REFUSALS) -> None:
        self._by_id: OrderedDict[str, Execution] = OrderedDict()
        self._past: OrderedDict[str, str] = OrderedDict()  # as `packed`, in JSON
        self._unfilled: OrderedDict[str, Execution] = OrderedDict()
        self._max = max_executions
        self._refusals: deque[tuple[int, str, str, bool]] = deque(maxlen=max_refusals)  # ts, symbol, code, an order
        self._decided: OrderedDict[str, Decimal] = OrderedDict()
        self._handlers: dict[type, Callable[[Message, Any], None]] = {
            TradeProposed: self._on_proposed,
            OrderInitialized: self._on_initialized,
            TrailingArmed: self._on_armed,
            OrderTriggered: self._on_triggered,
            OrderSubmitted: self._on_submitted,
            OrderFilled: self._on_filled,
            OrderCancelled: self._on_ended,
            OrderExpired: self._on_ended,
            OrderRejected: self._on_rejected,
            OrderDenied: self._on_denied,
        }

    def apply(self, message: Message) -> None:
        """Fold one message; what is none of ours changes nothing."""
        handler = self._handlers.get(type(message.body))
        if handler is not None:
            handler(message, message.body)

    def view(self, *, symbol: str = "", since_ns: int = 0, limit: int = 50) -> QualityView:
        """Filled orders sent since `since_ns` (UTC ns), of one symbol or of all ("")."""
        chosen = [
            each for each in (*map(_unpacked, self._past.values()), *self._by_id.values())
            if each.fills and each.last_fill_ns >= since_ns and (not symbol or each.symbol == symbol)
        ]
        refusals = [
            (code, is_order) for ts, where, code, is_order in self._refusals
            if ts >= since_ns and (not symbol or where == symbol)
        ]
        codes = Counter(code for code, _ in refusals if code)
        value = sum((each.paid for each in chosen), ZERO)
        fees = sum((each.fees_quote for each in chosen), ZERO)
        timed = [each for each in chosen if each.submitted_ns]
        last = [each.last_fill_ns - each.submitted_ns for each in timed]
        return QualityView(
            symbol=symbol,
            since=iso_or_none(max(since_ns, 0)),
            filled_orders=len(chosen),
            fills=sum(each.fills for each in chosen),
            value=_money(value),
            arrival=_total((each, each.arrival) for each in chosen),
            trigger=_total((each, each.trigger) for each in chosen),
            sent=_total((each, each.sent) for each in chosen),
            average_first_fill_ms=_mean_ms([each.first_fill_ns - each.submitted_ns for each in timed]),
            average_last_fill_ms=_mean_ms(last),
            slowest_fill_ms=max(last) / _MILLISECOND_NS if last else None,
            fees=_money(fees),
            fee_ratio=float(fees / value) if value else None,
            maker_share=float(sum((each.maker_value for each in chosen), ZERO) / value) if value else None,
            rejected=sum(not code for code, _ in refusals),
            denied=sum(is_order and bool(code) for code, is_order in refusals),
            denials=tuple(CodeCount(*each) for each in sorted(codes.items(), key=lambda each: (-each[1], each[0]))),
            orders=tuple(_view(each) for each in sorted(chosen, key=_newest)[:limit]),
        )

    # ---- facts -------------------------------------------------------------------------------------

    def _on_proposed(self, _: Message, body: TradeProposed) -> None:
        self._decided[body.proposal_id] = body.reference_price
        if len(self._decided) > MAX_PROPOSALS:
            self._decided.popitem(last=False)

    def _on_initialized(self, message: Message, body: OrderInitialized) -> None:
        order = body.order
        arrival = self._decided.pop(order.proposal_id, None) if order.proposal_id else None
        self._keep(Execution(
            order.client_order_id, order.symbol, order.side, order.order_type, order.origin, order.proposal_id,
            message.header.ts, arrival,
        ))

    def _keep(self, execution: Execution) -> None:
        """As the newest."""
        self._by_id[execution.order_id] = execution
        if len(self._by_id) > UNPACKED:
            order_id, old = self._by_id.popitem(last=False)
            self._past[order_id] = orjson.dumps(packed(old)).decode()
        if len(self._by_id) + len(self._past) > self._max:
            (self._past or self._by_id).popitem(last=False)

    def _find(self, order_id: str) -> Execution | None:
        """One that something new is told of: it is among the newest again."""
        known = self._by_id.get(order_id) or self._unfilled.get(order_id)
        if known is None and (past := self._past.pop(order_id, None)) is not None:
            known = _unpacked(past)
            self._keep(known)
        return known

    def _on_armed(self, _: Message, body: TrailingArmed) -> None:
        known = self._find(body.client_order_id)
        if known is not None and known.arrival is None:
            known.arrival = body.best

    def _on_triggered(self, _: Message, body: OrderTriggered) -> None:
        known = self._find(body.client_order_id)
        if known is not None:
            known.trigger = body.trigger

    def _on_submitted(self, message: Message, body: OrderSubmitted) -> None:
        known = self._find(body.client_order_id)
        if known is None:
            return
        known.submitted_ns = message.header.ts
        known.sent = body.reference_price or None
        if known.arrival is None:
            known.arrival = known.sent
        if body.client_order_id in self._by_id:
            self._by_id.move_to_end(body.client_order_id)  # what was never sent is forgotten first

    def _on_filled(self, message: Message, body: OrderFilled) -> None:
        known = self._find(body.client_order_id)
        if known is None:
            return
        if self._unfilled.pop(body.client_order_id, None) is not None:
            self._keep(known)
        value = body.quantity * body.price
        known.first_fill_ns = known.first_fill_ns or message.header.ts
        known.last_fill_ns = message.header.ts
        known.filled += body.quantity
        known.paid += value
        known.fees_quote += fee_in_quote(body)
        known.fills += 1
        if body.is_maker:
            known.maker_value += value

    def _on_ended(self, _: Message, body: OrderCancelled | OrderExpired | OrderRejected) -> None:
        known = self._find(body.client_order_id)
        if known is None or known.fills:
            return
        self._by_id.pop(body.client_order_id, None)
        self._unfilled[body.client_order_id] = known
        if len(self._unfilled) > min(MAX_UNFILLED, self._max):
            self._unfilled.popitem(last=False)

    def _on_rejected(self, message: Message, body: OrderRejected) -> None:
        self._on_ended(message, body)
        self._refusals.append((message.header.ts, body.symbol, "", True))

    def _on_denied(self, message: Message, body: OrderDenied) -> None:
        self._refusals.append((message.header.ts, body.symbol, body.code, body.order is not None))


def _unpacked(text: str) -> Execution:
    return unpacked(Execution, orjson.loads(text))


def _newest(execution: Execution) -> tuple[int, str]:
    return (-execution.last_fill_ns, execution.order_id)


def _total(measured: Iterable[tuple[Execution, Decimal | None]]) -> SlippageTotal:
    count, cost, worth = 0, ZERO, ZERO
    for execution, reference in measured:
        slipped = execution.slippage_quote(reference)
        if slipped is not None and reference is not None:
            count += 1
            cost += slipped
            worth += reference * execution.filled
    return SlippageTotal(count, float(cost / worth) if worth else None, _money(cost))


def _view(execution: Execution) -> ExecutionView:
    sent_ns = execution.submitted_ns
    return ExecutionView(
        order_id=execution.order_id,
        symbol=execution.symbol,
        side=execution.side,
        type=execution.order_type,
        origin=execution.origin,
        submitted=iso_or_none(sent_ns),
        filled=to_text(execution.filled),
        average_price=_money(execution.paid / execution.filled),
        fills=execution.fills,
        arrival=_slippage(execution, execution.arrival),
        trigger=_slippage(execution, execution.trigger),
        sent=_slippage(execution, execution.sent),
        first_fill_ms=(execution.first_fill_ns - sent_ns) / _MILLISECOND_NS if sent_ns else None,
        last_fill_ms=(execution.last_fill_ns - sent_ns) / _MILLISECOND_NS if sent_ns else None,
        fees=_money(execution.fees_quote),
    )


def _slippage(execution: Execution, reference: Decimal | None) -> SlippageView | None:
    slipped = execution.slippage_quote(reference)
    if slipped is None or reference is None:
        return None
    return SlippageView(to_text(reference), float(slipped / (reference * execution.filled)), _money(slipped))


def _money(value: Decimal) -> str:
    return to_text(round(value, _QUOTE_PLACES))


def _mean_ms(durations_ns: list[int]) -> float | None:
    return sum(durations_ns) / len(durations_ns) / _MILLISECOND_NS if durations_ns else None
