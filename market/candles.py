"""Trades folded into closed candles of several intervals at once.

A trade costs one comparison with the end of the current *segment*, the stretch of time in which none of
the intervals turns over; only at a segment's end are the intervals themselves touched. So the price of a
tick does not grow with the number of intervals.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from market.interval import MINUTE_NS, SECOND_NS, interval_ns, open_time
from market.money import ZERO
from market.ticks import Candle

ASKED_FOR_FROM_NS: Final = MINUTE_NS
"""A candle so long of which only a part was heard is not told: the venue is asked for it before the next one closes."""

_LATE_NS: Final = 10 * SECOND_NS
"""A candle that ended so long ago is closed by a clock that was set forward, and not by a timer that was late."""


class _Bucket:
    """What one interval has gathered since its last close; `trades` 0 means nothing."""

    __slots__ = (
        "bought", "close", "end", "floor", "high", "interval", "length", "low", "open", "trades", "ts_open", "volume",
    )

    def __init__(self, interval: str) -> None:
        self.interval = interval
        self.length = interval_ns(interval)
        self.ts_open = self.end = self.floor = 0
        self.open = self.high = self.low = self.close = self.volume = self.bought = ZERO
        self.trades = 0


class CandleBuilder:
    """Candles of one symbol. A trade belongs to the bucket of its `ts_event` (the venue's time).

    A bucket closes when a later trade arrives, or by `on_time` a grace after its end. A trade that comes
    after its bucket was closed counts in the bucket that is open now: a closed candle never changes, and none is told
    twice, however far our clock is ahead of the venue's (then what is told is late by that). A stretch without trades
    yields no candle. A candle that opened before `whole_from` (UTC ns) lacks trades that were not heard: it is marked
    `is_warmup`.
    """

    __slots__ = (
        "_bought", "_buckets", "_close", "_end", "_floor", "_high", "_low", "_open", "_start", "_trades", "_volume",
        "symbol", "whole_from",
    )

    def __init__(self, symbol: str, intervals: Sequence[str]) -> None:
        """Raises `market.interval.IntervalError` for a name that is no interval."""
        self.symbol = symbol
        self.whole_from = 0
        self._buckets = sorted((_Bucket(name) for name in dict.fromkeys(intervals)), key=lambda bucket: bucket.length)
        self._start = self._end = self._floor = 0
        self._open = self._high = self._low = self._close = self._volume = self._bought = ZERO
        self._trades = 0

    def on_trade(
        self, price: Decimal, quantity: Decimal, ts_event: int, ts_init: int, aggressor: str,
    ) -> Sequence[Candle]:
        """Count one trade; returns the candles it closed, shortest interval first (almost always none)."""
        if ts_event < self._end:
            if price > self._high:
                self._high = price
            elif price < self._low:
                self._low = price
            self._close = price
            self._volume += quantity
            if aggressor == "buy":
                self._bought += quantity
            self._trades += 1
            return ()
        return self._turn_over(price, quantity, ts_event, ts_init, aggressor)

    def on_time(self, now: int, grace_ns: int) -> Sequence[Candle]:
        """Close every bucket that ended at least `grace_ns` before `now`."""
        deadline = now - grace_ns
        if self._trades and self._end <= deadline:
            self._floor = self._end
            self._end_segment()
        return self._close_buckets(deadline, now, is_by_clock=True)

    def _turn_over(
        self, price: Decimal, quantity: Decimal, ts_event: int, ts_init: int, aggressor: str,
    ) -> Sequence[Candle]:
        ts_event = max(ts_event, self._floor)
        if self._trades:
            self._end_segment()
        closed = self._close_buckets(ts_event, ts_init)
        self._start = ts_event
        self._end = min((open_time(ts_event, each.length) + each.length for each in self._buckets), default=0)
        self._open = self._high = self._low = self._close = price
        self._volume = quantity
        self._bought = quantity if aggressor == "buy" else ZERO
        self._trades = 1
        return closed

    def _end_segment(self) -> None:
        for bucket in self._buckets:
            if not bucket.trades:
                bucket.ts_open = open_time(max(self._start, bucket.floor), bucket.length)
                bucket.end = bucket.ts_open + bucket.length
                bucket.open, bucket.high, bucket.low = self._open, self._high, self._low
                bucket.volume = bucket.bought = ZERO
            bucket.high = max(bucket.high, self._high)
            bucket.low = min(bucket.low, self._low)
            bucket.close = self._close
            bucket.volume += self._volume
            bucket.bought += self._bought
            bucket.trades += self._trades
        self._trades = 0
        self._end = 0

    def _close_buckets(self, deadline: int, ts_init: int, *, is_by_clock: bool = False) -> Sequence[Candle]:
        if self._trades:
            return ()
        closed = []
        for bucket in self._buckets:
            if bucket.trades and bucket.end <= deadline:
                closed.append(Candle(
                    self.symbol, bucket.interval, bucket.ts_open, bucket.open, bucket.high, bucket.low, bucket.close,
                    bucket.volume, bucket.trades, ts_init, is_warmup=bucket.ts_open < self.whole_from,
                    taker_buy_volume=bucket.bought,
                ))
                bucket.trades = 0
                if is_by_clock:
                    bucket.floor = max(bucket.end, deadline - _LATE_NS)
        return closed
