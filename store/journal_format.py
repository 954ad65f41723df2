"""The journal's bytes: heads of file, batch and record, and a window through which they are read.

What they mean stands in `store.journal`; this is shared by those who write, follow, examine and mend it.
"""

import os
import zlib
from collections.abc import Iterator
from struct import Struct
from typing import Final, NamedTuple

SCHEMA_VERSION: Final = 2
CONTINUED_VERSION: Final = 4
"""Of a file that goes on where an earlier one of the same journal ended: its head says with which record it begins.

No single bit makes one version of the other.
"""

READABLE: Final = (SCHEMA_VERSION, CONTINUED_VERSION)
AHEAD: Final = 1 << 20
"""Bytes of file taken in advance."""

NAME: Final = b"tradingd-log"
FILE_HEAD: Final = Struct("<12sI")
CONTINUED_HEAD: Final = Struct("<12sIQI")  # name, version, number of the first record, CRC-32 of what is before it
MARK: Final = b"\xf7TDJ"
BATCH_HEAD: Final = Struct("<4sII")  # mark, length of what follows the check, check
BATCH_COUNTS: Final = Struct("<QI")  # number of the first record, count
RECORD_HEAD: Final = Struct("<qHI")  # time, length of kind, length of data
HEAD_SIZE: Final = BATCH_HEAD.size
MOST_BYTES: Final = 1 << 28
_LEAST_BYTES: Final = 8
WINDOW: Final = 1 << 20


class Record(NamedTuple):
    """`number` is the journal's (0 before it is written), `ts` UTC ns, `kind` the message's type."""

    number: int
    ts: int
    kind: str
    data: bytes


class Position(NamedTuple):
    """A place behind a whole batch: `records` lie before it, it is at byte `end`; the batch begins at byte `begin` and
    carries the checksum `check`, by which the place is known again. The bytes are those of the journal's file that
    begins with record `file`."""

    records: int
    end: int
    begin: int
    check: int
    file: int = 1


class Head(NamedTuple):
    """What the beginning of a journal's file says: its version, its first record's number, its own bytes."""

    version: int
    first: int
    size: int


class JournalError(RuntimeError):
    """The journal cannot be trusted or written; the text names file, record and remedy."""


def head_bytes(first: int) -> bytes:
    """The head of a file whose first record has this number; that of record 1 is read by every version."""
    if first == 1:
        return FILE_HEAD.pack(NAME, SCHEMA_VERSION)
    head = CONTINUED_HEAD.pack(NAME, CONTINUED_VERSION, first, 0)[:-4]
    return head + zlib.crc32(head).to_bytes(4, "little")


def read_head(descriptor: int) -> Head:
    """Version 0 when the file does not say that it is a journal; also when a continued one's head is damaged."""
    data = os.pread(descriptor, CONTINUED_HEAD.size, 0)
    name, version = FILE_HEAD.unpack_from(data) if len(data) >= FILE_HEAD.size else (b"", 0)
    if name != NAME:
        return Head(0, 1, FILE_HEAD.size)
    if version != CONTINUED_VERSION:
        return Head(version, 1, FILE_HEAD.size)
    if len(data) < CONTINUED_HEAD.size or zlib.crc32(data[:-4]) != int.from_bytes(data[-4:], "little"):
        return Head(0, 1, CONTINUED_HEAD.size)
    return Head(version, CONTINUED_HEAD.unpack(data)[2], CONTINUED_HEAD.size)


def records_of(first: int, body: bytes) -> Iterator[Record]:
    """The records of a whole batch's body; raises `ValueError` when they do not fit into it."""
    at, count = BATCH_COUNTS.size, BATCH_COUNTS.unpack_from(body)[1]
    for number in range(first, first + count):
        if at + RECORD_HEAD.size > len(body):
            raise ValueError(f"record {number} does not fit into its batch")
        ts, kind_length, data_length = RECORD_HEAD.unpack_from(body, at)
        at += RECORD_HEAD.size
        kind, data = body[at : at + kind_length], body[at + kind_length : at + kind_length + data_length]
        at += kind_length + data_length
        if at > len(body):
            raise ValueError(f"record {number} does not fit into its batch")
        yield Record(number, ts, kind.decode(), data)


def count_of(body: bytes) -> int:
    """How many records a batch's body holds."""
    count: int = BATCH_COUNTS.unpack_from(body)[1]
    return count


class Window:
    """A stretch of the file in memory. Read, not mapped: a file that is cut meanwhile must not kill its reader."""

    __slots__ = ("_begin", "_bytes", "_descriptor")

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._begin = 0
        self._bytes = b""

    def forget(self) -> None:
        """Read anew what is asked for next."""
        self._bytes = b""

    def frame_at(self, at: int) -> tuple[int, bytes] | None:
        """(checksum, what it is of) of the whole frame at this position, None when there is none."""
        head = self._read(at, HEAD_SIZE)
        if len(head) < HEAD_SIZE:
            return None
        mark, length, check = BATCH_HEAD.unpack(head)
        if mark != MARK or not _LEAST_BYTES <= length <= MOST_BYTES:
            return None
        body = self._read(at + HEAD_SIZE, length)
        if len(body) != length or zlib.crc32(body) != check:
            return None
        return check, body

    def batch_at(self, at: int) -> tuple[int, bytes] | None:
        """(number of the first record, body) of the whole batch at this position, None when there is none."""
        found = self.frame_at(at)
        if found is None or len(found[1]) < BATCH_COUNTS.size:
            return None
        return BATCH_COUNTS.unpack_from(found[1])[0], found[1]

    def is_tail(self, at: int) -> bool:
        """True when no whole batch follows: what is here was being written when the machine died."""
        position = at + 1
        while True:
            stretch = os.pread(self._descriptor, WINDOW, position)
            found = stretch.find(MARK)
            while found >= 0:
                if self.frame_at(position + found) is not None:
                    return False
                found = stretch.find(MARK, found + 1)
            if len(stretch) < WINDOW:
                return True
            position += WINDOW - len(MARK) + 1  # a mark may lie across two stretches

    def _read(self, at: int, length: int) -> bytes:
        """So many bytes, fewer at the end of the file."""
        start = at - self._begin
        if start < 0 or start + length > len(self._bytes):
            self._bytes = os.pread(self._descriptor, max(length, WINDOW), at)
            self._begin, start = at, 0
        return self._bytes[start : start + length]
