"""Candles as columns: exact as they are stored, and as float64 arrays for analytics."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from hashlib import sha256
from itertools import accumulate
from typing import Any, Final, Self

import numpy as np

from market.interval import interval_ns
from market.ticks import Candle
from store.candle_grid import CandleGrid
from store.exact_column import BoolArray, ExactColumn, Float64Array, Int64Array

PRICES: Final = ("open", "high", "low", "close")
NUMBERS: Final = (*PRICES, "volume")
THREADS: Final = 2
_MANY: Final = 100_000
"""Rows that are worth threads."""
LONGEST_FILLED_GAP: Final = 5
"""Missing candles in a row that may be interpolated; a longer gap stays missing."""


@dataclass(frozen=True, slots=True, eq=False)
class CandleColumns:
    """Rows of one symbol and interval. `ts_ns` is the open time, UTC ns; `trades` 0 = not known."""

    ts_ns: Int64Array
    open: ExactColumn
    high: ExactColumn
    low: ExactColumn
    close: ExactColumn
    volume: ExactColumn
    trades: Int64Array

    def __len__(self) -> int:
        return len(self.ts_ns)

    @classmethod
    def of(cls, ts_ns: Int64Array, numbers: Sequence[ExactColumn], trades: Int64Array) -> Self:
        """`numbers` in the order open, high, low, close, volume."""
        first, high, low, close, volume = numbers
        return cls(ts_ns, first, high, low, close, volume, trades)

    @classmethod
    def of_candles(cls, candles: Sequence[Candle]) -> Self:
        """Of one symbol and interval; raises `store.exact_column.ExactColumnError`."""
        return cls.of(
            np.array([candle.ts_open for candle in candles], np.int64),
            [ExactColumn.of_decimals(getattr(candle, name) for candle in candles) for name in NUMBERS],
            np.array([candle.trades for candle in candles], np.int64),
        )

    @classmethod
    def empty(cls) -> Self:
        """No rows."""
        return cls.of_candles(())

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """One below the other; raises `store.exact_column.ExactColumnError`."""
        if len(parts) == 1:
            return parts[0]
        return cls.of(
            np.concatenate([part.ts_ns for part in parts]),
            [ExactColumn.concat([getattr(part, name) for part in parts]) for name in NUMBERS],
            np.concatenate([part.trades for part in parts]) if any(part.trades.any() for part in parts)
            else _unknown(sum(map(len, parts))),
        )

    def copy(self) -> Self:
        """The same numbers in arrays of their own."""
        return self.of(
            self.ts_ns.copy(),
            [ExactColumn(column.values.copy(), column.digits) for column in (getattr(self, name) for name in NUMBERS)],
            self.trades.copy() if self.trades.any() else _unknown(len(self)),
        )

    def take(self, chosen: Any) -> Self:
        """The rows a numpy index or slice names."""
        return self.of(
            self.ts_ns[chosen], [getattr(self, name).take(chosen) for name in NUMBERS], self.trades[chosen]
        )

    def latest_of_each(self) -> Self:
        """By time, each time once: of repeats the last one stays."""
        steps = np.diff(self.ts_ns)
        if (steps > 0).all():
            return self
        order = np.argsort(self.ts_ns, kind="stable")
        ordered = self.ts_ns[order]
        is_last = np.append(ordered[1:] != ordered[:-1], np.True_) if len(ordered) else np.empty(0, np.bool_)
        return self.take(order[is_last])

    def equals(self, other: Self) -> bool:
        """The same numbers, however many digits are kept."""
        return (
            np.array_equal(self.ts_ns, other.ts_ns) and np.array_equal(self.trades, other.trades)
            and all(_same(getattr(self, name), getattr(other, name)) for name in NUMBERS)
        )

    def candles(self, symbol: str, interval: str, *, is_warmup: bool = False) -> Iterator[Candle]:
        """Exact rows, oldest first; `ts_init` is the end of the candle."""
        length = interval_ns(interval)
        rows = zip(
            self.ts_ns.tolist(), *(getattr(self, name).decimals() for name in NUMBERS), self.trades.tolist(),
            strict=True,
        )
        for ts, first, high, low, close, volume, trades in rows:
            yield Candle(symbol, interval, ts, first, high, low, close, volume, trades, ts + length, is_warmup)

    def add_to(self, digest: Any) -> None:
        """The content into a hash: independent of how many digits happen to be kept."""
        digest.update(np.ascontiguousarray(self.ts_ns, "<i8").tobytes())
        for name in NUMBERS:
            column = getattr(self, name).shortest()
            digest.update(f"{name}{column.digits}:".encode())
            digest.update(np.ascontiguousarray(column.values).tobytes())
        digest.update(np.ascontiguousarray(self.trades, "<i8").tobytes())

    def digest(self) -> str:
        """SHA-256 of the content."""
        made = sha256()
        self.add_to(made)
        return made.hexdigest()


def _unknown(count: int) -> Int64Array:
    """Zeros that nobody wrote take no memory, unlike copies of zeros."""
    return np.zeros(count, np.int64)


def _same(left: ExactColumn, right: ExactColumn) -> bool:
    left, right = left.shortest(), right.shortest()
    return left.digits == right.digits and np.array_equal(left.values, right.values)


@dataclass(frozen=True, slots=True, eq=False)
class CandleArrays:
    """float64 arrays for analytics, oldest first. Where `is_interpolated`, volume is 0: not for trading or learning."""

    symbol: str
    interval: str
    ts_open: Int64Array
    open: Float64Array
    high: Float64Array
    low: Float64Array
    close: Float64Array
    volume: Float64Array
    trades: Int64Array
    is_interpolated: BoolArray

    def __len__(self) -> int:
        return len(self.ts_open)

    @classmethod
    def of_columns(cls, symbol: str, interval: str, *parts: CandleColumns) -> Self:
        """As they are, gaps and all; the parts one below the other."""
        rows = sum(map(len, parts))
        times, trades = np.empty(rows, np.int64), np.empty(rows, np.int64)
        numbers = [np.empty(rows) for _ in NUMBERS]

        def fill(part: CandleColumns, first: int) -> None:
            """Straight to their places: a year is too much to be copied once more."""
            place = slice(first, first + len(part))
            times[place], trades[place] = part.ts_ns, part.trades
            for name, values in zip(NUMBERS, numbers, strict=True):
                getattr(part, name).floats(out=values[place])

        places = [0, *accumulate(map(len, parts))]
        if rows < _MANY:
            for part, first in zip(parts, places, strict=False):
                fill(part, first)
        else:
            with ThreadPoolExecutor(THREADS) as threads:  # numpy computes without the interpreter's lock
                list(threads.map(fill, parts, places))
        opened, high, low, close, volume = numbers
        return cls(symbol, interval, times, opened, high, low, close, volume, trades, np.zeros(rows, np.bool_))

    def take(self, chosen: Any) -> Self:
        """The rows a numpy index or slice names."""
        arrays = [getattr(self, field.name)[chosen] for field in fields(self)[2:]]
        return type(self)(self.symbol, self.interval, *arrays)

    def interpolated(self, longest: int = LONGEST_FILLED_GAP) -> Self:
        """With gaps of up to `longest` intervals filled by candles on the line from close to next open, volume 0.

        Longer gaps stay. A filled candle is marked in `is_interpolated`.
        """
        grid = CandleGrid.of(self.interval, self.ts_open)
        places = grid.places(self.ts_open)
        missing = np.diff(places) - 1
        gaps = np.flatnonzero((missing > 0) & (missing <= longest))
        if not len(gaps):
            return self
        counts = missing[gaps]
        before = np.repeat(gaps, counts)
        number = np.arange(len(before)) - np.repeat(np.cumsum(counts) - counts, counts) + 1
        steps = np.repeat(counts, counts) + 1
        start, way = self.close[before], self.open[before + 1] - self.close[before]
        opened, closed = start + way * ((number - 1) / steps), start + way * (number / steps)
        filled = type(self)(
            self.symbol, self.interval, grid.times(places[before] + number), opened, np.maximum(opened, closed),
            np.minimum(opened, closed), closed, np.zeros(len(before)), np.zeros(len(before), np.int64),
            np.ones(len(before), np.bool_),
        )
        arrays = [np.concatenate((getattr(self, each.name), getattr(filled, each.name))) for each in fields(self)[2:]]
        return type(self)(self.symbol, self.interval, *arrays).take(np.argsort(arrays[0], kind="stable"))
