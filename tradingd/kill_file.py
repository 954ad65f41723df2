"""The kill switch as a file in the data directory: for a person with a shell and nothing else, or a machine.

`KILL` (or `kill`: nobody minds letters in an emergency). Its first word may be halt, cancel or flatten, the rest
is the reason; anything else is all reason, and cancel is meant.
"""

import asyncio
import os
from collections.abc import Callable
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
    text = ""
    if path.is_file():  # never wait for a pipe
        try:
            with path.open(errors="replace") as file:
                text = redact(one_line(" ".join(file.read(_MOST_CHARACTERS).split())))
        except OSError:
            text = ""
    first, _, rest = text.partition(" ")
    word = first.strip(":,;.").lower()
    if word in get_args(KillAction):
        return cast("KillAction", word), rest.strip() or "kill file found"
    return "cancel", text or "kill file found"


def _is_empty(path: Path) -> bool:
    try:
        return path.is_file() and not path.stat().st_size
    except OSError:
        return False


class KillFile:
    """Whether the file asks for more than is engaged. `look` is called often and is cheap while there is none."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._names = tuple(os.fspath(data_dir / name) for name in KILL_NAMES)
        self._was_empty = False

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
            return None
        path = self.path
        if is_patient and not self._was_empty and _is_empty(path):
            self._was_empty = True
            return None
        action, reason = read_kill_file(path)
        if engaged is not None and engaged.by != BY_RULE and _SEVERITY.index(action) <= _SEVERITY.index(engaged.action):
            return None
        return EngageKillSwitch(action, reason, BY_FILE)

    async def watch(
        self, engaged: Callable[[], KillSwitchEngaged | None], engage: Callable[[EngageKillSwitch], object]
    ) -> None:
        """For ever; wall time, whatever the session's clock says."""
        while True:
            command = self.look(engaged())
            if command is not None:
                engage(command)
            await asyncio.sleep(WATCH_S)


def write_kill_file(data_dir: Path, action: KillAction, reason: str) -> Path:
    """Ask for the kill switch by file; one that is there and asks for more is left. Raises OSError.

    On a full disk the file is empty, which asks for cancel: a name needs less room than a word.
    """
    path = kill_file_in(data_dir)
    if os.path.lexists(path) and _SEVERITY.index(read_kill_file(path)[0]) >= _SEVERITY.index(action):
        return path
    try:
        write_durably(path, f"{action} {' '.join(reason.split())}\n")
    except OSError:
        path.touch()
    return path
