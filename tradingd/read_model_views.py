"""What people see: frozen views, ready for JSON. Money is decimal text, time ISO 8601 UTC, ratios 0-1.

The REST API answers with exactly these shapes, and the command line prints them with `--json`.
"""

import dataclasses
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal

from bus.messages.orders import KillAction, OrderType, Origin, PriceSource, Side, TrailKind
from bus.messages.system import TradingState
from market.money import to_text

OrderState = Literal["PENDING", "SUBMITTED", "PARTIAL", "FILLED", "CANCELLED", "REJECTED", "EXPIRED"]
WORKING_STATES: frozenset[str] = frozenset({"PENDING", "SUBMITTED", "PARTIAL"})


def to_iso(ts_ns: int) -> str:
    """UTC nanoseconds as ISO 8601 to the microsecond: "2026-11-20T13:49:29.123456Z"."""
    seconds, nanoseconds = divmod(ts_ns, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{nanoseconds // 1000:06d}Z"


def iso_or_none(ts_ns: int) -> str | None:
    """As `to_iso`; None for 0, which means "never"."""
    return to_iso(ts_ns) if ts_ns else None


def text_or_none(value: Decimal | None) -> str | None:
    """Decimal text, or None."""
    return None if value is None else to_text(value)


def plain(value: object) -> Any:
    """A message body as JSON values: Decimals as text, dataclasses as objects, tuples as lists."""
    if isinstance(value, Decimal):
        return to_text(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {name: plain(part) for name, part in zip(value._fields, value, strict=True)}
    if isinstance(value, tuple):
        return [plain(part) for part in value]
    return value


@dataclass(frozen=True, slots=True)
class TrailView:
    """A trail's settings: `distance` is a ratio for percent (0.02 = 2 %), quote for absolute, ATRs for atr.

    `limit_offset`, `break_even` and `decay` (a minute) are ratios; `decay_floor` is a ratio for percent, else in quote.
    """

    kind: TrailKind
    distance: str
    activation_price: str | None
    limit_offset: str | None
    price_source: PriceSource
    break_even: str | None
    decay: str | None
    decay_floor: str | None


@dataclass(frozen=True, slots=True)
class FireView:
    """One firing: the trigger it stood at and the price that reached it."""

    time: str
    trigger: str
    price: str


@dataclass(frozen=True, slots=True)
class HistoryView:
    """One move of an order's state, and why."""

    time: str
    state: OrderState
    detail: str
    reason: str


@dataclass(frozen=True, slots=True)
class DenialView:
    """Why we refused: code and family for machines, message for people."""

    code: str
    family: str
    rule: str
    value: str
    limit: str
    message: str


@dataclass(frozen=True, slots=True)
class AlphaVoteView:
    """How one alpha counted in the decision behind an order."""

    alpha: str
    action: str
    confidence: float
    weight: float


@dataclass(frozen=True, slots=True)
class ProtectionView:
    """What is armed around an entry once it is filled: ratios of its average price, and a trail."""

    stop_ratio: str | None
    take_profit_ratio: str | None
    trail: TrailView | None


@dataclass(frozen=True, slots=True)
class OrderView:
    """One order, whole. `trigger` and `best` only while it is armed; `slippage` is a ratio, positive = worse."""

    id: str
    symbol: str
    side: Side
    type: OrderType
    quantity: str
    price: str | None
    stop_price: str | None
    trail: TrailView | None
    state: OrderState
    detail: str
    by: str
    reason: str
    filled: str
    average_price: str | None
    reference_price: str | None
    slippage: float | None
    fees: str
    reduce_only: bool
    tag: str
    origin: Origin
    proposal_id: str
    parent_id: str
    venue_order_id: str
    confidence: float
    lead_alpha: str
    votes: tuple[AlphaVoteView, ...]
    protection: ProtectionView | None
    replaces: str
    improve: bool
    ends_with_day: bool
    created: str
    updated: str
    expires: str | None
    trigger: str | None
    best: str | None
    denial: DenialView | None
    fires: tuple[FireView, ...]
    history: tuple[HistoryView, ...]


@dataclass(frozen=True, slots=True)
class FillView:
    """One execution. `fee` in `fee_asset`; `value` = quantity times price, in quote."""

    time: str
    order_id: str
    trade_id: str
    symbol: str
    side: Side
    quantity: str
    price: str
    value: str
    fee: str
    fee_asset: str
    is_maker: bool
    simulated: bool
    origin: Origin
    lead_alpha: str


@dataclass(frozen=True, slots=True)
class PositionRow:
    """One holding, marked to bid in the latest portfolio; `exits` are the orders that would sell it, `protected` is how
    much of it working stops and trails cover."""

    symbol: str
    quantity: str
    average_price: str
    mark: str | None
    value: str | None
    unrealized_pnl: str | None
    opened: str | None
    entry_order_id: str
    exits: tuple[str, ...]
    protected: str


@dataclass(frozen=True, slots=True)
class RoundTripView:
    """From flat to flat. `realized_pnl` in quote, after all fees."""

    symbol: str
    result: Literal["WIN", "LOSS", "BREAKEVEN"]
    quantity: str
    entry_price: str
    exit_price: str
    realized_pnl: str
    return_ratio: float
    fees: str
    opened: str
    closed: str
    duration_s: float
    exit_order_id: str


@dataclass(frozen=True, slots=True)
class PerformanceView:
    """Results over everything in the journal.

    `net_pnl` = realised + unrealised, after fees, in quote. `profit_factor`: gross profit / gross loss of round
    trips, None without a loss. `expectancy`: mean profit of a round trip in quote. `max_drawdown`: the deepest
    fall of equity from its peak. `sharpe`: of daily returns, annualised by sqrt(365), from 5 days on; before,
    of round trips and not annualised (`sharpe_basis` says which). `average_slippage`: volume-weighted, against
    the market price at submission, positive = worse.
    """

    quote: str
    equity: str | None
    initial_capital: str | None
    net_pnl: str
    realized_pnl: str
    unrealized_pnl: str
    fees: str
    round_trips: int
    wins: int
    losses: int
    win_rate: float | None
    profit_factor: float | None
    gross_profit: str
    gross_loss: str
    expectancy: str | None
    max_drawdown: float
    sharpe: float | None
    sharpe_basis: Literal["daily", "round_trips", "none"]
    average_slippage: float | None
    average_fill_ms: float | None
    fills: int
    latest_round_trips: tuple[RoundTripView, ...]
    path_dependent_trades: int | None = None
    """Of a replay of candles, so far: round trips whose result rests on what is assumed inside a candle."""
    path_dependent_share: float | None = None
    """Of the round trips that a stop, target or trail ended; None without one."""


@dataclass(frozen=True, slots=True)
class VoteView:
    """How one of the four voters stands."""

    voter: str
    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class TradingView:
    """Whether trading is allowed, by whose votes, since when."""

    state: TradingState
    reason: str
    since: str | None
    votes: tuple[VoteView, ...]


@dataclass(frozen=True, slots=True)
class KillView:
    """The kill switch while it is latched, and how far it has come.

    `not_cancelled` and `not_sold`: how many orders and positions its action has not yet ended; `waiting` names
    them (20 of each at most). `unprotected`: symbols that no stop at the exchange protects while held exits
    wait. `progress` says it in words, "" when nothing is left to do or to know.
    """

    action: KillAction
    reason: str
    by: str
    since: str
    not_cancelled: int = 0
    not_sold: int = 0
    waiting: tuple[str, ...] = ()
    unprotected: tuple[str, ...] = ()
    progress: str = ""


@dataclass(frozen=True, slots=True)
class CountsView:
    """How many of each, since the journal began. `denied` are listed as orders; `denied_unlisted` were only counted."""

    orders: int
    working: int
    unknown: int
    filled: int
    cancelled: int
    expired: int
    rejected: int
    denied: int
    denied_unlisted: int
    fills: int
    proposals: int
    approved: int
    vetoed: int
    alerts: int


@dataclass(frozen=True, slots=True)
class AgentSeen:
    """What the journal knows of an agent."""

    name: str
    state: str
    restarts: int
    error: str
    last_heard: str | None


@dataclass(frozen=True, slots=True)
class TraceEntry:
    """One link of the chain from candle to fill: what kind, one sentence for people, and the message's fields."""

    time: str
    kind: str
    text: str
    data: dict[str, Any]
