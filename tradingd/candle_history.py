"""Closed candles on their way into the history: only those whose every trade was heard.

A candle that was open while the line was down, silent for too long or had a gap in its trade ids would look like any
other and be wrong for ever; left out it is a gap, which `tradelab data backfill` mends. That a line is dead is noticed
some seconds late: a candle counts as heard when something of the market has come after its end.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from exchanges.binance.market_state import FeedCounters
from market.interval import interval_ns
from market.ticks import Candle
from store.candle_writer import CandleWriter
from tradingd.feed_driver import FeedDriver
from tradingd.health import Health

MOST_UNPROVEN: Final = 10_000


class CandleHistory:
    """`keep` is told each closed candle; `on_up` that the feed is there (again), `on_second` to write."""

    def __init__(
        self, writer: CandleWriter, driver: FeedDriver, counters: Callable[[], FeedCounters], health: Health,
        stale_after_ns: int,
    ) -> None:
        self._writer = writer
        self._driver = driver
        self._counters = counters
        self._health = health
        self._stale_after_ns = stale_after_ns
        self._trade_gaps = 0
        self._whole_from_ns: int | None = None
        self._unproven: deque[Candle] = deque()
        self.left_out = 0

    def on_up(self, now: int) -> None:
        """From here on every trade is heard: candles that opened earlier lack some."""
        self._whole_from_ns = now
        self._drop()

    def keep(self, candle: Candle) -> None:
        """A closed candle, if it is whole."""
        self._look_for_gaps(candle.ts_init)
        driver, whole_from = self._driver, self._whole_from_ns
        is_whole = (
            whole_from is not None and candle.ts_open >= whole_from and driver.state == "connected"
            and candle.ts_init - driver.last_ns <= self._stale_after_ns
        )
        if is_whole and len(self._unproven) < MOST_UNPROVEN:
            self._unproven.append(candle)
            self._add_proven()
        else:
            self.left_out += 1

    def on_second(self, now: int) -> None:
        """Write what has closed; a disk that refuses is shown, and trading goes on."""
        self._look_for_gaps(now)
        self._add_proven()
        self._writer.flush()
        if self._writer.problem:
            self._health.raise_condition("history", self._writer.problem, reduces=False)
        else:
            self._health.clear("history")

    def close(self) -> None:
        """Write the rest."""
        self._add_proven()
        self._writer.close()

    def _add_proven(self) -> None:
        """Those after whose end the market was heard, on the same line."""
        driver = self._driver
        if driver.state == "lost":
            return
        while self._unproven and (driver.state == "ended" or _end_ns(self._unproven[0]) <= driver.market_ns):
            self._writer.add(self._unproven.popleft())

    def _drop(self) -> None:
        self.left_out += len(self._unproven)
        self._unproven.clear()

    def _look_for_gaps(self, now: int) -> None:
        gaps = self._counters().trade_gaps
        if gaps != self._trade_gaps:
            self._trade_gaps = gaps
            self._drop()
            if self._whole_from_ns is not None:
                self._whole_from_ns = now


def _end_ns(candle: Candle) -> int:
    return candle.ts_open + interval_ns(candle.interval)
