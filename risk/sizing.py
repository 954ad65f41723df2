"""How much to buy: what the chosen method wishes for, never more than any cap allows, never rounded up.

Caps that are no limits of the account: risk per trade holds for every method, Kelly for the methods
"confidence" and "kelly", volatility for "confidence" (T10) and "volatility".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from market.instrument import Instrument
from market.money import ONE, ZERO, to_text
from risk.headroom import Headroom, headrooms, largest_quantity
from risk.limits import RiskLimits
from risk.sizing_methods import Means, Sizing, wished_value
from risk.wording import money, percent

KELLY_ROUND_TRIPS: Final = 100
"""The Kelly cap looks at so many of the last round trips,"""
KELLY_MINIMUM_ROUND_TRIPS: Final = 20
"""and at none while there are fewer than this."""
SHRINK_FROM: Final = Decimal("0.8")
"""Share of a drawdown limit from which sizes shrink."""


_STANDARD: Final = Sizing()


@dataclass(frozen=True, slots=True)
class SizedEntry:
    """Quantity in base on the venue's step, its value in quote, and why it is this and not more.

    Quantity zero means: do not enter; the last reason says why.
    """

    quantity: Decimal
    notional: Decimal
    reasons: tuple[str, ...]


def drawdown_factor(drawdown: Decimal, limit: Decimal) -> Decimal:
    """What a size is multiplied by: 1 up to 80 % of the drawdown limit, then linearly to 0 at the limit."""
    if drawdown >= limit:
        return ZERO
    if drawdown <= SHRINK_FROM * limit:
        return ONE
    return (limit - drawdown) / ((ONE - SHRINK_FROM) * limit)


def kelly_cap(round_trip_returns: Sequence[Decimal], sizing: Sizing = _STANDARD) -> Decimal | None:
    """The largest share of capital to stake, by the results of the last 100 round trips; None below 20 of them.

    f = W - (1 - W) / R, where W is the share of winners and R the average win over the average loss
    (J. L. Kelly, "A New Interpretation of Information Rate", 1956, for an even bet paying R); half of it for
    safety, at most 25 %, and 0 when the record has no edge. A result of zero counts as no win.
    """
    recent = round_trip_returns[-KELLY_ROUND_TRIPS:]
    if len(recent) < KELLY_MINIMUM_ROUND_TRIPS:
        return None
    wins = [result for result in recent if result > ZERO]
    losses = [-result for result in recent if result < ZERO]
    if not wins:
        return ZERO
    win_share = Decimal(len(wins)) / len(recent)
    edge = win_share
    if losses:
        average_win = sum(wins, ZERO) / len(wins)
        average_loss = sum(losses, ZERO) / len(losses)
        edge = win_share - (ONE - win_share) * average_loss / average_win
    return min(max(edge * sizing.kelly_safety, ZERO), sizing.kelly_cap)


def size_entry(
    *, instrument: Instrument, price: Decimal, equity: Decimal, available: Decimal, confidence: float,
    base_share: Decimal, stop_ratio: Decimal | None, limits: RiskLimits,
    round_trip_returns: Sequence[Decimal] = (), asset_exposure: Decimal = ZERO, total_exposure: Decimal = ZERO,
    atr_ratio: Decimal | None = None, shrink: Decimal = ONE, sizing: Sizing = _STANDARD,
) -> SizedEntry:
    """The size of one entry at `price` (quote per base), equity and cash in quote.

    `confidence` 0-1 (analytics, hence a float); `base_share` the share of available cash at full confidence;
    `stop_ratio` and `atr_ratio` are distances as ratios of price; `round_trip_returns` the result of past round
    trips, oldest first (profits or returns: only their sign and proportion count). `shrink` is R4's factor
    (`drawdown_factor`), applied last of all: leave it at 1 for proposals, the risk officer applies it to them.
    `sizing` says by which method the size is wished for.
    Raises ValueError for a confidence or a base share outside 0-1, or a price that is not positive.
    """
    # The float's own decimal text, so that 0.7 is 0.7 and every machine sizes alike.
    trust = Decimal(repr(float(confidence)))
    _require(instrument, price, trust, base_share)
    means = Means(
        instrument.quote, equity, available, base_share, trust, stop_ratio, atr_ratio,
        kelly_cap(round_trip_returns, sizing),
    )
    wished, how = wished_value(sizing, means)
    reasons = [how]
    rooms = (
        Headroom("position_size", "", wished, False, ""),
        *_own_rooms(sizing, means),
        *headrooms(base=instrument.base, equity=equity, available=available, asset_exposure=asset_exposure,
                   total_exposure=total_exposure, cost_ratio=instrument.taker_fee, limits=limits),
    )
    quantity, binding = min(
        ((largest_quantity(instrument, price, room), room) for room in rooms), key=lambda pair: pair[0],
    )
    if binding.phrase:
        reasons.append(f"Lowered to {money(quantity * price, instrument.quote)}: else {binding.phrase}.")
    if instrument.max_quantity > ZERO and quantity > instrument.max_quantity:
        quantity = instrument.round_quantity(instrument.max_quantity)
        reasons.append(f"Lowered to the venue's largest quantity, {to_text(quantity)} {instrument.base}.")
    if shrink < ONE:
        quantity = instrument.round_quantity(quantity * max(shrink, ZERO))
        reasons.append(f"Shrunk to {percent(max(shrink, ZERO))} of that: a drawdown is near its limit.")
    return _unless_too_small(instrument, price, quantity, limits, reasons)


def _require(instrument: Instrument, price: Decimal, trust: Decimal, base_share: Decimal) -> None:
    if not price.is_finite() or price <= ZERO:
        raise ValueError(f"price of {instrument.symbol}: {price} is no price: size an entry once a price is known")
    if not trust.is_finite() or not ZERO <= trust <= ONE:
        raise ValueError(f"confidence: {trust} is not between 0 and 1")
    if not base_share.is_finite() or not ZERO <= base_share <= ONE:
        raise ValueError(f"strategy.position_size: {base_share} is not a share between 0 and 1")


def _own_rooms(sizing: Sizing, means: Means) -> list[Headroom]:
    """Caps that are no limits of the account: Kelly, risk per trade, volatility."""
    rooms = []
    if means.kelly_share is not None and sizing.method in ("confidence", "kelly"):
        rooms.append(Headroom("kelly", "", means.kelly_share * means.available, False,
                              f"it would exceed the Kelly share of {percent(means.kelly_share)}"))
    risk = sizing.risk_per_trade * means.equity
    if means.stop_ratio is not None and means.stop_ratio > ZERO:
        rooms.append(Headroom("risk_per_trade", "", risk / means.stop_ratio, False,
                              f"the stop would cost more than {percent(sizing.risk_per_trade)} of equity"))
    if means.atr_ratio is not None and means.atr_ratio > ZERO and sizing.method in ("confidence", "volatility"):
        rooms.append(Headroom("volatility", "", risk / means.atr_ratio, False,
                              f"a usual move would cost more than {percent(sizing.risk_per_trade)} of equity"))
    return rooms


def _unless_too_small(
    instrument: Instrument, price: Decimal, quantity: Decimal, limits: RiskLimits, reasons: list[str],
) -> SizedEntry:
    notional = quantity * price
    smallest = max(limits.min_notional, instrument.min_notional)
    if quantity > ZERO and quantity >= instrument.min_quantity and notional >= smallest:
        return SizedEntry(quantity, notional, tuple(reasons))
    reasons.append(
        f"Too small to send: {to_text(quantity)} {instrument.base} is worth {money(notional, instrument.quote)}; "
        f"the smallest is {to_text(instrument.min_quantity)} {instrument.base} "
        f"and {money(smallest, instrument.quote)}."
    )
    return SizedEntry(ZERO, ZERO, tuple(reasons))
