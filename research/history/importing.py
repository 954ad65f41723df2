"""A file into the history: read, judged row by row, split by symbol, merged.

A refused row is told with line, field and remedy, and the rest is imported (it shows as a gap, not as a wrong number);
with `is_strict` nothing of a file with a refused row is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from market.interval import interval_ns
from research.history.row_checks import Refusal, RowJudge, read_candles, read_times
from research.history.source_rows import SUFFIXES, SourceError, SourceRows, read_source
from research.history.symbol_names import archive_of, interval_in, our_symbol, symbol_in
from store.candle_columns import CandleColumns
from store.candles import INTERVALS, CandleStore, CandleStoreError, WriteResult
from store.exact_column import ExactColumnError, Int64Array, filled, numbers_of

_SAMPLE: Final = 5_000
_ENOUGH: Final = 10
"""Steps between rows that are no chance: a quiet market may well leave out some candles in a row."""


class OptionError(SourceError):
    """The file is sound, and not what an option says of it."""


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What the file does not tell. `stamps_are_closes`: its times are the candles' ends.

    `symbol`: what a file is of that names one symbol or none; of a file of many symbols, the one that is wanted.
    """

    symbol: str = ""
    interval: str = ""
    is_strict: bool = False
    stamps_are_closes: bool = False


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What became of one file. `duplicates`: rows whose time came again in the same file (the last one counts)."""

    path: Path
    symbols: tuple[str, ...]
    interval: str
    rows: int
    refused: int
    duplicates: int
    written: WriteResult
    refusals: tuple[Refusal, ...] = ()
    problem: str = ""
    is_option_wrong: bool = False
    """The problem is what was said of the file, not the file."""

    @property
    def is_whole(self) -> bool:
        """Everything in the file is in the history."""
        return not self.problem and self.refused == 0


def import_file(store: CandleStore, path: Path, options: ImportOptions) -> ImportReport:
    """Never raises for what is in the file: `problem` and `refusals` tell it. A disk that refuses raises."""
    try:
        return _import_rows(store, path, options)
    except (SourceError, CandleStoreError, ExactColumnError) as error:
        text = str(error) if str(path) in str(error) else f"{path}: {error}"
        return ImportReport(path, (), options.interval, 0, 0, 0, WriteResult(), problem=text,
                            is_option_wrong=isinstance(error, OptionError))


def _import_rows(store: CandleStore, path: Path, options: ImportOptions) -> ImportReport:
    source = read_source(path)
    if not source.rows:
        raise SourceError(f"{path}: holds no row.")
    names, codes = _symbols(path, source, options)
    judge = RowJudge(source)
    times = read_times(judge)
    is_first = codes == codes[0]
    mine = times[is_first & ~judge.is_bad]
    interval = options.interval or interval_in(str(path)) or _usual_interval(path, mine)
    _check_interval(path, interval)
    _check_step(path, interval, mine)
    if options.stamps_are_closes:
        times = np.where(judge.is_bad, times, times - interval_ns(interval))
    columns = read_candles(judge, times, interval)
    count = source.rows
    report = ImportReport(path, tuple(names), interval, count + len(source.broken), judge.refused, 0,
                          WriteResult(), judge.refusals())
    is_good = ~judge.is_bad
    del source, judge  # a year of minutes as texts takes more room than all that follows
    pa.default_memory_pool().release_unused()
    if options.is_strict and report.refused:
        return replace(report, problem=f"{path}: {report.refused} rows refused: nothing of it was imported (--strict).")
    good = np.flatnonzero(is_good)
    if options.symbol in names:
        # Of a file of many symbols only the named one is wanted.
        good, names = good[codes[good] == names.index(options.symbol)], [options.symbol]
        codes = np.zeros(count, np.int64)
        report = replace(report, symbols=(options.symbol,))
    written, duplicates = WriteResult(), 0
    order = good[np.argsort(codes[good], kind="stable")] if len(names) > 1 else good
    bounds = np.searchsorted(codes[order], np.arange(len(names) + 1))
    whole = len(order) == count and len(names) == 1
    for number, name in enumerate(names):
        rows = order[bounds[number] : bounds[number + 1]]
        mine = columns if whole else columns.take(rows)
        once = mine.latest_of_each()
        duplicates += len(mine) - len(once)
        written += store.write(name, interval, _shortened(once))
    return replace(report, duplicates=duplicates, written=written)


def _shortened(columns: CandleColumns) -> CandleColumns:
    """One symbol's numbers need fewer digits than those of a whole file of symbols."""
    return CandleColumns.of(
        columns.ts_ns,
        [column.shortest() for column in (columns.open, columns.high, columns.low, columns.close, columns.volume)],
        columns.trades,
    )


def _symbols(path: Path, source: SourceRows, options: ImportOptions) -> tuple[list[str], Int64Array]:
    """The symbols of the file, and which of them each row is of."""
    column = source.columns.get("symbol")
    if options.symbol and (column is None or len(pc.unique(column)) < 2):
        return [options.symbol], np.zeros(source.rows, np.int64)
    if column is None:
        told = symbol_in(str(path))
        if not told:
            raise SourceError(f"{path}: neither a symbol column nor a name such as BTCUSDT-1m-2024-01: give --symbol.")
        return [told], np.zeros(source.rows, np.int64)
    encoded = pc.dictionary_encode(filled(column.cast(pa.string()), ""))
    spelt = [our_symbol(name) for name in encoded.dictionary.to_pylist()]
    if "" in spelt:
        raise SourceError(f"{path}: rows without a symbol: fill the symbol column, or give --symbol.")
    names = sorted(set(spelt))
    if options.symbol and options.symbol not in names:
        raise SourceError(f"{path}: no row is of {options.symbol}: it holds {len(names)} symbols, such as {names[0]}.")
    code_of = np.array([names.index(name) for name in spelt], np.int64)
    return names, code_of[np.asarray(numbers_of(encoded.indices), np.int64)]


def _usual_interval(path: Path, times: Int64Array) -> str:
    """The commonest step between rows, if it is one of ours."""
    steps = np.diff(np.unique(times[:_SAMPLE]))
    if len(steps):
        values, counts = np.unique(steps, return_counts=True)
        usual = int(values[np.argmax(counts)])
        for name in INTERVALS:
            if interval_ns(name) == usual:
                return name
    raise SourceError(f"{path}: how long its candles are cannot be told from the rows: give --timeframe.")


def _check_interval(path: Path, interval: str) -> None:
    if interval not in INTERVALS:
        raise SourceError(f"{path}: {interval} candles are not kept. Known: {', '.join(INTERVALS)}.")


def _check_step(path: Path, interval: str, times: Int64Array) -> None:
    """Rows that are closer to each other than a candle is long, or all on a wider grid, are of another interval."""
    opens = np.unique(times)
    steps = np.diff(opens)
    if len(steps) < _ENOUGH:
        return  # one wrong time among few rows is a matter of that row
    values, counts = np.unique(steps, return_counts=True)
    usual, length = int(values[np.argmax(counts)]), interval_ns(interval)
    held = next((name for name in INTERVALS if interval_ns(name) == usual), "")
    is_wider = bool(held) and usual > length and not ((opens - opens[0]) % usual).any()
    if is_wider or (usual < length and int((steps < length).sum()) * 2 > len(steps)):
        told = f"{held} candles" if held else f"a row every {usual / 1e9:g} s"
        remedy = f"write --timeframe {held}" if held else f"candles of {', '.join(INTERVALS)} can be read"
        raise OptionError(f"{path}: the file holds {told}, not candles of {interval}: {remedy}.")


def _is_candidate(path: Path) -> bool:
    name = path.name.lower()
    return path.is_file() and name.endswith(SUFFIXES) and not name.startswith((".", "absorbed.", "absent."))


def find_files(paths: Sequence[Path]) -> list[Path]:
    """The files named, and those in the folders named, in order of name; raises `SourceError`."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(each for each in path.rglob("*") if _is_candidate(each))
            if not inside:
                raise SourceError(f"{path}: no file of candles in it ({', '.join(SUFFIXES)}).")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise SourceError(f"{path}: there is no such file. Name files or folders of candles.")
    return found


def describe(report: ImportReport) -> dict[str, Any]:
    """For JSON."""
    archive = archive_of(report.path.name)
    return {
        "file": str(report.path), "symbols": list(report.symbols), "interval": report.interval, "rows": report.rows,
        "added": report.written.added, "replaced": report.written.replaced, "unchanged": report.written.unchanged,
        "duplicates": report.duplicates, "refused": report.refused,
        "refusals": [
            {"where": each.where, "field": each.field, "value": each.value, "remedy": each.remedy}
            for each in report.refusals
        ],
        "problem": report.problem,
        "archive": None if archive is None else {"pair": archive[0], "year": archive[2], "month": archive[3]},
    }


def damaged(path: Path, interval: str) -> ImportReport:
    """A file that is not what the checksum beside it says."""
    problem = f"{path}: not the file its .CHECKSUM belongs to: damaged. Download it again."
    return ImportReport(path, (), interval, 0, 0, 0, WriteResult(), problem=problem)
