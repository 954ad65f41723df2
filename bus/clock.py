"""Clocks. Only feeds, buses and the runtime hold one; everyone else is told the time by messages."""

import time
from typing import Protocol


class Clock(Protocol):
    """UTC nanoseconds."""

    def now(self) -> int: ...


class LiveClock:
    """The machine's clock, kept from stepping back and from standing still.

    Where the machine's clock was set back, or is behind `not_before` (what a journal says already, UTC ns), time goes
    on from there at three quarters of its pace until the machine's clock is there again: nothing that waits for its
    time may wait for that.
    """

    __slots__ = ("_last", "_told", "_told_at")

    def __init__(self, not_before: int = 0) -> None:
        self._last = not_before
        self._told = not_before
        self._told_at = time.monotonic_ns()

    def now(self) -> int:
        now = time.time_ns()
        if now > self._last:
            self._last = now
            return now
        return self._go_on()

    def _go_on(self) -> int:
        at = time.monotonic_ns()
        if self._last == self._told:
            self._last += (at - self._told_at) * 3 // 4
        self._told, self._told_at = self._last, at
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
