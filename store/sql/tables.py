"""The tables. Times are UTC nanoseconds, money is exact, ratios and indicators are float64.

Everything with an `account` (venue and mode) is a projection of that account's journal and may be dropped and
built anew at any time; the rest (the laboratory's) is written by its owners and is nowhere else.
"""

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
)

from store.sql.column_types import Document, Exact

METADATA: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _key(name: str, kind: Any = Text) -> Column[Any]:
    return Column(name, kind, primary_key=True, autoincrement=False)


def _columns(kind: Any, names: str, *, optional: bool = True) -> list[Column[Any]]:
    return [Column(name, kind, nullable=optional) for name in names.split()]


def _texts(names: str) -> list[Column[Any]]:
    return _columns(Text, names, optional=False)


def _times(names: str) -> list[Column[Any]]:
    return _columns(BigInteger, names, optional=False)


def _id() -> Column[Any]:
    kind = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers only INTEGER keys by itself
    return Column("id", kind, Identity(), primary_key=True)


# ---- the projection of a journal ---------------------------------------------------------------------

PROJECTIONS = Table(
    "projections", METADATA,
    _key("account"), *_texts("journal"),
    *_columns(BigInteger, "record position first_check last_check", optional=False),
)

SESSIONS = Table(
    "sessions", METADATA,
    _key("account"), _key("session"), *_texts("version mode venue end_reason"), Column("symbols", Document),
    *_columns(BigInteger, "record seed", optional=False), *_times("started_ns stopped_ns"),
)

ORDERS = Table(
    "orders", METADATA,
    _key("account"), _key("order_id"),
    *_texts("symbol side order_type state detail ended_by reason origin tag proposal_id parent_id venue_order_id"),
    *_texts("lead_alpha timeframe regime strategy_version session replaces"),
    *_columns(Exact, "quantity filled value fees", optional=False),
    *_columns(Exact, "price stop_price average_price reference_price stop_ratio take_profit_ratio"),
    Column("reduce_only", Boolean, nullable=False), *_columns(Float, "confidence volatility volume_ratio"),
    Column("trail", Document), Column("votes", Document), *_times("created_ns submitted_ns updated_ns"),
    Index(None, "account", "state"), Index(None, "account", "symbol", "created_ns"),
)

FILLS = Table(
    "fills", METADATA,
    _key("account"), _key("symbol"), _key("trade_id"), *_texts("order_id side fee_asset origin lead_alpha"),
    *_columns(Exact, "quantity price value fee", optional=False),
    *_columns(Boolean, "is_maker simulated", optional=False), *_times("ts_ns"),
    Index(None, "account", "ts_ns"),
)

ROUND_TRIPS = Table(
    "round_trips", METADATA,
    _key("account"), _key("record", BigInteger),
    *_texts("symbol direction result entry_order_id exit_order_id timeframe regime lead_alpha strategy_version"),
    *_texts("session worker"),
    *_columns(Exact, "quantity entry_price exit_price profit fees", optional=False),
    *_columns(Exact, "stop_price target_price"),
    *_columns(Float, "return_ratio r_multiple volatility volume_ratio confidence"),
    *_times("opened_ns closed_ns"),
    Index(None, "account", "result"), Index(None, "account", "symbol", "timeframe"),
)

POSITIONS = Table(
    "positions", METADATA,
    _key("account"), _key("symbol"),
    *_texts("entry_order_id timeframe regime lead_alpha strategy_version"),
    *_columns(Exact, "quantity average_price", optional=False), *_columns(Exact, "stop_price target_price"),
    *_columns(Float, "volatility volume_ratio confidence"), *_times("opened_ns updated_ns"),
)

AGENT_DECISIONS = Table(
    "agent_decisions", METADATA,
    _key("account"), _key("decision_id"),
    *_texts("agent kind symbol side outcome code reason lead_alpha timeframe regime"),
    *_columns(Exact, "quantity allowed_quantity reference_price"),
    *_columns(Float, "confidence volatility volume_ratio"),
    Column("votes", Document), Column("skipped", Document), Column("checks", Document),
    *_times("made_ns settled_ns"), Index(None, "account", "made_ns"),
)

AGENT_STATES = Table(
    "agent_states", METADATA,
    _key("account"), _key("agent"), *_texts("state error"), Column("restarts", Integer, nullable=False),
    *_times("changed_ns"),
)

FAILED_ORDERS = Table(
    "failed_orders", METADATA,
    _key("account"), _key("record", BigInteger),
    *_texts("order_id symbol side failed_by code family rule measured allowed message"),
    Column("quantity", Exact), *_times("ts_ns"),
    Index(None, "account", "ts_ns"),
)

DAILY_STATISTICS = Table(
    "daily_statistics", METADATA,
    _key("account"), _key("day"), *_columns(Integer, "trades wins losses breakevens fills", optional=False),
    *_columns(Exact, "profit fees net_flow", optional=False), *_columns(Exact, "opening_equity closing_equity"),
    Column("drawdown", Float, nullable=False), *_columns(Float, "sharpe return_mean return_squares"),
)

LOGS = Table(
    "logs", METADATA,
    _key("account"), _key("record", BigInteger), *_texts("level source title message"), *_times("ts_ns"),
    Index(None, "account", "level", "ts_ns"),
)

CANDLES = Table(
    "candles", METADATA,
    _key("account"), _key("symbol"), _key("timeframe"), _key("opened_ns", BigInteger),
    *_columns(Exact, "open high low close volume", optional=False), Column("trades", Integer, nullable=False),
)

INDICATORS = Table(
    "indicators", METADATA,
    _key("account"), _key("symbol"), _key("timeframe"), _key("opened_ns", BigInteger), _key("name"),
    Column("value", Float, nullable=False),
)

CHECKPOINTS = Table(
    "checkpoints", METADATA,
    _key("account"), _key("record", BigInteger), *_texts("kind mode session"),
    *_columns(Exact, "equity cash exposure realized_profit unrealized_profit"), Column("positions", Document),
    *_times("ts_ns"),
)

PROJECTED: Final = (
    SESSIONS, ORDERS, FILLS, ROUND_TRIPS, POSITIONS, AGENT_DECISIONS, AGENT_STATES, FAILED_ORDERS, DAILY_STATISTICS,
    LOGS, CANDLES, INDICATORS, CHECKPOINTS,
)
"""What a rebuild empties and fills again."""


# ---- the laboratory's and the operators' own -----------------------------------------------------------

TASKS = Table(
    "tasks", METADATA, _id(),
    *_texts("kind state worker error"), *_columns(Integer, "priority tries", optional=False),
    Column("payload", Document), *_times("created_ns not_before_ns taken_ns ended_ns"),
    Index(None, "state", "priority", "id"),
)

STRATEGIES = Table(
    "strategies", METADATA, _id(),
    *_texts("name version state description"), *_columns(Integer, "trades", optional=False),
    *_columns(Float, "win_rate profit_factor sharpe max_drawdown"), *_times("created_ns updated_ns"),
    Index(None, "name", "version", unique=True), Index(None, "state", "profit_factor"),
)

STRATEGY_CONFIGS = Table(
    "strategy_configs", METADATA, _id(),
    Column("strategy_id", BigInteger().with_variant(Integer, "sqlite"), nullable=False),
    *_texts("symbol timeframe"), Column("parameters", Document), Column("is_active", Boolean, nullable=False),
    *_times("created_ns"), ForeignKeyConstraint(["strategy_id"], ["strategies.id"]),
)

PATTERNS = Table(
    "patterns", METADATA, _id(),
    *_texts("pattern_type"), Column("conditions", Document), *_columns(Integer, "sample_size", optional=False),
    *_columns(Float, "win_rate confidence", optional=False), Column("average_profit", Exact, nullable=False),
    Column("pairs", Document), Column("timeframes", Document), Column("is_active", Boolean, nullable=False),
    *_times("discovered_ns validated_ns"), Index(None, "is_active", "confidence"),
)

BACKTEST_RUNS = Table(
    "backtest_runs", METADATA, _id(),
    *_texts("name state strategy error worker"), Column("parameters", Document), Column("seed", BigInteger),
    *_times("from_ns to_ns started_ns ended_ns"), Index(None, "state"),
)

BACKTEST_RESULTS = Table(
    "backtest_results", METADATA, _id(),
    Column("run_id", BigInteger().with_variant(Integer, "sqlite"), nullable=False),
    *_texts("symbol timeframe"), *_columns(Integer, "trades wins losses", optional=False),
    *_columns(Exact, "profit fees", optional=False), *_columns(Float, "win_rate profit_factor sharpe max_drawdown"),
    Column("details", Document), ForeignKeyConstraint(["run_id"], ["backtest_runs.id"]),
)

WALK_FORWARD_WINDOWS = Table(
    "walk_forward_windows", METADATA, _id(),
    Column("run_id", BigInteger().with_variant(Integer, "sqlite"), nullable=False),
    Column("window", Integer, nullable=False), *_times("train_from_ns train_to_ns test_from_ns test_to_ns"),
    *_columns(Float, "train_score test_score"), Column("parameters", Document),
    ForeignKeyConstraint(["run_id"], ["backtest_runs.id"]), Index(None, "run_id", "window", unique=True),
)

PHASE_EXECUTIONS = Table(
    "phase_executions", METADATA, _id(),
    *_texts("phase state error"), Column("run_id", BigInteger), Column("details", Document),
    *_times("started_ns ended_ns"),
)

PARAMETER_VERSIONS = Table(
    "parameter_versions", METADATA, _id(),
    *_texts("name author reason"), Column("version", Integer, nullable=False), Column("parameters", Document),
    Column("is_active", Boolean, nullable=False), *_times("created_ns"), Index(None, "name", "version", unique=True),
)

OPTIMIZATIONS = Table(
    "optimizations", METADATA, _id(),
    *_texts("study strategy state"), Column("trial", Integer, nullable=False), Column("score", Float),
    Column("parameters", Document), *_times("started_ns ended_ns"), Index(None, "study", "trial", unique=True),
)

NEWS = Table(
    "news", METADATA, _id(),
    *_texts("source url title summary"), Column("symbols", Document), Column("sentiment", Float),
    *_times("published_ns fetched_ns"), Index(None, "url", unique=True), Index(None, "published_ns"),
)
