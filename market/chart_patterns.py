"""Chart patterns from swing points, confirmed by a close beyond their line (Edwards and Magee, Technical Analysis of
Stock Trends). Heights and tolerances are in average true ranges, so that one rule serves every price and interval.

- double top: two highs of nearly one height with a trough between them; a close below the trough. Bottom: mirror.
- head and shoulders: three highs, the middle one clearly the highest, the outer two alike; a close below the line
  through the two troughs. Inverse: mirror.
- triangle: the line through the last two highs and that through the last two lows come together; a close beyond one.
- flag: a steep pole, then a rest that gives back less than half of it; a close beyond the rest, the pole's way.

A pattern is told for `LIFE` candles: 1 bullish, -1 bearish. Its target is the measured move: as far beyond the line as
the pattern is high (the pole is long). Nothing here looks ahead: swings are known five candles after they happened.
"""

from collections import deque
from itertools import islice
from typing import Final, NamedTuple

from market.indicators_window import Swing, SwingPoints

CHART_NAMES: Final = ("chart_double", "chart_head_shoulders", "chart_triangle", "chart_flag")

LIFE: Final = 10
"""Candles for which a confirmed pattern is told."""

HEIGHT_ATR: Final = 2.0
"""Lower patterns are noise."""

ALIKE: Final = 0.2
"""Two heights are alike when they differ by less than this share of the pattern's height."""

POLE_ATR: Final = 4.0
POLE_CANDLES: Final = 15
FLAG_CANDLES: Final = 25
FLAT: Final = 0.1
"""A triangle's line that leans outwards by less than this share of its width is flat."""

CONVERGED: Final = 0.75
"""A triangle is at most so wide where price leaves it, of its width where it began."""

_MEMORY: Final = FLAG_CANDLES + 1


class _Line(NamedTuple):
    """Through two swings; `at` a candle's number."""

    first: Swing
    last: Swing

    def at(self, number: int) -> float:
        slope = (self.last.price - self.first.price) / (self.last.number - self.first.number)
        return self.last.price + slope * (number - self.last.number)


class _Found(NamedTuple):
    """Which pattern, which way, where it points, and the swings it is made of (it is told once)."""

    name: str
    side: float
    target: float
    swings: tuple[int, ...]


class ChartPatterns:
    """Feed each closed candle after its swings are known; `values` are those of the newest one."""

    __slots__ = ("_age_by_name", "_candles", "_found_by_name", "_number", "_told")

    def __init__(self) -> None:
        self._number = -1
        self._candles: deque[tuple[float, float]] = deque(maxlen=_MEMORY)  # (high, low)
        self._found_by_name: dict[str, _Found] = {}
        self._age_by_name: dict[str, int] = {}
        self._told: deque[tuple[str, tuple[int, ...]]] = deque(maxlen=16)

    def update(
        self, high: float, low: float, close: float, atr: float | None, highs: SwingPoints, lows: SwingPoints,
    ) -> None:
        """One closed candle; prices and `atr` in quote. `highs` and `lows` have counted this candle already."""
        self._number += 1
        for name in list(self._age_by_name):
            self._age_by_name[name] += 1
            if self._age_by_name[name] >= LIFE:
                del self._age_by_name[name], self._found_by_name[name]
        if atr is not None and atr > 0.0 and highs.points and lows.points:
            tops, bottoms = list(highs.points)[-3:], list(lows.points)[-3:]
            for found in (
                *_doubles(tops, bottoms, close, atr), *_heads(tops, bottoms, close, atr, self._number),
                *_triangles(tops, bottoms, close, atr, self._number), *self._flags(tops, bottoms, close, atr),
            ):
                key = (found.name, found.swings)
                if key not in self._told:
                    self._told.append(key)
                    self._found_by_name[found.name] = found
                    self._age_by_name[found.name] = 0
        self._candles.append((high, low))

    def values(self) -> dict[str, float]:
        """Sides by name, 0 where there is no pattern, and `chart_target`, in quote, of the newest one, if any."""
        told = {name: self._found_by_name[name].side if name in self._found_by_name else 0.0 for name in CHART_NAMES}
        if self._found_by_name:
            newest = min(self._age_by_name, key=lambda name: (self._age_by_name[name], CHART_NAMES.index(name)))
            told["chart_target"] = self._found_by_name[newest].target
        return told

    def _flags(self, tops: list[Swing], bottoms: list[Swing], close: float, atr: float) -> list[_Found]:
        found = []
        for side, ends, starts in ((1.0, tops, bottoms), (-1.0, bottoms, tops)):
            end = ends[-1]
            start = next((swing for swing in reversed(starts) if swing.number < end.number), None)
            rest = self._number - end.number - 1  # candles between the pole's end and this one
            if start is None or end.number - start.number > POLE_CANDLES or not 5 <= rest <= FLAG_CANDLES:
                continue
            pole = side * (end.price - start.price)
            if pole < POLE_ATR * atr:
                continue
            resting = list(islice(self._candles, len(self._candles) - rest, None))
            lowest, highest = min(low for _, low in resting), max(high for high, _ in resting)
            given_back = end.price - lowest if side > 0.0 else highest - end.price
            is_beyond = close > highest if side > 0.0 else close < lowest
            if given_back < 0.5 * pole and is_beyond:
                edge = highest if side > 0.0 else lowest
                found.append(_Found("chart_flag", side, edge + side * pole, (start.number, end.number)))
        return found


def _doubles(tops: list[Swing], bottoms: list[Swing], close: float, atr: float) -> list[_Found]:
    """A double top points down (-1), a double bottom up."""
    found = []
    for side, outer, inner in ((-1.0, tops, bottoms), (1.0, bottoms, tops)):
        if len(outer) < 2:
            continue
        first, last = outer[-2], outer[-1]
        between = [swing.price for swing in inner if first.number < swing.number < last.number]
        if not between:
            continue
        line = max(between) if side > 0.0 else min(between)
        height = side * (line - (first.price + last.price) / 2.0)
        if height < HEIGHT_ATR * atr or abs(first.price - last.price) > ALIKE * height:
            continue
        if side * (close - line) > 0.0:
            found.append(_Found("chart_double", side, line + side * height, (first.number, last.number)))
    return found


def _heads(tops: list[Swing], bottoms: list[Swing], close: float, atr: float, number: int) -> list[_Found]:
    """Head and shoulders points down (-1), the inverse up."""
    found = []
    for side, outer, inner in ((-1.0, tops, bottoms), (1.0, bottoms, tops)):
        if len(outer) < 3:
            continue
        left, head, right = outer
        before = [swing for swing in inner if left.number < swing.number < head.number]
        after = [swing for swing in inner if head.number < swing.number < right.number]
        if not before or not after:
            continue
        neck = _Line(before[-1], after[-1])
        height = side * (neck.at(head.number) - head.price)
        shoulders = (side * (left.price - head.price), side * (right.price - head.price))
        if height < HEIGHT_ATR * atr or min(shoulders) < ALIKE * height:
            continue
        if max(shoulders) >= height or abs(left.price - right.price) > ALIKE * height:
            continue
        if side * (close - neck.at(number)) > 0.0:
            swings = (left.number, head.number, right.number)
            found.append(_Found("chart_head_shoulders", side, neck.at(number) + side * height, swings))
    return found


def _triangles(tops: list[Swing], bottoms: list[Swing], close: float, atr: float, number: int) -> list[_Found]:
    if len(tops) < 2 or len(bottoms) < 2:
        return []
    upper, lower = _Line(tops[-2], tops[-1]), _Line(bottoms[-2], bottoms[-1])
    begin = min(upper.first.number, lower.first.number)
    wide, narrow = upper.at(begin) - lower.at(begin), upper.at(number) - lower.at(number)
    outwards = max(upper.last.price - upper.first.price, lower.first.price - lower.last.price)
    if outwards > FLAT * wide:
        return []
    if wide < HEIGHT_ATR * atr or not 0.0 < narrow <= CONVERGED * wide:
        return []
    swings = (tops[-2].number, tops[-1].number, bottoms[-2].number, bottoms[-1].number)
    if close > upper.at(number):
        return [_Found("chart_triangle", 1.0, upper.at(number) + wide, swings)]
    if close < lower.at(number):
        return [_Found("chart_triangle", -1.0, lower.at(number) - wide, swings)]
    return []
