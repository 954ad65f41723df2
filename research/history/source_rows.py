"""A file of candles as raw columns: CSV (also .gz), JSON, Parquet, Feather, and a .zip with one of these inside.

A source comes in pieces, so that a file of any size takes the room of some; only JSON and Feather are read whole.
"""

import gzip
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, cast

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.feather as pafeather
import pyarrow.parquet as pq

from research.history.column_names import KLINE, is_heading, match_columns, names_without_heading
from research.history.csv_pieces import csv_pieces
from research.history.source_piece import MakePiece, SourceError, SourcePiece
from store.exact_column import texts_of

SUFFIXES: Final = (".csv", ".csv.gz", ".txt", ".json", ".json.gz", ".parquet", ".feather", ".zip")
PIECE: Final = 32_768
"""Rows of a piece of what is no text."""
_MOST_BYTES: Final = 8 * 1024**3
_BUFFER: Final = 1 << 20


def read_source(path: Path) -> Iterator[MakePiece]:
    """The pieces in order; each is made when it is called, in any thread. Both raise `SourceError`."""
    with _in_words(path), _opened(path) as (name, stream):
        if name.endswith(".parquet"):
            pieces = _of_parquet(path, stream)
        elif name.endswith(".feather"):
            pieces = _of_table(path, pafeather.read_table(stream))
        elif name.endswith(".json"):
            pieces = _of_json(path, stream.read())
        else:
            pieces = csv_pieces(path, stream)
        for make in pieces:
            yield _worded(path, make)


def _worded(path: Path, make: MakePiece) -> MakePiece:
    def made() -> SourcePiece:
        with _in_words(path):
            return make()

    return made


@contextmanager
def _in_words(path: Path) -> Iterator[None]:
    """What the libraries raise, as a sentence that names the file."""
    try:
        yield
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror or error}). Name an existing file.") from error
    except (pa.ArrowException, zipfile.BadZipFile, zlib.error, EOFError, UnicodeDecodeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise SourceError(f"{path}: damaged or of another kind ({reason}). Get it anew.") from error


@contextmanager
def _opened(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Name of what is inside, and its bytes."""
    name = path.name.lower()
    if name.endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            inside = [each for each in archive.infolist() if not each.is_dir()]
            if len(inside) != 1:
                raise SourceError(f"{path}: holds {len(inside)} files, expected one. Unpack it and import the files.")
            if inside[0].file_size > _MOST_BYTES:
                raise SourceError(f"{path}: unpacks to {inside[0].file_size} bytes: too large for candles.")
            with _unpacked(path, archive, inside[0]) as stream:
                yield inside[0].filename.lower(), stream
    elif name.endswith(".gz"):
        with gzip.open(path) as stream:
            yield name.removesuffix(".gz"), cast(IO[bytes], stream)
    else:
        with path.open("rb") as stream:
            yield name, stream


def _unpacked(path: Path, archive: zipfile.ZipFile, inside: zipfile.ZipInfo) -> IO[bytes]:
    try:
        return archive.open(inside)
    except RuntimeError as error:  # a password, or a way of packing that Python does not know
        raise SourceError(f"{path}: cannot be unpacked ({error}). Unpack it and import the file.") from error


# ---- JSON --------------------------------------------------------------------------------------------


def _of_json(path: Path, data: bytes) -> Iterator[MakePiece]:
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise SourceError(f"{path}: not JSON ({error}). Write a list of candles.") from error
    if isinstance(body, dict):
        body = next((value for value in body.values() if isinstance(value, list)), None)
    if not isinstance(body, list):
        raise SourceError(f"{path}: expected a list of candles, objects or arrays.")
    if not body:
        return
    first = body[0]
    names = list(first) if isinstance(first, dict) else _array_names(path, first)
    found = match_columns(names)
    if not is_heading(names):
        raise SourceError(f"{path}: its candles have {', '.join(map(str, names))[:200]}: one of time, open, high, low, "
                          "close is not there. Rename the fields.")
    theirs = list(found.values())
    keys: list[Any] = theirs if isinstance(first, dict) else [names.index(each) for each in theirs]
    for begin in range(0, len(body), PIECE):
        yield _piece_of_entries(list(found), keys, body[begin : begin + PIECE])


def _piece_of_entries(names: Sequence[str], keys: Sequence[Any], entries: Sequence[Any]) -> MakePiece:
    def make() -> SourcePiece:
        rows, lines, broken = [], [], []
        for number, entry in enumerate(entries, 1):
            try:
                rows.append([_text(entry[key]) for key in keys])
                lines.append(number)
            except (KeyError, IndexError, TypeError):
                broken.append((number, f"not like the first: {str(entry)[:80]}"))
        columns = {name: texts_of([row[at] for row in rows]) for at, name in enumerate(names)}
        return SourcePiece(columns, len(rows), "row", np.array(lines, np.int64), len(entries), broken)

    return make


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


def _of_parquet(path: Path, stream: IO[bytes]) -> Iterator[MakePiece]:
    """Not by `read_table`: it loads pyarrow's datasets and, with them, pandas."""
    with pq.ParquetFile(stream, buffer_size=_BUFFER) as file:
        names = [str(name) for name in file.schema_arrow.names]
        found = _found(path, names)
        if any("." in name for name in found.values()):  # a dot is a way into a structure there
            yield from _of_table(path, file.read(use_threads=False))
            return
        for batch in file.iter_batches(PIECE, columns=list(found.values()), use_threads=False):
            yield _piece_of(found, batch)


def _found(path: Path, names: Sequence[str]) -> Mapping[str, str]:
    if not is_heading(names):
        raise SourceError(f"{path}: columns {', '.join(names)[:200]}: one of time, open, high, low, close "
                          "is not there. Rename them.")
    return match_columns(names)


def _of_table(path: Path, table: Any) -> Iterator[MakePiece]:
    found = _found(path, [str(name) for name in table.schema.names])
    for batch in table.select(list(found.values())).to_batches(PIECE):
        yield _piece_of(found, batch)


def _piece_of(found: Mapping[str, str], batch: Any) -> MakePiece:
    names, rows = batch.schema.names, batch.num_rows
    columns = {ours: batch.column(names.index(theirs)) for ours, theirs in found.items()}
    return lambda: SourcePiece(columns, rows, "row", np.arange(1, rows + 1), rows)
