"""The SQL store: exactly once, whatever is cut off where, and equal to a store that is built anew."""

import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from bus.ids import SessionId
from bus.messages.header import Message, MessageMaker
from bus.messages.system import AlertRaised
from store import journal_pack
from store.sql.database import StoreUrlError, open_engine, parse_url
from store.sql.projection_store import Loader, Place, PlaceMovedError
from store.sql.rows import Row
from tests.postgres_server import PostgresServer
from tests.tradingd.stored_journal import alerts, projection_of, written
from tests.tradingd.test_decisions import story
from tradingd import projection as projection_module
from tradingd.journal_packing import pack
from tradingd.message_journal import MessageJournal
from tradingd.projection import ForeignStoreError, Projection

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
    tmp_path: Path, store_url: str, traded: list[Message], monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(projection_module, "BATCH", 20)
    path = written(tmp_path / "j.journal", traded)
    one, other = projection_of(path, store_url), projection_of(path, store_url)
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


def test_text_with_a_nul_character_does_not_stop_the_store(tmp_path: Path, store_url: str) -> None:
    maker = MessageMaker("daemon", SessionId("s1"))
    facts = [maker.make(AlertRaised("info", "a\0b", "c"), 1), maker.make(AlertRaised("info", "next", "d"), 2)]
    projection = projection_of(written(tmp_path / "j.journal", facts), store_url)
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
