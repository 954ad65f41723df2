"""Shapes drawn by hand as legs of a zigzag; every candle is a step along a leg with a small range."""

from collections.abc import Sequence
from math import log2

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from market.chart_patterns import CHART_NAMES, LIFE, ChartPatterns
from market.indicators import AverageTrueRange
from market.indicators_window import SwingPoints
from tests.candle_paths import flat_rows, random_rows

Row = tuple[float, float, float]


def along(*corners: tuple[float, int]) -> list[Row]:
    """(high, low, close) of candles from corner to corner, each a price and the candles it takes to get there."""
    rows, last = [], corners[0][0]
    for price, steps in corners:
        for step in range(1, steps + 1):
            close = last + (price - last) * step / steps
            rows.append((close + 0.1, close - 0.1, close))
        last = price
    return rows


def mirrored(rows: Sequence[Row]) -> list[Row]:
    return [(200.0 - low, 200.0 - high, 200.0 - close) for high, low, close in rows]


def told(rows: Sequence[Row]) -> list[dict[str, float]]:
    patterns, atr = ChartPatterns(), AverageTrueRange()
    highs, lows, values = SwingPoints(), SwingPoints(low=True), []
    for high, low, close in rows:
        highs.update(high)
        lows.update(low)
        patterns.update(high, low, close, atr.update(high, low, close), highs, lows)
        values.append(patterns.values())
    return values


def first(values: Sequence[dict[str, float]], name: str) -> tuple[int, float]:
    """Number of the candle that completes the pattern, and its side."""
    return next((number, each[name]) for number, each in enumerate(values) if each[name])


START = ((100.0, 20),)
DOUBLE_TOP = along(*START, (108.0, 10), (102.0, 8), (107.8, 8), (99.0, 10), (98.5, 12))
HEAD = along(*START, (106.0, 8), (102.0, 8), (110.0, 8), (102.4, 8), (106.2, 8), (98.0, 10), (97.5, 12))
TRIANGLE = along(*START, (108.0, 8), (100.0, 8), (106.5, 8), (102.0, 8), (105.5, 7), (110.0, 6), (110.2, 12))
FLAG = along(*START, (100.5, 8), (99.8, 7), (109.0, 8), (106.5, 10), (111.0, 8), (111.2, 12))


@pytest.mark.parametrize(
    ("rows", "name", "side"),
    [
        (DOUBLE_TOP, "chart_double", -1.0), (HEAD, "chart_head_shoulders", -1.0),
        (TRIANGLE, "chart_triangle", 1.0), (FLAG, "chart_flag", 1.0),
    ],
    ids=["double top", "head and shoulders", "triangle", "flag"],
)
def test_a_drawn_pattern_is_found_its_mirror_is_its_opposite_and_both_are_forgotten(
    rows: list[Row], name: str, side: float
) -> None:
    values, opposite = told(rows), told(mirrored(rows))
    number, found = first(values, name)
    assert found == side
    assert first(opposite, name) == (number, -side)
    assert [each[name] for each in values[number : number + LIFE]] == [side] * LIFE
    assert values[-1][name] == 0.0 or len(values) - number <= LIFE


def test_a_double_top_is_confirmed_by_the_first_close_below_its_trough_and_points_as_far_down_as_it_is_high() -> None:
    values = told(DOUBLE_TOP)
    number, _ = first(values, "chart_double")
    closes = [row[2] for row in DOUBLE_TOP]
    assert closes[number] < 101.9 <= closes[number - 1]
    top = (108.1 + 107.9) / 2
    assert values[number]["chart_target"] == pytest.approx(101.9 - (top - 101.9))


def test_two_tops_of_different_height_are_no_double_top() -> None:
    uneven = along(*START, (108.0, 10), (102.0, 8), (106.0, 8), (99.0, 10), (98.5, 12))
    assert not any(each["chart_double"] for each in told(uneven))


def test_a_trough_that_holds_confirms_nothing() -> None:
    holds = along(*START, (108.0, 10), (102.0, 8), (107.8, 8), (102.5, 6), (105.0, 12))
    assert not any(each["chart_double"] for each in told(holds))


def test_a_head_no_higher_than_its_shoulders_is_none() -> None:
    level = along(*START, (106.0, 8), (102.0, 8), (106.3, 8), (102.4, 8), (106.2, 8), (98.0, 10))
    assert not any(each["chart_head_shoulders"] for each in told(level))


def test_lines_that_open_are_no_triangle() -> None:
    opening = along(*START, (104.0, 8), (101.0, 8), (106.0, 8), (99.0, 8), (108.0, 8), (97.0, 8), (112.0, 12))
    assert not any(each["chart_triangle"] for each in told(opening))


def test_a_rest_that_gives_back_more_than_half_the_pole_is_no_flag() -> None:
    deep = along(*START, (100.5, 8), (99.8, 7), (109.0, 8), (103.0, 10), (111.0, 8))
    assert not any(each["chart_flag"] for each in told(deep))


def test_flat_prices_show_nothing() -> None:
    rows = [(row[1], row[2], row[3]) for row in flat_rows(100)]
    assert told(rows)[-1] == dict.fromkeys(CHART_NAMES, 0.0)


def test_a_walk_shows_every_pattern_both_ways_now_and_then() -> None:
    rows = [(row[1], row[2], row[3]) for row in random_rows(5, 12_000)]
    values = told(rows)
    for name in CHART_NAMES:
        share = {side: sum(1 for each in values if each[name] == side) / len(values) for side in (1.0, -1.0)}
        assert all(0.0 < each < 0.12 for each in share.values()), (name, share)


@settings(max_examples=50, deadline=None)
@given(
    some.lists(some.tuples(some.integers(1, 40), some.integers(0, 5)), min_size=40, max_size=120),
    some.sampled_from([1e-8, 1.0, 1e6]),
)
def test_patterns_do_not_depend_on_the_unit_of_price(path: list[tuple[int, int]], unit: float) -> None:
    rows = [(float(close + wick), float(max(close - wick, 0.5)), float(close)) for close, wick in path]
    scale = 2.0 ** round(log2(unit))
    scaled = [(high * scale, low * scale, close * scale) for high, low, close in rows]
    plain, other = told(rows), told(scaled)
    assert [[each[name] for name in CHART_NAMES] for each in plain] == [
        [each[name] for name in CHART_NAMES] for each in other
    ]
