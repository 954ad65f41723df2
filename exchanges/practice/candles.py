"""Candles of one synthetic pair: five stored lengths, any other length composed of them.

Prices in ticks, volumes in lots, so sums are exact. Times are UTC milliseconds of the candle's opening.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

TIERS_MS: Final = (1_000, 60_000, 900_000, 14_400_000, 86_400_000)
KEPT: Final = (5_400, 5_400, 4_100, 3_100, 1_010)
"""How many candles of each stored length are kept."""


@dataclass(slots=True)
class Bar:
    """`turnover` is ticks times lots; `buy_*` is what takers bought; `first_id` 0 = no trade known."""

    open_ms: int
    open: int
    high: int
    low: int
    close: int
    lots: int = 0
    turnover: int = 0
    trades: int = 0
    buy_lots: int = 0
    buy_turnover: int = 0
    first_id: int = 0
    last_id: int = 0

    def add(self, price: int, lots: int, trade_id: int, is_buy: bool) -> None:
        """One trade."""
        if self.trades == 0:
            self.open = self.high = self.low = price
            self.first_id = trade_id
        self.high = max(self.high, price)
        self.low = min(self.low, price)
        self.close = price
        self.lots += lots
        self.turnover += price * lots
        self.trades += 1
        self.last_id = trade_id
        if is_buy:
            self.buy_lots += lots
            self.buy_turnover += price * lots

    def to_list(self) -> list[int]:
        """For the state files."""
        return [self.open_ms, self.open, self.high, self.low, self.close, self.lots, self.turnover, self.trades,
                self.buy_lots, self.buy_turnover, self.first_id, self.last_id]


def compose(parts: Iterable[Bar], length_ms: int) -> Iterator[Bar]:
    """Ascending bars -> ascending bars of `length_ms`, aligned to the epoch."""
    current: Bar | None = None
    for part in parts:
        opened = part.open_ms - part.open_ms % length_ms
        if current is None or current.open_ms != opened:
            if current is not None:
                yield current
            current = Bar(opened, *part.to_list()[1:])
        else:
            absorb(current, part)
    if current is not None:
        yield current


def absorb(bar: Bar, later: Bar) -> None:
    """Extend `bar` by one that follows it."""
    bar.high = max(bar.high, later.high)
    bar.low = min(bar.low, later.low)
    bar.close = later.close
    bar.lots += later.lots
    bar.turnover += later.turnover
    bar.trades += later.trades
    bar.buy_lots += later.buy_lots
    bar.buy_turnover += later.buy_turnover
    bar.first_id = bar.first_id or later.first_id
    bar.last_id = later.last_id or bar.last_id


class CandleStore:
    """Closed bars per stored length, and the forming one of each."""

    __slots__ = ("closed", "forming")

    def __init__(self) -> None:
        self.closed: list[deque[Bar]] = [deque(maxlen=kept) for kept in KEPT]
        self.forming: list[Bar | None] = [None] * len(TIERS_MS)

    def load(self, tier: int, bars: Sequence[Bar]) -> None:
        """Put older closed bars in front, unless that left a hole: a stored length is without gaps."""
        have, forming = self.closed[tier], self.forming[tier]
        following = have[0] if have else forming
        older = [bar for bar in bars if following is None or bar.open_ms < following.open_ms]
        if following is None or not older or older[-1].open_ms + TIERS_MS[tier] == following.open_ms:
            self.closed[tier] = deque([*older, *have], maxlen=KEPT[tier])

    def resume(self, tier: int, bars: Sequence[Bar]) -> None:
        """Go on after a pause with `bars`, the last of them forming; what is then out of reach is dropped."""
        old, kept = self.forming[tier], self.closed[tier]
        if old is not None and bars[0].open_ms == old.open_ms:
            absorb(old, bars[0])
            bars = [old, *bars[1:]]
        elif old is not None:
            kept.append(old)
        if kept and kept[-1].open_ms + TIERS_MS[tier] < bars[0].open_ms:
            kept.clear()
        kept.extend(bars[:-1])
        self.forming[tier] = bars[-1]

    def trade(self, price: int, lots: int, trade_id: int, is_buy: bool) -> None:
        """Into the forming bars; `roll` has been called for this instant."""
        for bar in self.forming:
            if bar is not None:
                bar.add(price, lots, trade_id, is_buy)

    def roll(self, now_ms: int, last_price: int) -> list[tuple[int, Bar]]:
        """Close what ended at or before `now_ms`, open what begins; returns (tier, closed bar)."""
        closed: list[tuple[int, Bar]] = []
        for tier, length in enumerate(TIERS_MS):
            opened = now_ms - now_ms % length
            bar = self.forming[tier]
            if bar is not None and bar.open_ms < opened:
                self.closed[tier].append(bar)
                closed.append((tier, bar))
            if bar is None or bar.open_ms < opened:
                self.forming[tier] = Bar(opened, last_price, last_price, last_price, last_price)
        return closed

    def bars(self, length_ms: int, limit: int, start_ms: int | None, end_ms: int | None) -> list[Bar]:
        """Bars of any length, ascending, the forming one last.

        With `start_ms` the first `limit` bars that open at or after it, else the last `limit`; `end_ms` is the
        latest opening. Each stretch of time comes from the finest stored length that still covers it.
        """
        newest = self.forming[0]
        if newest is None:
            return []
        last_ms = newest.open_ms if end_ms is None else min(end_ms, newest.open_ms)
        first_ms = last_ms - last_ms % length_ms - (limit - 1) * length_ms if start_ms is None else start_ms
        opened = -(-first_ms // length_ms) * length_ms
        out = [bar for bar in compose(self._parts(opened, length_ms), length_ms) if bar.open_ms <= last_ms]
        return out[-limit:] if start_ms is None else out[:limit]

    def _parts(self, since_ms: int, length_ms: int) -> Iterator[Bar]:
        usable = [tier for tier, stored in enumerate(TIERS_MS) if length_ms % stored == 0]
        starts = {tier: self._covered_from(tier) for tier in usable}
        # From the coarsest to the finest: each gives what lies before the next finer one begins.
        for tier in reversed(usable):
            until = starts.get(tier - 1)
            if until is not None:
                coarse = TIERS_MS[tier]
                until = -(-until // coarse) * coarse
            yield from self._slice(tier, since_ms, until)
        finest = self.forming[usable[0]] if usable else None
        if finest is not None and finest.open_ms >= since_ms:
            yield finest

    def _covered_from(self, tier: int) -> int | None:
        have = self.closed[tier]
        if have:
            return have[0].open_ms
        bar = self.forming[tier]
        return bar.open_ms if bar is not None else None

    def _slice(self, tier: int, since_ms: int, until_ms: int | None) -> Iterator[Bar]:
        have = self.closed[tier]
        if not have:
            return
        bars = list(have)
        first = bisect_left(bars, since_ms, key=lambda bar: bar.open_ms)
        last = len(bars) if until_ms is None else bisect_left(bars, until_ms, key=lambda bar: bar.open_ms)
        yield from bars[first:last]


def is_seamless(bars: Sequence[Bar], length_ms: int) -> bool:
    """No missing and no doubled bar."""
    return all(after.open_ms - before.open_ms == length_ms for before, after in pairwise(bars))
