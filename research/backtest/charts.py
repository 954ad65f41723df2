"""Charts by hand: SVG stretched to the page's width with lines that keep theirs, labels in HTML so that a phone can
read them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np

from research.backtest.session import Curve
from store.exact_column import Float64Array, Int64Array

WIDTH: Final = 1000
HEIGHT: Final = 400
_MARGIN: Final = 0.05
_MOST_ARROWS: Final = 160


@dataclass(frozen=True, slots=True)
class Mark:
    """An execution to be shown: `index` of the candle, `price` in quote."""

    index: int
    price: float
    is_entry: bool
    title: str


@dataclass(frozen=True, slots=True)
class Scale:
    """Prices to heights: `lowest` at the bottom, `highest` at the top of the chart."""

    lowest: float
    highest: float

    @classmethod
    def over(cls, lowest: float, highest: float) -> "Scale":
        """With room above and below; a flat line stands in the middle."""
        room = (highest - lowest) * _MARGIN or max(abs(highest), 1.0) * 0.01
        return cls(lowest - room, highest + room)

    def y(self, value: float) -> float:
        return round(HEIGHT * (self.highest - value) / (self.highest - self.lowest), 2)


def candles(curve: Curve, first: int, last: int, most: int, marks: Iterable[Mark]) -> str:
    """Candles [first, last), several drawn as one where there are more than `most`; entries and exits on them."""
    edges = _edges(first, last, most)
    low = np.minimum.reduceat(curve.low[:last], edges)
    high = np.maximum.reduceat(curve.high[:last], edges)
    close = curve.close[np.append(edges[1:], last) - 1]
    opened = curve.open[edges]
    scale = Scale.over(float(low.min()), float(high.max()))
    step = WIDTH / len(edges)
    width = max(step * 0.7, 0.6)
    shapes: dict[str, list[str]] = {"up": [], "down": []}
    for place in range(len(edges)):
        kind = "up" if close[place] >= opened[place] else "down"
        middle = round((place + 0.5) * step, 2)
        top, bottom = scale.y(max(opened[place], close[place])), scale.y(min(opened[place], close[place]))
        left, right = round(middle - width / 2, 2), round(middle + width / 2, 2)
        shapes[kind].append(
            f"M{middle} {scale.y(high[place])}V{scale.y(low[place])}M{left} {top}H{right}V{bottom}H{left}Z"
        )
    paths = "".join(f'<path class="{kind}" d="{"".join(parts)}"/>' for kind, parts in shapes.items() if parts)
    chosen = [mark for mark in marks if first <= mark.index < last]
    below, above = _marks(chosen, scale, first, last)
    return _frame(paths + below, above, scale, _days(curve.ts, first, last), 340)


def lines(curve: Curve, series: Sequence[tuple[str, Float64Array]], number: Callable[[float], str]) -> str:
    """Curves in step with the candles, by (css class, values)."""
    edges = _edges(0, len(curve), 600)
    ends = np.append(edges[1:], len(curve)) - 1
    drawn = [(kind, values[ends]) for kind, values in series]
    scale = Scale.over(min(float(each.min()) for _, each in drawn), max(float(each.max()) for _, each in drawn))
    paths = "".join(f'<path class="{kind}" d="{_path(values, scale)}"/>' for kind, values in drawn)
    return _frame(paths, "", scale, _days(curve.ts, 0, len(curve)), 220, number)


def drawdown(curve: Curve, depths: Float64Array) -> str:
    """How far below its peak the equity stood: the deepest of the candles drawn as one. Ratios, 0 is the peak."""
    edges = _edges(0, len(curve), 600)
    values = -np.maximum.reduceat(depths, edges)
    scale = Scale(min(float(values.min()) * 1.05, -0.001), 0.0)
    body = f'<path class="fall" d="M0 0L{_path(values, scale)[1:]}V0Z"/>'
    return _frame(body, "", scale, _days(curve.ts, 0, len(curve)), 150, lambda value: f"{value * 100:.1f} %")


def price_text(value: float) -> str:
    """Five digits that matter."""
    size = abs(value)
    if size >= 10_000:
        return f"{value:,.0f}"
    return f"{value:,.2f}" if size >= 10 else f"{value:.5g}"


def _edges(first: int, last: int, most: int) -> Int64Array:
    """Where each drawn candle begins."""
    count = min(last - first, most)
    return first + np.arange(count, dtype=np.int64) * (last - first) // count


def _path(values: Float64Array, scale: Scale) -> str:
    step = WIDTH / max(1, len(values) - 1)
    return "M" + "L".join(f"{round(place * step, 2)} {scale.y(value)}" for place, value in enumerate(values.tolist()))


def _marks(marks: Sequence[Mark], scale: Scale, first: int, last: int) -> tuple[str, str]:
    """(shapes, HTML): arrows with a title, or where they would cover each other short strokes."""
    def x(mark: Mark) -> float:
        return (mark.index - first + 0.5) / (last - first)

    if len(marks) <= _MOST_ARROWS:
        return "", "".join(
            f'<i class="{"in" if mark.is_entry else "out"}" style="left:{x(mark) * 100:.3f}%;'
            f'top:{scale.y(mark.price) / HEIGHT * 100:.2f}%" title="{mark.title}"></i>'
            for mark in marks
        )
    strokes = []
    for kind, is_entry, to in (("entries", True, 14), ("exits", False, -14)):
        parts = [
            f"M{round(x(mark) * WIDTH, 2)} {scale.y(mark.price)}v{to}" for mark in marks if mark.is_entry is is_entry
        ]
        strokes.append(f'<path class="{kind}" d="{"".join(parts)}"/>')
    return "".join(strokes), ""


def _frame(
    shapes: str, above: str, scale: Scale, days: Sequence[tuple[float, str]], height: int,
    number: Callable[[float], str] = price_text,
) -> str:
    grid, labels = [], []
    for part in range(5):
        value = scale.highest - (scale.highest - scale.lowest) * (part + 0.5) / 5
        top = scale.y(value)
        grid.append(f"M0 {top}H{WIDTH}")
        labels.append(f'<b style="top:{top / HEIGHT * 100:.1f}%">{number(value)}</b>')
    dates = "".join(f"<span>{text}</span>" for _, text in days)
    return (
        f'<div class="chart" style="height:{height}px"><svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" '
        f'aria-hidden="true"><path class="grid" d="{"".join(grid)}"/>{shapes}</svg>{"".join(labels)}{above}</div>'
        f'<div class="days">{dates}</div>'
    )


def _days(ts: Int64Array, first: int, last: int) -> list[tuple[float, str]]:
    """First, middle and last day."""
    span = int(ts[last - 1]) - int(ts[first])
    form = "%Y-%m-%d" if span > 5 * 86_400 * 10**9 else "%m-%d %H:%M"
    places = (first, (first + last - 1) // 2, last - 1)
    return [
        ((place - first) / max(1, last - first), datetime.fromtimestamp(int(ts[place]) // 10**9, UTC).strftime(form))
        for place in places
    ]
