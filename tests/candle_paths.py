"""Candles for tests: seeded random walks, flat prices, and recorded ones from the shared data."""

import csv
import gzip
import json
import random
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path

from market.interval import SECOND_NS, interval_ns, open_time
from market.ticks import Candle

START_NS = 1_723_161_600 * SECOND_NS  # 2024-08-09 00:00:00 UTC

Row = tuple[float, float, float, float, float]  # open, high, low, close, volume


def random_rows(seed: int, count: int, *, price: float = 100.0, step: float = 0.001) -> list[Row]:
    """A geometric walk; its drift changes about every 80 candles, four sub-steps a candle make the wicks."""
    chance = random.Random(seed)
    rows: list[Row] = []
    drift = 0.0
    for _ in range(count):
        if chance.random() < 1 / 80:
            drift = chance.choice((-0.35, -0.15, 0.0, 0.0, 0.15, 0.35)) * step
        path = [price]
        for _ in range(4):
            price *= 1.0 + chance.gauss(drift / 4, step / 2)
            path.append(price)
        rows.append((path[0], max(path), min(path), path[-1], chance.expovariate(1.0) * 5.0))
    return rows


def flat_rows(count: int, price: float = 100.0, volume: float = 0.0) -> list[Row]:
    return [(price, price, price, price, volume)] * count


def recorded_rows(path: Path, symbol: str, count: int) -> list[Row]:
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(path, filters=[("symbol", "=", symbol)])
    names = ("open", "high", "low", "close", "volume")
    columns = [table.column(name).to_pylist()[:count] for name in names]
    return list(zip(*columns, strict=True))


def candle(
    row: Sequence[float], index: int, *, symbol: str = "BTC/USDT", interval: str = "1s", is_warmup: bool = False
) -> Candle:
    length = interval_ns(interval)
    ts_open = START_NS + index * length
    open_, high, low, close, volume = (Decimal(repr(float(value))) for value in row)
    return Candle(symbol, interval, ts_open, open_, high, low, close, volume, 1, ts_open + length, is_warmup)


def candles(rows: Iterable[Sequence[float]], *, symbol: str = "BTC/USDT", interval: str = "1s") -> list[Candle]:
    return [candle(row, index, symbol=symbol, interval=interval) for index, row in enumerate(rows)]


def folded(small: Sequence[Candle], interval: str) -> list[Candle]:
    """Longer candles from shorter ones; the last is left out unless its time is over."""
    length = interval_ns(interval)
    groups: dict[int, list[Candle]] = {}
    for one in small:
        groups.setdefault(open_time(one.ts_open, length), []).append(one)
    if not small:
        return []
    end = small[-1].ts_init
    return [
        Candle(
            part[0].symbol, interval, start, part[0].open, max(one.high for one in part), min(one.low for one in part),
            part[-1].close, sum((one.volume for one in part), Decimal(0)), sum(one.trades for one in part),
            start + length,
        )
        for start, part in groups.items()
        if start + length <= end
    ]


def in_order(*series: Sequence[Candle]) -> list[Candle]:
    """All candles as a feed closes them: by closing time, the longer interval first."""
    every = [one for part in series for one in part]
    return sorted(every, key=lambda one: (one.ts_init, -interval_ns(one.interval), one.symbol))


def recorded_second_candles(path: Path, symbol: str) -> list[Candle]:
    """Trades of a recorded Binance stream (receive time, direction, frame) folded to closed 1 s candles."""
    built: list[Candle] = []
    bucket: list[tuple[Decimal, Decimal]] = []
    start = 0
    for price, quantity, ts_event in _recorded_trades(path):
        ts_open = open_time(ts_event, SECOND_NS)
        if ts_open != start and bucket:
            built.append(_fold(symbol, start, bucket))
            bucket = []
        start = ts_open
        bucket.append((price, quantity))
    return built


def _fold(symbol: str, start: int, trades: Sequence[tuple[Decimal, Decimal]]) -> Candle:
    prices = [price for price, _ in trades]
    volume = sum((quantity for _, quantity in trades), Decimal(0))
    return Candle(
        symbol, "1s", start, prices[0], max(prices), min(prices), prices[-1], volume, len(trades), start + SECOND_NS
    )


def _recorded_trades(path: Path) -> Iterator[tuple[Decimal, Decimal, int]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        for record in csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
            if record[1] != "<" or '"e":"trade"' not in record[2]:
                continue
            frame = json.loads(record[2])
            trade = frame.get("data", frame)
            yield Decimal(trade["p"]), Decimal(trade["q"]), int(trade["T"]) * 1_000_000
