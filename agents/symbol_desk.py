"""What the strategy knows to be open on one symbol, so that nothing is proposed twice.

Facts come from the engine one by one and may be lost on the bus; each portfolio snapshot heals what is older
than itself. Times are UTC ns of the session.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from bus.ids import ClientOrderId, ProposalId
from bus.messages.orders import SubmitOrder
from market.instrument import Instrument
from market.interval import SECOND_NS
from market.money import ZERO

# A command may be taken at the last moment, and an order be ended a moment after its expiry.
_GRACE_NS: Final = 5 * SECOND_NS


@dataclass(slots=True)
class SymbolDesk:
    """One symbol: position, working orders of ours, the open proposal, cooldowns, the last price heard."""

    instrument: Instrument
    held: Decimal = ZERO
    held_since_ns: int = 0
    last_price: Decimal = ZERO
    last_candle_ns: int = -1
    entry_allowed_ns: int = 0
    exit_allowed_ns: int = 0
    reassess_until_ns: int = 0
    proposal_id: ProposalId = ProposalId("")
    _proposal_over_ns: int = 0
    _entries: dict[ClientOrderId, int] = field(default_factory=dict)
    _exits: dict[ClientOrderId, int] = field(default_factory=dict)
    _entry_in_snapshot: bool = False
    _position_known_ns: int = 0

    @property
    def is_held(self) -> bool:
        """Something is held that the venue would let us sell; a remainder of dust is nothing."""
        quantity = self.instrument.round_quantity(self.held)
        is_worth_it = quantity * self.last_price >= self.instrument.min_notional or self.last_price == ZERO
        return quantity > ZERO and quantity >= self.instrument.min_quantity and is_worth_it

    def obstacle_to_entry(self, now: int) -> str:
        """Why no entry may be proposed now; "" if one may."""
        if self.is_held:
            return "a position is open"
        if (self._entries or self._entry_in_snapshot) and now >= self.reassess_until_ns:
            return "an entry is working"
        if self._is_proposed(now):
            return f"proposal {self.proposal_id} is open"
        return "the pause after the last proposal is not over" if now < self.entry_allowed_ns else ""

    def obstacle_to_exit(self, now: int) -> str:
        """Why no exit may be proposed now; "" if one may."""
        if not self.is_held:
            return "nothing is held"
        self._exits = {order: end for order, end in self._exits.items() if end == 0 or now < end}
        if self._exits:
            return "an exit is working"
        if self._is_proposed(now):
            return f"proposal {self.proposal_id} is open"
        return "the pause after the last exit proposal is not over" if now < self.exit_allowed_ns else ""

    def _is_proposed(self, now: int) -> bool:
        if self.proposal_id and now >= self._proposal_over_ns:
            self.proposal_id = ProposalId("")
        return bool(self.proposal_id)

    # ---- what happens ------------------------------------------------------------------------------

    def on_proposed(self, proposal_id: ProposalId, expires: int, now: int, pause_ns: int, *, is_entry: bool) -> None:
        """An exit also delays the next entry; an entry never delays an exit."""
        self.proposal_id, self._proposal_over_ns = proposal_id, expires + SECOND_NS
        self.entry_allowed_ns = now + pause_ns
        self.reassess_until_ns = 0
        if not is_entry:
            self.exit_allowed_ns = now + pause_ns

    def on_proposal_over(self, proposal_id: ProposalId) -> None:
        if proposal_id == self.proposal_id:
            self.proposal_id = ProposalId("")

    def on_order_begun(self, order: SubmitOrder, now: int) -> None:
        self.on_proposal_over(order.proposal_id)
        if order.side == "buy":
            self._entries[order.client_order_id] = now
        elif order.origin == "council":
            self._exits[order.client_order_id] = order.expire_at and order.expire_at + _GRACE_NS

    def on_reassessment(self, until_ns: int) -> None:
        """The working entry may be decided on once more, until then; the pause is over for that."""
        self.reassess_until_ns = until_ns
        self.entry_allowed_ns = 0

    def on_order_over(self, client_order_id: ClientOrderId) -> None:
        self._exits.pop(client_order_id, None)
        if self._entries.pop(client_order_id, None) is not None and not self._entries:
            self._entry_in_snapshot = False

    def on_bought(self, cumulative: Decimal, now: int) -> None:
        """A fill is news of a position before the ledger's own word: it overtakes everything on the bus."""
        self.on_position(max(self.held, cumulative), now)

    def on_position(self, quantity: Decimal, now: int, opened_ns: int = 0) -> None:
        """The position as the ledger has it now; `opened_ns` as in `PositionView`, 0 where the news does not say."""
        if now < self._position_known_ns:
            return
        if quantity <= ZERO:
            self._exits.clear()
        if quantity != self.held:  # a price that makes little of it worth too little, or again enough, is no news
            was_held, self.held = self.is_held, quantity
            if not self.is_held:
                self.held_since_ns = 0
            elif not was_held:
                # A round trip that is older than "nothing is held" goes on from a remainder: what counts began now.
                self.held_since_ns = opened_ns if opened_ns > self._position_known_ns else now
        if self.is_held and not self.held_since_ns:  # it was worth too little when it was first heard of
            self.held_since_ns = opened_ns or now
        self._position_known_ns = now

    def on_snapshot(self, held: Decimal, mark: Decimal, has_entry: bool, now: int, opened_ns: int = 0) -> None:
        """Heal: the snapshot is right about everything that happened before it."""
        if mark > ZERO:
            self.last_price = mark
        self.on_position(held, now, opened_ns)
        self._entries = {order: begun for order, begun in self._entries.items() if has_entry or begun > now}
        self._entry_in_snapshot = has_entry
