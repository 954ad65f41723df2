"""Where candles are expected: every interval, or on weekdays only for daily candles of a market that rests at weekends.

Places on the grid are numbers: two candles follow each other when theirs differ by one.
"""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from market.interval import interval_ns
from store.exact_column import Int64Array

DAY_NS: Final = 86_400_000_000_000
_LEAST_DAYS: Final = 10


@dataclass(frozen=True, slots=True)
class CandleGrid:
    """`step_ns` apart; with `rests_at_weekends` Saturdays and Sundays do not count."""

    step_ns: int
    rests_at_weekends: bool = False

    @classmethod
    def of(cls, interval: str, ts_ns: Int64Array) -> Self:
        """The grid these candles lie on: daily ones without any Saturday or Sunday are those of weekdays."""
        step = interval_ns(interval)
        if step != DAY_NS or len(ts_ns) < _LEAST_DAYS:
            return cls(step)
        weekdays = (ts_ns // DAY_NS + 3) % 7  # 1970-01-01 was a Thursday; Monday is 0
        return cls(step, bool((weekdays < 5).all()))

    def places(self, ts_ns: Int64Array) -> Int64Array:
        """The number of each open time on the grid."""
        if not self.rests_at_weekends:
            return ts_ns // self.step_ns
        days = (ts_ns // DAY_NS).astype("datetime64[D]")
        return np.asarray(np.busday_count(np.datetime64("1970-01-01"), days), np.int64)

    def times(self, places: Int64Array) -> Int64Array:
        """The open times of places."""
        if not self.rests_at_weekends:
            return places * self.step_ns
        days = np.busday_offset(np.datetime64("1970-01-01"), places, roll="forward")
        return days.astype(np.int64) * DAY_NS


@dataclass(frozen=True, slots=True)
class Gap:
    """`candles` are missing from `start_ns` (their first open time) to `end_ns` (the open time that is there again).

    `is_short`: few enough to be interpolated; otherwise the stretch is missing. `is_confirmed`: the source was asked
    and has none.
    """

    start_ns: int
    end_ns: int
    candles: int
    is_short: bool
    is_confirmed: bool = False


def find_gaps(grid: CandleGrid, ts_ns: Int64Array, longest_short: int) -> list[Gap]:
    """Between the first and the last of ascending open times."""
    places = grid.places(ts_ns)
    missing = np.diff(places) - 1
    before = np.flatnonzero(missing > 0)
    starts = grid.times(places[before] + 1)
    return [
        Gap(start, end, count, count <= longest_short)
        for start, end, count in zip(
            starts.tolist(), ts_ns[before + 1].tolist(), missing[before].tolist(), strict=True
        )
    ]
