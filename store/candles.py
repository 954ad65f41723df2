"""The history: candles of every symbol and interval in Parquet, one folder a series.

    store = CandleStore(data_dir / "history", "binance")
    arrays = store.load("BTC/USDT", "1m", start_ns, end_ns)            # float64, for analytics
    for candle in store.iter_candles("BTC/USDT", "1m"): ...            # exact Decimals, for the engine
    store.fingerprint("BTC/USDT", "1m", start_ns, end_ns)              # what a result was computed from

Ranges are half-open, [start, end), by open time in UTC ns; None is open-ended. Only what traded is stored: a candle
that comes again replaces, gaps stay gaps. `load(..., fill_gaps=True)` interpolates short ones and marks them, so
nothing made up can be taken for real; `iter_candles` never gives such.
"""

import contextlib
import fcntl
import json
import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import quote, unquote

import numpy as np

from market.interval import IntervalError, interval_ns
from market.ticks import Candle
from store.candle_columns import LONGEST_FILLED_GAP, THREADS, CandleArrays, CandleColumns
from store.candle_grid import CandleGrid, Gap, find_gaps
from store.candle_parts import (
    ROWS_PER_GROUP,
    SUFFIX,
    CandlePartError,
    flush_folder,
    part_end,
    part_name,
    read_part,
    read_times,
    write_part,
)
from store.exact_column import ExactColumnError, Int64Array

INTERVALS: Final = ("1m", "5m", "15m", "1h", "4h", "6h", "1d")
_SYMBOL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9/:._()+-]{0,59}\Z")
_WORD: Final = re.compile(r"[A-Za-z0-9_-]{1,40}\Z")
_PART: Final = re.compile(r"\d{4}(-\d{2}|s)?\.parquet\Z")
_ABSENT: Final = "absent.json"
_MANY: Final = 4
"""Files that are worth threads."""


class CandleStoreError(ValueError):
    """A name that cannot be one, or numbers that cannot be kept; the text says which and what to do."""


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What a write did: candles that are new, that replaced others, and that were there already, the same."""

    added: int = 0
    replaced: int = 0
    unchanged: int = 0

    def __add__(self, other: "WriteResult") -> "WriteResult":
        return WriteResult(
            self.added + other.added, self.replaced + other.replaced, self.unchanged + other.unchanged
        )


@dataclass(frozen=True, slots=True)
class Coverage:
    """What is there of one series: from the open of the first candle to the end of the last (UTC ns)."""

    venue: str
    symbol: str
    interval: str
    candles: int
    first_ns: int
    end_ns: int
    expected: int
    gaps: tuple[Gap, ...]
    files: int
    size_bytes: int

    @property
    def ratio(self) -> float:
        """Share of the expected candles that is there."""
        return self.candles / self.expected if self.expected else 0.0


class CandleStore:
    """The candles of one venue under a root folder. Readers and writers may work at the same time, in any process."""

    def __init__(self, root: Path, venue: str = "binance") -> None:
        """Raises `CandleStoreError` for an odd venue name."""
        if not _WORD.match(venue):
            raise CandleStoreError(f"venue {venue!r}: write a name of letters and digits, such as binance")
        self.root = root
        self.venue = venue

    # ---- reading -----------------------------------------------------------------------------------

    def load(
        self, symbol: str, interval: str, start_ns: int | None = None, end_ns: int | None = None, *,
        fill_gaps: bool = False,
    ) -> CandleArrays:
        """As numpy arrays; empty ones when nothing is there. Raises `CandlePartError` for a damaged file."""
        parts = self._read_parts(symbol, interval, start_ns, end_ns)
        arrays = CandleArrays.of_columns(symbol, interval, *parts)
        return arrays.interpolated() if fill_gaps else arrays

    def read(
        self, symbol: str, interval: str, start_ns: int | None = None, end_ns: int | None = None
    ) -> CandleColumns:
        """As exact columns."""
        parts = self._read_parts(symbol, interval, start_ns, end_ns)
        return CandleColumns.concat([part for part in parts if len(part)] or [CandleColumns.empty()])

    def iter_candles(
        self, symbol: str, interval: str, start_ns: int | None = None, end_ns: int | None = None, *,
        is_warmup: bool = False,
    ) -> Iterator[Candle]:
        """Exact candles, oldest first, read in batches of 5,000."""
        for path in self._parts(symbol, interval, start_ns, end_ns):
            part = read_part(path, start_ns, end_ns)
            for first in range(0, len(part), ROWS_PER_GROUP):
                batch = part.take(slice(first, first + ROWS_PER_GROUP))
                yield from batch.candles(symbol, interval, is_warmup=is_warmup)

    def fingerprint(
        self, symbol: str, interval: str, start_ns: int | None = None, end_ns: int | None = None
    ) -> str:
        """SHA-256 of every number in the range: the same data gives the same, wherever and however it was written."""
        digest = sha256(f"{symbol} {interval}".encode())
        for path in self._parts(symbol, interval, start_ns, end_ns):
            part = read_part(path, start_ns, end_ns)
            if len(part):
                part.add_to(digest)
        return digest.hexdigest()

    def open_times(self, symbol: str, interval: str) -> Int64Array:
        """Every open time, ascending."""
        times = [read_times(path) for path in self._parts(symbol, interval)]
        return np.concatenate(times) if times else np.empty(0, np.int64)

    def series(self) -> list[tuple[str, str]]:
        """(symbol, interval) of all that is there, shortest interval first within a symbol."""
        found = []
        for folder in self.root.glob(f"venue={self.venue}/symbol=*/interval=*"):
            symbol, interval = (unquote(each.name.partition("=")[2]) for each in (folder.parent, folder))
            with contextlib.suppress(IntervalError):
                interval_ns(interval)
                if any(_PART.match(name) for name in os.listdir(folder)):
                    found.append((symbol, interval))
        return sorted(found, key=lambda each: (each[0], interval_ns(each[1])))

    def coverage(self, symbol: str, interval: str) -> Coverage:
        """How much is there, and which gaps there are."""
        times = self.open_times(symbol, interval)
        paths = self._parts(symbol, interval)
        size = sum(path.stat().st_size for path in paths)
        if not len(times):
            return Coverage(self.venue, symbol, interval, 0, 0, 0, 0, (), len(paths), size)
        grid = CandleGrid.of(interval, times)
        absent = self.absent(symbol, interval)
        gaps = tuple(
            Gap(gap.start_ns, gap.end_ns, gap.candles, gap.is_short, is_confirmed=any(
                start <= gap.start_ns and gap.end_ns <= end for start, end in absent
            ))
            for gap in find_gaps(grid, times, LONGEST_FILLED_GAP)
        )
        expected = len(times) + sum(gap.candles for gap in gaps)
        first, last = int(times[0]), int(times[-1])
        return Coverage(
            self.venue, symbol, interval, len(times), first, last + interval_ns(interval), expected, gaps, len(paths),
            size,
        )

    # ---- writing -----------------------------------------------------------------------------------

    def write(
        self, symbol: str, interval: str, columns: CandleColumns, *, keep: Literal["new", "old"] = "new"
    ) -> WriteResult:
        """Merge candles in: of a time that is there already the new one stays, or with `keep` the old one.

        Each file is whole at any moment; a write that was killed may be given again. Raises `CandleStoreError` for
        open times off the interval's grid or numbers that cannot be kept together, `CandlePartError` for the disk.
        """
        length = interval_ns(interval)
        off = np.flatnonzero(columns.ts_ns % length)
        if len(off):
            ts = columns.ts_ns[off[0]]
            raise CandleStoreError(f"{symbol} {interval}: open time {ts} ns is no multiple of {interval}")
        columns = columns.latest_of_each()
        result = WriteResult()
        if not len(columns):
            return result
        folder = self._folder(symbol, interval)
        with self._locked(folder):
            first = 0
            while first < len(columns):
                name = part_name(interval, int(columns.ts_ns[first]))
                last = int(np.searchsorted(columns.ts_ns, part_end(name)))
                try:
                    result += _merge(folder / f"{name}{SUFFIX}", columns.take(slice(first, last)), keep)
                except ExactColumnError as error:
                    raise CandleStoreError(f"{symbol} {interval} {name}: {error}: look at the source") from error
                first = last
            if result.added or result.replaced:
                flush_folder(folder)
        return result

    def remove(self, symbol: str, interval: str, before_ns: int) -> int:
        """Take away the candles that opened before; returns how many."""
        removed = 0
        folder = self._folder(symbol, interval)
        with self._locked(folder):
            for path in self._parts(symbol, interval, None, before_ns):
                part = read_part(path)
                kept = part.take(slice(int(np.searchsorted(part.ts_ns, before_ns)), None))
                removed += len(part) - len(kept)
                if len(kept):
                    write_part(path, kept)
                else:
                    path.unlink()
            flush_folder(folder)
        return removed

    def absent(self, symbol: str, interval: str, source: str = "") -> list[tuple[int, int]]:
        """Stretches [start, end) of which the source said that it has no candles; `source`: a second one, by name."""
        path = self._folder(symbol, interval) / _absent_file(source)
        try:
            stretches: Any = json.loads(path.read_text())
            return sorted((int(start), int(end)) for start, end in stretches)
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError) as error:
            raise CandlePartError(f"{path}: unreadable ({error}). Delete it: the next backfill asks again.") from error

    def mark_absent(
        self, symbol: str, interval: str, stretches: Sequence[tuple[int, int]], source: str = ""
    ) -> None:
        """Remember that the source has none there, so that nobody asks again; touching stretches become one.

        Raises `CandlePartError`.
        """
        folder = self._folder(symbol, interval)
        with self._locked(folder):
            merged: list[tuple[int, int]] = []
            for start, end in sorted([*self.absent(symbol, interval, source), *stretches]):
                if merged and start <= merged[-1][1]:
                    merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
                else:
                    merged.append((start, end))
            name = _absent_file(source)
            temporary = folder / f".{name}.{os.getpid()}.new"
            try:
                with temporary.open("w", encoding="utf-8") as file:
                    file.write(json.dumps(merged))
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(folder / name)
            except OSError as error:
                temporary.unlink(missing_ok=True)
                raise CandlePartError(f"{folder}: cannot be written ({error}). Check disk and rights.") from error

    def _read_parts(
        self, symbol: str, interval: str, start_ns: int | None, end_ns: int | None
    ) -> list[CandleColumns]:
        paths = self._parts(symbol, interval, start_ns, end_ns)
        if len(paths) < _MANY:
            return [read_part(path, start_ns, end_ns) for path in paths]
        with ThreadPoolExecutor(THREADS) as threads:  # Parquet is decoded without the interpreter's lock
            return list(threads.map(lambda path: read_part(path, start_ns, end_ns), paths))

    # ---- places ------------------------------------------------------------------------------------

    def _folder(self, symbol: str, interval: str) -> Path:
        interval_ns(interval)
        if not _SYMBOL.match(symbol):
            raise CandleStoreError(f"symbol {symbol[:80]!r}: write a name such as BTC/USDT or AAPL")
        return self.root / f"venue={self.venue}" / f"symbol={quote(symbol, safe='')}" / f"interval={interval}"

    def _parts(
        self, symbol: str, interval: str, start_ns: int | None = None, end_ns: int | None = None
    ) -> list[Path]:
        folder = self._folder(symbol, interval)
        try:
            names = sorted(name for name in os.listdir(folder) if _PART.match(name))
        except FileNotFoundError:
            return []
        first = "" if start_ns is None else part_name(interval, start_ns) + SUFFIX
        last = "~" if end_ns is None else part_name(interval, end_ns - 1) + SUFFIX
        return [folder / name for name in names if first <= name <= last]

    @contextlib.contextmanager
    def _locked(self, folder: Path) -> Iterator[None]:
        """One writer a series at a time; the lock dies with its process."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise CandlePartError(f"{folder}: cannot be written ({error.strerror}). Check its rights.") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for left in folder.glob(".*.new"):
                left.unlink(missing_ok=True)  # of a writer that was killed: nobody else is writing here now
            yield
        finally:
            os.close(lock)


def _absent_file(source: str) -> str:
    return f"absent.{quote(source, safe='')}.json" if source else _ABSENT


def venues_in(root: Path) -> list[str]:
    """Of which there are candles under the folder, in order of name."""
    names = (folder.name.partition("=")[2] for folder in root.glob("venue=*"))
    return sorted(name for name in names if _WORD.match(name) and CandleStore(root, name).series())


def _merge(path: Path, new: CandleColumns, keep: Literal["new", "old"]) -> WriteResult:
    if not path.exists():
        write_part(path, new)
        return WriteResult(added=len(new))
    old = read_part(path)
    _, in_new, in_old = np.intersect1d(new.ts_ns, old.ts_ns, assume_unique=True, return_indices=True)
    added = len(new) - len(in_new)
    same = _count_equal(new.take(in_new), old.take(in_old))
    replaced = len(in_new) - same if keep == "new" else 0
    if added or replaced:
        merged = CandleColumns.concat([old, new] if keep == "new" else [new, old]).latest_of_each()
        write_part(path, merged)
    return WriteResult(added, replaced, len(in_new) - replaced)


def _count_equal(left: CandleColumns, right: CandleColumns) -> int:
    """Rows with the same numbers; both have the same times."""
    if not len(left):
        return 0
    both = CandleColumns.concat([left, right])
    half = len(left)
    equal = both.trades[:half] == both.trades[half:]
    for column in (both.open, both.high, both.low, both.close, both.volume):
        equal &= column.values[:half] == column.values[half:]
    return int(equal.sum())
