"""What Binance says of its request limits: what it grants in exchangeInfo, what is used up beside each answer. Pure."""

from typing import Any, Final

USED_WEIGHT: Final = "X-MBX-USED-WEIGHT-1M"
"""The header of what this address has used of the running minute's weight, all its clients together."""
MINUTE_S: Final = 60.0
LEAST_A_MINUTE: Final = 100.0
"""No venue grants less than a book snapshot and a list of pairs a minute: what says less says nonsense."""
_COUNTED: Final = frozenset({"REQUEST_WEIGHT", "RAW_REQUESTS"})
"""A request weighs one at least, so a limit of bare requests is kept where one of their weight is."""
LEAST_ORDERS: Final = 5
"""In ten seconds; likewise."""
_INTERVALS_S: Final = {"SECOND": 1.0, "MINUTE": 60.0, "HOUR": 3_600.0, "DAY": 86_400.0}


def granted_a_minute(body: Any) -> float | None:
    """The request weight that an exchangeInfo grants an address a minute; None where it says nothing sensible."""
    found = [limit * MINUTE_S / length_s for kind, limit, length_s in _limits(body) if kind in _COUNTED]
    return min((granted for granted in found if granted >= LEAST_A_MINUTE), default=None)


def granted_orders(body: Any) -> tuple[int, float] | None:
    """How many new orders an exchangeInfo grants an account in how many seconds, a minute at most; None likewise.

    What it grants a day is more than the gate lets pass (`risk.orders_per_minute`).
    """
    found = [
        (limit, length_s) for kind, limit, length_s in _limits(body)
        if kind == "ORDERS" and length_s <= MINUTE_S and limit * 10.0 / length_s >= LEAST_ORDERS
    ]
    return min(found, key=lambda granted: granted[0] / granted[1], default=None)


def _limits(body: Any) -> list[tuple[str, int, float]]:
    """Kind, limit and interval in seconds of each one that can be read."""
    rows = body.get("rateLimits") if isinstance(body, dict) else None
    found = []
    for row in rows if isinstance(rows, list) else ():
        if not isinstance(row, dict):
            continue
        limit, number, interval = row.get("limit"), row.get("intervalNum"), row.get("interval")
        if type(limit) is not int or type(number) is not int or number < 1 or not isinstance(interval, str):
            continue
        if (length_s := _INTERVALS_S.get(interval, 0.0) * number) and isinstance(kind := row.get("rateLimitType"), str):
            found.append((kind, limit, length_s))
    return found


def used_weight(text: str) -> int | None:
    """What the header says; None where there is none, or it is no number."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
