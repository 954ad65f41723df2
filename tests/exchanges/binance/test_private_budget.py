import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchanges.binance.private_budget import RESERVE_SHARE, PrivateBudget


class Watch:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_questions_and_entries_stop_at_the_reserve_and_exits_take_it():
    budget = PrivateBudget(10, Watch())
    assert sum(budget.take_now(is_urgent=False) for _ in range(50)) == 6
    assert sum(budget.take_now(is_urgent=True) for _ in range(50)) == 4


def test_it_refills_with_time():
    watch = Watch()
    budget = PrivateBudget(10, watch)
    while budget.take_now(is_urgent=True):
        pass
    assert budget.wait_s(is_urgent=True) == pytest.approx(0.1)
    assert budget.wait_s(is_urgent=False) == pytest.approx(0.5)
    watch.now = 0.51
    assert budget.take_now(is_urgent=False)
    assert not budget.take_now(is_urgent=False)
    assert budget.take_now(is_urgent=True)


@pytest.mark.parametrize("rate", [1, 1.5, 2, 15])
def test_even_the_smallest_budget_lets_questions_through_in_time(rate: float):
    watch = Watch()
    budget = PrivateBudget(rate, watch)
    while budget.take_now(is_urgent=True):
        pass
    watch.now = 60.0
    assert budget.take_now(is_urgent=False)


def test_a_budget_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        PrivateBudget(0.5, Watch())


@given(steps=st.lists(st.tuples(st.floats(0, 0.5), st.booleans()), max_size=200), rate=st.integers(1, 40))
def test_never_more_than_the_rate_and_one_second_in_advance(steps: list[tuple[float, bool]], rate: int):
    watch = Watch()
    budget = PrivateBudget(rate, watch)
    taken = 0
    for pause, is_urgent in steps:
        watch.now += pause
        taken += budget.take_now(is_urgent=is_urgent)
    assert taken <= rate * (watch.now + 1) + 1e-6
    assert budget.wait_s(is_urgent=True) <= 1 / rate * (1 + rate * RESERVE_SHARE) + 1e-9
