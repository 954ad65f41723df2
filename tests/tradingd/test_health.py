"""What is wrong now, and since when."""

from tradingd.health import Health


class Times:
    def __init__(self) -> None:
        self.now = 100

    def __call__(self) -> int:
        return self.now


def test_all_is_well_at_first() -> None:
    health = Health(Times())
    assert health.reasons_to_reduce == ()
    assert health.problems == ()


def test_a_condition_keeps_the_time_of_its_first_report_and_takes_the_latest_words() -> None:
    times = Times()
    health = Health(times)
    health.raise_condition("stale", "data is 3 s old")
    times.now = 200
    health.raise_condition("stale", "data is 4 s old")
    (problem,) = health.problems
    assert (problem.text, problem.since_ns) == ("data is 4 s old", 100)


def test_a_condition_that_comes_back_is_new() -> None:
    times = Times()
    health = Health(times)
    health.raise_condition("bus", "away")
    health.clear("bus")
    assert not health.is_raised("bus")
    times.now = 300
    health.raise_condition("bus", "away")
    assert health.problems[0].since_ns == 300


def test_what_does_not_reduce_is_only_shown() -> None:
    health = Health(Times())
    health.raise_condition("replay", "the replay is over", reduces=False)
    assert health.reasons_to_reduce == ()
    assert [problem.text for problem in health.problems] == ["the replay is over"]


def test_problems_are_told_oldest_first() -> None:
    times = Times()
    health = Health(times)
    for at, name in ((300, "third"), (100, "first"), (200, "second")):
        times.now = at
        health.raise_condition(name, name)
    assert [problem.text for problem in health.problems] == ["first", "second", "third"]


def test_clearing_what_was_never_raised_does_nothing() -> None:
    health = Health(Times())
    health.clear("nothing")
    assert health.problems == ()


def test_halted_symbols_are_shown_while_they_last_and_reduce_nothing() -> None:
    health = Health(lambda: 7)
    health.show_halted(frozenset({"SOL/USDT"}))
    (problem,) = health.problems
    assert "SOL/USDT" in problem.text
    assert health.reasons_to_reduce == ()
    health.show_halted(frozenset())
    assert health.problems == ()
