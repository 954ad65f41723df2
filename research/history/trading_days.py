"""On which days a market was closed, learned from the daily candles of all that is traded on it.

Weekends are known from a series itself (`store.candle_grid`). A weekday on which none of at least `LEAST` series has a
candle, each of which has candles before and after it, was a holiday.
"""

from collections.abc import Iterable
from typing import Final

import numpy as np

from store.candle_grid import DAY_NS, CandleGrid, Gap
from store.candles import CandleStore
from store.exact_column import Int64Array

LEAST: Final = 3
"""Series that must agree: a hole in the data of one or two is more likely a hole."""


def holidays(store: CandleStore) -> frozenset[int]:
    """Days since 1970-01-01 on which the venue's market was closed, weekends apart."""
    times = (store.open_times(symbol, interval) for symbol, interval in store.series() if interval == "1d")
    return shared_closures(each // DAY_NS for each in times if CandleGrid.of("1d", each).rests_at_weekends)


def shared_closures(series: Iterable[Int64Array]) -> frozenset[int]:
    """Weekdays that nobody traded on; `series` of ascending day numbers."""
    days = [each for each in series if len(each)]
    if len(days) < LEAST:
        return frozenset()
    first, last = min(int(each[0]) for each in days), max(int(each[-1]) for each in days)
    edges, there = np.zeros(last - first + 2, np.int64), np.zeros(last - first + 1, np.int64)
    for each in days:
        edges[each[0] - first] += 1
        edges[each[-1] - first + 1] -= 1
        there[each - first] += 1
    numbers = np.arange(first, last + 1)
    is_weekday = (numbers + 3) % 7 < 5  # 1970-01-01 was a Thursday
    return frozenset(numbers[is_weekday & (there == 0) & (np.cumsum(edges)[:-1] >= LEAST)].tolist())


def without_holidays(gaps: Iterable[Gap], closed: frozenset[int]) -> tuple[tuple[Gap, ...], int]:
    """The gaps of a daily series in which the market was open, and how many days the others are."""
    kept, days = [], 0
    for gap in gaps:
        missing = [day for day in range(gap.start_ns // DAY_NS, gap.end_ns // DAY_NS) if (day + 3) % 7 < 5]
        if closed.issuperset(missing):
            days += len(missing)
        else:
            kept.append(gap)
    return tuple(kept), days
