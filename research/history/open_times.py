"""Times as tables write them -> UTC nanoseconds: epoch numbers of any unit, ISO dates, and a few exports' own ways."""

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import numpy as np
import pyarrow as pa

from store.exact_column import BoolArray, Int64Array, filled, numbers_of

_FORMATS: Final = (
    "%Y-%m-%d %I-%p", "%Y%m%d %H:%M:%S", "%Y%m%d %H%M%S", "%Y.%m.%d %H:%M", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d",
)
_LATEST_NS: Final = 4_102_444_800_000_000_000  # 2100-01-01
_NO_TIME: Final = -1
_SHORTEST: Final = 8
_UNITS: Final = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}


def open_times(column: Any) -> tuple[Int64Array, BoolArray]:
    """UTC ns of each row, and which rows are no time (they become -1). A time without a zone is UTC."""
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("ms"))
    if pa.types.is_timestamp(column.type):
        return _judged(_in_ns(column, column.type.unit))
    if pa.types.is_integer(column.type):
        whole = numbers_of(filled(column.cast(pa.int64(), safe=False), _NO_TIME))
        return _judged(_of_numbers(whole))
    if pa.types.is_floating(column.type):
        numbers = numbers_of(filled(column.cast(pa.float64()), np.nan))
        return _judged(_of_numbers(np.where(np.abs(numbers) < 2.0**62, numbers, _NO_TIME).astype(np.int64)))
    return _of_texts(column.cast(pa.string()))


def parse_time(text: str) -> int | None:
    """UTC ns of one time as a person writes it (2024-01-31, 2024-01-31T12:00, an epoch), or None.

    A number that is too short for an epoch of this century is none: 2024 is a year, and no second of 1970.
    """
    told = text.strip()
    if told.isdecimal() and len(told) < _SHORTEST:
        return None
    made = _of_text(told)
    return made if 0 < made < _LATEST_NS else None


def _in_ns(timestamps: Any, unit: str) -> Int64Array:
    """Not by Arrow's cast, which refuses the whole column for one time that int64 nanoseconds do not know."""
    whole = np.asarray(numbers_of(filled(timestamps.cast(pa.int64()), _NO_TIME)), np.int64)
    return _times(whole, np.int64(_UNITS[unit]))


def _times(numbers: Int64Array, units: Any) -> Int64Array:
    """numbers * units; no time where the product lies outside of what is known, and may not fit."""
    is_known = (numbers > 0) & (numbers < _LATEST_NS // units)
    return np.asarray(np.where(is_known, numbers, 0) * units, np.int64)


def _of_texts(texts: Any) -> tuple[Int64Array, BoolArray]:
    try:
        return _judged(_of_numbers(numbers_of(filled(texts.cast(pa.int64()), _NO_TIME))))
    except pa.ArrowInvalid:
        pass
    for kind in (pa.timestamp("ms"), pa.timestamp("ms", "UTC")):
        try:
            return _judged(_in_ns(texts.cast(kind), "ms"))
        except (pa.ArrowInvalid, ValueError):
            continue
    known: dict[str | None, int] = {}
    times = np.fromiter((_remembered(text, known) for text in texts.to_pylist()), np.int64, len(texts))
    return _judged(times)


def _of_numbers(numbers: Int64Array) -> Int64Array:
    """Seconds, milliseconds, microseconds or nanoseconds by size; 20240131 is a date."""
    units = np.select(
        [numbers < 100_000_000_000, numbers < 100_000_000_000_000, numbers < 100_000_000_000_000_000],
        [1_000_000_000, 1_000_000, 1_000], 1,
    )
    times = _times(numbers, units)
    dates = np.flatnonzero((numbers >= 19_700_101) & (numbers <= 20_991_231))
    for index in dates:
        times[index] = _of_date(str(numbers[index]))
    return times


def _judged(times: Int64Array) -> tuple[Int64Array, BoolArray]:
    is_bad = (times <= 0) | (times >= _LATEST_NS)
    return np.where(is_bad, _NO_TIME, times), is_bad


def _remembered(text: str | None, known: dict[str | None, int]) -> int:
    if text not in known:
        known[text] = _of_text((text or "").strip())
    return known[text]


def _of_text(text: str) -> int:
    moment: datetime | None = None
    try:
        if not text.isdecimal():  # to Python 1610010120000 is a moment of the year 1610
            moment = datetime.fromisoformat(text)
    except ValueError:
        for pattern in _FORMATS:
            try:
                moment = datetime.strptime(text, pattern).replace(tzinfo=UTC)
                break
            except ValueError:
                continue
    if moment is not None:
        return _ns(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    try:
        number = Decimal(text)
        whole = int(number) if number.is_finite() and abs(number) < 10**19 else _NO_TIME
    except InvalidOperation:
        return _NO_TIME
    return int(_of_numbers(np.array([whole], np.int64))[0]) if 0 < whole < 2**62 else _NO_TIME


def _of_date(digits: str) -> int:
    try:
        return _ns(datetime.strptime(digits, "%Y%m%d").replace(tzinfo=UTC))
    except ValueError:
        return _NO_TIME


def _ns(moment: datetime) -> int:
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    made = (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1_000
    return made if abs(made) < 2**62 else _NO_TIME  # datetime knows the year 9999, int64 nanoseconds do not
