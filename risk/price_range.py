"""A stretch of the market within which a yes of the gate holds, and the corners at which it was asked for it."""

from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple


class PriceRange(NamedTuple):
    """Bid and ask both lie from `quote_low` to `quote_high` and at least `least_spread` apart; the last price lies from
    `last_low` to `last_high`. All in quote, limits included.
    """

    quote_low: Decimal
    quote_high: Decimal
    least_spread: Decimal
    last_low: Decimal
    last_high: Decimal

    def holds(self, bid: Decimal | None, ask: Decimal | None, last: Decimal) -> bool:
        """Do these prices lie within?"""
        return (
            bid is not None and ask is not None and self.last_low <= last <= self.last_high
            and bid >= self.quote_low and ask <= self.quote_high and ask - bid >= self.least_spread
        )

    def corners(self) -> Iterator[tuple[Decimal, Decimal, Decimal]]:
        """(bid, ask, last) at every corner of it.

        What the gate asks of an order is, in each of the prices, a straight line or bent upwards (`max`) on the side
        that must stay small, so what holds at all corners holds within.
        """
        low, high, spread = self.quote_low, self.quote_high, self.least_spread
        for last in (self.last_low, self.last_high):
            yield low, low + spread, last
            yield low, high, last
            yield high - spread, high, last
