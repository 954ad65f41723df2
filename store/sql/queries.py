"""What the laboratory and people ask the store again and again. Money is exact, times are UTC ns."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Engine, Select, func, select

from store.sql.tables import BACKTEST_RUNS, LOGS, PATTERNS, ROUND_TRIPS, STRATEGIES

MOST_ROUND_TRIPS: Final = 1000
MOST_ERRORS: Final = 100
MOST_STRATEGIES: Final = 10
LEAST_CONFIDENCE: Final = 0.7


@dataclass(frozen=True, slots=True)
class StoredRoundTrip:
    """A round trip with the market it was entered in; `r_multiple` None without a stop."""

    symbol: str
    timeframe: str
    result: str
    profit: Decimal
    return_ratio: float | None
    r_multiple: float | None
    volatility: float | None
    volume_ratio: float | None
    opened_ns: int
    closed_ns: int


@dataclass(frozen=True, slots=True)
class StoredPattern:
    """A pattern that was discovered and is in use."""

    id: int
    pattern_type: str
    conditions: Any
    win_rate: float
    average_profit: Decimal
    sample_size: int
    confidence: float


@dataclass(frozen=True, slots=True)
class StoredStrategy:
    """A strategy that was approved."""

    id: int
    name: str
    version: str
    profit_factor: float | None
    trades: int


@dataclass(frozen=True, slots=True)
class StoredLog:
    """Something a person should know."""

    ts_ns: int
    level: str
    source: str
    title: str
    message: str


class StoreQueries:
    """Reads; raises SQLAlchemy's errors when the database is away. `account` as in `tradingd store status`."""

    def __init__(self, engine: Engine, account: str) -> None:
        self._engine = engine
        self._account = account

    def round_trips(
        self, result: str, *, symbol: str = "", timeframe: str = "", limit: int = MOST_ROUND_TRIPS
    ) -> list[StoredRoundTrip]:
        """Newest first: those with this result (WIN, LOSS, BREAKEVEN), of one pair or timeframe when named."""
        statement = self._trips().where(ROUND_TRIPS.c.result == result)
        if symbol:
            statement = statement.where(ROUND_TRIPS.c.symbol == symbol)
        if timeframe:
            statement = statement.where(ROUND_TRIPS.c.timeframe == timeframe)
        return self._read_trips(statement, limit)

    def round_trips_in(
        self, *, volatility: tuple[float, float] | None = None, volume_ratio: tuple[float, float] | None = None,
        limit: int = MOST_ROUND_TRIPS,
    ) -> list[StoredRoundTrip]:
        """Newest first: those entered in a market within these bounds (inclusive)."""
        statement = self._trips()
        for column, bounds in ((ROUND_TRIPS.c.volatility, volatility), (ROUND_TRIPS.c.volume_ratio, volume_ratio)):
            if bounds is not None:
                statement = statement.where(column.between(*bounds))
        return self._read_trips(statement, limit)

    def count_by_result(self) -> dict[str, int]:
        """How many round trips won, lost, or broke even."""
        statement = (
            select(ROUND_TRIPS.c.result, func.count())
            .where(ROUND_TRIPS.c.account == self._account).group_by(ROUND_TRIPS.c.result)
        )
        with self._engine.connect() as connection:
            return {result: count for result, count in connection.execute(statement)}

    def active_patterns(self, least_confidence: float = LEAST_CONFIDENCE) -> list[StoredPattern]:
        """Patterns in use, the surest first."""
        table = PATTERNS
        statement = (
            select(table.c.id, table.c.pattern_type, table.c.conditions, table.c.win_rate, table.c.average_profit,
                   table.c.sample_size, table.c.confidence)
            .where(table.c.is_active, table.c.confidence >= least_confidence)
            .order_by(table.c.confidence.desc(), table.c.id)
        )
        with self._engine.connect() as connection:
            return [StoredPattern(*row) for row in connection.execute(statement)]

    def approved_strategies(self, limit: int = MOST_STRATEGIES) -> list[StoredStrategy]:
        """The best by profit factor."""
        table = STRATEGIES
        statement = (
            select(table.c.id, table.c.name, table.c.version, table.c.profit_factor, table.c.trades)
            .where(table.c.state == "APPROVED").order_by(table.c.profit_factor.desc().nulls_last(), table.c.id)
            .limit(limit)
        )
        with self._engine.connect() as connection:
            return [StoredStrategy(*row) for row in connection.execute(statement)]

    def active_runs(self) -> list[int]:
        """Ids of backtests that run now, oldest first."""
        table = BACKTEST_RUNS
        statement = select(table.c.id).where(table.c.state == "RUNNING").order_by(table.c.started_ns, table.c.id)
        with self._engine.connect() as connection:
            return list(connection.execute(statement).scalars())

    def errors(self, limit: int = MOST_ERRORS) -> list[StoredLog]:
        """The latest critical entries of the log, newest first."""
        table = LOGS
        statement = (
            select(table.c.ts_ns, table.c.level, table.c.source, table.c.title, table.c.message)
            .where(table.c.account == self._account, table.c.level == "critical")
            .order_by(table.c.record.desc()).limit(limit)
        )
        with self._engine.connect() as connection:
            return [StoredLog(*row) for row in connection.execute(statement)]

    def _trips(self) -> Select[Any]:
        table = ROUND_TRIPS
        return select(
            table.c.symbol, table.c.timeframe, table.c.result, table.c.profit, table.c.return_ratio,
            table.c.r_multiple, table.c.volatility, table.c.volume_ratio, table.c.opened_ns, table.c.closed_ns,
        ).where(table.c.account == self._account)

    def _read_trips(self, statement: Select[Any], limit: int) -> list[StoredRoundTrip]:
        with self._engine.connect() as connection:
            rows = connection.execute(statement.order_by(ROUND_TRIPS.c.record.desc()).limit(limit))
            return [StoredRoundTrip(*row) for row in rows]
