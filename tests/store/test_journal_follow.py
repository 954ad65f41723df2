"""Following a journal: what is taken is what was appended, from any place, while the writer goes on."""

from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.journal import Journal, JournalError, Record
from store.journal_follow import JournalFollower


def batch(*texts: str) -> list[Record]:
    return [Record(0, 1, "Heartbeat", text.encode()) for text in texts]


def is_record(data: bytes, record: Record) -> bool:
    return record.data == data


def texts(records: list[Record]) -> list[str]:
    return [record.data.decode() for record in records]


def test_what_the_writer_appends_is_taken_once_and_in_order(tmp_path: Path) -> None:
    path = tmp_path / "j.journal"
    journal = Journal.open(path)
    follower = JournalFollower.open(path)
    assert follower.take(10) == []
    journal.append(batch("a", "b"), sync=False)
    assert texts(follower.take(10)) == ["a", "b"]
    assert follower.take(10) == []
    journal.append(batch("c"), sync=False)
    journal.append(batch("d"), sync=True)
    assert texts(follower.take(1)) == ["c"]
    assert texts(follower.take(1)) == ["d"]
    assert follower.number == 4
    journal.close()
    assert follower.take(1) == []
    follower.close()


@settings(max_examples=40, deadline=None)
@given(
    batches=st.lists(st.lists(st.binary(max_size=200), min_size=1, max_size=4), min_size=1, max_size=12),
    limits=st.lists(st.integers(1, 5), min_size=40, max_size=40),
)
def test_a_follower_that_begins_anew_again_and_again_misses_and_repeats_nothing(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[bytes]], limits: list[int],
) -> None:
    path = tmp_path_factory.mktemp("j") / "j.journal"
    journal = Journal.open(path)
    for rows in batches:
        journal.append([Record(0, 1, "x", row) for row in rows], sync=False)
    taken: list[bytes] = []
    place: tuple[int, int] | None = None
    for limit in limits:
        follower = JournalFollower.open(path)
        if place is not None:
            assert follower.resume(*place, partial(is_record, taken[-1]))
        records = follower.take(limit)
        taken += [record.data for record in records]
        if follower.number:
            place = (follower.batch_position, follower.number)
        follower.close()
    journal.close()
    expected = [row for rows in batches for row in rows]
    assert taken == expected[: len(taken)]
    assert len(taken) == len(expected) or len(taken) >= len(limits)


def test_a_place_of_another_journal_is_not_gone_on_from(tmp_path: Path) -> None:
    for name, rows in (("a", ("x", "yy")), ("b", ("xx", "y"))):
        journal = Journal.open(tmp_path / name)
        for text in rows:
            journal.append(batch(text), sync=False)
        journal.close()
    one, other = JournalFollower.open(tmp_path / "a"), JournalFollower.open(tmp_path / "b")
    one.take(10)
    assert not other.resume(one.batch_position, one.number, lambda last: True)
    assert not other.resume(0, 0, lambda last: True)
    assert not other.resume(10**9, 2, lambda last: True)
    assert not one.resume(one.batch_position, 2, lambda last: False)
    assert texts(other.take(10)) == ["xx", "y"]


def test_an_append_that_is_cut_short_is_waited_for_and_damage_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "j.journal"
    journal = Journal.open(path)
    journal.append(batch("a"), sync=False)
    before = journal.size
    journal.append(batch("b"), sync=False)
    between = journal.size
    journal.append(batch("c"), sync=False)
    journal.close()
    whole = path.read_bytes()
    path.write_bytes(whole[: between - 1])
    follower = JournalFollower.open(path)
    assert texts(follower.take(10)) == ["a"]
    path.write_bytes(whole)
    assert texts(follower.take(10)) == ["b", "c"]
    path.write_bytes(whole[: before + 20] + bytes([whole[before + 20] ^ 1]) + whole[before + 21 :])
    with pytest.raises(JournalError, match="record 2 is damaged"):
        JournalFollower.open(path).take(10)


def test_what_is_no_journal_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="no journal here"):
        JournalFollower.open(tmp_path / "none")
    (tmp_path / "text").write_text("hello, this is a text")
    with pytest.raises(JournalError, match="not usable as a journal"):
        JournalFollower.open(tmp_path / "text")
