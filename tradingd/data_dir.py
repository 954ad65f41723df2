"""The data directory: private, locked by one daemon at a time, and where the running one can be found."""

import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

JOURNAL: Final = "journal.sqlite"
_LOCK: Final = "lock"
_RUN: Final = "run.json"
KILL_FILE: Final = "KILL"


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


class DataDir:
    """`open` makes and locks it; `close` lets go."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def open(cls, path: Path) -> "DataDir":
        """Create (mode 0700) and lock; raises `AlreadyRunningError` or `DataDirError`."""
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DataDirError(
                f"data_dir {path} cannot be used ({error.strerror}). Name a folder you may write to with --data-dir."
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            info = read_run_info(path)
            who = f" (pid {info.pid}, {info.url})" if info else ""
            raise AlreadyRunningError(
                f"another daemon runs on {path}{who}. Stop it with `tradingd shutdown`, or use another --data-dir."
            ) from error
        return cls(path, lock)

    @property
    def journal_path(self) -> Path:
        return self.path / JOURNAL

    @property
    def kill_file(self) -> Path:
        """Whose existence engages the kill switch; its text is the reason."""
        return self.path / KILL_FILE

    def announce(self, info: RunInfo) -> None:
        """Write run.json (atomically) for the command line."""
        temporary = self.path / f"{_RUN}.new"
        temporary.write_text(json.dumps({"pid": info.pid, "url": info.url, "started": info.started_ns}) + "\n")
        temporary.replace(self.path / _RUN)

    def close(self) -> None:
        """Withdraw the announcement and the lock."""
        (self.path / _RUN).unlink(missing_ok=True)
        os.close(self._lock)


def read_run_info(path: Path) -> RunInfo | None:
    """What run.json says, or None when there is none or it is unreadable."""
    try:
        data: Any = json.loads((path / _RUN).read_text())
        return RunInfo(int(data["pid"]), str(data["url"]), int(data["started"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
