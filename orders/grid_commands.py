"""StartGrid and StopGrid: everything that is wrong with a grid is said before it exists."""

from collections.abc import Iterator
from decimal import ROUND_CEILING, Decimal
from typing import Final

from bus.ids import ClientOrderId
from bus.messages.grid import GridStarted, GridStopped, GridStopping, StartGrid, StopGrid
from market.instrument import Instrument
from market.money import ONE, ZERO, to_text
from orders import account, grid_planner
from orders.admission import Refusal, refuse
from orders.desk import Desk
from orders.effects import Answer
from orders.grid_allowance import Allowance, allowance
from orders.grid_legs import BUY_LIMIT_OFFSET
from orders.grid_spacing import DEFAULT_SPACING, lowest_ratio, trail_for
from orders.grid_state import KEEP_SAMPLES, Grid
from orders.market_state import MarketState

MAX_LEVELS: Final = 50
NARROWEST: Final = Decimal("0.001")
WIDEST: Final = Decimal("0.2")
NARROWEST_TRAIL: Final = Decimal("0.0005")
WIDEST_TRAIL: Final = Decimal("0.1")
MARGIN: Final = Decimal("0.9")
"""A leg must be worth the minimum at 10 % below its level too: its buy follows a falling price."""

FARTHEST_CENTRE: Final = Decimal("0.5")
"""From the market, as a ratio of its price: further away is a slip of the pen."""

_CENT: Final = Decimal("0.01")


def start(desk: Desk, command: StartGrid) -> None:
    """Open the grid, or refuse it with the first thing that is wrong."""
    refusal = next(_problems(desk, command), None)
    if refusal is not None:
        desk.deny_command(ClientOrderId(""), command.symbol, refusal)
        return
    market = desk.markets[command.symbol]
    price = market.watched_price("last", "buy")
    centre = command.centre if command.centre is not None else price
    if centre is None:
        desk.deny_command(ClientOrderId(""), command.symbol, refuse(
            "PRICE_UNKNOWN", "centre", f"No price of {command.symbol} was heard yet: wait for it, or name a centre.",
        ))
        return
    grid = _draft(desk, command, market, centre)
    tuned = grid_planner.tuning(grid, "5-minute closes given with the command") if command.history else None
    if tuned is not None and command.spacing is None:
        grid.spacing, grid.trail = tuned.spacing, tuned.trail
    refusal = next(_misfits(desk, grid, market), None)
    if refusal is not None:
        desk.deny_command(ClientOrderId(""), command.symbol, refusal)
        return
    allowed = allowance(desk, grid, market, price if price is not None else centre)
    warning = allowed.warning(command.capital, desk.config.quote)
    if not allowed.fits:
        desk.deny_command(ClientOrderId(""), command.symbol, _too_large(desk, allowed, grid))
        return
    first = _first_spacing(command)
    desk.emit(GridStarted(
        grid.grid_id, command.symbol, command, first, _trail(command, first), centre, grid.price_tick, warning,
    ))
    if tuned is not None and command.spacing is None:
        desk.emit(tuned)


def stop(desk: Desk, command: StopGrid) -> None:
    """No more buys, and with `close` no more inventory. The same again only repeats its answer."""
    grid = desk.state.grids.get(command.grid_id)
    if grid is None:
        desk.deny_command(ClientOrderId(""), "", refuse(
            "UNKNOWN_GRID", "grid_id", f"There is no grid {command.grid_id[:40]!r}.", command.grid_id[:40],
        ))
        return
    if not grid.is_live:
        body = GridStopped(grid.grid_id, grid.symbol, grid.reason, grid.profit)
        desk.out.append(Answer(desk.maker.make(body, desk.now, cause=desk.cause)))
    elif grid.phase == "STOPPING" and (grid.is_closing or not command.close):
        stopping = GridStopping(grid.grid_id, grid.symbol, grid.is_closing, grid.reason)
        desk.out.append(Answer(desk.maker.make(stopping, desk.now, cause=desk.cause)))
    else:
        desk.emit(GridStopping(grid.grid_id, grid.symbol, command.close, command.reason or "stopped on request"))


# ---- what a grid would be ----------------------------------------------------------------------------


def _draft(desk: Desk, command: StartGrid, market: MarketState, centre: Decimal) -> Grid:
    tick = market.instrument.price_tick
    spacing = _first_spacing(command)
    grid = Grid(
        desk.state.grids.next_id, command.symbol, command, spacing, _trail(command, spacing), centre,
        tick if tick > ZERO else Decimal("1e-8"), desk.now,
    )
    grid.samples.extend(command.history)
    return grid


def _first_spacing(command: StartGrid) -> Decimal:
    """The fixed one, or 1.5 % within the bounds until there is a history to tune from."""
    if command.spacing is not None:
        return command.spacing
    spacing = DEFAULT_SPACING
    if command.min_spacing is not None:
        spacing = max(spacing, command.min_spacing)
    if command.max_spacing is not None:
        spacing = min(spacing, command.max_spacing)
    return min(spacing, grid_planner.HIGHEST_SHARE_BELOW / command.levels)


def _trail(command: StartGrid, spacing: Decimal) -> Decimal:
    return command.trail if command.trail is not None else trail_for(spacing)


# ---- what may be wrong -------------------------------------------------------------------------------


def _problems(desk: Desk, command: StartGrid) -> Iterator[Refusal]:
    """What is wrong whatever the price is."""
    market = desk.markets.get(command.symbol)
    if market is None or market.instrument.quote != desk.config.quote:
        yield refuse(
            "UNKNOWN_INSTRUMENT", "instrument", f"{command.symbol} is not traded here against {desk.config.quote}.",
            command.symbol,
        )
    if command.origin == "council":
        yield refuse(
            "NO_VERDICT", "verdict", "A grid of the council needs the risk officer's verdict on its capital, and there "
            "is no such verdict yet: only a person may start a grid.", "council", "manual",
        )
    running = desk.state.grids.of_symbol(command.symbol)
    if running is not None:
        yield refuse(
            "GRID_EXISTS", "grid", f"{command.symbol} has the grid {running.grid_id} already ({running.phase}): "
            "stop it first, with close if it still holds something.", running.grid_id, 1,
        )
    if not 1 <= command.levels <= MAX_LEVELS:
        yield _wrong("levels", command.levels, f"from 1 to {MAX_LEVELS}")
    if not command.capital.is_finite() or command.capital <= ZERO:
        yield _wrong("capital", command.capital, "above 0")
    for name in ("spacing", "min_spacing", "max_spacing"):
        ratio: Decimal | None = getattr(command, name)
        if ratio is not None and not (ratio.is_finite() and NARROWEST <= ratio <= WIDEST):
            yield _wrong(name, ratio, "from 0.001 to 0.2 (0.1 % to 20 %)")
    trail, lowest, highest = command.trail, command.min_spacing, command.max_spacing
    if trail is not None and not (trail.is_finite() and NARROWEST_TRAIL <= trail <= WIDEST_TRAIL):
        yield _wrong("trail", trail, "from 0.0005 to 0.1 (0.05 % to 10 %)")
    for name in ("floor", "centre"):
        price: Decimal | None = getattr(command, name)
        if price is not None and not (price.is_finite() and price > ZERO):
            yield _wrong(name, price, "above 0")
    if lowest is not None and highest is not None and lowest > highest:
        yield _wrong("min_spacing", lowest, f"at most max_spacing, {highest}")
    if command.spacing is not None and (lowest is not None or highest is not None):
        yield _wrong("spacing", command.spacing, "auto where bounds are given: a fixed spacing needs none")
    if command.entry == "first" and command.centre is not None:
        yield _wrong("centre", command.centre, "left out with a first entry, which sets it")
    if len(command.history) > KEEP_SAMPLES or not all(each.is_finite() and each > ZERO for each in command.history):
        yield _wrong("history", f"{len(command.history)} closes", f"at most {KEEP_SAMPLES} prices above 0")


def _misfits(desk: Desk, grid: Grid, market: MarketState) -> Iterator[Refusal]:
    """What is wrong at this centre and spacing: levels, floor, money."""
    command = grid.command
    if lowest_ratio(grid.reach, grid.spacing) < ONE - grid_planner.HIGHEST_SHARE_BELOW:
        yield _wrong(
            "spacing", grid.spacing, f"at most {to_text(grid_planner.HIGHEST_SHARE_BELOW / grid.reach)[:8]} with "
            f"{grid.reach} levels below the centre",
        )
        return
    lowest = grid.price_of(-grid.reach)
    price = market.watched_price("last", "sell")
    if price is not None and abs(grid.centre - price) > FARTHEST_CENTRE * price:
        yield _wrong("centre", to_text(grid.centre), f"within 50 % of the market, {to_text(price)}")
        return
    if command.floor is not None and command.floor >= lowest:
        yield _wrong("floor", command.floor, f"below the lowest level, {to_text(lowest)}")
    misfit = grid.misfit_at(grid.centre, grid.spacing)
    if misfit:
        yield refuse("INVALID_GRID", "spacing", f"The grid does not fit: {misfit}.", grid.spacing)
        return
    if price is not None and price <= grid.floor:
        yield _wrong("floor", grid.floor, f"below the market, {to_text(price)}")
    needed = needed_capital(desk, grid, market.instrument)
    if command.capital < needed:
        yield refuse(
            "GRID_TOO_SMALL", "capital", f"{to_text(command.capital)} {desk.config.quote} over {2 * grid.reach} buy "
            f"levels is too little for orders the venue takes: this grid needs {to_text(needed)} {desk.config.quote}, "
            "or fewer levels.", to_text(command.capital), to_text(needed),
        )
    stake = account.exposure(desk.state, desk.markets)
    available = desk.state.ledger.cash - stake.held_by_entries
    if command.capital > available:
        yield refuse(
            "INSUFFICIENT_FUNDS", "capital", f"The grid wants {to_text(command.capital)} {desk.config.quote}; "
            f"{to_text(available.quantize(_CENT))} are available.", to_text(command.capital), to_text(available),
        )


def _too_large(desk: Desk, allowed: Allowance, grid: Grid) -> Refusal:
    quote, share, room = desk.config.quote, to_text(grid.share.quantize(_CENT)), to_text(allowed.room.quantize(_CENT))
    return refuse(
        "GRID_TOO_LARGE", allowed.rule, f"No level of this grid fits into risk.{allowed.rule}: each of its "
        f"{allowed.levels} buy levels would hold {share} {quote}, and the limit leaves {room} {quote} for "
        f"{grid.symbol}. Raise risk.{allowed.rule}, lower the capital, or take more levels.", share, room,
    )


def needed_capital(desk: Desk, grid: Grid, instrument: Instrument) -> Decimal:
    """So much that every buy level gets an order of the minimum: $10 or the venue's, whichever is more."""
    smallest = max(desk.config.limits.min_notional, instrument.min_notional)
    most = ZERO
    for index in range(-grid.reach, grid.reach):
        price = grid.price_of(index)
        step = instrument.quantity_step
        quantity = max(smallest / (price * MARGIN), instrument.min_quantity)
        if step > ZERO:
            quantity = (quantity / step).to_integral_value(ROUND_CEILING) * step
        worst = price * (ONE + grid.trail) * (ONE + BUY_LIMIT_OFFSET) * (ONE + instrument.taker_fee)
        share = (quantity * worst).quantize(_CENT, ROUND_CEILING)  # a cent's rounding up covers the division
        most = max(most, share)
    return most * 2 * grid.reach


def _wrong(name: str, value: object, rule: str) -> Refusal:
    return refuse("INVALID_GRID", name, f"The grid's {name} is {value}; it must be {rule}.", value, rule)
