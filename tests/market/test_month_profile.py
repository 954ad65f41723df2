from math import exp, log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from market.month_profile import DAY_NS, HOUR_NS, MonthProfile, month_profile

START = 20_000 * DAY_NS


def profile_of(
    closes: list[float], *, wick: float = 0.0, volumes: list[float] | None = None, hours: list[int] | None = None,
) -> MonthProfile | None:
    """Hourly candles that open where the last one closed."""
    close = np.array(closes, dtype=float)
    open_ = np.concatenate([close[:1], close[:-1]])
    places = np.array(hours if hours is not None else range(len(closes)), dtype=np.int64)
    return month_profile(
        "BTC/USDT", "1h", START + places * HOUR_NS, open_, np.maximum(open_, close) * (1 + wick),
        np.minimum(open_, close) * (1 - wick), close,
        np.array(volumes if volumes is not None else [1.0] * len(closes), dtype=float),
    )


def test_the_figures_of_a_zigzag_are_those_computed_by_hand() -> None:
    made = profile_of([100.0, 110.0] * 60, volumes=[2.0] * 120)
    assert made is not None
    assert (made.candles, made.days, made.first_price, made.last_price) == (120, 5.0, 100.0, 110.0)
    assert (made.lowest, made.highest) == (100.0, 110.0)
    assert made.change_ratio == pytest.approx(0.1)
    assert made.max_drawdown == pytest.approx(10.0 / 110.0)
    assert made.average_swing_ratio == pytest.approx(0.1)
    step = log(1.1)
    up, down = 60, 59
    mean = (up - down) * step / 119
    assert made.volatility == pytest.approx(sqrt(step * step - mean * mean) * sqrt(24))
    assert made.turnover_per_day == pytest.approx(24 * 105.0 * 2.0)
    assert made.efficiency == 0.0  # every day closes at 110


def test_a_straight_climb_is_efficient_and_falls_nowhere() -> None:
    made = profile_of([100.0 + hour for hour in range(24 * 6)])
    assert made is not None
    assert (made.efficiency, made.max_drawdown) == (1.0, 0.0)


def test_only_the_last_thirty_days_count() -> None:
    made = profile_of([1_000.0] * 24 * 10 + [100.0] * 24 * 30)
    assert made is not None
    assert (made.candles, made.highest, made.days) == (720, 100.0 if made.first_price == 100.0 else 1_000.0, 30.0)


def test_a_wild_last_day_shows_in_the_recent_volatility() -> None:
    calm, wild = [100.0, 100.1] * 240, [100.0, 105.0] * 12
    made = profile_of(calm + wild)
    assert made is not None
    assert made.recent_volatility > 3 * made.volatility > 0.0


def test_the_busiest_and_the_quietest_hour_are_those_of_the_turnover() -> None:
    volumes = [9.0 if hour % 24 == 14 else 0.5 if hour % 24 == 3 else 2.0 for hour in range(24 * 4)]
    made = profile_of([100.0] * 96, volumes=volumes)
    assert made is not None
    assert (made.busiest_hour, made.quietest_hour) == (14, 3)


def test_missing_hours_are_no_obstacle() -> None:
    hours = [hour for hour in range(24 * 5) if not 40 <= hour < 90]
    made = profile_of([100.0 + hour % 7 for hour in hours], hours=hours)
    assert made is not None
    assert (made.candles, made.days) == (70, 5.0)
    assert made.average_swing_ratio > 0.0


def test_flat_prices_without_volume_have_a_profile_without_a_most_traded_price() -> None:
    made = profile_of([5.0] * 100, volumes=[0.0] * 100)
    assert made is not None
    assert (made.volatility, made.turnover_per_day, made.point_of_control) == (0.0, 0.0, None)


@pytest.mark.parametrize("count", [0, 1, 23])
def test_fewer_than_a_day_of_hours_say_nothing(count: int) -> None:
    assert profile_of([100.0] * count) is None


@settings(max_examples=60, deadline=None)
@given(
    some.lists(some.floats(-0.3, 0.3), min_size=24, max_size=200), some.sampled_from([1e-8, 1.0, 60_000.0]),
)
def test_figures_are_finite_and_within_their_bounds(moves: list[float], price: float) -> None:
    closes, level = [], 0.0
    for move in moves:
        level = min(max(level + move, -3.0), 3.0)
        closes.append(price * exp(level))
    made = profile_of(closes, wick=0.01)
    assert made is not None
    assert 0.0 <= made.max_drawdown < 1.0
    assert 0.0 <= made.efficiency <= 1.0 + 1e-9
    assert made.lowest <= made.last_price <= made.highest
    assert all(np.isfinite(value) for value in (made.volatility, made.recent_volatility, made.turnover_per_day))
    assert made.point_of_control is not None
    assert made.lowest <= made.point_of_control <= made.highest
