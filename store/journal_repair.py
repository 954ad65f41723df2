"""Mending a journal that is damaged in the middle: its beginning is kept, everything else set aside.

A repair keeps what comes before the damage, because a state folded from facts with a hole in between would be no
state that ever was. Whatever is taken out of the journal stays in a folder beside it.
"""

import fcntl
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

from store.journal_check import Examination, JournalExamination, examine_journal
from store.journal_files import JournalFile, segment_path
from store.journal_format import (
    BATCH_COUNTS,
    BATCH_HEAD,
    MARK,
    READABLE,
    RECORD_HEAD,
    JournalError,
    Record,
    head_bytes,
)
from store.journal_pack import sync_folder, write_packed
from store.private_file import make_private_folder, open_private

_MOST_ASIDE: Final = 1000


@dataclass(frozen=True, slots=True)
class Repair:
    """What a repair did: how much is still there, how many whole records came after the damage, where all of it is."""

    kept_records: int
    set_aside_records: int
    original: Path


Closing = Callable[[Repair], Record]
"""A last record for what was kept, which comes into the file together with it: never one without the other."""


def repair(path: Path, closing: Closing | None = None) -> Repair | None:
    """Keep what comes before the first damage, set the originals aside; None when nothing is damaged.

    What is new is whole on disk before it takes an old one's name: a cut in between leaves a journal that is damaged
    still, and another repair goes on with it. Raises `JournalError` when a daemon writes to it, when it is of another
    version, or when it cannot be written.
    """
    with _locked(path):  # first: what a daemon writes at its end belongs to what is examined
        try:
            return _repair(path, closing)
        except OSError as error:
            raise JournalError(f"{path}: cannot be repaired ({error}). Free disk space or mend the rights.") from error


def _repair(path: Path, closing: Closing | None) -> Repair | None:
    found = examine_journal(path)
    for each in found.files:
        if each.version not in (0, *READABLE):
            raise JournalError(
                f"{each.path}: journal version {each.version}, this program repairs {' and '.join(map(str, READABLE))}."
                " Use the version that wrote it."
            )
    if found.is_whole:
        return None
    if not found.kept_records:
        raise JournalError(f"{path}: there is no whole record in it. Restore a backup, or move it away to begin anew.")
    done = Repair(found.kept_records, found.records - found.kept_records, _free_name(path))
    last = _batch_bytes(found.kept[-1].kept_last + 1, closing(done)) if closing is not None else b""
    _mend(path, found, done.original, last)
    return done


def _batch_bytes(number: int, record: Record) -> bytes:
    """A batch of one record, as `store.journal` appends it."""
    name = record.kind.encode()
    body = BATCH_COUNTS.pack(number, 1) + RECORD_HEAD.pack(record.ts, len(name), len(record.data)) + name + record.data
    return BATCH_HEAD.pack(MARK, len(body), zlib.crc32(body)) + body


def _mend(path: Path, found: JournalExamination, aside: Path, closing: bytes) -> None:
    last = found.kept[-1]
    if last.path == path:  # the damage is in the file that is written to
        os.link(path, aside)
        double = segment_path(path, last.first)
        if double.exists() and double.samefile(path):  # its other name, of a rotation that was cut short
            double.unlink()
            sync_folder(double.parent)
        _put(path, chain(_beginning(last), (closing,)))
        return
    later = [each.path for each in found.files[len(found.kept) :] if each.path != path]
    make_private_folder(aside)
    for each in (*(() if last.is_whole else (last.path,)), *later, path):
        os.link(each, aside / each.name)
    sync_folder(aside)
    sync_folder(path.parent)
    if not last.is_whole and last.kept_records:
        _keep_beginning(last)
    elif not last.is_whole:
        later.insert(0, last.path)  # empty, it would hide the next file to be closed, which gets its name
    for each in reversed(later):
        each.unlink()
    if later:
        sync_folder(later[0].parent)
    _put(path, (head_bytes(last.kept_last + 1), closing))


def _keep_beginning(found: Examination) -> None:
    """What is whole at the beginning of a file takes the place of the file; on disk on return."""
    if found.is_packed:
        write_packed(found.path, found.level, found.first, found.kept_last, _records_before(found))
    else:
        _put(found.path, _beginning(found))


def _beginning(found: Examination) -> Iterator[bytes]:
    """A file of the first whole bytes of another, with a head that is right."""
    head = head_bytes(found.first)
    yield head
    with found.path.open("rb") as source:
        position = len(head)
        while position < found.kept_bytes:
            block = os.pread(source.fileno(), min(found.kept_bytes - position, 1 << 20), position)
            if not block:
                raise OSError("the file became shorter meanwhile")
            yield block
            position += len(block)


def _records_before(found: Examination) -> Iterator[Record]:
    file = JournalFile.open(found.path)
    try:
        at = file.begin
        while at < found.kept_bytes and (batch := file.batch_at(at)) is not None:
            yield from batch.records()
            at = batch.end
    finally:
        file.close()


def _put(target: Path, blocks: Iterable[bytes]) -> None:
    """Under its name only when it is whole on disk."""
    mended = target.with_name(f"{target.name}.mended")
    try:
        with open(mended, "wb", opener=open_private) as file:
            file.writelines(blocks)
            file.flush()
            os.fsync(file.fileno())
        mended.replace(target)
        sync_folder(target.parent)
    finally:
        mended.unlink(missing_ok=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise JournalError(f"{path}: cannot be read ({error.strerror}). Name an existing journal.") from error
    with file:
        refusal = JournalError(f"{path}: a daemon writes to it. Stop it first: `tradingd shutdown`.")
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise refusal from error
        if not os.path.samestat(os.fstat(file.fileno()), path.stat()):
            raise refusal  # it has closed this file meanwhile and goes on in another
        yield


def _free_name(path: Path) -> Path:
    for number in range(1, _MOST_ASIDE):
        name = path.with_name(f"{path.name}.damaged-{number}")
        if not name.exists():
            return name
    raise JournalError(f"{path}: a thousand damaged copies lie beside it. Move them away.")

