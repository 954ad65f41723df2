"""A CSV cut at its line ends into pieces, which are parsed apart: by several threads, and never all in memory."""

import codecs
import io
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from research.history.column_names import is_heading, is_number, match_columns, names_without_heading
from research.history.source_piece import MakePiece, SourceError, SourcePiece
from store.exact_column import BoolArray, arrow_of, numbers_of

BLOCK: Final = 1024**2
"""Bytes of a piece: about 35,000 candles."""
_LONGEST_LINE: Final = 32 * BLOCK
_HEAD_LINES: Final = 8
_HEAD_BYTES: Final = 65_536
_ROW: Final = re.compile(r"Row #(\d+)")
_SHAPE: Final = "symbol,date,open,high,low,close,volume"


def csv_pieces(path: Path, stream: IO[bytes]) -> Iterator[MakePiece]:
    """In order; raises `SourceError` for a file without a heading that is understood, or without lines."""
    skipped, names, delimiter = 0, [""], ","
    lines = 0
    for number, block in enumerate(_blocks(path, stream)):
        if not number:
            skipped, names, delimiter = _heading(path, block[:_HEAD_BYTES])
        yield _parsed(block, names, delimiter, 0 if number else skipped, lines)
        lines += block.count(b"\n") or block.count(b"\r")


def _blocks(path: Path, stream: IO[bytes]) -> Iterator[bytes]:
    """Whole lines, about `BLOCK` bytes at a time; one empty block of an empty file."""
    rest, is_first = b"", True
    while read := stream.read(BLOCK):
        rest += read
        # A carriage return alone ends a line, too; the last byte may be the first half of an end.
        end = rest.rfind(b"\n") + 1 or rest.rfind(b"\r", 0, -1) + 1
        if end:
            yield rest[:end]
            rest, is_first = rest[end:], False
        elif len(rest) > _LONGEST_LINE:
            raise SourceError(f"{path}: damaged or of another kind (a line without an end). Get it anew.")
    if rest or is_first:
        yield rest


def _parsed(block: bytes, names: list[str], delimiter: str, skipped: int, lines: int) -> MakePiece:
    """`lines` of the file come before the block."""

    def in_file(row: re.Match[str]) -> str:
        return f"line {lines + int(row[1])}"

    def make() -> SourcePiece:
        broken: list[tuple[int, str]] = []

        def on_broken(row: Any) -> str:
            told = f"{row.actual_columns} fields instead of {row.expected_columns}: {row.text[:80]}"
            broken.append((row.number, told))
            return "skip"

        try:
            table = read(on_broken)
        except pa.ArrowInvalid as error:
            raise pa.ArrowInvalid(_ROW.sub(in_file, str(error))) from error
        return _piece(table, names, skipped, broken)

    def read(on_broken: Callable[[Any], str]) -> Any:
        return pacsv.read_csv(
            io.BytesIO(block),  # one thread, so that broken lines have their numbers; others parse other pieces
            read_options=pacsv.ReadOptions(
                skip_rows=skipped, column_names=names, use_threads=False, block_size=len(block) + 1
            ),
            parse_options=pacsv.ParseOptions(
                delimiter=delimiter, ignore_empty_lines=False, invalid_row_handler=on_broken
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), include_columns=list(match_columns(names).values()),
            ),
        )

    return make


def _piece(table: Any, names: Sequence[str], skipped: int, broken: Sequence[tuple[int, str]]) -> SourcePiece:
    span = skipped + table.num_rows + len(broken)
    lines = np.arange(skipped + 1, span + 1)
    if broken:
        lines = np.setdiff1d(lines, [number for number, _ in broken])[: table.num_rows]
    # A blank line is a row of empty cells: not there.
    is_blank = _is_empty(table.column(0))
    for column in table.columns[1:] if is_blank.any() else ():
        is_blank = is_blank & _is_empty(column)
    if is_blank.any():
        table, lines = table.take(arrow_of(np.flatnonzero(~is_blank))), lines[~is_blank]
    columns = {ours: _whole(table.column(theirs)) for ours, theirs in match_columns(names).items()}
    return SourcePiece(columns, table.num_rows, "line", lines, span, broken)


def _is_empty(texts: Any) -> BoolArray:
    return np.asarray(numbers_of(pc.binary_length(texts)) == 0)


def _whole(column: Any) -> Any:
    made = column.combine_chunks()
    return made.chunk(0) if isinstance(made, pa.ChunkedArray) and made.num_chunks else made


def _heading(path: Path, data: bytes) -> tuple[int, list[str], str]:
    """Lines before the data, column names, delimiter; of the first bytes."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise SourceError(f"{path}: its text is UTF-16. Save it as UTF-8.")
    head = data.decode("utf-8-sig", "replace").splitlines()[:_HEAD_LINES]
    for number, line in enumerate(head):
        for delimiter in (",", ";", "\t"):
            cells = [cell.strip().strip('"') for cell in line.split(delimiter)]
            if len(cells) < 5:
                continue
            if is_heading(cells):
                return number + 1, _unique(cells), delimiter
            names = names_without_heading(cells)
            if names is not None:
                before = (at for at, each in enumerate(head[:number]) if _is_row(each.split(delimiter), len(cells)))
                return next(before, number), list(names), delimiter
    shown = head[0][:80] if head else "nothing"
    raise SourceError(f"{path}: no heading with time, open, high, low and close (it begins {shown!r}). Write {_SHAPE}.")


def _is_row(cells: Sequence[str], count: int) -> bool:
    """May a line above the first good row be a bad one, to be refused and told? A heading has no numbers."""
    return len(cells) == count and any(is_number(cell) for cell in cells)


def _unique(names: Sequence[str]) -> list[str]:
    seen: dict[str, int] = {}
    made = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        made.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return made
