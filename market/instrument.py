"""What a venue says about one symbol, and rounding that never favours us.

This module also holds the two doors between money (Decimal) and analytics (float64): `to_float` and
`price_from_float`.
"""

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext

from market.money import EXACT, ZERO


@dataclass(frozen=True, slots=True)
class Instrument:
    """A spot pair. `symbol` is the product's name ("BTC/USDT"), `venue_symbol` the wire's ("BTCUSDT").

    Prices are in quote per base, quantities in base, `min_notional` in quote; fees are ratios (0.001 = 0.1 %).
    """

    symbol: str
    venue_symbol: str
    base: str
    quote: str
    price_tick: Decimal
    quantity_step: Decimal
    min_quantity: Decimal
    max_quantity: Decimal
    min_notional: Decimal
    maker_fee: Decimal = ZERO
    taker_fee: Decimal = ZERO
    is_trading: bool = True

    def round_quantity(self, quantity: Decimal) -> Decimal:
        """Down to the quantity step: never more than was approved."""
        return _to_step(quantity, self.quantity_step, ROUND_FLOOR)

    def round_price(self, price: Decimal, side: str) -> Decimal:
        """To the price tick, against us: a buy limit goes down, a sell limit goes up.

        Rounding may make an order rest a little further away; it never makes us pay more or get less
        than was decided.
        """
        return _to_step(price, self.price_tick, ROUND_FLOOR if side == "buy" else ROUND_CEILING)

    def round_trigger(self, price: Decimal, side: str) -> Decimal:
        """A stop's trigger to the price tick, towards the market for a sell (up), a buy (down): sooner."""
        return _to_step(price, self.price_tick, ROUND_FLOOR if side == "buy" else ROUND_CEILING)


def _to_step(value: Decimal, step: Decimal, rounding: str) -> Decimal:
    if step <= ZERO:
        return value
    rounded = (value / step).to_integral_value(rounding=rounding) * step
    # A quotient of more than the context's 28 digits was rounded to the nearest: it may have gone the wrong way.
    if rounding == ROUND_FLOOR:
        return rounded if rounded <= value else _to_step_exactly(value, step, rounding)
    return rounded if rounded >= value else _to_step_exactly(value, step, rounding)


def _to_step_exactly(value: Decimal, step: Decimal, rounding: str) -> Decimal:
    with localcontext(EXACT):
        return (value / step).to_integral_value(rounding=rounding) * step


def to_float(value: Decimal) -> float:
    """The door from money to analytics."""
    return float(value)


def price_from_float(value: float, instrument: Instrument, side: str) -> Decimal:
    """The door from analytics back to money: exact decimal text of the float, rounded by side."""
    return instrument.round_price(Decimal(repr(value)), side)
