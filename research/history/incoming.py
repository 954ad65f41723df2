"""Live candles that the daemon wrote (`store.candle_writer`) into the history; repeats do no harm."""

import contextlib
import fcntl
import json
import os
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from store.candle_columns import CandleColumns
from store.candle_writer import FOLDER
from store.candles import CandleStore, WriteResult
from store.exact_column import ExactColumn

_NOTES: Final = "absorbed.json"
_FIELDS: Final = 10
_REST_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Absorbed:
    """Lines that could not be read are cut by a dead machine or damaged; they are left out."""

    written: WriteResult
    unreadable: int


def absorb(root: Path) -> Absorbed:
    """Move what the daemon has written since the last time. Cheap when there is nothing new."""
    folder, written, unreadable = root / FOLDER, WriteResult(), 0
    if not folder.is_dir():
        return Absorbed(written, 0)
    with _locked(folder):
        notes = _notes(folder)
        for path in sorted(folder.glob("*.csv")):
            is_finished = _is_finished(path)
            data, done = path.read_bytes(), notes.get(path.name, 0)
            whole = data[done : data.rfind(b"\n") + 1]
            if whole:
                lines = whole.decode("utf-8", "replace").splitlines()
                rows = [row for row in map(_row, lines) if row is not None]
                unreadable += sum(1 for line in lines if line) - len(rows)
                written += _write(root, path.name.rpartition("-")[0], rows)
                notes[path.name] = done + len(whole)
                _note(folder, notes)
            if is_finished:
                path.unlink()
                notes.pop(path.name, None)
        _note(folder, notes)
    return Absorbed(written, unreadable)


def _row(line: str) -> list[str] | None:
    text, _, check = line.rpartition(",")
    if not text or f"{zlib.crc32(text.encode()):08x}" != check:
        return None
    row = text.split(",")
    return row if len(row) == _FIELDS - 1 else None


def _write(root: Path, venue: str, rows: list[list[str]]) -> WriteResult:
    store, written = CandleStore(root, venue), WriteResult()
    for symbol, interval in sorted({(row[0], row[1]) for row in rows}):
        mine = [row for row in rows if row[0] == symbol and row[1] == interval]
        numbers = []
        for place in range(3, 8):
            column, is_bad = ExactColumn.of_texts(pa.array([row[place] for row in mine], pa.string()))
            if is_bad.any():
                column = ExactColumn.of_floats(np.array([float(row[place]) for row in mine]))
            numbers.append(column)
        times = np.array([int(row[2]) * 1_000_000 for row in mine], np.int64)
        trades = np.array([int(row[8]) for row in mine], np.int64)
        written += store.write(symbol, interval, CandleColumns.of(times, numbers, trades))
    return written


def _is_finished(path: Path) -> bool:
    """Nobody writes to it any more: not locked, and untouched for an hour (a file is locked just after it is made)."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return time.time() - path.stat().st_mtime > _REST_S


def _notes(folder: Path) -> dict[str, int]:
    """How many bytes of each file are in the history already."""
    try:
        found: Any = json.loads((folder / _NOTES).read_text())
        return {str(name): int(count) for name, count in found.items()}
    except (OSError, ValueError, AttributeError):
        return {}  # everything again: repeats do no harm


def _note(folder: Path, notes: dict[str, int]) -> None:
    temporary = folder / f".{_NOTES}.new"
    temporary.write_text(json.dumps(notes))
    temporary.replace(folder / _NOTES)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
