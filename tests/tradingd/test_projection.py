"""The SQL store's tables: exact, equal to the journal, and what is asked of them."""

from decimal import Decimal
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import insert, select

from bus.ids import SessionId
from bus.messages.council import Parameter, ParametersChanged, ProposalWithheld
from bus.messages.header import Message, MessageMaker
from bus.messages.ledger import FundsChanged
from bus.messages.system import AlertRaised
from store.sql.column_types import Exact
from store.sql.database import _alembic, check_migrations, migrate, open_engine
from store.sql.queries import StoreQueries
from store.sql.tables import METADATA, PATTERNS
from tests.tradingd.stored_journal import ACCOUNT, projection_of, written
from tests.tradingd.test_decisions import story
from tradingd.read_model_risk import RiskFold

D = Decimal


# ---- what is in the tables ---------------------------------------------------------------------------


def test_the_tables_tell_what_the_account_did(tmp_path: Path, store_url: str, traded: list[Message]) -> None:
    projection = projection_of(written(tmp_path / "j.journal", traded), store_url)
    assert projection.rebuild() == len(traded)
    rows = projection.store.counts()
    kinds = [type(message.body).__name__ for message in traded]
    assert rows["orders"] > 5
    assert rows["fills"] == kinds.count("OrderFilled") > 5
    assert rows["round_trips"] == kinds.count("PositionClosed") > 1
    assert rows["failed_orders"] == kinds.count("OrderDenied") + kinds.count("OrderRejected") > 1
    assert rows["agent_states"] >= 1
    assert rows["checkpoints"] == kinds.count("PortfolioSnapshot")
    engine = open_engine(store_url)
    with engine.connect() as connection:
        profits = connection.execute(select(METADATA.tables["round_trips"].c.profit)).scalars().all()
        filled = connection.execute(
            select(METADATA.tables["orders"].c.filled).where(METADATA.tables["orders"].c.state == "FILLED")
        ).scalars().all()
        fills = connection.execute(select(METADATA.tables["fills"].c.quantity)).scalars().all()
        day = connection.execute(select(METADATA.tables["daily_statistics"])).mappings().all()
    engine.dispose()
    told = [message.body.realized_pnl for message in traded if type(message.body).__name__ == "PositionClosed"]
    assert sorted(profits) == sorted(told)
    assert sum(filled) == sum(fills)
    assert sum(row["profit"] for row in day) == sum(told)
    assert sum(row["trades"] for row in day) == sum(row["wins"] + row["losses"] + row["breakevens"] for row in day)
    projection.close()


def test_a_stored_day_says_what_the_daily_figures_say(tmp_path: Path, store_url: str, traded: list[Message]) -> None:
    """Trades, wins, losses, profit, drawdown and Sharpe of each day are stored [R5]."""
    told = RiskFold("USDT")
    for message in traded:
        told.apply(message)
    projection = projection_of(written(tmp_path / "j.journal", traded), store_url)
    projection.rebuild()
    engine = open_engine(store_url)
    with engine.connect() as connection:
        by_day = {row["day"]: row for row in connection.execute(select(METADATA.tables["daily_statistics"])).mappings()}
    engine.dispose()
    assert any(day.sharpe is not None for day in told.day_views(100))
    for day in told.day_views(100):
        row = by_day[day.day]
        assert (row["trades"], row["wins"], row["losses"]) == (day.trades, day.wins, day.losses)
        assert (row["profit"], row["drawdown"]) == (D(day.profit), day.drawdown)
        assert row["sharpe"] == (None if day.sharpe is None else pytest.approx(day.sharpe, rel=1e-9))
    projection.close()


def test_days_that_were_stored_without_a_sharpe_get_theirs(
    tmp_path: Path, store_url: str, traded: list[Message],
) -> None:
    projection = projection_of(written(tmp_path / "j.journal", traded), store_url)
    projection.rebuild()
    before = projection.store.contents()["daily_statistics"]
    engine = open_engine(store_url)
    with engine.begin() as connection:
        command.downgrade(_alembic(connection), "r0002")
    migrate(engine)
    engine.dispose()
    assert projection.store.contents()["daily_statistics"] == before
    projection.close()


def test_each_decision_of_the_council_is_a_row_with_all_its_votes(
    tmp_path: Path, store_url: str, traded: list[Message]
) -> None:
    projection = projection_of(written(tmp_path / "j.journal", traded), store_url)
    projection.rebuild()
    engine = open_engine(store_url)
    table = METADATA.tables["agent_decisions"]
    with engine.connect() as connection:
        rows = {row["decision_id"]: row for row in connection.execute(select(table)).mappings()}
    engine.dispose()
    projection.close()
    withheld = [message for message in traded if isinstance(message.body, ProposalWithheld)]
    assert len(withheld) > 5
    for message in withheld:
        row, body = rows[message.id], message.body
        assert (row["kind"], row["outcome"], row["symbol"]) == ("ProposalWithheld", body.outcome.upper(), body.symbol)
        assert [(vote["alpha"], vote["weight"]) for vote in row["votes"]] == [(v.alpha, v.weight) for v in body.votes]
        assert row["skipped"] == []


def test_a_decision_says_who_was_skipped_whether_it_led_to_a_proposal_or_not(tmp_path: Path, store_url: str) -> None:
    projection = projection_of(written(tmp_path / "j.journal", story()), store_url)
    projection.rebuild()
    engine = open_engine(store_url)
    table = METADATA.tables["agent_decisions"]
    with engine.connect() as connection:
        rows = list(connection.execute(select(table).order_by(table.c.made_ns)).mappings())
    engine.dispose()
    projection.close()
    assert [row["outcome"] for row in rows] == ["UNSURE", "VETOED"]
    for row in rows:
        assert [(each["alpha"], each["code"]) for each in row["skipped"]] == [("mine", "ALPHA_TIMEOUT")]


def test_every_version_of_the_parameters_is_kept_with_its_reason(tmp_path: Path, store_url: str) -> None:
    maker = MessageMaker("tuning", SessionId("s1"))
    change = ParametersChanged(3, 2, (Parameter("size", D("0.045")),), True, "tuning", "size 0.05 -> 0.045: it lost")
    projection = projection_of(written(tmp_path / "j.journal", [maker.make(change, 10**18)]), store_url)
    projection.rebuild()
    engine = open_engine(store_url)
    with engine.connect() as connection:
        (row,) = connection.execute(select(METADATA.tables["agent_decisions"])).mappings()
    engine.dispose()
    projection.close()
    assert (row["kind"], row["code"], row["reason"]) == ("ParametersChanged", "version 3", change.reason)
    assert row["checks"] == [{"name": "size", "value": "0.045"}]


def test_amounts_keep_every_digit(tmp_path: Path, store_url: str) -> None:
    amounts = [D("123456789.123456789012345678"), D("0.00000001"), D("2E+3"), D("-0.1")]
    maker = MessageMaker("daemon", SessionId("s1"))
    messages = [maker.make(FundsChanged("USDT", amount, amount, "x"), n * 86_400 * 10**9)
                for n, amount in enumerate(amounts)]
    projection = projection_of(written(tmp_path / "j.journal", messages), store_url)
    projection.rebuild()
    flows = [row[9] for row in projection.store.contents()["daily_statistics"]]
    assert flows == amounts
    projection.close()
    with pytest.raises(ValueError, match="no amount of money"):
        Exact().process_bind_param(D("NaN"), open_engine("sqlite:///x").dialect)


def test_the_migrations_make_the_tables_of_the_code(store_url: str) -> None:
    engine = open_engine(store_url)
    migrate(engine)
    migrate(engine)
    with engine.begin() as connection:
        check_migrations(connection)  # raises when they differ
        connection.execute(insert(PATTERNS).values(
            pattern_type="gap", conditions={"a": [1]}, sample_size=3, win_rate=0.5, confidence=0.7,
            average_profit=D("1.10"), pairs=["BTC/USDT"], timeframes=["1m"], is_active=True, discovered_ns=1,
            validated_ns=2,
        ))
        found = connection.execute(select(PATTERNS)).mappings().one()
    assert found["conditions"] == {"a": [1]}
    assert found["average_profit"] == D("1.10")
    assert found["id"] == 1
    engine.dispose()


# ---- what is asked of it -----------------------------------------------------------------------------


def test_the_questions_of_people_and_laboratory_are_answered(
    tmp_path: Path, store_url: str, traded: list[Message],
) -> None:
    extra = [MessageMaker("x", SessionId("s9")).make(AlertRaised("critical", "fire", "in the hall"), 5)]
    projection = projection_of(written(tmp_path / "j.journal", [*traded, *extra]), store_url)
    projection.rebuild()
    engine = open_engine(store_url)
    ask = StoreQueries(engine, ACCOUNT)
    trips = [message.body for message in traded if type(message.body).__name__ == "PositionClosed"]
    lost = [trip for trip in trips if trip.realized_pnl < 0]
    assert [each.profit for each in ask.round_trips("LOSS")] == [trip.realized_pnl for trip in reversed(lost)]
    assert ask.round_trips("LOSS", symbol="XRP/USDT") == []
    assert len(ask.round_trips("LOSS", limit=1)) == min(1, len(lost))
    assert sum(ask.count_by_result().values()) == len(trips)
    assert ask.errors()[0].title == "fire"
    assert StoreQueries(engine, "another").errors() == []
    known = [each for result in ("WIN", "LOSS") for each in ask.round_trips(result) if each.volatility is not None]
    within = ask.round_trips_in(volatility=(0.0, 1e9))
    assert sorted(each.closed_ns for each in within) == sorted(each.closed_ns for each in known)
    with engine.begin() as connection:
        for name, state, factor in (("a", "APPROVED", 1.5), ("b", "APPROVED", 2.5), ("c", "TESTING", 9.0),
                                    ("d", "APPROVED", None)):
            connection.execute(insert(METADATA.tables["strategies"]).values(
                name=name, version="1", state=state, description="", trades=3, profit_factor=factor, created_ns=1,
                updated_ns=1,
            ))
        for confidence, is_active in ((0.9, True), (0.7, True), (0.69, True), (0.95, False)):
            connection.execute(insert(PATTERNS).values(
                pattern_type="gap", conditions={}, sample_size=3, win_rate=0.5, confidence=confidence,
                average_profit=D(1), pairs=[], timeframes=[], is_active=is_active, discovered_ns=1, validated_ns=2,
            ))
        for name, state in (("one", "RUNNING"), ("two", "FAILED")):
            connection.execute(insert(METADATA.tables["backtest_runs"]).values(
                name=name, state=state, strategy="s", error="", worker="w", seed=1, from_ns=1, to_ns=2, started_ns=3,
                ended_ns=0,
            ))
    assert [each.name for each in ask.approved_strategies()] == ["b", "a", "d"]
    assert [each.confidence for each in ask.active_patterns()] == [0.9, 0.7]
    assert ask.active_runs() == [1]
    engine.dispose()
    projection.close()
