"""Around a rule from a file: it sees the candles it is shown, and reaches for nothing else.

A rule that reads the data's file itself decides the same with any cut, so the guard's cuts cannot find it. Instead it
may open nothing: files (but for Python's own and the zone data), sockets, other programs, databases. Python's audit
events tell of these (PEP 578); libraries that read past them, and ways to look at the running program from inside, may
not be imported by the rule. The first try fails the run, even when the rule swallows the error.
"""

import builtins
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Final

FORBIDDEN_IMPORTS: Final = frozenset({
    "aiohttp", "ccxt", "ctypes", "dask", "duckdb", "exchanges", "fastparquet", "gc", "h5py", "http", "httpx",
    "importlib", "inspect", "mmap", "multiprocessing", "netCDF4", "polars", "pyarrow", "requests", "research", "runpy",
    "socket", "sqlalchemy", "sqlite3", "store", "subprocess", "tables", "traceback", "tradingd", "urllib", "urllib3",
    "websockets", "xarray",
})
"""What reads files past Python, talks to others, or looks into the running program."""
ALLOWED_PARTS: Final = frozenset({"research.backtest.rules", "research.backtest.bars"})
_EVENTS: Final = ("socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty",
                  "sqlite3.", "ctypes.", "urllib.", "ftplib.", "http.", "webbrowser.", "sys._getframe",
                  "sys._current_frames", "gc.get_objects", "gc.get_referrers", "gc.get_referents")
_PYTHON_SUFFIXES: Final = (".py", ".pyc", ".so", ".pyd", ".pth", ".zip")
_HARMLESS: Final = ("/proc/", "/sys/", "/dev/null", "/dev/urandom", "/usr/share/zoneinfo", "/etc/localtime")


class _Cage:
    """The hook of this process: Python has no way to take one out again."""

    def __init__(self) -> None:
        self.is_shut = False
        self.is_hooked = False
        self.tries: list[str] = []

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.is_shut:
            return
        if event == "open":
            path, mode, flags = arguments
            if _is_reading(mode, flags) and not _is_python_own(path):
                self._refuse(f"opened {os.fsdecode(path)}")
        elif event.startswith(_EVENTS) and not _is_by_us(event):
            self._refuse(f"used {event}")

    def _refuse(self, what: str) -> None:
        self.tries.append(what)
        raise PermissionError(f"a rule sees nothing but the candles it is shown: this one {what}")


_cage: Final = _Cage()


@contextmanager
def caged() -> Iterator[list[str]]:
    """While inside, the running code may open nothing; yields what was tried. Not for several threads at once."""
    if not _cage.is_hooked:
        sys.addaudithook(_cage.hook)
        _cage.is_hooked = True
    _cage.tries = []
    _cage.is_shut = True
    try:
        yield _cage.tries
    finally:
        _cage.is_shut = False


@contextmanager
def opened() -> Iterator[None]:
    """For our own needs in between."""
    before, _cage.is_shut = _cage.is_shut, False
    try:
        yield
    finally:
        _cage.is_shut = before


def note(what: str) -> None:
    """A try that was found otherwise."""
    _cage.tries.append(what)


def guard_imports(module: ModuleType) -> None:
    """What the module's code imports from here on, at its top or inside functions, is looked at first."""
    known: dict[str, Any] = dict(vars(builtins))
    known["__import__"] = _import
    module.__dict__["__builtins__"] = known


def _import(
    name: str, globals_: Mapping[str, object] | None = None, locals_: Mapping[str, object] | None = None,
    fromlist: tuple[str, ...] = (), level: int = 0,
) -> ModuleType:
    wanted = {name, *(f"{name}.{part}" for part in fromlist or ())}
    if level == 0 and name.partition(".")[0] in FORBIDDEN_IMPORTS and not wanted & ALLOWED_PARTS:
        note(f"imports {name}")
        raise ImportError(f"a rule sees nothing but the candles it is shown: it may not import {name}")
    with opened():  # what a library reads while it is loaded is its own affair
        return __import__(name, globals_, locals_, fromlist, level)


def _is_reading(mode: object, flags: object) -> bool:
    if isinstance(mode, str):
        return "r" in mode or "+" in mode
    return not isinstance(flags, int) or flags & os.O_ACCMODE != os.O_WRONLY


def _is_python_own(path: object) -> bool:
    if not isinstance(path, str | bytes | os.PathLike):
        return True  # a descriptor that somebody opened before
    text = os.fsdecode(path)
    if text.endswith(_PYTHON_SUFFIXES) or text.startswith(_HARMLESS):
        return True
    full = str(Path(text).absolute())
    return any(full.startswith(f"{prefix}{os.sep}") for prefix in {sys.prefix, sys.base_prefix})


def _is_by_us(event: str) -> bool:
    """Frames are looked at by the library, too (warnings, named tuples): only the rule's own file counts."""
    if event not in ("sys._getframe", "sys._current_frames"):
        return False
    with opened():
        frame: Any = sys._getframe(2)
        return not str(frame.f_globals.get("__name__", "")).startswith(RULE_MODULE)


RULE_MODULE: Final = "tradelab_rule_"
"""How the modules of rules' files are named."""
