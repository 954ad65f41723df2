"""Virtual time: what is due when, in a fixed order. Nothing here sleeps."""

import heapq
from collections.abc import Callable

from bus.clock import FeedClock

SECOND = 1_000_000_000
MILLISECOND = 1_000_000


class Schedule:
    """A heap of things to do; equal times are done in the order in which they were asked for."""

    def __init__(self, begin_ns: int) -> None:
        self.clock = FeedClock(begin_ns)
        self.begin_ns = begin_ns
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self._jumps: list[tuple[float, float]] = []

    @property
    def now(self) -> int:
        return self.clock.now()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the beginning."""
        return (self.clock.now() - self.begin_ns) / SECOND

    @property
    def lived_s(self) -> float:
        """The same without those that the clock jumped over: nobody could do anything in them."""
        return self.elapsed_s - sum(end - begin for begin, end in self._jumps)

    def ago(self, seconds: float) -> float:
        """The moment so many seconds ago, in seconds since the beginning, without those that were jumped over."""
        moment = self.elapsed_s - seconds
        for begin, end in reversed(self._jumps):
            if moment >= end:
                break
            moment -= end - begin
        return moment

    def jump(self, seconds: float) -> None:
        """The clock is set forward: what was due meanwhile is late."""
        before = self.elapsed_s
        self.clock.advance(self.now + int(seconds * SECOND))
        self._jumps.append((before, self.elapsed_s))

    def jumped_since(self, moment: float) -> float:
        """Seconds that were jumped over after this moment (seconds since the beginning)."""
        return sum(max(end - max(begin, moment), 0.0) for begin, end in self._jumps)

    def at(self, ts: int, action: Callable[[], None]) -> None:
        """Do it at this time (UTC ns), or as soon as possible when it has passed."""
        self._count += 1
        heapq.heappush(self._due, (max(ts, self.now), self._count, action))

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        self.at(self.now + int(seconds * SECOND), action)

    def run_until(self, end_ns: int) -> None:
        """Do all that is due until then."""
        while self._due and self._due[0][0] <= end_ns:
            ts, _, action = heapq.heappop(self._due)
            self.clock.advance(ts)
            action()
        self.clock.advance(end_ns)
