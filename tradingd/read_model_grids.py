"""Grids as people see them: one row per level, money as decimal text, ratios as decimal text, time ISO 8601 UTC."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from market.interval import SECOND_NS
from market.money import ZERO, to_text
from orders.grid_book import GridBook
from orders.grid_state import Grid, GridLevel, GridPhase
from tradingd.read_model_orders import OrderRecord
from tradingd.read_model_views import iso_or_none, text_or_none, to_iso

LevelState = Literal["idle", "blocked", "buy_armed", "buying", "holding", "sell_armed", "selling"]
Orders = Mapping[str, OrderRecord]

_PLACES = 12


@dataclass(frozen=True, slots=True)
class GridLevelView:
    """One level: what it holds and earned, how many orders it made, how long the price was in its band.

    `blocked` means that its order was refused when it was to be armed: see `error`, which keeps the last one.
    """

    level: int
    price: str
    state: LevelState
    quantity: str
    average_price: str | None
    profit: str
    fees: str
    round_trips: int
    orders: int
    spent_s: float
    buy_order: str
    sell_order: str
    error: str
    error_at: str | None


@dataclass(frozen=True, slots=True)
class GridTuningView:
    """What the spacing was last computed from; the three measures are 0 while the history is too short."""

    at: str
    spacing: str
    average_swing_ratio: float
    recent_volatility: float
    month_volatility: float
    samples: int
    source: str


@dataclass(frozen=True, slots=True)
class GridView:
    """A grid. `profit` is booked and after fees; `cost` is what is held at what was paid for it.

    `released` is the cost of what other orders sold, which no level's profit counts. `warning` says, since the start,
    that the limits leave no room for all levels.
    """

    id: str
    symbol: str
    state: GridPhase
    reason: str
    warning: str
    capital: str
    levels: int
    spacing: str
    is_auto: bool
    trail: str
    centre: str
    lowest: str
    highest: str
    floor: str
    entry: str
    session_price: str | None
    quantity: str
    cost: str
    profit: str
    fees: str
    round_trips: int
    orders: int
    shifts: int
    released: str
    started: str
    stopped: str | None
    tuning: GridTuningView | None
    rows: tuple[GridLevelView, ...]


def grid_views(book: GridBook, orders: Orders, now: int) -> list[GridView]:
    """Every grid that is remembered, the newest first."""
    return [grid_view(grid, orders, now) for grid in reversed(tuple(book))]


def grid_view(grid: Grid, orders: Orders, now: int) -> GridView:
    """One grid, its highest level first."""
    command, levels = grid.command, grid.levels.values()
    return GridView(
        id=grid.grid_id, symbol=grid.symbol, state=grid.phase, reason=grid.reason, warning=grid.warning,
        capital=to_text(command.capital), levels=grid.reach, spacing=to_text(grid.spacing),
        is_auto=command.spacing is None, trail=to_text(grid.trail),
        centre=to_text(grid.centre), lowest=to_text(grid.price_of(-grid.reach)),
        highest=to_text(grid.price_of(grid.reach)), floor=to_text(grid.floor), entry=command.entry,
        session_price=text_or_none(grid.session_price) if grid.session_ns else None,
        quantity=to_text(grid.quantity), cost=_money(grid.cost), profit=_money(grid.profit),
        fees=_money(sum((level.fees for level in levels), ZERO)),
        round_trips=sum(level.round_trips for level in levels), orders=grid.orders_made, shifts=grid.shifts,
        released=_money(grid.released_cost), started=to_iso(grid.started_ns), stopped=iso_or_none(grid.stopped_ns),
        tuning=_tuning_view(grid),
        rows=tuple(_level_view(grid, grid.levels[index], orders, now) for index in sorted(grid.levels, reverse=True)),
    )


def _tuning_view(grid: Grid) -> GridTuningView | None:
    tuned = grid.tuning
    return None if tuned is None else GridTuningView(
        to_iso(grid.tuned_ns), to_text(tuned.spacing), tuned.average_swing_ratio, tuned.recent_volatility,
        tuned.month_volatility, tuned.samples, tuned.source,
    )


def _level_view(grid: Grid, level: GridLevel, orders: Orders, now: int) -> GridLevelView:
    spent = level.spent_ns + (max(now - grid.band_ns, 0) if grid.band == level.index else 0)
    return GridLevelView(
        level=level.index, price=to_text(grid.price_of(level.index)), state=_state_of(level, orders),
        quantity=to_text(level.quantity), average_price=_money(level.cost / level.quantity) if level.quantity else None,
        profit=_money(level.profit), fees=_money(level.fees), round_trips=level.round_trips, orders=level.orders,
        spent_s=round(spent / SECOND_NS, 3), buy_order=level.buy_id, sell_order=level.sell_id, error=level.error,
        error_at=iso_or_none(level.error_ns),
    )


def _state_of(level: GridLevel, orders: Orders) -> LevelState:
    sell, buy = orders.get(level.sell_id), orders.get(level.buy_id)
    if sell is not None and sell.is_working:
        return "sell_armed" if sell.state == "PENDING" else "selling"
    if buy is not None and buy.is_working:
        return "buy_armed" if buy.state == "PENDING" else "buying"
    if level.quantity:
        return "holding"
    return "blocked" if level.blocked_code else "idle"


def _money(value: Decimal) -> str:
    return to_text(round(value, _PLACES))
