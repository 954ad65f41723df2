"""Examining and repairing: what is lost is named, what is whole before it is kept, nothing is thrown away."""

import os
from pathlib import Path

import pytest

from store.journal import Journal, JournalError, Record
from store.journal_check import examine
from store.journal_format import WINDOW
from store.journal_repair import repair


def written(path: Path, *batches: tuple[str, ...]) -> list[int]:
    """A closed journal of these batches; returns where each begins, and the end."""
    journal = Journal.open(path)
    places = []
    for number, texts in enumerate(batches, 1):
        places.append(journal.size)
        journal.append([Record(0, number, "Heartbeat", text.encode()) for text in texts], sync=False)
    places.append(journal.size)
    journal.close()
    return places


def flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(bytes(data))


def texts_of(path: Path) -> list[str]:
    journal = Journal.open(path, read_only=True)
    try:
        return [record.data.decode() for record in journal.read()]
    finally:
        journal.close()


def test_a_whole_journal_is_called_whole(tmp_path: Path) -> None:
    path = tmp_path / "j.journal"
    written(path, ("a", "b"), ("c",))
    found = examine(path)
    assert found.is_whole
    assert (found.records, found.batches, found.first_ns, found.last_ns) == (3, 2, 1, 2)
    assert repair(path) is None


def test_one_that_is_being_written_is_whole_too(tmp_path: Path) -> None:
    path = tmp_path / "j.journal"
    journal = Journal.open(path)
    journal.append([Record(0, 1, "x", b"a")], sync=False)
    found = examine(path)
    assert found.is_whole
    assert (found.kept_bytes, found.torn_bytes) == (journal.size, 0)
    journal.close()


def test_what_is_appended_while_it_is_examined_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file's end was read before the appends, what lies behind that stretch after them."""
    path = tmp_path / "j.journal"
    journal = Journal.open(path)
    while journal.size < WINDOW - 1_500:
        journal.append([Record(0, 1, "x", b"a" * 500)], sync=False)
    pread = os.pread

    def late(descriptor: int, length: int, at: int) -> bytes:
        data = pread(descriptor, length, at)
        if length >= WINDOW:
            monkeypatch.setattr(os, "pread", pread)
            for _ in range(8):
                journal.append([Record(0, 1, "x", b"b" * 500)], sync=False)
        return data

    monkeypatch.setattr(os, "pread", late)
    found = examine(path)
    assert found.damages == ()
    assert (found.records, found.kept_bytes, found.torn_bytes) == (len(journal), journal.size, 0)
    journal.close()


def test_a_torn_tail_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "j.journal"
    places = written(path, ("a",), ("b",))
    path.write_bytes(path.read_bytes()[:-1])
    found = examine(path)
    assert found.is_whole
    assert found.records == 1
    assert found.torn_bytes == places[2] - places[1] - 1


def test_damage_is_told_with_place_and_numbers_and_everything_before_it_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "j.journal"
    places = written(path, ("a", "b"), ("c", "d"), ("e",), ("f",))
    flip(path, places[1] + 20)
    before = path.read_bytes()
    found = examine(path)
    assert not found.is_whole
    (damage,) = found.damages
    assert (damage.begin, damage.end, damage.after, damage.before) == (places[1], places[2], 2, 5)
    assert (found.records, found.kept_records, found.kept_bytes) == (4, 2, places[1])
    done = repair(path)
    assert done is not None
    assert (done.kept_records, done.set_aside_records) == (2, 2)
    assert done.original.read_bytes() == before
    assert texts_of(path) == ["a", "b"]
    assert examine(path).is_whole


def test_every_single_flipped_bit_before_the_last_append_is_found(tmp_path: Path) -> None:
    path = tmp_path / "j.journal"
    places = written(path, ("a",), ("bb",), ("c",))
    whole = path.read_bytes()
    for position in range(places[0], places[2]):
        path.write_bytes(whole)
        flip(path, position)
        assert not examine(path).is_whole, position


def test_a_lost_head_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "j.journal"
    written(path, ("a",), ("b",))
    flip(path, 0)
    assert examine(path).version == 0
    assert repair(path) is not None
    assert texts_of(path) == ["a", "b"]


def test_a_journal_of_another_version_or_without_any_record_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "j.journal"
    written(path, ("a",))
    flip(path, 12)  # the version
    before = path.read_bytes()
    with pytest.raises(JournalError, match="journal version 3, this program repairs 2 and 4"):
        repair(path)
    assert path.read_bytes() == before
    nothing = tmp_path / "n.journal"
    nothing.write_bytes(b"x" * 500)
    with pytest.raises(JournalError, match="no whole record"):
        repair(nothing)


def test_a_journal_that_a_daemon_writes_to_is_not_repaired(tmp_path: Path) -> None:
    path = tmp_path / "j.journal"
    places = written(path, ("a",), ("b",), ("c",))
    journal = Journal.open(path)
    flip_without_closing = path.read_bytes()
    with path.open("r+b") as file:
        file.seek(places[1] + 20)
        file.write(bytes([flip_without_closing[places[1] + 20] ^ 1]))
    with pytest.raises(JournalError, match="a daemon writes to it"):
        repair(path)
    assert list(tmp_path.iterdir()) == [path]
    journal.close()
