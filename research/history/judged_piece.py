"""A piece of a file after every row was judged, and what comes of the pieces of one file together."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from market.interval import interval_ns
from research.history.candle_spool import CandleSpool
from research.history.row_checks import TOLD, Refusal, RowJudge, Told, read_candles
from research.history.source_piece import SourceError, SourcePiece
from research.history.step_count import StepCount
from research.history.symbol_names import our_symbol, symbol_in
from store.candle_columns import CandleColumns
from store.exact_column import BoolArray, Int64Array, filled, numbers_of


@dataclass(frozen=True, slots=True, eq=False)
class Symbols:
    """`spelt`: each way the piece writes one, as it is; `names[code]` in our spelling, `codes` of each row."""

    spelt: frozenset[str]
    names: list[str]
    codes: Int64Array


@dataclass(frozen=True, slots=True, eq=False)
class JudgedPiece:
    """`columns` of all rows; `is_bad`: the refused ones. `stamps`: times as written, UTC ns, -1 for none.

    `refused` and `told` count and tell lines that are no rows as well; `told` is by line within the piece, whose rows
    are called `row_word`. `span`: its lines.
    """

    symbols: Symbols | None
    stamps: Int64Array
    columns: CandleColumns
    is_bad: BoolArray
    refused: int
    broken: int
    told: list[Told]
    row_word: str
    span: int


def judged_piece(judge: RowJudge, stamps: Int64Array, interval: str, *, stamps_are_closes: bool) -> JudgedPiece:
    """`stamps`: the times that were read; with `stamps_are_closes` they name the candles' ends."""
    source = judge.source
    opens = np.where(judge.is_bad, stamps, stamps - interval_ns(interval)) if stamps_are_closes else stamps
    columns = read_candles(judge, opens, interval)
    return JudgedPiece(symbols_of(source), stamps, columns, judge.is_bad, judge.refused, len(source.broken),
                       judge.told(), source.row_word, source.span)


def symbol_told(path: Path, source: SourcePiece, wanted: str, otherwise: str) -> str:
    """What a file without a symbol column is of; "" for one with. Raises `SourceError` when not even `otherwise` is."""
    if "symbol" in source.columns:
        return ""
    told = wanted or symbol_in(str(path)) or otherwise
    if not told:
        raise SourceError(f"{path}: neither a symbol column nor a name such as BTCUSDT-1m-2024-01: give --symbol.")
    return told


def symbols_of(source: SourcePiece) -> Symbols | None:
    """None for a file without such a column."""
    column = source.columns.get("symbol")
    if column is None:
        return None
    encoded = pc.dictionary_encode(filled(column.cast(pa.string()), ""))
    spelt = encoded.dictionary.to_pylist()
    ours = [our_symbol(each) for each in spelt]
    names = sorted(set(ours))
    code_of = np.array([names.index(each) for each in ours], np.int64)
    return Symbols(frozenset(spelt), names, code_of[np.asarray(numbers_of(encoded.indices), np.int64)])


class Gathered:
    """The pieces of one file: what was refused, how far its rows lie apart, and its candles in a spool."""

    def __init__(self, path: Path, told: str, wanted: str, spool: CandleSpool) -> None:
        """`told`: the symbol of a file that has no such column; `wanted`: of one that has, the one that is, or ""."""
        self.rows = self.refused = 0
        self.refusals: list[Refusal] = []
        self.steps = StepCount()
        self._path, self._told, self._wanted, self._spool = path, told, wanted, spool
        self._lines = 0
        self._spelt: set[str] = set()
        self._names: set[str] = {told} if told else set()
        self._first = told

    def add(self, piece: JudgedPiece) -> None:
        """In the order of the file. Raises `CandlePartError` for the disk."""
        count = len(piece.columns)
        self.rows += count + piece.broken
        self.refused += piece.refused
        room = TOLD - len(self.refusals)
        self.refusals += [Refusal(f"{piece.row_word} {self._lines + line}", *told) for line, *told in piece.told[:room]]
        self._lines += piece.span
        symbols = piece.symbols or Symbols(frozenset(), [self._told], np.zeros(count, np.int64))
        if count:
            self._add_rows(piece, symbols)

    def _add_rows(self, piece: JudgedPiece, symbols: Symbols) -> None:
        self._spelt |= symbols.spelt
        self._names |= set(symbols.names)
        self._first = self._first or symbols.names[symbols.codes[0]]
        if self._first in symbols.names:
            is_mine = symbols.codes == symbols.names.index(self._first)
            self.steps.add(piece.stamps[is_mine & (piece.stamps > 0)])
        good = np.flatnonzero(~piece.is_bad)
        if len(symbols.names) == 1:
            whole = len(good) == len(piece.columns)
            self._spool.add(symbols.names[0], piece.columns if whole else piece.columns.take(good))
            return
        order = good[np.argsort(symbols.codes[good], kind="stable")]
        bounds = np.searchsorted(symbols.codes[order], np.arange(len(symbols.names) + 1))
        for code, name in enumerate(symbols.names):
            self._spool.add(name, piece.columns.take(order[bounds[code] : bounds[code + 1]]))

    def chosen(self) -> dict[str, str]:
        """The spool's name of all that is wanted -> the symbol it is; something was added. Raises `SourceError`."""
        names = sorted(self._names)
        if self._told:
            return {self._told: self._told}
        if self._wanted and len(self._spelt) == 1:
            return {names[0]: self._wanted}
        if "" in names:
            raise SourceError(f"{self._path}: rows without a symbol: fill the symbol column, or give --symbol.")
        if not self._wanted:
            return {name: name for name in names}
        if self._wanted not in names:
            raise SourceError(
                f"{self._path}: no row is of {self._wanted}: it holds {len(names)} symbols, such as {names[0]}."
            )
        return {self._wanted: self._wanted}
