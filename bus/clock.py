"""Clocks. Only feeds, buses and the runtime hold one; everyone else is told the time by messages."""

import time
from typing import Protocol


class Clock(Protocol):
    """UTC nanoseconds."""

    def now(self) -> int: ...


class LiveClock:
    """The machine's clock, kept from stepping back."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = 0

    def now(self) -> int:
        now = time.time_ns()
        if now > self._last:
            self._last = now
        return self._last


class FeedClock:
    """A replay's clock: stands still until the feed moves it, and never goes back."""

    __slots__ = ("_now",)

    def __init__(self, start: int = 0) -> None:
        self._now = start

    def now(self) -> int:
        return self._now

    def advance(self, ts: int) -> None:
        if ts > self._now:
            self._now = ts
