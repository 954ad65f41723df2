"""Candles for a backtest: of a file, or of the history."""

import tempfile
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from research.backtest.runner import Bars
from store.candle_columns import CandleColumns
from store.candles import CandleStore


class DataError(ValueError):
    """There are no such candles: the text says where they were looked for, and how they get there."""


def bars_of_file(path: Path, symbol: str, interval: str, start_ns: int | None, end_ns: int | None) -> tuple[Bars, str]:
    """(candles, fingerprint) of a CSV, JSON or Parquet file; `symbol` and `interval` may be "" when it says so itself."""
    from research.history.importing import ImportOptions, import_file

    with tempfile.TemporaryDirectory(prefix="tradelab-") as folder:
        store = CandleStore(Path(folder))
        import_file(store, path, ImportOptions(symbol=symbol, interval=interval))
        found = store.series()
        chosen = [each for each in found if symbol in ("", each[0]) and interval in ("", each[1])]
        if len(chosen) != 1:
            names = ", ".join(f"{name} {step}" for name, step in found[:10])
            raise DataError(f"{path} holds {len(found)} series ({names}): choose with --symbol and --timeframe")
        return _bars(store, *chosen[0], start_ns, end_ns)


def bars_of_store(
    store: CandleStore, symbol: str, interval: str, start_ns: int | None, end_ns: int | None,
) -> tuple[Bars, str]:
    """(candles, fingerprint) of the history."""
    return _bars(store, symbol, interval, start_ns, end_ns)


def _bars(store: CandleStore, symbol: str, interval: str, start_ns: int | None, end_ns: int | None) -> tuple[Bars, str]:
    columns = store.read(symbol, interval, start_ns, end_ns)
    if len(columns) < 2:
        raise DataError(
            f"{store.root}: {len(columns)} candles of {symbol} {interval} in this range. Import or backfill them: tradelab data"
        )
    return bars_of_columns(symbol, interval, columns), store.fingerprint(symbol, interval, start_ns, end_ns)


def bars_of_columns(symbol: str, interval: str, columns: CandleColumns) -> Bars:
    """Exact prices on demand, floats for the rule."""
    exact: dict[str, Sequence[Decimal]] = {}

    def price(name: str, index: int) -> Decimal:
        if name not in exact:
            exact[name] = getattr(columns, name).decimals()
        return exact[name][index]

    closes = columns.close.decimals()
    floats = {name: getattr(columns, name).floats().tolist() for name in ("open", "high", "low", "close", "volume")}
    return Bars(
        symbol, interval, columns.ts_ns.tolist(), floats["open"], floats["high"], floats["low"], floats["close"],
        floats["volume"], price, closes,
    )
