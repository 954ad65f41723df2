"""The journal: an append-only file that is the truth of a session.

A record is one message's bytes: this module knows nothing of what they say. `append(..., sync=True)`
returns when the records are on disk (fdatasync): that is the promise made before anything is sent to a
venue. `sync=False` survives the death of the process but not of the machine; the next synced append
makes it as safe as the rest. One writer (the file is locked); any number of readers, at any time.

The file (little-endian): 16 bytes that name format and version, then batches. A batch is what one append
wrote, and counts as a whole or not at all: mark, length of its body, CRC-32 of the rest of its head and of the body,
number of its first record, count of records; then per record time, length of kind, length of data, kind, data.
Behind the last batch lie zeros: space taken in advance, so that a full disk is met before it is needed.
"""

import contextlib
import fcntl
import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

from store.journal_format import AHEAD as AHEAD
from store.journal_format import (
    BATCH_COUNTS,
    BATCH_HEAD,
    FILE_HEAD,
    HEAD_SIZE,
    MARK,
    NAME,
    RECORD_HEAD,
    Window,
    count_of,
    records_of,
)
from store.journal_format import SCHEMA_VERSION as SCHEMA_VERSION
from store.journal_format import JournalError as JournalError
from store.journal_format import Position as Position
from store.journal_format import Record as Record


class Journal:
    """Open with `Journal.open(path)`; close when done.

    `cut` says how many bytes of an append that the machine's death interrupted were cut off at opening; they are
    kept beside the journal, in `PATH.torn`.
    """

    def __init__(self, path: Path, descriptor: int, *, read_only: bool) -> None:
        self._path = path
        self._descriptor = descriptor
        self._is_read_only = read_only
        self._count = 0
        self._end = FILE_HEAD.size
        self._allocated = 0
        self._synced = 0
        self._is_broken = False
        self.cut = 0

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False) -> Self:
        """Open, and create when new. Raises `JournalError` when it is no journal of this version."""
        if read_only and not path.exists():
            raise JournalError(f"{path}: no journal here. Start the daemon once, or name its folder with --data-dir.")
        try:
            descriptor = os.open(path, os.O_RDONLY if read_only else os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise JournalError(f"{path}: not usable as a journal ({error}). Check the folder's rights.") from error
        journal = cls(path, descriptor, read_only=read_only)
        try:
            journal._begin()
        except BaseException:
            os.close(descriptor)
            raise
        return journal

    def append(self, records: Iterable[Record], *, sync: bool) -> None:
        """All of the records or none; with `sync` they are on disk on return. Raises `JournalError`."""
        if self._is_broken or self._is_read_only:
            raise self._unwritable("a write failed before" if self._is_broken else "opened for reading")
        try:
            parts, count = [b""], 0
            for _, ts, kind, data in records:
                name = kind.encode()
                parts += (RECORD_HEAD.pack(ts, len(name), len(data)), name, data)
                count += 1
            if count:
                parts[0] = BATCH_COUNTS.pack(self._count + 1, count)
                body = b"".join(parts)
                batch = BATCH_HEAD.pack(MARK, len(body), zlib.crc32(body)) + body
                end = self._end + len(batch)
                if end > self._allocated:
                    self._take_space(end)
                if os.pwrite(self._descriptor, batch, self._end) != len(batch):
                    raise OSError("the disk took only a part")
                self._end = end
                self._count += count
            if sync:
                os.fdatasync(self._descriptor)
                self._synced = self._end
        except (OSError, ValueError) as error:
            # What a failed write or flush left on disk nobody knows: only opening anew finds out.
            self._is_broken = True
            raise self._unwritable(error) from error
        except Exception as error:  # a record that is none: nothing was written
            raise JournalError(f"{self._path}: not a record ({error!r}).") from error

    def flush(self) -> None:
        """Everything appended so far is on disk on return."""
        self.append((), sync=True)

    def read(self, after: int = 0) -> Iterator[Record]:
        """All records in order, beginning behind record number `after`; raises `JournalError` on damage."""
        for position, first, body in self._batches():
            if first + count_of(body) - 1 <= after:
                continue
            try:
                for record in records_of(first, body):
                    if record.number > after:
                        yield record
            except ValueError as error:
                raise self._damaged(first, position) from error

    def read_from(self, start: Position | None = None) -> Iterator[tuple[Position, list[Record]]]:
        """Batch by batch from the beginning, or from a place that `holds` confirmed; raises `JournalError` on damage.

        The position is the place behind the batch.
        """
        for position, first, body in self._batches(start):
            try:
                records = list(records_of(first, body))
            except ValueError as error:
                raise self._damaged(first, position) from error
            check = zlib.crc32(body)
            yield Position(first + len(records) - 1, position + HEAD_SIZE + len(body), position, check), records

    def holds(self, place: Position) -> bool:
        """Is this a place in this very journal?"""
        if place.begin < FILE_HEAD.size:
            return False
        window = Window(self._descriptor)
        batch = window.batch_at(place.begin)
        if batch is None:
            return False
        first, body = batch
        return (
            place.end == place.begin + HEAD_SIZE + len(body)
            and place.records == first + count_of(body) - 1
            and place.check == zlib.crc32(body)
        )

    def __len__(self) -> int:
        if self._is_read_only:
            return sum(count_of(body) for _, _, body in self._batches())
        return self._count

    def close(self) -> None:
        """Let go of the file; what was appended stays. The space taken in advance is given back."""
        if self._descriptor < 0:
            return
        if not self._is_read_only and not self._is_broken:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._end)
        os.close(self._descriptor)
        self._descriptor = -1
        self._is_broken = True

    @property
    def size(self) -> int:
        """Bytes up to the end of the last append; what was taken in advance is not counted."""
        return self._end

    @property
    def synced(self) -> int:
        """So many of them are on disk for certain."""
        return self._synced

    def abandon(self) -> None:
        """Let go of the file as a killed process does: nothing is flushed, nothing given back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            self._is_broken = True

    # ---- opening -----------------------------------------------------------------------------------

    def _begin(self) -> None:
        size = os.fstat(self._descriptor).st_size
        if self._is_read_only:
            self._check_head()
            return
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise JournalError(
                f"{self._path}: another process writes to it. Stop that daemon first, or use another --data-dir."
            ) from error
        if size == 0:
            self._create()
        else:
            self._check_head()
            for position, first, body in self._batches():
                self._end = position + HEAD_SIZE + len(body)
                self._count = first + count_of(body) - 1
            self._cut_torn_tail(size)
            os.fsync(self._descriptor)  # what is acted upon from here must not be lost by the next power cut
        self._synced = self._end
        self._allocated = os.fstat(self._descriptor).st_size

    def _create(self) -> None:
        try:
            os.pwrite(self._descriptor, FILE_HEAD.pack(NAME, SCHEMA_VERSION), 0)
            os.fsync(self._descriptor)
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)  # the name itself must survive the machine's death
            finally:
                os.close(folder)
        except OSError as error:
            raise self._unwritable(error) from error

    def _check_head(self) -> None:
        head = os.pread(self._descriptor, FILE_HEAD.size, 0)
        name, version = FILE_HEAD.unpack(head) if len(head) == FILE_HEAD.size else (b"", 0)
        if name != NAME:
            raise JournalError(f"{self._path}: not usable as a journal. Move it away to begin anew.")
        if version != SCHEMA_VERSION:
            raise JournalError(
                f"{self._path}: journal version {version}, this program reads {SCHEMA_VERSION}. "
                "Use the version that wrote it, or move it away to begin anew."
            )

    def _cut_torn_tail(self, size: int) -> None:
        """What follows the last whole batch and is not zero is an append that was cut short: nobody acted on it."""
        tail = os.pread(self._descriptor, size - self._end, self._end).rstrip(b"\0")
        if not tail:
            return
        self.cut = len(tail)
        kept = self._path.with_name(f"{self._path.name}.torn")
        with kept.open("ab") as file:
            file.write(tail)
        os.ftruncate(self._descriptor, self._end)
        os.fsync(self._descriptor)

    def _take_space(self, end: int) -> None:
        """Raises OSError (no space left) before anything is written that could be cut short by it."""
        os.posix_fallocate(self._descriptor, self._allocated, end + AHEAD - self._allocated)
        self._allocated = end + AHEAD

    # ---- reading -----------------------------------------------------------------------------------

    def _batches(self, start: Position | None = None) -> Iterator[tuple[int, int, bytes]]:
        """(position, number of the first record, body) of every whole batch; stops at a torn tail."""
        at, expected = (FILE_HEAD.size, 1) if start is None else (start.end, start.records + 1)
        window = Window(self._descriptor)
        while True:
            batch = window.batch_at(at)
            if batch is None:
                if window.is_tail(at):
                    return
                # A writer may have finished it, and the next one, while we looked.
                window.forget()
                batch = window.batch_at(at)
            if batch is None or batch[0] != expected:
                raise self._damaged(expected, at)
            first, body = batch
            yield at, first, body
            at += HEAD_SIZE + len(body)
            expected = first + count_of(body)

    def _damaged(self, number: int, position: int) -> JournalError:
        return JournalError(
            f"{self._path}: record {number} is damaged (at byte {position}), and there are whole ones behind it. "
            "Restore a backup; without one see `tradingd journal verify` and `tradingd journal repair`."
        )

    def _unwritable(self, why: object) -> JournalError:
        return JournalError(f"{self._path}: cannot be written ({why}). Free disk space, start again.")
