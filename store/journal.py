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
from struct import Struct
from typing import Final, NamedTuple, Self

SCHEMA_VERSION: Final = 2
AHEAD: Final = 1 << 20
"""Bytes of file taken in advance."""

_NAME: Final = b"tradingd-log"
_FILE_HEAD: Final = Struct("<12sI")
_MARK: Final = b"\xf7TDJ"
_BATCH_HEAD: Final = Struct("<4sII")  # mark, length of what follows the check, check
_BATCH_COUNTS: Final = Struct("<QI")  # number of the first record, count
_RECORD_HEAD: Final = Struct("<qHI")  # time, length of kind, length of data
_HEAD_SIZE: Final = _BATCH_HEAD.size
_MOST_BYTES: Final = 1 << 28
_WINDOW: Final = 1 << 20


class Record(NamedTuple):
    """`number` is the journal's (0 before it is written), `ts` UTC ns, `kind` the message's type."""

    number: int
    ts: int
    kind: str
    data: bytes


class JournalError(RuntimeError):
    """The journal cannot be trusted or written; the text names file, record and remedy."""


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
        self._end = _FILE_HEAD.size
        self._allocated = 0
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
                parts += (_RECORD_HEAD.pack(ts, len(name), len(data)), name, data)
                count += 1
            if count:
                parts[0] = _BATCH_COUNTS.pack(self._count + 1, count)
                body = b"".join(parts)
                batch = _BATCH_HEAD.pack(_MARK, len(body), zlib.crc32(body)) + body
                end = self._end + len(batch)
                if end > self._allocated:
                    self._take_space(end)
                if os.pwrite(self._descriptor, batch, self._end) != len(batch):
                    raise OSError("the disk took only a part")
                self._end = end
                self._count += count
            if sync:
                os.fdatasync(self._descriptor)
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
            at, count = _BATCH_COUNTS.size, _BATCH_COUNTS.unpack_from(body)[1]
            if first + count - 1 <= after:
                continue
            for number in range(first, first + count):
                ts, kind_length, data_length = _RECORD_HEAD.unpack_from(body, at)
                at += _RECORD_HEAD.size
                kind, data = body[at : at + kind_length], body[at + kind_length : at + kind_length + data_length]
                at += kind_length + data_length
                if at > len(body):
                    raise self._damaged(number, position)
                if number > after:
                    yield Record(number, ts, kind.decode(), data)

    def __len__(self) -> int:
        if self._is_read_only:
            return sum(_BATCH_COUNTS.unpack_from(body)[1] for _, _, body in self._batches())
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
                self._end = position + _HEAD_SIZE + len(body)
                self._count = first + _BATCH_COUNTS.unpack_from(body)[1] - 1
            self._cut_torn_tail(size)
        self._allocated = os.fstat(self._descriptor).st_size

    def _create(self) -> None:
        try:
            os.pwrite(self._descriptor, _FILE_HEAD.pack(_NAME, SCHEMA_VERSION), 0)
            os.fsync(self._descriptor)
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)  # the name itself must survive the machine's death
            finally:
                os.close(folder)
        except OSError as error:
            raise self._unwritable(error) from error

    def _check_head(self) -> None:
        head = os.pread(self._descriptor, _FILE_HEAD.size, 0)
        name, version = _FILE_HEAD.unpack(head) if len(head) == _FILE_HEAD.size else (b"", 0)
        if name != _NAME:
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

    def _batches(self) -> Iterator[tuple[int, int, bytes]]:
        """(position, number of the first record, body) of every whole batch; stops at a torn tail."""
        at, expected = _FILE_HEAD.size, 1
        window = _Window(self._descriptor)
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
            at += _HEAD_SIZE + len(body)
            expected = first + _BATCH_COUNTS.unpack_from(body)[1]

    def _damaged(self, number: int, position: int) -> JournalError:
        return JournalError(
            f"{self._path}: record {number} is damaged (at byte {position}), and there are whole ones behind it. "
            "Restore a backup."
        )

    def _unwritable(self, why: object) -> JournalError:
        return JournalError(f"{self._path}: cannot be written ({why}). Free disk space, start again.")


class _Window:
    """A stretch of the file in memory. Read, not mapped: a file that is cut meanwhile must not kill its reader."""

    __slots__ = ("_begin", "_bytes", "_descriptor")

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._begin = 0
        self._bytes = b""

    def forget(self) -> None:
        """Read anew what is asked for next."""
        self._bytes = b""

    def batch_at(self, at: int) -> tuple[int, bytes] | None:
        """(number of the first record, body) of the whole batch at this position, None when there is none."""
        head = self._read(at, _HEAD_SIZE)
        if len(head) < _HEAD_SIZE:
            return None
        mark, length, check = _BATCH_HEAD.unpack(head)
        if mark != _MARK or not _BATCH_COUNTS.size <= length <= _MOST_BYTES:
            return None
        body = self._read(at + _HEAD_SIZE, length)
        if len(body) != length or zlib.crc32(body) != check:
            return None
        return _BATCH_COUNTS.unpack_from(body)[0], body

    def is_tail(self, at: int) -> bool:
        """True when no whole batch follows: what is here was being written when the machine died."""
        position = at + 1
        while True:
            stretch = os.pread(self._descriptor, _WINDOW, position)
            found = stretch.find(_MARK)
            while found >= 0:
                if self.batch_at(position + found) is not None:
                    return False
                found = stretch.find(_MARK, found + 1)
            if len(stretch) < _WINDOW:
                return True
            position += _WINDOW - len(_MARK) + 1  # a mark may lie across two stretches

    def _read(self, at: int, length: int) -> bytes:
        """So many bytes, fewer at the end of the file."""
        start = at - self._begin
        if start < 0 or start + length > len(self._bytes):
            self._bytes = os.pread(self._descriptor, max(length, _WINDOW), at)
            self._begin, start = at, 0
        return self._bytes[start : start + length]
