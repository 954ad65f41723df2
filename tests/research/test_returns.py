"""Returns and ranges by hand and against the technical library."""

from decimal import Decimal

import numpy as np
import pytest
import talib

from market.ticks import Candle
from research.history.returns import log_returns, returns, true_ranges
from store.candle_columns import CandleArrays, CandleColumns

MINUTE = 60_000_000_000


def arrays(rows: list[tuple[int, float, float, float]]) -> CandleArrays:
    made = []
    for place, high, low, close in rows:
        high_, low_, close_ = (Decimal(repr(each)) for each in (high, low, close))
        made.append(Candle("X", "1m", place * MINUTE, close_, high_, low_, close_, Decimal(1), 1, 0))
    return CandleArrays.of_columns("X", "1m", CandleColumns.of_candles(made))


def test_returns_are_from_close_to_close() -> None:
    made = arrays([(0, 11, 9, 10), (1, 13, 10, 12), (2, 12, 8, 9)])
    assert np.isnan(returns(made)[0])
    assert returns(made)[1:].tolist() == pytest.approx([0.2, -0.25])
    assert log_returns(made)[1:].tolist() == pytest.approx([np.log(1.2), np.log(0.75)])


def test_true_ranges_reach_to_the_previous_close_as_the_library_says() -> None:
    chance = np.random.default_rng(5)
    close = 100 + np.cumsum(chance.normal(0, 1, 200)).round(2)
    low, high = close - chance.uniform(0, 1, 200).round(2), close + chance.uniform(0, 1, 200).round(2)
    made = arrays([(at, float(high[at]), float(low[at]), float(close[at])) for at in range(200)])
    expected = talib.TRANGE(made.high, made.low, made.close)
    assert true_ranges(made)[1:].tolist() == pytest.approx(expected[1:].tolist())
    assert true_ranges(made)[0] == pytest.approx(made.high[0] - made.low[0])


def test_nothing_is_learnt_from_an_interpolated_candle() -> None:
    filled = arrays([(0, 11, 9, 10), (1, 11, 9, 10), (3, 13, 11, 12), (4, 13, 11, 12)]).interpolated()
    assert filled.is_interpolated.tolist() == [False, False, True, False, False]
    for measure in (returns, log_returns, true_ranges):
        assert np.isnan(measure(filled)[2:4]).all()
        assert not np.isnan(measure(filled)[[1, 4]]).any()
