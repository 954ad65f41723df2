"""What Binance says of its request limits: what it grants in exchangeInfo, what is used up beside each answer. Pure."""

from typing import Any, Final

USED_WEIGHT: Final = "X-MBX-USED-WEIGHT-1M"
"""The header of what this address has used of the running minute's weight, all its clients together."""
MINUTE_S: Final = 60.0
LEAST_A_MINUTE: Final = 100.0
"""No venue grants less than a book snapshot and a list of pairs a minute: what says less says nonsense."""
_COUNTED: Final = frozenset({"REQUEST_WEIGHT", "RAW_REQUESTS"})
"""A request weighs one at least, so a limit of bare requests is kept where one of their weight is."""
_INTERVALS_S: Final = {"SECOND": 1.0, "MINUTE": 60.0, "HOUR": 3_600.0, "DAY": 86_400.0}


def granted_a_minute(body: Any) -> float | None:
    """The request weight that an exchangeInfo grants an address a minute; None where it says nothing sensible."""
    rows = body.get("rateLimits") if isinstance(body, dict) else None
    found = [told for row in rows if (told := _a_minute(row)) is not None] if isinstance(rows, list) else []
    return min(found, default=None)


def _a_minute(row: Any) -> float | None:
    if not isinstance(row, dict) or row.get("rateLimitType") not in _COUNTED:
        return None
    limit, number, interval = row.get("limit"), row.get("intervalNum"), row.get("interval")
    if type(limit) is not int or type(number) is not int or number < 1 or not isinstance(interval, str):
        return None
    length_s = _INTERVALS_S.get(interval, 0.0) * number
    granted = limit * MINUTE_S / length_s if length_s else 0.0
    return granted if granted >= LEAST_A_MINUTE else None


def used_weight(text: str) -> int | None:
    """What the header says; None where there is none, or it is no number."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
