"""Old minutes made into hours, when asked: the hours are written first, then the minutes go."""

from dataclasses import dataclass
from typing import Final

from market.interval import interval_ns
from research.history.aggregation import aggregate
from store.candles import CandleStore

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
    written = store.write(symbol, TARGET, hours, keep="old")
    removed = store.remove(symbol, interval, boundary)
    after = store.coverage(symbol, interval)
    return Compaction(symbol, interval, written.added, removed, before.size_bytes, after.size_bytes)
