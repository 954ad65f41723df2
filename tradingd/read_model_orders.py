"""Orders as a fold over their facts: state in T4's words, finer detail, fills, trails and history."""

from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Final

from bus.ids import ClientOrderId
from bus.messages.header import Message
from bus.messages.orders import (
    DenialsCounted,
    OrderAccepted,
    OrderCancelled,
    OrderDenied,
    OrderExpired,
    OrderFilled,
    OrderInitialized,
    OrderPendingCancel,
    OrderRejected,
    OrderSubmitted,
    OrderTriggered,
    OrderUnknown,
    OrderUpdated,
    ReassessmentDue,
    Side,
    SubmitOrder,
    TrailingAdvanced,
    TrailingArmed,
    TrailingDisarmed,
    TrailSpec,
)
from market.money import ONE, ZERO, to_text
from tradingd.read_model_views import WORKING_STATES, OrderState

MAX_FACTS: Final = 300
MAX_STEPS: Final = 200
FULL_DETAIL: Final = 20
"""Ended orders whose whole trail is kept in memory; of older ones only the last step (the journal has all)."""

FULL_FACTS: Final = 30
"""Ended orders whose facts are kept in memory; of older ones only the outline."""

MAX_FORGOTTEN: Final = 200_000
"""Ids of forgotten orders that are remembered, so that the journal is only searched for what it holds."""
MAX_FORGOTTEN_MANUAL: Final = 20_000
PRICE_PLACES: Final = 12


@dataclass(slots=True)
class OrderRecord:
    """One order as known so far. Times are UTC ns; `facts` are the messages about it, oldest first."""

    id: str
    spec: SubmitOrder
    state: OrderState
    detail: str
    created_ns: int
    updated_ns: int
    quantity: Decimal
    price: Decimal | None
    stop_price: Decimal | None
    trail: TrailSpec | None
    by: str = ""
    reason: str = ""
    filled: Decimal = ZERO
    paid: Decimal = ZERO
    fees_quote: Decimal = ZERO
    venue_order_id: str = ""
    reference_price: Decimal | None = None
    submitted_ns: int = 0
    denial: OrderDenied | None = None
    armed: TrailingArmed | None = None
    armed_first_at: Decimal = ZERO
    best: Decimal | None = None
    trigger: Decimal | None = None
    fires: list[tuple[int, Decimal, Decimal]] = field(default_factory=list)
    history: list[tuple[int, OrderState, str, str]] = field(default_factory=list)
    facts: list[Message] = field(default_factory=list)
    steps: list[tuple[int, Decimal, Decimal]] = field(default_factory=list)
    is_thin: bool = False
    """Steps, facts and command were dropped: the journal has them."""
    children: list[str] = field(default_factory=list)
    command: Message | None = None

    @property
    def is_working(self) -> bool:
        return self.state in WORKING_STATES

    def shrink(self) -> None:
        """To an outline: two thirds of it are what the journal is asked for when somebody wants to know."""
        self.facts, self.command, self.steps, self.is_thin = [], None, [], True
        self.spec, self.history = replace(self.spec, votes=()), self.history[-1:]

    @property
    def average_price(self) -> Decimal | None:
        """Volume-weighted price of the fills, in quote."""
        return round(self.paid / self.filled, PRICE_PLACES) if self.filled else None

    @property
    def slippage(self) -> float | None:
        """Ratio of the price at submission; positive = worse for us. None before a fill."""
        average, reference = self.average_price, self.reference_price
        if average is None or not reference:
            return None
        signed = average - reference if self.spec.side == "buy" else reference - average
        return float(signed / reference)


class OrderFold:
    """All orders by client id. Keeps every working order, and the last `max_orders` in total."""

    def __init__(self, max_orders: int) -> None:
        self.by_id: dict[str, OrderRecord] = {}
        self.ended_total: dict[str, int] = {"FILLED": 0, "CANCELLED": 0, "EXPIRED": 0, "REJECTED": 0}
        self.denied_total = 0
        self.denied_unlisted = 0
        self.total = 0
        self.forgotten: OrderedDict[str, None] = OrderedDict()
        self.forgotten_manual: OrderedDict[str, None] = OrderedDict()
        self._max_orders = max_orders
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._detailed: deque[str] = deque()
        self._commands: OrderedDict[str, Message] = OrderedDict()
        self._armed: dict[tuple[str, str, str], dict[str, OrderRecord]] = {}
        self.handlers: dict[type, Any] = {
            SubmitOrder: self._on_command,
            OrderInitialized: self._on_initialized,
            OrderDenied: self._on_denied,
            DenialsCounted: self._on_denials_counted,
            OrderSubmitted: self._on_submitted,
            OrderAccepted: self._on_accepted,
            OrderRejected: self._on_rejected,
            OrderTriggered: self._on_triggered,
            OrderUpdated: self._on_updated,
            ReassessmentDue: self._on_reassessment,
            OrderPendingCancel: self._on_pending_cancel,
            OrderCancelled: self._on_cancelled,
            OrderExpired: self._on_expired,
            OrderUnknown: self._on_unknown,
            OrderFilled: self._on_filled,
            TrailingArmed: self._on_armed,
            TrailingAdvanced: self._on_advanced,
            TrailingDisarmed: self._on_disarmed,
        }

    def newest_first(self) -> Iterator[OrderRecord]:
        return reversed(self.by_id.values())

    def working(self) -> list[OrderRecord]:
        """Orders that are not ended, oldest first."""
        return [record for record in self.by_id.values() if record.is_working]

    # ---- facts -------------------------------------------------------------------------------------

    def _on_command(self, message: Message, body: SubmitOrder) -> None:
        if body.client_order_id in self._commands or body.client_order_id in self.by_id:
            return
        self._commands[body.client_order_id] = message
        if len(self._commands) > self._max_orders:
            self._commands.popitem(last=False)

    def _on_initialized(self, message: Message, body: OrderInitialized) -> None:
        if body.order.client_order_id not in self.by_id:
            self._add(message, body.order, body.order.reason)

    def _on_denied(self, message: Message, body: OrderDenied) -> None:
        record = self.by_id.get(body.client_order_id)
        if body.order is None:
            if record is not None:  # a command about it was refused; the order goes on as it was
                self._note(record, message, f"refused: {body.message}")
            return
        if record is None:
            record = self._add(message, body.order, body.order.reason)
        record.denial = body
        self._move(record, message, "REJECTED", "denied", "us", body.message)
        self.denied_total += 1

    def _on_denials_counted(self, _: Message, body: DenialsCounted) -> None:
        self.denied_unlisted += body.count

    def _on_submitted(self, message: Message, body: OrderSubmitted) -> None:
        record = self._find(message, body.client_order_id, body.symbol)
        record.reference_price = body.reference_price
        record.submitted_ns = message.header.ts
        if record.state == "PENDING":
            self._move(record, message, "SUBMITTED", "sent", "us", f"sent as {body.wire_type} order")
        else:
            self._note(record, message, f"sent as {body.wire_type} order")

    def _on_accepted(self, message: Message, body: OrderAccepted) -> None:
        record = self._find(message, body.client_order_id, body.symbol)
        record.venue_order_id = body.venue_order_id or record.venue_order_id
        if record.is_working:
            detail = "pending_cancel" if record.detail == "pending_cancel" else "accepted"
            state: OrderState = "SUBMITTED" if record.state == "PENDING" else record.state
            self._move(record, message, state, detail, "venue", "the venue has it")
        else:
            self._note(record, message, "the venue has it")

    def _on_rejected(self, message: Message, body: OrderRejected) -> None:
        record = self._find(message, body.client_order_id, body.symbol)
        self._move(record, message, "REJECTED", "rejected", "venue", body.reason)

    def _on_triggered(self, message: Message, body: OrderTriggered) -> None:
        record = self._find(message, body.client_order_id, body.symbol)
        record.fires.append((message.header.ts, body.trigger, body.price))
        del record.fires[:-MAX_FACTS]
        self._leave_group(record)
        self._move(record, message, record.state, "triggered", "us", f"fired at {body.price}, trigger {body.trigger}")

    def _on_updated(self, message: Message, body: OrderUpdated) -> None:
        record = self._find(message, body.client_order_id, body.symbol)
        record.quantity, record.price = body.quantity, body.price
        record.stop_price, record.trail = body.stop_price, body.trail
        self._note(record, message, body.reason or "changed")

    def _on_reassessment(self, message: Message, body: ReassessmentDue) -> None:
        record = self._find(message, body.client_order_id, body.symbol)
        self._note(record, message, body.reason)

    def _on_pending_cancel(self, message: Message, body: OrderPendingCancel) -> None:
        record = self._find(message, body.client_order_id, body.symbol)
        self._move(record, message, record.state, "pending_cancel", "us", body.reason)

    def _on_cancelled(self, message: Message, body: OrderCancelled) -> None:
        record = self._find(message, body.client_order_id, body.symbol)
        self._move(record, message, "CANCELLED", "cancelled", body.by, body.reason)

    def _on_expired(self, message: Message, body: OrderExpired) -> None:
        record = self._find(message, body.client_order_id, body.symbol)
        self._move(record, message, "EXPIRED", "expired", body.by, body.reason)

    def _on_unknown(self, message: Message, body: OrderUnknown) -> None:
        record = self._find(message, body.client_order_id, body.symbol)
        self._move(record, message, record.state, "unknown", "venue", body.reason)

    def _on_filled(self, message: Message, body: OrderFilled) -> None:
        record = self._find(message, body.client_order_id, body.symbol)
        record.filled += body.quantity
        record.paid += body.quantity * body.price
        record.fees_quote += fee_in_quote(body)
        why = f"{to_text(body.quantity)} filled at {to_text(body.price)}"
        if body.is_complete:
            self._move(record, message, "FILLED", "filled", "venue", why)
        elif record.state in ("CANCELLED", "EXPIRED"):
            self._move(record, message, record.state, "late_fill", record.by, why)
        else:  # a rejected one too: held for never arrived, yet the venue executes it
            detail = "pending_cancel" if record.detail == "pending_cancel" else "accepted"
            self._move(record, message, "PARTIAL", detail, "venue", why)

    def _on_armed(self, message: Message, body: TrailingArmed) -> None:
        record = self._find(message, body.client_order_id, body.symbol)
        record.armed, record.best, record.trigger = body, body.best, body.trigger
        record.armed_first_at = record.armed_first_at or body.best
        if body.is_active and body.distance is not None:
            self._armed.setdefault((body.symbol, body.side, body.price_source), {})[record.id] = record
        detail = "armed" if body.is_active else "awaiting_activation"
        self._move(record, message, record.state, detail, "us", f"trigger {body.trigger}, best {body.best}")

    def _on_advanced(self, message: Message, body: TrailingAdvanced) -> None:
        is_sell = body.side == "sell"
        best = body.best
        for record in self._armed.get((body.symbol, body.side, body.price_source), {}).values():
            own = record.best
            if own is not None and (own >= best if is_sell else own <= best):
                continue
            record.best = best
            record.trigger = body.trigger if record.id == body.client_order_id else trailing_trigger(record)
            record.updated_ns = message.header.ts
            record.steps.append((message.header.ts, best, record.trigger))
            if len(record.steps) > MAX_STEPS:
                del record.steps[0]

    def _on_disarmed(self, message: Message, body: TrailingDisarmed) -> None:
        record = self.by_id.get(body.client_order_id)
        if record is not None:
            self._leave_group(record)
            self._note(record, message, body.reason)

    # ---- state -------------------------------------------------------------------------------------

    def _find(self, message: Message, client_order_id: ClientOrderId, symbol: str) -> OrderRecord:
        record = self.by_id.get(client_order_id)
        if record is not None:
            return record
        # Older than what is kept, or adopted from the venue: better a bare line than a hidden fill.
        body = message.body
        side: Side = body.side if isinstance(body, OrderFilled | TrailingArmed) else "buy"
        return self._add(message, SubmitOrder(client_order_id, symbol, side, "market", ZERO, "manual"), "adopted")

    def _add(self, message: Message, spec: SubmitOrder, reason: str) -> OrderRecord:
        ts = message.header.ts
        record = OrderRecord(
            spec.client_order_id, spec, "PENDING", "initialized", ts, ts, spec.quantity, spec.price, spec.stop_price,
            spec.trail, by="us", reason=reason, command=self._commands.pop(spec.client_order_id, None),
        )
        record.history.append((ts, record.state, record.detail, reason))
        record.facts.append(message)
        self.by_id[record.id] = record
        self.total += 1
        parent = self.by_id.get(spec.parent_id) if spec.parent_id else None
        if parent is not None:
            parent.children.append(record.id)
        self.forgotten.pop(record.id, None)
        self._make_room()
        return record

    def _make_room(self) -> None:
        while len(self.by_id) > self._max_orders and self._ended:
            self._forget(self._ended.popitem(last=False)[0])

    def _forget(self, order_id: str) -> None:
        old = self.by_id.pop(order_id)
        self.forgotten[order_id] = None
        if len(self.forgotten) > MAX_FORGOTTEN:
            self.forgotten.popitem(last=False)
        if old.spec.origin == "manual":
            self.forgotten_manual[order_id] = None
            if len(self.forgotten_manual) > MAX_FORGOTTEN_MANUAL:
                self.forgotten_manual.popitem(last=False)

    def _move(
        self, record: OrderRecord, message: Message, state: OrderState, detail: str, by: str, reason: str
    ) -> None:
        before = record.state
        record.state, record.detail, record.by, record.reason = state, detail, by, reason
        self._note(record, message, reason)
        if state != before:
            if before not in WORKING_STATES:  # a late fill revived it
                self.ended_total[before] -= 1
                self._ended.pop(record.id, None)
            if state not in WORKING_STATES:
                self.ended_total[state] += 1
                self._ended[record.id] = None
                self._thin_out(record.id)
        if not record.is_working:
            self._leave_group(record)

    def _thin_out(self, ended: str) -> None:
        """Steps of a trail are most of an order's size, then facts and command; of an old one they are rarely asked."""
        self._detailed.append(ended)
        if len(self._detailed) > FULL_FACTS:
            old = self.by_id.get(self._detailed.popleft())
            if old is not None and not old.is_working:
                old.facts, old.command, old.is_thin = [], None, True
        if len(self._detailed) > FULL_DETAIL:
            old = self.by_id.get(self._detailed[-FULL_DETAIL - 1])
            if old is not None and not old.is_working and len(old.steps) > 1:
                old.steps, old.is_thin = old.steps[-1:], True

    def _note(self, record: OrderRecord, message: Message, why: str) -> None:
        record.updated_ns = message.header.ts
        record.history.append((message.header.ts, record.state, record.detail, why))
        if not record.facts or record.facts[-1] is not message:
            record.facts.append(message)
        del record.history[:-MAX_FACTS], record.facts[:-MAX_FACTS]

    def _leave_group(self, record: OrderRecord) -> None:
        armed = record.armed
        if armed is None:
            return
        key = (armed.symbol, armed.side, armed.price_source)
        group = self._armed.get(key)
        if group is not None:
            group.pop(record.id, None)
            if not group:
                del self._armed[key]
        record.armed = record.best = record.trigger = None


def trailing_trigger(record: OrderRecord) -> Decimal:
    """Where an armed trail would fire by its resolved distance and best price (T3), break-even step included.

    The engine's own figure is in the facts for the trail nearest to firing; for the others this is the same
    rule, so a screen needs no fact per trail. Tightening with time is not in it: such a trail may stand closer.
    """
    armed, best = record.armed, record.best
    if armed is None or best is None or armed.distance is None:
        raise ValueError(f"order {record.id} is not trailing")
    is_ratio = record.trail is None or record.trail.kind == "percent"
    away = best * armed.distance if is_ratio else armed.distance
    trigger = best - away if armed.side == "sell" else best + away
    step = record.trail.break_even_ratio if record.trail is not None else None
    if step is None:
        return trigger
    start = record.armed_first_at
    if armed.side == "sell":
        return max(trigger, start) if best >= start * (ONE + step) else trigger
    return min(trigger, start) if best <= start * (ONE - step) else trigger


def fee_in_quote(fill: OrderFilled) -> Decimal:
    """A fill's fee valued at the fill's own price; a fee in a third asset counts 0 here (see its fill)."""
    base, _, quote = fill.symbol.partition("/")
    if fill.fee_asset == quote:
        return fill.fee
    return fill.fee * fill.price if fill.fee_asset == base else ZERO
