"""The candle history: import of CSV and of columns, aggregation, loading to numpy, a short range (performance P10)."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from benchmarks.result import Result, median_rate, median_seconds
from research.history.aggregation import aggregate
from research.history.importing import ImportOptions, import_file
from store.candle_columns import CandleColumns
from store.candles import CandleStore
from store.exact_column import ExactColumn

ROWS = 1_000_000
YEAR = 365 * 1440
RANGE = 1440
MINUTE = 60_000_000_000
BEGIN = 1_609_459_200_000_000_000  # 2021-01-01
SYMBOL = "BTC/USDT"


def run() -> list[Result]:
    with tempfile.TemporaryDirectory() as folder:
        return _measure(Path(folder))


def _measure(folder: Path) -> list[Result]:
    columns, path = _columns(), folder / "BTCUSDT-1m-2021-01.csv"
    numbers = (columns.open, columns.high, columns.low, columns.close, columns.volume)
    pacsv.write_csv(
        pa.table([pa.array(columns.ts_ns // 1_000_000), *(pa.array(each.floats()) for each in numbers)],
                 names=["ts", "open", "high", "low", "close", "volume"]), path,
    )
    rates = {
        "import CSV": median_rate(_fresh(folder, lambda store: import_file(store, path, ImportOptions())), ROWS, 3),
        "write": median_rate(_fresh(folder, lambda store: store.write(SYMBOL, "1m", columns)), ROWS, 3),
        "aggregate 1m to 1h": median_rate(lambda: lambda: aggregate(columns, "1m", "1h"), ROWS),
    }
    store = CandleStore(folder / "kept")
    store.write(SYMBOL, "1m", columns)
    rates["load to numpy"] = median_rate(lambda: lambda: store.load(SYMBOL, "1m"), ROWS)
    rates["exact candles"] = median_rate(
        lambda: lambda: sum(1 for _ in store.iter_candles(SYMBOL, "1m", BEGIN, BEGIN + 100_000 * MINUTE)), 100_000, 3
    )
    first = BEGIN + 200_000 * MINUTE
    seconds = {
        "load a year": median_seconds(lambda: lambda: store.load(SYMBOL, "1m", first, first + YEAR * MINUTE), 9),
        "range of 1,440": median_seconds(lambda: lambda: store.load(SYMBOL, "1m", first, first + RANGE * MINUTE), 25),
    }
    return [
        *(Result("history", rate, "rows/s", {"what": what, "rows": ROWS}) for what, rate in rates.items()),
        *(Result("history", each * 1000, "ms", {"what": what}) for what, each in seconds.items()),
    ]


def _fresh(folder: Path, work: Callable[[CandleStore], object]) -> Callable[[], Callable[[], object]]:
    """The work on an empty history of its own."""

    def prepare() -> Callable[[], object]:
        store = CandleStore(Path(tempfile.mkdtemp(dir=folder)))
        return lambda: work(store)

    return prepare


def _columns() -> CandleColumns:
    """A walk in cents, as minutes look."""
    chance = np.random.default_rng(7)
    close = 3_000_000 + np.cumsum(chance.integers(-400, 401, ROWS))
    first = np.append(close[:1], close[:-1])
    spread = chance.integers(0, 300, ROWS)
    prices = (first, np.maximum(first, close) + spread, np.minimum(first, close) - spread, close)
    return CandleColumns.of(
        BEGIN + np.arange(ROWS, dtype=np.int64) * MINUTE,
        [*(ExactColumn(each, 2) for each in prices), ExactColumn(chance.integers(1, 10**9, ROWS), 5)],
        np.zeros(ROWS, np.int64),
    )
