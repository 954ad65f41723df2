"""Longer candles from shorter ones, exactly: first open, highest high, lowest low, last close, sum of the volume."""

import numpy as np

from market.interval import interval_ns
from store.candle_columns import CandleColumns
from store.candles import INTERVALS, CandleStore, WriteResult
from store.exact_column import ExactColumn

LEAST_SHARE = 0.9
"""A longer candle needs this share of its shorter ones: from fewer it would tell something that did not happen."""


class AggregationError(ValueError):
    """Intervals that do not fit into each other; the text says which do."""


def check_intervals(shorter: str, longer: str) -> None:
    """Raises `AggregationError`."""
    for name in (shorter, longer):
        if name not in INTERVALS:
            raise AggregationError(f"{name} candles are not kept. Known: {', '.join(INTERVALS)}.")
    if interval_ns(longer) <= interval_ns(shorter) or interval_ns(longer) % interval_ns(shorter):
        raise AggregationError(f"{longer} candles cannot be made of {shorter} candles: name a shorter one that fits.")


def aggregate(columns: CandleColumns, shorter: str, longer: str, *, least_share: float = LEAST_SHARE) -> CandleColumns:
    """One candle of `longer` for each stretch of which `least_share` is there. `columns` ascend in time."""
    check_intervals(shorter, longer)
    if not len(columns):
        return columns
    length = interval_ns(longer)
    buckets = columns.ts_ns // length
    starts = np.flatnonzero(np.append(np.True_, np.diff(buckets) > 0))
    ends = np.append(starts[1:], len(columns)) - 1
    volume = columns.volume
    made = CandleColumns.of(
        buckets[starts] * length,
        [
            columns.open.take(starts),
            ExactColumn(np.maximum.reduceat(columns.high.values, starts), columns.high.digits),
            ExactColumn(np.minimum.reduceat(columns.low.values, starts), columns.low.digits),
            columns.close.take(ends),
            _sums(volume, starts),
        ],
        np.add.reduceat(columns.trades, starts),
    )
    is_enough = (ends - starts + 1) >= least_share * (length // interval_ns(shorter))
    return made if is_enough.all() else made.take(is_enough)


def _sums(volume: ExactColumn, starts: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> ExactColumn:
    """Exact; a sum of more than 18 digits goes on as float64."""
    largest = float(np.add.reduceat(volume.floats(), starts).max()) * 10.0 ** (volume.digits or 0)
    if volume.digits is not None and largest < 9e17:
        return ExactColumn(np.add.reduceat(volume.values, starts), volume.digits)
    return ExactColumn(np.add.reduceat(volume.floats(), starts), None)


def aggregate_series(
    store: CandleStore, symbol: str, shorter: str, longer: str, start_ns: int | None = None, end_ns: int | None = None
) -> WriteResult:
    """Make the longer candles of a series and store them; a candle that is there already (the venue's own) stays.

    Not at the two ends of what is read when they lie inside a longer candle: it would be kept although more is to come.
    """
    check_intervals(shorter, longer)
    columns = store.read(symbol, shorter, start_ns, end_ns)
    made = aggregate(columns, shorter, longer)
    if len(made):
        first, last, length = int(columns.ts_ns[0]), int(columns.ts_ns[-1]) + interval_ns(shorter), interval_ns(longer)
        made = made.take((made.ts_ns >= first) & (made.ts_ns <= last - length))
    return store.write(symbol, longer, made, keep="old")
