"""A second opinion: the `ta` library, whose averages begin at the first candle and agree once that is forgotten."""

from collections.abc import Callable

import numpy
import pandas
import pytest
from ta.momentum import RSIIndicator
from ta.trend import MACD, EMAIndicator, SMAIndicator
from ta.volatility import AverageTrueRange, BollingerBands

from market.indicators_features import IndicatorSet
from tests.candle_paths import candles, random_rows

FORGOTTEN = 600
"""Candles after which (25/27)^n and (13/14)^n are far below 1e-9."""

PRICES = (1.7e-5, 1.0, 61_837.63)
Frame = pandas.DataFrame


def frame_and_features(price: float) -> tuple[Frame, list[dict[str, float]]]:
    rows = random_rows(21, 1_500, price=price, step=0.003)
    indicators, told = IndicatorSet(), []
    for one in candles(rows):
        indicators.update(one)
        told.append(dict(indicators.features()))
    return Frame(rows, columns=["open", "high", "low", "close", "volume"]), told


REFERENCES: dict[str, Callable[[Frame], pandas.Series]] = {
    "rsi_14": lambda frame: RSIIndicator(frame.close, 14).rsi(),
    "macd": lambda frame: MACD(frame.close, 26, 12, 9).macd(),
    "macd_signal": lambda frame: MACD(frame.close, 26, 12, 9).macd_signal(),
    "macd_histogram": lambda frame: MACD(frame.close, 26, 12, 9).macd_diff(),
    "atr_14": lambda frame: AverageTrueRange(frame.high, frame.low, frame.close, 14).average_true_range(),
    "bollinger_upper": lambda frame: BollingerBands(frame.close, 20, 2).bollinger_hband(),
    "bollinger_middle": lambda frame: BollingerBands(frame.close, 20, 2).bollinger_mavg(),
    "bollinger_lower": lambda frame: BollingerBands(frame.close, 20, 2).bollinger_lband(),
    "sma_20": lambda frame: SMAIndicator(frame.close, 20).sma_indicator(),
    "sma_50": lambda frame: SMAIndicator(frame.close, 50).sma_indicator(),
    "ema_12": lambda frame: EMAIndicator(frame.close, 12).ema_indicator(),
    "ema_26": lambda frame: EMAIndicator(frame.close, 26).ema_indicator(),
    "volume_average_20": lambda frame: SMAIndicator(frame.volume, 20).sma_indicator(),
}


@pytest.mark.parametrize("price", PRICES)
def test_what_the_analyst_tells_equals_the_ta_library(price: float) -> None:
    frame, told = frame_and_features(price)
    for name, reference in REFERENCES.items():
        ours = numpy.array([features[name] for features in told[FORGOTTEN:]])
        theirs = reference(frame).to_numpy()[FORGOTTEN:]
        # A difference of prices may be next to nothing: then 1e-9 of a thousandth of the price.
        near = 1e-12 * price if name.startswith("macd") else 0.0
        numpy.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=near, err_msg=name)
