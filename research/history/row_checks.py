"""Rows of a file judged one by one: what becomes a candle, and what is refused with its line, field and remedy."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from market.interval import interval_ns
from research.history.open_times import open_times
from research.history.source_piece import SourcePiece
from store.candle_columns import NUMBERS, PRICES, CandleColumns
from store.exact_column import BoolArray, ExactColumn, Int64Array, filled, numbers_of

TOLD: Final = 20
"""So many refused rows are told in full; all are counted."""
Told = tuple[int, str, str, str]
"""A refusal: line within the piece, field, value, remedy."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One row that is no candle: where, which field, what it holds, and what to do."""

    where: str
    field: str
    value: str
    remedy: str

    def sentence(self) -> str:
        """For people."""
        return f"{self.where}, {self.field} {self.value!r}: {self.remedy}"


class RowJudge:
    """Collects which rows of a source are refused; the first reason of a row counts."""

    def __init__(self, source: SourcePiece) -> None:
        self.source = source
        self.is_bad: BoolArray = np.zeros(source.rows, np.bool_)
        self._told: list[Told] = [
            (number, "row", text, "make it complete or take it out") for number, text in source.broken
        ]
        self.refused = len(source.broken)

    def refuse(self, rows: BoolArray, field: str, remedy: str) -> None:
        """Refuse the marked rows, unless they are refused already."""
        fresh = np.flatnonzero(rows & ~self.is_bad)
        if not len(fresh):
            return
        self.is_bad[fresh] = True
        self.refused += len(fresh)
        column = self.source.columns.get(field)
        for index in fresh[:TOLD]:
            line = int(self.source.lines[index])
            value = "" if column is None else str(column[int(index)].as_py() or "")[:60]
            self._told.append((line, field, value, remedy))

    def told(self) -> list[Told]:
        """The first refusals, by line."""
        return sorted(self._told)[:TOLD]


def read_times(judge: RowJudge) -> Int64Array:
    """Open times of all rows; rows without one are refused."""
    times, is_bad = open_times(judge.source.columns["ts"])
    judge.refuse(is_bad, "ts", "write an ISO date (UTC) or an epoch in s, ms, us or ns, from 1970 to 2100")
    return times


def read_candles(judge: RowJudge, times: Int64Array, interval: str) -> CandleColumns:
    """All rows as columns; the rows that cannot be candles are refused (and still in the result)."""
    parsed = [_column(judge.source, name) for name in NUMBERS]
    for name, (_, is_bad) in zip(NUMBERS, parsed, strict=True):
        judge.refuse(is_bad, name, "write a plain number of at most 18 digits")
    columns = CandleColumns.of(times, [column for column, _ in parsed], _trades(judge.source))
    for name in PRICES:
        judge.refuse(getattr(columns, name).values <= 0, name, "a price must be greater than 0")
    first, high, low, close = (getattr(columns, name).floats() for name in PRICES)
    is_too_low, is_too_high = high < np.maximum(first, close), low > np.minimum(first, close)
    judge.refuse(is_too_low, "high", "the high must be at least open and close")
    judge.refuse(is_too_high, "low", "the low must be at most open and close")
    judge.refuse(columns.volume.values < 0, "volume", "a volume cannot be negative")
    judge.refuse(
        times % interval_ns(interval) != 0, "ts",
        f"the candle does not open on the {interval} grid: give the right --timeframe, or mend the time",
    )
    return columns


def _column(source: SourcePiece, name: str) -> tuple[ExactColumn, BoolArray]:
    """A column, and which of its rows hold no number."""
    column = source.columns.get(name)
    if column is None:  # only volume may be absent
        return ExactColumn(np.zeros(source.rows, np.int64), 0), np.zeros(source.rows, np.bool_)
    return _numbers(column)


def _numbers(column: Any) -> tuple[ExactColumn, BoolArray]:
    kinds = pa.types
    exact = (kinds.is_string, kinds.is_large_string, kinds.is_decimal, kinds.is_integer)
    if any(is_kind(column.type) for is_kind in exact):
        return ExactColumn.of_texts(column.cast(pa.string()))
    if kinds.is_float32(column.type) or kinds.is_float16(column.type):
        # The shortest number that reads back as it is: as float64 100.1 would be 100.0999984741211.
        return ExactColumn.of_texts(column.cast(pa.float32()).cast(pa.string()))
    if not kinds.is_floating(column.type):
        return ExactColumn(np.zeros(len(column), np.int64), 0), np.ones(len(column), np.bool_)
    values = np.asarray(numbers_of(filled(column.cast(pa.float64()), np.nan)), np.float64)
    is_bad = ~np.isfinite(values)
    return ExactColumn.of_floats(np.where(is_bad, 0.0, values)), is_bad


def _trades(source: SourcePiece) -> Int64Array:
    """Number of trades where the source tells one, else 0: not known."""
    column = source.columns.get("trades")
    unknown = np.zeros(source.rows, np.int64)
    if column is None:
        return unknown
    try:
        made = numbers_of(filled(column.cast(pa.float64()), 0.0))
    except pa.ArrowInvalid:
        return unknown
    return np.where(np.isfinite(made) & (made >= 0) & (made < 2**53), made, 0).astype(np.int64)
