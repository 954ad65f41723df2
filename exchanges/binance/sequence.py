"""What must hold between one frame of a symbol and the next: numbers that rise, prices that do not leap."""

from decimal import Decimal
from typing import Final

JUMP_FACTOR: Final = Decimal(10)
CONFIRMATIONS: Final = 3


class TradeSequence:
    """Trade numbers of one symbol: rise by one; what is not newer is a duplicate, what is skipped a gap."""

    __slots__ = ("last",)

    def __init__(self) -> None:
        self.last = -1

    def take(self, number: int) -> int:
        """-1: seen before, ignore it. Otherwise how many numbers were skipped (0 is the good case)."""
        if number <= self.last:
            return -1
        skipped = number - self.last - 1 if self.last >= 0 else 0
        self.last = number
        return skipped


class PriceGuard:
    """Refuses a price ten times above or below the last until three in a row agree on the new level.

    A venue that really moved that far is believed after the third print; a wrong decimal point is not.
    """

    __slots__ = ("_candidate", "_high", "_last", "_low", "_seen")

    def __init__(self) -> None:
        self._last: Decimal | None = None
        self._low = self._high = Decimal(0)
        self._candidate = Decimal(0)
        self._seen = 0

    def accepts(self, price: Decimal) -> bool:
        """Whether to believe `price` now; remembers it either way."""
        if price == self._last:
            self._seen = 0
            return True
        if self._last is None or self._low < price < self._high:
            self._settle(price)
            return True
        if self._seen and self._candidate / JUMP_FACTOR < price < self._candidate * JUMP_FACTOR:
            self._seen += 1
        else:
            self._seen = 1
        self._candidate = price
        if self._seen < CONFIRMATIONS:
            return False
        self._settle(price)
        return True

    def _settle(self, price: Decimal) -> None:
        self._last = price
        self._low = price / JUMP_FACTOR
        self._high = price * JUMP_FACTOR
        self._seen = 0
