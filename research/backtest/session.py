"""Named sessions: what was run, on which data, by which version, and what came of it.

A session is two files: NAME.json (the document, without the curve) and NAME.parquet (candles and equity). While it
runs the document says "running", and NAME.running is locked: without the lock it died. One that failed says why.
"""

import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from importlib.metadata import PackageNotFoundError, version
from itertools import count
from pathlib import Path
from typing import IO, Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from market.money import to_text
from research.backtest.bars import Bars
from research.backtest.runner import Result
from research.backtest.trades import Trade
from store.exact_column import Float64Array, Int64Array, arrow_of

Status = Literal["running", "completed", "failed", "died"]
_marks: Final[dict[Path, IO[str]]] = {}
"""Of the sessions that run in this process; closed, and so unlocked, by whatever ends it."""
_LONGEST: Final = 80
_NAME: Final = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{_LONGEST - 1}}}")
_ODD: Final = re.compile(r"[^A-Za-z0-9_.-]+")
_numbers: Final = count()
_ROWS: Final = 20_000
"""Of the equity, turned into text at a time."""
_COLUMNS: Final = ("open", "high", "low", "close", "volume")


def session_name(rule: str, symbol: str, interval: str) -> str:
    """A name made of what may hold any letters; of a rule's that is too long the beginning."""
    series = f"{_plain(symbol)}-{interval}"
    return f"{_plain(rule)[: _LONGEST - 1 - len(series)]}-{series}".lstrip("-")


def _plain(text: str) -> str:
    return _ODD.sub("-", text).strip("-_.")


class SessionError(ValueError):
    """No such session, one that did not end well, or a name that cannot be one."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Candles and equity of a session, in step. `ts` open times, UTC ns."""

    ts: Int64Array
    open: Float64Array
    high: Float64Array
    low: Float64Array
    close: Float64Array
    equity: Float64Array

    def __len__(self) -> int:
        return len(self.ts)


@dataclass(frozen=True, slots=True)
class SessionStore:
    """Sessions under one folder."""

    root: Path

    def begin(self, name: str, about: Mapping[str, Any]) -> None:
        """Raises `SessionError` for an odd name. A mark beside it stays locked as long as this process lives."""
        self._put(name, {"status": "running", "about": dict(about)})
        mark = self._path(name, ".running")
        stream = _marks[mark] = mark.open("w")
        with suppress(BlockingIOError):  # the same name runs twice at once: the last to end is what is kept
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def fail(self, name: str, about: Mapping[str, Any], reason: str) -> None:
        self._put(name, {"status": "failed", "about": dict(about), "error": reason})
        self._unmark(name)

    def _unmark(self, name: str) -> None:
        mark = self._path(name, ".running")
        stream = _marks.pop(mark, None)
        if stream is not None:
            mark.unlink(missing_ok=True)
            stream.close()

    def _is_alive(self, name: str) -> bool:
        """Does somebody hold the mark of a session that says it runs?"""
        try:
            with self._path(name, ".running").open("r+") as stream:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False  # no mark: it never ran here, or has ended
        return False

    def complete(self, name: str, document: Mapping[str, Any], bars: Bars, equity: Sequence[float]) -> Path:
        """A session of the same name is replaced; each file is whole or not there, and both are of one run."""
        self.root.mkdir(parents=True, exist_ok=True)
        path = self._path(name, ".parquet")
        temporary = _beside(path)
        curve = np.asarray(equity, np.float64)
        kinds = pa.schema([("ts", pa.int64()), *((name, pa.float64()) for name in (*_COLUMNS, "equity"))])
        with pq.ParquetWriter(temporary, kinds, compression="zstd", use_dictionary=False) as writer:
            for first in range(0, len(bars), _ROWS):  # as floats only a piece at a time
                rows = slice(first, first + _ROWS)
                part = bars.columns.take(rows)
                arrays = [part.ts_ns, *(getattr(part, name).floats() for name in _COLUMNS), curve[rows]]
                writer.write_table(pa.Table.from_arrays([arrow_of(each) for each in arrays], schema=kinds))
        with self._alone():
            os.replace(temporary, path)
            made = self._put(name, {"status": "completed", **document})
        self._unmark(name)
        return made

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Of all processes: the same name may end twice at once."""
        with (self.root / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def read(self, name: str) -> dict[str, Any]:
        """Whatever its status; raises `SessionError`."""
        path = self._path(name)
        try:
            document: dict[str, Any] = json.loads(path.read_text())
        except OSError:
            there = ", ".join(self.names()) or "none yet"
            raise SessionError(f"no session is called {name!r}: there are {there}") from None
        except ValueError as error:
            raise SessionError(f"{path}: damaged ({error}). Run it again.") from error
        if document.get("status") == "running" and not self._is_alive(name):
            document |= {"status": "died", "error": "its process was ended before the run was"}
        return document

    def read_completed(self, name: str) -> dict[str, Any]:
        """Raises `SessionError` for one that runs or failed."""
        document = self.read(name)
        if document.get("status") != "completed":
            reason = document.get("error") or "it did not come to its end"
            raise SessionError(f"session {name} is {document.get('status')}: {str(reason).rstrip('.')}. Run it again.")
        return document

    def curve(self, name: str) -> Curve:
        """Raises `SessionError`."""
        path = self._path(name, ".parquet")
        try:
            table = pq.ParquetFile(path).read()
            return Curve(*(table[column].to_numpy() for column in ("ts", "open", "high", "low", "close", "equity")))
        except (OSError, pa.ArrowInvalid, KeyError) as error:
            raise SessionError(f"{path}: unreadable ({error}). Run the session again.") from error

    def names(self) -> list[str]:
        return sorted(path.stem for path in self.root.glob("*.json")) if self.root.is_dir() else []

    def _put(self, name: str, document: Mapping[str, Any]) -> Path:
        path = self._path(name)
        self.root.mkdir(parents=True, exist_ok=True)
        temporary = _beside(path)
        temporary.write_text(to_json(document))
        os.replace(temporary, path)
        return path

    def _path(self, name: str, suffix: str = ".json") -> Path:
        if not _NAME.fullmatch(name):
            raise SessionError(f"{name!r} is no name for a session: letters, digits, _ . and - only")
        return self.root / f"{name}{suffix}"


def _beside(path: Path) -> Path:
    """A name that nobody else writes to."""
    return path.with_name(f".{path.name}.{os.getpid()}-{next(_numbers)}.new")


def to_json(document: Mapping[str, Any]) -> str:
    """The same document gives the same bytes."""
    return json.dumps(document, sort_keys=True, indent=1, allow_nan=False) + "\n"


def with_equity(document: Mapping[str, Any], ts: Int64Array, equity: Sequence[float]) -> Iterator[str]:
    """What `--json OUT` holds, piece by piece: the document, and `equity` as [open time (ns), quote at the close]."""
    head, mark, tail = to_json({**document, "equity": []}).partition(' "equity": [')
    yield f"{head}{mark}\n"
    for first in range(0, len(ts), _ROWS):
        rows = zip(ts[first : first + _ROWS].tolist(), equity[first : first + _ROWS], strict=True)
        text = ",\n".join(f"[{at},{round(value, 8)!r}]" for at, value in rows)
        yield f",\n{text}" if first else text
    yield f"\n{tail}"


def trade_rows(trades: Sequence[Trade]) -> list[dict[str, Any]]:
    """For JSON: money as decimal text, times as UTC ns."""
    return [
        {
            "symbol": each.symbol, "side": each.side, "entry_ts": each.entry_ts, "entry_price": _text(each.entry_price),
            "exit_ts": each.exit_ts, "exit_price": _text(each.exit_price), "quantity": _text(each.quantity),
            "fees": _text(each.fees), "pnl": _text(each.pnl), "exit_reason": each.exit_reason,
        }
        for each in trades
    ]


def result_document(
    result: Result, figures: Mapping[str, Any], fingerprint: str, quality: Mapping[str, Any], about: Mapping[str, Any],
) -> dict[str, Any]:
    """Deterministic: no clock, no machine."""
    return {
        "about": {**about, "version": product_version()},
        "trades": trade_rows(result.trades),
        "stats": dict(figures),
        "open_quantity": _text(result.open_quantity),
        "cash": _text(result.cash),
        "denials": dict(sorted(result.denials.items())),
        "fingerprint": fingerprint,
        "data": dict(quality),
    }


def product_version() -> str:
    """As installed."""
    try:
        return version("tradingd")
    except PackageNotFoundError:  # run from a tree that was never installed
        return "0+unknown"


def _text(value: Decimal) -> str:
    """Plain digits, at most twelve after the point."""
    return to_text(round(value, 12).normalize() if value else value)
