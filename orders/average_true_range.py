"""ATR(14) in exact money: what an ATR trail's distance is made of.

True range and smoothing after J. Welles Wilder, "New Concepts in Technical Trading Systems" (1978): the
first value is the mean of 14 true ranges, each later one (13 * previous + true range) / 14. The first
candle has no previous close and gives no true range (as in TA-Lib).
"""

from decimal import Decimal
from typing import Final

from market.money import ZERO

PERIOD: Final = 14


class AverageTrueRange:
    """The running ATR of one symbol's closed candles, in quote currency."""

    __slots__ = ("_count", "_previous_close", "_ts_open", "_value")

    def __init__(self) -> None:
        self._count = 0
        self._value = ZERO
        self._previous_close: Decimal | None = None
        self._ts_open = -1

    @property
    def value(self) -> Decimal | None:
        """None until 14 true ranges were seen."""
        return self._value if self._count >= PERIOD else None

    def add(self, ts_open: int, high: Decimal, low: Decimal, close: Decimal) -> None:
        """One closed candle; one that is not later than the last is ignored (warm-up may overlap)."""
        if ts_open <= self._ts_open:
            return
        self._ts_open = ts_open
        previous, self._previous_close = self._previous_close, close
        if previous is None:
            return
        true_range = max(high, previous) - min(low, previous)
        self._count += 1
        if self._count <= PERIOD:
            self._value += (true_range - self._value) / self._count
        else:
            self._value = (self._value * (PERIOD - 1) + true_range) / PERIOD
