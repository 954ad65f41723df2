"""Which bus the council talks over, from the settings."""

from collections.abc import Callable

from bus.bus import Bus
from bus.clock import Clock
from bus.ids import SessionId
from bus.memory_bus import MemoryBus
from bus.messages.header import MessageMaker
from tradingd.settings import Settings


def make_bus(settings: Settings, session: SessionId, clock: Clock, on_connection: Callable[[bool], None]) -> Bus:
    """Not connected yet. `on_connection` hears when the connection is lost and when it is back."""
    maker = MessageMaker("bus", session)
    if settings.bus.url == "memory://":
        return MemoryBus(maker, settings.bus.queue_size)
    from bus.redis_bus import RedisBus  # only those who use Redis pay for its library

    return RedisBus(
        settings.bus.url, settings.bus.namespace, session, maker, clock, settings.bus.queue_size, on_connection,
    )
