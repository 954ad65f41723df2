"""The SQL store: exact, exactly once, whatever is cut off where, and equal to a store that is built anew."""

import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest
from alembic import command
from sqlalchemy import insert, select, text
from sqlalchemy.exc import SQLAlchemyError

from bus.ids import SessionId
from bus.messages.council import Parameter, ParametersChanged, ProposalWithheld
from bus.messages.header import Message, MessageMaker
from bus.messages.ledger import FundsChanged
from bus.messages.system import AlertRaised, DaemonStarted
from store import journal_pack
from store.sql.column_types import Exact
from store.sql.database import StoreUrlError, _alembic, check_migrations, migrate, open_engine, parse_url
from store.sql.projection_store import Loader, Place, PlaceMovedError
from store.sql.queries import StoreQueries
from store.sql.rows import Row
from store.sql.tables import METADATA, PATTERNS
from tests.orders.trading import BTC, ETH
from tests.postgres_server import PostgresServer
from tests.tradingd.live_runtime import Scene
from tests.tradingd.test_decisions import story
from tradingd import projection as projection_module
from tradingd.journal_packing import pack
from tradingd.message_journal import MessageJournal
from tradingd.projection import ForeignStoreError, Projection
from tradingd.read_model_risk import RiskFold

D = Decimal
ACCOUNT = "practice-paper"


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'store.sqlite'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    engine = open_engine(server.url)
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()
    yield server.url


@pytest.fixture(scope="module")
def traded(tmp_path_factory: pytest.TempPathFactory) -> list[Message]:
    """What an hour of the real council, engine and paper venue leaves in the journal."""
    scene = Scene(tmp_path_factory.mktemp("traded")).with_council().open()
    started = DaemonStarted(SessionId("s1"), "1", "paper", "practice", (BTC, ETH), 7, False)
    scene.runtime.record("daemon", started)
    rng, btc = Random(5), D(100)
    for number in range(60):
        btc = (btc * D(rng.choice(("0.99", "0.995", "1.004", "1.012")))).quantize(D("0.01"))
        scene.price(BTC, str(btc))
        scene.second()
        if number % 12 == 3:
            scene.runtime.command(scene.order(quantity="1.5", reason="by hand"), by="tester")
        if number % 12 == 9:
            scene.runtime.command(scene.order(quantity="100000"), by="tester")
        if number % 12 == 10:
            held = scene.runtime.engine.ledger.quantity(BTC)
            if held:
                scene.runtime.command(scene.order(side="sell", quantity=str(held), reduce_only=True), by="tester")
        scene.settle_venue()
    scene.journal.close()
    journal = MessageJournal.open(scene.path, read_only=True)
    messages = list(journal.read())
    journal.close()
    return messages


def written(path: Path, messages: list[Message], step: int = 3) -> Path:
    journal = MessageJournal.open(path)
    for begin in range(0, len(messages), step):
        journal.append(messages[begin : begin + step], sync=False)
    journal.close()
    return path


def projection_of(path: Path, url: str, *, is_own: bool = True) -> Projection:
    return Projection(path, url, ACCOUNT, "USDT", is_own=is_own)


def alerts(count: int, first: int = 0) -> list[Message]:
    maker = MessageMaker("daemon", SessionId("s1"))
    return [maker.make(AlertRaised("info", f"t{first + n}", "m"), n) for n in range(count)]


# ---- what is in the tables ---------------------------------------------------------------------------


def test_the_tables_tell_what_the_account_did(tmp_path: Path, url: str, traded: list[Message]) -> None:
    projection = projection_of(written(tmp_path / "j.journal", traded), url)
    assert projection.rebuild() == len(traded)
    rows = projection.store.counts()
    kinds = [type(message.body).__name__ for message in traded]
    assert rows["orders"] > 5
    assert rows["fills"] == kinds.count("OrderFilled") > 5
    assert rows["round_trips"] == kinds.count("PositionClosed") > 1
    assert rows["failed_orders"] == kinds.count("OrderDenied") + kinds.count("OrderRejected") > 1
    assert rows["agent_states"] >= 1
    assert rows["checkpoints"] == kinds.count("PortfolioSnapshot")
    engine = open_engine(url)
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


def test_a_stored_day_says_what_the_daily_figures_say(tmp_path: Path, url: str, traded: list[Message]) -> None:
    """Trades, wins, losses, profit, drawdown and Sharpe of each day are stored [R5]."""
    told = RiskFold("USDT")
    for message in traded:
        told.apply(message)
    projection = projection_of(written(tmp_path / "j.journal", traded), url)
    projection.rebuild()
    engine = open_engine(url)
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


def test_days_that_were_stored_without_a_sharpe_get_theirs(tmp_path: Path, url: str, traded: list[Message]) -> None:
    projection = projection_of(written(tmp_path / "j.journal", traded), url)
    projection.rebuild()
    before = projection.store.contents()["daily_statistics"]
    engine = open_engine(url)
    with engine.begin() as connection:
        command.downgrade(_alembic(connection), "r0002")
    migrate(engine)
    engine.dispose()
    assert projection.store.contents()["daily_statistics"] == before
    projection.close()


def test_each_decision_of_the_council_is_a_row_with_all_its_votes(
    tmp_path: Path, url: str, traded: list[Message]
) -> None:
    projection = projection_of(written(tmp_path / "j.journal", traded), url)
    projection.rebuild()
    engine = open_engine(url)
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


def test_a_decision_says_who_was_skipped_whether_it_led_to_a_proposal_or_not(tmp_path: Path, url: str) -> None:
    projection = projection_of(written(tmp_path / "j.journal", story()), url)
    projection.rebuild()
    engine = open_engine(url)
    table = METADATA.tables["agent_decisions"]
    with engine.connect() as connection:
        rows = list(connection.execute(select(table).order_by(table.c.made_ns)).mappings())
    engine.dispose()
    projection.close()
    assert [row["outcome"] for row in rows] == ["UNSURE", "VETOED"]
    for row in rows:
        assert [(each["alpha"], each["code"]) for each in row["skipped"]] == [("mine", "ALPHA_TIMEOUT")]


def test_every_version_of_the_parameters_is_kept_with_its_reason(tmp_path: Path, url: str) -> None:
    maker = MessageMaker("tuning", SessionId("s1"))
    change = ParametersChanged(3, 2, (Parameter("size", D("0.045")),), True, "tuning", "size 0.05 -> 0.045: it lost")
    projection = projection_of(written(tmp_path / "j.journal", [maker.make(change, 10**18)]), url)
    projection.rebuild()
    engine = open_engine(url)
    with engine.connect() as connection:
        (row,) = connection.execute(select(METADATA.tables["agent_decisions"])).mappings()
    engine.dispose()
    projection.close()
    assert (row["kind"], row["code"], row["reason"]) == ("ParametersChanged", "version 3", change.reason)
    assert row["checks"] == [{"name": "size", "value": "0.045"}]


def test_amounts_keep_every_digit(tmp_path: Path, url: str) -> None:
    amounts = [D("123456789.123456789012345678"), D("0.00000001"), D("2E+3"), D("-0.1")]
    maker = MessageMaker("daemon", SessionId("s1"))
    messages = [maker.make(FundsChanged("USDT", amount, amount, "x"), n * 86_400 * 10**9)
                for n, amount in enumerate(amounts)]
    projection = projection_of(written(tmp_path / "j.journal", messages), url)
    projection.rebuild()
    flows = [row[9] for row in projection.store.contents()["daily_statistics"]]
    assert flows == amounts
    projection.close()
    with pytest.raises(ValueError, match="no amount of money"):
        Exact().process_bind_param(D("NaN"), open_engine("sqlite:///x").dialect)


def test_the_migrations_make_the_tables_of_the_code(url: str) -> None:
    engine = open_engine(url)
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


# ---- exactly once ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_a_projection_that_is_cut_off_again_and_again_equals_one_built_anew(
    tmp_path: Path, traded: list[Message], seed: int, monkeypatch: pytest.MonkeyPatch,
) -> None:
    path, rng = tmp_path / "j.journal", Random(seed)
    journal = MessageJournal.open(path)
    piecemeal, position = projection_of_new(path, f"sqlite:///{tmp_path / 'a.sqlite'}"), 0
    while position < len(traded):
        count = rng.randint(1, 40)
        journal.append(traded[position : position + count], sync=False)
        position += count
        monkeypatch.setattr(projection_module, "BATCH", rng.randint(1, 60))
        if rng.random() < 0.5:
            fail_inside_a_transaction(piecemeal, monkeypatch)
        if rng.random() < 0.4:  # killed, and begun anew
            piecemeal.close()
            piecemeal = projection_of(path, f"sqlite:///{tmp_path / 'a.sqlite'}")
        if rng.random() < 0.7:
            piecemeal.catch_up()
    journal.close()
    piecemeal.catch_up()
    whole = projection_of(path, f"sqlite:///{tmp_path / 'b.sqlite'}")
    whole.rebuild()
    assert piecemeal.store.contents() == whole.store.contents()
    assert piecemeal.record == whole.record == len(traded)
    piecemeal.close()
    whole.close()


def projection_of_new(path: Path, url: str) -> Projection:
    projection = projection_of(path, url)
    projection.resume()
    return projection


class _CutOffError(SQLAlchemyError):
    pass


def fail_inside_a_transaction(projection: Projection, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database goes away after the place was moved and before the rows are written."""
    def cut_off(*_: object) -> list[object]:
        raise _CutOffError("gone")

    with monkeypatch.context() as patched:
        patched.setattr(projection_module.ProjectionFold, "changed", cut_off)
        try:
            projection.step()
        except _CutOffError:
            return


def test_two_projections_of_one_account_never_count_anything_twice(
    tmp_path: Path, url: str, traded: list[Message], monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(projection_module, "BATCH", 20)
    path = written(tmp_path / "j.journal", traded)
    one, other = projection_of(path, url), projection_of(path, url)
    one.resume()
    other.resume()
    moved = 0
    for turn in range(2 * len(traded)):
        try:
            if not (one, other)[turn % 2].step():
                break
        except PlaceMovedError:
            moved += 1
    assert moved > 0
    one.catch_up()
    alone = projection_of(path, f"sqlite:///{tmp_path / 'alone.sqlite'}")
    alone.rebuild()
    assert one.store.contents() == alone.store.contents()
    for each in (one, other, alone):
        each.close()


def test_another_journals_tables_are_replaced_in_our_own_file_and_refused_elsewhere(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.sqlite'}"
    first = projection_of(written(tmp_path / "a.journal", alerts(5)), url)
    first.catch_up()
    first.close()
    other = written(tmp_path / "b.journal", alerts(7, first=100))
    with pytest.raises(ForeignStoreError, match="tradingd store rebuild"):
        projection_of(other, url, is_own=False).catch_up()
    own = projection_of(other, url)
    own.catch_up()
    assert [row[4] for row in own.store.contents()["logs"]] == [f"t{100 + n}" for n in range(7)]
    own.close()


def test_a_repaired_journal_that_lost_its_end_is_noticed(tmp_path: Path) -> None:
    url, messages = f"sqlite:///{tmp_path / 'store.sqlite'}", alerts(9)
    path = written(tmp_path / "j.journal", messages)
    projection = projection_of(path, url)
    projection.catch_up()
    projection.close()
    path.unlink()
    written(path, [*messages[:6], *alerts(3, first=50)])
    again = projection_of(path, url)
    again.catch_up()
    titles = [row[4] for row in again.store.contents()["logs"]]
    assert titles == ["t0", "t1", "t2", "t3", "t4", "t5", "t50", "t51", "t52"]
    again.close()


def test_in_a_database_of_others_a_journal_that_lost_its_end_is_taken_anew(tmp_path: Path) -> None:
    url, messages = f"sqlite:///{tmp_path / 'store.sqlite'}", alerts(9)
    path = written(tmp_path / "j.journal", messages)
    projection = projection_of(path, url, is_own=False)
    projection.catch_up()
    projection.close()
    path.unlink()
    written(path, messages[:6])
    for end in ([], alerts(5, first=50)):  # shorter than the tables, and longer again
        journal = MessageJournal.open(path)
        journal.append(end, sync=True)
        journal.close()
        again = projection_of(path, url, is_own=False)
        again.catch_up()
        expected = ["t0", "t1", "t2", "t3", "t4", "t5", *(f"t{50 + n}" for n in range(len(end)))]
        assert [row[4] for row in again.store.contents()["logs"]] == expected
        again.close()
    path.replace(tmp_path / "renamed.journal")
    written(path, alerts(12, first=100))
    with pytest.raises(ForeignStoreError):
        projection_of(path, url, is_own=False).catch_up()


def test_what_is_in_the_tables_is_on_the_journals_disk_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    path = written(tmp_path / "j.journal", alerts(3))
    projection = projection_of(path, f"sqlite:///{tmp_path / 'store.sqlite'}")
    flush, write = os.fdatasync, projection.store.write

    def flushed(descriptor: int) -> None:
        assert os.path.sameopenfile(descriptor, journal.fileno())
        done.append("flush")
        flush(descriptor)

    def wrote(*parts: object) -> None:
        done.append("write")
        write(*parts)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "fdatasync", flushed)
    monkeypatch.setattr(projection.store, "write", wrote)
    with path.open("rb") as journal:
        projection.catch_up()
    projection.close()
    assert done == ["flush", "write"]


def test_a_place_that_moved_is_not_written_to(tmp_path: Path) -> None:
    projection = projection_of(written(tmp_path / "j.journal", alerts(3)), f"sqlite:///{tmp_path / 's.sqlite'}")
    projection.catch_up()
    place = projection.store.place()
    assert place is not None
    with pytest.raises(PlaceMovedError):
        projection.store.write(Place("j.journal"), place, lambda _: [])
    assert projection.store.place() == place
    projection.close()


def test_a_store_built_from_packed_segments_knows_what_a_proposal_rested_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Packed, an append may be divided: its analysis ends one batch, its proposal begins the next."""
    path = tmp_path / "j.journal"
    journal = MessageJournal.open(path)
    first, withheld, *rest = story()
    journal.append([first], sync=False)
    journal.append([withheld], sync=False)
    journal.append(rest, sync=False)
    assert journal.rotate()
    journal.append(alerts(1), sync=True)
    journal.close()

    def decisions(name: str) -> list[tuple[object, ...]]:
        projection = projection_of(path, f"sqlite:///{tmp_path / name}")
        projection.rebuild()
        found = projection.store.contents()["agent_decisions"]
        projection.close()
        return found

    before = decisions("raw.sqlite")
    monkeypatch.setattr(journal_pack, "_FRAME_BYTES", 1)
    monkeypatch.setattr(projection_module, "BATCH", 1)
    assert list(pack(path, time.time_ns() + 86_400 * 10**9, 1.0, 0))
    assert decisions("packed.sqlite") == before
    assert "trending" in before[0]


def test_text_with_a_nul_character_does_not_stop_the_store(tmp_path: Path, url: str) -> None:
    maker = MessageMaker("daemon", SessionId("s1"))
    facts = [maker.make(AlertRaised("info", "a\0b", "c"), 1), maker.make(AlertRaised("info", "next", "d"), 2)]
    projection = projection_of(written(tmp_path / "j.journal", facts), url)
    assert projection.rebuild() == 2
    assert [row[4] for row in projection.store.contents()["logs"]] == ["a\N{REPLACEMENT CHARACTER}b", "next"]
    projection.close()


# ---- the database is away ----------------------------------------------------------------------------


def test_postgresql_stopped_while_trading_goes_on_loses_nothing(tmp_path: Path, traded: list[Message]) -> None:
    server = PostgresServer()
    try:
        server.start()
        path = tmp_path / "j.journal"
        journal = MessageJournal.open(path)
        third = len(traded) // 3
        journal.append(traded[:third], sync=False)
        projection = projection_of(path, server.url)
        told: list[bool] = []
        turns = 0

        def wait(_: float) -> bool:
            """Instead of sleeping: what happens next."""
            nonlocal turns
            turns += 1
            if turns == 1:
                server.stop()
                begin = time.perf_counter()
                journal.append(traded[third : 2 * third], sync=True)  # the engine's path knows nothing of it
                assert time.perf_counter() - begin < 5
            elif turns == 4:
                assert told == [True, False]
                server.start()
                journal.append(traded[2 * third :], sync=True)
            return turns == 8

        projection.run(wait, lambda is_up, _: told.append(is_up))
        assert told == [True, False, True]
        journal.close()
        alone = projection_of(path, f"sqlite:///{tmp_path / 'alone.sqlite'}")
        alone.rebuild()
        assert projection.store.contents() == alone.store.contents()
        projection.close()
        alone.close()
    finally:
        server.remove()


def test_postgresql_that_cuts_us_off_in_the_middle_of_a_transaction_is_asked_again(
    tmp_path: Path, postgres: PostgresServer, traded: list[Message], monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = written(tmp_path / "j.journal", traded)
    projection = projection_of(path, postgres.url)
    projection.rebuild()
    projection.close()
    again = projection_of(path, postgres.url)
    again._go_to_begin()
    write = again.store.write
    cuts: list[Sequence[bool]] = []

    def cut_off(loader: Loader, change: Callable[[Loader], Iterable[Row]]) -> Iterable[Row]:
        rows = list(change(loader))
        if not cuts:
            other = open_engine(postgres.url)
            with other.connect() as connection:
                cuts.append(connection.execute(text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND state = "
                    "'idle in transaction'"
                )).scalars().all())
            other.dispose()
        return rows

    monkeypatch.setattr(
        again.store, "write", lambda before, after, change: write(before, after, lambda loader: cut_off(loader, change))
    )
    told: list[bool] = []
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return len(waits) == 3

    again.run(wait, lambda is_up, _: told.append(is_up))
    assert cuts == [[True]]
    assert told == [False, True]
    alone = projection_of(path, f"sqlite:///{tmp_path / 'alone.sqlite'}")
    alone.rebuild()
    assert again.store.contents() == alone.store.contents()
    again.close()
    alone.close()


def test_a_spoilt_file_that_is_moved_away_is_filled_again_beside_the_running_daemon(tmp_path: Path) -> None:
    """As the store's own words tell people to do. A connection that was open leads to the spoilt one for ever."""
    path, file = written(tmp_path / "j.journal", alerts(2_000)), tmp_path / "s.sqlite"
    projection = projection_of(path, f"sqlite:///{file}")
    told: list[tuple[bool, str]] = []
    waits = 0

    def wait(_: float) -> bool:
        nonlocal waits
        waits += 1
        if waits == 1:
            spoil(file)
            journal = MessageJournal.open(path)
            journal.append(alerts(1_000, 2_000), sync=True)
            journal.close()
        elif not told[-1][0]:
            for each in tmp_path.glob("s.sqlite*"):
                each.rename(tmp_path / f"away-{each.name}")
        return waits > 8 or len(told) == 3

    projection.run(wait, lambda is_up, why: told.append((is_up, why)))
    assert [is_up for is_up, _ in told] == [True, False, True]
    assert "Move the file away" in told[1][1]
    assert len(projection.store.contents()["logs"]) == 3_000
    projection.close()


def spoil(file: Path) -> None:
    """Everything but the first page, as a bad disk does; nothing lies beside it that would mend it."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    size = file.stat().st_size
    with file.open("r+b") as opened:
        opened.seek(4_096)
        opened.write(b"\xff" * (size - 4_096))


def test_a_database_that_was_never_there_is_told_once(tmp_path: Path) -> None:
    path = written(tmp_path / "j.journal", alerts(3))
    projection = projection_of(path, "postgresql://nobody@127.0.0.1:1/none")
    told: list[tuple[bool, str]] = []
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return len(waits) == 7

    projection.run(wait, lambda is_up, why: told.append((is_up, why)))
    assert [is_up for is_up, _ in told] == [False]
    assert waits == [0.5, 1, 2, 4, 8, 15, 15]
    projection.close()


@pytest.mark.parametrize(
    ("given", "problem"),
    [("mysql://a/b", "not supported"), ("nonsense", "not a URL"), ("postgresql://host", "names no database")],
)
def test_a_url_that_cannot_be_used_is_explained(given: str, problem: str) -> None:
    with pytest.raises(StoreUrlError, match=problem):
        parse_url(given)


# ---- what is asked of it -----------------------------------------------------------------------------


def test_the_questions_of_people_and_laboratory_are_answered(tmp_path: Path, url: str, traded: list[Message]) -> None:
    extra = [MessageMaker("x", SessionId("s9")).make(AlertRaised("critical", "fire", "in the hall"), 5)]
    projection = projection_of(written(tmp_path / "j.journal", [*traded, *extra]), url)
    projection.rebuild()
    engine = open_engine(url)
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
