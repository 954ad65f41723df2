"""strategy.rule: what may be written, and what the refusals say."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agents.parameters import Parameters
from bus.ids import ClientOrderId, SessionId
from bus.messages.grid import StartGrid
from bus.messages.header import Message, MessageMaker
from bus.messages.orders import OrderDenied
from bus.messages.system import DaemonStarted
from market.ticks import Candle
from risk.limits import RiskLimits
from tests.e2e.process import journal_of, tradingd
from tests.orders.trading import instrument
from tradingd import composition
from tradingd.configured_grids import ConfiguredGrids
from tradingd.exit_codes import CONFIGURATION
from tradingd.parameters import configured_parameters
from tradingd.read_model import ReadModel
from tradingd.settings import CandleSettings, RiskSettings, Settings, StrategySettings
from tradingd.settings_errors import ConfigError
from tradingd.strategy_choice import SELECTION_FILE, chosen_over, chosen_strategies, strategy_names, untried


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


def chosen_by_the_lab(data_dir: Path, **more: str) -> None:
    path = data_dir / SELECTION_FILE
    path.parent.mkdir(parents=True)
    row = {"name": "breakout", "param": {}, "weight": 1.0}
    path.write_text(json.dumps({"symbol": "BTC/USDT", "timeframe": "1h", **more, "strategies": [row]}))


def test_a_selection_is_not_traded_on_other_candles_than_it_was_chosen_on(tmp_path: Path) -> None:
    chosen_by_the_lab(tmp_path)
    hourly = CandleSettings(intervals=("1h",), decision="1h")
    made = settings(tmp_path, rule="selection")
    with pytest.raises(ConfigError, match=r'chosen on candles of 1h, and candles.decision is 1s: .*"1h", or'):
        untried(made)
    made = made.model_copy(update={"candles": hourly, "symbols": ("BTC/USDT",)})
    assert untried(made) == ""
    made = made.model_copy(update={"symbols": ("BTC/USDT", "ETH/USDT")})
    assert untried(made) == "the strategies were tried on BTC/USDT, never on ETH/USDT"
    assert untried(settings(tmp_path, rule="selection", selection={"tjr": 1.0})) == ""
    assert untried(settings(tmp_path)) == ""


def test_over_what_is_open_it_is_a_reason_to_reduce_and_not_to_end(tmp_path: Path) -> None:
    chosen_by_the_lab(tmp_path)
    made = settings(tmp_path, rule="selection")
    choices, why = chosen_over(made, "BTC/USDT")
    assert choices == chosen_strategies(made)  # the exits of what they entered are theirs
    assert "chosen on candles of 1h" in why
    with pytest.raises(ConfigError, match="chosen on candles of 1h"):
        chosen_over(made, "")
    assert chosen_over(settings(tmp_path), "") == ((), "")


@pytest.mark.parametrize("text", [None, '{"symbol": "BTC', '{"strategies": []}'], ids=["gone", "half", "empty"])
def test_over_what_is_open_strategies_that_cannot_be_read_are_none(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / SELECTION_FILE
    path.parent.mkdir(parents=True)
    if text is not None:
        path.write_text(text)
    made = settings(tmp_path, rule="selection")
    choices, why = chosen_over(made, "BTC/USDT")
    assert choices == ()
    assert "selection" in why
    with pytest.raises(ConfigError):
        chosen_over(made, "")


def test_the_command_refuses_to_start_with_such_a_selection_and_the_doctor_tells(tmp_path: Path) -> None:
    chosen_by_the_lab(tmp_path)
    env = {"TRADINGD__STRATEGY__RULE": "selection"}
    ended = tradingd("run", "--data-dir", str(tmp_path), "--for", "1", env=env)
    assert ended.returncode == CONFIGURATION
    assert "chosen on candles of 1h" in ended.stderr
    assert not any(isinstance(each.body, DaemonStarted) for each in journal_of(tmp_path))  # it was no crash
    told = tradingd("doctor", "--data-dir", str(tmp_path), env=env)
    assert "chosen on candles of 1h" in told.stdout


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


# ---- the grid of the settings


class Grids:
    """Settings with a grid, and what they ask the engine for."""

    def __init__(self, preset: str = "", **strategy: Any) -> None:
        self.asked: list[StartGrid] = []
        self.told: list[str] = []
        self.refusals: list[Message] = []
        self.model = ReadModel("USDT")
        chosen = settings(**{"rule": "trailing_grid", **strategy})
        self.grids = ConfiguredGrids(
            chosen.model_copy(update={"risk": RiskSettings.model_validate({"preset": preset})}), RiskLimits(),
            ["BTC/USDT", "ETH/USDT"], self.model.grids, self._command, self.told.append,
        )

    def _command(self, wish: StartGrid) -> list[Message]:
        self.asked.append(wish)
        return self.refusals

    def second(self, *known: str, is_active: bool = True, tuned: Parameters | None = None) -> list[str]:
        before = len(self.asked)
        prices = dict.fromkeys(known, (None, None, Decimal(100)))
        self.grids.on_second(is_active=is_active, prices=prices, tuned=tuned)
        return [wish.symbol for wish in self.asked[before:]]


def test_each_symbol_gets_its_grid_once_when_trading_is_active_and_a_price_is_known() -> None:
    room = Grids()
    assert room.second("BTC/USDT", is_active=False) == []
    assert room.second("BTC/USDT") == ["BTC/USDT"]
    assert room.second("BTC/USDT", "ETH/USDT") == ["ETH/USDT"]
    assert room.second("BTC/USDT", "ETH/USDT") == []


def test_the_grid_has_its_share_of_what_may_be_exposed_and_waits_for_the_first_entry() -> None:
    room = Grids(param={"levels": 5, "spacing": 0.02, "trail": 0.01})
    room.second("BTC/USDT")
    (wish,) = room.asked
    assert (wish.capital, wish.levels, wish.spacing, wish.trail) == (
        Decimal("500.00"), 5, Decimal("0.02"), Decimal("0.01"),
    )
    assert (wish.entry, wish.origin) == ("first", "manual")


def test_without_a_written_spacing_the_tuned_one_holds_else_the_grids_own() -> None:
    tuned = configured_parameters(Settings()).with_value("spacing", Decimal("0.014"))
    own, other = Grids(), Grids()
    own.second("BTC/USDT")
    other.second("BTC/USDT", tuned=tuned)
    assert [own.asked[0].spacing, other.asked[0].spacing] == [None, Decimal("0.014")]


def test_a_set_whose_spacing_was_not_tuned_leaves_it_to_the_grid() -> None:
    tuned = configured_parameters(Settings()).with_value("trail", Decimal("0.0153"))
    room = Grids()
    room.second("BTC/USDT", tuned=tuned)
    assert room.asked[0].spacing is None


def test_the_preset_trailing_grid_bounds_a_spacing_that_nobody_wrote() -> None:
    """Half a percent to two percent [T7]."""
    wide = configured_parameters(Settings()).with_value("spacing", Decimal("0.03"))
    auto, tuned = Grids("trailing-grid"), Grids("trailing-grid")
    written = Grids("trailing-grid", param={"spacing": 0.03})
    auto.second("BTC/USDT")
    tuned.second("BTC/USDT", tuned=wide)
    written.second("BTC/USDT")
    told = [(room.asked[0].spacing, room.asked[0].min_spacing, room.asked[0].max_spacing)
            for room in (auto, tuned, written)]
    low, high = Decimal("0.005"), Decimal("0.02")
    assert told == [(None, low, high), (high, None, None), (Decimal("0.03"), None, None)]


def test_a_refusal_is_told_once() -> None:
    room = Grids()
    denied = OrderDenied(ClientOrderId(""), "BTC/USDT", "GRID_TOO_SMALL", "E006", "capital", "1", "2", "Too little.")
    room.refusals = [MessageMaker("engine", SessionId("s1")).make(denied, 1)]
    room.second("BTC/USDT")
    room.second("BTC/USDT")
    assert room.told == ["no grid on BTC/USDT: Too little. [GRID_TOO_SMALL]"]


def test_another_rule_opens_no_grid() -> None:
    assert Grids(rule="breakout").second("BTC/USDT") == []


def test_a_grid_whose_parameters_cannot_be_is_refused_at_the_start() -> None:
    with pytest.raises(ConfigError, match=r"strategy\.param: trailing_grid: .* write a trail below the spacing"):
        chosen_strategies(settings(rule="trailing_grid", param={"spacing": 0.01, "trail": 0.02}))


def test_beside_a_grid_the_council_enters_nothing_and_a_regime_is_known_until_the_next_decision() -> None:
    hourly = CandleSettings(intervals=("1h",), decision="1h")
    made = composition.make_agents(
        Settings(candles=hourly, strategy=StrategySettings(rule="trailing_grid")), RiskLimits(),
        [instrument("BTC/USDT")], SessionId("s1"),
    )
    strategy, ceo = made["strategy"](), made["ceo"]()
    assert Candle in strategy.subscriptions  # it goes by a book, and the book is empty
    assert ceo._config.regime_fresh_ns == 7200 * 10**9  # type: ignore[attr-defined]
