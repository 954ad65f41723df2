"""How much request weight leaves for an address of Binance, and who gives way when it runs short.

The venue grants an address so much a minute, whichever of its clients asks: Binance 6,000, Binance US 1,200. One bucket
serves all of a process: in no minute more than its burst and sixty times its rate leave, 5,800 of 6,000. What others of
this machine take the venue tells with each answer. The lower the level, the fewer may take from it: a backfill stops
first; then book snapshots, fifty each; then trades that were missed; then what traders wait for; questions about orders
take the last, and where others have used more than is due by now, what became of an order is asked all the same.
"""

import math
from typing import Final

USUAL: Final = 6_000.0
"""Granted a minute, until the venue says otherwise."""
PER_S: Final = 80.0
BURST: Final = 1_000.0
"""Of the usual; of another grant in proportion."""
_ROUNDING: Final = 1e-6
Reserve = float
"""The share of the burst that a request leaves to those of smaller reserves."""
FOR_FATES: Final[Reserve] = -1.0
"""What became of an order: as `FOR_ORDERS`, and as long as anything is left of the venue's minute."""
FOR_ORDERS: Final[Reserve] = 0.0
FOR_PRICES: Final[Reserve] = 0.15
"""Quotes and candles: decisions wait for them."""
FOR_MISSED_TRADES: Final[Reserve] = 0.35
FOR_BOOKS: Final[Reserve] = 0.6
FOR_HISTORY: Final[Reserve] = 0.9
"""So much is there at once for a daemon beside it, of whatever grant: books want 0.6 and the fifty of a snapshot."""


class WeightBudget:
    """A bucket that refills with time; `now` is a clock in seconds, the same one at each call.

    `burst`: its size while the usual is granted.
    """

    __slots__ = ("_burst", "_left", "_left_until", "_level", "_rate", "_updated", "_usual_burst")

    def __init__(self, burst: float = BURST) -> None:
        self._burst = self._level = self._usual_burst = burst
        self._rate = PER_S
        self._updated = math.inf  # not used yet: no time has passed
        self._left = 0.0  # of the running minute's grant, as far as the venue told
        self._left_until = -math.inf

    def grant(self, a_minute: float) -> None:
        """So much the venue grants; what has left already counts."""
        share = a_minute / USUAL
        burst = self._usual_burst * share
        self._level += burst - self._burst
        self._left -= self._a_minute()
        self._burst, self._rate = burst, PER_S * share
        self._left += self._a_minute()

    def note_used(self, now: float, used: float, left_s: float) -> None:
        """So much of this minute's grant is used, by whomever, and the minute lasts for `left_s` more."""
        self._refill(now)
        left = self._a_minute() - used
        self._level = min(self._level, left - left_s * self._rate)
        self._left = min(left, self._left) if now < self._left_until else left
        self._left_until = now + left_s

    def take_now(self, now: float, weight: int, reserve: Reserve = FOR_ORDERS) -> bool:
        """Take `weight` if it may leave at once."""
        if self.wait_s(now, weight, reserve) > 0:
            return False
        self.spend(weight)
        return True

    def wait_s(self, now: float, weight: int, reserve: Reserve = FOR_ORDERS) -> float:
        """How long until `weight` may leave, if nobody else takes any."""
        self._refill(now)
        # What is heavier than the bucket leaves when it is full.
        missing = min(weight + max(reserve, FOR_ORDERS) * self._burst, self._burst) - self._level
        if reserve == FOR_FATES and now < self._left_until and weight <= self._left:
            return 0.0
        return missing / self._rate if missing > _ROUNDING else 0.0

    def spend(self, weight: int) -> None:
        """It leaves, whatever there is."""
        self._level -= weight
        self._left -= weight

    def _a_minute(self) -> float:
        """The most that leaves in one, a little less than is granted."""
        return self._burst + 60.0 * self._rate

    def _refill(self, now: float) -> None:
        if now > self._updated:
            self._level = min(self._burst, self._level + (now - self._updated) * self._rate)
        self._updated = now
