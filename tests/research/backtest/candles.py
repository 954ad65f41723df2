"""Candles for the tests of the backtest: seeded walks, hand-written ones, recorded ones."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from agents.strategies.candle_rule import CandleContext
from market.interval import interval_ns
from market.ticks import Candle
from research.backtest.bars import Bars
from research.backtest.runner import Backtest, Costs, Result
from store.candle_columns import CandleColumns
from store.exact_column import ExactColumn

BEGIN = 1_704_067_200_000_000_000  # 2024-01-01
SYMBOL = "BTC/USDT"


def walk(count: int, seed: int, interval: str = "1h", *, step: int = 400, keep: float = 1.0) -> Bars:
    """A walk in cents with gaps at the open now and then; `keep` is the share of candles that is there."""
    chance = np.random.default_rng(seed)
    close = 3_000_000 + np.cumsum(chance.integers(-step, step + 1, count) * 10)
    jump = np.where(chance.random(count) < 0.05, chance.integers(-3000, 3001, count), 0)
    first = np.append(close[:1], close[:-1]) + jump
    spread = chance.integers(0, 3000, (2, count))
    high, low = np.maximum(first, close) + spread[0], np.minimum(first, close) - spread[1]
    ts = BEGIN + np.arange(count, dtype=np.int64) * interval_ns(interval)
    there = chance.random(count) < keep
    columns = CandleColumns.of(
        ts,
        [
            *(ExactColumn(each, 2) for each in (first, high, low, close)),
            ExactColumn(chance.integers(1, 10**9, count), 5),
        ],
        np.zeros(count, np.int64),
    )
    return Bars(SYMBOL, interval, columns.take(there))


def of_rows(rows: Sequence[tuple[str, str, str, str]], interval: str = "1d") -> Bars:
    """Written by hand: open, high, low, close."""
    length = interval_ns(interval)
    return Bars(SYMBOL, interval, CandleColumns.of_candles([
        Candle(SYMBOL, interval, BEGIN + number * length, *(Decimal(each) for each in row), Decimal(1), 0,
               BEGIN + (number + 1) * length, False)
        for number, row in enumerate(rows)
    ]))


def flat(prices: Sequence[str], interval: str = "1d") -> Bars:
    """Candles that open, turn and close at one price."""
    return of_rows([(price,) * 4 for price in prices], interval)


def recorded(path: Path, symbol: str, interval: str, first: int, count: int) -> Bars:
    """A stretch of a recorded file."""
    table: Any = pq.read_table(path, filters=[("symbol", "=", symbol)]).slice(first, count)
    ts = table["ts"].to_numpy() * 1_000_000
    numbers = [ExactColumn.of_floats(table[name].to_numpy()) for name in ("open", "high", "low", "close", "volume")]
    return Bars(symbol, interval, CandleColumns.of(ts, numbers, np.zeros(len(ts), np.int64)))


class Script:
    """A rule that does at candle N what it was told to."""

    def __init__(self, *actions: tuple[int, str, dict[str, float]]) -> None:
        self.actions = actions
        self.seen: list[tuple[int, float, float]] = []

    def on_candle(self, context: CandleContext) -> None:
        self.seen.append((context.index, context.close, context.quantity))
        for index, side, exits in self.actions:
            if index == context.index:
                if side == "buy":
                    context.buy(**exits)  # type: ignore[arg-type]
                else:
                    context.sell()


def run(bars: Bars, rule: Any, *, cash: str = "10000", stake: str = "0.99", fee: str = "0", spread: str = "0",
        slippage: str = "0") -> Result:
    costs = Costs(Decimal(fee), Decimal(spread), Decimal(slippage))
    return Backtest(bars, Decimal(cash), Decimal(stake), costs).run(rule)
