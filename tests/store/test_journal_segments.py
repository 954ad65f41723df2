"""A journal in several files: read as one, whatever was closed or packed, and wherever a death came in between."""

import errno
import fcntl
import os
import shutil
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store import journal_check, journal_repair
from store.journal import Journal, JournalError, Record
from store.journal_check import Examination, JournalExamination, examine, examine_journal
from store.journal_files import PACKED_SUFFIX, segment_path, segments_folder, segments_of
from store.journal_follow import JournalFollower
from store.journal_pack import write_packed
from store.journal_repair import repair


def append(journal: Journal, *texts: str) -> None:
    journal.append([Record(0, 1, "Heartbeat", text.encode()) for text in texts], sync=False)


def in_files(path: Path, *files: list[list[str]]) -> Journal:
    """An open journal of these files, each of these batches."""
    journal = Journal.open(path)
    for number, batches in enumerate(files):
        if number:
            assert journal.rotate()
        for batch in batches:
            append(journal, *batch)
    return journal


def is_record(data: bytes, record: Record) -> bool:
    return record.data == data


def texts(path: Path, after: int = 0) -> list[str]:
    journal = Journal.open(path, read_only=True)
    try:
        return [record.data.decode() for record in journal.read(after)]
    finally:
        journal.close()


def pack(journal: Path, first: int, keep: Callable[[Record], bool] = lambda record: True) -> None:
    """As the packer does, without its choice."""
    raw = segment_path(journal, first)
    found = examine(raw)
    reader = Journal.open(journal, read_only=True)
    kept = [record for record in reader.read(first - 1) if record.number <= found.kept_last and keep(record)]
    reader.close()
    write_packed(segment_path(journal, first, PACKED_SUFFIX), 1, found.first, found.kept_last, kept)
    raw.unlink()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "j.journal"


# ---- reading -----------------------------------------------------------------------------------------


def test_closed_files_are_read_with_the_open_one_and_numbers_go_on(path: Path) -> None:
    journal = in_files(path, [["a"], ["b", "c"]], [["d"]], [["e", "f"]])
    assert [(r.number, r.data) for r in journal.read()] == [
        (1, b"a"), (2, b"b"), (3, b"c"), (4, b"d"), (5, b"e"), (6, b"f"),
    ]
    for after in range(7):
        assert texts(path, after) == ["a", "b", "c", "d", "e", "f"][after:]
    assert len(journal) == len(Journal.open(path, read_only=True)) == 6
    journal.close()
    again = Journal.open(path)
    append(again, "g")
    assert len(again) == 7
    again.close()
    assert texts(path) == list("abcdefg")
    assert [each.first for each in segments_of(path)] == [1, 4]


def test_a_journal_that_never_was_closed_is_the_file_it_always_was(path: Path) -> None:
    journal = in_files(path, [["a"]])
    journal.close()
    assert int.from_bytes(path.read_bytes()[12:16], "little") == 2
    assert not segments_folder(path).exists()


def test_an_empty_file_is_not_closed(path: Path) -> None:
    journal = Journal.open(path)
    assert not journal.rotate()
    append(journal, "a")
    assert journal.rotate()
    assert not journal.rotate()
    journal.close()
    assert len(Journal.open(path, read_only=True)) == 1


def test_an_append_after_a_rotation_is_on_disk_in_the_new_file(path: Path) -> None:
    journal = in_files(path, [["a"]])
    before = path.stat().st_ino
    assert journal.rotate()
    assert path.stat().st_ino != before
    journal.append([Record(0, 1, "x", b"b")], sync=True)
    assert journal.synced == journal.size
    journal.abandon()
    assert texts(path) == ["a", "b"]


def test_a_place_is_known_again_in_whatever_file_it_lies(path: Path) -> None:
    journal = in_files(path, [["a"], ["b"]], [["c"], ["d", "e"]], [["f"]])
    places = [place for place, _ in journal.read_from()]
    for number, place in enumerate(places):
        assert journal.holds(place)
        after = [record.data.decode() for _, records in journal.read_from(place) for record in records]
        assert after == ["a", "b", "c", "de", "f"][number + 1 :] or "".join(after) == "abcdef"[place.records :]
    assert not journal.holds(places[0]._replace(file=3))
    assert not journal.holds(places[0]._replace(records=7))
    journal.close()


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_rotations_and_packing_anywhere_change_nothing_for_a_reader_or_a_follower(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("j") / "j.journal"
    journal = Journal.open(path)
    follower: JournalFollower | None = None
    place: tuple[int, int] | None = None
    written: list[bytes] = []
    taken: list[bytes] = []
    for number in range(data.draw(st.integers(1, 25))):
        match data.draw(st.sampled_from(("append", "append", "rotate", "pack", "take", "begin anew"))):
            case "append":
                rows = [f"{number}.{each}".encode() for each in range(data.draw(st.integers(1, 3)))]
                journal.append([Record(0, 1, "x", row) for row in rows], sync=False)
                written += rows
            case "rotate":
                journal.rotate()
            case "pack":
                for segment in segments_of(path):
                    if not segment.is_packed:
                        pack(path, segment.first)
            case "take":
                follower = follower or JournalFollower.open(path)
                if place is not None and follower.number == 0:
                    assert follower.resume(*place, partial(is_record, taken[-1]))
                taken += [record.data for record in follower.take(data.draw(st.integers(1, 9)))]
                place = (follower.batch_position, follower.number) if follower.number else None
            case _:
                if follower is not None:
                    follower.close()
                follower = None
    assert [record.data for record in journal.read()] == written
    assert taken == written[: len(taken)]
    follower = follower or JournalFollower.open(path)
    if place is not None and follower.number == 0:
        assert follower.resume(*place, partial(is_record, taken[-1]))
    while records := follower.take(3):
        taken += [record.data for record in records]
    assert taken == written
    follower.close()
    journal.close()
    assert examine_journal(path).is_whole


def test_a_follower_goes_on_behind_a_record_that_was_left_out(path: Path) -> None:
    journal = in_files(path, [["a"], ["b"], ["c"]], [["d"]])
    follower = JournalFollower.open(path)
    assert [record.data for record in follower.take(2)] == [b"a", b"b"]
    place = (follower.batch_position, follower.number)
    follower.close()
    pack(path, 1, lambda record: record.data != b"b")
    follower = JournalFollower.open(path)
    assert follower.resume(*place, lambda record: False)
    assert [record.data for record in follower.take(9)] == [b"c", b"d"]
    follower.close()
    journal.close()


def test_records_left_out_keep_their_numbers_free(path: Path) -> None:
    journal = in_files(path, [["a", "b", "c"], ["d"]], [["e"]])
    pack(path, 1, lambda record: record.data in (b"b",))
    assert [(r.number, r.data) for r in journal.read()] == [(2, b"b"), (5, b"e")]
    assert [r.data for r in journal.read(after=3)] == [b"e"]
    append(journal, "f")
    assert len(journal) == 6
    journal.close()
    found = examine_journal(path)
    assert (found.is_whole, found.records) == (True, 3)


# ---- death in the middle --------------------------------------------------------------------------------


def dies_at(step: int, act: Callable[[], object]) -> bool:
    """`act` in a process that is gone before its `step`-th act on the disk; false when there are not so many."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    left = [step]

    def watched(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **named)

        return call

    try:
        for name in ("link", "pwrite", "fsync", "fdatasync", "ftruncate", "posix_fallocate", "mkdir", "replace"):
            setattr(os, name, watched(getattr(os, name)))
        Path.replace = watched(Path.replace)  # type: ignore[method-assign]
        Path.unlink = watched(Path.unlink)  # type: ignore[method-assign]
        act()
    finally:
        os._exit(0)


def test_a_death_at_any_step_of_a_rotation_loses_and_doubles_nothing(path: Path) -> None:
    step = 0
    while True:
        step += 1
        shutil.rmtree(segments_folder(path), ignore_errors=True)
        path.unlink(missing_ok=True)
        in_files(path, [["a"], ["b"]], [["c"]]).close()
        journal = Journal.open(path)
        has_died = dies_at(step, journal.rotate)
        journal.abandon()
        assert texts(path) == ["a", "b", "c"], step
        again = Journal.open(path)
        append(again, "d")
        assert again.rotate()
        append(again, "e")
        again.close()
        assert texts(path) == ["a", "b", "c", "d", "e"], step
        assert examine_journal(path).is_whole
        assert not list(path.parent.glob("*.new"))
        if not has_died:
            break
    assert step > 8


def test_a_copy_made_at_any_step_of_a_rotation_goes_on_as_the_journal_does(path: Path) -> None:
    """A backup, and `cp`, make two files of one that has two names at that moment."""
    copy = path.parent.with_name("copy") / path.name
    step = 0
    has_died = True
    while has_died:
        step += 1
        shutil.rmtree(path.parent)
        shutil.rmtree(copy.parent, ignore_errors=True)
        path.parent.mkdir()
        in_files(path, [["a"], ["b"]], [["c"]]).close()
        journal = Journal.open(path)
        append(journal, "d")
        has_died = dies_at(step, journal.rotate)
        journal.abandon()
        with path.open("ab") as torn:
            torn.write(b"half an append")
        shutil.copytree(path.parent, copy.parent)
        again = Journal.open(copy)
        append(again, "e")
        again.close()
        assert texts(copy) == ["a", "b", "c", "d", "e"], step
        assert examine_journal(copy).is_whole


def test_a_journal_behind_a_link_is_closed_under_a_name_that_leads_to_it(path: Path) -> None:
    """A link as it stands, in the folder of the segments, would lead to another place."""
    (path.parent / "fast").mkdir()
    in_files(path.parent / "fast" / path.name, [["a"]]).close()
    path.symlink_to(Path("fast") / path.name)
    journal = Journal.open(path)
    assert journal.rotate()
    append(journal, "b")
    journal.close()
    assert texts(path) == ["a", "b"]
    Journal.open(path).close()
    assert examine_journal(path).is_whole


def test_another_file_that_begins_with_the_same_record_is_refused(path: Path) -> None:
    in_files(path, [["a"], ["b"]]).close()
    segment = segment_path(path, 1)
    segment.parent.mkdir()
    in_files(path.parent / "longer.journal", [["a"], ["b"], ["c"]]).close()
    in_files(path.parent / "shorter.journal", [["a"]]).close()
    in_files(path.parent / "other.journal", [["a"], ["x"]]).close()
    for name in ("longer", "shorter", "other"):
        shutil.copy(path.parent / f"{name}.journal", segment)
        with pytest.raises(JournalError, match="begins with the same record, 1, and is another file"):
            Journal.open(path)
        assert segment.exists()


def test_a_damaged_journal_whose_rotation_was_cut_short_is_repaired(path: Path) -> None:
    in_files(path, [["aaaa"], ["bbbb"], ["cccc"]]).close()
    segment = segment_path(path, 1)
    segment.parent.mkdir()
    os.link(path, segment)
    path.write_bytes(path.read_bytes().replace(b"bbbb", b"bxbb"))
    done = repair(path)
    assert done is not None
    assert (done.kept_records, done.set_aside_records) == (1, 1)
    again = Journal.open(path)
    append(again, "d")
    again.close()
    assert texts(path) == ["aaaa", "d"]
    assert b"cccc" in done.original.read_bytes()


@pytest.mark.parametrize("name", ["link", "posix_fallocate", "fsync", "mkdir"])
def test_a_disk_without_room_for_a_new_file_leaves_the_old_one_in_use(
    path: Path, name: str, monkeypatch: pytest.MonkeyPatch,
) -> None:
    journal = in_files(path, [["a"]])

    def full(*arguments: Any, **named: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, name, full)
        assert not journal.rotate()
    append(journal, "b")
    journal.close()
    assert texts(path) == ["a", "b"]
    assert segments_of(path) == []


# ---- what is missing or damaged ----------------------------------------------------------------------------


def test_a_missing_file_is_named_with_its_records(path: Path) -> None:
    in_files(path, [["a"], ["b"]], [["c"]], [["d"]]).close()
    segments_of(path)[1].path.unlink()
    with pytest.raises(JournalError, match="records 3 to 3 are missing"):
        texts(path)
    found = examine_journal(path)
    assert not found.is_whole
    assert [(gap.after, gap.before) for gap in found.gaps] == [(2, 4)]
    shutil.rmtree(segments_folder(path))
    with pytest.raises(JournalError, match="records 1 to 3 are missing"):
        texts(path)
    assert texts(path, after=3) == ["d"]


def test_segments_without_the_file_that_goes_on_are_refused(path: Path) -> None:
    in_files(path, [["a"]], [["b"]]).close()
    path.unlink()
    for read_only in (True, False):
        with pytest.raises(JournalError, match=r"it is missing, and .*j\.segments holds what came before"):
            Journal.open(path, read_only=read_only)


@pytest.mark.parametrize("is_packed", [False, True])
def test_any_flipped_byte_of_a_closed_file_is_noticed(path: Path, is_packed: bool) -> None:
    in_files(path, [["aaaa"], ["bbbb"], ["cccc"]], [["d"]]).close()
    if is_packed:
        pack(path, 1)
    target = segments_of(path)[0].path
    whole = target.read_bytes()
    end = len(whole.rstrip(b"\0"))
    for position in range(0, end, 3):
        target.write_bytes(whole[:position] + bytes([whole[position] ^ 4]) + whole[position + 1 :])
        assert not examine_journal(path).is_whole, position
        with pytest.raises(JournalError):
            texts(path)
    for length in range(0, end, 7):
        target.write_bytes(whole[:length])
        assert not examine_journal(path).is_whole, length
        with pytest.raises(JournalError):
            texts(path)


@pytest.mark.parametrize("is_packed", [False, True])
def test_a_repair_keeps_what_comes_before_damage_in_a_closed_file(path: Path, is_packed: bool) -> None:
    in_files(path, [["a"]], [["b" * 400_000], ["c" * 400_000]], [["d"]], [["e"]]).close()
    if is_packed:
        pack(path, 2)
    target = segments_of(path)[1].path
    data = bytearray(target.read_bytes())
    data[-12 if is_packed else 600_000] ^= 1
    target.write_bytes(data)
    originals = {each.name: each.read_bytes() for each in (*(each.path for each in segments_of(path)[1:]), path)}
    done = repair(path)
    assert done is not None
    assert done.kept_records == 2
    assert {each.name: each.read_bytes() for each in done.original.iterdir()} == originals
    assert [text[:1] for text in texts(path)] == ["a", "b"]
    journal = Journal.open(path)
    append(journal, "f")
    assert journal.rotate()
    journal.close()
    assert [text[:1] for text in texts(path)] == ["a", "b", "f"]
    assert examine_journal(path).is_whole
    assert repair(path) is None


@pytest.mark.parametrize("is_packed", [False, True])
def test_of_a_closed_file_that_is_damaged_from_its_first_record_on_nothing_stays_in_the_way(
    path: Path, is_packed: bool,
) -> None:
    """Its name is that of the next file to be closed, which would be hidden behind it, and packed away."""
    in_files(path, [["a"]], [["b"]], [["c"]]).close()
    if is_packed:
        pack(path, 2)
    target = segments_of(path)[1].path
    data = bytearray(target.read_bytes())
    data[-3] ^= 1
    target.write_bytes(data)
    done = repair(path)
    assert done is not None
    assert (done.original / target.name).read_bytes() == bytes(data)
    journal = Journal.open(path)
    append(journal, "d")
    assert journal.rotate()
    append(journal, "e")
    journal.close()
    assert texts(path) == ["a", "d", "e"]
    assert [each.first for each in segments_of(path)] == [1, 2]
    assert examine_journal(path).is_whole


def test_a_repair_keeps_what_comes_before_a_missing_file(path: Path) -> None:
    in_files(path, [["a"]], [["b"]], [["c"]], [["d"]]).close()
    segments_of(path)[1].path.unlink()
    done = repair(path)
    assert done is not None
    assert (done.kept_records, done.set_aside_records) == (1, 2)
    assert texts(path) == ["a"]


def test_a_death_at_any_step_of_a_repair_leaves_what_another_repair_mends(path: Path) -> None:
    step = 0
    while True:
        step += 1
        for old in path.parent.iterdir():
            shutil.rmtree(old) if old.is_dir() else old.unlink()
        in_files(path, [["a"]], [["b" * 99], ["c" * 99]], [["d"]], [["e"]]).close()
        target = segments_of(path)[1].path
        data = bytearray(target.read_bytes())
        data[200] ^= 1
        target.write_bytes(data)
        has_died = dies_at(step, lambda: repair(path))
        repair(path)
        assert [text[:1] for text in texts(path)] == ["a", "b"], step
        assert examine_journal(path).is_whole
        if not has_died:
            break
    assert step > 6


def test_a_repair_that_meets_a_daemon_in_the_middle_of_a_rotation_leaves_it_alone(
    path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What it opened is a closed file by then, and nobody's to lock."""
    writer = in_files(path, [["a"], ["b" * 99], ["c" * 99]])
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + b"?" + whole[101:])
    lock = fcntl.flock

    def late(descriptor: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", lock)
        assert writer.rotate()
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(JournalError, match="a daemon writes to it"):
        repair(path)
    assert not list(path.parent.glob("*.damaged-*"))
    writer.close()


def test_what_a_daemon_writes_at_its_end_is_seen_by_the_repair_that_waits_for_it(
    path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It may close its file while the repair looks, and take its leave in a new one."""
    writer = in_files(path, [["a"], ["b" * 99], ["c" * 99]])
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + b"?" + whole[101:])
    look = journal_repair.examine_journal

    def ends(journal: Path) -> JournalExamination:
        found = look(journal)
        if len(writer) == 3:
            writer.rotate()
            append(writer, "d")
            writer.close()
        return found

    monkeypatch.setattr(journal_repair, "examine_journal", ends)
    with pytest.raises(JournalError, match="a daemon writes to it"):
        repair(path)
    monkeypatch.undo()
    assert writer.rotate()
    append(writer, "d")
    writer.close()
    assert repair(path) is not None
    assert texts(path) == ["a"]
    assert not segments_of(path)[1:]


@pytest.mark.parametrize("is_in_a_closed_file", [False, True])
@pytest.mark.parametrize("bad", [0, 100])
def test_what_a_disk_does_not_give_back_is_named_with_the_way_out(
    path: Path, monkeypatch: pytest.MonkeyPatch, is_in_a_closed_file: bool, bad: int,
) -> None:
    """A sector that cannot be read: neither a start nor verify nor repair gets past it."""
    in_files(path, [["a" * 99], ["b" * 99]], [["c" * 99], ["d" * 99]]).close()
    spoilt = segments_of(path)[0].path if is_in_a_closed_file else path
    pread = os.pread

    def read(descriptor: int, length: int, at: int) -> bytes:
        if at <= bad < at + length and os.path.samestat(os.fstat(descriptor), spoilt.stat()):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return pread(descriptor, length, at)

    monkeypatch.setattr(os, "pread", read)
    for act in (lambda: texts(path), lambda: examine_journal(path), lambda: repair(path)):
        with pytest.raises(JournalError, match=rf"^{spoilt}: the disk .*Input/output error.* dd conv=noerror,sync"):
            act()
    if not is_in_a_closed_file:
        with pytest.raises(JournalError, match=f"^{spoilt}: the disk"):
            Journal.open(path)


def test_a_file_that_is_packed_while_others_are_examined_is_not_called_missing(
    path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    in_files(path, [["a"]], [["b"]], [["c"]]).close()
    look = journal_check.examine

    def packs(file: Path, descriptor: int = -1) -> Examination:
        if file == path and not segments_of(path)[1].is_packed:
            monkeypatch.setattr(journal_check, "segments_of", lambda _: listed)
            listed = segments_of(path)
            pack(path, 2)
        return look(file, descriptor)

    monkeypatch.setattr(journal_check, "examine", packs)
    found = examine_journal(path)
    assert found.is_whole
    assert [each.is_packed for each in found.files] == [False, True, False]


@pytest.mark.parametrize("is_packed", [False, True])
@pytest.mark.parametrize("content", ["nothing", "the head alone", "an older copy"])
def test_a_file_that_does_not_go_with_its_closed_ones_begins_no_empty_account(
    path: Path, content: str, is_packed: bool,
) -> None:
    """Emptied by a full disk, or put there from elsewhere: what came before would be read by nobody."""
    in_files(path, [["a"]]).close()
    older = path.read_bytes()
    path.unlink()
    in_files(path, [["a"], ["b"]], [["c"]], [["d"]]).close()
    if is_packed:
        pack(path, 1)
        pack(path, 3)
    path.write_bytes({"nothing": b"", "the head alone": older[:16], "an older copy": older}[content])
    before = path.read_bytes()
    with pytest.raises(JournalError, match=rf"^{path}: .*{segments_folder(path)}.* `tradingd journal repair`"):
        Journal.open(path)
    assert path.read_bytes() == before
    if content == "nothing":
        assert repair(path) is not None
        assert texts(path) == ["a", "b", "c"]


@pytest.mark.parametrize("byte", [0, 17, 25])
def test_a_lost_head_of_a_file_that_goes_on_behind_others_costs_no_record(path: Path, byte: int) -> None:
    in_files(path, [["a"]], [["b"], ["c"]]).close()
    data = bytearray(path.read_bytes())
    data[byte] ^= 1
    path.write_bytes(data)
    with pytest.raises(JournalError):
        Journal.open(path)
    done = repair(path)
    assert done is not None
    assert (done.kept_records, done.set_aside_records) == (3, 0)
    assert texts(path) == ["a", "b", "c"]
    journal = Journal.open(path)
    append(journal, "d")
    journal.close()
    assert examine_journal(path).is_whole
