"""Following a journal while its writer goes on: whole batches as they appear, from any place one stopped at."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Self

from store.journal_files import Batch, JournalFile, file_with
from store.journal_format import JournalError, Record


class JournalFollower:
    """Reads behind the writer, from one file of the journal to the next; never blocks it and never waits.

    `number` is the last record taken, `batch_position` the byte of its file where its batch begins: both together are
    a place to go on from (`resume`). `position` is the byte to read on from.
    """

    def __init__(self, path: Path, file: JournalFile) -> None:
        self._path = path
        self._file = file
        self.number = 0
        self.position = self.batch_position = file.begin

    @classmethod
    def open(cls, path: Path) -> Self:
        """Begin before the first record; raises `JournalError` when it is no journal of this version."""
        return cls(path, file_with(path, 1))

    def resume(self, position: int, number: int, is_last: Callable[[Record], bool]) -> bool:
        """Go on behind record `number`, the last one of the batch that begins at `position`, when `is_last` knows it.

        False, and nothing changes, when there is no such record: this is not the journal the place was taken from. Of
        a record that was left out when its file was packed, its number has to do.
        """
        try:
            file = file_with(self._path, number)
        except JournalError:
            return False
        begin, end, is_known = _place_of(file, position, number, is_last)
        if not is_known:
            file.close()
            return False
        self._file.close()
        self._file = file
        self.batch_position, self.position, self.number = begin, end, number
        return True

    def before(self) -> list[Record]:
        """Right behind `resume`: the batch that the place lies behind, which was taken by whoever stood there."""
        batch = self._file.batch_at(self.batch_position)
        return [record for record in batch.records() if record.number <= self.number] if batch is not None else []

    def take(self, limit: int) -> list[Record]:
        """The next whole batches, until at least `limit` records or the end; raises `JournalError` on damage."""
        records: list[Record] = []
        self._file.window.forget()
        while len(records) < limit:
            batch = self._file.batch_at(self.position)
            if batch is None:
                if not self._file.is_end(self.position) and not self._was_just_written():
                    raise self._damaged()
                if self._file.batch_at(self.position) is not None or self._go_to_next_file():
                    continue
                return records
            if not self._file.is_packed and batch.first != self.number + 1:
                raise self._damaged()
            try:
                records.extend(record for record in batch.records() if record.number > self.number)
            except ValueError as error:
                raise self._damaged() from error
            self.batch_position, self.position, self.number = self.position, batch.end, max(batch.last, self.number)
        return records

    def flush(self) -> None:
        """What was taken is on disk on return, so no power cut takes it out of the journal again. Raises `OSError`.

        A file that the journal has grown out of was flushed when it was closed.
        """
        if self._file.path != self._path:
            return
        descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _go_to_next_file(self) -> bool:
        """This file is read to its end: is it the one that is written to, or has the journal gone on elsewhere?"""
        number = max(self.number, self._file.last) + 1
        following = file_with(self._path, number)
        if following.first == self._file.first:
            following.close()
            return False
        if following.first != number or self._was_just_written():
            following.close()
            if following.first != number:
                raise self._damaged()
            return True  # the writer appended to it, and closed it, while we looked: first this
        self._file.close()
        self._file, self.number, self.position = following, number - 1, following.begin
        return True

    def _was_just_written(self) -> bool:
        """The writer finished this batch, and the next one, while we looked."""
        self._file.window.forget()
        return self._file.batch_at(self.position) is not None

    def _damaged(self) -> JournalError:
        return JournalError(
            f"{self._file.path}: record {self.number + 1} is damaged (at byte {self.position}). "
            "Restore a backup; without one see `tradingd journal verify`."
        )


def _place_of(
    file: JournalFile, position: int, number: int, is_last: Callable[[Record], bool],
) -> tuple[int, int, bool]:
    """Where the batch with this record begins, from where to read on, and whether it is the record that is meant.

    In a packed file places are others than they were, and a batch may hold more: what comes before the record is
    passed over when it is taken again.
    """
    batch: Batch | None
    if not file.is_packed:
        batch = file.batch_at(position) if position >= file.begin else None
        if batch is None or batch.last != number:
            return position, position, False
        return batch.begin, batch.end, _is_known(batch, number, is_last)
    at, begin, is_known = file.begin, file.begin, True
    while (batch := file.batch_at(at)) is not None and batch.first <= number:
        at, begin, is_known = batch.end, batch.begin, _is_known(batch, number, is_last)
    return begin, begin, is_known


def _is_known(batch: Batch, number: int, is_last: Callable[[Record], bool]) -> bool:
    try:
        for record in batch.records():
            if record.number == number:
                return is_last(record)
    except ValueError:
        return False
    return batch.is_packed
