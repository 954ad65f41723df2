"""Candlestick patterns by TA-Lib's definitions (its `ta_CDL*.c`, default settings), one update per closed candle.

A pattern is 1 (bullish), -1 (bearish), 0 (not there); TA-Lib's 80 (an engulfing or harami whose ends touch) is 0.8.
What "long", "short" or "near" means is measured against running means of the candles before, which are summed in
TA-Lib's order: begun at the same candle, ties of coarse ticks fall on the same side.
"""

from collections import deque
from typing import Final, NamedTuple

PATTERN_NAMES: Final = (
    "candle_doji", "candle_dragonfly_doji", "candle_gravestone_doji", "candle_spinning_top", "candle_marubozu",
    "candle_hammer", "candle_hanging_man", "candle_inverted_hammer", "candle_shooting_star",
    "candle_engulfing", "candle_harami", "candle_piercing", "candle_dark_cloud_cover",
    "candle_morning_star", "candle_evening_star", "candle_three_white_soldiers", "candle_three_black_crows",
)
"""In the order they are told."""

STAR_PENETRATION: Final = 0.3
CLOUD_PENETRATION: Final = 0.5


class _Shape(NamedTuple):
    """One candle: prices, and the lengths of its parts."""

    open: float
    high: float
    low: float
    close: float
    top: float  # of the body
    bottom: float
    body: float
    upper: float
    lower: float
    colour: int  # 1 closes at or above its open, -1 below


def _shape(open_: float, high: float, low: float, close: float) -> _Shape:
    if close >= open_:
        return _Shape(open_, high, low, close, close, open_, close - open_, high - close, open_ - low, 1)
    return _Shape(open_, high, low, close, open_, close, open_ - close, high - open_, close - low, -1)


class _RunningMeans:
    """Means of the `period` ranges that end `lag` candles before the newest, one for each (lag, start).

    `start` is the number of the candle (from 0) at which the sum begins: of the same lag all grow by the same
    difference, but they began with other candles and differ in the last digits, as TA-Lib's do.
    """

    __slots__ = ("_period", "_starts_by_lag", "_totals")

    def __init__(self, period: int, *keys: tuple[int, int]) -> None:
        self._period = period
        self._totals = dict.fromkeys(keys, 0.0)
        self._starts_by_lag: dict[int, list[tuple[int, int]]] = {}
        for key in keys:
            self._starts_by_lag.setdefault(key[0], []).append(key)

    def advance(self, number: int, ranges: deque[float]) -> None:
        """`number` of the newest candle; `ranges` ends with its range."""
        totals, period, newest = self._totals, self._period, len(ranges) - 1
        for lag, keys in self._starts_by_lag.items():
            end = newest - lag
            difference = ranges[end - 1] - ranges[end - 1 - period] if number > 10 + lag else 0.0
            for key in keys:
                if number > key[1]:
                    totals[key] += difference
                elif number == key[1]:
                    totals[key] = sum_in_order(ranges, end - period, end)

    def __getitem__(self, key: tuple[int, int]) -> float:
        return self._totals[key] / self._period


def sum_in_order(values: deque[float], begin: int, end: int) -> float:
    """Plain sum from left to right (newer Pythons' `sum` compensates, and would differ in the last digit)."""
    total = 0.0
    for index in range(begin, end):
        total += values[index]
    return total


class CandlePatterns:
    """Feed closed candles in time order; ask `values` when the patterns are wanted."""

    __slots__ = ("_bodies", "_body", "_count", "_near", "_range", "_ranges", "_shapes")

    def __init__(self) -> None:
        self._count = 0
        self._shapes: deque[_Shape] = deque(maxlen=4)
        self._bodies: deque[float] = deque(maxlen=14)
        self._ranges: deque[float] = deque(maxlen=14)
        # By (lag, start): each pattern of TA-Lib begins its sums where it has enough candles itself.
        self._body = _RunningMeans(10, (0, 10), (0, 11), (1, 11), (0, 12), (1, 12), (2, 12))
        self._range = _RunningMeans(10, (0, 10), (0, 11), (0, 12), (1, 12), (2, 12), (0, 13), (1, 13), (2, 13))
        self._near = _RunningMeans(5, (1, 11), (1, 12), (2, 12))

    def update(self, open_: float, high: float, low: float, close: float) -> None:
        """One closed candle; prices in quote."""
        shape = _shape(open_, high, low, close)
        self._shapes.append(shape)
        self._bodies.append(shape.body)
        self._ranges.append(high - low)
        number = self._count
        self._count += 1
        if number < 10:
            return
        self._body.advance(number, self._bodies)
        self._range.advance(number, self._ranges)
        self._near.advance(number, self._ranges)

    def values(self) -> dict[str, float]:
        """What the newest candle completes, by name; empty before the fourteenth candle."""
        if self._count < 14:
            return {}
        third, second, before, now = self._shapes
        told = (
            *self._single(now), *self._beside(before, now), _engulfing(before, now), self._harami(before, now),
            self._piercing(before, now), self._dark_cloud(before, now), *self._stars(second, before, now),
            self._soldiers(second, before, now), self._crows(third, second, before, now),
        )
        return dict(zip(PATTERN_NAMES, told, strict=True))

    def _single(self, now: _Shape) -> tuple[float, ...]:
        """Doji, dragonfly, gravestone, spinning top, marubozu."""
        body, very_short = self._body[0, 10], 0.1 * self._range[0, 10]
        is_doji = now.body <= very_short
        is_spinning = now.body < body and now.upper > now.body and now.lower > now.body
        is_marubozu = now.body > body and now.upper < very_short and now.lower < very_short
        return (
            float(is_doji),
            float(is_doji and now.upper < very_short and now.lower > very_short),
            float(is_doji and now.lower < very_short and now.upper > very_short),
            float(is_spinning * now.colour),
            float(is_marubozu * now.colour),
        )

    def _beside(self, before: _Shape, now: _Shape) -> tuple[float, ...]:
        """Hammer, hanging man, inverted hammer, shooting star: a small body at one end of a long shadow."""
        if now.body >= self._body[0, 11]:
            return 0.0, 0.0, 0.0, 0.0
        very_short, near = 0.1 * self._range[0, 11], 0.2 * self._near[1, 11]
        hangs = now.lower > now.body and now.upper < very_short
        stands = now.upper > now.body and now.lower < very_short
        return (
            float(hangs and now.bottom <= before.low + near), 0.0 - float(hangs and now.bottom >= before.high - near),
            float(stands and now.top < before.bottom), 0.0 - float(stands and now.bottom > before.top),
        )

    def _harami(self, before: _Shape, now: _Shape) -> float:
        if before.body <= self._body[1, 11] or now.body > self._body[0, 11]:
            return 0.0
        if now.top < before.top and now.bottom > before.bottom:
            return -1.0 * before.colour
        return -0.8 * before.colour if now.top <= before.top and now.bottom >= before.bottom else 0.0

    def _piercing(self, before: _Shape, now: _Shape) -> float:
        return float(
            before.colour == -1 and now.colour == 1
            and before.body > self._body[1, 11] and now.body > self._body[0, 11]
            and now.open < before.low and before.close + before.body * CLOUD_PENETRATION < now.close < before.open
        )

    def _dark_cloud(self, before: _Shape, now: _Shape) -> float:
        return 0.0 - float(
            before.colour == 1 and now.colour == -1 and before.body > self._body[1, 11]
            and now.open > before.high and before.open < now.close < before.close - before.body * CLOUD_PENETRATION
        )

    def _stars(self, first: _Shape, star: _Shape, last: _Shape) -> tuple[float, float]:
        """Morning star and evening star."""
        short = self._body
        if first.body <= short[2, 12] or star.body > short[1, 12] or last.body <= short[0, 12]:
            return 0.0, 0.0
        reach = first.body * STAR_PENETRATION
        if first.colour == -1 and last.colour == 1:
            return float(star.top < first.bottom and last.close > first.close + reach), 0.0
        if first.colour == 1 and last.colour == -1:
            return 0.0, 0.0 - float(star.bottom > first.top and last.close < first.close - reach)
        return 0.0, 0.0

    def _soldiers(self, first: _Shape, second: _Shape, last: _Shape) -> float:
        shapes = (first, second, last)
        if any(shape.colour != 1 for shape in shapes) or not first.close < second.close < last.close:
            return 0.0
        ranges, near = self._range, self._near
        if any(shape.upper >= 0.1 * ranges[lag, 12] for shape, lag in zip(shapes, (2, 1, 0), strict=True)):
            return 0.0
        return float(
            first.open < second.open <= first.close + 0.2 * near[2, 12]
            and second.open < last.open <= second.close + 0.2 * near[1, 12]
            and second.body > first.body - 0.6 * near[2, 12]
            and last.body > second.body - 0.6 * near[1, 12]
            and last.body > self._body[0, 12]
        )

    def _crows(self, white: _Shape, first: _Shape, second: _Shape, last: _Shape) -> float:
        shapes = (first, second, last)
        if white.colour != 1 or any(shape.colour != -1 for shape in shapes):
            return 0.0
        ranges = self._range
        if any(shape.lower >= 0.1 * ranges[lag, 13] for shape, lag in zip(shapes, (2, 1, 0), strict=True)):
            return 0.0
        return 0.0 - float(
            first.close < second.open < first.open and second.close < last.open < second.open
            and white.high > first.close > second.close > last.close
        )


def _engulfing(before: _Shape, now: _Shape) -> float:
    if now.colour == before.colour:
        return 0.0
    if now.colour == 1:
        is_there = (now.close >= before.open and now.open < before.close) or (
            now.close > before.open and now.open <= before.close
        )
    else:
        is_there = (now.open >= before.close and now.close < before.open) or (
            now.open > before.close and now.close <= before.open
        )
    if not is_there:
        return 0.0
    touches = now.open == before.close or now.close == before.open
    return now.colour * (0.8 if touches else 1.0)
