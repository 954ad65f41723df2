"""Messages in the journal: the codec between the bus's language and the journal's bytes."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Self

from bus.codec import CodecError, decode, encode
from bus.messages.header import Message
from store.journal import Journal, JournalError, Position, Record
from store.journal_flush import FlushBeside


class MessageJournal:
    """A journal of the data directory as messages. See `store.journal.Journal` for what `sync` promises."""

    def __init__(self, journal: Journal, path: Path) -> None:
        self._journal = journal
        self._path = path

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False) -> Self:
        """Open, and create when new; raises `JournalError`."""
        return cls(Journal.open(path, read_only=read_only), path)

    def append(self, messages: Iterable[Message], *, sync: bool) -> None:
        """All of the messages or none; raises `JournalError`."""
        self._journal.append(
            [Record(0, m.header.ts, type(m.body).__name__, encode(m)) for m in messages], sync=sync
        )

    def append_encoded(self, records: Sequence[Record], *, sync: bool) -> None:
        """As `append`, of messages whose bytes were made beforehand."""
        self._journal.append(records, sync=sync)

    def read(self) -> Iterator[Message]:
        """Every message in order; raises `JournalError` naming the record it cannot read."""
        for record in self._journal.read():
            try:
                yield decode(record.data)
            except CodecError as error:
                raise JournalError(
                    f"{self._path}: record {record.number}: {error}. Use the version that wrote it."
                ) from error

    def read_from(self, start: Position | None = None) -> Iterator[tuple[Position, list[Message]]]:
        """Batch by batch, each with the place behind it; see `store.journal.Journal.read_from`."""
        for position, records in self._journal.read_from(start):
            messages = []
            for record in records:
                try:
                    messages.append(decode(record.data))
                except CodecError as error:
                    raise JournalError(
                        f"{self.path}: record {record.number}: {error}. Use the version that wrote it."
                    ) from error
            yield position, messages

    def holds(self, place: Position) -> bool:
        """Is this a place in this very journal?"""
        return self._journal.holds(place)

    @property
    def path(self) -> Path:
        return self._path

    def __len__(self) -> int:
        return len(self._journal)

    def rotate(self) -> bool:
        """Close the file as a segment and go on in a new one; see `store.journal.Journal.rotate`."""
        return self._journal.rotate()

    def flush(self) -> None:
        """Everything appended so far is on disk on return."""
        self._journal.flush()

    def to_flush(self) -> FlushBeside | None:
        """What another thread may flush; see `store.journal.Journal.to_flush`."""
        return self._journal.to_flush()

    def on_flushed(self, done: FlushBeside) -> None:
        """It is on disk."""
        self._journal.on_flushed(done)

    def on_flush_failed(self, error: OSError) -> JournalError:
        """Nothing is written any more; the error to raise is returned."""
        return self._journal.on_flush_failed(error)

    def settle(self) -> None:
        """Of a reader: all that it has read is on disk on return; see `store.journal.Journal.settle`."""
        self._journal.settle()

    @property
    def size(self) -> int:
        """Bytes of the file that is written to, up to the end of the last append."""
        return self._journal.size

    @property
    def synced(self) -> int:
        """So many of them are on disk for certain."""
        return self._journal.synced

    def abandon(self) -> None:
        """Let go of the file as a killed process does."""
        self._journal.abandon()

    def close(self) -> None:
        """Let go of the file."""
        self._journal.close()
