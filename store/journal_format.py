"""The journal's bytes: heads of file, batch and record, and a window through which they are read.

What they mean stands in `store.journal`; this is shared by those who write, follow, examine and mend it.
"""

import os
import zlib
from collections.abc import Iterator
from struct import Struct
from typing import Final, NamedTuple

SCHEMA_VERSION: Final = 2
AHEAD: Final = 1 << 20
"""Bytes of file taken in advance."""

NAME: Final = b"tradingd-log"
FILE_HEAD: Final = Struct("<12sI")
MARK: Final = b"\xf7TDJ"
BATCH_HEAD: Final = Struct("<4sII")  # mark, length of what follows the check, check
BATCH_COUNTS: Final = Struct("<QI")  # number of the first record, count
RECORD_HEAD: Final = Struct("<qHI")  # time, length of kind, length of data
HEAD_SIZE: Final = BATCH_HEAD.size
MOST_BYTES: Final = 1 << 28
WINDOW: Final = 1 << 20


class Record(NamedTuple):
    """`number` is the journal's (0 before it is written), `ts` UTC ns, `kind` the message's type."""

    number: int
    ts: int
    kind: str
    data: bytes


class Position(NamedTuple):
    """A place behind a whole batch: `records` lie before it, it is at byte `end`; the batch begins at byte `begin` and
    carries the checksum `check`, by which the place is known again."""

    records: int
    end: int
    begin: int
    check: int


class JournalError(RuntimeError):
    """The journal cannot be trusted or written; the text names file, record and remedy."""


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

    def batch_at(self, at: int) -> tuple[int, bytes] | None:
        """(number of the first record, body) of the whole batch at this position, None when there is none."""
        head = self._read(at, HEAD_SIZE)
        if len(head) < HEAD_SIZE:
            return None
        mark, length, check = BATCH_HEAD.unpack(head)
        if mark != MARK or not BATCH_COUNTS.size <= length <= MOST_BYTES:
            return None
        body = self._read(at + HEAD_SIZE, length)
        if len(body) != length or zlib.crc32(body) != check:
            return None
        return BATCH_COUNTS.unpack_from(body)[0], body

    def is_tail(self, at: int) -> bool:
        """True when no whole batch follows: what is here was being written when the machine died."""
        position = at + 1
        while True:
            stretch = os.pread(self._descriptor, WINDOW, position)
            found = stretch.find(MARK)
            while found >= 0:
                if self.batch_at(position + found) is not None:
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
