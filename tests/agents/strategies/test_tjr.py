"""Sweep, break, retrace: each step on candles small enough to follow with a finger."""

import pytest

from agents.strategies.candle_rule import RuleError
from agents.strategies.tjr import LiquiditySweep
from tests.agents.strategies.rule_play import Row, play, sides

# With swing=1 a low is known one candle later. Candle by candle:
BEFORE: list[Row] = [
    (100, 101, 99, 100),
    (100, 104, 100, 103),  # swing high 104, known at candle 2
    (103, 103, 98, 99),
    (99, 100, 95, 97),  # swing low 95, known at candle 4: stops lie under it
    (97, 99, 96, 98),
]
SWEEP: Row = (98, 98, 94, 96)  # trades below 95, closes above it again
RISE: list[Row] = [
    (96, 100, 96, 100),
    (100, 106, 101, 105),  # low 101 above the high 98 two candles before: imbalance; closes above 104: broken
]
RETRACE: Row = (105, 105, 100, 102)  # back into 98 to 101, and holds
SETUP = [*BEFORE, SWEEP, *RISE, RETRACE]


def tjr(**more: float) -> LiquiditySweep:
    return LiquiditySweep(**{"swing": 1, "stop_percent": 0.02, **more})  # type: ignore[arg-type]


def test_the_retrace_into_the_imbalance_after_sweep_and_break_is_bought_with_stop_and_target() -> None:
    (bought,) = play(tjr(), SETUP)
    assert bought.index == 8
    assert (bought.wish.side, bought.wish.stop, bought.wish.target) == ("buy", 0.02, 0.04)
    assert bought.wish.why == "95 was swept to 94, 104 broken, 98 to 101 retraced"


def test_the_target_is_the_stop_times_the_reward() -> None:
    (bought,) = play(tjr(reward=2.5), SETUP)
    assert bought.wish.target == pytest.approx(0.05)


def test_a_stop_in_quote_is_this_much_money_below_the_close() -> None:
    (bought,) = play(tjr(stop_percent=0.0, stop_quote=3.0), SETUP)
    assert bought.wish.stop == pytest.approx(3 / 102)
    assert bought.wish.target == pytest.approx(6 / 102)


def test_a_stop_in_ranges_is_so_many_average_true_ranges_below_the_close() -> None:
    quiet: list[Row] = [(100, 101, 99, 100)] * 16  # a true range of 2 in each
    (bought,) = play(tjr(stop_percent=0.0, stop_atr=1.5), [*quiet, *SETUP])
    average = 2.0
    for true_range in (2, 4, 5, 5, 3, 4, 4, 6, 5):  # of SETUP, each against the close before; Wilder, 14
        average = (average * 13 + true_range) / 14
    assert bought.wish.stop == pytest.approx(1.5 * average / 102)


def test_without_a_sweep_nothing_is_bought() -> None:
    assert play(tjr(), [*BEFORE, (98, 98, 95, 96), *RISE, RETRACE]) == []  # touches 95, does not trade below


def test_a_close_below_the_swept_low_is_a_fall_not_a_sweep() -> None:
    assert play(tjr(), [*BEFORE, (98, 98, 94, 94.5), *RISE, RETRACE]) == []


def test_a_close_below_the_level_before_the_break_voids_the_setup() -> None:
    assert play(tjr(), [*BEFORE, SWEEP, (96, 96, 93, 94), *RISE, RETRACE]) == []


def test_a_wick_above_the_structure_is_no_break() -> None:
    wick: Row = (100, 106, 101, 104)
    assert play(tjr(), [*BEFORE, SWEEP, RISE[0], wick, RETRACE]) == []


def test_without_an_imbalance_there_is_nothing_to_retrace_into() -> None:
    overlapping: Row = (100, 106, 98, 105)  # its low meets the high of two candles before: no gap
    assert play(tjr(), [*BEFORE, SWEEP, RISE[0], overlapping, RETRACE]) == []


def test_the_price_must_come_back_into_the_imbalance() -> None:
    assert play(tjr(), [*BEFORE, SWEEP, *RISE, (105, 107, 101.5, 106)]) == []


def test_a_close_below_the_imbalance_ends_the_setup() -> None:
    assert play(tjr(), [*BEFORE, SWEEP, *RISE, (105, 105, 97, 97.5), (97.5, 101, 97, 100)]) == []


@pytest.mark.parametrize(("waits", "is_bought"), [(23, True), (24, False)])
def test_the_retrace_may_take_as_long_as_patience_allows(waits: int, is_bought: bool) -> None:
    away: list[Row] = [(105, 106, 104, 105), *[(105.0, 106.0, 104.5, 105.0)] * (waits - 1)]  # its own gap: 100 to 104
    said = play(tjr(patience=24), [*BEFORE, SWEEP, *RISE, *away, RETRACE])
    assert bool(said) is is_bought


def test_a_held_position_is_left_to_its_stop_and_target() -> None:
    assert sides(play(tjr(), [*SETUP, *SETUP])) == [(8, "buy")]


def test_the_short_side_is_refused_with_the_reason() -> None:
    with pytest.raises(RuleError, match="short-only strategy; spot trading is long only"):
        LiquiditySweep(direction=-1)


@pytest.mark.parametrize("stops", [
    {"stop_atr": 1.0, "stop_percent": 0.02}, {"stop_quote": -5.0}, {"stop_percent": 0.6},
])
def test_exactly_one_stop_that_can_be_one_is_wanted(stops: dict[str, float]) -> None:
    with pytest.raises(RuleError, match="write one of the three"):
        LiquiditySweep(**stops)  # type: ignore[arg-type]
