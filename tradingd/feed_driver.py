"""From the feed to the runtime: market items as they come, session time, the once-a-second timer.

Live, time is the machine's and a task fires the timer. In a replay, time is the feed's: each `FeedTime`
moves the clock, and every second it passes is fired on the way, so that the same frames give the same
inputs at any speed.
"""

import asyncio
import math
import time
from collections.abc import Callable
from typing import Final

from bus.clock import FeedClock
from bus.messages.system import FeedConnected, FeedLost
from exchanges.venue import FeedDown, FeedEnded, FeedItem, FeedTime, FeedUp
from market.interval import SECOND_NS
from market.ticks import FeedAlive
from tradingd.partial_candles import PartialCandles
from tradingd.runtime import Runtime

_LONG_GAP_SECONDS: Final = 60
BEAT_S: Final = 0.25
"""Between looks of the first moments: a fill that was found by asking is protected within this."""
LAG_LIMIT_S: Final = 1.0
"""A timer so late means that the loop was blocked, or the process had no time."""
STEADY_SECONDS: Final = 2
"""So many timers must come on time before that is over: what waited meanwhile comes at once and is old."""
_LAG_LIMIT_NS: Final = round(LAG_LIMIT_S * SECOND_NS)
_CLOCK_SET_NS: Final = SECOND_NS // 4
"""So much more passed by our clock than by the one that nobody sets: it was set forward."""
_OF_THE_FEED: Final[frozenset[type]] = frozenset({FeedTime, FeedUp, FeedDown, FeedEnded})


class FeedDriver:
    """`sink` is what the feed is given; `run_timer` is the live timer's task."""

    def __init__(
        self, runtime: Runtime, *, on_second: Callable[[], None], on_end: Callable[[], None],
        replay_clock: FeedClock | None, silence_is_normal: bool = False,
        on_up: Callable[[], None] = lambda: None, for_ns: int = 0, on_full: Callable[[], None] = lambda: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`silence_is_normal`: the replay is made of candles, whose few ticks say nothing about a live line.

        `for_ns`: a replay ends so long after its first feed time, to the nanosecond: `on_full` is called, and what
        the feed still gives is not taken. `monotonic`: seconds, by which the timer's lateness is told.
        """
        self._for_ns = for_ns if replay_clock is not None else 0
        self._on_full = on_full
        self._end_ns = 0
        self._is_full = False
        self.before_item: Callable[[int], None] | None = None
        """Called before each item with the number of those taken so far (a cut replay's commands)."""
        self.partial_candles: PartialCandles | None = None
        """Told when the feed comes and goes; None in a replay, which hears all that there is."""
        self._silence_is_normal = silence_is_normal
        self._runtime = runtime
        self._on_second = on_second
        self._on_end = on_end
        self._on_up = on_up
        self._clock = replay_clock
        self._next_second = 0
        self.state = "connecting"
        self.detail = ""
        self.items = 0
        self.reconnects = -1
        self.first_ns = 0
        self.last_ns = 0
        self.market_ns = 0
        """When the last of the market itself came: that a line lives says nothing of what was traded."""
        self.loop_lag_s = 0.0
        self._monotonic = monotonic
        self._timer_due = math.inf
        self._clocks: tuple[int, float] | None = None  # at the last look: ours, and the one that nobody sets
        self._seconds_on_time = STEADY_SECONDS

    def sink(self, item: FeedItem) -> None:
        """One item of the feed, in order; all that follows from it is done on return: that is the back-pressure."""
        if self.before_item is not None:
            self.before_item(self.items)
        if self._end_ns and item.ts_init > self._end_ns:
            self._fill_up()
            return
        self.items += 1
        if type(item) not in _OF_THE_FEED:
            ts_init = item.ts_init
            if ts_init - self.last_ns > _LAG_LIMIT_NS:
                self._look_for_lag()
                self._look_at_clock()
            self.last_ns = ts_init
            if type(item) is not FeedAlive:
                self.market_ns = ts_init
            self._runtime.take(item)  # type: ignore[arg-type]
            return
        match item:
            case FeedTime():
                self._advance(item.ts_init)
            case FeedUp():
                self._up(item)
            case FeedDown():
                self._down(item)
            case FeedEnded():
                self._advance(item.ts_init)
                self.state = "ended"
                self._on_end()

    def _look_for_lag(self) -> None:
        """Nothing came for long. Was it the loop that stood still?

        Then what comes now has waited, and no entry may rest on it: its price is of then, though received now.
        """
        late_s = self._monotonic() - self._timer_due
        if late_s > LAG_LIMIT_S:
            self._note_lag(late_s)
            self._runtime.vote_health()

    def _look_at_clock(self) -> None:
        """Was our clock set forward? Then what is open is no more over than before, though our time says so."""
        if self._clock is not None:
            return
        now, at = self._runtime.clock.now(), self._monotonic()
        before, self._clocks = self._clocks, (now, at)
        if before is not None and self.partial_candles is not None:
            since = before[0] + round((at - before[1]) * SECOND_NS)
            if now - since > _CLOCK_SET_NS:
                self.partial_candles.on_clock_set(since, now)

    def _note_lag(self, late_s: float) -> None:
        self.loop_lag_s = late_s
        self._seconds_on_time = 0
        self._runtime.health.raise_condition("lag", f"the event loop was {late_s:.1f} s late")

    def _up(self, item: FeedUp) -> None:
        self.state = "connected"
        self.detail = ""
        self.reconnects += 1
        self.last_ns = item.ts_init
        if not self.first_ns:
            self.first_ns = self._runtime.clock.now()
            self._end_ns = self.first_ns + self._for_ns if self._for_ns else 0
        self._runtime.health.clear("feed")
        self._runtime.health.clear("stale")
        self._runtime.record("feed", FeedConnected(item.feed))
        self._runtime.vote_health()
        if self.partial_candles is not None:
            self.partial_candles.on_up(item.ts_init)
        self._on_up()

    def _fill_up(self) -> None:
        if not self._is_full:
            self._is_full = True
            self._advance(self._end_ns)
            self._on_full()

    def _down(self, item: FeedDown) -> None:
        self.state = "lost"
        self.detail = item.reason
        self._runtime.health.raise_condition("feed", f"market data of {item.feed} is cut off: {item.reason}")
        self._runtime.record("feed", FeedLost(item.feed, item.reason))
        self._runtime.on_line_lost()
        self._runtime.vote_health()
        if self.partial_candles is not None:
            self.partial_candles.on_down(self.market_ns)

    def _advance(self, ts: int) -> None:
        clock = self._clock
        if clock is None:
            return
        if not self._next_second:
            self._next_second = ts - ts % SECOND_NS + SECOND_NS
            clock.advance(ts)
            self.last_ns = ts
            return
        while self._next_second <= ts:
            clock.advance(self._next_second)
            if self._silence_is_normal:
                self.last_ns = self._next_second
                self._runtime.take(FeedAlive(self._next_second))
            self._on_second()
            self._runtime.tick()
            # Over a long silence of the recording some seconds, ever closer to its end, say as much as all.
            missing = (ts - self._next_second) // SECOND_NS
            self._next_second += SECOND_NS * max(1, missing // _LONG_GAP_SECONDS)
        clock.advance(ts)
        self._runtime.advance_venue(ts)
        self.last_ns = ts

    async def run_first_beats(self) -> None:
        """Live, until the timer takes over: the engine's own second, often, while the rest of the process starts."""
        while self._timer_due == math.inf:
            self._runtime.beat()
            await asyncio.sleep(BEAT_S)

    async def run_timer(self) -> None:
        """Live: fire the timer once a second and notice when the loop is late."""
        self.expect_second()
        while True:
            await asyncio.sleep(max(0.0, self._timer_due - self._monotonic()))
            self.second()

    def expect_second(self) -> None:
        """The first timer is due a second from now."""
        self._timer_due = self._monotonic() + 1.0

    def second(self) -> None:
        """The timer has come, on time or late."""
        self._look_at_clock()
        late_s = max(0.0, self._monotonic() - self._timer_due)
        if late_s > LAG_LIMIT_S:
            self._note_lag(late_s)
            self.expect_second()
        else:
            self.loop_lag_s = late_s
            self._timer_due += 1.0
            if self._seconds_on_time < STEADY_SECONDS:
                self._seconds_on_time += 1
            else:
                self._runtime.health.clear("lag")
        self._on_second()
        self._runtime.tick()

    async def run_venue_clock(self, period_s: float) -> None:
        """Live paper: let due answers of the simulated venue arrive even when the market is quiet."""
        while True:
            await asyncio.sleep(period_s)
            self._runtime.advance_venue(self._runtime.clock.now())
