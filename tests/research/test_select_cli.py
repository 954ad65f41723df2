"""`tradelab select` and `tradelab tune`: from candles to what the daemon trades."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from agents.strategies.selector import select
from bus.messages.council import Regime
from research import cli_session, tune_cli
from research.backtest.runner import Costs
from research.cli import app
from research.selection.trial import candidate_of, neighbours_of, parameters_of, regimes_of
from store.candles import CandleStore
from tests.research.backtest.candles import of_rows, walk
from tests.shared_data import shared_file
from tradingd.settings import Settings, StrategySettings
from tradingd.strategy_choice import chosen_strategies

HOURLY = "candles/binance_spot_1h_BTC_2021-06_2026-06.parquet"


def tradelab(*words: str) -> Any:
    return CliRunner().invoke(app, list(words))


def test_what_was_selected_is_what_the_daemon_trades(tmp_path: Path) -> None:
    made = tradelab(
        "select", "--data", str(shared_file(HOURLY)), "--start", "2023-09-01", "--end", "2024-03-01", "--fee", "0.0005",
        "--strategy", "breakout:entry=20,exit=10", "--strategy", "tjr", "--data-dir", str(tmp_path), "--json",
    )
    assert made.exit_code == 0, made.output
    (chosen,) = json.loads(made.stdout)["strategies"]
    assert (chosen["name"], chosen["param"], chosen["weight"]) == ("breakout", {"entry": 20, "exit": 10}, 1.0)
    settings = Settings(data_dir=tmp_path, strategy=StrategySettings(rule="selection"))
    (choice,) = chosen_strategies(settings)
    assert (choice.name, dict(choice.parameters), dict(choice.fit)) == ("breakout", chosen["param"], chosen["fit"])


def test_when_nothing_is_good_enough_an_earlier_choice_stays(tmp_path: Path) -> None:
    kept = tmp_path / "lab" / "selection.json"
    kept.parent.mkdir()
    kept.write_text("{}")
    CandleStore(tmp_path / "history", "binance").write("BTC/USDT", "1h", walk(200, 3).columns)
    made = tradelab("select", "--symbol", "BTC/USDT", "--timeframe", "1h", "--data-dir", str(tmp_path))
    assert made.exit_code == 1
    assert "left out:" in made.stdout
    assert "nothing was written" in made.stderr
    assert kept.read_text() == "{}"


def test_the_history_of_another_venue_is_taken_by_its_name(tmp_path: Path) -> None:
    CandleStore(tmp_path / "history", "binance").write("BTC/USDT", "1h", walk(200, 3).columns)
    CandleStore(tmp_path / "history", "coinbase").write("BTC/USDT", "1h", walk(300, 4).columns)
    CandleStore(tmp_path / "history", "coinbase").write("BTC/USD", "1h", walk(150, 5).columns)
    series = ("--symbol", "BTC/USDT", "--timeframe", "1h", "--data-dir", str(tmp_path), "--dry-run", "--json")
    said = [json.loads(tradelab("select", *series, *more).stdout) for more in ((), ("--venue", "coinbase"))]
    assert [(each["candles"], each.get("venue")) for each in said] == [(200, None), (300, "coinbase")]
    assert said[0]["fingerprint"] != said[1]["fingerprint"]
    told = tradelab("select", "--symbol", "BTC/USD", "--timeframe", "1h", "--data-dir", str(tmp_path))
    assert "That is binance's; there are some of coinbase: --venue coinbase." in told.stderr
    assert told.exit_code == cli_session.NOT_FOUND


def test_a_venue_beside_a_file_and_a_name_that_is_none_are_refused(tmp_path: Path) -> None:
    data = tmp_path / "btc.csv"
    data.write_text("symbol,date,open,high,low,close,volume\n")
    made = tradelab("select", "--data", str(data), "--venue", "coinbase", "--data-dir", str(tmp_path))
    assert (made.exit_code, made.stderr.count("leave out one of them")) == (cli_session.USAGE, 1)
    series = ("--symbol", "BTC/USDT", "--timeframe", "1h", "--data-dir", str(tmp_path))
    made = tradelab("select", *series, "--venue", "../elsewhere")
    assert (made.exit_code, made.stderr.startswith("tradelab: --venue: ")) == (cli_session.USAGE, True)


@pytest.mark.parametrize("text", [
    "luck", "trailing_grid", "breakout:entry=many", "breakout:fast=3", "breakout:entry=0",
])
def test_a_strategy_that_cannot_be_tried_is_refused(tmp_path: Path, text: str) -> None:
    CandleStore(tmp_path / "history", "binance").write("BTC/USDT", "1h", walk(200, 3).columns)
    series = ("--symbol", "BTC/USDT", "--timeframe", "1h", "--data-dir", str(tmp_path))
    made = tradelab("select", "--strategy", text, *series)
    assert made.exit_code == 2
    assert "breakout" in made.stderr


def test_the_neighbours_are_a_tenth_away_one_parameter_at_a_time() -> None:
    found = neighbours_of(parameters_of("breakout", {"entry": 30}))
    assert {each["entry"] for each in found} == {27, 30, 33}
    assert {each["stop_atr"] for each in found} == {1.8, 2.0, 2.2}
    assert {each["exit"] for each in found} == {9, 10, 11}
    assert all(each["volume"] == 0.0 for each in found)


def test_regimes_are_those_the_analyst_calls_live() -> None:
    found = regimes_of(walk(300, 2))
    assert len(found) == 300
    assert found[0] == "unknown"
    assert {"trending", "ranging"} <= set(found)


def test_tune_shows_what_each_variation_would_have_made(tmp_path: Path) -> None:
    CandleStore(tmp_path / "history", "practice").write("BTC/USDT", "1h", walk(130, 2, step=8000).columns)
    made = tradelab("tune", "--candles", "100", "--symbols", "BTC/USDT", "--data-dir", str(tmp_path))
    assert made.exit_code == 0, made.output
    lines = made.stdout.splitlines()
    assert lines[0] == "100 candles of 1h: BTC/USDT"
    assert len(lines) == 14
    assert lines[2].split()[0] == "current"


def test_tune_replays_the_candles_that_the_council_decides_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = CandleStore(tmp_path / "history", "practice")
    for interval in ("1m", "1h"):
        store.write("BTC/USDT", interval, walk(130, 2, interval, step=8000).columns)
    words = ("tune", "--candles", "100", "--symbols", "BTC/USDT", "--data-dir", str(tmp_path))
    assert tradelab(*words).stdout.startswith("100 candles of 1m: ")  # decisions each second: nothing is nearer
    monkeypatch.setenv("TRADINGD__CANDLES__INTERVALS", "1s,1m,1h")
    monkeypatch.setenv("TRADINGD__CANDLES__DECISION", "1h")
    assert tradelab(*words).stdout.startswith("100 candles of 1h: ")


def test_tune_without_history_says_where_it_comes_from(tmp_path: Path) -> None:
    made = tradelab("tune", "--data-dir", str(tmp_path))
    assert made.exit_code == 7
    assert "tradelab data backfill" in made.stderr


@pytest.mark.parametrize(("rule", "said"), [("trailing_grid", "Try the rule: --strategy trailing_grid"),
                                            ("luck", "write one of consensus, momentum")])
def test_the_council_with_a_rule_it_cannot_run_is_refused_before_it_begins(
    tmp_path: Path, rule: str, said: str, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRADINGD__STRATEGY__RULE", rule)
    CandleStore(tmp_path / "history", "binance").write("BTC/USDT", "1h", walk(200, 3).columns)
    series = ("--symbol", "BTC/USDT", "--timeframe", "1h", "--data-dir", str(tmp_path))
    made = tradelab("backtest", "--strategy", "council", *series)
    assert made.exit_code == 3
    assert said in made.stderr


def test_a_candle_belongs_to_the_regime_that_was_known_before_it() -> None:
    bars = walk(300, 5)
    marked = [number % 7 for number in range(300)]
    regimes: list[Regime] = ["trending" if each == 3 else "ranging" for each in marked]
    made = candidate_of("breakout", {}, bars, regimes, Decimal(10_000), Costs())
    assert any(made.returns)
    expected = sum(value for before, value in zip(marked, made.returns[1:], strict=False) if before == 3)
    assert made.by_regime["trending"] == (regimes[:-1].count("trending"), pytest.approx(expected))
    assert made.by_regime["unknown"] == (1, made.returns[0])


def test_a_strategy_that_lost_every_trade_has_won_nothing_for_what_it_lost() -> None:
    moves = [0.01, 0.01, 0.01, 0.03, -0.07, *[-0.0005] * 14] * 60 + [0.001] * 1200  # every rise is bought at its top
    rows, price = [], 100.0
    for move in moves:
        before, price = price, price * (1 + move)
        rows.append((f"{before:.6f}", f"{max(before, price):.6f}", f"{min(before, price):.6f}", f"{price:.6f}"))
    bars = of_rows(rows, "1h")
    given = {"fast": 3, "slow": 8}
    made = candidate_of("trend_following", given, bars, regimes_of(bars), Decimal(10_000), Costs())
    assert made.trades >= 20
    assert made.sharpe > 0.0  # by what is still held at the end
    assert made.profit_factor == 0.0
    assert not select([made]).chosen


def test_of_years_of_history_the_tuner_holds_what_it_replays(tmp_path: Path) -> None:
    hours = walk(30_000, 3)
    store = CandleStore(tmp_path / "history", "binance")
    store.write("BTC/USDT", "1h", hours.columns)
    (bars,) = tune_cli._bars(tmp_path, "binance", ["BTC/USDT", "ETH/USDT"], "", 500, Settings())
    assert bars.columns.equals(hours.columns.take(slice(29_500, 30_000)))
    held = bars.columns.close.values
    while isinstance(held.base, np.ndarray):
        held = held.base
    assert len(held) < 10_000  # one file of the history at most
    (few,) = tune_cli._bars(tmp_path, "binance", ["BTC/USDT"], "1h", 60_000, Settings())
    assert len(few) == 30_000
