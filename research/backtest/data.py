"""Candles for a backtest, of a file or of the history, with what is odd about them."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from market.candles import CandleBuilder
from market.ticks import Candle, TradeTick
from research.backtest.bars import Bars
from research.history.audit import SEEN_AROUND, Finding, find_oddities
from research.history.symbol_names import our_symbol, symbol_guess
from store.candle_columns import LONGEST_FILLED_GAP, CandleArrays, CandleColumns
from store.candle_grid import CandleGrid, find_gaps
from store.candles import CandleStore, venues_in

_SHOWN: Final = 10
_ROWS: Final = 65_536
_TOLD: Final = 3


class DataError(ValueError):
    """There are no such candles: the text says where they were looked for, and how they get there."""


class DataOptionError(DataError):
    """There are candles, but not such as an option asks for."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """What a run is computed from. `fingerprint`: SHA-256 of every number; `quality`: gaps and oddities."""

    bars: Bars
    fingerprint: str
    quality: dict[str, Any]


def of_file(
    path: Path, symbol: str, interval: str, start_ns: int | None, end_ns: int | None, *,
    stamps_are_closes: bool = False,
) -> Dataset:
    """A CSV, JSON or Parquet file; `interval` may be "" when it says so itself. Raises `DataError`.

    `symbol` "": as the file says, else by its name.
    """
    from research.history.importing import ImportOptions, import_file

    with tempfile.TemporaryDirectory(prefix="tradelab-") as folder:
        store = CandleStore(Path(folder))
        options = ImportOptions(
            our_symbol(symbol), interval, stamps_are_closes=stamps_are_closes, otherwise=symbol_guess(path.name)
        )
        report = import_file(store, path, options)
        if report.problem:
            raise (DataOptionError if report.is_option_wrong else DataError)(report.problem)
        found = store.series()
        if not found:
            told = "; ".join(each.sentence() for each in report.refusals[:_TOLD])
            raise DataError(f"{path}: no row of it is a candle ({report.refused} refused): {told}")
        chosen = [each for each in found if options.symbol in ("", each[0]) and interval in ("", each[1])]
        if len(chosen) != 1:
            names = ", ".join(f"{name} {step}" for name, step in found[:_SHOWN])
            raise DataError(f"{path} holds {len(found)} series ({names}): choose with --symbol and --timeframe")
        made = of_store(store, *chosen[0], start_ns, end_ns, where=str(path))
        refused = [each.sentence() for each in report.refusals[:_SHOWN]]
        return replace(made, quality={**made.quality, "refused": report.refused, "refusals": refused,
                                      "duplicates": report.duplicates})


def of_store(
    store: CandleStore, symbol: str, interval: str, start_ns: int | None, end_ns: int | None, *, where: str = "",
) -> Dataset:
    """The history. Raises `DataError` for fewer than two candles."""
    symbol = our_symbol(symbol)
    columns = store.read(symbol, interval, start_ns, end_ns)
    pa.default_memory_pool().release_unused()
    if len(columns) < 2:
        elsewhere = "" if where else _elsewhere(store, symbol, interval)
        raise DataError(
            f"{where or store.root}: {len(columns)} candles of {symbol} {interval} in this range, 2 are wanted. "
            f"{elsewhere}Import or backfill them: tradelab data --help"
        )
    made = Dataset(
        Bars(symbol, interval, columns), store.fingerprint(symbol, interval, start_ns, end_ns),
        quality(symbol, interval, columns),
    )
    pa.default_memory_pool().release_unused()  # what was read is held twice for a moment; the run needs the room
    return made


def _elsewhere(store: CandleStore, symbol: str, interval: str) -> str:
    """Which other venue's history holds such candles, as a remedy; "" when none does."""
    others = (name for name in venues_in(store.root) if name != store.venue)
    found = [name for name in others if (symbol, interval) in CandleStore(store.root, name).series()]
    return f"That is {store.venue}'s; there are some of {', '.join(found)}: --venue {found[0]}. " if found else ""


def of_ticks(paths: Sequence[Path], symbol: str, interval: str, start_ns: int | None, end_ns: int | None) -> Dataset:
    """Candles made of a recording's trades. Raises `DataError`."""
    from research.backtest.ticks import TickRecording

    if not interval:
        raise DataError("a rule decides on candles: say with --timeframe how long those made of the ticks are")
    recording = TickRecording(paths, start_ns, end_ns)
    names = [each.symbol for each in recording.instruments if symbol in ("", each.symbol, each.venue_symbol)]
    if len(names) != 1:
        known = ", ".join(each.symbol for each in recording.instruments)
        raise DataError(f"the recording holds {known}: choose one with --symbol")
    builder = CandleBuilder(names[0], [interval])
    builder.whole_from = recording.first_ns
    candles: list[Candle] = []
    for _, item in recording.items():
        if type(item) is TradeTick and item.symbol == names[0]:
            made = builder.on_trade(item.price, item.quantity, item.ts_event, item.ts_init, item.aggressor)
            candles += [each for each in made if not each.is_warmup]  # of which only a part was recorded, as live
    if len(candles) < 2:
        raise DataError(f"the recording makes {len(candles)} candles of {interval}, 2 are wanted: shorten --timeframe")
    columns = CandleColumns.of_candles(candles)
    return Dataset(
        Bars(names[0], interval, columns), recording.fingerprint(), quality(names[0], interval, columns)
    )


def quality(symbol: str, interval: str, columns: CandleColumns) -> dict[str, Any]:
    """The audit of exactly the candles that are used: nothing is filled in, a gap is told."""
    gaps = find_gaps(CandleGrid.of(interval, columns.ts_ns), columns.ts_ns, LONGEST_FILLED_GAP)
    odd = [each for first in range(0, len(columns), _ROWS) for each in _odd(symbol, interval, columns, first)]
    return {
        "gaps": len(gaps), "missing": sum(gap.candles for gap in gaps),
        "silent": int((columns.volume.values == 0).sum()),
        "oddities": len(odd), "shown": [{"ts": each.ts_ns, "text": each.sentence()} for each in odd[:_SHOWN]],
    }


def _odd(symbol: str, interval: str, columns: CandleColumns, first: int) -> list[Finding]:
    """Of `_ROWS` candles, seen with their neighbours: as floats only so many at a time."""
    near = columns.take(slice(max(0, first - SEEN_AROUND), first + _ROWS + SEEN_AROUND))
    ends = columns.ts_ns[first : first + _ROWS]
    found = find_oddities(CandleArrays.of_columns(symbol, interval, near))
    return [each for each in found if ends[0] <= each.ts_ns <= ends[-1]]
