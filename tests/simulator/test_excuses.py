"""What nobody could have done is no violation, and what somebody could have done still is."""

import pytest

from orders.disaster_stop import DisasterStops
from orders.print_guard import PrintGuard
from simulator.__main__ import _p99
from simulator.faults import Fault
from simulator.schedule import SECOND, Schedule
from simulator.world import live_through
from tradingd.account_watch import AccountWatch

SHORT_S = 900.0
SOLD_WHILE_DOWN = [
    Fault(300, "kill_idle", "", 45), Fault(304, "sold_by_hand", "BTC/USDT"), Fault(305, "sold_by_hand", "ETH/USDT"),
]


def violations(script: list[Fault], *seeds: int) -> list[str]:
    return [text for seed in seeds for text in live_through(seed, script, SHORT_S).violations]


def test_a_sale_by_hand_while_the_process_is_down_is_followed_from_its_start_on() -> None:
    lives = [live_through(seed, SOLD_WHILE_DOWN, SHORT_S) for seed in (310, 311)]
    assert [text for life in lives for text in life.violations] == []
    assert any("of ours sold by hand" in line for life in lives for line in life.trace)


def test_books_that_never_follow_a_sale_of_a_down_time_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AccountWatch, "_believe", lambda self, asset, difference, balance: None)
    told = violations(SOLD_WHILE_DOWN, 310, 311)
    assert any("our books say" in text for text in told)
    assert any("for sale at the exchange" in text for text in told)


def deaths_in_a_row(name: str) -> list[Fault]:
    return [Fault(float(at), name) for at in range(150, 800, 120) for _ in range(5)]


@pytest.mark.parametrize("name", ["kill_after_journal", "kill_before_send", "kill_before_journal"])
def test_processes_that_die_one_after_the_other_before_they_could_place_a_stop_are_excused(name: str) -> None:
    assert violations(deaths_in_a_row(name), 0, 4) == []


def test_stops_that_are_missing_between_deaths_in_a_row_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    place, placed = DisasterStops._place, []

    def place_late(self: DisasterStops, symbol: str, quantity: object) -> None:
        placed.append(symbol)
        if len(placed) % 40 == 0:
            place(self, symbol, quantity)  # type: ignore[arg-type]

    monkeypatch.setattr(DisasterStops, "_place", place_late)
    assert any("for sale at the exchange" in text for text in violations(deaths_in_a_row("kill_on_report"), 0, 4))


TWICE = [
    Fault(at, "bad_tick", symbol)
    for first, symbol in ((160.0, "ETH/USDT"), (220.0, "BTC/USDT"), (400.0, "ETH/USDT"), (521.0, "BTC/USDT"))
    for at in (first, first + 0.3 * (symbol == "ETH/USDT"))
]


def test_a_far_print_that_a_second_one_confirms_is_a_price_that_the_market_had() -> None:
    assert violations(TWICE, 500, 501, 502) == []


def test_a_lone_far_print_that_is_believed_is_seen_beside_confirmed_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PrintGuard, "judge_print", lambda self, tick, market: self._believe(tick))
    lone = [Fault(float(at), "bad_tick") for at in range(600, 850, 10)]
    assert any("and the market was between" in text for text in violations([*TWICE, *lone], 0, 1))


@pytest.mark.parametrize("at", [899.0, 895.0])
def test_what_a_clock_jumps_over_at_the_end_is_lived_after_it(at: float) -> None:
    jumps = [Fault(at, "clock_jump")] * 6
    life = live_through(322, [Fault(890, "network_down", "", 9), *jumps], SHORT_S)
    assert life.violations == []
    assert float(life.trace[-1][:10]) > SHORT_S
    assert violations([Fault(890, "network_down", "", 9), *jumps], 323, 284) == []


def test_seconds_that_the_clock_jumps_over_are_not_lived() -> None:
    schedule = Schedule(0)
    schedule.run_until(100 * SECOND)
    schedule.jump(30)
    schedule.run_until(140 * SECOND)
    assert (schedule.elapsed_s, schedule.lived_s) == (140.0, 110.0)
    assert [schedule.ago(seconds) for seconds in (5, 10, 11, 50)] == [135.0, 130.0, 99.0, 60.0]
    assert [schedule.jumped_since(moment) for moment in (0, 110, 130)] == [30.0, 20.0, 0.0]


def test_a_first_start_that_goes_on_failing_is_tried_less_and_less_often() -> None:
    life = live_through(3, [Fault(0, "network_down", "", 600)], SHORT_S)
    assert life.violations == []
    assert 20 < life.deaths < 60
    assert life.orders > 0


def test_the_99th_of_a_hundred_is_the_smallest_that_99_percent_do_not_exceed() -> None:
    assert [_p99([]), _p99([1.0]), _p99([1.0, 9.0])] == [0.0, 1.0, 9.0]
    assert _p99([float(number) for number in range(1, 101)]) == 99.0


def test_a_stop_that_is_cancelled_by_hand_while_a_full_disk_lets_no_process_start_is_excused() -> None:
    script = [
        fault for at in (200.0, 380.0, 560.0, 740.0)
        for fault in (Fault(at, "disk_full", "", 40), Fault(at + 3, "power_cut"), Fault(at + 5, "cancelled_by_hand"))
    ]
    lives = [live_through(seed, script, SHORT_S) for seed in (310, 311)]
    assert [text for life in lives for text in life.violations] == []
    assert any("cannot be written (no space left" in line for life in lives for line in life.trace)
