"""A flush beside the writer: what it promises, what it leaves alone, and what its failure ends."""

import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from store.journal import Journal, JournalError, Record
from store.journal_flush import FlushBeside
from store.journal_format import FILE_HEAD

DISK_ERROR = OSError(5, "Input/output error")


def append(journal: Journal, text: str, *, sync: bool = False) -> None:
    journal.append([Record(0, 1, "Heartbeat", text.encode())], sync=sync)


def pending(journal: Journal) -> FlushBeside:
    found = journal.to_flush()
    assert found is not None
    return found


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal.open(tmp_path / "j.journal")
    yield opened
    opened.close()


def test_what_was_not_urgent_is_on_disk_behind_it(journal: Journal) -> None:
    append(journal, "a")
    assert journal.synced < journal.size
    beside = pending(journal)
    append(journal, "b")
    assert beside.perform()
    journal.on_flushed(beside)
    assert FILE_HEAD.size < journal.synced == beside.end < journal.size
    assert pending(journal).end == journal.size


def test_there_is_nothing_to_flush_where_nothing_was_written_or_an_urgent_one_came_by(journal: Journal) -> None:
    assert journal.to_flush() is None
    append(journal, "a")
    beside = pending(journal)
    append(journal, "b", sync=True)
    assert journal.to_flush() is None
    assert beside.perform()
    journal.on_flushed(beside)
    assert journal.synced == journal.size


def test_a_reader_and_a_closed_journal_flush_nothing(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "j.journal")
    append(journal, "a")
    reader = Journal.open(tmp_path / "j.journal", read_only=True)
    assert reader.to_flush() is None
    reader.close()
    journal.close()
    assert journal.to_flush() is None


def test_an_urgent_append_does_not_wait_for_one_that_hangs(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    has_begun, may_end = threading.Event(), threading.Event()
    real, writer = os.fdatasync, threading.get_ident()

    def hanging(descriptor: int) -> None:
        if threading.get_ident() != writer:
            has_begun.set()
            assert may_end.wait(30)
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", hanging)
    append(journal, "a")
    thread = threading.Thread(target=pending(journal).perform)
    thread.start()
    try:
        assert has_begun.wait(30)
        append(journal, "b", sync=True)
        assert journal.synced == journal.size
    finally:
        may_end.set()
        thread.join()


def test_it_flushes_by_an_opening_of_its_own_so_that_the_writer_hears_of_a_failed_write_by_itself(
    journal: Journal, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The writer's lock holds for the writer's opening: a copy of its descriptor would be let in."""
    locked_out: list[bool] = []

    def noting(descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            locked_out.append(True)

    append(journal, "a")
    monkeypatch.setattr(os, "fdatasync", noting)
    assert pending(journal).perform()
    assert locked_out == [True]


def test_a_file_that_is_replaced_or_closed_meanwhile_is_no_harm(journal: Journal, tmp_path: Path) -> None:
    append(journal, "a" * 500)
    beside = pending(journal)
    assert journal.rotate()
    append(journal, "b")
    synced = journal.synced
    assert beside.perform()
    journal.on_flushed(beside)
    assert journal.synced == synced < journal.size  # of the new file nothing is known
    late = pending(journal)
    journal.close()
    assert late.perform()
    journal.on_flushed(late)
    (tmp_path / "j.journal").unlink()
    assert not late.perform()


def test_behind_a_failed_one_nothing_more_is_written(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: int) -> None:
        raise DISK_ERROR

    append(journal, "a")
    beside = pending(journal)
    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(os, "fdatasync", fails)
    with pytest.raises(OSError, match="Input/output error") as failed:
        beside.perform()
    monkeypatch.undo()
    assert len(os.listdir("/proc/self/fd")) == before
    assert "cannot be written ([Errno 5] Input/output error)" in str(journal.on_flush_failed(failed.value))
    with pytest.raises(JournalError, match="a write failed before"):
        append(journal, "b", sync=True)
    assert journal.to_flush() is None
