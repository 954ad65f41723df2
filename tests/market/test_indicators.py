from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal

import numpy
import pytest
import talib
from hypothesis import given
from hypothesis import strategies as some

from market.indicators import (
    AverageTrueRange,
    BollingerBands,
    ExponentialMovingAverage,
    MovingAverageConvergenceDivergence,
    RelativeStrengthIndex,
    SimpleMovingAverage,
)
from market.indicators_features import FEATURE_NAMES, WINDOW, IndicatorSet
from market.indicators_window import (
    EfficiencyRatio,
    LinearSlope,
    RecentMean,
    RollingExtreme,
    SessionVwap,
    Swing,
    SwingPoints,
)
from market.interval import SECOND_NS
from tests.candle_paths import Row, candle, candles, flat_rows, random_rows, recorded_rows
from tests.shared_data import shared_file

RELATIVE = 1e-9
RECORDINGS = {
    "BTC minutes": ("candles/binance_spot_1m_BTC-ETH_2024-07_2024-08.parquet", "BTC/USDT"),
    "DOGE minutes": ("candles/binance_spot_1m_BTC-ETH-ADA-DOGE_2021-04_2021-05.parquet", "DOGE/USDT"),
    "a thin pair, often flat": ("candles/binance_spot_1m_BTCquoted_2021-04_2021-05.parquet", "NXS/BTC"),
    "hours over a day's end": ("candles/binance_spot_1h_61syms_2024-01_2024-09.parquet", "SOL/USDT"),
}


def _recorded(name: str) -> list[Row]:
    file, symbol = RECORDINGS[name]
    return recorded_rows(shared_file(file), symbol, 3000)


SERIES: dict[str, Callable[[], list[Row]]] = {
    "a random walk": lambda: random_rows(1, 2000),
    "a dear coin": lambda: random_rows(2, 2000, price=61_837.63, step=0.0003),
    "a cheap coin": lambda: random_rows(3, 2000, price=0.00001234),
    "flat, then moving, then flat": lambda: flat_rows(60) + random_rows(4, 200) + flat_rows(80, 64.0),
    **{name: (lambda name=name: _recorded(name)) for name in RECORDINGS},
}


def _column(rows: Sequence[Row], index: int) -> numpy.ndarray:
    return numpy.array([row[index] for row in rows], dtype=numpy.float64)


def _same(ours: Sequence[float | None], theirs: numpy.ndarray, *, absolute: float = 0.0) -> None:
    """Equal to 1e-9 relative, and missing in the same places."""
    assert len(ours) == len(theirs)
    mine = numpy.array([numpy.nan if value is None else value for value in ours])
    assert (numpy.isnan(mine) == numpy.isnan(theirs)).all()
    numpy.testing.assert_allclose(mine, theirs, rtol=RELATIVE, atol=absolute)


@pytest.fixture(params=SERIES, ids=lambda name: name.replace(" ", "-"))
def rows(request: pytest.FixtureRequest) -> list[Row]:
    return SERIES[request.param]()


def test_the_rsi_equals_talib(rows: list[Row]) -> None:
    rsi = RelativeStrengthIndex(14)
    _same([rsi.update(row[3]) for row in rows], talib.RSI(_column(rows, 3), 14))


def test_the_atr_equals_talib(rows: list[Row]) -> None:
    atr = AverageTrueRange(14)
    theirs = talib.ATR(_column(rows, 1), _column(rows, 2), _column(rows, 3), 14)
    # Where Wilder's average has decayed to nothing the last digit of a price remains: relative to price.
    _same([atr.update(row[1], row[2], row[3]) for row in rows], theirs, absolute=1e-15 * rows[0][3])


def test_the_macd_equals_talib(rows: list[Row]) -> None:
    macd = MovingAverageConvergenceDivergence(12, 26, 9)
    told: list[tuple[float | None, float | None, float | None]] = []
    for row in rows:
        macd.update(row[3])
        told.append((macd.value, macd.signal, macd.histogram))
    # The lines are small differences of prices: 1e-9 of them, or of the last digits of the price.
    for ours, theirs in zip(zip(*told, strict=True), talib.MACD(_column(rows, 3), 12, 26, 9), strict=True):
        _same(ours, theirs, absolute=1e-13 * rows[0][3])


def test_the_bollinger_bands_equal_talib(rows: list[Row]) -> None:
    bands = BollingerBands(20, 2.0)
    told: list[tuple[float | None, float | None, float | None]] = []
    for row in rows:
        bands.update(row[3])
        told.append((bands.upper, bands.value, bands.lower))
    for ours, theirs in zip(zip(*told, strict=True), talib.BBANDS(_column(rows, 3), 20, 2.0, 2.0), strict=True):
        _same(ours, theirs)


@pytest.mark.parametrize("period", [3, 20, 50])
def test_the_simple_average_equals_talib(rows: list[Row], period: int) -> None:
    average = SimpleMovingAverage(period)
    _same([average.update(row[3]) for row in rows], talib.SMA(_column(rows, 3), period))


@pytest.mark.parametrize("period", [9, 12, 26])
def test_the_exponential_average_equals_talib(rows: list[Row], period: int) -> None:
    average = ExponentialMovingAverage(period)
    _same([average.update(row[3]) for row in rows], talib.EMA(_column(rows, 3), period))


def test_highs_and_lows_of_a_window_equal_talib(rows: list[Row]) -> None:
    highest, lowest = RollingExtreme(20), RollingExtreme(20, lowest=True)
    told = [(highest.update(row[1]), lowest.update(row[2])) for row in rows]
    _same([high for high, _ in told], talib.MAX(_column(rows, 1), 20))
    _same([low for _, low in told], talib.MIN(_column(rows, 2), 20))


def test_the_slope_equals_talib(rows: list[Row]) -> None:
    slope = LinearSlope(10)
    theirs = talib.LINEARREG_SLOPE(_column(rows, 3), 10)
    _same([slope.update(row[3]) for row in rows], theirs, absolute=1e-13 * rows[0][3])


def test_prices_that_never_moved_give_an_rsi_of_0_as_in_talib_and_no_deviation() -> None:
    rsi, bands, atr = RelativeStrengthIndex(), BollingerBands(), AverageTrueRange()
    for _ in range(100):
        rsi.update(0.1)
        bands.update(0.1)
        atr.update(0.1, 0.1, 0.1)
    assert (rsi.value, bands.deviation, atr.value) == (0.0, 0.0, 0.0)


@given(some.lists(some.floats(1e-6, 1e6), min_size=15, max_size=80))
def test_the_rsi_stays_between_0_and_100(prices: list[float]) -> None:
    rsi = RelativeStrengthIndex()
    for price in prices:
        rsi.update(price)
        assert rsi.value is None or 0.0 <= rsi.value <= 100.0


@given(some.lists(some.integers(1, 6), min_size=1, max_size=60), some.integers(1, 12), some.booleans())
def test_a_rolling_extreme_is_that_of_its_window(prices: list[int], period: int, lowest: bool) -> None:
    extreme = RollingExtreme(period, lowest=lowest)
    choose = min if lowest else max
    for index, price in enumerate(prices):
        expected = choose(prices[index - period + 1 : index + 1]) if index >= period - 1 else None
        assert extreme.update(float(price)) == expected


@given(some.lists(some.integers(1, 5), min_size=1, max_size=60), some.booleans())
def test_a_swing_is_above_what_came_before_and_not_below_what_came_after(prices: list[int], low: bool) -> None:
    swings = SwingPoints(low=low, side=3, keep=100)
    expected = []
    for index, price in enumerate(prices):
        confirmed = swings.update(float(price), float(index))
        middle = index - 3
        signed = [-one if low else one for one in prices]
        is_swing = (
            middle >= 3
            and all(signed[middle] > one for one in signed[middle - 3 : middle])
            and all(signed[middle] >= one for one in signed[middle + 1 : index + 1])
        )
        assert confirmed is is_swing
        if is_swing:
            expected.append(Swing(float(prices[middle]), middle, (float(middle),)))
            assert swings.age == 3
    assert list(swings.points) == expected


def test_flat_prices_have_no_swings() -> None:
    swings = SwingPoints()
    assert not any(swings.update(5.0) for _ in range(50))


def test_the_vwap_weighs_typical_prices_by_volume_and_begins_anew_at_midnight_utc() -> None:
    vwap = SessionVwap()
    midnight = 19_944 * 86_400 * SECOND_NS
    assert vwap.update(midnight, 12.0, 9.0, 9.0, 1.0) == 10.0
    assert vwap.update(midnight + SECOND_NS, 20.0, 20.0, 20.0, 3.0) == 17.5
    assert vwap.update(midnight + 86_400 * SECOND_NS, 6.0, 6.0, 6.0, 2.0) == 6.0


def test_the_vwap_of_a_day_whose_beginning_was_not_seen_is_not_known() -> None:
    vwap = SessionVwap()
    midnight = 19_944 * 86_400 * SECOND_NS
    assert vwap.update(midnight - 7200 * SECOND_NS, 12.0, 9.0, 9.0, 1.0) is None
    assert vwap.update(midnight - 3600 * SECOND_NS, 12.0, 9.0, 9.0, 1.0) is None
    assert vwap.update(midnight + 60 * SECOND_NS, 6.0, 6.0, 6.0, 2.0) == 6.0  # nothing was traded in its first minute
    assert vwap.update(midnight + 3 * 86_400 * SECOND_NS - SECOND_NS, 6.0, 6.0, 6.0, 2.0) is None  # after days unseen


def test_a_vwap_without_volume_is_not_known() -> None:
    vwap = SessionVwap()
    midnight = 19_944 * 86_400 * SECOND_NS
    assert vwap.update(midnight, 12.0, 9.0, 9.0, 0.0) is None
    assert vwap.update(midnight + SECOND_NS, 12.0, 9.0, 9.0, 1.0) == 10.0


def test_a_straight_line_is_efficient_a_zigzag_is_not_and_flat_is_0() -> None:
    line, zigzag, flat = EfficiencyRatio(20), EfficiencyRatio(20), EfficiencyRatio(20)
    for index in range(40):
        line.update(100.0 + index)
        zigzag.update(100.0 + index % 2)
        flat.update(100.0)
    assert (line.value, zigzag.value, flat.value) == (1.0, 0.0, 0.0)


def test_a_recent_mean_is_told_from_its_minimum_on() -> None:
    mean = RecentMean(3, 2)
    assert [mean.update(value) for value in (1.0, 3.0, 5.0, 7.0)] == [None, 2.0, 3.0, 5.0]


def _filled(rows: Sequence[Row]) -> IndicatorSet:
    indicators = IndicatorSet()
    for one in candles(rows):
        assert indicators.update(one)
    return indicators


def test_every_feature_has_its_name_and_place_after_a_hundred_candles() -> None:
    features = _filled(random_rows(5, 400)).features()
    missing = set(FEATURE_NAMES) - set(features)
    # A level is absent where price is beyond every swing, a target without a pattern, takers where nobody tells them.
    assert missing <= {
        "resistance", "resistance_touches", "support", "support_touches", "chart_target", "taker_flow_20",
    }
    assert list(features) == [name for name in FEATURE_NAMES if name in features]


def test_features_lack_what_has_no_history_yet() -> None:
    assert set(_filled(random_rows(5, 1)).features()) == {"open", "high", "low", "close", "volume", "vwap"}
    twenty = _filled(random_rows(5, 20)).features()
    assert {"rsi_14", "atr_14", "sma_20", "bollinger_z"} <= set(twenty)
    assert not {"macd", "sma_50", "efficiency_20", "highest_20"} & set(twenty)


def test_flat_prices_without_volume_give_finite_features() -> None:
    features = _filled(flat_rows(200)).features()
    assert all(numpy.isfinite(value) for value in features.values())
    assert features["bollinger_z"] == features["atr_14"] == features["slope_10"] == 0.0
    assert "volume_ratio" not in features


def test_a_candle_that_is_repeated_or_older_changes_nothing() -> None:
    rows = random_rows(6, 60)
    indicators = _filled(rows)
    before = dict(indicators.features())
    assert not indicators.update(candle(rows[0], 59))
    assert not indicators.update(candle(rows[0], 12))
    assert indicators.features() == before
    assert indicators.count == 60


def test_a_second_without_trades_is_no_obstacle() -> None:
    rows = random_rows(6, 60)
    whole = _filled(rows)
    gappy = IndicatorSet()
    for index, row in enumerate(rows):
        assert gappy.update(candle(row, index + 7 * (index >= 30)))
    assert gappy.features() == whole.features()


def test_highs_before_the_newest_candle_leave_it_out() -> None:
    rows = [*flat_rows(25), (100.0, 130.0, 99.0, 120.0, 1.0)]
    features = _filled(rows).features()
    assert (features["highest_20"], features["lowest_20"]) == (100.0, 100.0)
    assert "range_expansion" not in features  # nothing moved before: there is no range to compare with


def test_the_kept_window_is_bounded() -> None:
    indicators = _filled(random_rows(7, 5 * WINDOW))
    for series in (indicators.opens, indicators.highs, indicators.lows, indicators.closes, indicators.volumes):
        assert WINDOW <= len(series) <= 2 * WINDOW
    assert indicators.closes[-1] == indicators.features()["close"]


def _lower_low_on_a_slower_fall() -> list[Row]:
    fall = [100.0 - index for index in range(30)]  # steep to 71
    bounce = [71.0 + 1.5 * index for index in range(1, 9)]
    slow = [83.0 - 0.9 * index for index in range(1, 15)]  # slower, to a lower low of 70.4
    rise = [70.4 + index for index in range(1, 8)]
    before = [100.0 + 0.2 * (index % 3) for index in range(30)]
    closes = before + fall + bounce + slow + rise
    return [(close, close + 0.1, close - 0.1, close, 1.0) for close in closes]


def test_a_lower_low_on_a_higher_rsi_is_a_bullish_divergence_and_so_is_one_on_a_higher_macd() -> None:
    features = _filled(_lower_low_on_a_slower_fall()).features()
    assert features["divergence"] == features["macd_divergence"] == 1.0


def test_a_divergence_is_old_news_twenty_candles_after_its_swing_whatever_swings_follow() -> None:
    rows = _lower_low_on_a_slower_fall()
    level = rows[-1][3]
    wave = [level + (index % 12 if index % 12 < 6 else 12 - index % 12) for index in range(24)]
    rows += [(price, price + 0.1, price - 0.1, price, 1.0) for price in wave]
    told = [_filled(rows[:count]).features()["divergence"] for count in range(len(rows) - 24, len(rows) + 1)]
    assert told[0] == 1.0
    assert told[-1] != 1.0
    assert sum(1 for each in told if each == 1.0) <= 20


def test_the_touches_of_a_level_are_the_swings_that_turned_near_it() -> None:
    wave = [100.0 + (index % 12 if index % 12 < 6 else 12 - index % 12) for index in range(80)]
    features = _filled([(price, price + 0.1, price - 0.1, price, 1.0) for price in wave]).features()
    assert (features["support"], features["resistance"]) == (99.9, 106.1)
    assert (features["support_touches"], features["resistance_touches"]) == (5.0, 5.0)


def test_taker_flow_is_told_only_while_every_candle_tells_its_takers() -> None:
    rows = random_rows(9, 60)
    indicators = IndicatorSet()
    seen = []
    for index, row in enumerate(rows):
        one = candle(row, index)
        bought = None if index == 25 else one.volume * Decimal("0.75")
        indicators.update(replace(one, taker_buy_volume=bought))
        seen.append(indicators.features().get("taker_flow_20"))
    assert seen[:19] == [None] * 19
    assert seen[24] == pytest.approx(0.5)
    assert seen[25:45] == [None] * 20
    assert seen[45] == pytest.approx(0.5)


def test_features_of_a_candle_do_not_change_with_what_comes_later() -> None:
    rows = random_rows(11, 500, step=0.004)
    whole, told = IndicatorSet(), []
    for one in candles(rows):
        whole.update(one)
        told.append(dict(whole.features()))
    for cut in (60, 133, 250, 499):
        assert _filled(rows[:cut]).features() == told[cut - 1]


def test_features_are_the_same_whether_or_not_they_were_asked_for_before() -> None:
    rows = random_rows(12, 300, step=0.004)
    asked = IndicatorSet()
    for one in candles(rows):
        asked.update(one)
        asked.features()
    assert asked.features() == _filled(rows).features()
