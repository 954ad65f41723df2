"""The other rules of the library on hand-made candles, and all of them on many."""

from decimal import Decimal

import pytest

from agents.strategies.breakout import Breakout
from agents.strategies.candle_rule import RuleError
from agents.strategies.library import STRATEGIES, make_strategy
from agents.strategies.mean_reversion import MeanReversion
from agents.strategies.momentum import Momentum
from agents.strategies.trailing_grid import TrailingGrid
from agents.strategies.trend_following import TrendFollowing
from research.backtest import guard
from research.backtest.rules import make_rule
from research.backtest.runner import Backtest, Costs
from tests.agents.strategies.rule_play import Row, closes, play, sides
from tests.research.backtest.candles import recorded, walk
from tests.shared_data import shared_file

FLAT: list[Row] = [(100, 101, 99, 100)] * 20
"""A true range of 2 in each candle, so every ATR of 14 to 19 candles is 2."""


# ---- momentum


def test_momentum_buys_a_rise_above_its_threshold_with_a_stop_in_ranges() -> None:
    (bought,) = play(Momentum(lookback=2, entry=0.02, stop_atr=3), [*FLAT, (100, 103, 100, 103)])
    assert bought.index == 20
    atr = (2 * 13 + 3) / 14
    assert bought.wish.stop == pytest.approx(3 * atr / 103)
    assert bought.wish.why == "momentum: +3.00% over 2 candles, above +2.00%"


def test_momentum_leaves_when_the_rise_is_gone_and_not_before() -> None:
    rows = [*FLAT, *closes(103, 104, 103.5, 103, 102)]
    # over 2 candles: +3 %, +4 %, +0.5 %, -1 %
    assert sides(play(Momentum(lookback=2, entry=0.02, exit=0.0), rows)) == [(20, "buy"), (23, "sell")]


def test_momentum_needs_a_new_rise_after_it_was_out() -> None:
    rule = Momentum(lookback=1, entry=0.02, exit=0.01)
    rows = [*FLAT, *closes(103, 104, 107.5, 104, 110)]
    # one candle each: 0 (103 opens the list), ... the sell at +0.97 % comes before the next buy
    assert sides(play(rule, rows))[:2] == [(20, "buy"), (21, "sell")]


# ---- mean reversion


def test_mean_reversion_buys_below_the_band_and_sells_at_the_mean() -> None:
    rule = MeanReversion(window=4, k=1.5, trend=0, stop_atr=3)
    rows = [*FLAT, (100, 100, 94, 94), (94, 97, 94, 96), (96, 100, 96, 99)]
    # closes 100 100 100 94: mean 98.5, deviation 2.598, band 94.6 > 94; later mean of 100 94 96 99 = 97.25 < 99
    said = play(rule, rows)
    assert sides(said) == [(20, "buy"), (22, "sell")]
    assert said[0].wish.stop == pytest.approx(3 * ((2 * 13 + 6) / 14) / 94)


def test_mean_reversion_gives_up_after_its_longest_time() -> None:
    rule = MeanReversion(window=4, k=1.5, trend=0, hold=2)
    said = play(rule, [*FLAT, *closes(100, 94, 92, 90, 88)])
    assert sides(said) == [(21, "buy"), (23, "sell")]
    assert said[1].wish.why == "not back at the mean after 2 candles"


def test_mean_reversion_does_not_catch_a_falling_market() -> None:
    rows = [*FLAT, (100, 100, 94, 94)]
    assert play(MeanReversion(window=4, k=1.5, trend=10), rows) == []


# ---- breakout


def test_breakout_buys_a_close_above_the_channel_of_the_candles_before() -> None:
    rule = Breakout(entry=3, exit=2, atr=14, stop_atr=2)
    (bought,) = play(rule, [*FLAT, (100, 102, 100, 101.5)])
    assert (bought.index, bought.wish.why) == (20, "101.5 broke 101, the channel's high")
    assert bought.wish.stop == pytest.approx(2 * 2 / 101.5)


def test_a_close_at_the_channels_high_is_no_break() -> None:
    assert play(Breakout(entry=3, exit=2, atr=14), [*FLAT, (100, 101, 100, 101)]) == []


def test_breakout_leaves_below_the_exit_channel() -> None:
    rows = [*FLAT, (100, 102, 100, 102), (102, 104, 101, 103), (103, 103, 100, 100.5), (100.5, 101, 99, 99.5)]
    # lows of the two candles before: 100 and 101 at 100.5, which stays; 101 and 100 at 99.5, which is below
    assert sides(play(Breakout(entry=3, exit=2, atr=14), rows)) == [(20, "buy"), (23, "sell")]


def test_breakout_wants_volume_when_told_so() -> None:
    rows = [*FLAT, (100, 102, 100, 102)]
    quiet, loud = [10.0] * 20 + [14.0], [10.0] * 20 + [15.0]
    assert play(Breakout(entry=3, exit=2, atr=14, volume=1.5), rows, volumes=quiet) == []
    assert len(play(Breakout(entry=3, exit=2, atr=14, volume=1.5), rows, volumes=loud)) == 1


# ---- trend following


def test_trend_following_buys_above_both_averages_and_leaves_below_the_chandelier() -> None:
    rule = TrendFollowing(fast=2, slow=4, atr=2, trail_atr=2)
    rows = closes(100, 100, 100, 100, 102, 104, 106, 108, 106, 101)
    said = play(rule, rows)
    # at 102: fast 101.33, slow 100.5, ATR(2) = (0 + 2) / 2 = 1. The ATRs go on 1.5, 1.75, 1.875: under the high of 108
    # the chandelier hangs at 108 - 2 * 1.875 = 104.25, and stays there
    assert sides(said) == [(4, "buy"), (9, "sell")]
    assert said[0].wish.stop == pytest.approx(2 * 1 / 102)
    assert said[1].wish.why == "101 is below the chandelier at 104.25"


def test_an_intact_trend_is_entered_once() -> None:
    rule = TrendFollowing(fast=2, slow=4, atr=2, trail_atr=0.5)
    said = play(rule, closes(100, 100, 100, 100, 102, 104, 106, 105, 107, 109, 111))
    assert [each.wish.side for each in said] == ["buy", "sell"]


# ---- trailing grid


def test_the_grid_buys_a_level_behind_a_trail_and_sells_it_one_level_up() -> None:
    rule = TrailingGrid(levels=2, spacing=0.02, trail=0.01)
    rows = closes(100, 97.9, 97, 98, 98, 100.2, 101, 99.9, 99.9)
    # levels 96 98 100 102. Both 98 and 100 were fallen through, low 97: bought one after the other above 97.97. The
    # one of 98 is sold above 100: high 101, trail fired at 99.9 <= 99.99; that of 100 waits for 102
    said = play(rule, rows)
    assert sides(said) == [(3, "buy"), (4, "buy"), (7, "sell")]
    assert [each.wish.fraction for each in said] == [pytest.approx(1 / 4), pytest.approx(1 / 3), pytest.approx(1 / 2)]


def test_below_its_floor_the_grid_sells_everything() -> None:
    rule = TrailingGrid(levels=2, spacing=0.02, trail=0.01)
    said = play(rule, closes(100, 97.9, 97, 98, 98, 91, 91))
    assert said[-1].wish.side == "sell"
    assert said[-1].wish.fraction is None
    assert "floor" in said[-1].wish.why


# ---- all of them


@pytest.mark.parametrize("name", STRATEGIES)
def test_no_strategy_looks_ahead_and_each_trades(name: str) -> None:
    money = (Decimal(10_000), Decimal("0.9"), Costs())
    bars = walk(3000, 11, step=2000)
    result = Backtest(bars, *money).run(make_rule(name, {}))
    assert result.trades
    assert guard.check(lambda: make_rule(name, {}), bars, result.decisions, *money) > 4


@pytest.mark.parametrize("name", STRATEGIES)
def test_each_strategy_runs_over_coins_of_every_price(name: str) -> None:
    path = shared_file("candles/binance_spot_1h_61syms_2024-01_2024-09.parquet")
    for symbol in ("SHIB/USDT", "1000SATS/USDT", "BTC/USDT", "TON/USDT", "BOME/USDT"):
        bars = recorded(path, symbol, "1h", 0, 3000)
        result = Backtest(bars, Decimal(10_000), Decimal("0.9"), Costs()).run(make_rule(name, {}))
        assert len(result.equity) == len(bars)


@pytest.mark.parametrize("name", STRATEGIES)
def test_prices_that_stand_still_move_no_strategy(name: str) -> None:
    assert play(make_strategy(name, {}), [(5, 5, 5, 5)] * 400) == []


@pytest.mark.parametrize("name", STRATEGIES)
def test_each_strategy_says_its_rule_its_parameters_and_its_source(name: str) -> None:
    told = STRATEGIES[name].__doc__ or ""
    assert "Source:" in told
    for parameter in STRATEGIES[name].__init__.__annotations__:  # type: ignore[misc]
        assert parameter == "return" or parameter in told


def test_an_unknown_name_or_parameter_is_refused_with_what_there_is() -> None:
    with pytest.raises(RuleError, match="there are momentum, mean_reversion"):
        make_strategy("moonshot", {})
    with pytest.raises(RuleError, match="it has lookback, entry, exit, stop_atr"):
        make_strategy("momentum", {"window": 5})
    with pytest.raises(RuleError, match="write a whole number of 1 or more"):
        make_strategy("breakout", {"entry": 0})
