"""One row of each projected table, as a fold changes it. Field names are column names; see `store.sql.tables`."""

import math
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Any, ClassVar

from sqlalchemy import Table

from market.money import ZERO
from store.sql import tables


@dataclass(slots=True)
class Row:
    """What every row has: its table, and its key behind the account."""

    TABLE: ClassVar[Table]
    KEY: ClassVar[tuple[str, ...]]

    def key(self) -> tuple[Any, ...]:
        """The primary key without the account."""
        return tuple(getattr(self, name) for name in self.KEY)

    def values(self, account: str) -> dict[str, Any]:
        """As SQLAlchemy wants it, and every database: PostgreSQL knows no text with a NUL character in it."""
        return {"account": account, **{each.name: _without_nul(getattr(self, each.name)) for each in fields(self)}}


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if "\0" in value else value
    if isinstance(value, list):
        return [_without_nul(each) for each in value]
    if isinstance(value, dict):
        return {name: _without_nul(each) for name, each in value.items()}
    return value


@dataclass(slots=True)
class SessionRow(Row):
    """One run of the daemon, begun with this record. `stopped_ns` is 0 when it never said goodbye."""

    TABLE = tables.SESSIONS
    KEY = ("session",)
    session: str
    record: int = 0
    version: str = ""
    mode: str = ""
    venue: str = ""
    symbols: list[str] = field(default_factory=list)
    seed: int = 0
    started_ns: int = 0
    stopped_ns: int = 0
    end_reason: str = ""


@dataclass(slots=True)
class OrderRow(Row):
    """One order as it stands. `value` is the sum of quantity times price of its fills, `fees` in quote."""

    TABLE = tables.ORDERS
    KEY = ("order_id",)
    order_id: str
    symbol: str
    side: str
    order_type: str
    quantity: Decimal
    created_ns: int
    updated_ns: int
    state: str = "PENDING"
    detail: str = "initialized"
    ended_by: str = ""
    reason: str = ""
    origin: str = ""
    tag: str = ""
    proposal_id: str = ""
    parent_id: str = ""
    replaces: str = ""
    venue_order_id: str = ""
    lead_alpha: str = ""
    timeframe: str = ""
    regime: str = ""
    strategy_version: str = ""
    session: str = ""
    filled: Decimal = ZERO
    value: Decimal = ZERO
    fees: Decimal = ZERO
    price: Decimal | None = None
    stop_price: Decimal | None = None
    average_price: Decimal | None = None
    reference_price: Decimal | None = None
    stop_ratio: Decimal | None = None
    take_profit_ratio: Decimal | None = None
    reduce_only: bool = False
    confidence: float | None = None
    volatility: float | None = None
    volume_ratio: float | None = None
    trail: Any = None
    votes: Any = None
    submitted_ns: int = 0


@dataclass(slots=True)
class FillRow(Row):
    """One execution."""

    TABLE = tables.FILLS
    KEY = ("symbol", "trade_id")
    symbol: str
    trade_id: str
    order_id: str
    side: str
    quantity: Decimal
    price: Decimal
    value: Decimal
    fee: Decimal
    fee_asset: str
    origin: str
    lead_alpha: str
    is_maker: bool
    simulated: bool
    ts_ns: int


@dataclass(slots=True)
class PositionRow(Row):
    """What is held of a symbol, and how it was entered; quantity 0 once it is closed."""

    TABLE = tables.POSITIONS
    KEY = ("symbol",)
    symbol: str
    quantity: Decimal
    average_price: Decimal
    opened_ns: int
    updated_ns: int
    entry_order_id: str = ""
    timeframe: str = ""
    regime: str = ""
    lead_alpha: str = ""
    strategy_version: str = ""
    stop_price: Decimal | None = None
    target_price: Decimal | None = None
    volatility: float | None = None
    volume_ratio: float | None = None
    confidence: float | None = None


@dataclass(slots=True)
class RoundTripRow(Row):
    """From flat to flat. `result` WIN, LOSS or BREAKEVEN by the sign after fees; `r_multiple` profit over risk."""

    TABLE = tables.ROUND_TRIPS
    KEY = ("record",)
    record: int
    symbol: str
    direction: str
    result: str
    entry_order_id: str
    exit_order_id: str
    timeframe: str
    regime: str
    lead_alpha: str
    strategy_version: str
    session: str
    worker: str
    quantity: Decimal
    entry_price: Decimal
    exit_price: Decimal
    profit: Decimal
    fees: Decimal
    stop_price: Decimal | None
    target_price: Decimal | None
    return_ratio: float | None
    r_multiple: float | None
    volatility: float | None
    volume_ratio: float | None
    confidence: float | None
    opened_ns: int
    closed_ns: int


@dataclass(slots=True)
class DecisionRow(Row):
    """A decision of the council, or another word of an agent. `outcome` of a proposal: OPEN, APPROVED, VETOED, EXPIRED;
    of a decision without one: HOLD, UNSURE, BLOCKED, NO_PLAN; else SAID. `skipped`: alphas that gave no opinion.
    """

    TABLE = tables.AGENT_DECISIONS
    KEY = ("decision_id",)
    decision_id: str
    agent: str
    kind: str
    made_ns: int
    symbol: str = ""
    side: str = ""
    outcome: str = "SAID"
    code: str = ""
    reason: str = ""
    lead_alpha: str = ""
    timeframe: str = ""
    regime: str = ""
    quantity: Decimal | None = None
    allowed_quantity: Decimal | None = None
    reference_price: Decimal | None = None
    confidence: float | None = None
    volatility: float | None = None
    volume_ratio: float | None = None
    votes: Any = None
    skipped: Any = None
    checks: Any = None
    settled_ns: int = 0


@dataclass(slots=True)
class AgentRow(Row):
    """How an agent was when it last changed."""

    TABLE = tables.AGENT_STATES
    KEY = ("agent",)
    agent: str
    state: str = ""
    error: str = ""
    restarts: int = 0
    changed_ns: int = 0


@dataclass(slots=True)
class FailedOrderRow(Row):
    """An order we denied or the venue rejected (`failed_by` us or venue)."""

    TABLE = tables.FAILED_ORDERS
    KEY = ("record",)
    record: int
    order_id: str
    symbol: str
    side: str
    failed_by: str
    code: str
    family: str
    rule: str
    measured: str
    allowed: str
    message: str
    quantity: Decimal | None
    ts_ns: int


@dataclass(slots=True)
class DayRow(Row):
    """One UTC day: `profit` and `fees` of round trips that closed, `net_flow` deposits less withdrawals.

    `sharpe`: mean over sample deviation of the round trips' returns, None below two. `return_mean` and
    `return_squares` are what it goes on from (Welford 1962).
    """

    TABLE = tables.DAILY_STATISTICS
    KEY = ("day",)
    day: str
    trades: int = 0
    wins: int = 0
    losses: int = 0
    breakevens: int = 0
    fills: int = 0
    profit: Decimal = ZERO
    fees: Decimal = ZERO
    net_flow: Decimal = ZERO
    opening_equity: Decimal | None = None
    closing_equity: Decimal | None = None
    drawdown: float = 0.0
    sharpe: float | None = None
    return_mean: float = 0.0
    return_squares: float = 0.0

    def add_return(self, ratio: float) -> None:
        """That of a round trip which `trades` counts already."""
        delta = ratio - self.return_mean
        self.return_mean += delta / self.trades
        self.return_squares += delta * (ratio - self.return_mean)
        deviation = math.sqrt(self.return_squares / (self.trades - 1)) if self.trades > 1 else 0.0
        self.sharpe = self.return_mean / deviation if deviation > 0 else None


@dataclass(slots=True)
class LogRow(Row):
    """Something a person should know: `level` info, warning or critical."""

    TABLE = tables.LOGS
    KEY = ("record",)
    record: int
    level: str
    source: str
    title: str
    message: str
    ts_ns: int


@dataclass(slots=True)
class CandleRow(Row):
    """A closed candle a proposal came of."""

    TABLE = tables.CANDLES
    KEY = ("symbol", "timeframe", "opened_ns")
    symbol: str
    timeframe: str
    opened_ns: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    trades: int


@dataclass(slots=True)
class IndicatorRow(Row):
    """One indicator of such a candle."""

    TABLE = tables.INDICATORS
    KEY = ("symbol", "timeframe", "opened_ns", "name")
    symbol: str
    timeframe: str
    opened_ns: int
    name: str
    value: float


@dataclass(slots=True)
class CheckpointRow(Row):
    """The account as written down: `kind` auto (by time or after a change), manual, or shutdown."""

    TABLE = tables.CHECKPOINTS
    KEY = ("record",)
    record: int
    kind: str
    mode: str
    session: str
    ts_ns: int
    equity: Decimal | None = None
    cash: Decimal | None = None
    exposure: Decimal | None = None
    realized_profit: Decimal | None = None
    unrealized_profit: Decimal | None = None
    positions: Any = None


ROW_KINDS: tuple[type[Row], ...] = (
    SessionRow, OrderRow, FillRow, PositionRow, RoundTripRow, DecisionRow, AgentRow, FailedOrderRow, DayRow, LogRow,
    CandleRow, IndicatorRow, CheckpointRow,
)
