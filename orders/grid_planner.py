"""What a grid does next: each second, and at once after anything happened to one of its orders; never on a tick.

Planning compares what the book says with what ought to be and closes the difference, so it may be repeated at
any moment, after a restart too, and does nothing twice.
"""

from decimal import Decimal
from typing import Final

from bus.messages.council import AlphaSignal
from bus.messages.grid import (
    GridBandEntered,
    GridEntered,
    GridInventoryReleased,
    GridSampled,
    GridSessionBased,
    GridShifted,
    GridStopped,
    GridStopping,
    GridTuned,
)
from market.interval import SECOND_NS
from market.money import ONE, ZERO
from orders import grid_legs
from orders.cancelling import request_cancel
from orders.desk import Desk
from orders.grid_inventory import keep_exits_off
from orders.grid_spacing import NEEDED_SAMPLES, SAMPLE_S, measure, trail_for, tuned_spacing
from orders.grid_state import Grid, GridLevel
from orders.market_state import MarketState

ACTIVE_RATIO: Final = Decimal("0.05")
"""Levels within this distance of the price are active (T7)."""

LEAVE_RATIO: Final = Decimal("0.055")
"""A waiting buy this far away is taken back: a little later than it was armed, or it would flicker."""

FIRST_ENTRY_FALL: Final = Decimal("0.02")
FIRST_ENTRY_CONFIDENCE: Final = 0.70
TUNE_NS: Final = 3_600 * SECOND_NS
TUNE_STEP: Final = Decimal("0.1")
"""A tuned spacing moves the levels only when it is this much (ratio) from the present one."""

HIGHEST_SHARE_BELOW: Final = Decimal("0.9")
"""The lowest level lies at most this far (ratio) below the centre."""

_SAMPLE_NS: Final = SAMPLE_S * SECOND_NS
_DAY_NS: Final = 86_400 * SECOND_NS
_BAND_SLACK: Final = Decimal("0.6")
"""In units of the spacing: half a level is the band's edge, and a little more must be left behind to change it."""


def run(desk: Desk) -> None:
    """The once-a-second round over every grid."""
    for grid in desk.state.grids.live():
        market = desk.markets.get(grid.symbol)
        if market is None:
            continue
        price = market.watched_price("last", "sell")
        if price is not None:
            _observe(desk, grid, price)
        _plan(desk, grid, market, price)
    desk.state.grids.dirty.clear()


def run_dirty(desk: Desk) -> None:
    """The grids to which something happened in this very step."""
    book = desk.state.grids
    for grid_id in tuple(book.dirty):
        grid = book.get(grid_id)
        market = None if grid is None else desk.markets.get(grid.symbol)
        if grid is not None and grid.is_live and market is not None:
            _plan(desk, grid, market, market.watched_price("last", "sell"))
    book.dirty.clear()


def on_signal(desk: Desk, signal: AlphaSignal) -> None:
    """A confident buy signal is a first entry's other occasion (T8)."""
    grid = desk.state.grids.of_symbol(signal.symbol)
    market = desk.markets.get(signal.symbol)
    price = None if market is None else market.watched_price("last", "buy")
    if grid is None or grid.phase != "WAITING" or price is None:
        return
    is_buy = signal.action in ("buy", "trail_buy") and signal.weight > 0
    if is_buy and signal.confidence > FIRST_ENTRY_CONFIDENCE:
        told = f"{signal.alpha} says buy with confidence {signal.confidence:.2f}"
        _enter(desk, grid, price, told)


def _enter(desk: Desk, grid: Grid, price: Decimal, reason: str) -> None:
    misfit = grid.misfit_at(price, grid.spacing)
    if misfit:
        _begin_stopping(desk, grid, f"it cannot begin at {price}: {misfit}")
    else:
        desk.emit(GridEntered(grid.grid_id, grid.symbol, price, reason))


def _plan(desk: Desk, grid: Grid, market: MarketState, price: Decimal | None) -> None:
    _release_missing(desk, grid)
    keep_exits_off(desk, grid.symbol)
    kill = desk.state.kill
    if grid.phase != "STOPPING" and kill is not None and kill.action == "flatten":
        _begin_stopping(desk, grid, "the kill switch sold everything")
    if grid.phase == "RUNNING":
        _run(desk, grid, market, price)
    if grid.phase == "STOPPING":
        _wind_up(desk, grid, market, price)


# ---- watching --------------------------------------------------------------------------------------


def _observe(desk: Desk, grid: Grid, price: Decimal) -> None:
    """What is noted of the price: samples for the spacing, the band it is in, the session a first entry waits in."""
    if desk.now // _SAMPLE_NS != grid.sampled_ns // _SAMPLE_NS:
        desk.emit(GridSampled(grid.grid_id, grid.symbol, price))
    if grid.phase == "WAITING":
        _await_entry(desk, grid, price)
    if grid.phase != "RUNNING":
        return
    nearest = grid.level_at(price)
    if abs(nearest) > grid.reach:
        if grid.band is not None:
            desk.emit(GridBandEntered(grid.grid_id, grid.symbol, nearest, is_inside=False))
        return
    if grid.band == nearest:
        return
    if grid.band is not None:
        distance = abs((price / grid.centre - ONE) / grid.spacing - grid.band)
        if distance < _BAND_SLACK:
            return
    desk.emit(GridBandEntered(grid.grid_id, grid.symbol, nearest, is_inside=True))


def _await_entry(desk: Desk, grid: Grid, price: Decimal) -> None:
    if desk.now // _DAY_NS != grid.session_ns // _DAY_NS:
        desk.emit(GridSessionBased(grid.grid_id, grid.symbol, price))
    elif price <= grid.session_price * (ONE - FIRST_ENTRY_FALL):
        told = f"the price {price} is 2 % below the session's start {grid.session_price}"
        _enter(desk, grid, price, told)


# ---- running ---------------------------------------------------------------------------------------


def _run(desk: Desk, grid: Grid, market: MarketState, price: Decimal | None) -> None:
    if grid.is_floor_reached or (price is not None and price <= grid.floor):
        _begin_stopping(desk, grid, f"the price reached the floor {grid.floor}")
        return
    if price is None:
        return
    if _is_flat(desk, grid, market, price):
        _move(desk, grid, price)
        if grid.phase != "RUNNING":
            return
    _plan_sells(desk, grid, market, price)
    _plan_buys(desk, grid, price)


def _is_flat(desk: Desk, grid: Grid, market: MarketState, price: Decimal) -> bool:
    """Nothing is held that could be sold, and nothing is on its way: the levels may move."""
    if grid_legs.sellable(market.instrument, grid.quantity, price):
        return False
    for level in grid.levels.values():
        buy = grid_legs.working(desk, level.buy_id)
        if grid_legs.working(desk, level.sell_id) is not None or (buy is not None and not buy.is_armed):
            return False
    return True


def _move(desk: Desk, grid: Grid, price: Decimal) -> None:
    """A flat grid follows a price that left it upwards (never downwards), and tunes its spacing."""
    if grid.command.spacing is None and desk.now - grid.tuned_ns >= TUNE_NS:
        _tune(desk, grid)
    if price > grid.price_of(grid.reach):
        grid_legs.cancel_buys(desk, grid, "the grid moves up")
        desk.emit(GridShifted(
            grid.grid_id, grid.symbol, grid.centre, price, "the price is above the highest level and all is sold",
        ))


def _tune(desk: Desk, grid: Grid) -> None:
    if len(grid.samples) < NEEDED_SAMPLES:
        return
    tuned = tuning(grid, "own prices, every 5 minutes")
    if tuned.spacing != grid.spacing:
        grid_legs.cancel_buys(desk, grid, "the grid's spacing changes")
    desk.emit(tuned)


def tuning(grid: Grid, source: str) -> GridTuned:
    """The spacing its samples ask for; the present one while the difference is small or the levels would not fit."""
    command, swings = grid.command, measure(grid.samples)
    spacing = tuned_spacing(swings, command.min_spacing, command.max_spacing)
    spacing = min(spacing, HIGHEST_SHARE_BELOW / grid.reach)
    is_small = abs(spacing - grid.spacing) < TUNE_STEP * grid.spacing
    if is_small or grid.misfit_at(grid.centre, spacing):
        spacing = grid.spacing
    trail = command.trail if command.trail is not None else trail_for(spacing)
    return GridTuned(
        grid.grid_id, grid.symbol, spacing, trail, swings.average_swing_ratio, swings.recent_volatility,
        swings.month_volatility, len(grid.samples), source,
    )


def _plan_sells(desk: Desk, grid: Grid, market: MarketState, price: Decimal) -> None:
    """Each level that holds something has its sell, and the floor covers everything that is not leaving already."""
    for index in sorted(grid.levels):
        level = grid.levels[index]
        quantity = grid_legs.sellable(market.instrument, level.quantity, price)
        order = grid_legs.working(desk, level.sell_id)
        if order is not None:
            if quantity:
                grid_legs.fit_sell(desk, order, quantity)
            elif order.is_armed:
                request_cancel(desk, order, "the level holds nothing any more")
        elif quantity and grid_legs.working(desk, level.buy_id) is None:
            grid_legs.arm_sell(desk, grid, level, quantity)
    orders = grid_legs.working_orders(desk, grid)
    left = grid.quantity - grid_legs.leaving(orders)
    grid_legs.keep_floor(desk, grid, grid_legs.sellable(market.instrument, left, price))


def _plan_buys(desk: Desk, grid: Grid, price: Decimal) -> None:
    may_buy = desk.state.trading_state == "ACTIVE" and desk.state.kill is None
    # The nearest first: where limits leave room for some levels only, those are the ones that matter.
    for index in sorted(range(-grid.reach, grid.reach), key=lambda index: (abs(grid.price_of(index) - price), index)):
        level = grid.levels[index]
        order = grid_legs.working(desk, level.buy_id)
        distance = abs(grid.price_of(index) - price)
        if order is not None:
            is_waiting = order.is_armed and not desk.state.watch.is_active(order.client_order_id)
            if is_waiting and distance > LEAVE_RATIO * price:
                request_cancel(desk, order, "the level is more than 5 % from the price")
        elif may_buy and distance <= ACTIVE_RATIO * price and _may_buy(desk, grid, level, price):
            grid_legs.arm_buy(desk, grid, level)


def _may_buy(desk: Desk, grid: Grid, level: GridLevel, price: Decimal) -> bool:
    """Empty, and under the price; or begun before, and not done yet. A level over the price waits for it to pass."""
    if grid_legs.working(desk, level.sell_id) is not None:
        return False
    if grid_legs.sellable(desk.markets[grid.symbol].instrument, level.quantity, price):
        return False
    return level.is_ready or grid.price_of(level.index) <= price


# ---- the end ---------------------------------------------------------------------------------------


def _begin_stopping(desk: Desk, grid: Grid, reason: str) -> None:
    desk.emit(GridStopping(grid.grid_id, grid.symbol, close=True, reason=reason))


def _wind_up(desk: Desk, grid: Grid, market: MarketState, price: Decimal | None) -> None:
    """No buys; then the sells go on, or everything is sold; and when nothing is left the grid has ended.

    While nothing may be sold the sells and the floor stay armed: what waits to be closed must not be bare meanwhile.
    """
    grid_legs.cancel_buys(desk, grid, f"the grid stops: {grid.reason}")
    if grid.is_floor_reached and not grid.is_closing:
        _begin_stopping(desk, grid, f"the price reached the floor {grid.floor}")
    may_sell = desk.state.lets_exit_leave("protective") and grid.symbol not in desk.state.halted_symbols
    is_flattened = desk.state.kill is not None and desk.state.kill.action == "flatten"
    if grid.is_closing and (may_sell or is_flattened):
        grid_legs.cancel_armed_sells(desk, grid, f"the grid closes: {grid.reason}")
    elif price is not None:
        _plan_sells(desk, grid, market, price)
    orders = grid_legs.working_orders(desk, grid)
    if grid.quantity > ZERO:
        if price is None or (orders and not grid.is_closing):
            return
        # The gate looks at the quote, too: what it takes for dust must not be offered to it each second.
        worth = price if market.mark is None else min(price, market.mark)
        left = grid_legs.sellable(market.instrument, grid.quantity - grid_legs.leaving(orders), worth)
        if left:
            if may_sell:
                grid_legs.sell_whole(desk, grid, left)
            return
    if grid_legs.working_orders(desk, grid):
        return
    for index in sorted(grid.levels):
        level = grid.levels[index]
        if level.quantity:
            _release(desk, grid, level, level.quantity, "too small to be sold")
    desk.emit(GridStopped(grid.grid_id, grid.symbol, grid.reason, grid.profit))


def _release_missing(desk: Desk, grid: Grid) -> None:
    """Another order (a person's, the kill switch's) sold what the grid held: the highest levels lose it first."""
    missing = grid.quantity - max(desk.state.ledger.quantity(grid.symbol), ZERO)
    for index in sorted(grid.levels, reverse=True):
        level = grid.levels[index]
        part = min(missing, level.quantity)
        if missing > ZERO and part > ZERO:
            _release(desk, grid, level, part, "another order sold it")
            missing -= part


def _release(desk: Desk, grid: Grid, level: GridLevel, quantity: Decimal, reason: str) -> None:
    cost = level.cost_of(quantity)
    desk.emit(GridInventoryReleased(grid.grid_id, grid.symbol, level.index, quantity, cost, reason))

