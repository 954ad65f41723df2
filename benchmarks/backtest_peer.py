"""The same year of minutes and the same rule through backtesting.py, the fastest of the event-driven backtesters."""

import time
import warnings
from collections.abc import Callable
from typing import Any, Final

from benchmarks.result import BenchSkipped
from research.backtest.bars import Bars

UNIT: Final = 1e-8
"""Its sizes are whole numbers: prices are those of so much of the base, so that an account of 10,000 can trade."""


def peer_run(bars: Bars, fast: int, slow: int) -> Callable[[], float]:
    """A run, which gives its CPU seconds; raises `BenchSkipped` where it is not installed."""
    try:
        import pandas as pd
        from backtesting import Backtest, Strategy
        from backtesting.lib import crossover
    except ImportError as error:
        raise BenchSkipped("backtesting.py is not installed: pip install -r requirements/dev.txt") from error

    class Cross(Strategy):  # type: ignore[misc]
        def init(self) -> None:
            close = pd.Series(self.data.Close)
            self.fast = self.I(lambda: close.rolling(fast).mean())
            self.slow = self.I(lambda: close.rolling(slow).mean())

        def next(self) -> None:
            if crossover(self.fast, self.slow):
                self.buy(size=0.99)
            elif crossover(self.slow, self.fast):
                self.position.close()

    columns = bars.columns
    frame = pd.DataFrame(
        {name.title(): getattr(columns, name).floats() * UNIT for name in ("open", "high", "low", "close")}
        | {"Volume": columns.volume.floats()}, index=pd.to_datetime(bars.ts),
    )

    def run() -> float:
        test: Any = Backtest(frame, Cross, cash=10_000, commission=0.001)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            begin = time.process_time()
            test.run()
            return time.process_time() - begin

    return run
