"""The strategy library by name: one rule per file, for the lab's backtests and for the daemon alike."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from agents.strategies.breakout import Breakout
from agents.strategies.candle_rule import CandleRule, RuleError, build_rule
from agents.strategies.mean_reversion import MeanReversion
from agents.strategies.momentum import Momentum
from agents.strategies.tjr import LiquiditySweep
from agents.strategies.trailing_grid import TrailingGrid
from agents.strategies.trend_following import TrendFollowing

STRATEGIES: Final[Mapping[str, Callable[..., CandleRule]]] = MappingProxyType({
    "momentum": Momentum,
    "mean_reversion": MeanReversion,
    "breakout": Breakout,
    "trend_following": TrendFollowing,
    "tjr": LiquiditySweep,
    "trailing_grid": TrailingGrid,
})


def make_strategy(name: str, parameters: Mapping[str, str | int | float]) -> CandleRule:
    """A new rule of the library; raises `RuleError` for an unknown name or a parameter that cannot be one."""
    maker = STRATEGIES.get(name)
    if maker is None:
        raise RuleError(f"no strategy is called {name!r}: there are {', '.join(STRATEGIES)}")
    return build_rule(name, maker, parameters)
