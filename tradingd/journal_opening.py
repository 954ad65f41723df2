"""The journal that a run goes on with, and what it holds, folded. A replay begins with a fresh account."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from store.checkpoint import folder_of, paths_of
from store.journal_files import segments_of
from store.journal_format import JournalError
from tradingd.checkpoint import Recovery
from tradingd.continued_journal import ContinuedJournal
from tradingd.data_dir import DataDir
from tradingd.message_journal import MessageJournal
from tradingd.read_model import ReadModel
from tradingd.reading_progress import ReadingProgress
from tradingd.replay_run import ReplayRun
from tradingd.service_notify import ServiceNotify
from tradingd.session import PastSessions
from tradingd.settings import Settings

_log = logging.getLogger(__name__)
_REST_OF_START_S: Final = 120.0
_READING_S_PER_MB: Final = 10.0
"""Five times what a packed one needs, which holds some 25,000 records in a megabyte, at 65 us for each."""
_FRESH_ACCOUNT: Final = (
    "the last replay was cut off, and this is another one (recording, settings or version): it begins with a fresh "
    "account; the other's journal is kept"
)


@dataclass(frozen=True, slots=True)
class OpenedJournal:
    """`recovery` has folded the past and the read model; the engine is its next. `note`: what a person should know."""

    path: Path
    journal: MessageJournal
    past: PastSessions
    read_model: ReadModel
    recovery: Recovery
    note: str = ""


def open_journal(
    data_dir: DataDir, settings: Settings, replay: ReplayRun, service: ServiceNotify, *, is_replay: bool,
    progress: ReadingProgress | None = None,
) -> OpenedJournal:
    """Open and fold it. A replay's is set aside and begun anew, unless this very replay was cut off."""
    path = data_dir.use_journal(settings.venue, settings.mode, is_replay=is_replay)
    tell_reading(path, service)
    data_dir.note_waiting("it reads its journal")
    _refuse_emptied(path)
    journal = ContinuedJournal.open(path)
    if journal.torn_bytes:  # a power cut leaves such a thing; so does a disk that lost what it had promised
        _log.warning(
            "%s: %d bytes at its end were no whole append: cut off, and kept in %s.torn. After a power cut that is no "
            "loss; else look after the disk, and compare orders with the venue", path, journal.torn_bytes, path.name,
        )
    replay.find_cut(journal)
    opened = _fold(path, journal, settings, is_replay=is_replay, progress=progress)
    past = opened.past
    is_done_with = not past.ended_unclean or replay.is_able
    if not (is_replay and not replay.was_cut and past.count and is_done_with and opened.read_model.kill is None):
        return opened
    journal.close()
    data_dir.set_aside(path)
    note = _FRESH_ACCOUNT if past.ended_unclean else ""
    return _fold(path, MessageJournal.open(path), settings, is_replay=is_replay, note=note)


def _refuse_emptied(path: Path) -> None:
    """A file without a byte that had records once: an account would be begun without its positions and kill latch.

    One that was removed to begin anew is not there at all.
    """
    known = [int(each.stem) for each in paths_of(path) if each.stem.isdigit()]
    had = f"a checkpoint knows of {max(known)} records in it" if known else "an earlier start wrote to it"
    if folder_of(path).exists() and path.exists() and not path.stat().st_size:
        raise JournalError(
            f"{path}: it is empty, and {had}. Restore a backup, look after "
            "the disk; to begin anew, with what is open forgotten, remove the empty file."
        )


def tell_reading(path: Path, service: ServiceNotify) -> None:
    """A start that folds a whole journal, as each upgrade makes one, must not be taken for one that hangs.

    systemd only ever lengthens its patience, so what is asked for goes by the bytes that lie there.
    """
    files = (path, *(segment.path for segment in segments_of(path)))
    megabytes = sum(file.stat().st_size for file in files if file.exists()) / 1e6
    service.waiting(f"reading the journal ({megabytes:.1f} MB)", _REST_OF_START_S + megabytes * _READING_S_PER_MB)


def _fold(
    path: Path, journal: MessageJournal, settings: Settings, *, is_replay: bool, note: str = "",
    progress: ReadingProgress | None = None,
) -> OpenedJournal:
    """By the newest good checkpoint and the records behind it."""
    past, read_model = PastSessions(), ReadModel(settings.account.quote)
    recovery = Recovery(journal, past, read_model, use_checkpoints=not is_replay, progress=progress)
    read_model.journal = path
    return OpenedJournal(path, journal, past, read_model, recovery, note)
