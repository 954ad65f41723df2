"""Candle interval names ("1s", "1m", "4h", "1d") and their length."""

from typing import Final

SECOND_NS: Final = 1_000_000_000
MINUTE_NS: Final = 60 * SECOND_NS
_UNITS: Final = {"s": SECOND_NS, "m": MINUTE_NS, "h": 3600 * SECOND_NS, "d": 86_400 * SECOND_NS}


class IntervalError(ValueError):
    """Not the name of a candle interval."""


def interval_ns(name: str) -> int:
    """Length in nanoseconds; raises `IntervalError` with the remedy."""
    number, unit = name[:-1], name[-1:]
    if unit not in _UNITS or not number.isdigit() or int(number) < 1:
        raise IntervalError(f"{name!r} is not a candle interval: write a number and s, m, h or d, such as 5s or 1m")
    return int(number) * _UNITS[unit]


def open_time(ts_ns: int, length_ns: int) -> int:
    """Start of the candle that contains `ts_ns` (aligned to the UTC epoch)."""
    return ts_ns - ts_ns % length_ns
