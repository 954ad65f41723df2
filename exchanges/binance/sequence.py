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

    The last price always lies between `sure_low` and `sure_high`, whose ratio is 4: so every price between them is less
    than ten times away from it.
    """

    __slots__ = ("_candidate", "_last", "_seen", "sure_high", "sure_low")

    def __init__(self) -> None:
        self._last: Decimal | None = None
        self.sure_low = self.sure_high = Decimal(0)
        self._candidate = Decimal(0)
        self._seen = 0

    def know(self, price: Decimal) -> None:
        """The price was about here before anything was heard: the first one, too, is looked at."""
        if self._last is None:
            self._settle(price)

    def accepts(self, price: Decimal) -> bool:
        """Whether to believe `price` now; remembers it either way."""
        last = self._last
        if self.sure_low < price < self.sure_high:
            self._last = price
            self._seen = 0
            return True
        if last is None or last / JUMP_FACTOR < price < last * JUMP_FACTOR:
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
        self.sure_low, self.sure_high = price / 2, price * 2
        self._seen = 0
