"""Examining a journal without trusting it, and mending one that is damaged in the middle.

A torn tail is no damage: opening the journal cuts it off. Damage before whole batches means that the disk lost what
had been promised. A repair keeps what comes before the damage, because a state folded from facts with a hole in
between would be no state that ever was; everything, the rest included, stays beside it in a file of its own.
"""

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from store.journal_format import (
    FILE_HEAD,
    HEAD_SIZE,
    MARK,
    MOST_BYTES,
    NAME,
    SCHEMA_VERSION,
    JournalError,
    Record,
    Window,
    count_of,
    records_of,
)

MOST_DAMAGES: Final = 1000
"""Damaged stretches that are listed one by one."""


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes `begin` to `end` hold no whole batch; `after` is the last record before them, `before` the next one."""

    begin: int
    end: int
    after: int
    before: int


@dataclass(frozen=True, slots=True)
class Examination:
    """What is in the file.

    `version` is 0 when the head does not name a journal. `records` whole ones in `batches`, the first at `first_ns`
    and the last at `last_ns` (UTC ns, 0 without any). `kept_records` in `kept_bytes` come before the first damage.
    `torn_bytes` at the end belong to an append that was cut short, which opening cuts off.
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

    @property
    def is_whole(self) -> bool:
        """Nothing that was promised is lost."""
        return self.version == SCHEMA_VERSION and not self.damages


@dataclass(frozen=True, slots=True)
class Repair:
    """What a repair did: how much is still there, how many whole records came after the damage, where all of it is."""

    kept_records: int
    set_aside_records: int
    original: Path


def examine(path: Path) -> Examination:
    """Read the whole file and check every batch. Raises `JournalError` only when the file cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise JournalError(f"{path}: cannot be read ({error.strerror}). Name an existing journal.") from error
    try:
        return _Examiner(path, descriptor).examine()
    finally:
        os.close(descriptor)


class _Examiner:
    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._window = Window(descriptor)
        self._size = os.fstat(descriptor).st_size
        self._records = self._batches = self._first_ns = self._last_ns = 0
        self._damages: list[Damage] = []
        self._kept = (0, FILE_HEAD.size)

    def examine(self) -> Examination:
        head = os.pread(self._descriptor, FILE_HEAD.size, 0)
        name, version = FILE_HEAD.unpack(head) if len(head) == FILE_HEAD.size else (b"", 0)
        torn = self._walk()
        return Examination(
            self._path, self._size, version if name == NAME else 0, self._records, self._batches, self._first_ns,
            self._last_ns, *self._kept, torn, tuple(self._damages),
        )

    def _walk(self) -> int:
        """Every batch in turn; returns the bytes of a torn tail."""
        at, expected = FILE_HEAD.size, 1
        while True:
            found = self._whole_batch(at)
            if found is not None and found[0] == expected:
                at += HEAD_SIZE + len(found[1])
                expected = self._count(found)
                if not self._damages:
                    self._kept = (expected - 1, at)
                continue
            position = at if found is not None else self._next_whole(at)
            if position < 0:
                return len(os.pread(self._descriptor, max(self._size - at, 0), at).rstrip(b"\0"))
            batch = self._whole_batch(position)
            if batch is None:  # a copy of our own bytes that has changed meanwhile: the writer is at work
                return 0
            if len(self._damages) < MOST_DAMAGES:
                self._damages.append(Damage(at, position, expected - 1, batch[0]))
            at = position + HEAD_SIZE + len(batch[1])
            expected = self._count(batch)

    def _count(self, batch: tuple[int, bytes, list[Record]]) -> int:
        """Add a batch to the sums; returns the number that must follow."""
        first, body, records = batch
        self._records += len(records)
        self._batches += 1
        self._first_ns = self._first_ns or records[0].ts
        self._last_ns = records[-1].ts
        return first + count_of(body)

    def _whole_batch(self, at: int) -> tuple[int, bytes, list[Record]] | None:
        batch = self._window.batch_at(at)
        if batch is None or not 0 < count_of(batch[1]) <= MOST_BYTES:
            return None
        try:
            return *batch, list(records_of(*batch))
        except ValueError:
            return None

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


def repair(path: Path) -> Repair | None:
    """Keep what comes before the first damage, set the original aside; None when nothing is damaged.

    The new journal is whole on disk before it takes the old one's name: a cut in between leaves the one or the other.
    Raises `JournalError` when a daemon writes to it, when it is of another version, or when it cannot be written.
    """
    found = examine(path)
    if found.version not in (0, SCHEMA_VERSION):
        raise JournalError(
            f"{path}: journal version {found.version}, this program repairs {SCHEMA_VERSION}. "
            "Use the version that wrote it."
        )
    if found.is_whole:
        return None
    if not found.records:
        raise JournalError(f"{path}: there is no whole record in it. Restore a backup, or move it away to begin anew.")
    original = _free_name(path)
    mended = path.with_name(f"{path.name}.mended")
    try:
        with path.open("rb") as source:
            _lock(path, source.fileno())
            _write_beginning(mended, source.fileno(), found.kept_bytes)
            os.link(path, original)
            mended.replace(path)
            _sync_folder(path.parent)
    except OSError as error:
        mended.unlink(missing_ok=True)
        raise JournalError(f"{path}: cannot be repaired ({error}). Free disk space or mend the rights.") from error
    return Repair(found.kept_records, found.records - found.kept_records, original)


def _write_beginning(target: Path, source: int, length: int) -> None:
    """A journal of the first `length` bytes of another, with a head that is right; on disk on return."""
    with open(target, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(FILE_HEAD.pack(NAME, SCHEMA_VERSION))
        position = FILE_HEAD.size
        while position < length:
            block = os.pread(source, min(length - position, 1 << 20), position)
            if not block:
                raise OSError("the file became shorter meanwhile")
            file.write(block)
            position += len(block)
        file.flush()
        os.fsync(file.fileno())


def _lock(path: Path, descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise JournalError(f"{path}: a daemon writes to it. Stop it first: `tradingd shutdown`.") from error


def _free_name(path: Path) -> Path:
    for number in range(1, 1000):
        name = path.with_name(f"{path.name}.damaged-{number}")
        if not name.exists():
            return name
    raise JournalError(f"{path}: a thousand damaged copies lie beside it. Move them away.")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
