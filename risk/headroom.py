"""How much more may be bought: what each limit leaves, in quote, and the largest quantity that fits."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from market.instrument import Instrument
from market.money import ONE, ZERO
from risk.limits import RiskLimits
from risk.wording import percent

SPREAD_RATIO: Final = Decimal("0.002")
"""Set aside for the way between ask and bid, which the gate counts as well: the widest spread that is traded."""
_SLIVER: Final = Decimal("1E-9")


@dataclass(frozen=True, slots=True)
class Headroom:
    """What one limit leaves.

    `amount` in quote, negative when the limit is passed already; `is_exclusive`: reaching it is a breach.
    `phrase` says what a larger order would do, as part of a sentence.
    """

    rule: str
    code: str
    amount: Decimal
    is_exclusive: bool
    phrase: str


def headrooms(
    *, base: str, equity: Decimal, available: Decimal, asset_exposure: Decimal, total_exposure: Decimal,
    cost_ratio: Decimal, limits: RiskLimits,
) -> tuple[Headroom, ...]:
    """What the limits on money leave for one more entry in `base`, in the order in which the gate asks.

    `cost_ratio` is what an entry costs beyond its price (taker fee and slippage).
    """
    return (
        Headroom("max_order_notional", "MAX_ORDER_NOTIONAL", limits.max_order_notional * equity, False,
                 f"one order would exceed {percent(limits.max_order_notional)} of equity"),
        Headroom("available_funds", "INSUFFICIENT_FUNDS", available / (ONE + cost_ratio), False,
                 "the available cash would not suffice"),
        Headroom("exposure_per_asset", "EXPOSURE_PER_ASSET",
                 _room(limits.exposure_per_asset, equity, asset_exposure, cost_ratio), True,
                 f"exposure in {base} would exceed {percent(limits.exposure_per_asset)}"),
        Headroom("exposure_total", "EXPOSURE_TOTAL",
                 _room(limits.exposure_total, equity, total_exposure, cost_ratio), True,
                 f"total exposure would exceed {percent(limits.exposure_total)}"),
    )


def _room(limit: Decimal, equity: Decimal, exposure: Decimal, cost_ratio: Decimal) -> Decimal:
    """What may be spent so that the exposure is within its share of the equity that is left after the costs."""
    return (limit * equity - exposure) / (ONE + limit * (cost_ratio + SPREAD_RATIO))


def fits(quantity: Decimal, price: Decimal, room: Headroom) -> bool:
    """Whether this much at this price stays within the room."""
    value = quantity * price
    return value < room.amount if room.is_exclusive else value <= room.amount


def largest_quantity(instrument: Instrument, price: Decimal, room: Headroom) -> Decimal:
    """The largest quantity on the instrument's step that fits into the room at `price`; zero when none does."""
    if room.amount <= ZERO or price <= ZERO:
        return ZERO
    quantity = instrument.round_quantity(room.amount / price)
    # One step less when the room is exclusive and met exactly, or when the division rounded up.
    if not fits(quantity, price, room):
        step = instrument.quantity_step if instrument.quantity_step > ZERO else quantity * _SLIVER
        quantity -= step
    return max(quantity, ZERO)
