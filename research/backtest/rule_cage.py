"""Around a rule from a file: it sees the candles it is shown, and reaches for nothing else.

A rule that reads the data's file itself decides the same with any cut, so the guard's cuts cannot find it. Instead it
may open nothing: files (but for Python's own and the zone data), sockets, other programs, databases. Python's audit
events tell of these (PEP 578); libraries that read past them, and ways to look at the running program from inside, may
not be imported by the rule. The first try fails the run, even when the rule swallows the error.
"""

import builtins
import importlib.machinery
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
PAST_PYTHON: Final = frozenset({
    "dask", "duckdb", "fastparquet", "h5py", "netCDF4", "polars", "pyarrow", "tables", "xarray",
})
"""Libraries that open files without Python's knowing: out of sight in the cage, also for pandas."""
PRODUCT: Final = frozenset({"agents", "bus", "market", "orders", "research", "risk"})
_EVENTS: Final = ("socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty",
                  "sqlite3.", "ctypes.", "urllib.", "ftplib.", "http.", "webbrowser.", "sys._getframe",
                  "sys._current_frames", "gc.get_objects", "gc.get_referrers", "gc.get_referents")
_PYTHON_SUFFIXES: Final = (".py", ".pyc", ".so", ".pyd", ".pth", ".zip")
_HARMLESS: Final = ("/proc/", "/sys/", "/dev/null", "/dev/urandom", "/usr/share/zoneinfo", "/etc/localtime")


class _Cage:
    """The hook of this process: Python has no way to take one out again."""

    def __init__(self) -> None:
        self.is_shut = False
        self.is_occupied = False
        self.is_hooked = False
        self.tries: list[str] = []

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "import" and self.is_occupied and str(arguments[0]).partition(".")[0] in PAST_PYTHON:
            self._hide(str(arguments[0]))
        if not self.is_shut:
            return
        if event == "open":
            path, mode, flags = arguments
            if _is_reading(mode, flags) and not _is_python_own(path):
                self._refuse(f"opened {os.fsdecode(path)}")
        elif event.startswith(_EVENTS) and not _is_by_us(event):
            self._refuse(f"used {event}")

    def _hide(self, name: str) -> None:
        """A library that is being loaded does without; asked for by the rule, it is a try."""
        if self.is_shut:
            self.tries.append(f"has {name} imported")
        raise ImportError(f"a rule sees nothing but the candles it is shown: {name} is out of reach")

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
    with _out_of_sight():
        _cage.is_shut = True
        try:
            yield _cage.tries
        finally:
            _cage.is_shut = False


@contextmanager
def _out_of_sight() -> Iterator[None]:
    """`PAST_PYTHON` cannot be imported while inside, whoever asks; what was loaded is there again behind it."""
    loaded = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in PAST_PYTHON}
    for name in loaded:
        del sys.modules[name]
    _cage.is_occupied = True
    try:
        yield
    finally:
        _cage.is_occupied = False
        sys.modules.update(loaded)


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
    if level == 0 and (where := _foreign_place(name.partition(".")[0])):
        note(f"imports {name} of {where}")
        raise ImportError(f"a rule is one file: it may not import {name} of {where}, which could hold anything")
    with opened():  # what a library reads while it is loaded is its own affair
        return __import__(name, globals_, locals_, fromlist, level)


def _foreign_place(top: str) -> str:
    """Where a module lies that is neither Python's, nor installed, nor the product's; "" for all others."""
    if top in PRODUCT or top in sys.builtin_module_names or top in sys.stdlib_module_names:
        return ""
    spec = importlib.machinery.PathFinder.find_spec(top)
    places = [] if spec is None else [*(spec.submodule_search_locations or ()), *filter(None, [spec.origin])]
    return next((place for place in places if not _is_installed(place)), "")


def _is_installed(path: str) -> bool:
    full = str(Path(path).absolute())
    return any(full.startswith(f"{prefix}{os.sep}") for prefix in {sys.prefix, sys.base_prefix})


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
    return _is_installed(text)


def _is_by_us(event: str) -> bool:
    """Frames are looked at by the library, too (warnings, named tuples): only the rule's own file counts."""
    if event not in ("sys._getframe", "sys._current_frames"):
        return False
    with opened():
        frame: Any = sys._getframe(2)
        return not str(frame.f_globals.get("__name__", "")).startswith(RULE_MODULE)


RULE_MODULE: Final = "tradelab_rule_"
"""How the modules of rules' files are named."""
