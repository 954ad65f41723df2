"""How much of a grid's capital the limits on exposure leave room for: said when it starts, not level by level later."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from market.money import ONE, ZERO
from orders import account
from orders.desk import Desk
from orders.grid_legs import buy_quantity
from orders.grid_state import Grid, GridLevel
from orders.market_state import MarketState
from risk.headroom import Headroom, headrooms

_WHOLE_GRID: Final = ("exposure_per_asset", "exposure_total")
"""Limits that all levels share; that on one order is asked of each level by itself."""

_ARMED_WITHIN: Final = Decimal("1.05")
"""A buy is armed while its level is within 5 % of the price, and counts at the price until it is sent."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """`fits` of `levels` buy levels may be armed at once; `room` (quote) is what `rule` leaves for them."""

    room: Decimal
    rule: str
    fits: int
    levels: int

    def warning(self, capital: Decimal, quote: str) -> str:
        """A sentence for people; "" when all levels fit."""
        if self.fits >= self.levels:
            return ""
        return (
            f"the limits allow {_whole(self.room)} of {_whole(capital)} {quote}: {self.levels - self.fits} of "
            f"{self.levels} levels will wait; raise risk.{self.rule} or start with less capital"
        )


def allowance(desk: Desk, grid: Grid, market: MarketState, price: Decimal) -> Allowance:
    """What the limits allow of a grid that is about to start at this price, beside what is held and ordered already."""
    limits, instrument = desk.config.limits, market.instrument
    stake = account.exposure(desk.state, desk.markets, grid.symbol)
    rooms = {room.rule: room for room in headrooms(
        base=instrument.base, equity=stake.equity, available=desk.state.ledger.cash - stake.held_by_entries,
        asset_exposure=stake.asset, total_exposure=stake.total,
        cost_ratio=instrument.taker_fee + desk.config.slippage_ratio, limits=limits,
    )}
    tightest = min((rooms[rule] for rule in _WHOLE_GRID), key=lambda room: room.amount)
    worths = sorted(_worths(grid, market, price))
    spent, fits = ZERO, 0
    for worth in worths:
        spent += worth
        if not _is_within(spent, tightest):
            break
        fits += 1
    one = rooms["max_order_notional"]
    small = sum(_is_within(worth, one) for worth in worths)
    if small < fits:
        return Allowance(min(sum(worths[:small], ZERO), grid.command.capital), one.rule, small, len(worths))
    return Allowance(max(tightest.amount, ZERO), tightest.rule, fits, len(worths))


def _worths(grid: Grid, market: MarketState, price: Decimal) -> list[Decimal]:
    """Quote value of each level's buy as the gate counts it when it is armed."""
    found = []
    for index in range(-grid.reach, grid.reach):
        at = grid.price_of(index)
        counted = max(at, min(price, at * _ARMED_WITHIN))
        found.append(buy_quantity(grid, market.instrument, GridLevel(index)) * counted)
    return found


def _is_within(value: Decimal, room: Headroom) -> bool:
    return value < room.amount if room.is_exclusive else value <= room.amount


def _whole(amount: Decimal) -> str:
    return f"{amount.quantize(ONE):,}" if amount >= 100 else f"{amount.quantize(Decimal('0.01')):,}"
