"""The Bus: what both carriers (memory, Redis) promise.

At most once, in order per source, to every subscriber whose types match and whom `target` allows.
Expired messages are not delivered. What a carrier loses it says: `BusGap`.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from bus.messages.header import Message

Handler = Callable[[Message], None]


class Bus(Protocol):
    """Carrier of the council and of the audience. Publishing never blocks and never raises on a lost link."""

    def subscribe(self, name: str, types: frozenset[type], handler: Handler) -> None:
        """Deliver messages of these body types to `handler`; one bounded queue per `name`.

        A message with a `target` goes only to the subscriber of that name. Call before `start`.
        """
        ...

    def publish(self, message: Message) -> None:
        """Hand over for delivery. Kill and control overtake data in each queue."""
        ...

    @property
    def waiting(self) -> Sequence[object]:
        """What `pump` would deliver, in no order; empty for ever in a carrier with its own tasks."""
        ...

    def pump(self, now: int) -> int:
        """Deliver what is waiting, until quiet; returns how many. A carrier with its own tasks returns 0."""
        ...

    @property
    def is_connected(self) -> bool:
        """False while the carrier is cut off (entries stop)."""
        ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...
