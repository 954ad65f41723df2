"""Packed segments: a closed file of the journal, compressed, perhaps without records that nobody needs any more.

Record numbers stay what they were. The file (little-endian): a head (name, version, level, first and last record of the
stretch, records kept, bytes of the file, time of the last record kept, CRC-32), then frames as in a journal (mark,
length, CRC-32), each a zlib stream of records with their numbers. It is whole on disk before it gets its name, and
never changed after: packed once more, another file takes its name. What `level` means is the packer's affair.
"""

import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from struct import Struct
from typing import Final, NamedTuple

from store.journal_format import BATCH_HEAD, MARK, JournalError, Record
from store.private_file import open_private

PACKED_NAME: Final = b"tradingd-pak"
PACKED_VERSION: Final = 1
PACKED_HEAD: Final = Struct("<12sIIQQQQqI")
_PACKED_RECORD: Final = Struct("<QqHI")  # number, time, length of kind, length of data
_FRAME_BYTES: Final = 1 << 18
_LEVEL: Final = 6


class PackedHead(NamedTuple):
    """The stretch of records `first` to `last`, of which `kept` are there, the last of them of `last_ns` (UTC ns, 0
    without any); `size` is that of the file in bytes."""

    level: int
    first: int
    last: int
    kept: int
    size: int
    last_ns: int


def read_packed_head(descriptor: int) -> PackedHead | None:
    """None when the file is no packed segment, or its head is damaged."""
    data = os.pread(descriptor, PACKED_HEAD.size, 0)
    if len(data) < PACKED_HEAD.size or zlib.crc32(data[:-4]) != int.from_bytes(data[-4:], "little"):
        return None
    name, version, *fields, _ = PACKED_HEAD.unpack(data)
    return PackedHead(*fields) if (name, version) == (PACKED_NAME, PACKED_VERSION) else None


def packed_records(body: bytes) -> Iterator[Record]:
    """The records of a frame that was decompressed; raises `ValueError` when they do not fit into it."""
    at = 0
    while at < len(body):
        if at + _PACKED_RECORD.size > len(body):
            raise ValueError("a record does not fit into its frame")
        number, ts, kind_length, data_length = _PACKED_RECORD.unpack_from(body, at)
        at += _PACKED_RECORD.size
        end = at + kind_length + data_length
        if end > len(body):
            raise ValueError(f"record {number} does not fit into its frame")
        yield Record(number, ts, body[at : at + kind_length].decode(), body[at + kind_length : end])
        at = end


def write_packed(target: Path, level: int, first: int, last: int, records: Iterable[Record]) -> PackedHead:
    """Records in order, all between `first` and `last`; whole and on disk under its name on return.

    Raises `JournalError` when it cannot be written: then there is no such file.
    """
    temporary = target.with_name(f"{target.name}.new")
    try:
        with open(temporary, "wb", opener=open_private) as file:
            file.write(bytes(PACKED_HEAD.size))
            kept = last_ns = 0
            for frame, count, ts in _frames(records):
                file.write(frame)
                kept, last_ns = kept + count, ts
            head = PackedHead(level, first, last, kept, file.tell(), last_ns)
            data = PACKED_HEAD.pack(PACKED_NAME, PACKED_VERSION, *head, 0)[:-4]
            file.seek(0)
            file.write(data + zlib.crc32(data).to_bytes(4, "little"))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
        sync_folder(target.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise JournalError(f"{target}: cannot be written ({error}). Free disk space or mend the rights.") from error
    return head


def _frames(records: Iterable[Record]) -> Iterator[tuple[bytes, int, int]]:
    """(bytes, records in it, time of the last)."""
    parts: list[bytes] = []
    size = count = ts = 0
    for number, ts, kind, data in records:
        name = kind.encode()
        parts += (_PACKED_RECORD.pack(number, ts, len(name), len(data)), name, data)
        size += _PACKED_RECORD.size + len(name) + len(data)
        count += 1
        if size >= _FRAME_BYTES:
            yield _frame(parts), count, ts
            parts, size, count = [], 0, 0
    if count:
        yield _frame(parts), count, ts


def _frame(parts: list[bytes]) -> bytes:
    body = zlib.compress(b"".join(parts), _LEVEL)
    return BATCH_HEAD.pack(MARK, len(body), zlib.crc32(body)) + body


def sync_folder(folder: Path) -> None:
    """The names in it survive the machine's death from here on."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
