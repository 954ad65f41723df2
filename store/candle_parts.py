"""One Parquet file of candles: a month of those below an hour, a year of those below a day, else a decade.

    <root>/venue=binance/symbol=BTC%2FUSDT/interval=1m/2025-05.parquet

Folders named like this are columns to DuckDB and pyarrow, so `SELECT ... FROM read_parquet('.../*/*/*/*.parquet')`
works without us. A file is written beside its place, flushed and moved there: it is always whole.
"""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from market.interval import interval_ns
from store.candle_columns import NUMBERS, CandleColumns
from store.exact_column import ExactColumn, Int64Array, arrow_of, numbers_of

ROWS_PER_GROUP: Final = 5_000
SUFFIX: Final = ".parquet"
_MS_NS: Final = 1_000_000
_HOUR_NS: Final = 3_600_000_000_000
_WORD: Final = pa.timestamp("ms", "UTC")


class CandlePartError(RuntimeError):
    """A file of the history cannot be read or written; the text names it and the remedy."""


def part_name(interval: str, ts_ns: int) -> str:
    """`2025-05`, `2025` or `2020s`: the file that holds this open time."""
    moment, length = datetime.fromtimestamp(ts_ns // 1_000_000_000, UTC), interval_ns(interval)
    if length < _HOUR_NS:
        return f"{moment:%Y-%m}"
    return f"{moment:%Y}" if length < 24 * _HOUR_NS else f"{moment.year // 10 * 10}s"


def part_end(name: str) -> int:
    """UTC ns of the first moment behind a part."""
    year, month = int(name[:4]), name[5:]
    if month and month != "12":
        following = (year, int(month) + 1)
    else:
        following = (year + (10 if name.endswith("s") else 1), 1)
    return int(datetime(*following, 1, tzinfo=UTC).timestamp()) * 1_000_000_000


def write_part(path: Path, columns: CandleColumns) -> None:
    """Atomically; durable once `flush_folder` was called. Raises `CandlePartError`."""
    arrays: dict[str, Any] = {"ts": arrow_of(columns.ts_ns // _MS_NS).cast(_WORD)}
    for name in NUMBERS:
        arrays[name] = getattr(columns, name).shortest().to_arrow()
    arrays["trades"] = arrow_of(columns.trades)
    # Neighbours are alike: the differences alone are smaller than a general compressor's result, and faster to read.
    is_float = {name: pa.types.is_floating(array.type) for name, array in arrays.items()}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        pq.write_table(
            pa.Table.from_arrays(list(arrays.values()), list(arrays)), temporary,
            row_group_size=ROWS_PER_GROUP, use_dictionary=False,
            store_decimal_as_integer=True,
            compression={name: "ZSTD" if is_float[name] else "NONE" for name in arrays},
            column_encoding={
                name: "BYTE_STREAM_SPLIT" if is_float[name] else "DELTA_BINARY_PACKED" for name in arrays
            },
        )
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise CandlePartError(f"{path}: cannot be written ({error}). Check disk and rights.") from error


def flush_folder(folder: Path) -> None:
    """What was moved or removed in it outlives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_part(path: Path, start_ns: int | None = None, end_ns: int | None = None) -> CandleColumns:
    """The rows with start <= open time < end, oldest first; raises `CandlePartError`."""
    try:
        file = pq.ParquetFile(path)
        groups = _groups(file.metadata, start_ns, end_ns)
        table = file.read_row_groups(groups, use_threads=False)
        columns = CandleColumns.of(
            _times(table.column("ts")), [ExactColumn.of_arrow(table.column(name)) for name in NUMBERS],
            np.asarray(numbers_of(table.column("trades")), np.int64),
        )
    except (OSError, KeyError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error
    first = 0 if start_ns is None else int(np.searchsorted(columns.ts_ns, start_ns))
    last = len(columns) if end_ns is None else int(np.searchsorted(columns.ts_ns, end_ns))
    return columns if (first, last) == (0, len(columns)) else columns.take(slice(first, last))


def read_times(path: Path) -> Int64Array:
    """The open times of a part, UTC ns; raises `CandlePartError`."""
    try:
        return _times(pq.ParquetFile(path).read(columns=["ts"], use_threads=False).column("ts"))
    except (OSError, KeyError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error


def _times(column: Any) -> Int64Array:
    return np.asarray(numbers_of(column.cast(pa.int64())), np.int64) * _MS_NS


def _groups(metadata: Any, start_ns: int | None, end_ns: int | None) -> list[int]:
    """Row groups that may hold the range, by the statistics of `ts` (column 0)."""
    count = metadata.num_row_groups
    if start_ns is None and end_ns is None:
        return list(range(count))
    chosen = []
    for index in range(count):
        statistics = metadata.row_group(index).column(0).statistics
        first, last = (int(each.timestamp()) * 1_000_000_000 for each in (statistics.min, statistics.max))
        if (end_ns is None or first < end_ns) and (start_ns is None or last + 1_000_000_000 > start_ns):
            chosen.append(index)
    return chosen


def _unreadable(path: Path, error: Exception) -> CandlePartError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return CandlePartError(
        f"{path}: not a readable file of candles ({reason}). Move it away, then import or backfill that time again."
    )
