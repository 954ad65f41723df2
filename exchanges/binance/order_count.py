"""How many new orders an account sends in the venue's interval, and what is kept for exits.

Binance grants an account so many orders in ten seconds (`ORDERS` of exchangeInfo) and answers 429 beyond, after which
nothing may be sent at all. It forgives those that fill; here they count, too.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from exchanges.binance.private_budget import PrivateBudget

FOR_EXITS: Final = 0.25
"""Of what is granted; entries leave it alone."""
MARGIN_S: Final = 0.5
"""On their way requests come closer together."""


class OrderCount:
    """In no interval more leave than is granted; until the venue grants a number, any. `now`: a clock in seconds."""

    __slots__ = ("_interval_s", "_most", "_sent")

    def __init__(self) -> None:
        self._most = 0
        self._interval_s = 0.0
        self._sent: deque[float] = deque()  # the oldest first

    def grant(self, orders: int, interval_s: float) -> None:
        """So many in so many seconds; what has left since the first grant counts."""
        self._most, self._interval_s = orders, interval_s + MARGIN_S
        while len(self._sent) > orders:
            self._sent.popleft()

    def wait_s(self, now: float, *, is_urgent: bool) -> float:
        """How long until one more may leave, if nobody else sends any."""
        if not self._most:
            return 0.0
        sent = self._sent
        while sent and sent[0] <= now - self._interval_s:
            sent.popleft()
        most = self._most if is_urgent else max(1, int(self._most * (1.0 - FOR_EXITS)))
        return 0.0 if len(sent) < most else sent[len(sent) - most] + self._interval_s - now

    def note(self, now: float) -> None:
        """One leaves."""
        if self._most:
            self._sent.append(now)


class CountedBudget:
    """Leave for orders: a place among the account's private requests, and one among its orders."""

    def __init__(self, requests: Callable[[], PrivateBudget], count: OrderCount) -> None:
        self._requests = requests
        self._count = count

    def take_now(self, *, is_urgent: bool) -> bool:
        """Take one of both if it may leave at once."""
        now = asyncio.get_running_loop().time()
        if self._count.wait_s(now, is_urgent=is_urgent) > 0 or not self._requests().take_now(is_urgent=is_urgent):
            return False
        self._count.note(now)
        return True

    def wait_s(self, *, is_urgent: bool) -> float:
        """How long until one may leave, if nobody else takes it."""
        now = asyncio.get_running_loop().time()
        return max(self._count.wait_s(now, is_urgent=is_urgent), self._requests().wait_s(is_urgent=is_urgent))
