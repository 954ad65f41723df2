"""A replay that was cut off (kill -9, a power cut) goes on as if nothing had happened.

A replay's inputs are its recording, its settings and what people told it meanwhile; the same inputs give the same
journal, to the byte. So nothing is patched together after a cut: the recording is played again from its first frame,
as fast as it goes, people's commands are given again where they were given, and what follows is held against the
journal instead of being written. Where the journal ends the replay goes on, with everything as it was: orders on
their way, half-made candles, the agents' memory, the queue before a resting order.

`ReplayNotes` is the file that makes it possible: the first line names recording, settings and session, each further
line is a command, written before it is obeyed.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from bus import codec
from bus.ids import SessionId
from bus.messages.header import Message, MessageMaker
from exchanges.practice.recording_files import files_of
from tradingd.run_options import RunOptions
from tradingd.settings import Settings
from tradingd.version import VERSION

NOTES_FILE: Final = "replay.jsonl"
_SAMPLE_BYTES: Final = 65_536
_MATTERS_NOT: Final = {
    "alerts", "api", "data_dir", "history", "journal", "log", "metrics", "secrets", "source", "store", "tape"
}
"""Sections that change nothing of what is traded: a person may change them and still go on."""

FilePrint = tuple[str, int, str]
"""Name, size and a digest of the first and last bytes up to that size."""


@dataclass(frozen=True, slots=True)
class Input:
    """What somebody told a replay after its `at`-th feed item (-1: before the engine's first decision)."""

    at: int
    by: str
    message: Message


@dataclass(frozen=True, slots=True)
class Plan:
    """What a replay is made of, but for what people tell it."""

    session: SessionId
    shift_days: int
    settings: str
    files: tuple[FilePrint, ...]


def can_go_on(settings: Settings, options: RunOptions) -> bool:
    """Whether the same start again gives the same journal: nothing in it hangs on the machine's clock."""
    is_alone = settings.bus.url == "memory://" and not settings.practice.faults
    return bool(options.replay) and settings.mode == "paper" and is_alone


def settings_digest(settings: Settings, options: RunOptions) -> str:
    """Of all that decides what is traded, and of the program's version."""
    told = settings.model_dump(mode="json", exclude=_MATTERS_NOT)
    text = json.dumps([VERSION, options.symbols_given, told], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def file_prints(paths: Sequence[Path]) -> tuple[FilePrint, ...]:
    """What a recording is known by again; raises `PracticeError` as the replay itself would."""
    found = [path for named in paths for path in files_of(named)]
    return tuple((path.name, size := path.stat().st_size, _digest(path, size)) for path in found)


def is_same_recording(paths: Sequence[Path], known: Sequence[FilePrint]) -> bool:
    """The same files in the same order; a tape that has grown since is still the same."""
    found = [path for named in paths for path in files_of(named)]
    if len(found) < len(known):
        return False
    for path, (name, size, digest) in zip(found, known, strict=False):
        if path.name != name or path.stat().st_size < size or _digest(path, size) != digest:
            return False
    return True


def _digest(path: Path, size: int) -> str:
    made = hashlib.sha256()
    with path.open("rb") as stream:
        made.update(stream.read(min(size, _SAMPLE_BYTES)))
        stream.seek(max(0, size - _SAMPLE_BYTES))
        made.update(stream.read(min(size, _SAMPLE_BYTES)))
    return made.hexdigest()


class ReplayNotes:
    """The open file; `note` is on its way to the disk before the command is obeyed."""

    def __init__(self, descriptor: int, session: SessionId) -> None:
        self._descriptor = descriptor
        self._maker = MessageMaker("input", session)

    @classmethod
    def begin(cls, path: Path, plan: Plan) -> Self:
        """Notes of a new replay take the place of the last one's."""
        head = {"session": plan.session, "shift_days": plan.shift_days, "settings": plan.settings, "files": plan.files}
        temporary = path.with_name(f"{path.name}.new")
        temporary.write_text(json.dumps(head) + "\n", encoding="utf-8")
        temporary.replace(path)
        return cls(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC), plan.session)

    @classmethod
    def go_on(cls, path: Path, plan: Plan) -> Self:
        """Further commands of a replay that was cut off; half a line at the end is cut away."""
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        os.ftruncate(descriptor, whole)
        return cls(descriptor, plan.session)

    def note(self, at: int, by: str, body: object, now: int) -> None:
        """A command that is about to be obeyed; raises `OSError`."""
        message = codec.encode(self._maker.make(body, now)).decode()
        os.write(self._descriptor, (json.dumps({"at": at, "by": by, "message": message}) + "\n").encode())

    def close(self) -> None:
        os.close(self._descriptor)


def read_notes(path: Path) -> tuple[Plan, tuple[Input, ...]] | None:
    """Plan and commands of the last replay; None when there are none or they cannot be read."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]  # behind the last end of line: nothing, or half a one
        head: Any = json.loads(lines[0])
        plan = Plan(
            SessionId(str(head["session"])), int(head["shift_days"]), str(head["settings"]),
            tuple((str(name), int(size), str(digest)) for name, size, digest in head["files"]),
        )
        return plan, tuple(_inputs(lines[1:]))
    except (OSError, ValueError, KeyError, TypeError, IndexError, codec.CodecError):
        return None


def _inputs(lines: Sequence[str]) -> Iterator[Input]:
    for line in lines:
        row: Any = json.loads(line)
        yield Input(int(row["at"]), str(row["by"]), codec.decode(str(row["message"])))
