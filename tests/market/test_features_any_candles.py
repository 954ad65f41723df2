"""Every feature on any candles: finite, and the same shape whatever the unit of price and volume."""

from dataclasses import replace
from decimal import Decimal
from math import isfinite

from hypothesis import given, settings
from hypothesis import strategies as some

from market.candles import CandleBuilder
from market.indicators_features import FEATURE_NAMES, IndicatorSet
from market.interval import SECOND_NS
from tests.candle_paths import START_NS, Row, candle

PRICES = {
    "open", "high", "low", "close", "macd", "macd_signal", "macd_histogram", "atr_14", "atr_average", "true_range",
    "bollinger_upper", "bollinger_middle", "bollinger_lower", "sma_20", "sma_50", "ema_12", "ema_26", "vwap",
    "point_of_control", "value_area_low", "value_area_high", "highest_20", "lowest_20", "swing_high", "swing_low",
    "resistance", "support", "slope_10", "chart_target",
}
VOLUMES = {"volume", "volume_average_20"}


@some.composite
def rough_candles(draw: some.DrawFn) -> list[tuple[int, Row]]:
    """(place in time, row): steps, flat stretches, jumps of a factor, missing candles, none or much volume."""
    rows: list[tuple[int, Row]] = []
    level, place = 64.0, 0
    shapes = some.tuples(
        some.sampled_from([0, 0, 0, 1, -1, 2, -2, 5, -7, 40, -30]), some.integers(0, 4), some.integers(0, 4),
        some.sampled_from([0.0, 0.0, 1.0, 3.0, 1000.0]), some.sampled_from([1, 1, 1, 2, 500]),
    )
    for step, up, down, volume, gap in draw(some.lists(shapes, min_size=30, max_size=140)):
        close = max(level + step, 1.0)
        high, low = max(level, close) + up, max(min(level, close) - down, 0.5)
        rows.append((place, (level, high, low, close, volume)))
        level, place = close, place + gap
    return rows


def features_of(rows: list[tuple[int, Row]], price: float = 1.0, volume: float = 1.0) -> dict[str, float]:
    indicators = IndicatorSet()
    for place, row in rows:
        scaled = (*(each * price for each in row[:4]), row[4] * volume)
        one = candle(scaled, place)
        indicators.update(replace(one, taker_buy_volume=one.volume / 2))
    return dict(indicators.features())


@settings(max_examples=120, deadline=None)
@given(rough_candles())
def test_features_of_rough_candles_are_finite_and_named(rows: list[tuple[int, Row]]) -> None:
    features = features_of(rows)
    assert set(features) <= set(FEATURE_NAMES)
    assert all(isfinite(value) for value in features.values())
    for name in ("point_of_control", "value_area_low", "value_area_high"):
        if name in features:
            assert min(row[2] for _, row in rows) - 1e-9 <= features[name] <= max(row[1] for _, row in rows) + 1e-9


@settings(max_examples=80, deadline=None)
@given(rough_candles(), some.sampled_from([2.0**-33, 2.0**-20, 2.0**17]), some.sampled_from([2.0**-10, 1.0, 2.0**20]))
def test_features_know_no_unit_of_price_or_volume(rows: list[tuple[int, Row]], price: float, volume: float) -> None:
    plain, other = features_of(rows), features_of(rows, price, volume)
    assert list(plain) == list(other)
    for name, value in plain.items():
        scale = price if name in PRICES else volume if name in VOLUMES else 1.0
        assert other[name] == value * scale, name


def test_candles_built_live_from_trades_and_stored_ones_give_the_same_features_but_for_the_takers() -> None:
    builder, live, stored = CandleBuilder("BTC/USDT", ["1s"]), IndicatorSet(), IndicatorSet()
    price, built = Decimal(100), []
    for number in range(4000):
        price += Decimal((number * 7919) % 13 - 6) / 100
        at = START_NS + number * SECOND_NS // 8
        side = "buy" if number % 3 else "sell"
        built += builder.on_trade(price, Decimal(1 + number % 5), at, at, side)
    for one in built:
        live.update(one)
        stored.update(replace(one, taker_buy_volume=None))
    told = dict(live.features())
    assert -1.0 < told.pop("taker_flow_20") < 1.0
    assert told == stored.features()
    assert len(told) > 50
