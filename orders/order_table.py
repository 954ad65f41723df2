"""The orders and the only moves their state may make (T4), as a table whose odd rows say why."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, Literal, NamedTuple

from bus.ids import ClientOrderId, VenueOrderId
from bus.messages.orders import OrderDenied, SubmitOrder, WireType
from market.interval import SECOND_NS
from market.money import ZERO
from orders.commitments import Commitments

OrderState = Literal["PENDING", "SUBMITTED", "PARTIAL", "FILLED", "CANCELLED", "REJECTED", "EXPIRED"]
By = Literal["", "us", "venue"]

STATES: Final[tuple[OrderState, ...]] = (
    "PENDING", "SUBMITTED", "PARTIAL", "FILLED", "CANCELLED", "REJECTED", "EXPIRED",
)
WORKING: Final[frozenset[OrderState]] = frozenset({"PENDING", "SUBMITTED", "PARTIAL"})
AT_VENUE: Final[frozenset[OrderState]] = frozenset({"SUBMITTED", "PARTIAL"})

HELD_KINDS: Final = frozenset({"stop", "take_profit", "trailing"})
"""Order types that the engine holds until their trigger is reached."""

_LATE_FILL: Final = "filled wins: the venue executed before its end became known (F25)"

MOVES: Final[Mapping[tuple[OrderState, OrderState], str]] = {
    ("PENDING", "SUBMITTED"): "",
    ("PENDING", "REJECTED"): "denied by us: at birth, or when a held order fired",
    ("PENDING", "EXPIRED"): "a held order's time was over before it fired",
    ("PENDING", "CANCELLED"): "a held order is ours alone to end",
    ("SUBMITTED", "PARTIAL"): "also without an acceptance before it: fills may overtake it (F22)",
    ("SUBMITTED", "FILLED"): "also without an acceptance before it: fills may overtake it (F22)",
    ("SUBMITTED", "CANCELLED"): "",
    ("SUBMITTED", "REJECTED"): "",
    ("SUBMITTED", "EXPIRED"): "",
    ("PARTIAL", "PARTIAL"): "one more execution",
    ("PARTIAL", "FILLED"): "",
    ("PARTIAL", "CANCELLED"): "",
    ("PARTIAL", "EXPIRED"): "",
    ("FILLED", "FILLED"): "overfill: more than we asked for is the truth all the same (F28)",
    ("CANCELLED", "CANCELLED"): _LATE_FILL + "; the rest stays cancelled",
    ("CANCELLED", "FILLED"): _LATE_FILL,
    ("EXPIRED", "EXPIRED"): _LATE_FILL + "; the rest stays expired",
    ("EXPIRED", "FILLED"): _LATE_FILL,
    ("REJECTED", "PARTIAL"): "held for never arrived, yet the venue executes it: it lives",
    ("REJECTED", "FILLED"): "held for never arrived, yet the venue executed it",
    ("REJECTED", "CANCELLED"): "held for never arrived, yet the venue had it, and it ended there",
}
"""(from, to) -> why, where it is not plain. A pair that is not here is refused."""

KEEP_ENDED: Final = 100
"""Ended orders kept in memory besides those that still matter; older ones live in the journal and the store only."""

MOST_ENDED: Final = 20_000
"""Ended orders kept in memory at most, whether they matter or not."""

GRID_TAG: Final = "grid"
"""Begins the tag of a grid's orders."""

NEVER_ARRIVED: Final = "never arrived at the venue"
ARRIVES_WITHIN_NS: Final = 86_400 * SECOND_NS
"""So long after its end such an order may still come to life, and must be known then."""

FILLS_WITHIN_NS: Final = 600 * SECOND_NS
"""So long after the end of an order that was sent a fill of it may still be on its way (F25), and must be booked."""

CANCEL_ANSWERED_NS: Final = 5 * SECOND_NS
"""By then the venue has answered the cancel of a stop, or nothing more is bought of its symbol (F26)."""

KEEP_IDS: Final = 200_000
"""Ids of forgotten orders that are remembered, so that the same id does nothing twice: weeks of them."""

KEEP_HISTORY: Final = 200
"""Lines of history kept per order in memory (first ones fall out; the journal has all)."""


_NONE: Final[Mapping[ClientOrderId, "Order"]] = {}


class OrderStateError(RuntimeError):
    """An order was to make a move its state does not allow: a defect, not a market event."""


class HistoryLine(NamedTuple):
    """One moment in an order's life (UTC ns)."""

    ts: int
    state: OrderState
    detail: str
    why: str


class FireRecord(NamedTuple):
    """A held order's trigger was reached at `price`."""

    ts: int
    trigger: Decimal
    price: Decimal


@dataclass(slots=True)
class Order:
    """One order and what became of it. `spec.quantity` and prices are those in force now.

    `detail` is the finer state: initialized, armed, triggered, denied, sent, accepted, pending_cancel,
    unknown, late_fill, or "". `cancel_reason` says why we asked the venue to end it. `fees` by asset. The
    `wire_` fields are what left for the venue; `reserved` is what an exit there may still sell. `arming_price`
    is the market price a held order was first armed from (a fixed trigger: was armed from last). `reassess_by_ns`:
    an entry that was open too long is cancelled then. `is_changed`: a person has set its prices. Live triggers are
    in the engine's watch.
    """

    spec: SubmitOrder
    created_ns: int
    state: OrderState = "PENDING"
    detail: str = "initialized"
    by: By = ""
    reason: str = ""
    cancel_reason: str = ""
    filled: Decimal = ZERO
    average_price: Decimal = ZERO
    fees: dict[str, Decimal] = field(default_factory=dict)
    venue_order_id: VenueOrderId = VenueOrderId("")
    reserved: Decimal = ZERO
    wire_type: WireType | Literal[""] = ""
    wire_quantity: Decimal = ZERO
    wire_price: Decimal | None = None
    reference_price: Decimal = ZERO
    arming_price: Decimal = ZERO
    reassess_by_ns: int = 0
    submitted_ns: int = 0
    ended_ns: int = 0
    is_changed: bool = False
    denial: OrderDenied | None = None
    history: tuple[HistoryLine, ...] = ()
    fires: tuple[FireRecord, ...] = ()

    @property
    def client_order_id(self) -> ClientOrderId:
        return self.spec.client_order_id

    @property
    def is_working(self) -> bool:
        """Not ended: held by us or at the venue."""
        return self.state in WORKING

    @property
    def is_at_venue(self) -> bool:
        """May be working at the venue, as far as anybody knows."""
        return self.state in AT_VENUE

    @property
    def is_armed(self) -> bool:
        """Held by the engine, waiting for its trigger."""
        return self.state == "PENDING" and self.detail == "armed"

    @property
    def is_waiting(self) -> bool:
        """Ready to leave (fired, or never held), but not yet sent: another exit must end first."""
        return self.state == "PENDING" and self.detail in ("triggered", "initialized")

    @property
    def is_unknown(self) -> bool:
        """Sent, and nobody knows what became of it; a cancel that nobody has answered does not change that."""
        if self.detail != "pending_cancel":
            return self.detail == "unknown"
        return len(self.history) > 1 and self.history[-2].detail == "unknown"

    @property
    def is_held_kind(self) -> bool:
        """A stop or trailing order: the engine holds it until it fires."""
        return self.spec.order_type in HELD_KINDS

    @property
    def is_disaster_stop(self) -> bool:
        """Rests at the venue and is watched there, also while this process is not running."""
        return self.wire_type == "stop_limit"

    def is_stuck_stop(self, now: int) -> bool:
        """Does the venue owe the answer to a disaster stop's cancel for long?"""
        return (
            self.wire_type == "stop_limit" and self.detail == "pending_cancel"
            and now - self.history[-1].ts >= CANCEL_ANSWERED_NS
        )

    @property
    def named_price(self) -> Decimal | None:
        """The price at which a working entry is counted; None while it names none and the market's must do."""
        spec = self.spec
        price = self.wire_price if self.wire_type else spec.price
        if price is None and not self.wire_type:
            price = spec.stop_price
        return price if price is not None else self.reference_price or None

    @property
    def is_exit(self) -> bool:
        return self.spec.side == "sell"

    @property
    def is_council_entry(self) -> bool:
        """A purchase of the council, in whose place its next one for the symbol comes. Grids have many on purpose."""
        spec = self.spec
        return spec.origin == "council" and spec.side == "buy" and not spec.tag.startswith(GRID_TAG)

    @property
    def total(self) -> Decimal:
        """What was sent, or is to be."""
        return self.wire_quantity if self.wire_type else self.spec.quantity

    @property
    def remaining(self) -> Decimal:
        """What may still be executed; never negative."""
        return max(self.total - self.filled, ZERO)

    def move(self, to: OrderState, detail: str, ts: int, why: str, by: By = "") -> None:
        """Change state; raises `OrderStateError` for a pair that `MOVES` does not hold."""
        if (self.state, to) not in MOVES:
            raise OrderStateError(f"{self.client_order_id}: {self.state} -> {to} is not allowed ({why or 'no reason'})")
        self.state = to
        if to not in WORKING:
            self.ended_ns = ts
        elif self.ended_ns:
            self.ended_ns = 0
        if by or to not in WORKING:
            self.by = by
        self.note(detail, ts, why)

    def note(self, detail: str, ts: int, why: str) -> None:
        """Record a finer state without a move."""
        self.detail = detail
        self.reason = why
        before = self.history
        line = HistoryLine(ts, self.state, detail, why)
        self.history = (*before, line) if len(before) < KEEP_HISTORY else (*before[1:], line)


def has_never_arrived(order: Order) -> bool:
    """Was it given up because the venue did not know it?"""
    return order.state == "REJECTED" and order.reason == NEVER_ARRIVED


class OrderTable:
    """All orders by client id; the working ones are at hand by symbol and by parent, in order of birth.

    The working sells have a list of their own, and `commitments` holds what the working buys may still cost.
    Ended orders are forgotten in time, but for those whose exits still work, those that may yet be filled or arrive
    at the venue and those that `is_needed` names; of a forgotten order the id alone is known: it is `in` the table,
    and `get` gives None.
    """

    __slots__ = ("_at_venue", "_by_id", "_by_parent", "_ended", "_exits", "_forgotten", "_is_needed", "_on_forgotten",
                 "_selling", "_successors", "_working", "commitments")

    def __init__(
        self, is_needed: Callable[[Order], bool] | None = None, on_forgotten: Callable[[Order], None] | None = None,
    ) -> None:
        self._is_needed = is_needed
        self._on_forgotten = on_forgotten
        self._forgotten: dict[ClientOrderId, None] = {}
        self._by_id: dict[ClientOrderId, Order] = {}
        self._working: dict[ClientOrderId, Order] = {}
        self._exits: dict[ClientOrderId, Order] = {}
        self._at_venue: dict[str, dict[ClientOrderId, Order]] = {}
        self._by_parent: dict[ClientOrderId, dict[ClientOrderId, Order]] = {}
        self._selling: dict[str, Decimal] = {}
        self._successors: dict[ClientOrderId, ClientOrderId] = {}
        self._ended: dict[ClientOrderId, None] = {}
        self.commitments = Commitments()

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Order]:
        return iter(self._by_id.values())

    def __contains__(self, client_order_id: object) -> bool:
        return client_order_id in self._by_id or client_order_id in self._forgotten

    def is_forgotten(self, client_order_id: ClientOrderId) -> bool:
        """Did it end so long ago that only its id is known?"""
        return client_order_id in self._forgotten

    def get(self, client_order_id: ClientOrderId) -> Order | None:
        return self._by_id.get(client_order_id)

    def add(self, order: Order) -> None:
        """Raises `OrderStateError` when the id is taken."""
        if order.client_order_id in self._by_id:
            raise OrderStateError(f"{order.client_order_id} exists already")
        self._forgotten.pop(order.client_order_id, None)
        self._by_id[order.client_order_id] = order
        if order.spec.replaces:
            self._successors[order.spec.replaces] = order.client_order_id
        if order.spec.parent_id:
            self._by_parent.setdefault(order.spec.parent_id, {})[order.client_order_id] = order
        self.settle(order)

    def settle(self, order: Order) -> None:
        """Put the order where its state belongs, after each move, fill and change of its quantity or price.

        Forgets old ended orders beyond `KEEP_ENDED`.
        """
        spec = order.spec
        client_order_id, symbol, is_exit = spec.client_order_id, spec.symbol, spec.side == "sell"
        if is_exit:
            self._reserve(order)
        at_venue = self._at_venue.get(symbol)
        if at_venue is None:
            at_venue = self._at_venue[symbol] = {}
        if order.state in AT_VENUE:
            at_venue[client_order_id] = order
        else:
            at_venue.pop(client_order_id, None)
        if order.state in WORKING:
            self._ended.pop(client_order_id, None)
            self._working[client_order_id] = order
            if is_exit:
                self._exits[client_order_id] = order
            else:
                self.commitments.put(client_order_id, symbol, order.remaining, order.named_price)
            return
        self._working.pop(client_order_id, None)
        self._exits.pop(client_order_id, None)
        self.commitments.drop(client_order_id)
        self._ended[client_order_id] = None
        self._forget_old(order.ended_ns)

    def _forget_old(self, now: int) -> None:
        """Two looks for each order that ends: what still matters goes to the back, and is looked at a round later."""
        for _ in range(2):
            if len(self._ended) <= KEEP_ENDED:
                return
            oldest = next(iter(self._ended))
            if len(self._ended) <= MOST_ENDED and self._matters(self._by_id[oldest], now):
                del self._ended[oldest]
                self._ended[oldest] = None
            else:
                self._forget(oldest)

    def _matters(self, order: Order, now: int) -> bool:
        """An entry and its exits go together: what they sold counts for what is still protected."""
        if has_never_arrived(order) and now - order.ended_ns < ARRIVES_WITHIN_NS:
            return True
        if order.submitted_ns and now - order.ended_ns < FILLS_WITHIN_NS:
            return True
        entry_id = order.spec.parent_id or order.client_order_id
        if any(each.is_working for each in self._by_parent.get(entry_id, {}).values()):
            return True
        later = self._by_id.get(self._successors.get(order.client_order_id, order.client_order_id))
        if later is not None and later.is_working:
            return True
        if self._is_needed is None:
            return False
        entry = self._by_id.get(entry_id)
        return self._is_needed(order) or (entry is not None and entry is not order and self._is_needed(entry))

    def _reserve(self, order: Order) -> None:
        """Keep the sum of what exits at the venue may still sell, so that nobody has to add it up."""
        symbol = order.spec.symbol
        reserved = order.remaining if order.is_at_venue else ZERO
        self._selling[symbol] = self._selling.get(symbol, ZERO) + reserved - order.reserved
        order.reserved = reserved

    def _forget(self, client_order_id: ClientOrderId) -> None:
        del self._ended[client_order_id]
        order = self._by_id.pop(client_order_id)
        if self._on_forgotten is not None:
            self._on_forgotten(order)
        self._successors.pop(client_order_id, None)
        parent_id = order.spec.parent_id
        self._forgotten[client_order_id] = None
        while len(self._forgotten) > KEEP_IDS:
            del self._forgotten[next(iter(self._forgotten))]
        family = self._by_parent.get(parent_id)
        if family is not None:
            family.pop(client_order_id, None)
            if not family:
                del self._by_parent[parent_id]

    def working(self, symbol: str = "") -> tuple[Order, ...]:
        """Not ended; of one symbol, or of all with ""."""
        return tuple(order for order in self._working.values() if symbol in ("", order.spec.symbol))

    def exits(self, symbol: str = "") -> tuple[Order, ...]:
        """The sells among the working ones: few, however many entries are waiting."""
        return tuple(order for order in self._exits.values() if symbol in ("", order.spec.symbol))

    def is_behind(self, order: Order) -> bool:
        """Does it wait for the order in whose place it comes? The two never work at the same time."""
        earlier = self._by_id.get(order.spec.replaces) if order.spec.replaces else None
        return earlier is not None and earlier.is_working

    def successor(self, client_order_id: ClientOrderId) -> Order | None:
        """The working order that replaces, or replaced, this one."""
        made = self._by_id.get(self._successors.get(client_order_id, client_order_id))
        return made if made is not None and made.is_working and made.client_order_id != client_order_id else None

    def successors(self, client_order_id: ClientOrderId) -> tuple[Order, ...]:
        """The chain of orders that came one after another in this one's place, ended ones included, as far as known."""
        chain: dict[ClientOrderId, Order] = {}
        made = self._by_id.get(self._successors.get(client_order_id, client_order_id))
        while made is not None and made.client_order_id not in chain and made.client_order_id != client_order_id:
            chain[made.client_order_id] = made
            made = self._by_id.get(self._successors.get(made.client_order_id, made.client_order_id))
        return tuple(chain.values())

    def at_venue(self, symbol: str) -> tuple[Order, ...]:
        """Orders of the symbol that may be working at the venue."""
        return tuple(self._at_venue.get(symbol, {}).values())

    def has_unknown(self, symbol: str, apart_from: ClientOrderId, now: int) -> bool:
        """Was an order of the symbol sent of which nobody knows what became of it? Or is a stop's cancel without an
        answer for so long that what is bought more could not be protected?"""
        for client_order_id, order in self._at_venue.get(symbol, _NONE).items():
            if client_order_id != apart_from and (order.is_unknown or order.is_stuck_stop(now)):
                return True
        return False

    def selling(self, symbol: str) -> Decimal:
        """Base quantity that exits at the venue may still sell."""
        return self._selling.get(symbol, ZERO)

    def family(self, parent_id: ClientOrderId) -> tuple[Order, ...]:
        """All exits an entry ever had, ended ones too."""
        return tuple(self._by_parent.get(parent_id, {}).values())

    def children(self, parent_id: ClientOrderId) -> tuple[Order, ...]:
        """Working exits of an entry."""
        return tuple(order for order in self.family(parent_id) if order.is_working)
