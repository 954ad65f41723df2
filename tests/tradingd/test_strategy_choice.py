"""strategy.rule: what may be written, and what the refusals say."""

import json
from pathlib import Path
from typing import Any

import pytest

from tradingd.settings import ConfigError, Settings, StrategySettings
from tradingd.strategy_choice import SELECTION_FILE, chosen_strategies, strategy_names


def settings(data_dir: Path = Path("nowhere"), **strategy: Any) -> Settings:
    return Settings(data_dir=data_dir, strategy=StrategySettings(**strategy))


def test_by_default_the_consensus_decides() -> None:
    assert chosen_strategies(settings()) == ()


def test_one_strategy_with_its_parameters() -> None:
    (choice,) = chosen_strategies(settings(rule="tjr", param={"reward": 2.5}))
    assert (choice.name, dict(choice.parameters), choice.weight) == ("tjr", {"reward": 2.5}, 1.0)


def test_a_selection_with_weights_leaves_out_those_of_weight_zero() -> None:
    chosen = chosen_strategies(settings(rule="selection", selection={"tjr": 0.4, "breakout": 0.6, "momentum": 0.0}))
    assert [(choice.name, choice.weight) for choice in chosen] == [("breakout", 0.6), ("tjr", 0.4)]


def test_a_selection_that_the_lab_wrote(tmp_path: Path) -> None:
    path = tmp_path / SELECTION_FILE
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"strategies": [{"name": "breakout", "param": {"entry": 30}, "weight": 0.7}]}))
    (choice,) = chosen_strategies(settings(tmp_path, rule="selection"))
    assert (choice.name, dict(choice.parameters), choice.weight) == ("breakout", {"entry": 30.0}, 0.7)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"strategies": [{"name": "breakout"}]}', '{"strategies": [7]}'])
def test_a_broken_selection_file_is_named_with_the_remedy(tmp_path: Path, text: str) -> None:
    path = tmp_path / SELECTION_FILE
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"selection\.json: no selection .* Run: tradelab select"):
        chosen_strategies(settings(tmp_path, rule="selection"))


@pytest.mark.parametrize(("strategy", "said"), [
    ({"rule": "luck"}, "no strategy is called 'luck'"),
    ({"rule": "tjr", "param": {"direction": -1}}, "short-only strategy; spot trading is long only"),
    ({"rule": "breakout", "param": {"fast": 3}}, "breakout has no parameter 'fast'"),
    ({"rule": "consensus", "param": {"fast": 3}}, "parameters belong to one strategy"),
    ({"rule": "selection"}, "neither a table"),
    ({"rule": "selection", "selection": {"tjr": 0.0}}, "no strategy has a weight above 0"),
    ({"rule": "selection", "selection": {"trailing_grid": 1.0}}, "cannot be one of several"),
])
def test_what_cannot_be_chosen_is_refused_with_key_and_remedy(strategy: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        chosen_strategies(settings(**strategy))


def test_every_name_that_may_be_written_can_be_chosen() -> None:
    for name in strategy_names():
        if name != "selection":
            assert len(chosen_strategies(settings(rule=name))) == (0 if name in ("consensus", "trailing_grid") else 1)
