"""Parquet recordings: candles, trades and best quotes, turned into Binance's frames.

A candle becomes four trades inside its own time: the open just after the start (5 %), the adverse extreme
(35 %; the low of a rising bar, the high of a falling one: we pessimistically assume the bad one came first), the
other extreme (65 %), the close one millisecond before the end; each is preceded by a quote one tick around it
and carries a quarter of the volume; then the closed kline. A bar without volume gives the kline alone.
"""

import heapq
import re
from collections.abc import Callable, Iterator
from decimal import ROUND_FLOOR, Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from exchanges.practice.config import PracticeError
from exchanges.practice.pairs import split_name, wire
from exchanges.practice.recording import Facts, Frame

_CHUNK: Final = 4_096
_SAMPLE: Final = 2_000
_NUMBERS: Final = frozenset(
    ("open", "high", "low", "close", "volume", "price", "qty", "bid", "bid_qty", "ask", "ask_qty")
)
_CANDLE_COLUMNS: Final = frozenset(("symbol", "ts", "open", "high", "low", "close", "volume"))
_QUOTE_COLUMNS: Final = frozenset(("recv_ns", "update_id", "bid", "bid_qty", "ask", "ask_qty"))
_TRADE_COLUMNS: Final = frozenset(("recv_ns", "trade_time_ms", "trade_id", "price", "qty", "taker_buy"))
_PLAIN_TRADE_COLUMNS: Final = frozenset(("ts", "trade_id", "side", "price", "qty"))
_NAME: Final = re.compile(
    r"(?:^|_)([A-Za-z0-9]{5,20})_\d{8}(?:_|$)|(?:^|_)([A-Z0-9]{2,10})_([A-Z0-9]{2,10})_(?:trades|quotes)$"
)
_INTERVALS: Final = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"))
Row = dict[str, Any]


def wire_name(symbol: str) -> tuple[str, str, str]:
    """(name, base, quote) of "BTC/USDT", "FIL/USDT:USDT" or "BTC-USD"."""
    plain = symbol.partition(":")[0]
    base, slash, quote = plain.replace("-", "/").partition("/")
    base, quote = (re.sub(r"[^A-Z0-9]", "", part.upper()) for part in (base, quote))
    if not slash or not quote:
        base, quote = split_name(base)
    return base + quote, base, quote


def is_tick_table(path: Path) -> bool:
    """Do its columns name trades or quotes?"""
    from pyarrow import ArrowException, parquet

    try:
        columns = frozenset(parquet.read_schema(path).names)
    except (OSError, ArrowException):
        return False
    return any(columns >= kind for kind in (_QUOTE_COLUMNS, _TRADE_COLUMNS, _PLAIN_TRADE_COLUMNS))


class ParquetRecording:
    """One .parquet file; which kind is told by its columns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._table: Any = None
        self._columns: frozenset[str] = frozenset()
        self._digits: dict[str, tuple[int, int]] = {}
        self._spans: dict[str, tuple[int, int]] = {}  # wire name -> first row, rows

    def scan(self, facts: Facts) -> None:
        self._open()
        if self._columns >= _CANDLE_COLUMNS:
            self._scan_candles(facts)
            return
        if not (self._columns >= _TRADE_COLUMNS or self._columns >= _QUOTE_COLUMNS
                or self._columns >= _PLAIN_TRADE_COLUMNS):
            raise PracticeError(
                f"{self.path}: columns {', '.join(sorted(self._columns))} are neither candles "
                f"({', '.join(sorted(_CANDLE_COLUMNS))}), trades ({', '.join(sorted(_TRADE_COLUMNS))}) "
                f"nor quotes ({', '.join(sorted(_QUOTE_COLUMNS))})"
            )
        known = facts.of(self._file_symbol())
        price, quantity = ("price", "qty") if "price" in self._columns else ("bid", "bid_qty")
        for row in self._rows(0, min(_SAMPLE, self._table.num_rows)):
            known.see_price(self._text(row[price], price))
            known.see_quantity(self._text(row[quantity], quantity))
        stamp = "recv_ns" if "recv_ns" in self._columns else "ts"
        unit = 1 if stamp == "recv_ns" else 1_000_000
        for row_number in (0, self._table.num_rows - 1):
            facts.see_time(self._table.column(stamp)[row_number].as_py() * unit)
        facts.frames += self._table.num_rows - 2

    def frames(self) -> Iterator[Frame]:
        self._open()
        if self._columns >= _CANDLE_COLUMNS:
            return heapq.merge(*(self._candle_frames(name) for name in sorted(self._spans)), key=lambda f: f.ns)
        make: Callable[[str, Row], Frame] = _quote if self._columns >= _QUOTE_COLUMNS else _trade
        name = self._file_symbol()
        return (make(name, row) for row in self._rows(0, self._table.num_rows))

    def _open(self) -> None:
        if self._table is not None:
            return
        try:
            import pyarrow
            from pyarrow import compute, parquet
        except ImportError as error:
            raise PracticeError(f"{self.path}: needs pyarrow: install requirements/run.txt") from error
        try:
            self._table = parquet.read_table(self.path)
        except (OSError, pyarrow.ArrowException) as error:
            reason = str(error).splitlines()[0]
            raise PracticeError(f"{self.path}: not a readable parquet file: {reason}") from error
        self._columns = frozenset(self._table.schema.names)
        if self._table.num_rows == 0:
            raise PracticeError(f"{self.path}: holds no row")
        for name in sorted(self._columns & _NUMBERS):
            least = compute.min(self._table.column(name)).as_py()
            if least is None or not compute.all(compute.is_finite(self._table.column(name))).as_py() or least < 0:
                raise PracticeError(f"{self.path}: column {name} holds a negative, missing or infinite number")

    def _rows(self, start: int, count: int) -> Iterator[Row]:
        for offset in range(start, start + count, _CHUNK):
            yield from self._table.slice(offset, min(_CHUNK, start + count - offset)).to_pylist()

    def _file_symbol(self) -> str:
        found = _NAME.search(self.path.name.removesuffix(".parquet"))
        if found is None:
            raise PracticeError(
                f"{self.path}: the name does not tell the symbol: call it like spot_btcusdt_20240808_trades.parquet"
            )
        return (found[1] or found[2] + found[3]).upper()

    def _scan_candles(self, facts: Facts) -> None:
        facts.has_candles = True
        symbols = self._table.column("symbol").to_pylist()
        first = 0
        for row_number in range(1, len(symbols) + 1):
            if row_number < len(symbols) and symbols[row_number] == symbols[first]:
                continue
            name = wire_name(symbols[first])[0]
            if name in self._spans:
                raise PracticeError(f"{self.path}: rows of {symbols[first]} are not together: sort by symbol, ts")
            self._spans[name] = (first, row_number - first)
            self._scan_span(facts, name)
            first = row_number

    def _scan_span(self, facts: Facts, name: str) -> None:
        start, count = self._spans[name]
        known = facts.of(name)
        for row in self._rows(start, min(count, _SAMPLE)):
            for column in ("open", "high", "low", "close"):
                known.see_price(self._text(row[column], column))
            known.see_quantity(self._text(row["volume"], "volume"))
        self._digits[name] = (known.price_digits, known.quantity_digits)
        stamps = self._table.column("ts")
        facts.see_time(stamps[start].as_py() * 1_000_000)
        facts.see_time((stamps[start + count - 1].as_py() + self._length(name)) * 1_000_000)
        facts.frames += count - 2

    def _length(self, name: str) -> int:
        """The bars' length in ms: the smallest distance of the first hundred."""
        start, count = self._spans[name]
        stamps = self._table.column("ts").slice(start, min(count, 100)).to_pylist()
        steps = [later - earlier for earlier, later in pairwise(stamps) if later > earlier]
        return min(steps, default=60_000)

    def _text(self, value: object, column: str) -> str:
        if not isinstance(value, float | int) or value != value or value in (float("inf"), float("-inf")):
            raise PracticeError(f"{self.path}: column {column} holds {value!r}, expected a number")
        return wire(Decimal(repr(value)))

    def _candle_frames(self, name: str) -> Iterator[Frame]:
        start, count = self._spans[name]
        length = self._length(name)
        digits, lot_digits = self._digits[name]
        bars = BarFrames(name, length, Decimal(1).scaleb(-digits), Decimal(1).scaleb(-lot_digits))
        for row in self._rows(start, count):
            yield from bars.frames(row)


class BarFrames:
    """The frames of one symbol's bars, in order; ids count up from 1."""

    def __init__(self, name: str, length_ms: int, tick: Decimal, step: Decimal) -> None:
        self._name = name
        self._stream = name.lower()
        self._length = length_ms
        self._tick = tick
        self._step = step
        self._trade_id = 0
        self._update_id = 0
        self._last = Decimal(0)
        self._interval = _interval_name(length_ms)

    def frames(self, row: Row) -> Iterator[Frame]:
        """One bar's."""
        opened, high, low, close = (Decimal(wire(Decimal(repr(row[key])))) for key in ("open", "high", "low", "close"))
        volume = Decimal(wire(Decimal(repr(row["volume"]))))
        first_ms = int(row["ts"])
        first_id = self._trade_id + 1
        if volume > 0:
            extremes = (low, high) if close >= opened else (high, low)
            quarter = (volume / 4 / self._step).to_integral_value(rounding=ROUND_FLOOR) * self._step
            # Where the volume is a few steps only, the extremes matter more than whole steps.
            quarter = quarter or (volume / 4).quantize(Decimal("1e-8"), rounding=ROUND_FLOOR)
            points = zip((opened, *extremes, close), (5, 35, 65, 100), strict=True)
            for number, (price, percent) in enumerate(points):
                quantity = quarter if number < 3 else volume - 3 * quarter
                time_ms = first_ms + min(self._length - 1, self._length * percent // 100)
                yield from self._point(price, quantity, time_ms)
        last_ms = first_ms + self._length
        trades = self._trade_id + 1 - first_id
        turnover = wire(volume * (high + low + close) / 3)
        yield Frame(
            last_ms * 1_000_000, f"{self._stream}@kline_{self._interval}",
            f'{{"e":"kline","E":{last_ms},"s":"{self._name}","k":{{"t":{first_ms},"T":{last_ms - 1},"s":"{self._name}",'
            f'"i":"{self._interval}","f":{first_id if trades else -1},"L":{self._trade_id if trades else -1},'
            f'"o":"{wire(opened)}","c":"{wire(close)}","h":"{wire(high)}","l":"{wire(low)}","v":"{wire(volume)}",'
            f'"n":{trades},"x":true,"q":"{turnover}","V":"{wire(volume / 2)}","Q":"0.00000000","B":"0"}}}}',
        )

    def _point(self, price: Decimal, quantity: Decimal, time_ms: int) -> Iterator[Frame]:
        self._update_id += 1
        around = wire(max(quantity, self._step))
        bid, ask = wire(max(self._tick, price - self._tick)), wire(max(2 * self._tick, price + self._tick))
        yield Frame(
            time_ms * 1_000_000, f"{self._stream}@bookTicker",
            f'{{"u":{self._update_id},"s":"{self._name}","b":"{bid}","B":"{around}","a":"{ask}","A":"{around}"}}',
        )
        if quantity <= 0:
            return
        self._trade_id += 1
        is_down = price < self._last
        self._last = price
        yield Frame(
            time_ms * 1_000_000, f"{self._stream}@trade",
            _trade_data(self._name, self._trade_id, wire(price), wire(quantity), time_ms, is_down),
        )


def _trade_data(name: str, trade_id: int, price: str, quantity: str, time_ms: int, maker_is_buyer: bool) -> str:
    return (
        f'{{"e":"trade","E":{time_ms},"s":"{name}","t":{trade_id},"p":"{price}","q":"{quantity}","T":{time_ms},'
        f'"m":{"true" if maker_is_buyer else "false"},"M":true}}'
    )


def _trade(name: str, row: Row) -> Frame:
    ns = int(row["recv_ns"]) if "recv_ns" in row else int(row["ts"]) * 1_000_000
    sold = not row["taker_buy"] if "taker_buy" in row else row["side"] == "sell"
    time_ms = int(row["trade_time_ms"]) if "trade_time_ms" in row else int(row["ts"])
    price, quantity = wire(Decimal(repr(row["price"]))), wire(Decimal(repr(row["qty"])))
    return Frame(ns, f"{name.lower()}@trade", _trade_data(name, int(row["trade_id"]), price, quantity, time_ms, sold))


def _quote(name: str, row: Row) -> Frame:
    bid, bid_quantity, ask, ask_quantity = (
        wire(Decimal(repr(row[column]))) for column in ("bid", "bid_qty", "ask", "ask_qty")
    )
    return Frame(
        int(row["recv_ns"]), f"{name.lower()}@bookTicker",
        f'{{"u":{int(row["update_id"])},"s":"{name}","b":"{bid}","B":"{bid_quantity}","a":"{ask}","A":"{ask_quantity}"}}',
    )


def _interval_name(length_ms: int) -> str:
    for unit, letter in _INTERVALS:
        if length_ms % unit == 0:
            return f"{length_ms // unit}{letter}"
    return f"{length_ms}ms"
