"""The machine's clock, whatever is done to it."""

import time

import pytest

from bus.clock import LiveClock

SECOND = 1_000_000_000
START = 1_790_000_000 * SECOND


class Machine:
    """Its wall clock, which may be set, and the one that only runs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall, self.running = START, 5 * SECOND
        monkeypatch.setattr(time, "time_ns", lambda: self.wall)
        monkeypatch.setattr(time, "monotonic_ns", lambda: self.running)

    def passes(self, seconds: int) -> None:
        self.wall += seconds * SECOND
        self.running += seconds * SECOND


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def test_it_is_the_machines_clock_and_follows_it_forward(machine: Machine) -> None:
    clock = LiveClock()
    assert clock.now() == START
    machine.wall += 3600 * SECOND
    assert clock.now() == START + 3600 * SECOND


def test_set_back_by_an_hour_time_goes_on_and_meets_the_machines_clock_again(machine: Machine) -> None:
    clock = LiveClock()
    before = clock.now()
    machine.wall -= 3600 * SECOND
    assert clock.now() == before
    machine.passes(4)
    assert clock.now() == before + 3 * SECOND
    machine.passes(4)
    assert clock.now() == before + 6 * SECOND
    for _ in range(4):
        machine.passes(3600)
        assert clock.now() >= machine.wall
    assert clock.now() == machine.wall


def test_set_back_again_much_later_it_does_not_jump(machine: Machine) -> None:
    clock = LiveClock()
    clock.now()
    machine.wall -= SECOND
    clock.now()
    machine.passes(86_400)
    before = clock.now()
    machine.wall -= SECOND
    assert clock.now() == before
    machine.passes(0)
    assert clock.now() == before


def test_a_journal_that_is_ahead_of_the_machines_clock_does_not_stop_time(machine: Machine) -> None:
    ahead = START + 7 * SECOND
    clock = LiveClock(ahead)
    assert clock.now() == ahead
    machine.passes(4)
    assert clock.now() == ahead + 3 * SECOND
    machine.passes(60)
    assert clock.now() == machine.wall


def test_a_journal_of_the_past_changes_nothing(machine: Machine) -> None:
    assert LiveClock(START - SECOND).now() == START
