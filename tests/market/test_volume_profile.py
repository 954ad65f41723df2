import pytest
from hypothesis import given
from hypothesis import strategies as some

from market.volume_profile import ROWS, VolumeProfile, volume_profile
from tests.candle_paths import random_rows


def profile_of(candles: list[tuple[float, float, float]], rows: int = ROWS) -> VolumeProfile | None:
    return volume_profile([c[0] for c in candles], [c[1] for c in candles], [c[2] for c in candles], rows)


def test_volume_is_spread_evenly_over_the_range_of_its_candle() -> None:
    profile = profile_of([(104.0, 100.0, 8.0), (102.0, 101.0, 6.0)], rows=4)
    assert profile is not None
    assert profile.volumes == pytest.approx((2.0, 8.0, 2.0, 2.0))
    assert profile.point_of_control == 101.5
    # 70 % of 14 is 9.8: the row itself and its heavier neighbour; of equal ones the upper.
    assert (profile.value_low, profile.value_high) == (101.0, 103.0)


def test_a_candle_without_a_range_lies_in_one_row() -> None:
    profile = profile_of([(104.0, 100.0, 4.0), (103.2, 103.2, 7.0), (104.0, 104.0, 1.0)], rows=4)
    assert profile is not None
    assert profile.volumes == pytest.approx((1.0, 1.0, 1.0, 9.0))
    assert profile.point_of_control == 103.5


def test_flat_candles_have_one_price_for_everything() -> None:
    profile = profile_of([(5.0, 5.0, 1.0)] * 30)
    assert profile is not None
    assert (profile.point_of_control, profile.value_low, profile.value_high) == (5.0, 5.0, 5.0)
    assert profile.volumes == (30.0,)


def test_without_volume_or_candles_there_is_no_profile() -> None:
    assert profile_of([(5.0, 4.0, 0.0)] * 30) is None
    assert profile_of([]) is None


def _plain(candles: list[tuple[float, float, float]], rows: int) -> list[float]:
    """The same with two loops."""
    bottom, top = min(c[1] for c in candles), max(c[0] for c in candles)
    height = (top - bottom) / rows
    held = [0.0] * rows
    for high, low, volume in candles:
        if high == low:
            held[min(int((low - bottom) / height), rows - 1)] += volume
            continue
        for row in range(rows):
            begin, end = bottom + row * height, bottom + (row + 1) * height
            held[row] += volume * max(0.0, min(high, end) - max(low, begin)) / (high - low)
    return held


def test_the_rows_are_those_of_two_plain_loops() -> None:
    rows = [(row[1], row[2], row[4]) for row in random_rows(3, 120)]
    profile = profile_of(rows)
    assert profile is not None
    assert profile.volumes == pytest.approx(_plain(rows, ROWS), rel=1e-9, abs=1e-9)


@given(
    some.lists(
        some.tuples(some.integers(1, 500), some.integers(0, 60), some.integers(0, 100)), min_size=1, max_size=60
    ),
    some.sampled_from([1e-10, 1e-8, 1.0, 1e6]),
)
def test_all_volume_is_kept_and_the_value_area_holds_its_share(
    shapes: list[tuple[int, int, int]], unit: float
) -> None:
    candles = [((low + span) * unit, low * unit, float(volume)) for low, span, volume in shapes]
    profile, total = profile_of(candles), float(sum(volume for _, _, volume in shapes))
    if total == 0.0:
        assert profile is None
        return
    assert profile is not None
    assert sum(profile.volumes) == pytest.approx(total)
    assert profile.low <= profile.value_low <= profile.point_of_control <= profile.value_high * (1 + 1e-12)
    height = (profile.high - profile.low) / len(profile.volumes)
    inside = sum(
        held for row, held in enumerate(profile.volumes)
        if profile.low + (row + 0.5) * height >= profile.value_low
        and profile.low + (row + 0.5) * height <= profile.value_high
    )
    assert inside >= 0.7 * total * (1 - 1e-9)
