"""The way a price may have gone inside a candle: a bar tells four prices and not their order.

Pessimistic: the extreme that is worse for the position comes first. Whoever holds the asset sees the low before
the high (the stop is hit before the gain is seen); whoever waits to buy sees the high before the low (the buy
trigger is hit at the top, and what was bought falls). Optimistic is the mirror. Both begin at the open and
end at the close.
"""

from decimal import Decimal
from typing import Literal

from market.ticks import Candle

Assumption = Literal["pessimistic", "optimistic"]
Stance = Literal["long", "flat"]


def path_of(candle: Candle, stance: Stance, assumption: Assumption) -> tuple[Decimal, Decimal, Decimal, Decimal]:
    """Open, first extreme, second extreme, close, in quote."""
    low_first = (stance == "long") == (assumption == "pessimistic")
    extremes = (candle.low, candle.high) if low_first else (candle.high, candle.low)
    return candle.open, *extremes, candle.close


def crossing_price(before: Decimal | None, reached: Decimal, trigger: Decimal) -> Decimal:
    """At which price a trigger between two points of a path is met: at itself; after a gap where the gap ended.

    `before` is the point before `reached` in the same candle, None for the open.
    """
    if before is None:
        return reached
    low, high = min(before, reached), max(before, reached)
    return trigger if low <= trigger <= high else reached
