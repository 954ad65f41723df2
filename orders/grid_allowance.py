"""How much of a grid's capital the limits on exposure leave room for: said when it starts, not level by level later."""

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final

from market.money import ZERO
from orders import account
from orders.desk import Desk
from orders.grid_legs import buy_quantity
from orders.grid_state import Grid, GridLevel
from orders.market_state import MarketState
from risk.headroom import Headroom, headrooms

_WHOLE_GRID: Final = ("exposure_per_asset", "exposure_total")
"""Limits that all levels share; that on one order is asked of each level by itself."""

_ONE_LEVEL: Final = "max_order_notional"
_ARMED_WITHIN: Final = Decimal("1.05")
"""A buy is armed while its level is within 5 % of the price, and counts at the price until it is sent."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """`fits` of `levels` buy levels may be armed at once; `room` (quote) is what `rule` leaves for them, `worth`
    (quote) what all of them together would be.
    """

    room: Decimal
    rule: str
    fits: int
    levels: int
    worth: Decimal

    def warning(self, capital: Decimal, quote: str) -> str:
        """What may be bought, what waits and why, for people; "" when all levels fit."""
        waiting = self.levels - self.fits
        if waiting <= 0:
            return ""
        if self.rule == _ONE_LEVEL:
            why = f"a single buy of {'it' if waiting == 1 else 'them'} is more than risk.{self.rule} allows"
            remedy = "take more levels or less capital"
        else:
            why = (
                f"all {self.levels} together would be worth {_cents(self.worth, ROUND_CEILING)} {quote}, and "
                f"risk.{self.rule} leaves {_cents(self.room, ROUND_FLOOR)} {quote}"
            )
            remedy = f"raise that limit, or start with at most {self._fitting(capital)} {quote}"
        return (
            f"{self.fits} of {self.levels} buy levels may be armed or held at once, {waiting} "
            f"{'waits' if waiting == 1 else 'wait'} for room, the nearest to the price first: {why}; {remedy}"
        )

    def _fitting(self, capital: Decimal) -> str:
        """The capital whose levels all fit, with a hundredth to spare for what the price does meanwhile."""
        return _cents(capital * max(self.room, ZERO) / self.worth * Decimal("0.99"), ROUND_FLOOR)


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
    spent, fits, worth_of_all = ZERO, 0, sum(worths, ZERO)
    for worth in worths:
        spent += worth
        if not _is_within(spent, tightest):
            break
        fits += 1
    one = rooms[_ONE_LEVEL]
    small = sum(_is_within(worth, one) for worth in worths)
    if small < fits:
        room = min(sum(worths[:small], ZERO), grid.command.capital)
        return Allowance(room, one.rule, small, len(worths), worth_of_all)
    return Allowance(max(tightest.amount, ZERO), tightest.rule, fits, len(worths), worth_of_all)


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


def _cents(amount: Decimal, rounding: str) -> str:
    return f"{amount.quantize(Decimal('0.01'), rounding):,}"
