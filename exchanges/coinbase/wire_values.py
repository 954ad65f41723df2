"""How Coinbase writes times and amounts: RFC 3339 to nanoseconds, decimal strings to Decimals. Pure and strict."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Final

from market.interval import SECOND_NS
from market.money import ZERO, MoneyError, parse_decimal

ABSURD: Final = Decimal(10) ** 15
_TIME = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9})[0-9]*)?(?:Z|\+00:00)\Z")
_EARLIEST_S: Final = 1_230_768_000  # 2009: there was nothing to trade before
_LATEST_S: Final = 4_102_444_800  # 2100


class TimeError(ValueError):
    """Not a moment in UTC between 2009 and 2100."""


def time_ns(text: object) -> int:
    """ "2026-09-30T02:39:53.945252774Z" as UTC nanoseconds; raises `TimeError`."""
    found = _TIME.match(text) if type(text) is str else None
    if found is None:
        raise TimeError(f"{str(text)[:40]!r} is no UTC time")
    return _seconds(found[1]) * SECOND_NS + int((found[2] or "0").ljust(9, "0"))


@lru_cache(maxsize=256)
def _seconds(text: str) -> int:
    """Remembered by its text: thousands of frames share a second."""
    try:
        seconds = int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())
    except ValueError:
        raise TimeError(f"{text!r} is no UTC time") from None
    if not _EARLIEST_S <= seconds <= _LATEST_S:
        raise TimeError(f"{text!r} is not between 2009 and 2100")
    return seconds


def to_wire_time(ts_ns: int) -> str:
    """UTC nanoseconds as the venue wants them in a query, to the second below."""
    return datetime.fromtimestamp(ts_ns // SECOND_NS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@lru_cache(maxsize=32_768)
def positive(text: str) -> Decimal:
    """A price or quantity above zero; raises `MoneyError`. Remembered by its text, which comes again and again."""
    value = parse_decimal(text)
    if not ZERO < value < ABSURD:
        raise MoneyError(f"{text} is not above zero and below 10^15")
    return value


@lru_cache(maxsize=32_768)
def not_negative(text: str) -> Decimal:
    """A level's quantity, which may be zero; raises `MoneyError`."""
    value = parse_decimal(text)
    if not ZERO <= value < ABSURD or text[0] == "-":
        raise MoneyError(f"{text} is negative or above 10^15")
    return value
