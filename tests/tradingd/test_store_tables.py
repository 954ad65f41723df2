"""The SQL store: tables made at once or not at all, refused when of another version; rebuilds that are disturbed."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from decimal import Decimal, localcontext
from pathlib import Path

import pytest
from sqlalchemy import select, text

from bus.ids import ClientOrderId, SessionId, TradeId
from bus.messages.header import Message, MessageMaker
from bus.messages.orders import OrderFilled
from market.money import EXACT
from store import journal_pack
from store.sql import asyncpg_driver
from store.sql.database import VERSION_TABLE, StoreVersionError, check_migrations, migrate, open_engine
from store.sql.postgres_lease import PostgresLease
from store.sql.postgres_url import asyncpg_url
from store.sql.projection_store import Loader, Place, PlaceMovedError
from store.sql.rows import Row
from store.sql.tables import ORDERS
from tests.orders.trading import BTC
from tests.postgres_server import PostgresServer
from tests.tradingd.stored_journal import alerts, projection_of, written
from tests.tradingd.test_decisions import story
from tests.tradingd.test_journal_tools import run
from tradingd import projection as projection_module
from tradingd.data_dir import JOURNAL
from tradingd.exit_codes import FAILURE, NOT_REACHABLE
from tradingd.journal_packing import pack
from tradingd.message_journal import MessageJournal

_DIES = """
import os
import sys
from sqlalchemy import event
from store.sql.database import migrate, open_engine

engine, made = open_engine(sys.argv[1]), []

@event.listens_for(engine, "after_cursor_execute")
def look(connection, cursor, statement, *others):
    if statement.lstrip().upper().startswith(("CREATE", "ALTER", "INSERT", "UPDATE")):
        made.append(statement)
    if len(made) == int(sys.argv[2]):
        os._exit(9)

migrate(engine)
"""


@pytest.mark.parametrize("number", [1, 2, 9, 40])
def test_a_death_at_any_statement_leaves_nothing_that_the_next_start_stumbles_over(tmp_path: Path, number: int) -> None:
    """SQLite's transactions hold tables, too, but Python's driver begins none before a statement that makes one."""
    address = f"sqlite:///{tmp_path / 's.sqlite'}"
    assert subprocess.run([sys.executable, "-c", _DIES, address, str(number)], check=False).returncode == 9
    engine = open_engine(address)
    migrate(engine)
    with engine.connect() as connection:
        check_migrations(connection)
    engine.dispose()


def test_those_that_make_them_in_one_file_at_once_wait_for_each_other(tmp_path: Path) -> None:
    script = "import sys; from store.sql.database import migrate, open_engine; migrate(open_engine(sys.argv[1]))"
    all_of_them = [
        subprocess.Popen([sys.executable, "-c", script, f"sqlite:///{tmp_path / 's.sqlite'}"]) for _ in range(3)
    ]
    assert [each.wait(60) for each in all_of_them] == [0, 0, 0]


def test_those_of_a_newer_version_are_refused_with_the_remedy(store_url: str) -> None:
    engine = open_engine(store_url)
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = 'r9999'"))
    with pytest.raises(StoreVersionError, match=r"r9999.*Use the version that made them, or name another"):
        migrate(engine)
    engine.dispose()


def test_on_the_command_line_they_are_refused_in_the_same_words(tmp_path: Path) -> None:
    written(tmp_path / JOURNAL, alerts(3))
    assert run("store", "rebuild", data_dir=tmp_path)[0] == 0
    engine = open_engine(f"sqlite:///{tmp_path / 'trading.sqlite'}")
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = 'r9999'"))
    engine.dispose()
    code, output = run("store", "rebuild", data_dir=tmp_path)
    assert code == FAILURE
    assert "trading.sqlite" in output
    assert "Use the version that made them" in output
    assert "Error:" not in output


def test_a_rebuild_goes_on_however_often_the_daemon_s_own_process_comes_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, traded: list[Message],
) -> None:
    path = written(tmp_path / "j.journal", traded)
    address, alone = f"sqlite:///{tmp_path / 'store.sqlite'}", f"sqlite:///{tmp_path / 'alone.sqlite'}"
    monkeypatch.setattr(projection_module, "BATCH", 20)
    theirs, ours = projection_of(path, address), projection_of(path, address)
    theirs.step()
    write, turns = ours.store.write, iter(range(6))

    def late(before: Place, after: Place, fold: Callable[[Loader], Iterable[Row]]) -> None:
        if next(turns, 5) % 2 == 0:
            with suppress(PlaceMovedError):
                theirs.step()
            theirs.step()
        write(before, after, fold)

    monkeypatch.setattr(ours.store, "write", late)
    ours.rebuild()
    anew = projection_of(path, alone)
    anew.rebuild()
    assert ours.record == anew.record == len(traded)
    assert ours.store.contents() == anew.store.contents()
    for each in (theirs, ours, anew):
        each.close()


def test_tables_of_months_are_emptied_however_long_that_takes(
    tmp_path: Path, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = written(tmp_path / "j.journal", alerts(3))
    other = open_engine(postgres.url)
    with other.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    projection = projection_of(path, postgres.url)
    projection.rebuild()
    projection.close()
    monkeypatch.setattr(asyncpg_driver, "_COMMAND_S", 0.5)
    again = projection_of(path, postgres.url)
    with other.begin() as connection:
        connection.exec_driver_sql(
            "CREATE FUNCTION slowly() RETURNS trigger AS 'BEGIN PERFORM pg_sleep(0.7); RETURN NULL; END' "
            "LANGUAGE plpgsql; CREATE TRIGGER slow AFTER DELETE ON logs FOR EACH STATEMENT EXECUTE FUNCTION slowly()"
        )
    try:
        assert again.rebuild() == 3
    finally:
        with other.begin() as connection:
            connection.exec_driver_sql("DROP FUNCTION slowly() CASCADE")
        other.dispose()
        again.close()


def test_one_that_is_begun_anew_between_an_analysis_and_its_proposal_still_joins_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Packed, an append may be divided at any record."""
    path = tmp_path / "j.journal"
    journal = MessageJournal.open(path)
    journal.append(story(), sync=False)
    assert journal.rotate()
    journal.append(alerts(1), sync=True)
    journal.close()
    monkeypatch.setattr(journal_pack, "_FRAME_BYTES", 1)
    monkeypatch.setattr(projection_module, "BATCH", 1)
    assert list(pack(path, time.time_ns() + 86_400 * 10**9, 1.0, 0))
    found = []
    for name, is_begun_anew in (("whole.sqlite", False), ("cut.sqlite", True)):
        projection = projection_of(path, f"sqlite:///{tmp_path / name}")
        while projection.step():
            if is_begun_anew:
                projection.close()
                projection = projection_of(path, f"sqlite:///{tmp_path / name}")
        found.append(projection.store.contents())
        projection.close()
    assert found[0] == found[1]


def test_sums_are_exact_to_the_last_digit_that_a_journal_may_hold(tmp_path: Path, store_url: str) -> None:
    engine = MessageMaker("engine", SessionId("s1"))
    amount, price, fee = Decimal("98765432.123456789012345678"), Decimal("54321.123456789012345678"), Decimal("1e-18")
    fills = [
        OrderFilled(
            ClientOrderId("s1-m1"), BTC, "buy", TradeId(f"t{number}"), amount, price, fee, "USDT", amount * number,
            False, False, True,
        ) for number in (1, 2)
    ]
    path = written(tmp_path / "j.journal", [engine.make(each, 1) for each in fills])
    projection = projection_of(path, store_url)
    projection.rebuild()
    projection.close()
    reader = open_engine(store_url)
    with reader.connect() as connection:
        value, filled, fees = connection.execute(select(ORDERS.c.value, ORDERS.c.filled, ORDERS.c.fees)).one()
    reader.dispose()
    with localcontext(EXACT):
        assert (value, filled, fees) == (2 * amount * price, 2 * amount, 2 * fee)


@pytest.mark.parametrize("driver", ["postgresql", "postgres", "postgresql+asyncpg"])
@pytest.mark.parametrize("options", ["", "?sslmode=disable", "?ssl=prefer&application_name=our%20desk"])
def test_store_and_lease_read_one_url_alike(postgres: PostgresServer, driver: str, options: str) -> None:
    """An encrypted line can be asked for, and not for one of the two only."""
    address = postgres.url.replace("postgresql", driver, 1) + options
    assert asyncio.run(PostgresLease(address, f"{driver}{options}").take("me", 30))[0] == 1
    engine = open_engine(address)
    with engine.connect() as connection:
        name = connection.execute(text("SHOW application_name")).scalar_one()
    engine.dispose()
    assert name == ("our desk" if "application_name" in options else "")


@pytest.mark.parametrize(("given", "wanted"), [
    ("postgresql+asyncpg://a:p%40ss@h:5432/b", "postgresql://a:p%40ss@h:5432/b"),
    ("postgres://a@h/b?ssl=require", "postgresql://a@h/b?sslmode=require"),
    ("postgresql://a@/b?host=%2Frun%2Fpostgresql", "postgresql://a@/b?host=%2Frun%2Fpostgresql"),
])
def test_of_a_url_only_the_spelling_changes(given: str, wanted: str) -> None:
    assert asyncpg_url(given) == wanted


def test_what_is_wrong_with_a_database_is_told_with_its_place_and_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    written(tmp_path / JOURNAL, alerts(3))
    (tmp_path / "trading.sqlite").write_bytes(b"no database at all, and long enough to be read as one" * 99)
    for word in ("status", "rebuild"):
        code, output = run("store", word, data_dir=tmp_path)
        assert code == NOT_REACHABLE
        assert "trading.sqlite: file is not a database. Move the file away: it is filled again" in output
    monkeypatch.setenv("TRADINGD__STORE__URL", "postgresql://me:password@127.0.0.1:1/desk")
    code, output = run("store", "status", data_dir=tmp_path)
    assert code == NOT_REACHABLE
    assert "postgresql://me:***@127.0.0.1:1/desk: ConnectionRefusedError" in output
    assert "name another one (store.url)" in output
    assert "password" not in output
