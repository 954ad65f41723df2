"""What the last thirty days say of a symbol: how far it swings, how wild it is, when and where it is traded.

Pure: arrays of candles in, figures out. Volatility is the standard deviation of logarithmic returns, scaled to a day by
the square root of time; a swing is (highest - lowest) / lowest of 24 hours, the newest ending with the last candle.
"""

from dataclasses import dataclass
from math import sqrt
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from market.interval import SECOND_NS, interval_ns
from market.volume_profile import volume_profile

MONTH_DAYS: Final = 30
DAY_NS: Final = 86_400 * SECOND_NS
HOUR_NS: Final = 3_600 * SECOND_NS
LEAST_CANDLES: Final = 24
"""Fewer tell nothing."""

PROFILE_ROWS: Final = 48

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class MonthProfile:
    """Prices in quote, ratios of price, times in UTC ns. `days`: how many the candles reach back, at most 30.

    `recent_volatility` is that of the last 24 hours, `volatility` of all, both per day; `efficiency` is the net move
    over the path of the closes a day apart (1 = straight); `turnover_per_day` in quote; the hours are those of the day
    (0-23, UTC) with the most and the least turnover.
    """

    symbol: str
    interval: str
    candles: int
    first_ns: int
    end_ns: int
    days: float
    first_price: float
    last_price: float
    highest: float
    lowest: float
    change_ratio: float
    max_drawdown: float
    volatility: float
    recent_volatility: float
    average_swing_ratio: float
    efficiency: float
    turnover_per_day: float
    busiest_hour: int
    quietest_hour: int
    point_of_control: float | None
    value_area_low: float | None
    value_area_high: float | None


def month_profile(
    symbol: str, interval: str, ts_open: NDArray[np.int64], opens: Floats, highs: Floats, lows: Floats, closes: Floats,
    volumes: Floats,
) -> MonthProfile | None:
    """Of the last thirty days before the end of the newest candle; None when fewer than 24 candles are there.

    The arrays have one length and go from old to new; candles may be missing between them.
    """
    if not len(ts_open):
        return None
    length = interval_ns(interval)
    end = int(ts_open[-1]) + length
    kept = ts_open >= end - MONTH_DAYS * DAY_NS
    times = ts_open[kept]
    first, high, low, close, volume = (series[kept] for series in (opens, highs, lows, closes, volumes))
    if len(times) < LEAST_CANDLES or not low.min() > 0.0:
        return None
    begin = int(times[0])
    days = (end - begin) / DAY_NS
    returns = np.diff(np.log(close))
    a_day = sqrt(DAY_NS / length)
    is_recent = times[1:] >= end - DAY_NS
    by_volume = volume_profile(high.tolist(), low.tolist(), volume.tolist(), PROFILE_ROWS)
    busiest, quietest = _hours(times, close * volume)
    return MonthProfile(
        symbol, interval, len(times), begin, end, round(days, 3),
        first_price=float(first[0]),
        last_price=float(close[-1]),
        highest=float(high.max()),
        lowest=float(low.min()),
        change_ratio=float(close[-1] / first[0] - 1.0),
        max_drawdown=float((1.0 - close / np.maximum.accumulate(close)).max()),
        volatility=float(returns.std() * a_day),
        recent_volatility=float(returns[is_recent].std() * a_day) if is_recent.sum() > 1 else 0.0,
        average_swing_ratio=_average_swing(times, high, low, end),
        efficiency=_efficiency(times, close, end),
        turnover_per_day=float((close * volume).sum() / days),
        busiest_hour=busiest,
        quietest_hour=quietest,
        point_of_control=by_volume.point_of_control if by_volume else None,
        value_area_low=by_volume.value_low if by_volume else None,
        value_area_high=by_volume.value_high if by_volume else None,
    )


def _average_swing(times: NDArray[np.int64], high: Floats, low: Floats, end: int) -> float:
    """Over whole blocks of 24 hours; over what there is when there is less than one."""
    block = (end - 1 - times) // DAY_NS  # 0 is the newest
    whole = (end - int(times[0])) // DAY_NS
    swings = [
        float((high[chosen].max() - low[chosen].min()) / low[chosen].min())
        for number in range(max(int(whole), 1)) if (chosen := block == number).any()
    ]
    return sum(swings) / len(swings) if swings else 0.0


def _efficiency(times: NDArray[np.int64], close: Floats, end: int) -> float:
    block = (end - 1 - times) // DAY_NS
    daily = close[np.flatnonzero(np.diff(block, append=-1))]  # the last close of each day
    path = float(np.abs(np.diff(daily)).sum())
    return abs(float(daily[-1] - daily[0])) / path if path > 0.0 else 0.0


def _hours(times: NDArray[np.int64], turnover: Floats) -> tuple[int, int]:
    """The hour with the largest, and of those that were seen the one with the smallest mean turnover."""
    hours = (times // HOUR_NS % 24).astype(np.int64)
    count = np.bincount(hours, minlength=24)
    mean = np.bincount(hours, turnover, minlength=24) / np.maximum(count, 1)
    return int(np.where(count > 0, mean, -1.0).argmax()), int(np.where(count > 0, mean, np.inf).argmin())
