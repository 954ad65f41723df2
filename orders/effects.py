"""What the engine wants done: it never does it itself.

`engine.process(input)` returns a list of `Message` (facts: journal them, then publish) and of the venue
calls below. The runtime journals every fact of the list, flushes if the list holds a venue call, and
only then performs the calls, in order.
"""

from dataclasses import dataclass

from bus.ids import ClientOrderId, VenueOrderId
from bus.messages.header import Message
from market.record import fast_init
from risk.approved import Approved


@fast_init
@dataclass(frozen=True, slots=True)
class SubmitToVenue:
    """Send this approved order."""

    approved: Approved


@fast_init
@dataclass(frozen=True, slots=True)
class CancelAtVenue:
    """Ask the venue to end this order."""

    client_order_id: ClientOrderId
    venue_order_id: VenueOrderId
    symbol: str


@fast_init
@dataclass(frozen=True, slots=True)
class QueryVenue:
    """Ask the venue what became of this order (it answers with execution reports or "not_found")."""

    client_order_id: ClientOrderId
    symbol: str


@fast_init
@dataclass(frozen=True, slots=True)
class Answer:
    """Publish this fact again, without journalling it: a command that was already obeyed was repeated."""

    message: Message


Effect = Message | SubmitToVenue | CancelAtVenue | QueryVenue | Answer
