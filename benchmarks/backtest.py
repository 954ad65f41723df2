"""P3: a year of minutes through the event-driven backtest, with the live engine, gate and ledger.

525,600 candles, a walk in cents; market orders, 0.1 % cost, SMA 20/50. Beside it SMA 1000/5000 (the rate must not
depend on the indicator's length), the most memory the process ever had, and backtesting.py in turns with ours, each by
its own CPU time: on a busy machine the ratio holds where rates do not.
"""

import resource
import time
from collections.abc import Callable
from decimal import Decimal

import numpy as np

from benchmarks.backtest_peer import peer_run
from benchmarks.result import BenchSkipped, Result, median_rate
from research.backtest.bars import Bars
from research.backtest.rules import SmaCross
from research.backtest.runner import Backtest, Costs
from store.candle_columns import CandleColumns
from store.exact_column import ExactColumn

CANDLES = 365 * 1440
MINUTE = 60_000_000_000
BEGIN = 1_609_459_200_000_000_000  # 2021-01-01


def run() -> list[Result]:
    bars = year_of_minutes()
    results = []
    for fast, slow in ((20, 50), (1000, 5000)):
        trades = len(_test(bars).run(SmaCross(fast, slow)).trades)
        rate = median_rate(_prepared(bars, fast, slow), CANDLES, 3)
        results.append(Result("backtest_bars", rate, "bars/s", {"rule": f"sma {fast}/{slow}", "trades": trades}))
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return [*results, Result("backtest_memory", used, "MB", {"candles": CANDLES}), *_beside_peer(bars)]


def _beside_peer(bars: Bars) -> list[Result]:
    try:
        peer = peer_run(bars, 20, 50)
    except BenchSkipped:
        return []
    ours, theirs = [], []
    for _ in range(3):
        theirs.append(peer())
        test, rule, begin = _test(bars), SmaCross(20, 50), time.process_time()
        test.run(rule)
        ours.append(time.process_time() - begin)
    told: dict[str, str | int | float | bool] = {"peer": "backtesting.py", "rule": "sma 20/50"}
    return [
        Result("backtest_bars_peer", CANDLES / min(theirs), "bars/s of CPU", told),
        Result("backtest_bars_of_peer", min(theirs) / min(ours), "times the peer", told),
    ]


def year_of_minutes() -> Bars:
    """A walk that crosses its averages about 5,900 times."""
    chance = np.random.default_rng(7)
    close = 3_000_000 + np.cumsum(chance.integers(-400, 401, CANDLES))
    first = np.append(close[:1], close[:-1])
    spread = chance.integers(0, 300, CANDLES)
    prices = (first, np.maximum(first, close) + spread, np.minimum(first, close) - spread, close)
    return Bars("BTC/USDT", "1m", CandleColumns.of(
        BEGIN + np.arange(CANDLES, dtype=np.int64) * MINUTE,
        [*(ExactColumn(each, 2) for each in prices), ExactColumn(chance.integers(1, 10**9, CANDLES), 5)],
        np.zeros(CANDLES, np.int64),
    ))


def _prepared(bars: Bars, fast: int, slow: int) -> Callable[[], Callable[[], object]]:
    def prepare() -> Callable[[], object]:
        test, rule = _test(bars), SmaCross(fast, slow)
        return lambda: test.run(rule)

    return prepare


def _test(bars: Bars) -> Backtest:
    return Backtest(bars, Decimal(10_000), Decimal("0.99"), Costs())
