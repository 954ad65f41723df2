from collections.abc import Sequence

import numpy
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as some

from market.candle_patterns import PATTERN_NAMES, CandlePatterns
from tests.candle_paths import Row, flat_rows, random_rows, recorded_rows
from tests.shared_data import shared_file

TALIB_BY_NAME = {
    "candle_doji": talib.CDLDOJI, "candle_dragonfly_doji": talib.CDLDRAGONFLYDOJI,
    "candle_gravestone_doji": talib.CDLGRAVESTONEDOJI, "candle_spinning_top": talib.CDLSPINNINGTOP,
    "candle_marubozu": talib.CDLMARUBOZU, "candle_hammer": talib.CDLHAMMER,
    "candle_hanging_man": talib.CDLHANGINGMAN, "candle_inverted_hammer": talib.CDLINVERTEDHAMMER,
    "candle_shooting_star": talib.CDLSHOOTINGSTAR, "candle_engulfing": talib.CDLENGULFING,
    "candle_harami": talib.CDLHARAMI, "candle_piercing": talib.CDLPIERCING,
    "candle_dark_cloud_cover": talib.CDLDARKCLOUDCOVER, "candle_morning_star": talib.CDLMORNINGSTAR,
    "candle_evening_star": talib.CDLEVENINGSTAR, "candle_three_white_soldiers": talib.CDL3WHITESOLDIERS,
    "candle_three_black_crows": talib.CDL3BLACKCROWS,
}
LEAST = 13
"""Candles before all patterns are told; TA-Lib begins some of them a little earlier."""


def ours(rows: Sequence[Row]) -> list[dict[str, float]]:
    patterns, told = CandlePatterns(), []
    for row in rows:
        patterns.update(*row[:4])
        told.append(patterns.values())
    return told


def assert_same_as_talib(rows: Sequence[Row]) -> dict[str, int]:
    """Every pattern of every candle; returns how many of each there were."""
    told, seen = ours(rows), {}
    columns = [numpy.array([row[index] for row in rows], dtype=float) for index in range(4)]
    for name, function in TALIB_BY_NAME.items():
        theirs = function(*columns)[LEAST:] / 100.0
        mine = numpy.array([one[name] for one in told[LEAST:]])
        assert (mine == theirs).all(), (name, LEAST + int(numpy.flatnonzero(mine != theirs)[0]))
        seen[name] = int((mine != 0.0).sum())
    return seen


def test_all_patterns_have_their_name_and_nothing_is_told_before_there_is_enough_to_compare() -> None:
    assert tuple(TALIB_BY_NAME) == PATTERN_NAMES
    told = ours(random_rows(1, 20))
    assert told[:LEAST] == [{}] * LEAST
    assert tuple(told[LEAST]) == PATTERN_NAMES


@pytest.mark.parametrize("price", [1e-8, 100.0, 60_000.0])
def test_patterns_of_a_walk_equal_talib(price: float) -> None:
    seen = assert_same_as_talib(random_rows(2, 3000, price=price))
    assert min(seen[name] for name in ("candle_hammer", "candle_engulfing", "candle_harami", "candle_doji")) > 20


def test_patterns_of_flat_candles_equal_talib() -> None:
    assert_same_as_talib([*flat_rows(40), *random_rows(3, 60), *flat_rows(40)])


@settings(max_examples=80, deadline=None)
@given(
    some.lists(
        some.tuples(some.integers(1, 9), some.integers(1, 9), some.integers(0, 4), some.integers(0, 4)),
        min_size=20, max_size=80,
    ),
    some.sampled_from([1.0, 0.01, 1e-8]),
)
def test_patterns_of_coarse_ticks_where_ties_are_common_equal_talib(
    shapes: list[tuple[int, int, int, int]], tick: float
) -> None:
    assert_same_as_talib([
        (open_ * tick, (max(open_, close) + upper) * tick, (min(open_, close) - lower) * tick, close * tick, 1.0)
        for open_, close, upper, lower in shapes
    ])


@pytest.mark.shared
@pytest.mark.parametrize(
    ("file", "symbol"),
    [
        ("candles/binance_spot_1m_BTCquoted_2021-04_2021-05.parquet", "NXS/BTC"),
        ("candles/binance_spot_1m_BTC-ETH-ADA-DOGE_2021-04_2021-05.parquet", "DOGE/USDT"),
        ("candles/binance_spot_1h_61syms_2024-01_2024-09.parquet", "SHIB/USDT"),
        ("candles/coinbase_1d_BTC-USD_2014_2019.parquet", "BTC/USD"),
    ],
)
def test_patterns_of_recorded_candles_equal_talib(file: str, symbol: str) -> None:
    assert_same_as_talib(recorded_rows(shared_file(file), symbol, 6000))
