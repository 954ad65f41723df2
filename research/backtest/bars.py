"""The candles of a backtest: kept as columns, handed out a batch at a time, cut for the look-ahead guard."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property, partial
from itertools import repeat
from typing import Final

from market.interval import interval_ns
from market.money import ONE
from market.ticks import TradeTick
from store.candle_columns import CandleColumns
from store.exact_column import ExactColumn, Float64Array, Int64Array

BATCH: Final = 4096
"""Candles made into Python numbers at a time: a year of minutes must not become millions of objects at once."""

CALM: Final = 1.9
"""Highest over lowest price: up to this no price of a batch is further from another than the open collar (100 %)."""

_TICK: Final = partial(tuple.__new__, TradeTick)
"""A tick of a tuple, without a Python function in between: one is made for every candle."""

Row = tuple[int, float, float, float, float, float, TradeTick]
"""Open time (UTC ns), open, high, low, close, volume, and the close as the trade at the candle's end, to the digit."""


@dataclass(frozen=True)
class Candles:
    """What a rule's `prepare` gets: read-only arrays, oldest first. `ts` open times in UTC ns, `volume` in base."""

    ts: Int64Array
    open: Float64Array
    high: Float64Array
    low: Float64Array
    close: Float64Array
    volume: Float64Array

    def __len__(self) -> int:
        return len(self.ts)


@dataclass(frozen=True)
class Bars:
    """Candles of one symbol, oldest first."""

    symbol: str
    interval: str
    columns: CandleColumns

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def ts(self) -> Int64Array:
        """Open times, UTC ns."""
        return self.columns.ts_ns

    @cached_property
    def close(self) -> Float64Array:
        """Closes, for analytics."""
        return self.columns.close.floats()

    @property
    def quote(self) -> str:
        """What prices are counted in."""
        return quote_of(self.symbol)

    def exact(self, name: str, index: int) -> Decimal:
        """One price as it was written."""
        column: ExactColumn = getattr(self.columns, name)
        number = column.values[index].item()
        return Decimal(repr(number)) if column.digits is None else Decimal(number).scaleb(-column.digits)

    def cut(self, count: int) -> "Bars":
        """The first `count` candles, copied: what comes after cannot be reached from here."""
        return Bars(self.symbol, self.interval, self.columns.take(slice(0, count)).copy())

    def arrays(self) -> Candles:
        """For `prepare`: copies, so that nothing a rule does to them changes the run."""
        made = {
            name: getattr(self.columns, name).floats().copy() for name in ("open", "high", "low", "close", "volume")
        }
        arrays = Candles(self.ts.copy(), **made)
        for each in (arrays.ts, *made.values()):
            each.flags.writeable = False
        return arrays

    def batches(self) -> Iterator[tuple[int, bool, list[Row]]]:
        """(index of the first, do prices keep within `CALM`, rows), at most `BATCH` at a time."""
        length = interval_ns(self.interval) - 1
        for first in range(0, len(self), BATCH):
            near = slice(max(0, first - 1), first + BATCH)
            highest, lowest = self.columns.high.take(near).floats().max(), self.columns.low.take(near).floats().min()
            part = self.columns.take(slice(first, first + BATCH))
            ends = (part.ts_ns + length).tolist()
            told = (repeat(self.symbol), part.close.decimals(), repeat(ONE), repeat("buy"), repeat("1"), ends, ends)
            yield (
                first,
                bool(highest <= lowest * CALM),
                list(
                    zip(
                        part.ts_ns.tolist(),
                        part.open.floats().tolist(),
                        part.high.floats().tolist(),
                        part.low.floats().tolist(),
                        part.close.floats().tolist(),
                        part.volume.floats().tolist(),
                        map(_TICK, zip(*told, strict=False)),
                        strict=True,
                    )
                ),
            )


def quote_of(symbol: str) -> str:
    """The quote of "BTC/USDT" or "BTC/USDT:USDT"; USD for a stock."""
    return symbol.partition("/")[2].partition(":")[0] or "USD"
