"""Which strategies trade: `strategy.rule` of the settings as the strategy agent wants it.

`"consensus"`: the alphas' consensus decides, as always. The name of one strategy of the library: that one decides,
with the parameters of `[strategy.param]`. `"selection"`: the strategies of `[strategy.selection]` with their weights,
or, when there is no such table, those that `tradelab select` chose last.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from agents.strategies.candle_rule import RuleError
from agents.strategies.library import STRATEGIES, make_strategy
from agents.strategies.rule_book import RuleChoice
from tradingd.settings import Settings
from tradingd.settings_errors import ConfigError

CONSENSUS: Final = "consensus"
SELECTION: Final = "selection"
GRID: Final = "trailing_grid"
SELECTION_FILE: Final = Path("lab") / "selection.json"
"""In the data directory; written by `tradelab select`."""


def chosen_strategies(settings: Settings) -> tuple[RuleChoice, ...]:
    """The strategies that decide; empty when the consensus does. Raises `ConfigError` naming what cannot be chosen."""
    strategy = settings.strategy
    if strategy.param and strategy.rule in (CONSENSUS, SELECTION):
        raise ConfigError(
            f"{settings.where('strategy', 'param')}: "
            f"parameters belong to one strategy; write its name as strategy.rule, or "
            "remove them."
        )
    if strategy.rule == GRID:
        try:
            make_strategy(GRID, strategy.param)
        except RuleError as error:
            raise ConfigError(f"{settings.where('strategy', 'param')}: {error}.") from error
    if strategy.rule in (CONSENSUS, GRID):
        return ()
    if strategy.rule != SELECTION:
        choices: Sequence[RuleChoice] = (RuleChoice(strategy.rule, dict(strategy.param)),)
        where = settings.where("strategy", "rule")
    elif strategy.selection:
        choices = tuple(RuleChoice(name, {}, weight) for name, weight in sorted(strategy.selection.items()) if weight)
        where = settings.where("strategy", "selection")
    else:
        path = settings.data_dir / SELECTION_FILE
        choices, where = _of_file(path, settings), f"{path}: strategies"
    if not choices:
        raise ConfigError(
            f'{where}: no strategy has a weight above 0: write one, or strategy.rule = "{CONSENSUS}".'
        )
    for choice in choices:
        if choice.name == GRID:
            raise ConfigError(
                f"{where}: {GRID} holds many levels at once and cannot be one of several: write "
                f'strategy.rule = "{GRID}".'
            )
        if choice.name not in STRATEGIES:
            raise ConfigError(
                f"{where}: no strategy is called {choice.name!r}: write one of {', '.join(strategy_names())}."
            )
        try:
            make_strategy(choice.name, choice.parameters)
        except RuleError as error:
            raise ConfigError(f"{where}: {error}.") from error
    return tuple(choices)


def _of_file(path: Path, settings: Settings) -> tuple[RuleChoice, ...]:
    remedy = "Run: tradelab select"
    try:
        document: Any = json.loads(path.read_text(encoding="utf-8"))
        rows: list[Mapping[str, Any]] = document["strategies"]
        return tuple(
            RuleChoice(
                str(row["name"]), {str(key): _number(value) for key, value in row["param"].items()},
                float(row["weight"]), {str(key): float(value) for key, value in row.get("fit", {}).items()},
            )
            for row in rows if 0.0 < float(row["weight"]) <= 1.0
        )
    except FileNotFoundError:
        raise ConfigError(
            f'{settings.where("strategy", "rule")}: '
            f'it is "{SELECTION}", but there is neither a table [strategy.selection] nor '
            f"{path}. {remedy}"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path}: no selection ({type(error).__name__}: {error}). {remedy}") from error


def untried(settings: Settings) -> str:
    """Which symbols the strategies that the lab chose were never tried on, in words; "" for none.

    Raises `ConfigError` when the lab chose them on other candles than those they would decide on.
    """
    if settings.strategy.rule != SELECTION or settings.strategy.selection:
        return ""
    path = settings.data_dir / SELECTION_FILE
    _of_file(path, settings)
    document: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    timeframe, symbol, decision = document.get("timeframe"), document.get("symbol"), settings.candles.decision
    if timeframe and timeframe != decision:
        raise ConfigError(
            f"{path}: these strategies were chosen on candles of {timeframe}, and candles.decision is {decision}: "
            f'write candles.decision = "{timeframe}", or choose anew: tradelab select --timeframe {decision}'
        )
    others = [each for each in settings.symbols if symbol and each != symbol]
    return f"the strategies were tried on {symbol}, never on {', '.join(others)}" if others else ""


def chosen_over(settings: Settings, stake: str) -> tuple[tuple[RuleChoice, ...], str]:
    """The strategies that decide, and why nothing may be decided with them ("" for nothing).

    `stake`: what is open in the account. That is watched over whatever was chosen, and be it nothing that can be read;
    with "" all that is a `ConfigError`.
    """
    choices: tuple[RuleChoice, ...] = ()
    try:
        choices = chosen_strategies(settings)
        untried(settings)
    except ConfigError as error:
        if not stake:
            raise
        return choices, str(error)
    return choices, ""


def _number(value: Any) -> float:
    return value if isinstance(value, int) else float(value)


def strategy_names() -> tuple[str, ...]:
    """What may be written as `strategy.rule`."""
    return (CONSENSUS, *STRATEGIES, SELECTION)
