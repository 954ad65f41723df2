"""The SQL store as a projection: follows the journal's file and writes what tables are about, a batch at a time.

It runs in a process of its own, so that no statement, however slow, can keep the engine waiting. The journal is the
buffer: a database that is away for any time loses nothing, and how far the tables have come stands in the same
transaction as the rows.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final
from zlib import crc32

from sqlalchemy.exc import SQLAlchemyError

from bus.codec import CodecError, decode
from bus.messages.council import AnalysisCompleted
from bus.messages.header import Message
from store.journal_follow import JournalFollower
from store.journal_format import JournalError, Record
from store.sql.database import migrate, name_of, open_engine
from store.sql.projection_store import Loader, Place, PlaceMovedError, ProjectionStore
from store.sql.rows import Row
from tradingd.projection_fold import RELEVANT, ProjectionFold

BATCH: Final = 500
"""Records per transaction, at least (an append is never divided)."""

_IDLE_S: Final = 0.5
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 15.0
_SPOILT: Final = ("file is not a database", "is malformed", "disk image")

Wait = Callable[[float], bool]
"""Sleeps so many seconds, or shorter when it is time to end: then it says True."""


class ForeignStoreError(RuntimeError):
    """The tables hold another journal's account; the text says what to do."""


class Projection:
    """One journal into one database. Not for several threads."""

    def __init__(self, journal: Path, url: str, account: str, quote: str, *, is_own: bool) -> None:
        """`is_own`: the database belongs to this data directory alone, so tables of another journal may be emptied.

        Raises `JournalError` when there is no journal, `StoreUrlError` for a URL that is none.
        """
        self.journal = journal
        self._is_own = is_own
        self._quote = quote
        self._follower = JournalFollower.open(journal)
        self._engine = open_engine(url)
        self.store = ProjectionStore(self._engine, account)
        self._place: Place | None = None
        self._analyses: Mapping[str, AnalysisCompleted] = {}

    @property
    def record(self) -> int:
        """The last record that is in the tables, as far as known."""
        return self._place.record if self._place else 0

    def rebuild(self) -> int:
        """Empty the account's tables and fill them from the whole journal; returns the records taken."""
        migrate(self._engine)
        self._go_to_begin()
        return self.catch_up()

    def resume(self) -> None:
        """Go on where the tables stand; raises `ForeignStoreError`, `StoreVersionError`, SQLAlchemy's errors and
        `JournalError`.

        Tables of this very journal that know more than it does (a restored backup; a disk that lied about what it had)
        are filled anew: the journal is the truth.
        """
        migrate(self._engine)
        place = self.store.place()
        if place is None or place.record == 0:
            self._go_to_begin()
            return
        if self._is_of_this_journal(place):
            self._place = place
            self._analyses = _analyses_in(self.journal, self._follower.before())
            return
        if not self._is_own and not (place.journal == self.journal.name and self._begins_as(place)):
            raise ForeignStoreError(
                f"the store holds record {place.record} of {place.journal}, which is not in {self.journal}: name "
                "another database, or replace what it holds with `tradingd store rebuild`"
            )
        self._go_to_begin()

    def _is_of_this_journal(self, place: Place) -> bool:
        return self._begins_as(place) and self._follower.resume(
            place.position, place.record, lambda record: _check(record) == place.last_check,
        )

    def _begins_as(self, place: Place) -> bool:
        beginning = JournalFollower.open(self.journal)
        try:
            first = beginning.take(1)
        finally:
            beginning.close()
        return bool(first) and _check(first[0]) == place.first_check

    def _go_to_begin(self) -> None:
        self._follower.close()
        self._follower = JournalFollower.open(self.journal)
        self._place = self.store.begin(self.journal.name)

    def catch_up(self) -> int:
        """Everything there is in the journal now; returns the records taken. Another process may take turns with us."""
        taken = 0
        while True:
            try:
                count = self.step()
            except PlaceMovedError:
                continue
            if not count:
                return taken
            taken += count

    def step(self) -> int:
        """One batch in one transaction; returns how many records, 0 when there is nothing new."""
        if self._place is None:
            self.resume()
        before = self._place
        if before is None:
            raise RuntimeError("the projection has no place to go on from")
        records = self._follower.take(BATCH)
        if not records:
            return 0
        after = Place(
            self.journal.name, self._follower.number, self._follower.batch_position,
            before.first_check if before.record else _check(records[0]), _check(records[-1]),
        )
        messages = [(each.number, _message(self.journal, each)) for each in records if each.kind in RELEVANT]
        fold = ProjectionFold(self._quote, self._analyses)

        def change(loader: Loader) -> list[Row]:
            fold.load(loader, messages)
            for number, message in messages:
                fold.apply(number, message)
            return fold.changed()

        self._follower.flush()  # or a power cut could leave tables that know more than the journal
        self._place = None  # until it is committed nobody knows where the tables stand
        self.store.write(before, after, change)
        self._place, self._analyses = after, fold.analyses
        return len(records)

    def run(self, wait: Wait, tell: Callable[[bool, str], None]) -> None:
        """Until `wait` says that it is time to end. `tell(is_up, why)` is called when the database comes or goes.

        Raises `JournalError`, `ForeignStoreError` and `StoreVersionError`, which no waiting mends.
        """
        is_up: bool | None = None
        pause = _FIRST_PAUSE_S
        while True:
            try:
                count = self.step()
            except PlaceMovedError:
                continue  # a rebuild beside us: look where it stands
            except (SQLAlchemyError, OSError) as error:
                self._place = None
                self._engine.dispose()  # an open connection goes on in a file that was moved away since
                if is_up is not False:
                    is_up = False
                    tell(False, self.explain(error))
                if wait(pause):
                    return
                pause = min(pause * 2, _LONGEST_PAUSE_S)
                continue
            pause = _FIRST_PAUSE_S
            if not is_up:
                is_up = True
                tell(True, "")
            if not count and wait(_IDLE_S):
                return

    def explain(self, error: Exception) -> str:
        """Which database, what is wrong with it, and what to do where waiting does not mend it."""
        told = f"{name_of(self._engine)}: {_first_line(getattr(error, 'orig', None) or error)}"
        is_spoilt = self._engine.dialect.name == "sqlite" and any(each in told for each in _SPOILT)
        return f"{told}. Move the file away: it is filled again from the journal" if is_spoilt else told

    def close(self) -> None:
        """Let go of journal and database."""
        self._follower.close()
        self._engine.dispose()


def _analyses_in(journal: Path, records: Iterable[Record]) -> dict[str, AnalysisCompleted]:
    """By the ids of their messages."""
    found = (_message(journal, each) for each in records if each.kind == AnalysisCompleted.__name__)
    return {message.id: message.body for message in found}


def _message(journal: Path, record: Record) -> Message:
    try:
        return decode(record.data)
    except CodecError as error:
        raise JournalError(f"{journal}: record {record.number}: {error}. Use the version that wrote it.") from error


def _check(record: Record) -> int:
    return crc32(record.data, record.ts & 0xFFFFFFFF)


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
