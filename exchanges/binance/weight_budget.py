"""How much request weight leaves for an address of Binance, and who gives way when it runs short.

The venue grants an address 6,000 a minute, whichever of its clients asks. One bucket serves them all: in no minute more
than its burst and sixty times its rate leave, 5,800. The lower the level, the fewer may take from it: book snapshots,
fifty each, stop first; then trades that were missed; then what traders wait for; questions about orders take the last.
"""

import math
from typing import Final

PER_S: Final = 80.0
BURST: Final = 1_000.0
_ROUNDING: Final = 1e-6
Reserve = float
"""The share of the burst that a request leaves to those of smaller reserves."""
FOR_ORDERS: Final[Reserve] = 0.0
FOR_PRICES: Final[Reserve] = 0.15
"""Quotes and candles: decisions wait for them."""
FOR_MISSED_TRADES: Final[Reserve] = 0.35
FOR_BOOKS: Final[Reserve] = 0.6


class WeightBudget:
    """A bucket that refills with time; `now` is a clock in seconds, the same one at each call."""

    __slots__ = ("_burst", "_level", "_updated")

    def __init__(self, burst: float = BURST) -> None:
        self._burst = self._level = burst
        self._updated = math.inf  # not used yet: no time has passed

    def take_now(self, now: float, weight: int, reserve: Reserve = FOR_ORDERS) -> bool:
        """Take `weight` if it may leave at once."""
        if self.wait_s(now, weight, reserve) > 0:
            return False
        self._level -= weight
        return True

    def wait_s(self, now: float, weight: int, reserve: Reserve = FOR_ORDERS) -> float:
        """How long until `weight` may leave, if nobody else takes any."""
        if now > self._updated:
            self._level = min(self._burst, self._level + (now - self._updated) * PER_S)
        self._updated = now
        # What is heavier than the bucket leaves when it is full.
        missing = min(weight + reserve * self._burst, self._burst) - self._level
        return missing / PER_S if missing > _ROUNDING else 0.0

    def spend(self, weight: int) -> None:
        """It leaves, whatever there is."""
        self._level -= weight
