"""What is wrong around a position never ends the start that would watch over it."""

from pathlib import Path

import pytest

from bus.messages.system import AlertRaised
from tests.orders.trading import instrument
from tests.tradingd.quiet_market import QuietMarket, QuietRun, data_dir_with_a_position, settings_of
from tradingd.settings_errors import ConfigError
from tradingd.strategy_choice import SELECTION_FILE


async def test_a_symbol_that_was_delisted_is_left_out_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    QuietMarket(monkeypatch, [instrument("BTC/USDT")])
    run = QuietRun(settings_of(data_dir_with_a_position(tmp_path), symbols=["BTC/USDT", "LUNA/USDT"]))
    assert await run.until_ready() == 0
    assert any("does not trade LUNA/USDT" in text for text in run.problems())
    alerts = [each for each in run.told(AlertRaised) if each.title == "symbols left out"]
    assert [each.level for each in alerts] == ["critical"]
    assert "LUNA/USDT" in alerts[0].message
    assert [row.symbol for row in run.daemon._read_model.positions()] == ["BTC/USDT"]


async def test_the_stream_begins_with_what_the_position_was_worth_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """F08: a first price a hundred times the true one reaches no engine either."""
    market = QuietMarket(monkeypatch, [instrument("BTC/USDT"), instrument("ETH/USDT")])
    run = QuietRun(settings_of(data_dir_with_a_position(tmp_path), symbols=["BTC/USDT", "ETH/USDT"]))
    assert await run.until_ready() == 0
    (held,) = run.daemon._read_model.positions()
    assert {symbol: str(price) for symbol, price in market.known_prices.items()} == {"BTC/USDT": held.mark}
    assert held.mark != held.average_price


async def test_without_a_stake_or_another_symbol_it_is_an_error_as_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    QuietMarket(monkeypatch, [instrument("BTC/USDT")])
    with pytest.raises(ConfigError, match="does not trade 'LUNA/USDT'"):
        await QuietRun(settings_of(tmp_path / "new", symbols=["BTC/USDT", "LUNA/USDT"])).until_ready()
    with pytest.raises(ConfigError, match="does not trade 'LUNA/USDT'"):
        await QuietRun(settings_of(data_dir_with_a_position(tmp_path), symbols=["LUNA/USDT"])).until_ready()


async def test_an_order_for_a_symbol_that_was_delisted_does_not_end_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    QuietMarket(monkeypatch, [instrument("ETH/USDT")])
    run = QuietRun(settings_of(data_dir_with_a_position(tmp_path), symbols=["BTC/USDT", "ETH/USDT"]))
    assert await run.until_ready() == 0


async def test_a_weight_without_its_alpha_takes_away_entries_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    QuietMarket(monkeypatch, [instrument("BTC/USDT")])
    weights = {"council": {"weights": {"gone": 0.5}}}
    run = QuietRun(settings_of(data_dir_with_a_position(tmp_path), **weights))
    assert await run.until_ready() == 0
    assert any("there is no alpha 'gone'" in text for text in run.daemon._runtime.health.reasons_to_reduce)
    with pytest.raises(ConfigError, match="there is no alpha 'gone'"):
        await QuietRun(settings_of(tmp_path / "new", **weights)).until_ready()


@pytest.mark.parametrize("text", [None, '{"symbol": "BTC', '{"strategies": []}'], ids=["gone", "half", "empty"])
async def test_strategies_that_cannot_be_read_take_away_entries_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None,
) -> None:
    QuietMarket(monkeypatch, [instrument("BTC/USDT")])
    folder = data_dir_with_a_position(tmp_path)
    if text is not None:
        (folder / SELECTION_FILE).parent.mkdir()
        (folder / SELECTION_FILE).write_text(text)
    run = QuietRun(settings_of(folder, strategy={"rule": "selection"}))
    assert await run.until_ready() == 0
    assert any("watches over them and takes no entries" in each.message for each in run.told(AlertRaised))
    assert any("selection" in text for text in run.daemon._runtime.health.reasons_to_reduce)
