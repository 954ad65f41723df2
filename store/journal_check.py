"""Examining a journal without trusting it: every file, every batch, every record number.

A torn tail is no damage: opening the journal cuts it off. Damage before whole batches means that the disk lost what
had been promised; so does a file that is not there. `store.journal_repair` mends that.
"""

import os
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from store.journal_files import PACKED_SUFFIX, Segment, segments_of, unreadable
from store.journal_format import (
    CONTINUED_HEAD,
    HEAD_SIZE,
    MARK,
    MOST_BYTES,
    READABLE,
    Head,
    JournalError,
    Record,
    Window,
    count_of,
    read_head,
    records_of,
)
from store.journal_pack import PACKED_HEAD, PackedHead, packed_records, read_packed_head

MOST_DAMAGES: Final = 1000
"""Damaged stretches that are listed one by one."""


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes `begin` to `end` hold no whole batch; `after` is the last record before them, `before` the next one.

    Of a file that is missing both bytes are 0.
    """

    begin: int
    end: int
    after: int
    before: int


@dataclass(frozen=True, slots=True)
class Examination:
    """What is in one file.

    `version` is 0 when the head does not name a journal. `records` whole ones in `batches`, the first at `first_ns`
    and the last at `last_ns` (UTC ns, 0 without any). `kept_records` in `kept_bytes` come before the first damage;
    `first` and `kept_last` are numbers of records. `torn_bytes` at the end belong to an append that was cut short,
    which opening cuts off.
    """

    path: Path
    size: int
    version: int
    records: int
    batches: int
    first_ns: int
    last_ns: int
    kept_records: int
    kept_bytes: int
    torn_bytes: int
    damages: tuple[Damage, ...]
    first: int = 1
    kept_last: int = 0
    is_packed: bool = False
    level: int = 0

    @property
    def is_whole(self) -> bool:
        """Nothing that was promised is lost."""
        return self.version in READABLE and not self.damages


@dataclass(frozen=True, slots=True)
class JournalExamination:
    """What is in all files of a journal, the one that is written to last. `gaps` are records whose file is missing."""

    path: Path
    files: tuple[Examination, ...]
    gaps: tuple[Damage, ...]

    @property
    def is_whole(self) -> bool:
        """Nothing that was promised is lost, in any file."""
        return not self.gaps and all(each.is_whole for each in self.files)

    @property
    def records(self) -> int:
        return sum(each.records for each in self.files)

    @property
    def kept(self) -> tuple[Examination, ...]:
        """The files up to the first that is not whole, which is among them: of it the beginning may be used."""
        found: list[Examination] = []
        expected = 1
        for each in self.files:
            if each.first != expected:
                break
            found.append(each)
            if not each.is_whole:
                break
            expected = each.kept_last + 1
        return tuple(found)

    @property
    def kept_records(self) -> int:
        """Before the first damage."""
        return sum(each.kept_records for each in self.kept)


def examine_journal(path: Path) -> JournalExamination:
    """Read every file and check every batch. Raises `JournalError` only when a file cannot be read."""
    current = examine(path)
    segments = [_examine(each) for each in segments_of(path) if each.first < current.first or not current.version]
    files, gaps, expected = [*segments, current], [], 1
    for number, each in enumerate(files):
        if each.first > expected and each.version:
            before = files[number - 1] if number else None
            if before is not None and before.torn_bytes and before.is_whole:
                # Closed, so it does not end with half an append: what is there was spoilt.
                lost = Damage(before.kept_bytes, before.size, before.kept_last, each.first)
                files[number - 1] = replace(before, damages=(lost,), torn_bytes=0)
            elif before is None or before.is_whole:
                gaps.append(Damage(0, 0, expected - 1, each.first))
        expected = each.kept_last + 1
    return JournalExamination(path, tuple(files), tuple(gaps))


def _examine(segment: Segment) -> Examination:
    try:
        return examine(segment.path)
    except JournalError:
        if segment.path.exists():
            raise
        return examine(segment.path.with_suffix(PACKED_SUFFIX))  # packed since the folder was looked at


def examine(path: Path, descriptor: int = -1) -> Examination:
    """Read one whole file and check every batch. Raises `JournalError` only when the file cannot be read.

    With a `descriptor` the file that is open there, whatever its name belongs to by now.
    """
    if descriptor >= 0:
        try:
            packed = read_packed_head(descriptor)
            return (_Examiner if packed is None else _PackedExaminer)(path, descriptor, packed).examine()
        except OSError as error:
            raise unreadable(path, error) from error
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise JournalError(f"{path}: cannot be read ({error.strerror}). Name an existing journal.") from error
    try:
        return examine(path, descriptor)
    finally:
        os.close(descriptor)


class _Examiner:
    """Of a file as it was written."""

    def __init__(self, path: Path, descriptor: int, packed: PackedHead | None) -> None:
        self._path = path
        self._descriptor = descriptor
        self._window = Window(descriptor)
        self._size = os.fstat(descriptor).st_size
        self._records = self._batches = self._first_ns = self._last_ns = 0
        self._damages: list[Damage] = []
        self._packed = packed
        self._begin()

    def _begin(self) -> None:
        head = read_head(self._descriptor)
        if not head.version:  # lost; of a file that goes on behind others its first batch still says where
            batch = self._whole_batch(CONTINUED_HEAD.size)
            head = head if batch is None or batch[0] == 1 else Head(0, batch[0], CONTINUED_HEAD.size)
        self._version, self._first, self._at = head.version, head.first, head.size
        self._kept = (0, head.size, head.first - 1)

    def examine(self) -> Examination:
        torn = self._walk()
        records, size, last = self._kept
        return Examination(
            self._path, self._size, self._version, self._records, self._batches, self._first_ns, self._last_ns,
            records, size, torn, tuple(self._damages), self._first, last, self._packed is not None,
            self._packed.level if self._packed is not None else 0,
        )

    def _walk(self) -> int:
        """Every batch in turn; returns the bytes of a torn tail."""
        at, expected = self._at, self._first
        while True:
            found = self._whole_batch_now(at)
            if found is not None and self._follows(found, expected):
                at += found[2]
                expected = self._count(found)
                if not self._damages:
                    self._kept = (self._records, at, expected - 1)
                continue
            position = at if found is not None else self._next_whole(at)
            if position < 0:
                return self._end(at, expected)
            if position > at and self._whole_batch_now(at) is not None:
                continue  # the writer finished it, and the next one, while we looked
            batch = self._whole_batch(position)
            if batch is None:  # a copy of our own bytes that has changed meanwhile: the writer is at work
                return 0
            self._add_damage(Damage(at, position, expected - 1, batch[0]))
            at = position + batch[2]
            expected = self._count(batch)

    def _follows(self, batch: tuple[int, list[Record], int], expected: int) -> bool:
        return batch[0] == expected

    def _end(self, at: int, _expected: int) -> int:
        if not self._version and not self._records:
            return 0  # a foreign file has no appends
        return len(os.pread(self._descriptor, max(self._size - at, 0), at).rstrip(b"\0"))

    def _add_damage(self, damage: Damage) -> None:
        if len(self._damages) < MOST_DAMAGES:
            self._damages.append(damage)

    def _count(self, batch: tuple[int, list[Record], int]) -> int:
        """Add a batch to the sums; returns the number that must follow."""
        records = batch[1]
        self._records += len(records)
        self._batches += 1
        self._first_ns = self._first_ns or records[0].ts
        self._last_ns = records[-1].ts
        return records[-1].number + 1

    def _whole_batch(self, at: int) -> tuple[int, list[Record], int] | None:
        """(number of the first record, records, bytes of the whole) of the batch at this byte."""
        batch = self._window.batch_at(at)
        if batch is None or not 0 < count_of(batch[1]) <= MOST_BYTES:
            return None
        try:
            return batch[0], list(records_of(*batch)), HEAD_SIZE + len(batch[1])
        except ValueError:
            return None

    def _whole_batch_now(self, at: int) -> tuple[int, list[Record], int] | None:
        """As `_whole_batch`; what was read of the file may be older than the batch."""
        found = self._whole_batch(at)
        if found is None:
            self._window.forget()
            found = self._whole_batch(at)
        return found

    def _next_whole(self, at: int) -> int:
        """Where the next whole batch behind this byte begins, -1 when none does."""
        step = 1 << 20
        position = at + 1
        while position < self._size:
            stretch = os.pread(self._descriptor, step, position)
            found = stretch.find(MARK)
            while found >= 0:
                if self._whole_batch(position + found) is not None:
                    return position + found
                found = stretch.find(MARK, found + 1)
            position += max(len(stretch) - len(MARK) + 1, 1)
        return -1


class _PackedExaminer(_Examiner):
    """Of a packed one: records may be left out, and its head says where it ends."""

    def _begin(self) -> None:
        assert self._packed is not None  # noqa: S101 - chosen by it
        self._version, self._first, self._at = READABLE[0], self._packed.first, PACKED_HEAD.size
        self._kept = (0, self._at, self._first - 1)

    def examine(self) -> Examination:
        found = super().examine()
        is_whole = not found.damages and self._packed is not None
        return replace(found, kept_last=self._packed.last) if is_whole and self._packed is not None else found

    def _follows(self, batch: tuple[int, list[Record], int], expected: int) -> bool:
        return batch[0] >= expected

    def _end(self, at: int, expected: int) -> int:
        is_all = self._packed is not None and (at, self._records) == (self._packed.size, self._packed.kept)
        if self._packed is not None and not is_all and not self._damages:
            self._add_damage(Damage(at, self._size, expected - 1, self._packed.last + 1))
        return 0

    def _whole_batch(self, at: int) -> tuple[int, list[Record], int] | None:
        found = self._window.frame_at(at)
        if found is None:
            return None
        try:
            records = list(packed_records(zlib.decompress(found[1])))
        except (ValueError, zlib.error):
            return None
        return (records[0].number, records, HEAD_SIZE + len(found[1])) if records else None
