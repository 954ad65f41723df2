"""Positions, balances and the portfolio as facts."""

from dataclasses import dataclass
from decimal import Decimal

from bus.ids import ClientOrderId
from market.record import fast_init


@fast_init
@dataclass(frozen=True, slots=True)
class PositionOpened:
    """From flat to holding. Average price in quote, fees included in `realized_pnl` only."""

    symbol: str
    quantity: Decimal
    average_price: Decimal
    client_order_id: ClientOrderId


@fast_init
@dataclass(frozen=True, slots=True)
class PositionChanged:
    """More or less of it. `realized_pnl` is this change's, after fees, in quote."""

    symbol: str
    quantity: Decimal
    average_price: Decimal
    realized_pnl: Decimal
    client_order_id: ClientOrderId


@fast_init
@dataclass(frozen=True, slots=True)
class PositionClosed:
    """Flat again: one round trip. `realized_pnl` is the whole round trip's, after all its fees, in quote."""

    symbol: str
    quantity: Decimal
    entry_price: Decimal
    exit_price: Decimal
    realized_pnl: Decimal
    fees: Decimal
    opened_ns: int
    closed_ns: int
    client_order_id: ClientOrderId


@fast_init
@dataclass(frozen=True, slots=True)
class FundsChanged:
    """Money came or went that is no profit: initial capital, deposit, withdrawal, correction by the venue."""

    asset: str
    delta: Decimal
    balance: Decimal
    reason: str


@fast_init
@dataclass(frozen=True, slots=True)
class PositionView:
    """One line of a portfolio: marked to bid, in quote. `is_dust`: less than can be sold, no open position.

    `opened_ns`: when the first of it was bought since it was flat (UTC); 0 for dust, once some of it was sold (an older
    position's remainder may be in it), and while nobody knows.
    `is_below_minimum`: dust, or worth less than the venue takes in one order; it does not count for `max_positions`.
    """

    symbol: str
    quantity: Decimal
    average_price: Decimal
    mark: Decimal
    value: Decimal
    unrealized_pnl: Decimal
    is_dust: bool = False
    opened_ns: int = 0
    is_below_minimum: bool = False


@fast_init
@dataclass(frozen=True, slots=True)
class PortfolioSnapshot:
    """The account as the engine sees it, all in quote; drawdowns and losses are ratios 0-1.

    `exposure` counts positions at mark and unfilled entries; `available` is cash not held by entries. `replaceable`:
    by symbol, sorted, the one of `working_entries` in whose place the council's next entry for the symbol comes.
    """

    quote: str
    equity: Decimal
    cash: Decimal
    available: Decimal
    exposure: Decimal
    realized_pnl: Decimal
    unrealized_pnl: Decimal
    fees: Decimal
    positions: tuple[PositionView, ...]
    working_entries: tuple[tuple[str, Decimal], ...]
    peak_equity: Decimal
    day_open_equity: Decimal
    day_peak_equity: Decimal
    week_peak_equity: Decimal
    daily_drawdown: float
    weekly_drawdown: float
    max_drawdown: float
    daily_loss: float
    initial_capital: Decimal
    replaceable: tuple[tuple[str, Decimal], ...] = ()

    @property
    def open_symbols(self) -> tuple[str, ...]:
        """Where something is held; dust is no position: nobody could close it."""
        return tuple(each.symbol for each in self.positions if each.quantity > 0 and not each.is_dust)

    @property
    def counted_symbols(self) -> tuple[str, ...]:
        """Those of them that hold a place of `max_positions`: what the venue would not sell alone holds none."""
        lines = (each for each in self.positions if each.quantity > 0)
        return tuple(each.symbol for each in lines if not (each.is_dust or each.is_below_minimum))
