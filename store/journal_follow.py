"""Following a journal while its writer goes on: whole batches as they appear, from any place one stopped at."""

import os
from pathlib import Path
from typing import Self

from store.journal_format import (
    FILE_HEAD,
    HEAD_SIZE,
    NAME,
    SCHEMA_VERSION,
    JournalError,
    Record,
    Window,
    count_of,
    records_of,
)


class JournalFollower:
    """Reads behind the writer; never blocks it and never waits.

    `number` is the last record taken, `batch_position` the byte where its batch begins: both together are a place to
    go on from (`resume`). `position` is the byte behind it.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._window = Window(descriptor)
        self.number = 0
        self.position = self.batch_position = FILE_HEAD.size

    @classmethod
    def open(cls, path: Path) -> Self:
        """Begin before the first record; raises `JournalError` when it is no journal of this version."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise JournalError(f"{path}: no journal here ({error.strerror}). Start the daemon once.") from error
        head = os.pread(descriptor, FILE_HEAD.size, 0)
        if len(head) < FILE_HEAD.size or FILE_HEAD.unpack(head) != (NAME, SCHEMA_VERSION):
            os.close(descriptor)
            raise JournalError(f"{path}: no journal that this program reads (version {SCHEMA_VERSION}).")
        return cls(path, descriptor)

    def resume(self, position: int, number: int) -> Record | None:
        """Go on behind record `number`, the last one of the batch that begins at `position`, and return it.

        None, and nothing changes, when there is no such batch: this is not the journal the place was taken from.
        """
        self._window.forget()
        batch = self._window.batch_at(position) if position >= FILE_HEAD.size else None
        if batch is None or batch[0] + count_of(batch[1]) - 1 != number:
            return None
        try:
            *_, last = records_of(*batch)
        except ValueError:
            return None
        self.batch_position = position
        self.position, self.number = position + HEAD_SIZE + len(batch[1]), number
        return last

    def take(self, limit: int) -> list[Record]:
        """The next whole batches, until at least `limit` records or the end; raises `JournalError` on damage."""
        records: list[Record] = []
        self._window.forget()
        while len(records) < limit:
            batch = self._window.batch_at(self.position)
            if batch is None:
                if not self._is_end(self.position) and not self._was_just_written():
                    raise self._damaged()
                return records
            first, body = batch
            if first != self.number + 1:
                raise self._damaged()
            try:
                records.extend(records_of(first, body))
            except ValueError as error:
                raise self._damaged() from error
            self.batch_position = self.position
            self.position += HEAD_SIZE + len(body)
            self.number = first + count_of(body) - 1
        return records

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _is_end(self, position: int) -> bool:
        """Nothing whole begins here or behind: the journal's end, or an append that is being written."""
        if not os.pread(self._descriptor, HEAD_SIZE, position).strip(b"\0"):
            return True
        return self._window.is_tail(position)

    def _was_just_written(self) -> bool:
        """The writer finished this batch, and the next one, while we looked."""
        self._window.forget()
        return self._window.batch_at(self.position) is not None

    def _damaged(self) -> JournalError:
        return JournalError(
            f"{self._path}: record {self.number + 1} is damaged (at byte {self.position}). "
            "Restore a backup; without one see `tradingd journal verify`."
        )
