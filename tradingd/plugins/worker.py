"""The process in which one foreign alpha lives. It knows nothing but that alpha, and may die at any moment.

Started by `tradingd.plugins.process` with the daemon's process id, the descriptor of a socket, and that of a file for
a last word. Its environment is empty but for the needs of Python, its output goes nowhere, its memory is bounded; it
ends with the daemon, whatever the alpha does.
"""

import contextlib
import ctypes
import faulthandler
import importlib
import importlib.util
import inspect
import io
import os
import resource
import signal
import socket
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from agents.alphas.alpha import what_is_wrong
from tradingd.plugins.wire import MOST_STATE_BYTES, NAME, FrameReader, pack, plain_text, view_of

_PR_SET_PDEATHSIG: Final = 1
_NICE: Final = 10
_REGIMES: Final = ("trending", "ranging", "volatile", "calm", "unknown")
_MODULE: Final = "tradingd_user_alpha"


class LoadError(Exception):
    """This file or class is no alpha; the text says what to do."""


class _Nowhere(io.TextIOBase):
    """What an alpha prints: taken and forgotten."""

    def writable(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        return len(text)


def main() -> None:
    """Load what the first frame names, then answer until the daemon hangs up."""
    parent, socket_fd, last_word_fd = map(int, sys.argv[1:4])
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return  # it went before we asked to go with it
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # a Ctrl-C at the daemon's terminal: the daemon decides
    os.nice(_NICE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.enable(file=last_word_fd)
    link = socket.socket(fileno=socket_fd)
    link.setblocking(True)
    sys.stdout = sys.stderr = _Nowhere()
    reader, alpha = FrameReader(most=1 << 30), None
    while data := link.recv(1 << 18):
        for frame in reader.feed(data):
            if frame["op"] == "load":
                alpha = _load_and_tell(frame, link)
            elif alpha is not None:
                link.sendall(_answer(alpha, frame))


def _load_and_tell(frame: dict[str, Any], link: socket.socket) -> object | None:
    limit = int(frame["memory_mb"]) * 1_000_000
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    try:
        alpha = _make(frame)
        told = {"op": "ready", **_describe(alpha)}
        state = frame.get("state")
        is_ours = state is not None and frame.get("state_version") == told["version"]
        if is_ours and callable(getattr(alpha, "restore_state", None)):
            with _naming("restore_state"):
                alpha.restore_state(state)  # type: ignore[attr-defined]
    except BaseException as error:  # noqa: BLE001 - sys.exit in a user's file must not end us without a word
        link.sendall(pack({"op": "broken", "error": _told(error), "line": _line_of(error, str(frame.get("path")))}))
        return None
    link.sendall(pack(told))
    return alpha


@contextlib.contextmanager
def _naming(what: str) -> Any:
    try:
        yield
    except Exception as error:
        raise LoadError(f"{what} raised {_told(error)}") from error


def _make(frame: dict[str, Any]) -> object:
    if frame.get("entry"):
        module_name, _, class_name = str(frame["entry"]).partition(":")
        module = importlib.import_module(module_name)
        if not class_name:
            return _instance(_only_class(module))
        found: Any = module
        for part in class_name.split("."):
            found = getattr(found, part)
        return _instance(found)
    path = Path(str(frame["path"]))
    sys.path.insert(0, str(path.parent))  # files that begin with _ may be imported by the others
    spec = importlib.util.spec_from_file_location(_MODULE, path)
    if spec is None or spec.loader is None:
        raise LoadError(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules[_MODULE] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return _instance(_only_class(module))


def _only_class(module: ModuleType) -> Any:
    own = [
        kind for kind in vars(module).values()
        if isinstance(kind, type) and kind.__module__ == module.__name__ and callable(getattr(kind, "opinion", None))
        and not kind.__name__.startswith("_")
    ]
    kinds = list(dict.fromkeys(own))
    if not kinds:
        raise LoadError(
            "no class with a method opinion(view): write one with name, version and opinion "
            "(`tradelab new-alpha NAME` writes a template)"
        )
    if len(kinds) > 1:
        names = ", ".join(kind.__name__ for kind in kinds)
        raise LoadError(f"{len(kinds)} alphas in one file ({names}): give each a file of its own")
    return kinds[0]


def _instance(kind: Any) -> object:
    with _naming(f"making {getattr(kind, '__name__', kind)}()"):
        made: object = kind()
    return made


def _describe(alpha: object) -> dict[str, Any]:
    """Name, version, weight and regimes as the class declares them; raises `LoadError`."""
    kind = type(alpha).__name__
    name, version = getattr(alpha, "name", None), getattr(alpha, "version", None)
    if not isinstance(name, str) or NAME.fullmatch(name) is None:
        raise LoadError(
            f'{kind}.name is {name!r}: write name = "my_alpha", small letters, digits and _, 40 at most'
        )
    if not isinstance(version, str | int) or isinstance(version, bool):
        raise LoadError(f'{kind}.version is {version!r}: write version = "1"')
    _require_plain(kind, getattr(alpha, "opinion", None))
    weight = getattr(alpha, "weight", None)
    if weight is not None and (isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight <= 1):
        raise LoadError(f"{kind}.weight is {weight!r}: write a number from 0 to 1, or leave it out")
    regimes = getattr(alpha, "regimes", ())
    if not isinstance(regimes, list | tuple | set | frozenset) or any(each not in _REGIMES for each in regimes):
        raise LoadError(f"{kind}.regimes is {regimes!r}: write a tuple of {', '.join(_REGIMES)}")
    return {
        "name": name, "version": plain_text(version, 40), "weight": weight, "regimes": sorted(regimes),
        "has_state": callable(getattr(alpha, "save_state", None)),
    }


def _require_plain(kind: str, opinion: Any) -> None:
    if inspect.iscoroutinefunction(opinion) or inspect.isgeneratorfunction(opinion):
        raise LoadError(
            f"{kind}.opinion is async or yields: write a plain def opinion(self, view) that returns an Opinion"
        )


def _answer(alpha: Any, frame: dict[str, Any]) -> bytes:
    number = frame.get("id", 0)
    try:
        if frame["op"] == "save":
            return _state_frame(alpha)
        opinion = alpha.opinion(view_of(frame))
        wrong = _what_is_wrong(opinion)
        if wrong:
            return pack({"op": "failed", "id": number, "error": wrong, "line": 0, "fatal": False})
        return pack({
            "op": "opinion", "id": number, "action": opinion.action, "confidence": float(opinion.confidence),
            "trail_ratio": float(opinion.trail_ratio), "urgency": opinion.urgency,
            "reasoning": plain_text(opinion.reasoning),
        })
    except BaseException as error:  # noqa: BLE001 - any failure of the alpha's is its answer to this one view
        line = _line_of(error, getattr(sys.modules.get(_MODULE), "__file__", ""))
        out_of_memory = isinstance(error, MemoryError)
        return pack({"op": "failed", "id": number, "error": _told(error), "line": line, "fatal": out_of_memory})


def _what_is_wrong(opinion: Any) -> str:
    missing = [
        name for name in ("action", "confidence", "trail_ratio", "urgency", "reasoning") if not hasattr(opinion, name)
    ]
    if missing:
        return f"opinion() gave {type(opinion).__name__} without {', '.join(missing)}: give an Opinion"
    for name in ("confidence", "trail_ratio"):
        value = getattr(opinion, name)
        if isinstance(value, bool | str):
            return f"{name} {value!r} is no number"
    return plain_text(what_is_wrong(opinion), 300)


def _state_frame(alpha: Any) -> bytes:
    frame = pack({"op": "state", "state": alpha.save_state()})
    if len(frame) > MOST_STATE_BYTES:
        raise ValueError(f"save_state() gave {len(frame)} bytes: {MOST_STATE_BYTES} are kept at most")
    return frame


def _told(error: BaseException) -> str:
    if isinstance(error, LoadError):
        return plain_text(error, 400)
    if isinstance(error, SyntaxError):
        return plain_text(f"{type(error).__name__}: {error.msg}", 400)
    return plain_text(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__, 400)


def _line_of(error: BaseException, path: str | None) -> int:
    """The line in the user's file where it happened, 0 when it is not known."""
    if isinstance(error, SyntaxError) and error.lineno:
        return error.lineno
    cause: BaseException | None = error
    line = 0
    while cause is not None:
        for step in traceback.extract_tb(cause.__traceback__):
            if path and step.filename == path:
                line = step.lineno or line
        cause = cause.__cause__
    return line


if __name__ == "__main__":
    main()
