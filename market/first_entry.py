"""The first entry on a symbol (T8): bought when the price is 2 % below the session start, or when a first model
says buy with a confidence above 0.70 (any model; it need not win the consensus).

The session start is the price when trading of the symbol began; while nothing is bought it is set anew at
00:00 UTC. Once something was bought the question is closed for this session.
"""

from decimal import Decimal
from typing import Final

from market.interval import SECOND_NS
from market.money import ONE

FALL_RATIO: Final = Decimal("0.02")
CONFIDENCE: Final = 0.70
_DAY_NS: Final = 86_400 * SECOND_NS


class FirstEntry:
    """One symbol's session start, and whether the first purchase may be made. Prices in quote, times UTC ns."""

    __slots__ = ("_day", "is_over", "start_price")

    def __init__(self) -> None:
        self.start_price: Decimal | None = None
        self.is_over = False
        self._day = -1

    def on_price(self, price: Decimal, ts: int) -> None:
        """A believed price; the first one of the session, and of each UTC day while nothing is bought, is the start."""
        day = ts // _DAY_NS
        if self.start_price is None or (day > self._day and not self.is_over):
            self.start_price, self._day = price, day

    def on_bought(self) -> None:
        """Something is held."""
        self.is_over = True

    def reason_to_buy(self, price: Decimal, buy_confidence: float | None) -> str:
        """Why the first entry is due now; "" while it is not, or when it is over.

        `buy_confidence` is the highest of the models that say buy, None when none does.
        """
        if self.is_over or self.start_price is None:
            return ""
        if price <= self.start_price * (ONE - FALL_RATIO):
            fall = (ONE - price / self.start_price) * 100
            return f"first entry: the price is {fall:.2f} % below the session start {self.start_price:f}"
        if buy_confidence is not None and buy_confidence > CONFIDENCE:
            return f"first entry: a model says buy with confidence {buy_confidence:.2f}"
        return ""
