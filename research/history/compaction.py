"""Old minutes made into hours, when asked: the hours are written first, then the minutes go."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from market.interval import interval_ns
from research.history.aggregation import aggregate
from store.candles import CandleStore
from store.exact_column import Int64Array

DEFAULT_DAYS: Final = 90
TARGET: Final = "1h"
_DAY_NS: Final = 86_400_000_000_000


@dataclass(frozen=True, slots=True)
class Compaction:
    """What became of one series: hours that are new, short candles that went, bytes before and after."""

    symbol: str
    interval: str
    hours: int
    removed: int
    bytes_before: int
    bytes_after: int


def compactable(store: CandleStore, symbol: str = "") -> list[tuple[str, str]]:
    """The series shorter than an hour, of one symbol or of all."""
    hour = interval_ns(TARGET)
    return [
        (name, interval) for name, interval in store.series()
        if interval_ns(interval) < hour and (not symbol or name == symbol)
    ]


def compact(store: CandleStore, symbol: str, interval: str, now_ns: int, days: int = DEFAULT_DAYS) -> Compaction:
    """Candles that opened more than `days` whole days before `now_ns` become hours. May be killed and given again."""
    before = store.coverage(symbol, interval)
    boundary = (now_ns // _DAY_NS - days) * _DAY_NS
    old = store.read(symbol, interval, None, boundary)
    if not len(old):
        return Compaction(symbol, interval, 0, 0, before.size_bytes, before.size_bytes)
    # Every candle counts, however many of its hour are missing: what goes must be found in what stays.
    hours = aggregate(old, interval, TARGET, least_share=0.0)
    hours = hours.take(~_is_better_elsewhere(store, symbol, interval, old.ts_ns))
    written = store.write(symbol, TARGET, hours, keep="old")
    removed = store.remove(symbol, interval, boundary)
    after = store.coverage(symbol, interval)
    return Compaction(symbol, interval, written.added, removed, before.size_bytes, after.size_bytes)


def _is_better_elsewhere(store: CandleStore, symbol: str, interval: str, ts_ns: Int64Array) -> NDArray[np.bool_]:
    """For each hour of these candles: does another short series hold more of it? Then the hour is made of that one."""
    hours, covered = _covered(ts_ns, interval)
    is_better = np.zeros(len(hours), np.bool_)
    for _, other in compactable(store, symbol):
        if other != interval:
            theirs, more = _covered(store.open_times(symbol, other), other)
            _, mine_at, theirs_at = np.intersect1d(hours, theirs, assume_unique=True, return_indices=True)
            is_better[mine_at] |= more[theirs_at] > covered[mine_at]
    return is_better


def _covered(ts_ns: Int64Array, interval: str) -> tuple[Int64Array, Int64Array]:
    """The hours in which candles open, ascending, and how many ns of each they cover."""
    hours, counts = np.unique(ts_ns // interval_ns(TARGET), return_counts=True)
    return hours, counts.astype(np.int64) * interval_ns(interval)
