"""The kill switch as a file in the data directory: for a person with a shell and nothing else, or a machine.

`KILL` (or `kill`: nobody minds letters in an emergency). Its first word may be halt, cancel or flatten, the rest
is the reason; anything else is all reason, and cancel is meant.
"""

import asyncio
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, cast, get_args

from bus.messages.orders import EngageKillSwitch, KillAction
from bus.messages.system import BY_RULE, KillSwitchEngaged
from tradingd.data_dir import write_durably
from tradingd.plain_text import one_line
from tradingd.redaction import redact

KILL_FILE: Final = "KILL"
BY_FILE: Final = "file"
WATCH_S: Final = 0.25
KILL_NAMES: Final = (KILL_FILE, "kill")
_MOST_CHARACTERS: Final = 500
_SEVERITY: Final[tuple[KillAction, ...]] = ("halt", "cancel", "flatten")


def kill_file_in(data_dir: Path) -> Path:
    """The file that is there, or the one to create. A broken link counts as there."""
    for name in KILL_NAMES:
        if os.path.lexists(data_dir / name):
            return data_dir / name
    return data_dir / KILL_FILE


def read_kill_file(path: Path) -> tuple[KillAction, str]:
    """(action, reason); never raises: whatever lies there, somebody wants trading locked."""
    return _read(path)[:2]


def _read(path: Path) -> tuple[KillAction, str, str]:
    """Action, reason, and why the file cannot be read: "" when it was, or is no file."""
    text = ""
    try:
        if path.is_file():  # never wait for a pipe
            with path.open(errors="replace") as file:
                text = redact(one_line(" ".join(file.read(_MOST_CHARACTERS).split())))
    except OSError as error:  # a link into a closed folder fails already where it is looked at
        why = error.strerror or type(error).__name__
        return "cancel", f"kill file found, which cannot be read ({why})", why
    first, _, rest = text.partition(" ")
    word = first.strip(":,;.").lower()
    if word in get_args(KillAction):
        return cast("KillAction", word), rest.strip() or "kill file found", ""
    return "cancel", text or "kill file found", ""


def _is_empty(path: Path) -> bool:
    try:
        return path.is_file() and not path.stat().st_size
    except OSError:
        return False


class KillFile:
    """Whether the file asks for more than is engaged. `look` is called often and is cheap while there is none.

    One that cannot be read (root's, left with a strict umask) counts as cancel; `unreadable` says so, else "".
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._names = tuple(os.fspath(data_dir / name) for name in KILL_NAMES)
        self._was_empty = False
        self.unreadable = ""

    @property
    def path(self) -> Path:
        return kill_file_in(self._data_dir)

    @property
    def exists(self) -> bool:
        return any(map(os.path.lexists, self._names))

    def look(self, engaged: KillSwitchEngaged | None, *, is_patient: bool = True) -> EngageKillSwitch | None:
        """The command that follows, None when nothing does.

        `is_patient`: a file that is still empty is looked at a second time, for its writer is perhaps at work.
        """
        if not self.exists:
            self._was_empty = False
            self.unreadable = ""
            return None
        path = self.path
        if is_patient and not self._was_empty and _is_empty(path):
            self._was_empty = True
            return None
        action, reason, why = _read(path)
        self.unreadable = why and (
            f"{path} is there and cannot be read ({why}). It counts as `cancel`; if it asks for flatten, that is not "
            f"done: make it readable (`chmod a+r {path}`), or use `tradingd kill --action flatten`"
        )
        if engaged is not None and engaged.by != BY_RULE and _SEVERITY.index(action) <= _SEVERITY.index(engaged.action):
            return None
        return EngageKillSwitch(action, reason, BY_FILE)

    async def watch(
        self, engaged: Callable[[], KillSwitchEngaged | None], engage: Callable[[EngageKillSwitch], object],
        warn: Callable[[str], object] = lambda text: None,
    ) -> None:
        """For ever; wall time, whatever the session's clock says. `warn` hears once of a file that cannot be read."""
        warned = ""
        while True:
            command = self.look(engaged())
            if command is not None:
                engage(command)
            if self.unreadable != warned:
                warned = self.unreadable
                if warned:
                    warn(warned)
            await asyncio.sleep(WATCH_S)


def write_kill_file(data_dir: Path, action: KillAction, reason: str) -> Path:
    """Ask for the kill switch by file; one that is there and asks for more is left. Raises OSError.

    Root's is readable by the daemon's user, whatever root's umask. On a full disk the file is empty, which asks for
    cancel: a name needs less room than a word.
    """
    path = kill_file_in(data_dir)
    if os.path.lexists(path) and _SEVERITY.index(read_kill_file(path)[0]) >= _SEVERITY.index(action):
        _let_be_read(path)
        return path
    try:
        write_durably(path, f"{action} {' '.join(reason.split())}\n", readable_by_all=True)
    except OSError:
        path.touch()
        _let_be_read(path)
    return path


def _let_be_read(path: Path) -> None:
    """By the daemon, which is perhaps another user. Only a file of ours, and no other one that is linked to here."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            found = os.fstat(descriptor)
            if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and found.st_nlink == 1:
                os.fchmod(descriptor, stat.S_IMODE(found.st_mode) | 0o444)
        finally:
            os.close(descriptor)
