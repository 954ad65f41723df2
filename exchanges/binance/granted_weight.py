"""What Binance says of its request limits: what it grants in exchangeInfo, what is used up beside each answer. Pure."""

from typing import Any, Final

USED_WEIGHT: Final = "X-MBX-USED-WEIGHT-1M"
"""The header of what this address has used of the running minute's weight, all its clients together."""
MINUTE_S: Final = 60.0
LEAST_A_MINUTE: Final = 100.0
"""No venue grants less than a book snapshot and a list of pairs a minute: what says less says nonsense."""
EARLY_S: Final = 20.0
LATE_S: Final = 40.0
"""Of a minute: by then a figure has grown, while early in the next one it is small again."""
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


class MinuteFigure:
    """Whether a figure that is told again and again begins anew with each minute, as the venue's does.

    A server that speaks its protocol may count on for ever: that would be taken for others who use up everything.
    """

    __slots__ = ("_is_doubted", "_minute", "_passed_s", "_used")

    def __init__(self) -> None:
        self._minute = self._passed_s = self._used = 0.0
        self._is_doubted = False

    def is_sound(self, now_s: float, used: float) -> bool:
        """Whether it may be believed until the minute is over: not when it is no less than late in the one before."""
        minute, passed_s = divmod(now_s, MINUTE_S)
        if minute != self._minute:
            was_late = minute == self._minute + 1 and self._passed_s >= LATE_S
            self._is_doubted = was_late and passed_s <= EARLY_S and used >= self._used
            self._minute = minute
        self._passed_s, self._used = passed_s, used
        return not self._is_doubted
