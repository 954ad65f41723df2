"""A file into the history: read, judged row by row, split by symbol, merged.

A refused row is told with line, field and remedy, and the rest is imported (it shows as a gap, not as a wrong number);
with `is_strict` nothing of a file with a refused row is.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from research.history.candle_spool import CandleSpool
from research.history.judged_piece import Gathered, JudgedPiece, judged_piece, symbol_told, symbols_of
from research.history.row_checks import Refusal, RowJudge, read_times
from research.history.source_piece import MakePiece, SourceError
from research.history.source_rows import SUFFIXES, read_source
from research.history.step_count import OptionError, usual_interval
from research.history.symbol_names import archive_of, interval_in
from store.candles import INTERVALS, CandleStore, CandleStoreError, WriteResult
from store.exact_column import ExactColumnError, Int64Array

_AT_ONCE: Final = 2
"""Pieces that are parsed side by side; one more of each waits."""


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What the file does not tell. `stamps_are_closes`: its times are the candles' ends.

    `symbol`: what a file is of that names one symbol or none; of a file of many symbols, the one that is wanted.
    `otherwise`: what a file is called whose symbol nobody tells; "" refuses it.
    """

    symbol: str = ""
    interval: str = ""
    is_strict: bool = False
    stamps_are_closes: bool = False
    otherwise: str = ""


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
    except pa.ArrowException as error:  # lists or structures where numbers and texts belong
        text = f"{path}: a column holds neither numbers nor texts ({error}). Write time and prices as plain columns."
        return ImportReport(path, (), options.interval, 0, 0, 0, WriteResult(), problem=text)


def _import_rows(store: CandleStore, path: Path, options: ImportOptions) -> ImportReport:
    """All of the file is judged before the first candle is written."""
    pieces = read_source(path)
    before, judge = _first_rows(path, pieces)
    told = symbol_told(path, judge.source, options.symbol, options.otherwise)
    stamps = read_times(judge)
    above = sum(each.source.span for each in before)
    interval = options.interval or interval_in(str(path)) or _usual_interval(path, judge, stamps, above)
    if interval not in INTERVALS:
        raise SourceError(f"{path}: {interval} candles are not kept. Known: {', '.join(INTERVALS)}.")
    are_closes = options.stamps_are_closes

    def judged(make: MakePiece) -> JudgedPiece:
        judge = RowJudge(make())
        return judged_piece(judge, read_times(judge), interval, stamps_are_closes=are_closes)

    with CandleSpool(store.root, interval) as spool:
        gathered = Gathered(path, told, options.symbol, spool)
        for each in before:
            gathered.add(judged_piece(each, read_times(each), interval, stamps_are_closes=are_closes))
        gathered.add(judged_piece(judge, stamps, interval, stamps_are_closes=are_closes))
        del before, judge, stamps
        for piece in _some_ahead(judged, pieces):
            gathered.add(piece)
        names = gathered.chosen()
        gathered.steps.check(path, interval)
        report = ImportReport(path, tuple(names.values()), interval, gathered.rows, gathered.refused, 0, WriteResult(),
                              tuple(gathered.refusals))
        if options.is_strict and report.refused:
            return replace(
                report, problem=f"{path}: {report.refused} rows refused: nothing of it was imported (--strict)."
            )
        return _written(store, spool, names, report)


def _first_rows(path: Path, pieces: Iterator[MakePiece]) -> tuple[list[RowJudge], RowJudge]:
    """The first piece that has rows, and those before it, which are broken lines; raises `SourceError`."""
    before: list[RowJudge] = []
    for make in pieces:
        judge = RowJudge(make())
        if judge.source.rows:
            return before, judge
        before.append(judge)
    raise SourceError(f"{path}: holds no row.")


def _written(store: CandleStore, spool: CandleSpool, names: Mapping[str, str], report: ImportReport) -> ImportReport:
    written, duplicates = WriteResult(), 0
    for spooled, name in names.items():
        for run in spool.runs(spooled):
            once = run.latest_of_each()
            duplicates += len(run) - len(once)
            written += store.write(name, report.interval, once)
    return replace(report, duplicates=duplicates, written=written)


def _some_ahead(judged: Callable[[MakePiece], JudgedPiece], pieces: Iterator[MakePiece]) -> Iterator[JudgedPiece]:
    """In order, made by threads: Arrow parses texts without the interpreter's lock."""
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        waiting: deque[Future[JudgedPiece]] = deque()
        try:
            for make in pieces:
                waiting.append(threads.submit(judged, make))
                if len(waiting) > _AT_ONCE:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for each in waiting:
                each.cancel()


def _usual_interval(path: Path, judge: RowJudge, stamps: Int64Array, above: int) -> str:
    """Of the first symbol; raises `SourceError`. `above`: lines of the file before the piece."""
    if judge.is_bad.all():
        line, *told = next((each for each in judge.told() if each[1] == "ts"), judge.told()[0])
        found = Refusal(f"{judge.source.row_word} {above + line}", *told)
        raise SourceError(f"{path}: no row of it has a time: {found.sentence()}.")
    symbols = symbols_of(judge.source)
    is_mine = ~judge.is_bad if symbols is None else ~judge.is_bad & (symbols.codes == symbols.codes[0])
    return usual_interval(path, stamps[is_mine])


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
