"""A file of candles as raw columns: CSV (also .gz), JSON, Parquet, Feather, and a .zip with one of these inside."""

import gzip
import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.feather as pafeather
import pyarrow.parquet as pq

from research.history.column_names import KLINE, is_heading, match_columns, names_without_heading

SUFFIXES: Final = (".csv", ".csv.gz", ".txt", ".json", ".json.gz", ".parquet", ".feather", ".zip")
_MOST_BYTES: Final = 8 * 1024**3
_HEAD_LINES: Final = 8
_HEAD_BYTES: Final = 65_536
_SHAPE: Final = "symbol,date,open,high,low,close,volume"


class SourceError(ValueError):
    """A file that holds no candles we can read: the text names it and says what to do."""


@dataclass(frozen=True, slots=True, eq=False)
class SourceRows:
    """Columns under our names (ts, symbol, open, high, low, close, volume, trades), as the file has them.

    `row_word` and `lines` say where a row is found: "line 17". `broken` are lines that are no rows at all.
    """

    columns: Mapping[str, Any]
    rows: int
    row_word: str
    lines: Any
    broken: Sequence[tuple[int, str]] = ()


def read_source(path: Path) -> SourceRows:
    """Raises `SourceError`."""
    try:
        name, data = _contents(path)
        if name.endswith(".parquet"):
            return _of_parquet(path, data)
        if name.endswith(".feather"):
            return _of_table(path, pafeather.read_table(data))
        if name.endswith(".json"):
            return _of_json(path, bytes(data))
        return _of_csv(path, data)
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror or error}). Name an existing file.") from error
    except (pa.ArrowException, zipfile.BadZipFile, zlib.error, EOFError, UnicodeDecodeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise SourceError(f"{path}: damaged or of another kind ({reason}). Get it anew.") from error


def _contents(path: Path) -> tuple[str, Any]:
    """Name of what is inside, and its bytes."""
    name = path.name.lower()
    if name.endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            inside = [each for each in archive.infolist() if not each.is_dir()]
            if len(inside) != 1:
                raise SourceError(f"{path}: holds {len(inside)} files, expected one. Unpack it and import the files.")
            if inside[0].file_size > _MOST_BYTES:
                raise SourceError(f"{path}: unpacks to {inside[0].file_size} bytes: too large for candles.")
            return inside[0].filename.lower(), archive.read(inside[0])
    if name.endswith(".gz"):
        return name.removesuffix(".gz"), gzip.decompress(path.read_bytes())
    return name, path if name.endswith((".parquet", ".feather", ".csv")) else path.read_bytes()


# ---- CSV ---------------------------------------------------------------------------------------------


def _of_csv(path: Path, data: bytes | Path) -> SourceRows:
    """`data`: the text, or the file that holds it, which is then read piece by piece."""
    skipped, names, delimiter = _heading(path, _head(data))
    broken: list[tuple[int, str]] = []

    def on_broken(row: Any) -> str:
        broken.append((row.number, f"{row.actual_columns} fields instead of {row.expected_columns}: {row.text[:80]}"))
        return "skip"

    def read(*, strictly: bool) -> Any:
        return pacsv.read_csv(
            io.BytesIO(data) if isinstance(data, bytes) else pa.OSFile(str(data)),
            read_options=pacsv.ReadOptions(skip_rows=skipped, column_names=names, use_threads=strictly),
            parse_options=pacsv.ParseOptions(
                delimiter=delimiter, ignore_empty_lines=False, invalid_row_handler=None if strictly else on_broken
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), include_columns=list(match_columns(names).values()),
            ),
        )

    try:
        table = read(strictly=True)
    except pa.ArrowInvalid:
        table = read(strictly=False)  # one thread, so that broken lines have their numbers
    lines = np.arange(skipped + 1, skipped + 1 + table.num_rows + len(broken))
    if broken:
        lines = np.setdiff1d(lines, [number for number, _ in broken])[: table.num_rows]
    # A blank line is a row of empty cells: not there.
    cells = table.column(0)
    is_blank = pa.compute.equal(cells, "").to_numpy()
    for column in table.columns[1:] if is_blank.any() else ():
        is_blank = is_blank & pa.compute.equal(column, "").to_numpy()
    is_null = ~is_blank
    kept = table.filter(pa.array(is_null)) if is_blank.any() else table
    rows, held = kept.num_rows, {ours: kept.column(theirs) for ours, theirs in match_columns(names).items()}
    del table, cells, kept
    return SourceRows(_wholes(held), rows, "line", lines[is_null] if is_blank.any() else lines, broken)


def _head(data: bytes | Path) -> bytes:
    if isinstance(data, bytes):
        return data[:_HEAD_BYTES]
    with data.open("rb") as stream:
        return stream.read(_HEAD_BYTES)


def _heading(path: Path, data: bytes) -> tuple[int, list[str], str]:
    """Lines before the data, column names, delimiter; of the first bytes."""
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
                return number, list(names), delimiter
    shown = head[0][:80] if head else "nothing"
    raise SourceError(f"{path}: no heading with time, open, high, low and close (it begins {shown!r}). Write {_SHAPE}.")


def _unique(names: Sequence[str]) -> list[str]:
    seen: dict[str, int] = {}
    made = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        made.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return made


# ---- JSON --------------------------------------------------------------------------------------------


def _of_json(path: Path, data: bytes) -> SourceRows:
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise SourceError(f"{path}: not JSON ({error}). Write a list of candles.") from error
    if isinstance(body, dict):
        body = next((value for value in body.values() if isinstance(value, list)), None)
    if not isinstance(body, list):
        raise SourceError(f"{path}: expected a list of candles, objects or arrays.")
    if not body:
        return SourceRows({}, 0, "row", np.arange(0))
    first, broken = body[0], []
    names = list(first) if isinstance(first, dict) else _array_names(path, first)
    found = match_columns(names)
    if not is_heading(names):
        raise SourceError(f"{path}: its candles have {', '.join(map(str, names))[:200]}: one of time, open, high, low, "
                          "close is not there. Rename the fields.")
    rows, lines = [], []
    theirs = list(found.values())
    keys: list[Any] = theirs if isinstance(first, dict) else [names.index(each) for each in theirs]
    for number, entry in enumerate(body, 1):
        try:
            rows.append([_text(entry[key]) for key in keys])
            lines.append(number)
        except (KeyError, IndexError, TypeError):
            broken.append((number, f"not like the first: {str(entry)[:80]}"))
    columns = {name: pa.array([row[at] for row in rows], pa.string()) for at, name in enumerate(found)}
    return SourceRows(columns, len(rows), "row", np.array(lines, np.int64), broken)


def _array_names(path: Path, first: object) -> list[str]:
    if not isinstance(first, list):
        raise SourceError(f"{path}: expected candles as objects or arrays, found {str(first)[:80]!r}.")
    names = names_without_heading([str(cell) for cell in first])
    if names is None:
        raise SourceError(f"{path}: an array must be [{', '.join(KLINE[:6])}, ...], found {str(first)[:80]}.")
    return list(names)


def _text(value: object) -> str:
    return value if isinstance(value, str) else repr(value) if isinstance(value, int | float) else ""


# ---- Parquet, Feather --------------------------------------------------------------------------------


def _of_parquet(path: Path, data: Any) -> SourceRows:
    """A column at a time. Not by `read_table`: it loads pyarrow's datasets and, with them, pandas."""
    with pq.ParquetFile(data) as file:
        names = [str(name) for name in file.schema_arrow.names]
        found = _found(path, names)
        if any("." in name for name in found.values()):  # a dot is a way into a structure there
            return _of_table(path, file.read(use_threads=False))
        columns = {
            ours: _whole(file.read(columns=[theirs], use_threads=False).column(0)) for ours, theirs in found.items()
        }
        rows = file.metadata.num_rows
    return SourceRows(columns, rows, "row", np.arange(1, rows + 1))


def _found(path: Path, names: Sequence[str]) -> Mapping[str, str]:
    if not is_heading(names):
        raise SourceError(f"{path}: columns {', '.join(names)[:200]}: one of time, open, high, low, close "
                          "is not there. Rename them.")
    return match_columns(names)


def _of_table(path: Path, table: Any) -> SourceRows:
    found = _found(path, [str(name) for name in table.schema.names])
    rows, held = table.num_rows, {ours: table.column(theirs) for ours, theirs in found.items()}
    del table
    return SourceRows(_wholes(held), rows, "row", np.arange(1, rows + 1))


def _wholes(held: dict[str, Any]) -> dict[str, Any]:
    """Each column in one piece. They are taken out of `held` one by one: never is there all of it twice."""
    return {name: _whole(held.pop(name)) for name in list(held)}


def _whole(column: Any) -> Any:
    made = column.combine_chunks()
    return made.chunk(0) if isinstance(made, pa.ChunkedArray) and made.num_chunks else made
