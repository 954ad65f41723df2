"""Grids: where the levels lie, and how long the price was there."""

from decimal import Decimal

import pytest

from bus.messages.grid import (
    GridSessionBased,
    GridTuned,
    StartGrid,
)
from market.interval import SECOND_NS
from orders.grid_spacing import NEEDED_SAMPLES, SAMPLES_A_DAY, Swings, measure, trail_for, tuned_spacing
from tests.orders.grid_scenes import armed, denied, found, kinds, opened, world
from tests.orders.grid_world import GridWorld, spot
from tests.orders.trading import BTC

D = Decimal
DAY_NS = 86_400 * SECOND_NS


def test_levels_lie_at_centre_times_one_plus_i_spacing() -> None:
    grid = opened().grid
    assert len(grid.levels) == 21
    assert [grid.price_of(index) for index in (-10, -1, 0, 1, 10)] == [D(85), D("98.5"), D(100), D("101.5"), D(115)]
    assert grid.floor == D("80.75")
    assert grid.trail == D("0.0075")


def test_only_levels_within_five_percent_and_not_above_the_price_are_armed() -> None:
    made = opened()
    assert armed(made, "buy") == [-3, -2, -1, 0]
    made.walk(["98", "97.6"])
    assert armed(made, "buy") == [-4, -3, -2, -1, 0]


def test_a_level_left_far_below_is_taken_back() -> None:
    made = opened()
    made.walk(["100.7", "101.4", "101.7"])
    assert -3 not in armed(made, "buy")
    assert made.grid.levels[-3].error == ""


def test_spacing_is_a_share_of_the_swing_that_follows_the_volatility() -> None:
    assert tuned_spacing(Swings()) == D("0.015")
    assert tuned_spacing(Swings(0.06, 0.01, 0.01)) == D("0.018")  # 0.06 * 0.3
    assert tuned_spacing(Swings(0.06, 0.001, 0.01)) == D("0.012")  # never less than 0.2 of the swing
    assert tuned_spacing(Swings(0.06, 0.1, 0.01)) == D("0.024")  # never more than 0.4 of it
    assert tuned_spacing(Swings(0.001, 0.01, 0.01)) == D("0.005")
    assert tuned_spacing(Swings(0.9, 0.01, 0.01)) == D("0.05")
    assert tuned_spacing(Swings(0.9, 0.01, 0.01), highest=D("0.02")) == D("0.02")
    assert tuned_spacing(Swings(), lowest=D("0.03")) == D("0.03")


def test_measures_of_a_known_history() -> None:
    day = [D(100), D(110)] * (SAMPLES_A_DAY // 2)
    assert measure(day) == Swings()
    swings = measure(day * 2)
    assert swings.average_swing_ratio == pytest.approx(0.1)
    assert swings.recent_volatility == pytest.approx(swings.month_volatility, rel=1e-3)
    assert swings.recent_volatility == pytest.approx(0.09531, rel=1e-3)


def test_the_trail_is_half_the_spacing_within_its_bounds() -> None:
    assert [trail_for(D(each)) for each in ("0.001", "0.01", "0.05")] == [D("0.002"), D("0.005"), D("0.01")]


def test_a_given_history_sets_the_spacing_at_once_and_is_a_fact() -> None:
    made = world()
    history = (D(100), D(106)) * SAMPLES_A_DAY
    bodies = made.give(StartGrid(BTC, D(2000), history=history))
    (tuned,) = [body for body in bodies if isinstance(body, GridTuned)]
    assert tuned.spacing == made.grid.spacing == D("0.018")
    assert tuned.samples == len(history)
    assert "given" in tuned.source


def test_the_grid_tunes_itself_from_its_own_prices_while_it_holds_nothing() -> None:
    made = opened()
    for number in range(NEEDED_SAMPLES + 2):
        made.price("100" if number % 2 else "100.2", 300 * SECOND_NS)
        made.second()
    tuned = found(made, GridTuned)
    assert tuned
    assert tuned[-1].source == "own prices, every 5 minutes"
    assert made.grid.spacing == D("0.005")  # a swing of 0.2 % a day: the lower bound


def test_a_fixed_spacing_is_never_tuned() -> None:
    made = opened(spacing=D("0.01"))
    for number in range(NEEDED_SAMPLES + 2):
        made.price("100" if number % 2 else "100.2", 300 * SECOND_NS)
        made.second()
    assert not found(made, GridTuned)
    assert made.grid.spacing == D("0.01")


def test_the_session_starts_anew_at_midnight_while_nothing_is_bought() -> None:
    made = opened(entry="first")
    made.price("99", DAY_NS)
    made.second()
    (based,) = found(made, GridSessionBased)
    assert based.price == made.grid.session_price == 99
    made.walk(["97.5"])
    assert made.grid.phase == "WAITING"
    made.walk(["97"])
    assert made.grid.phase == "RUNNING"


def test_without_a_price_there_is_no_grid() -> None:
    made = GridWorld()
    assert denied(made.give(StartGrid(BTC, D(2000)))).code == "PRICE_UNKNOWN"


def test_time_spent_is_the_time_the_price_was_in_the_band() -> None:
    made = opened()
    made.price("100", 60 * SECOND_NS)
    made.second()
    made.price("98.4", 30 * SECOND_NS)
    made.second()
    made.price("100", 10 * SECOND_NS)
    made.second()
    assert made.grid.levels[-1].spent_ns == 10 * SECOND_NS
    assert made.grid.levels[0].spent_ns == 90 * SECOND_NS


def test_a_price_that_flickers_at_a_bands_edge_changes_no_band() -> None:
    made = opened()
    before = len(made.journal)
    made.walk(["99.2", "99.3", "99.2", "99.3"])  # the edge is 99.25
    assert [kind for kind in kinds([m.body for m in made.journal[before:]]) if kind == "GridBandEntered"] == []


def test_levels_closer_than_the_ticks_are_refused() -> None:
    made = GridWorld(instrument=spot(tick="0.1"))
    made.price("100")
    refusal = denied(made.give(StartGrid(BTC, D(2000), spacing=D("0.001"))))
    assert refusal.code == "INVALID_GRID"
    assert "ticks" in refusal.message


def test_a_wild_history_gives_the_widest_spacing_and_no_error() -> None:
    made = world()
    made.give(StartGrid(BTC, D(2000), history=(D("1e-18"), D("9e17")) * SAMPLES_A_DAY))
    assert made.grid.spacing == D("0.05")
