import multiprocessing
import os
import signal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.journal import AHEAD, Journal, JournalError, Record
from tests.full_disk import no_file_beyond

ROWS = st.tuples(st.integers(-(2**62), 2**62), st.text(max_size=9), st.binary(max_size=300))


def record(text: str) -> Record:
    return Record(0, 1, "Heartbeat", text.encode())


def texts(path: Path) -> list[str]:
    journal = Journal.open(path, read_only=True)
    try:
        return [r.data.decode() for r in journal.read()]
    finally:
        journal.close()


def written(path: Path, *batches: list[str]) -> bytes:
    """A closed journal of these batches; returns its bytes."""
    journal = Journal.open(path)
    for batch in batches:
        journal.append([record(text) for text in batch], sync=True)
    journal.close()
    return path.read_bytes()


def test_records_come_back_in_order_and_numbered(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "j.journal")
    journal.append([record("a"), record("b")], sync=True)
    journal.append([record("c")], sync=False)
    assert [(r.number, r.data) for r in journal.read()] == [(1, b"a"), (2, b"b"), (3, b"c")]
    assert [r.data for r in journal.read(after=1)] == [b"b", b"c"]
    assert [r.data for r in journal.read(after=2)] == [b"c"]
    assert len(journal) == 3
    journal.close()
    assert texts(tmp_path / "j.journal") == ["a", "b", "c"]


def test_numbers_go_on_where_they_stopped(tmp_path: Path) -> None:
    path = tmp_path / "j.journal"
    written(path, ["a"], ["b", "c"])
    journal = Journal.open(path)
    journal.append([record("d")], sync=False)
    assert [r.number for r in journal.read()] == [1, 2, 3, 4]
    journal.close()


@settings(max_examples=60, deadline=None)
@given(batches=st.lists(st.lists(ROWS)))
def test_any_bytes_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[tuple[int, str, bytes]]],
) -> None:
    path = tmp_path_factory.mktemp("j") / "j.journal"
    journal = Journal.open(path)
    for batch in batches:
        journal.append([Record(0, ts, kind, data) for ts, kind, data in batch], sync=False)
    journal.close()
    again = Journal.open(path, read_only=True)
    flat = [row for batch in batches for row in batch]
    assert list(again.read()) == [Record(number, *row) for number, row in enumerate(flat, 1)]
    assert len(again) == len(flat)
    again.close()


def test_an_append_is_all_or_nothing(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "j.journal")
    journal.append([record("a")], sync=True)
    with pytest.raises(JournalError):
        journal.append([record("b"), Record(0, "not a time", "x", b"c")], sync=True)  # type: ignore[arg-type]
    journal.append([record("d")], sync=True)
    journal.close()
    assert texts(tmp_path / "j.journal") == ["a", "d"]


def _write_and_die(path: Path, sync: bool) -> None:
    journal = Journal.open(path)
    for number in range(5):
        journal.append([record(str(number))], sync=sync)
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("sync", [True, False])
def test_what_was_appended_survives_kill_9(tmp_path: Path, sync: bool) -> None:
    path = tmp_path / "j.journal"
    process = multiprocessing.get_context("spawn").Process(target=_write_and_die, args=(path, sync))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert texts(path) == ["0", "1", "2", "3", "4"]
    written(path, ["5"])
    assert texts(path) == ["0", "1", "2", "3", "4", "5"]


def test_a_synced_append_is_on_disk_when_it_returns_and_another_is_not_flushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes_at_flush: list[bytes] = []
    path = tmp_path / "j.journal"
    journal = Journal.open(path)
    flush = os.fdatasync

    def noted(descriptor: int) -> None:
        sizes_at_flush.append(path.read_bytes().rstrip(b"\0")[-1:])
        flush(descriptor)

    monkeypatch.setattr(os, "fdatasync", noted)
    journal.append([record("a")], sync=False)
    assert sizes_at_flush == []
    journal.append([record("b")], sync=True)
    journal.append([record("c")], sync=False)
    journal.flush()
    assert sizes_at_flush == [b"b", b"c"]
    journal.close()


# ---- the machine died while something was written ------------------------------------------------------


def test_an_append_that_was_cut_short_at_any_byte_never_happened(tmp_path: Path) -> None:
    path = tmp_path / "j.journal"
    before = written(path, ["a", "b"])
    whole = written(path, ["c", "d"])
    for size in range(len(before), len(whole)):
        for rest in (b"", bytes(5_000)):  # with and without the zeros taken in advance
            path.write_bytes(whole[:size] + rest)
            assert texts(path) == ["a", "b"]
            journal = Journal.open(path)
            assert journal.cut == len(whole[len(before) : size].rstrip(b"\0"))
            journal.append([record("e")], sync=True)
            journal.close()
            assert texts(path) == ["a", "b", "e"]
            assert path.with_name("j.journal.torn").exists() == (size > len(before))


def test_what_is_cut_off_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "j.journal"
    before, whole = written(path, ["a"]), written(path, ["b"])
    path.write_bytes(whole[:-1])
    Journal.open(path).close()
    assert path.read_bytes() == before
    assert path.with_name("j.journal.torn").read_bytes() == whole[len(before) : -1]


# ---- damage ------------------------------------------------------------------------------------------


def test_any_flipped_bit_before_the_last_append_is_found(tmp_path: Path) -> None:
    path = tmp_path / "j.journal"
    head = len(written(path))
    before = written(path, ["a"], ["bb"])
    whole = written(path, ["c"])
    for position in range(head, len(before)):
        for bit in (1, 128):
            path.write_bytes(whole[:position] + bytes([whole[position] ^ bit]) + whole[position + 1 :])
            with pytest.raises(JournalError, match=r"record [12] is damaged \(at byte \d+\).*Restore a backup"):
                texts(path)
            with pytest.raises(JournalError, match="is damaged"):
                Journal.open(path)


def test_a_batch_that_is_missing_is_found(tmp_path: Path) -> None:
    path = tmp_path / "j.journal"
    one = written(path, ["a"])
    two = written(path, ["b"])
    three = written(path, ["c"])
    path.write_bytes(one + three[len(two) :])
    with pytest.raises(JournalError, match="record 2 is damaged"):
        texts(path)


@pytest.mark.parametrize("content", [b"something else entirely" * 100, b"SQLite format 3\0" * 64, b"short"])
def test_a_file_that_is_no_journal_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "j.journal"
    path.write_bytes(content)
    with pytest.raises(JournalError, match="not usable as a journal"):
        Journal.open(path)
    assert path.read_bytes() == content


def test_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "j.journal"
    raw = bytearray(written(path, ["a"]))
    raw[12] = 99
    path.write_bytes(raw)
    with pytest.raises(JournalError, match="version 99"):
        Journal.open(path)


def test_reading_what_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="no journal here"):
        Journal.open(tmp_path / "none.journal", read_only=True)


# ---- the disk ----------------------------------------------------------------------------------------


def test_space_is_taken_before_it_is_needed_and_given_back(tmp_path: Path) -> None:
    path = tmp_path / "j.journal"
    journal = Journal.open(path)
    journal.append([record("a")], sync=True)
    assert path.stat().st_size > AHEAD
    with no_file_beyond(path.stat().st_size):
        for _ in range(100):  # the disk is full: what was taken in advance still serves
            journal.append([record("the kill switch")], sync=True)
    journal.close()
    assert path.stat().st_size < AHEAD
    assert len(texts(path)) == 101


def test_a_disk_serves_to_its_last_block_when_there_is_no_room_to_be_ahead(tmp_path: Path) -> None:
    path = tmp_path / "j.journal"
    size = len(written(path, ["a"]))  # an orderly end: what was taken in advance is given back
    with no_file_beyond(size + AHEAD // 2):
        journal = Journal.open(path)
        for text in ("the start", "the exit"):
            journal.append([record(text)], sync=True)
        with pytest.raises(JournalError, match="Free disk space"):
            journal.append([record("x" * AHEAD)], sync=True)
        journal.close()
    assert texts(path) == ["a", "the start", "the exit"]


def test_a_full_disk_writes_nothing_and_ends_the_writing(tmp_path: Path) -> None:
    path = tmp_path / "j.journal"
    journal = Journal.open(path)
    journal.append([record("a")], sync=True)
    with no_file_beyond(path.stat().st_size), pytest.raises(JournalError, match="Free disk space"):
        journal.append([record("x" * 2 * AHEAD)], sync=True)
    with pytest.raises(JournalError, match="a write failed before"):
        journal.append([record("b")], sync=True)
    assert texts(path) == ["a"]
    journal.close()
    written(path, ["b"])
    assert texts(path) == ["a", "b"]


def test_after_a_failed_flush_nothing_more_is_promised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    journal = Journal.open(tmp_path / "j.journal")
    monkeypatch.setattr(os, "fdatasync", fails)
    with pytest.raises(JournalError, match="Input/output error"):
        journal.append([record("a")], sync=True)
    monkeypatch.undo()
    with pytest.raises(JournalError, match="a write failed before"):
        journal.append([record("b")], sync=True)
    journal.close()


# ---- others ------------------------------------------------------------------------------------------


def test_two_writers_are_refused(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "j.journal")
    with pytest.raises(JournalError, match="another process writes to it"):
        Journal.open(tmp_path / "j.journal")
    journal.close()
    Journal.open(tmp_path / "j.journal").close()


def test_a_reader_sees_whole_appends_only_while_another_process_writes(tmp_path: Path) -> None:
    path = tmp_path / "j.journal"
    Journal.open(path).close()
    process = multiprocessing.get_context("spawn").Process(target=_write_pairs, args=(path,))
    process.start()
    seen: list[str] = []
    while len(seen) < 4_000:
        seen = texts(path)
        assert len(seen) % 2 == 0
        assert seen == [str(number) for number in range(len(seen))]
        assert process.is_alive() or process.exitcode == 0
    process.join()


def _write_pairs(path: Path) -> None:
    journal = Journal.open(path)
    for number in range(0, 4_000, 2):
        journal.append([record(str(number)), record(str(number + 1))], sync=False)
    journal.close()
