import multiprocessing
import os
import signal
import sqlite3
from pathlib import Path

import pytest

from store.journal import Journal, JournalError, Record


def record(text: str) -> Record:
    return Record(0, 1, "Heartbeat", text.encode())


def texts(path: Path) -> list[str]:
    journal = Journal.open(path, read_only=True)
    try:
        return [r.data.decode() for r in journal.read()]
    finally:
        journal.close()


def test_records_come_back_in_order_and_numbered(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "j.sqlite")
    journal.append([record("a"), record("b")], sync=True)
    journal.append([record("c")], sync=False)
    assert [(r.number, r.data) for r in journal.read()] == [(1, b"a"), (2, b"b"), (3, b"c")]
    assert [r.data for r in journal.read(after=2)] == [b"c"]
    assert len(journal) == 3
    journal.close()
    assert texts(tmp_path / "j.sqlite") == ["a", "b", "c"]


def test_an_append_is_all_or_nothing(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "j.sqlite")
    journal.append([record("a")], sync=True)
    with pytest.raises(JournalError):
        journal.append([record("b"), Record(0, "not a time", "x", b"c")], sync=True)  # type: ignore[arg-type]
    journal.append([record("d")], sync=True)
    journal.close()
    assert texts(tmp_path / "j.sqlite") == ["a", "d"]


def _write_and_die(path: Path, sync: bool) -> None:
    journal = Journal.open(path)
    for number in range(5):
        journal.append([record(str(number))], sync=sync)
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("sync", [True, False])
def test_what_was_appended_survives_kill_9(tmp_path: Path, sync: bool) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_write_and_die, args=(tmp_path / "j.sqlite", sync))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert texts(tmp_path / "j.sqlite") == ["0", "1", "2", "3", "4"]


def test_a_flipped_bit_is_found_and_named(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite"
    journal = Journal.open(path)
    journal.append([record("a"), record("b")], sync=True)
    journal.close()
    raw = sqlite3.connect(path)
    raw.execute("UPDATE records SET message = x'63' WHERE number = 2")
    raw.commit()
    raw.close()
    with pytest.raises(JournalError, match="record 2"):
        texts(path)


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite"
    path.write_bytes(b"something else entirely" * 100)
    with pytest.raises(JournalError, match="not usable as a journal"):
        Journal.open(path)


def test_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite"
    Journal.open(path).close()
    raw = sqlite3.connect(path)
    raw.execute("UPDATE meta SET value = '99'")
    raw.commit()
    raw.close()
    with pytest.raises(JournalError, match="version 99"):
        Journal.open(path)


def test_reading_what_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="no journal here"):
        Journal.open(tmp_path / "none.sqlite", read_only=True)


def test_a_synced_append_turns_full_synchronisation_on(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "j.sqlite")
    journal.append([record("a")], sync=False)
    assert journal._connection.execute("PRAGMA synchronous").fetchone()[0] == 1
    journal.append([record("b")], sync=True)
    assert journal._connection.execute("PRAGMA synchronous").fetchone()[0] == 2
    journal.close()
