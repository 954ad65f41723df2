"""What kind of market a stretch of candles was: crashing, trending, quiet or choppy, and the numbers that say so.

The first rule that holds:

- crashing: the low fell 20 % or more below the highest close of the seven days before it;
- trending: up or down 10 % or more from first to last, over at most four times the way of a straight line (the daily
  closes' efficiency ratio of P. Kaufman, Smarter Trading, 1995, is 0.25 or more);
- quiet: highest and lowest are less than 15 % apart;
- choppy: the rest.

These are words for months. Analytics: float64; prices in quote, times UTC ns.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from research.backtest.bars import Candles
from store.exact_column import Float64Array, Int64Array

Kind = Literal["crashing", "trending", "quiet", "choppy"]

CRASH_FALL: Final = 0.20
CRASH_NS: Final = 7 * 86_400 * 1_000_000_000
TREND_CHANGE: Final = 0.10
TREND_EFFICIENCY: Final = 0.25
QUIET_RANGE: Final = 0.15
_ROUNDING: Final = 1e-12
_ALL: Final = slice(None)
_DAY_NS: Final = 86_400 * 1_000_000_000


@dataclass(frozen=True, slots=True)
class MarketKind:
    """`change`: last close over first open - 1. `range`: highest over lowest - 1. `fall`: the deepest within seven
    days, from the close at `fall_from_ts` to the low of the candle at `fall_to_ts`. `usual_move`: median move of a
    candle's close.
    """

    kind: Kind
    change: float
    range: float
    efficiency: float
    usual_move: float
    highest: float
    highest_ts: int
    lowest: float
    lowest_ts: int
    fall: float
    fall_from_ts: int
    fall_to_ts: int


def judge_market(candles: Candles, part: slice = _ALL) -> MarketKind:
    """Of candles in time order, or of a part of them; at least one."""
    ts, open_, high = candles.ts[part], candles.open[part], candles.high[part]
    low, close = candles.low[part], candles.close[part]
    change = float(close[-1] / open_[0] - 1.0)
    top, bottom = int(np.argmax(high)), int(np.argmin(low))
    spread = float(high[top] / low[bottom] - 1.0)
    efficiency = _efficiency(ts, close, float(open_[0]))
    fall, begin, end = _deepest_fall(ts, low, close)
    moves = np.abs(np.diff(close) / close[:-1])
    kind: Kind = "choppy"
    if fall >= CRASH_FALL - _ROUNDING:
        kind = "crashing"
    elif abs(change) >= TREND_CHANGE - _ROUNDING and efficiency >= TREND_EFFICIENCY:
        kind = "trending"
    elif spread < QUIET_RANGE:
        kind = "quiet"
    return MarketKind(
        kind, change, spread, efficiency, float(np.median(moves)) if len(moves) else 0.0,
        float(high[top]), int(ts[top]), float(low[bottom]), int(ts[bottom]), fall, int(ts[begin]), int(ts[end]),
    )


def _efficiency(ts: Int64Array, close: Float64Array, first: float) -> float:
    days = ts // _DAY_NS
    daily = close[np.append(np.flatnonzero(np.diff(days)), len(close) - 1)]
    path = float(np.abs(np.diff(daily, prepend=first)).sum())
    return float(abs(daily[-1] - first)) / path if path > 0.0 else 0.0


def _deepest_fall(ts: Int64Array, low: Float64Array, close: Float64Array) -> tuple[float, int, int]:
    """(ratio, index of the peak close, index of the low) of the deepest fall within seven days."""
    peaks: list[int] = []  # candidates for the highest close, falling prices, oldest first
    first, deepest, begin, end = 0, 0.0, 0, 0
    for index in range(len(ts)):
        while first < len(peaks) and ts[index] - ts[peaks[first]] > CRASH_NS:
            first += 1
        if first < len(peaks):
            fall = 1.0 - low[index] / close[peaks[first]]
            if fall > deepest:
                deepest, begin, end = float(fall), peaks[first], index
        while len(peaks) > first and close[peaks[-1]] <= close[index]:
            peaks.pop()
        peaks.append(index)
    return deepest, begin, end
