"""Sets of parameters judged on recent history: the council with each, and the grid with each spacing.

A score is return - deepest drawdown of equity, the mean over symbols: what was won, less what one had to bear for it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import numpy as np

from agents.parameters import Parameters
from agents.strategies.trailing_grid import TrailingGrid
from orders.grid_spacing import trail_for
from research.backtest.bars import Bars
from research.backtest.council import CouncilBacktest
from research.backtest.runner import Backtest, Costs
from research.backtest.statistics import drawdown
from tradingd.parameters import with_parameters
from tradingd.settings import Settings

MOST_SYMBOLS: Final = 5
_GRID_LEVELS: Final = 10
_GRID_STAKE: Final = Decimal(1)


@dataclass(frozen=True, slots=True)
class Judged:
    """A score for each set; empty where no set changed anything (nothing was traded)."""

    council: tuple[float, ...]
    grid: tuple[float, ...]
    trades: tuple[int, ...]


def judge(
    sets: Sequence[Parameters], bars: Sequence[Bars], settings: Settings,
    progress: Callable[[int], None] = lambda done: None,
) -> Judged:
    """Replay every set over every symbol's candles. `progress` is told how many sets are done."""
    costs = Costs(settings.paper.fee, Decimal(0), settings.paper.slippage)
    council, grid, trades = [], [], []
    for number, parameters in enumerate(sets, 1):
        tuned = with_parameters(settings, parameters)
        results = [CouncilBacktest(each, settings.account.capital, costs, tuned).run() for each in bars]
        council.append(_mean(score(each.equity, settings.account.capital) for each in results))
        trades.append(sum(len(each.trades) for each in results))
        grid.append(_mean(_grid_score(each, parameters, settings.account.capital, costs) for each in bars))
        progress(number)
    return Judged(_unless_equal(council), _unless_equal(grid), tuple(trades))


def score(equity: Sequence[float], capital: Decimal) -> float:
    """Return less deepest drawdown, as ratios."""
    curve = np.concatenate(([float(capital)], np.asarray(equity, np.float64)))
    return float(curve[-1] / curve[0] - 1.0) - drawdown(curve)[0]


def _grid_score(bars: Bars, parameters: Parameters, capital: Decimal, costs: Costs) -> float:
    rule = TrailingGrid(_GRID_LEVELS, float(parameters.spacing), float(trail_for(parameters.spacing)))
    return score(Backtest(bars, capital, _GRID_STAKE, costs).run(rule).equity, capital)


def _mean(scores: Any) -> float:
    return float(np.mean(list(scores)))


def _unless_equal(scores: Sequence[float]) -> tuple[float, ...]:
    return tuple(scores) if len(set(scores)) > 1 else ()
