"""The journal: an append-only file that is the truth of a session.

A record is one message's bytes: this module knows nothing of what they say. `append(..., sync=True)`
returns when the records are on disk (fdatasync): that is the promise made before anything is sent to a
venue. `sync=False` survives the death of the process but not of the machine; the next synced append, or a flush
beside the writer (`to_flush`), makes it as safe as the rest. One writer (the file is locked); any number of readers, at
any time.

The file (little-endian): 16 bytes that name format and version, then batches. A batch is what one append
wrote, and counts as a whole or not at all: mark, length of its body, CRC-32 of the rest of its head and of the body,
number of its first record, count of records; then per record time, length of kind, length of data, kind, data.
Behind the last batch lie zeros: space taken in advance, so that a full disk is met before it is needed.

A file that has grown long is closed with `rotate` and lies in a folder beside from then on, where it may be packed
(`store.journal_files`); its records are read as before.
"""

import contextlib
import fcntl
import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

from store.journal_files import (
    ALONE,
    Batch,
    JournalFile,
    damaged,
    foreign,
    read_batches,
    refuse_strangers,
    segment_path,
    segments_folder,
    segments_of,
    unreadable,
)
from store.journal_flush import FlushBeside
from store.journal_format import AHEAD as AHEAD
from store.journal_format import (
    BATCH_COUNTS,
    BATCH_HEAD,
    FILE_HEAD,
    MARK,
    READABLE,
    RECORD_HEAD,
    WINDOW,
    head_bytes,
    read_head,
)
from store.journal_format import SCHEMA_VERSION as SCHEMA_VERSION
from store.journal_format import JournalError as JournalError
from store.journal_format import Position as Position
from store.journal_format import Record as Record
from store.journal_pack import sync_folder


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
        self._file: JournalFile
        self.cut = 0

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False) -> Self:
        """Open, and create when new. Raises `JournalError` when it is no journal of this version."""
        if not path.exists():
            if segments_of(path):
                raise JournalError(
                    f"{path}: it is missing, and {segments_folder(path)} holds what came before. Put it back. {ALONE} "
                    "To begin anew move that folder away, too."
                )
            if read_only:
                raise JournalError(
                    f"{path}: no journal here. Start the daemon once, or name its folder with --data-dir."
                )
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

    def settle(self) -> None:
        """Of a reader: all that it has read is on disk on return, flushed or not by who writes. Raises `JournalError`.

        Earlier files were flushed when they were closed. The flush goes through the reader's own descriptor, so the
        writer waits for nothing, and still hears by its own of a flush that failed.
        """
        try:
            os.fdatasync(self._descriptor)
        except OSError as error:
            raise JournalError(f"{self._path}: cannot be flushed ({error}). Look after the disk.") from error

    def to_flush(self) -> FlushBeside | None:
        """What was appended and is not on disk for certain, to be flushed in another thread; None when all of it is.

        Behind it call `on_flushed`, or `on_flush_failed`, in the writer's thread.
        """
        if self._is_broken or self._is_read_only or self._synced >= self._end:
            return None
        return FlushBeside(self._path, self._file.first, self._end)

    def on_flushed(self, done: FlushBeside) -> None:
        """It is on disk. Nothing is learnt from that where the file was replaced meanwhile."""
        if not self._is_broken and done.first == self._file.first:
            self._synced = max(self._synced, done.end)

    def on_flush_failed(self, error: OSError) -> JournalError:
        """Nothing is written any more, as behind any failed flush; the error to raise is returned."""
        self._is_broken = True
        return self._unwritable(error)

    def read(self, after: int = 0) -> Iterator[Record]:
        """All records in order, beginning behind record number `after`; raises `JournalError` on damage."""
        for file, batch in read_batches(self._path, self._file, after=after):
            if batch.last <= after:
                continue
            for record in _records(file, batch):
                if record.number > after:
                    yield record

    def read_from(self, start: Position | None = None) -> Iterator[tuple[Position, list[Record]]]:
        """Batch by batch from the beginning, or from a place that `holds` confirmed; raises `JournalError` on damage.

        The position is the place behind the batch.
        """
        for file, batch in read_batches(self._path, self._file, start):
            yield Position(batch.last, batch.end, batch.begin, batch.check, file.first), list(_records(file, batch))

    def holds(self, place: Position) -> bool:
        """Is this a place in this very journal? One in a segment that was packed since is none any more."""
        if place.file == self._file.first:
            return _is_at(place, self._file)
        for segment in segments_of(self._path):
            if segment.first == place.file:
                try:
                    file = JournalFile.open(segment.path)
                except (JournalError, FileNotFoundError):
                    return False
                try:
                    return _is_at(place, file)
                finally:
                    file.close()
        return False

    def __len__(self) -> int:
        """The number of the last record."""
        if not self._is_read_only:
            return self._count
        count = self._file.first - 1
        for _, batch in read_batches(self._path, self._file, after=count):
            count = batch.last
        return count

    def rotate(self) -> bool:
        """Close the file as a segment and go on in a new one; false when it is empty or there is no room for that.

        A death at any moment leaves the old file, or both, in their places. Raises `JournalError` as `append` does.
        """
        first = self._count + 1
        if self._is_broken or self._is_read_only or first == self._file.first:
            return False
        following = self._path.with_name(f"{self._path.name}.new")
        segment = segment_path(self._path, self._file.first)
        self.flush()
        descriptor = -1
        try:
            segment.parent.mkdir(exist_ok=True, mode=0o700)
            descriptor = os.open(following, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.pwrite(descriptor, head_bytes(first), 0)
            os.posix_fallocate(descriptor, 0, AHEAD)
            os.fsync(descriptor)
            os.link(self._path.resolve(), segment)  # of a symbolic link the file, not the link
            sync_folder(segment.parent)
            sync_folder(self._path.parent)
        except OSError:
            if descriptor >= 0:
                os.close(descriptor)
            for left in (following, segment):
                with contextlib.suppress(OSError):
                    left.unlink(missing_ok=True)
            return False
        try:
            following.replace(self._path)
            sync_folder(self._path.parent)
            os.ftruncate(self._descriptor, self._end)
        except OSError as error:  # which of the two has the name nobody knows: only opening anew finds out
            os.close(descriptor)
            self._is_broken = True
            raise self._unwritable(error) from error
        os.close(self._descriptor)
        self._descriptor = descriptor
        self._file = JournalFile(self._path, descriptor, read_head(descriptor))
        self._end = self._synced = self._file.begin
        self._allocated = AHEAD
        return True

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
            refuse_strangers(self._path, 0)
            self._create()
        self._check_head()
        refuse_strangers(self._path, self._file.first)
        self._end = self._file.begin
        self._count = self._file.first - 1
        for _, batch in read_batches(self._path, self._file, after=self._count):
            self._end, self._count = batch.end, batch.last
        if size:
            self._cut_torn_tail(size)
            self._end_rotation()
            os.fsync(self._descriptor)  # what is acted upon from here must not be lost by the next power cut
        self._synced = self._end
        self._allocated = os.fstat(self._descriptor).st_size

    def _end_rotation(self) -> None:
        """A rotation that was cut short has given the file a second name: it still is the one that is written to."""
        with contextlib.suppress(OSError):
            self._path.with_name(f"{self._path.name}.new").unlink(missing_ok=True)
        double = segment_path(self._path, self._file.first)
        if not double.exists():
            return
        if not os.path.samestat(double.stat(), os.fstat(self._descriptor)) and not self._is_copied_to(double):
            raise JournalError(
                f"{self._path}: {double} begins with the same record, {self._file.first}, and is another file. Move "
                "away the one that is not right."
            )
        double.unlink()
        sync_folder(double.parent)

    def _is_copied_to(self, double: Path) -> bool:
        """Does another file hold the same and no more? A backup, and `cp`, make two files of one with two names."""
        file = JournalFile.open(double)
        try:
            for at in range(0, self._end, WINDOW):
                length = min(WINDOW, self._end - at)
                if os.pread(file.descriptor, length, at) != os.pread(self._descriptor, length, at):
                    return False
            return file.batch_at(self._end) is None and file.is_end(self._end)
        finally:
            file.close()

    def _create(self) -> None:
        try:
            os.pwrite(self._descriptor, head_bytes(1), 0)
            os.fsync(self._descriptor)
            sync_folder(self._path.parent)  # the name itself must survive the machine's death
        except OSError as error:
            raise self._unwritable(error) from error

    def _check_head(self) -> None:
        try:
            head = read_head(self._descriptor)
        except OSError as error:
            raise unreadable(self._path, error) from error
        if head.version not in READABLE:
            raise foreign(self._path, head.version)
        self._file = JournalFile(self._path, self._descriptor, head)

    def _cut_torn_tail(self, size: int) -> None:
        """What follows the last whole batch and is not zero is an append that was cut short: nobody acted on it."""
        tail = os.pread(self._descriptor, size - self._end, self._end).rstrip(b"\0")
        if not tail:
            return
        self.cut = len(tail)
        kept = self._path.with_name(f"{self._path.name}.torn")
        with contextlib.suppress(OSError), kept.open("ab") as file:  # a full disk is no reason not to start
            file.write(tail)
        os.ftruncate(self._descriptor, self._end)
        os.fsync(self._descriptor)

    def _take_space(self, end: int) -> None:
        """Raises OSError (no space left) before anything is written that could be cut short by it.

        Where there is not room enough to be ahead, what is needed now is taken: a disk serves to its last block.
        """
        try:
            self._take_up_to(end + AHEAD)
        except OSError:
            self._take_up_to(end)

    def _take_up_to(self, end: int) -> None:
        os.posix_fallocate(self._descriptor, self._allocated, end - self._allocated)
        self._allocated = end

    def _unwritable(self, why: object) -> JournalError:
        return JournalError(f"{self._path}: cannot be written ({why}). Free disk space, start again.")


def _records(file: JournalFile, batch: Batch) -> Iterator[Record]:
    try:
        yield from batch.records()
    except ValueError as error:
        raise damaged(file.path, batch.first, batch.begin) from error


def _is_at(place: Position, file: JournalFile) -> bool:
    batch = file.batch_at(place.begin) if place.begin >= file.begin else None
    return batch is not None and (batch.last, batch.end, batch.check) == (place.records, place.end, place.check)
