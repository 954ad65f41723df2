"""Peaks, openings and losses over days, weeks, flows and restarts."""

import datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk.drawdown import EquityTracker, day_number, loss_ratio, week_number

D = Decimal
SECOND = 1_000_000_000
DAY = 86_400 * SECOND


def at(text: str) -> int:
    moment = datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC)
    return int(moment.timestamp()) * SECOND


def tracker(*points: tuple[str, int]) -> EquityTracker:
    made = EquityTracker()
    for when, equity in points:
        made.update(at(when), D(equity))
    return made


def test_the_first_equity_is_every_base() -> None:
    made = tracker(("2024-05-01T12:00", 10_000))
    assert made.peak_equity == made.day_open_equity == made.day_peak_equity == made.week_peak_equity == 10_000
    assert made.initial_capital == 10_000
    assert made.daily_drawdown == made.weekly_drawdown == made.max_drawdown == made.daily_loss == 0


def test_daily_drawdown_is_from_the_peak_and_daily_loss_from_the_opening() -> None:
    made = tracker(("2024-05-01T10:00", 10_000), ("2024-05-01T11:00", 12_500), ("2024-05-01T12:00", 9_500))
    assert made.daily_drawdown == D("0.24")
    assert made.daily_loss == D("0.05")


def test_gains_are_no_losses() -> None:
    made = tracker(("2024-05-01T10:00", 10_000), ("2024-05-01T11:00", 11_000))
    assert made.daily_loss == made.capital_loss == made.runaway_loss == 0


def test_a_new_day_opens_at_midnight_with_the_last_equity_of_the_old_one() -> None:
    made = tracker(("2024-05-01T12:00", 10_000), ("2024-05-01T23:59:59", 8_000))
    assert made.daily_loss == D("0.2")
    made.update(at("2024-05-02T00:00"), D(7_200))
    assert made.day_open_equity == made.day_peak_equity == 8_000
    assert made.daily_loss == made.daily_drawdown == D("0.1")
    assert made.weekly_drawdown == made.max_drawdown == D("0.28")


def test_the_week_begins_on_monday_at_midnight_utc() -> None:
    made = tracker(("2024-05-04T12:00", 10_000), ("2024-05-05T23:59:59", 9_000))
    assert made.weekly_drawdown == D("0.1")
    made.update(at("2024-05-06T00:00"), D(9_000))
    assert made.weekly_drawdown == 0
    assert made.max_drawdown == D("0.1")


@given(st.dates(datetime.date(1970, 1, 1), datetime.date(2200, 1, 1)), st.integers(0, DAY - 1))
def test_days_and_weeks_agree_with_the_calendar(date: datetime.date, within: int) -> None:
    ts = (date - datetime.date(1970, 1, 1)).days * DAY + within
    assert day_number(ts) == (date - datetime.date(1970, 1, 1)).days
    monday = date - datetime.timedelta(days=date.isocalendar().weekday - 1)
    first_monday = datetime.date(1969, 12, 29)
    assert week_number(ts) == (monday - first_monday).days // 7


def test_a_deposit_neither_hides_nor_makes_a_drawdown() -> None:
    made = tracker(("2024-05-01T10:00", 10_000), ("2024-05-01T11:00", 9_000))
    made.update(at("2024-05-01T12:00"), D(18_000), net_flow=D(9_000))
    assert made.max_drawdown == made.daily_drawdown == made.daily_loss == made.capital_loss == D("0.1")
    assert made.peak_equity == made.initial_capital == 20_000


def test_a_large_withdrawal_after_a_small_loss_is_not_ruin() -> None:
    made = tracker(("2024-05-01T10:00", 10_000), ("2024-05-01T11:00", 9_000))
    made.update(at("2024-05-01T11:00:10"), D(900), net_flow=D(-8_100))
    assert made.capital_loss == made.runaway_loss + D("0.1") == D("0.1")
    assert made.initial_capital == 1_000


def test_a_deposit_into_an_untouched_account_moves_every_base_by_the_amount() -> None:
    made = tracker(("2024-05-01T10:00", 10_000))
    made.update(at("2024-05-02T10:00"), D(15_000), net_flow=D(5_000))
    assert made.peak_equity == made.day_open_equity == made.day_peak_equity == made.initial_capital == 15_000
    assert made.daily_loss == 0


def test_profit_and_deposit_in_one_update_are_told_apart() -> None:
    made = tracker(("2024-05-01T10:00", 10_000))
    made.update(at("2024-05-01T11:00"), D(16_500), net_flow=D(6_500))
    assert made.initial_capital == D(16_500)
    made = tracker(("2024-05-01T10:00", 10_000))
    made.update(at("2024-05-01T11:00"), D(14_000), net_flow=D(5_000))
    assert made.daily_loss.quantize(D("1E-9")) == D("0.1")


def test_an_account_that_begins_empty_begins_with_its_first_money() -> None:
    made = EquityTracker()
    made.update(at("2024-05-01T10:00"), D(0))
    made.update(at("2024-05-01T11:00"), D(10_000), net_flow=D(10_000))
    assert made.initial_capital == made.peak_equity == made.day_open_equity == 10_000
    assert made.capital_loss == 0


def test_an_account_may_be_emptied_and_filled_again() -> None:
    made = tracker(("2024-05-01T10:00", 10_000))
    made.update(at("2024-05-01T11:00"), D(0), net_flow=D(-10_000))
    assert made.max_drawdown == 0
    made.update(at("2024-05-01T12:00"), D(500), net_flow=D(500))
    assert (made.peak_equity, made.initial_capital, made.max_drawdown) == (D(500), D(500), D(0))


def test_a_deposit_that_lifts_equity_above_zero_moves_the_bases_by_its_amount() -> None:
    made = tracker(("2024-05-01T10:00", 100), ("2024-05-01T11:00", -10))
    made.update(at("2024-05-01T12:00"), D(90), net_flow=D(100))
    assert made.peak_equity == made.initial_capital == 200
    assert made.max_drawdown == D("0.55")


def test_equity_below_zero_is_a_loss_of_more_than_all() -> None:
    made = tracker(("2024-05-01T10:00", 10_000), ("2024-05-01T11:00", -1_000))
    assert made.capital_loss == D("1.1")


@pytest.mark.parametrize(("seconds_later", "loss"), [(0, "0.03"), (1, "0.03"), (60, "0.03"), (61, "0")])
def test_runaway_is_the_fall_from_the_highest_of_the_last_sixty_seconds(seconds_later: int, loss: str) -> None:
    made = EquityTracker()
    made.update(0, D(10_000))
    made.update(seconds_later * SECOND, D(9_700))
    assert made.runaway_loss == D(loss)


@given(st.lists(st.tuples(st.integers(0, 5_000), st.integers(1, 200)), min_size=1, max_size=80))
def test_runaway_agrees_with_looking_at_every_sample(steps: list[tuple[int, int]]) -> None:
    made, now, seen = EquityTracker(), 0, []
    for milliseconds, equity in steps:
        now += milliseconds * SECOND // 1000
        made.update(now, D(equity))
        seen.append((now, D(equity)))
        peak = max(value for ts, value in seen if ts // SECOND >= now // SECOND - 60)
        assert made.runaway_loss == loss_ratio(peak, D(equity))


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=300))
def test_the_memory_of_the_last_minute_is_bounded(equities: list[int]) -> None:
    made = EquityTracker()
    for index, equity in enumerate(equities):
        made.update(index * SECOND, D(equity))
        assert len(made._fast_peaks) <= 62


def test_time_that_steps_back_counts_as_no_time() -> None:
    made = tracker(("2024-05-02T00:00", 10_000), ("2024-05-01T23:00", 9_000))
    assert made.day_open_equity == 10_000
    assert made.daily_loss == D("0.1")


def test_a_restored_tracker_goes_on_as_if_nothing_had_happened() -> None:
    made = tracker(("2024-05-01T10:00", 10_000), ("2024-05-01T11:00", 12_000), ("2024-05-01T12:00", 11_000))
    again = EquityTracker()
    again.restore(
        at("2024-05-01T12:00"), equity=made.equity, peak_equity=made.peak_equity,
        day_open_equity=made.day_open_equity, day_peak_equity=made.day_peak_equity,
        week_peak_equity=made.week_peak_equity, initial_capital=made.initial_capital,
    )
    for when, equity in (("2024-05-01T13:00", 9_000), ("2024-05-02T01:00", 9_500), ("2024-05-06T01:00", 8_000)):
        made.update(at(when), D(equity))
        again.update(at(when), D(equity))
        for name in ("daily_drawdown", "weekly_drawdown", "max_drawdown", "daily_loss", "capital_loss"):
            assert getattr(again, name) == getattr(made, name), name


@given(st.lists(st.integers(-500, 500), max_size=40), st.integers(1_000, 5_000))
def test_flows_alone_never_show_as_a_loss(flows: list[int], capital: int) -> None:
    made, equity = EquityTracker(), D(capital)
    made.update(0, equity)
    for index, flow in enumerate(flows, start=1):
        if equity + flow <= 0:
            continue
        equity += flow
        made.update(index * DAY // 5, equity, net_flow=D(flow))
        for loss in (made.max_drawdown, made.daily_loss, made.capital_loss, made.runaway_loss):
            assert loss < D("1E-20")
