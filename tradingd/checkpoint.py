"""From the journal to living parts, by the newest checkpoint that is good and the records behind it; and new ones.

Each record is decoded once and folded into everything. A checkpoint is passed over when it is damaged, of another
program or no place in this journal; then the one before it serves, else the whole journal. `problems` tells what is
wrong with one (a checkpoint of another program is no problem).
"""

import logging
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from bus.messages.header import Message
from orders.engine import Engine
from store.checkpoint import (
    Checkpoint,
    CheckpointError,
    CheckpointKind,
    ForeignCheckpointError,
    folder_of,
    paths_of,
    read_checkpoint,
    write_checkpoint,
)
from store.journal import Position
from tradingd.checkpoint_graph import GraphError
from tradingd.checkpoint_parts import (
    ENGINE,
    MODEL,
    Scope,
    program,
    read_engine_into,
    read_model_into,
    write_engine,
    write_model,
)
from tradingd.collection_pause import no_collection
from tradingd.message_journal import MessageJournal
from tradingd.read_model import ReadModel
from tradingd.reading_progress import ReadingProgress
from tradingd.session import PastSessions

KEPT_MESSAGES: Final = 150_000
"""Messages behind the checkpoint held in memory between the two folds of a start; of more each is decoded twice."""

MOST_UNFLUSHED: Final = 500
"""Records by which a checkpoint may be ahead of its journal on a disk that keeps no order of its flushes."""

_SCOPE: Final = "scope.json"
_log = logging.getLogger(__name__)


class Recovery:
    """One start on a journal: `past` and `model`, both new, at once, the engine when its instruments are known.

    Without `use_checkpoints` the journal is read plainly, twice: that of a replay gives only what lies before its cut.
    Raises `JournalError`.
    """

    def __init__(
        self, journal: MessageJournal, past: PastSessions, model: ReadModel, *, use_checkpoints: bool = True,
        progress: ReadingProgress | None = None,
    ) -> None:
        self._journal = journal
        self._progress = progress if progress is not None else ReadingProgress()
        self._past = past
        self._model = model
        self.checkpoint: Checkpoint | None = None
        self.problems: list[str] = []
        self.lost = ""
        """What is known of records that the journal had and has no more; empty: nothing."""
        self.is_engine_restored = False
        """The engine's part came from the checkpoint, too."""
        self.end: Position | None = None
        """How far the journal was folded; None for an empty one."""
        self._tail: list[Message] | None = []
        with no_collection():
            if use_checkpoints:
                self._load()
                self._fold_model()
            else:
                self._tail = None
                for message in journal.read():
                    past.apply(message)
                    model.apply(message)

    @property
    def path(self) -> Path:
        return self._journal.path

    @property
    def checkpointed(self) -> int:
        """How many records the checkpoint spared."""
        return self.checkpoint.position.records if self.checkpoint is not None else 0

    def fold_engine(self, engine: Engine, scope: Scope) -> None:
        """Restore an engine that was made for `scope` and has done nothing yet. Once only."""
        with no_collection():
            if self.checkpoint is not None:
                try:
                    read_engine_into(self.checkpoint.sections[ENGINE], engine, scope)
                    self.is_engine_restored = True
                except (GraphError, KeyError) as error:
                    _log.info("the whole journal is folded for the engine: %s", error)
            known = self.checkpointed if self.is_engine_restored else 0
            progress = self._progress
            progress.begin(2, known, self.end.records if self.end is not None else 0)
            for count, message in enumerate(self._messages(), known):
                engine.restore(message)
                progress.at = count
        self._tail = None

    def forget_lost(self) -> None:
        """Checkpoints of records that the journal has no more go: with what they know each start would tell of the loss
        anew, also one of a journal that was begun anew. Call it when `lost` is written down."""
        end = self.end.records if self.end is not None else 0
        for path in paths_of(self._journal.path):
            if path.stem.isdigit() and int(path.stem) > end:
                with suppress(OSError):
                    path.unlink()

    def _messages(self) -> Iterable[Message]:
        start = self.checkpoint.position if self.checkpoint is not None and self.is_engine_restored else None
        if self._tail is not None and (self.is_engine_restored or self.checkpoint is None):
            return self._tail
        return self._journal.read() if self.end is None else self._read(start, self.end)

    def _read(self, start: Position | None, end: Position) -> Iterator[Message]:
        """Up to where the model was folded: who makes a checkpoint reads beside a daemon that writes on."""
        for position, messages in self._journal.read_from(start):
            if position.records > end.records:
                return
            yield from messages

    def _load(self) -> None:
        for path in paths_of(self._journal.path):
            try:
                found = read_checkpoint(path, program())
                if not self._journal.holds(found.position):
                    self._note_lost(len(self._journal), found.position.records)
                    raise CheckpointError(f"{path}: of another journal, or the journal has lost its end")
                read_model_into(found.sections[f"{MODEL} {self._model.quote}"], self._past, self._model)
            except ForeignCheckpointError as error:
                _log.info("checkpoint passed over: %s", error)
            except (CheckpointError, GraphError, KeyError) as error:
                problem = str(error) if isinstance(error, CheckpointError) else f"{path}: {error}"
                _log.warning("checkpoint passed over, the start takes longer: %s", problem)
                self.problems.append(problem)
            else:
                self.checkpoint = found
                return

    def _note_lost(self, records: int, known: int) -> None:
        """An empty journal was begun anew; what a power cut takes, records that were not flushed, is less."""
        if not self.lost and 0 < records <= known - MOST_UNFLUSHED:
            self.lost = (
                f"the journal has lost its end: it holds {records} records, and a checkpoint knows of {known}; compare "
                "positions and orders with the venue, or restore a backup"
            )

    def _fold_model(self) -> None:
        start = self.end = self.checkpoint.position if self.checkpoint is not None else None
        past, model, progress = self._past, self._model, self._progress
        progress.begin(1, self.checkpointed, len(self._journal))
        for position, messages in self._journal.read_from(start):
            for message in messages:
                past.apply(message)
                model.apply(message)
            self.end = position
            progress.at = position.records
            if self._tail is not None:
                self._tail += messages
                if len(self._tail) > KEPT_MESSAGES:
                    self._tail = None


def note_scope(journal: Path, scope: Scope) -> None:
    """Write down what the engine trades, for those who make checkpoints. Raises `CheckpointError`."""
    path = folder_of(journal) / _SCOPE
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = path.with_name(f"{_SCOPE}.new")
        temporary.write_bytes(scope.to_json())
        temporary.replace(path)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be written ({error}). Free disk space or mend the rights.") from error


def noted_scope(journal: Path) -> Scope:
    """Raises `CheckpointError`."""
    path = folder_of(journal) / _SCOPE
    try:
        return Scope.from_json(path.read_bytes())
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: nothing to go by ({error}). Start the daemon once on this journal.") from error


def make_checkpoint(journal: Path, kind: CheckpointKind) -> Checkpoint | None:
    """Fold a journal, by the last checkpoint, and write a new one; None when there is nothing new.

    Only reads the journal: a daemon may be writing to it. Raises `JournalError` and `CheckpointError`.
    """
    scope = noted_scope(journal)
    reader = MessageJournal.open(journal, read_only=True)
    try:
        past, model = PastSessions(), ReadModel(scope.quote)
        recovery = Recovery(reader, past, model)
        engine = scope.engine()
        recovery.fold_engine(engine, scope)
        reader.settle()  # facts that are not flushed yet were folded, too: it must not know more than the disk
    finally:
        reader.close()
    if recovery.end is None or (recovery.is_engine_restored and recovery.end.records == recovery.checkpointed):
        return None
    try:
        with no_collection():
            sections = {
                f"{MODEL} {scope.quote}": write_model(past, model), ENGINE: write_engine(engine, scope),
            }
    except GraphError as error:
        raise CheckpointError(f"{journal}: {error}") from error
    made = Checkpoint(program(), kind, recovery.end, sections)
    write_checkpoint(journal, made)
    return made
