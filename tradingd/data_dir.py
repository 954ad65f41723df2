"""The data directory: private, locked by one daemon at a time, and where the running one can be found."""

import fcntl
import json
import logging
import os
import stat
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from store.journal import JournalError
from store.journal_pack import sync_folder

JOURNAL: Final = "journal-practice-paper.journal"
"""The journal of paper trading on the practice market; see `journal_name` for the others."""
_ACCOUNT: Final = "account.json"
_OLD_REPLAYS: Final = 5
_LOCK: Final = "lock"
_RUN: Final = "run.json"
_STARTING: Final = "starting.json"
_LOOK_S: Final = 0.5
UNFINISHED_RESTORE: Final = "restore.unfinished"
"""Lies there while a restore takes things away and puts others in their place."""
_log = logging.getLogger(__name__)


class AlreadyRunningError(RuntimeError):
    """Another daemon holds this data directory."""


class DataDirError(RuntimeError):
    """The data directory cannot be used; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class RunInfo:
    """How to reach the daemon that runs on a data directory."""

    pid: int
    url: str
    started_ns: int

    def sentence(self) -> str:
        """pid 4242, since 2026-11-20 14:36:30 UTC, http://127.0.0.1:8080"""
        since = datetime.fromtimestamp(self.started_ns // 1_000_000_000, UTC)
        return f"pid {self.pid}, since {since:%Y-%m-%d %H:%M:%S} UTC, {self.url}"


class DataDir:
    """`open` makes and locks it; `close` lets go."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def open(cls, path: Path, *, to_restore: bool = False) -> "DataDir":
        """Create (mode 0700) and lock; raises `AlreadyRunningError` or `DataDirError`.

        One in which a restore was cut off is opened `to_restore` only: its accounts may be missing.
        """
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            if path.stat().st_mode & stat.S_IWOTH:  # code of alphas is loaded from it, and the kill file lies in it
                raise DataDirError(f"data_dir {path} can be written by everybody here. Run: chmod 700 {path}")
            lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DataDirError(
                f"data_dir {path} cannot be used ({error.strerror}). Name a folder you may write to with --data-dir."
            ) from error
        try:
            _take(lock)
        except OSError as error:
            os.close(lock)
            info = read_run_info(path)
            who = f" ({info.sentence()})" if info else ""
            raise AlreadyRunningError(
                f"another daemon runs on {path}{who}. Stop it with `tradingd shutdown`, or use another --data-dir."
            ) from error
        if not to_restore and os.path.lexists(path / UNFINISHED_RESTORE):
            os.close(lock)
            raise DataDirError(
                f"data_dir {path}: a restore was cut off in it, so accounts may be missing. Run `tradingd restore` "
                "with the backup again. What was there before lies in its newest before-restore-... folder."
            )
        for left in (_RUN, _STARTING):  # by one that was killed
            (path / left).unlink(missing_ok=True)
        return cls(path, lock)

    def use_journal(self, venue: str, mode: str, *, is_replay: bool) -> Path:
        """The journal of this venue and mode, noted as the one the command line reads while nothing runs."""
        name = journal_name(venue, mode, is_replay=is_replay)
        older = (self.path / name).with_suffix(".sqlite")
        if older.exists() and not (self.path / name).exists():
            raise JournalError(
                f"{older}: a journal of an earlier version, which this program cannot read: it would begin with an "
                "empty account. End its positions with the version that wrote it, then move the file away."
            )
        if not (self.path / _ACCOUNT).is_file() or current_journal(self.path).name != name:
            try:
                self._note(_ACCOUNT, {"journal": name})
            except OSError as error:  # the journal has its space already, and what is open wants to be watched
                _log.warning("the command line will not find %s while nothing runs: %s", name, error)
        return self.path / name

    def set_aside(self, journal: Path) -> None:
        """A finished replay's journal makes way for the next one's; the last five are kept."""
        old = sorted(self.path.glob(f"{journal.stem}-*.journal"))
        number = int(old[-1].stem.rsplit("-", 1)[1]) + 1 if old else 1
        for path in old[: max(0, len(old) - _OLD_REPLAYS + 1)]:
            path.unlink()
        journal.replace(journal.with_name(f"{journal.stem}-{number:06d}.journal"))

    def note_waiting(self, what: str) -> None:
        """For the command line, while the start cannot go on: what it waits for. A full disk may be the very reason."""
        with suppress(OSError):
            self._note(_STARTING, {"pid": os.getpid(), "waits_for": what})

    def announce(self, info: RunInfo) -> None:
        """Write run.json (atomically) for the command line. Raises OSError."""
        (self.path / _STARTING).unlink(missing_ok=True)
        self._note(_RUN, {"pid": info.pid, "url": info.url, "started": info.started_ns})

    def close(self) -> None:
        """Withdraw the announcement and the lock."""
        (self.path / _STARTING).unlink(missing_ok=True)
        (self.path / _RUN).unlink(missing_ok=True)
        os.close(self._lock)

    def _note(self, name: str, what: dict[str, str | int]) -> None:
        temporary = self.path / f"{name}.new"
        try:
            temporary.write_text(json.dumps(what) + "\n")
            temporary.replace(self.path / name)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise


def _take(lock: int) -> None:
    """Raises OSError when another daemon has it; who only looks (`is_held`) lets go of it at once."""
    until = time.monotonic() + _LOOK_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() >= until:
                raise
            time.sleep(0.01)
        else:
            return


def write_durably(path: Path, text: str, *, readable_by_all: bool = False) -> None:
    """Whole and on disk under its name on return, also after a power cut. Raises OSError: then all is as before.

    `readable_by_all`: whatever the umask says (0644), where the file system knows rights.
    """
    temporary = path.with_name(f".{path.name}.new")
    try:
        temporary.unlink(missing_ok=True)
        with temporary.open("x", encoding="utf-8") as file:  # a link that somebody laid there is not written through
            if readable_by_all:
                with suppress(OSError):
                    os.fchmod(file.fileno(), 0o644)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def journal_name(venue: str, mode: str, *, is_replay: bool) -> str:
    """Ledger and journal are per venue and mode; a replay's account is nobody else's either."""
    return f"journal-{venue}-{mode}{'-replay' if is_replay else ''}.journal"


def current_journal(path: Path) -> Path:
    """The journal of the last session on this data directory (whether it exists or not)."""
    try:
        data: Any = json.loads((path / _ACCOUNT).read_text())
        name = str(data["journal"])
    except (OSError, ValueError, KeyError, TypeError):
        name = JOURNAL
    return path / (name if "/" not in name else JOURNAL)


def is_data_dir(path: Path) -> bool:
    """Has a daemon ever run on it?"""
    return any((path / name).is_file() for name in (_LOCK, _RUN, _ACCOUNT))


def is_held(path: Path) -> bool:
    """Does a daemon hold this data directory now? It may be starting or ending, so that it cannot be reached."""
    try:
        lock = os.open(path / _LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


def whereabouts(path: Path) -> str:
    """Why no daemon can be reached on this data directory, as a sentence."""
    if not is_held(path):
        return f"no daemon runs on {path}"
    if info := read_run_info(path):
        told = f"the daemon on {path} (pid {info.pid}) does not answer at {info.url}"
        if _is_stopped(info.pid):
            return f"{told}: its process is stopped (SIGSTOP); `kill -CONT {info.pid}` lets it go on"
        return f"{told}: it is busy, or hangs; its log tells more, and a kill and a new start lose nothing"
    try:
        data: Any = json.loads((path / _STARTING).read_text())
        return f"the daemon on {path} (pid {int(data['pid'])}) is starting: {data['waits_for']}"
    except (OSError, ValueError, KeyError, TypeError):
        return f"the daemon on {path} is starting or ending"


def _is_stopped(pid: int) -> bool:
    """By a signal or a debugger, as /proc tells; False where it cannot be told."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in "Tt"
    except (OSError, IndexError):
        return False


def read_run_info(path: Path) -> RunInfo | None:
    """What run.json says, or None when there is none or it is unreadable."""
    try:
        data: Any = json.loads((path / _RUN).read_text())
        return RunInfo(int(data["pid"]), str(data["url"]), int(data["started"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
