"""Trailing orders, stops and touches: what fires, when, at which trigger, in which order."""

from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.ids import ClientOrderId as Id
from orders.trailing import Activated, Advance, Fire, TrailError, Trails

MINUTE = 60_000_000_000
A, B, C = Id("td-a"), Id("td-b"), Id("td-c")


def sell_trail(best: str = "100", distance: str = "0.02") -> Trails:
    trails = Trails()
    trails.arm_trail(A, "sell", D(best), D(distance), True)
    return trails


def test_a_sell_trail_is_armed_at_once_from_the_reference_price() -> None:
    trails = Trails()
    assert trails.arm_trail(A, "sell", D("100"), D("0.02"), True) == D("98")
    assert trails.on_price(D("98.01")) == ()
    assert list(trails.on_price(D("98"))) == [Fire(A, D("98"), D("98"), D("100"))]


def test_a_sell_trail_follows_the_high_and_fires_at_the_trigger_it_left_behind() -> None:
    trails = sell_trail()
    assert list(trails.on_price(D("105"))) == [Advance("sell", D("105"), 1, A, D("102.90"))]
    assert trails.trigger_of(A) == D("102.9")
    assert list(trails.on_price(D("102.5"))) == [Fire(A, D("102.9"), D("102.5"), D("105"))]
    assert len(trails) == 0
    assert A not in trails


def test_a_buy_trail_follows_the_low_and_fires_at_or_over_its_trigger() -> None:
    trails = Trails()
    assert trails.arm_trail(A, "buy", D("100"), D("0.02"), True) == D("102")
    assert list(trails.on_price(D("90"))) == [Advance("buy", D("90"), 1, A, D("91.80"))]
    assert trails.on_price(D("91.79")) == ()
    assert list(trails.on_price(D("91.80"))) == [Fire(A, D("91.8"), D("91.8"), D("90"))]


def test_an_absolute_distance_is_kept_in_quote_currency() -> None:
    trails = Trails()
    trails.arm_trail(A, "sell", D("100"), D("3"), False)
    trails.on_price(D("110"))
    assert trails.trigger_of(A) == D("107")
    assert trails.best_of(A) == D("110")
    assert trails.distance_of(A) == D("3")


def test_the_best_price_never_moves_back() -> None:
    trails = sell_trail()
    for price in ("105", "104", "103.5", "104.9", "105"):
        trails.on_price(D(price))
        assert trails.trigger_of(A) == D("102.9")


def test_the_same_extreme_twice_is_no_advance() -> None:
    trails = sell_trail()
    assert len(trails.on_price(D("105"))) == 1
    assert trails.on_price(D("105")) == ()


def test_one_advance_speaks_for_all_trails_that_moved_and_names_the_nearest_to_firing() -> None:
    trails = sell_trail()
    trails.arm_trail(B, "sell", D("101"), D("0.01"), True)
    trails.arm_trail(C, "sell", D("104"), D("10"), False)
    assert list(trails.on_price(D("103"))) == [Advance("sell", D("103"), 2, B, D("101.97"))]
    assert list(trails.on_price(D("104"))) == [Advance("sell", D("104"), 2, B, D("102.96"))]
    assert list(trails.on_price(D("105"))) == [Advance("sell", D("105"), 3, B, D("103.95"))]


def test_a_break_even_floor_counts_when_the_nearest_trail_is_named() -> None:
    trails = Trails()
    trails.arm_trail(A, "sell", D("100"), D("0.2"), True, break_even_ratio=D("0.05"))
    trails.arm_trail(B, "sell", D("100"), D("0.1"), True)
    assert list(trails.on_price(D("106"))) == [Advance("sell", D("106"), 2, A, D("100"))]


def test_what_fires_together_fires_nearest_trigger_first_then_in_order_of_arming() -> None:
    trails = Trails()
    trails.arm_trail(A, "sell", D("100"), D("5"), False)
    trails.arm_stop(B, "sell", D("97"), "below")
    trails.arm_trail(C, "sell", D("100"), D("0.05"), True)
    trails.arm_stop(Id("td-d"), "sell", D("95"), "below")
    fired = [event.client_order_id for event in trails.on_price(D("94")) if isinstance(event, Fire)]
    assert fired == [B, A, C, "td-d"]


def test_equal_triggers_name_the_earliest_armed_as_nearest_whatever_their_kind() -> None:
    trails = Trails()
    trails.arm_trail(A, "sell", D("50"), D("10"), False)
    trails.arm_trail(B, "sell", D("50"), D("0.1"), True)
    assert list(trails.on_price(D("100"))) == [Advance("sell", D("100"), 2, A, D("90"))]


def test_a_stop_loss_fires_at_or_under_and_a_take_profit_at_or_over() -> None:
    trails = Trails()
    trails.arm_stop(A, "sell", D("95"), "below")
    trails.arm_stop(B, "sell", D("110"), "above")
    trails.arm_stop(C, "buy", D("105"), "above")
    assert trails.on_price(D("100")) == ()
    assert list(trails.on_price(D("111"))) == [Fire(C, D("105"), D("111")), Fire(B, D("110"), D("111"))]
    assert list(trails.on_price(D("95"))) == [Fire(A, D("95"), D("95"))]


def test_a_waiting_trail_neither_follows_nor_fires_until_its_activation_price() -> None:
    trails = Trails()
    assert trails.arm_trail(A, "sell", D("100"), D("0.02"), True, activation_price=D("110")) == D("107.8")
    assert trails.on_price(D("105")) == ()
    assert trails.on_price(D("50")) == ()
    assert not trails.is_active(A)
    assert list(trails.on_price(D("112"))) == [Activated(A, "sell", D("112"), D("109.76"))]
    assert trails.is_active(A)
    assert list(trails.on_price(D("109.76"))) == [Fire(A, D("109.76"), D("109.76"), D("112"))]


def test_a_waiting_buy_trail_begins_at_or_under_its_activation_price() -> None:
    trails = Trails()
    trails.arm_trail(A, "buy", D("100"), D("1"), False, activation_price=D("90"))
    assert trails.on_price(D("200")) == ()
    assert list(trails.on_price(D("90"))) == [Activated(A, "buy", D("90"), D("91"))]


def test_one_tick_may_activate_one_trail_and_advance_another() -> None:
    trails = sell_trail()
    trails.arm_trail(B, "sell", D("100"), D("0.01"), True, activation_price=D("103"))
    assert list(trails.on_price(D("104"))) == [
        Activated(B, "sell", D("104"), D("102.96")), Advance("sell", D("104"), 1, B, D("102.96")),
    ]


def test_after_the_break_even_step_the_trigger_is_never_on_the_losing_side_of_the_reference() -> None:
    trails = Trails()
    trails.arm_trail(A, "sell", D("100"), D("0.1"), True, break_even_ratio=D("0.05"))
    trails.on_price(D("104.99"))
    assert trails.trigger_of(A) == D("94.491")
    trails.on_price(D("105"))
    assert trails.trigger_of(A) == D("100")
    trails.on_price(D("120"))
    assert trails.trigger_of(A) == D("108")


def test_a_buy_trail_breaks_even_downwards() -> None:
    trails = Trails()
    trails.arm_trail(A, "buy", D("100"), D("0.1"), True, break_even_ratio=D("0.05"))
    trails.on_price(D("95"))
    assert trails.trigger_of(A) == D("100")
    assert list(trails.on_price(D("100"))) == [Fire(A, D("100"), D("100"), D("95"))]


def test_time_shrinks_the_distance_linearly_down_to_its_floor() -> None:
    trails = Trails()
    trails.arm_trail(
        A, "sell", D("100"), D("0.1"), True, decay_ratio_per_minute=D("0.1"), decay_floor=D("0.05"), now=7 * MINUTE
    )
    for minutes, trigger in ((0, "90"), (1, "91"), (3, "93"), (5, "95"), (60, "95")):
        assert trails.on_time((7 + minutes) * MINUTE) == ()
        assert trails.trigger_of(A) == D(trigger)


def test_the_distance_shrinks_in_exact_steps_of_three_seconds() -> None:
    trails = Trails()
    trails.arm_trail(A, "sell", D("100"), D("0.1"), True, decay_ratio_per_minute=D("0.1"), decay_floor=D("0.05"))
    for seconds, distance in ((2, "0.1"), (3, "0.0995"), (5, "0.0995"), (6, "0.0990"), (2, "0.0990")):
        trails.on_time(seconds * MINUTE // 60)
        assert trails.distance_of(A) == D(distance)


def test_a_trigger_that_comes_to_the_price_by_time_fires_at_the_believed_price() -> None:
    trails = Trails()
    trails.arm_trail(A, "sell", D("100"), D("0.1"), True, decay_ratio_per_minute=D("0.5"), decay_floor=D("0.01"))
    assert trails.on_time(MINUTE // 2, D("94")) == ()
    assert list(trails.on_time(MINUTE, D("94"))) == [Fire(A, D("95"), D("94"), D("100"))]


def test_the_decay_of_a_waiting_trail_begins_when_it_is_activated() -> None:
    trails = Trails()
    trails.arm_trail(
        A, "sell", D("100"), D("10"), False, activation_price=D("110"), decay_ratio_per_minute=D("0.1"),
        decay_floor=D("1"),
    )
    trails.on_time(5 * MINUTE)
    trails.on_price(D("110"))
    trails.activate(A, D("110"), 5 * MINUTE)
    assert trails.trigger_of(A) == D("100")
    trails.on_time(6 * MINUTE)
    assert trails.trigger_of(A) == D("101")


def test_an_amended_trail_keeps_its_best_and_its_earned_floor() -> None:
    trails = Trails()
    trails.arm_trail(A, "sell", D("100"), D("0.02"), True, break_even_ratio=D("0.05"))
    trails.on_price(D("110"))
    assert trails.amend_trail(A, D("0.01"), True) == D("108.9")
    assert trails.amend_trail(A, D("30"), False) == D("100")
    assert trails.best_of(A) == D("110")


def test_an_amended_stop_fires_where_it_stands_now() -> None:
    trails = Trails()
    trails.arm_stop(A, "sell", D("95"), "below")
    trails.amend_stop(A, D("90"))
    assert trails.on_price(D("91")) == ()
    assert list(trails.on_price(D("90"))) == [Fire(A, D("90"), D("90"))]


def test_a_disarmed_order_does_not_fire_and_frees_its_id() -> None:
    trails = sell_trail()
    assert trails.disarm(A)
    assert not trails.disarm(A)
    assert trails.on_price(D("1")) == ()
    trails.arm_trail(A, "sell", D("50"), D("0.1"), True)
    assert list(trails.on_price(D("45"))) == [Fire(A, D("45"), D("45"), D("50"))]


def test_folding_advances_and_activations_into_new_trails_gives_the_same_triggers() -> None:
    live, restored = Trails(), Trails()
    for trails in (live, restored):
        trails.arm_trail(A, "sell", D("100"), D("0.1"), True, break_even_ratio=D("0.05"))
        trails.arm_trail(B, "sell", D("103"), D("4"), False)
        trails.arm_trail(C, "sell", D("100"), D("0.01"), True, activation_price=D("106"))
    for price in ("102", "104", "103", "107", "106.5", "108"):
        for event in live.on_price(D(price)):
            if isinstance(event, Advance):
                restored.raise_best(event.side, event.best)
            elif isinstance(event, Activated):
                restored.activate(event.client_order_id, event.best, 0)
                live.activate(event.client_order_id, event.best, 0)
    assert [live.trigger_of(name) for name in (A, B, C)] == [D("100"), D("104"), D("106.92")]
    for name in (A, B, C):
        assert restored.trigger_of(name) == live.trigger_of(name)
        assert restored.best_of(name) == live.best_of(name)
        assert restored.is_active(name) == live.is_active(name)


def test_raising_the_best_neither_fires_nor_activates_nor_moves_back() -> None:
    trails = sell_trail()
    trails.arm_trail(B, "sell", D("100"), D("0.02"), True, activation_price=D("101"))
    trails.arm_stop(C, "sell", D("105"), "above")
    assert trails.raise_best("sell", D("110")) == 1
    assert trails.raise_best("sell", D("105")) == 0
    assert trails.trigger_of(A) == D("107.8")
    assert not trails.is_active(B)
    assert len(trails) == 3


def test_a_rearmed_trail_keeps_the_break_even_floor_of_its_first_reference() -> None:
    trails = Trails()
    trigger = trails.arm_trail(
        A, "sell", D("106"), D("0.2"), True, reference=D("100"), break_even_ratio=D("0.05"), is_active=True
    )
    assert trigger == D("100")


@pytest.mark.parametrize("price", ["0", "-1", "Infinity", "-Infinity"])
def test_what_is_no_price_is_refused(price: str) -> None:
    trails = sell_trail()
    with pytest.raises(TrailError, match="positive and finite"):
        trails.on_price(D(price))
    assert A in trails


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"best": D(0)}, "best"), ({"best": D("NaN")}, "best"), ({"distance": D(0)}, "distance"),
        ({"distance": D(1)}, "distance"), ({"distance": D("NaN")}, "distance"),
        ({"is_active": False}, "activation_price"), ({"activation_price": D(-1)}, "activation_price"),
        ({"break_even_ratio": D(0)}, "break_even_ratio"), ({"decay_ratio_per_minute": D("0.1")}, "decay_floor"),
        ({"decay_ratio_per_minute": D(2), "decay_floor": D("0.01")}, "decay_ratio_per_minute"),
        ({"decay_ratio_per_minute": D("0.1"), "decay_floor": D("0.5")}, "decay_floor"),
        ({"floor": D(0)}, "floor"),
    ],
)
def test_a_trail_that_makes_no_sense_is_refused_with_the_field_and_changes_nothing(
    changed: dict[str, object], word: str
) -> None:
    trails = Trails()
    fields: dict[str, object] = {"best": D(100), "distance": D("0.02"), "is_ratio": True} | changed
    with pytest.raises(TrailError, match=f"td-a: .*{word}"):
        trails.arm_trail(A, "sell", **fields)  # type: ignore[arg-type]
    assert len(trails) == 0


def test_misuse_is_told_by_name() -> None:
    trails = sell_trail()
    trails.arm_stop(B, "sell", D("90"), "below")
    with pytest.raises(TrailError, match="td-a: is armed already"):
        trails.arm_stop(A, "sell", D("90"), "below")
    with pytest.raises(TrailError, match="td-c: is not armed"):
        trails.trigger_of(C)
    with pytest.raises(TrailError, match="amend_stop"):
        trails.amend_trail(B, D("0.1"), True)
    with pytest.raises(TrailError, match="amend_trail"):
        trails.amend_stop(A, D("90"))
    with pytest.raises(TrailError, match="below"):
        trails.arm_stop(C, "sell", D("90"), "under")  # type: ignore[arg-type]


@given(
    prices=st.lists(st.integers(5_000, 20_000), min_size=1, max_size=80),
    late=st.lists(st.integers(0, 79), max_size=20),
)
def test_late_and_repeated_prices_never_move_a_trigger_back(prices: list[int], late: list[int]) -> None:
    trails = Trails()
    trails.arm_trail(A, "sell", D(100), D("0.9"), True)
    trails.arm_trail(B, "buy", D(100), D("0.9"), True)
    sent = prices + [prices[index % len(prices)] for index in late]
    sell, buy = trails.trigger_of(A), trails.trigger_of(B)
    for price in sent:
        trails.on_price(D(price) / 100)
        if A in trails:
            assert trails.trigger_of(A) >= sell
            sell = trails.trigger_of(A)
        if B in trails:
            assert trails.trigger_of(B) <= buy
            buy = trails.trigger_of(B)
    assert sell == max(D(100), D(max(prices)) / 100) * D("0.1")


def test_ten_thousand_orders_with_ten_thousand_bests_merge_and_fire_in_order() -> None:
    trails = Trails()
    for number in range(10_000):
        best = D(50_000 + number * 7_919 % 10_000) / 100
        trails.arm_trail(Id(f"td-{number}"), "sell", best, D(1 + number % 97) / 1000, True)
    moved = trails.on_price(D("600"))
    assert list(moved) == [Advance("sell", D(600), 10_000, Id("td-0"), D("599.4"))]
    fired = trails.on_price(D("545"))
    triggers = [event.trigger for event in fired]
    assert triggers == sorted(triggers, reverse=True)
    assert len(fired) == sum(600 * (1 - D(1 + number % 97) / 1000) >= 545 for number in range(10_000))
    assert len(trails) == 10_000 - len(fired)
    assert trails.on_price(D("560")) == ()
