"""The journal: an append-only SQLite file (WAL) that is the truth of a session.

A record is one message's bytes: this module knows nothing of what they say. `append(..., sync=True)`
returns when the records are on disk (fsync): that is the promise made before anything is sent to a
venue. `sync=False` survives the death of the process but not of the machine; the next synced append
makes it as safe as the rest. One writer; any number of readers.
"""

import contextlib
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple, Self

SCHEMA_VERSION: Final = 1
_PAGE: Final = 1000


class Record(NamedTuple):
    """`number` is the journal's (0 before it is written), `ts` UTC ns, `kind` the message's type."""

    number: int
    ts: int
    kind: str
    data: bytes


class JournalError(RuntimeError):
    """The journal cannot be trusted or written; the text names file, record and remedy."""


class Journal:
    """Open with `Journal.open(path)`; close when done."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection
        self._is_full = True

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False) -> Self:
        """Open, and create when new. Raises `JournalError` when it is no journal of this version."""
        if read_only and not path.exists():
            raise JournalError(f"{path}: no journal here. Start the daemon once, or name its folder with --data-dir.")
        try:
            if read_only:
                connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
            else:
                connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=FULL")
                connection.execute("CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT) STRICT")
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS records (number INTEGER PRIMARY KEY, ts INTEGER NOT NULL, "
                    "type TEXT NOT NULL, checksum INTEGER NOT NULL, message BLOB NOT NULL) STRICT"
                )
                connection.execute("INSERT OR IGNORE INTO meta VALUES ('schema', ?)", (str(SCHEMA_VERSION),))
            row = connection.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
        except sqlite3.Error as error:
            raise JournalError(f"{path}: not usable as a journal ({error}). Move it away to begin anew.") from error
        if row is None or row[0] != str(SCHEMA_VERSION):
            raise JournalError(
                f"{path}: journal version {row and row[0]}, this program reads {SCHEMA_VERSION}. "
                "Use the version that wrote it, or move it away to begin anew."
            )
        return cls(path, connection)

    def append(self, records: Iterable[Record], *, sync: bool) -> None:
        """All of the records or none; with `sync` they are on disk on return. Raises `JournalError`."""
        rows = [(ts, kind, zlib.crc32(data), data) for _, ts, kind, data in records]
        execute = self._connection.execute
        try:
            if sync != self._is_full:
                execute(f"PRAGMA synchronous={'FULL' if sync else 'NORMAL'}")
                self._is_full = sync
            execute("BEGIN IMMEDIATE")
            self._connection.executemany(
                "INSERT INTO records (ts, type, checksum, message) VALUES (?, ?, ?, ?)", rows
            )
            execute("COMMIT")
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):  # a closed or broken file cannot be rolled back either
                if self._connection.in_transaction:
                    self._connection.rollback()
            raise JournalError(f"{self._path}: cannot be written ({error}). Free disk space, start again.") from error

    def flush(self) -> None:
        """Everything appended so far is on disk on return."""
        self.append((), sync=True)
        self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def read(self, after: int = 0) -> Iterator[Record]:
        """All records in order, beginning behind record number `after`; raises `JournalError` on damage."""
        while True:
            try:
                rows = self._connection.execute(
                    "SELECT number, ts, type, checksum, message FROM records WHERE number > ? ORDER BY number LIMIT ?",
                    (after, _PAGE),
                ).fetchall()
            except sqlite3.Error as error:
                raise JournalError(f"{self._path}: damaged behind record {after} ({error}). Use a backup.") from error
            for number, ts, kind, checksum, data in rows:
                if zlib.crc32(data) != checksum:
                    raise JournalError(f"{self._path}: record {number} is damaged (checksum). Restore a backup.")
                after = number
                yield Record(number, ts, kind, data)
            if len(rows) < _PAGE:
                return

    def __len__(self) -> int:
        return int(self._connection.execute("SELECT count(*) FROM records").fetchone()[0])

    def close(self) -> None:
        """Let go of the file; what was appended stays."""
        self._connection.close()
