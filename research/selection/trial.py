"""One strategy tried on history: its figures, its robustness and how it fared in each regime, for the selector."""

import inspect
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import numpy as np

from agents.analyst import regime_of
from agents.strategies.library import STRATEGIES, make_strategy
from agents.strategies.selector import Candidate
from bus.messages.council import Regime
from market.indicators_features import IndicatorSet
from research.backtest.bars import Bars
from research.backtest.runner import Backtest, Costs, Result
from research.backtest.statistics import statistics

PARTS: Final = 5
NEIGHBOUR: Final = 0.1
_STAKE: Final = Decimal("0.99")


def regimes_of(bars: Bars) -> list[Regime]:
    """The regime after each candle, as the analyst calls it live."""
    indicators = IndicatorSet()
    found: list[Regime] = []
    for candle in bars.columns.candles(bars.symbol, bars.interval):
        indicators.update(candle)
        found.append(regime_of(indicators.features()))
    return found


def parameters_of(name: str, given: Mapping[str, float]) -> dict[str, float]:
    """All parameters of a strategy, the defaults where nothing else is given."""
    known = inspect.signature(STRATEGIES[name]).parameters
    return {key: each.default for key, each in known.items()} | dict(given)


def neighbours_of(parameters: Mapping[str, float]) -> list[dict[str, float]]:
    """Each parameter a tenth more and a tenth less, one at a time; whole ones by one at least, 0 stays."""
    found = []
    for key, value in parameters.items():
        if not value or key == "direction":
            continue
        step = max(1, round(abs(value) * NEIGHBOUR)) if isinstance(value, int) else abs(value) * NEIGHBOUR
        found += [{**parameters, key: value + step}, {**parameters, key: value - step}]
    return found


def candidate_of(
    name: str, given: Mapping[str, float], bars: Bars, regimes: Sequence[Regime], cash: Decimal, costs: Costs,
) -> Candidate:
    """Backtest the strategy and its neighbours. Raises `RuleError` for parameters that cannot be."""
    from agents.strategies.candle_rule import RuleError

    parameters = parameters_of(name, given)
    result = _run(name, parameters, bars, cash, costs)
    figures: Mapping[str, Any] = statistics(result.equity, bars.ts, bars.close, result.trades, float(cash))
    curve = np.concatenate(([float(cash)], np.asarray(result.equity, np.float64)))
    returns = np.diff(curve) / curve[:-1]
    won = []
    for each in neighbours_of(parameters):
        try:
            won.append(_run(name, each, bars, cash, costs).equity[-1] > float(cash))
        except RuleError:
            continue  # a neighbour that cannot be is none
    parts = [part.sum() > 0.0 for part in np.array_split(returns, PARTS)]
    # What a candle earned belongs to the regime that was known before it: the daemon knows no other when it buys.
    known: list[Regime] = ["unknown", *regimes[:-1]]
    candles, sums = Counter(known), Counter[Regime]()
    for regime, value in zip(known, returns.tolist(), strict=True):
        sums[regime] += value
    factor = figures["profit_factor"]
    if factor is None:  # nothing was lost
        factor = float("inf") if figures["wins"] else 0.0
    return Candidate(
        name, dict(given), figures["trades"], figures["sharpe"] or 0.0,
        factor, tuple(returns.tolist()),
        sum(map(bool, parts)) / PARTS, sum(won) / len(won) if won else 0.0,
        {regime: (candles[regime], float(sums[regime])) for regime in candles},
    )


def _run(name: str, parameters: Mapping[str, float], bars: Bars, cash: Decimal, costs: Costs) -> Result:
    return Backtest(bars, cash, _STAKE, costs).run(make_strategy(name, parameters))
