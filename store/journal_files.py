"""The files a journal is made of, and reading them one after the other.

`NAME.journal` is written to. What it has grown out of lies in the folder `NAME.segments`: closed files as they were
(`.segment`), and older ones packed (`.packed`, see `store.journal_pack`), each named by its first record. Together
they are one sequence of records; a reader need not know where one file ends.
"""

import os
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple, Self

from store.journal_format import (
    BATCH_COUNTS,
    HEAD_SIZE,
    READABLE,
    SCHEMA_VERSION,
    Head,
    JournalError,
    Position,
    Record,
    Window,
    count_of,
    read_head,
    records_of,
)
from store.journal_pack import PACKED_HEAD, PackedHead, packed_records, read_packed_head

RAW_SUFFIX: Final = ".segment"
PACKED_SUFFIX: Final = ".packed"
_DIGITS: Final = 15
_LOOKS: Final = 20
"""Tries to find a file that is being rotated or packed at this very moment."""

ALONE: Final = (
    "Or restore a backup; without one make an empty file of its name: `tradingd journal repair` then keeps what that "
    "folder holds."
)
"""What to do about closed files without the one that goes on behind them."""


class Segment(NamedTuple):
    """A closed file; `first` is the number of its first record."""

    first: int
    path: Path

    @property
    def is_packed(self) -> bool:
        return self.path.suffix == PACKED_SUFFIX


class Batch(NamedTuple):
    """A whole batch: where it lies, the numbers of its records, its bytes."""

    begin: int
    end: int
    check: int
    first: int
    last: int
    body: bytes
    is_packed: bool

    def records(self) -> Iterator[Record]:
        """Raises `ValueError` when they do not fit into it."""
        return packed_records(self.body) if self.is_packed else records_of(self.first, self.body)


def segments_folder(journal: Path) -> Path:
    """Where the closed files of a journal lie."""
    return journal.with_name(f"{journal.stem}.segments")


def segment_path(journal: Path, first: int, suffix: str = RAW_SUFFIX) -> Path:
    """Where the closed file that begins with record `first` lies."""
    return segments_folder(journal) / f"{first:0{_DIGITS}d}{suffix}"


def segments_of(journal: Path) -> list[Segment]:
    """The closed files in order; of one that lies there in both forms the packed one, which is whole."""
    found: dict[int, Segment] = {}
    try:
        names = sorted(os.listdir(segments_folder(journal)), reverse=True)
    except OSError:
        return []
    for name in names:  # in reverse: the packed form, first in the alphabet, replaces the raw one
        path = segments_folder(journal) / name
        if path.suffix in (RAW_SUFFIX, PACKED_SUFFIX) and path.stem.isdigit():
            found[int(path.stem)] = Segment(int(path.stem), path)
    return [found[first] for first in sorted(found)]


def refuse_strangers(journal: Path, first: int) -> None:
    """Raises `JournalError` when closed files lie there that do not go with one that begins with record `first`: it
    would be read without them. A raw one with the same beginning may be the same file, of a rotation.

    `first` is 0 of an empty file.
    """
    for each in segments_of(journal):
        if each.first > first or (each.first == first and each.is_packed):
            told = f"begins with record {first}" if first else "is empty"
            raise JournalError(
                f"{journal}: it {told}, and {segments_folder(journal)} holds records from {each.first} on. Put back "
                f"the file that goes with them. {ALONE}"
            )


class JournalFile:
    """One file of a journal, open for reading. `last` record and `size` in bytes are known of a packed one (else 0)."""

    def __init__(self, path: Path, descriptor: int, head: Head, packed: PackedHead | None = None) -> None:
        self.path = path
        self.descriptor = descriptor
        self.first = head.first
        self.begin = head.size
        self.is_packed = packed is not None
        self.last, self.size = (packed.last, packed.size) if packed is not None else (0, 0)
        self.window = Window(descriptor)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Raises `JournalError` when it is none of this program's, `FileNotFoundError` when it is not there."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise JournalError(f"{path}: cannot be read ({error.strerror}). Check the folder's rights.") from error
        try:
            packed = read_packed_head(descriptor)
            if packed is not None:
                return cls(path, descriptor, Head(SCHEMA_VERSION, packed.first, PACKED_HEAD.size), packed)
            head = read_head(descriptor)
        except OSError as error:
            os.close(descriptor)
            raise unreadable(path, error) from error
        if head.version not in READABLE:
            os.close(descriptor)
            raise foreign(path, head.version)
        return cls(path, descriptor, head)

    def batch_at(self, at: int) -> Batch | None:
        """The whole batch that begins at this byte, None when none does."""
        found = self.window.frame_at(at)
        if found is None or (not self.is_packed and len(found[1]) < BATCH_COUNTS.size):
            return None
        check, body = found
        end = at + HEAD_SIZE + len(body)
        if not self.is_packed:
            first: int = BATCH_COUNTS.unpack_from(body)[0]
            return Batch(at, end, check, first, first + count_of(body) - 1, body, False)
        try:
            body = zlib.decompress(body)
            numbers = [record.number for record in packed_records(body)]
        except (ValueError, zlib.error):
            return None
        return Batch(at, end, check, numbers[0], numbers[-1], body, True) if numbers else None

    def is_end(self, at: int) -> bool:
        """Nothing whole begins here or behind; of a packed file, which has its length by its head: it is over."""
        if self.is_packed:
            return at == self.size
        if not os.pread(self.descriptor, HEAD_SIZE, at).strip(b"\0"):
            return True
        return self.window.is_tail(at)

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def foreign(path: Path, version: int) -> JournalError:
    """What to say of a file that this program does not read."""
    if not version:
        return JournalError(
            f"{path}: not usable as a journal: its first bytes are not those of one. If it was one, `tradingd journal "
            "verify` tells what is left of it, and `tradingd journal repair` keeps that. Move it away to begin anew: "
            "positions, orders and the kill latch that it knows are then forgotten."
        )
    return JournalError(
        f"{path}: journal version {version}, this program reads {' and '.join(map(str, READABLE))}. "
        "Use the version that wrote it, or move it away to begin anew."
    )


def file_with(journal: Path, number: int) -> JournalFile:
    """The file in which record `number` lies or will lie, open; raises `JournalError` when it is missing."""
    for _ in range(_LOOKS):
        segments = segments_of(journal)
        try:
            current = JournalFile.open(journal)
        except FileNotFoundError as error:
            hint = f"put it back beside {segments_folder(journal).name}" if segments else "start the daemon once"
            raise JournalError(f"{journal}: no journal here: {hint}, or name its folder with --data-dir.") from error
        if current.first <= number:
            return current
        first = current.first
        current.close()
        candidates = [each for each in segments if each.first <= number]
        if not candidates:
            raise missing(journal, number, (segments[0].first if segments else first) - 1)
        later = [each.first for each in segments if each.first > number]
        try:
            found = JournalFile.open(candidates[-1].path)
        except FileNotFoundError:
            continue  # packed, or its journal rotated, since we looked
        if found.is_packed and found.last < number:
            end = (later[0] if later else first) - 1
            found.close()
            raise missing(journal, number, end)
        return found
    raise JournalError(f"{journal}: its segments change faster than they can be read. Try again.")


def missing(journal: Path, first: int, last: int) -> JournalError:
    """What to say of records whose file is not there."""
    return JournalError(
        f"{journal}: records {first} to {last} are missing: their file belongs into {segments_folder(journal)}. Put it "
        "back or restore a backup; without one see `tradingd journal verify` and `tradingd journal repair`."
    )


def damaged(path: Path, number: int, position: int) -> JournalError:
    """What to say of bytes that are not what was written."""
    return JournalError(
        f"{path}: record {number} is damaged (at byte {position}), and there are whole ones behind it. "
        "Restore a backup; without one see `tradingd journal verify` and `tradingd journal repair`."
    )


def unreadable(path: Path, error: OSError) -> JournalError:
    """What to say of a file that a disk does not give back."""
    return JournalError(
        f"{path}: the disk does not give it back ({error.strerror}). Copy what it does give to another one (ddrescue, "
        "or dd conv=noerror,sync), put the copy in its place and run `tradingd journal verify`; or restore a backup."
    )


def read_batches(
    journal: Path, current: JournalFile, start: Position | None = None, after: int = 0,
) -> Iterator[tuple[JournalFile, Batch]]:
    """Every whole batch from a place on, or from the file on in which record `after` + 1 lies; ends at a torn tail.

    `current` is the journal's own file, which is not closed. Raises `JournalError` on damage and on missing files.
    """
    number = start.records + 1 if start is not None else after + 1
    at = start.end if start is not None else 0
    if start is not None and start.file < current.first:
        number = start.file
    before = 0
    while True:
        file = current if current.first <= number else file_with(journal, number)
        if file is not current and file.first == current.first:
            file.close()
            file = current
        try:
            if file.first == before:  # it ends before the next one begins
                raise _cut_short(journal, file, number, at)
            before = file.first
            expected = file.first if start is None else start.records + 1
            for batch in _batches_of(file, at if start is not None else file.begin, expected):
                expected, at = batch.last + 1, batch.end
                yield file, batch
            if file.first == current.first:
                return
            number, start = max(expected, file.last + 1), None
        except OSError as error:
            raise unreadable(file.path, error) from error
        finally:
            if file is not current:
                file.close()


def _cut_short(journal: Path, file: JournalFile, number: int, at: int) -> JournalError:
    if os.pread(file.descriptor, HEAD_SIZE, at).strip(b"\0"):
        return damaged(file.path, number, at)
    later = [each.first for each in segments_of(journal) if each.first > number]
    if not later:
        with suppress(FileNotFoundError):
            current = JournalFile.open(journal)
            later = [current.first]
            current.close()
    return missing(journal, number, min(later, default=number + 1) - 1)


def _batches_of(file: JournalFile, at: int, expected: int) -> Iterator[Batch]:
    while True:
        batch = file.batch_at(at)
        if batch is None:
            if file.is_end(at):
                return
            # A writer may have finished it, and the next one, while we looked.
            file.window.forget()
            batch = file.batch_at(at)
        if batch is None or (batch.first < expected if file.is_packed else batch.first != expected):
            raise damaged(file.path, expected, at)
        yield batch
        at, expected = batch.end, batch.last + 1

