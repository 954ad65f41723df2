"""Returns, log returns and true ranges of a series; NaN where a candle is interpolated: nothing is learnt from it.

True range: J. Welles Wilder, New Concepts in Technical Trading Systems (1978): the largest of high - low,
|high - previous close|, |low - previous close|; of the first candle high - low.
"""

import numpy as np

from store.candle_columns import CandleArrays
from store.exact_column import BoolArray, Float64Array


def returns(arrays: CandleArrays) -> Float64Array:
    """close / previous close - 1; NaN for the first."""
    return _after_first(arrays, arrays.close[1:] / arrays.close[:-1] - 1.0)


def log_returns(arrays: CandleArrays) -> Float64Array:
    """ln(close / previous close); NaN for the first."""
    return _after_first(arrays, np.log(arrays.close[1:] / arrays.close[:-1]))


def true_ranges(arrays: CandleArrays) -> Float64Array:
    """In quote currency."""
    made = arrays.high - arrays.low
    before = arrays.close[:-1]
    made[1:] = np.maximum(made[1:], np.maximum(np.abs(arrays.high[1:] - before), np.abs(arrays.low[1:] - before)))
    made[_is_made_up(arrays)] = np.nan
    return made


def _after_first(arrays: CandleArrays, values: Float64Array) -> Float64Array:
    made = np.full(len(arrays), np.nan)
    made[1:] = values
    made[_is_made_up(arrays)] = np.nan
    return made


def _is_made_up(arrays: CandleArrays) -> BoolArray:
    """The candle or the one it is compared with was interpolated."""
    made_up = arrays.is_interpolated.copy()
    made_up[1:] |= arrays.is_interpolated[:-1]
    return made_up
