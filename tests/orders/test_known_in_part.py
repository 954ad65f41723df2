"""What is decided while prices are not known yet, or are from before market data was away: losses, peaks, days."""

from dataclasses import replace
from decimal import Decimal

import pytest

from bus.messages.header import Message
from bus.messages.ledger import FundsChanged
from bus.messages.orders import OrderDenied, TrailSpec
from market.interval import SECOND_NS
from market.ticks import TradeTick
from tests.orders.trading import BTC, ETH, WIDE, Bench, of_type, sent

D = Decimal
HOUR = 3600
GUARDED = replace(WIDE, runaway_loss=D("0.02"))


def begun_anew(bench: Bench, after_s: int, session: str = "s2") -> Bench:
    """A new process so much later, its fold ended, and its first second."""
    other = bench.restarted(session)
    other.now += after_s * SECOND_NS
    other.journal.extend(each for each in other.engine.finish_restore(other.now) if isinstance(each, Message))
    other.second()
    return other


def holding() -> Bench:
    """Half of 10,000 in 50 units at 100."""
    bench = Bench(GUARDED)
    bench.hold("50", "100")
    bench.second()
    return bench


def fall(bench: Bench, price: str = "90", symbol: str = BTC) -> None:
    """To be found in two timers, as the guard wants it."""
    bench.trade(price, symbol)
    bench.second()
    bench.second()


# ---- the loss of a minute


@pytest.mark.parametrize("seconds", [1, 30, 55])
def test_what_is_lost_within_a_minute_locks_though_nothing_was_heard_between(seconds):
    bench = holding()
    for _ in range(seconds):
        bench.second()
    fall(bench)
    assert bench.engine.kill is not None


@pytest.mark.parametrize("every", [1, 30, 600])
def test_what_was_lost_while_market_data_was_away_for_hours_was_not_lost_within_a_minute(every):
    bench = holding()
    for _ in range(3 * HOUR // every if every > 1 else 200):
        bench.second(every)
    fall(bench)
    assert bench.engine.kill is None
    fall(bench, "80")  # and this was
    assert bench.engine.kill is not None


@pytest.mark.parametrize("by_quotes", [False, True])
def test_of_several_symbols_none_is_marked_now_by_the_price_of_another(by_quotes):
    bench = holding()
    bench.trade("10", ETH)
    bench.submit("td-eth", "buy", "market", "100", symbol=ETH)
    bench.accept("td-eth")
    bench.fill("td-eth", "100", "10")
    bench.trade("100")
    if by_quotes:
        bench.quote("100", "100.1")
    for _ in range(20):
        bench.second(30)
    fall(bench, "10", ETH)
    bench.trade("90")  # by quotes a symbol is marked to its bid, which is of then
    fall(bench, "10", ETH)
    if by_quotes:
        bench.quote("90", "90.1")
    fall(bench, "10", ETH)
    assert bench.engine.kill is None


def test_who_says_nothing_beside_others_that_do_is_quiet_and_the_guard_goes_on():
    bench = holding()
    bench.trade("10", ETH)
    for _ in range(20):
        bench.second(30)
    for _ in range(65):
        bench.trade("10", ETH)
        bench.second()
    fall(bench)
    assert bench.engine.kill is not None


@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_line_that_lives_says_nothing_of_prices(is_restarted):
    bench = begun_anew(holding(), HOUR) if is_restarted else holding()
    bench.second(HOUR)
    for _ in range(100):
        bench.alive(1)
        bench.second(0)
    fall(bench)
    assert bench.engine.kill is None


@pytest.mark.parametrize("delta", ["100", "-100"])
def test_money_found_before_the_first_price_makes_no_loss_of_a_minute_out_of_that_of_hours(delta):
    bench = begun_anew(holding(), 5 * HOUR)
    bench.say(FundsChanged("USDT", D(delta), D(5000) + D(delta), "found at the venue"))
    bench.second()
    third = begun_anew(bench, 10, "s3")
    for each in (bench, third):
        fall(each)
        assert each.engine.kill is None


def test_nor_do_two_starts_within_a_minute():
    again = begun_anew(begun_anew(holding(), 5 * HOUR), 10, "s3")
    fall(again)
    assert again.engine.kill is None


def test_a_loss_of_this_minute_is_found_by_the_next_process_too():
    bench = holding()
    bench.say(FundsChanged("USDT", D(1), D(5001), "a snapshot follows"))
    again = begun_anew(bench, 10)
    fall(again)
    assert again.engine.kill is not None


# ---- days and weeks


@pytest.mark.parametrize("days", [1, 7])
@pytest.mark.parametrize("dies_before_a_price", [False, True])
@pytest.mark.parametrize(("before", "after", "loss"), [("80", "80", "0"), ("150", "150", "0"), ("150", "130", "0.08")])
def test_a_day_or_week_that_began_before_a_price_was_heard_begins_with_what_was_known_last(
    days, dies_before_a_price, before, after, loss,
):
    bench = Bench(WIDE)
    bench.hold("50", "100")
    for price in ("120", before):
        bench.trade(price)
        bench.second(100)
    again = begun_anew(bench, days * 24 * HOUR)
    if dies_before_a_price:
        again = begun_anew(again, 200, "s3")
    fall(again, after)
    seen = again.engine.look()
    assert seen.day_open_equity == D(5000) + 50 * D(before)
    assert D(str(seen.daily_loss)) == D(str(seen.daily_drawdown)) == D(loss)
    if days == 7:
        assert D(str(seen.weekly_drawdown)) == D(loss)


# ---- a symbol whose price does not come


def in_two_symbols(limits=WIDE) -> Bench:
    bench = Bench(limits)
    bench.trade("10", ETH)
    bench.hold("20", "100")
    bench.submit("td-eth", "buy", "market", "200", symbol=ETH)
    bench.accept("td-eth")
    bench.fill("td-eth", "200", "10")
    bench.second(100)
    return bench


@pytest.mark.parametrize("price", ["5", "10", "19"])
def test_a_symbol_that_is_silent_after_a_restart_counts_as_it_did_and_hides_no_loss_of_the_others(price):
    bench = in_two_symbols()
    bench.trade("100")
    bench.trade(price, ETH)
    bench.second(100)
    known = bench.engine.look()
    again = begun_anew(bench, HOUR)
    for _ in range(70):
        again.trade("75")
        again.second()
    seen = again.engine.look()
    assert seen.equity == known.equity - 20 * 25
    assert seen.day_open_equity == known.day_open_equity
    assert seen.peak_equity == known.peak_equity
    assert [each.mark for each in seen.positions] == [D(75), D(price)]
    third = begun_anew(again, HOUR, "s3")
    assert [each.mark for each in third.engine.look().positions] == [D(75), D(price)]
    fall(third, price, ETH)
    fall(third, "100")
    assert third.engine.look().equity == known.equity


def test_until_the_others_may_be_quiet_nothing_is_marked_by_prices_of_then():
    bench = in_two_symbols()
    again = begun_anew(bench, HOUR)
    for _ in range(50):
        again.trade("150")
        again.second()
    fall(again, "5", ETH)
    seen = again.engine.look()
    assert (seen.peak_equity, seen.max_drawdown) == (10_000, 0)


@pytest.mark.parametrize("price", ["5", "10", "19"])
def test_a_symbol_that_is_watched_no_longer_is_worth_what_it_was_last(price):
    bench = in_two_symbols(replace(WIDE, runaway_loss=D("0.02")))
    bench.trade("100")
    bench.trade(price, ETH)
    bench.second(100)
    known = bench.engine.look()
    bench.instruments = bench.instruments[:1]
    again = begun_anew(bench, HOUR)
    fall(again, "100")
    seen = again.engine.look()
    assert again.engine.kill is None
    assert (seen.equity, seen.peak_equity, seen.daily_loss) == (known.equity, known.peak_equity, known.daily_loss)


# ---- a machine that slept


@pytest.mark.parametrize("order_type", ["stop", "trailing"])
def test_an_entry_whose_time_was_over_long_before_the_price_that_fires_it_ends(order_type):
    bench = Bench()
    bench.trade("100")
    how = {"stop_price": "102"} if order_type == "stop" else {"trail": TrailSpec("percent", D("0.02"))}
    bench.submit("td-1", "buy", order_type, "1", expire_at=bench.now + 60 * SECOND_NS, **how)
    effects = bench.trade("103", after_ms=2 * HOUR * 1000)
    assert sent(effects) == []
    assert bench.order("td-1").state == "EXPIRED"
    assert begun_anew(bench, 1).order("td-1").state == "EXPIRED"


# ---- the first price


def one_position(price: str) -> Bench:
    """Bought at 100, worth `price` when the process ended."""
    bench = Bench(replace(WIDE, collar=D("0.05")))
    bench.hold("10", "100")
    for step in range(101, int(price) + 1, 4):
        bench.trade(str(step))
    bench.trade(price)
    bench.second(60)
    bench.second(60)
    return bench


@pytest.mark.parametrize(("after_s", "first", "is_believed"), [
    (20, "196", True), (20, "204", True), (20, "180", False), (20, "220", False), (20, "100", False),
    (5 * HOUR, "150", True), (5 * HOUR, "260", True), (5 * HOUR, "90", False), (5 * HOUR, "400", False),
])
def test_the_first_price_after_a_restart_is_measured_by_the_last_one_before_it(after_s, first, is_believed):
    again = begun_anew(one_position("200"), after_s)
    again.trade(first)
    assert (again.engine.prices()[BTC][2] is not None) == is_believed
    again._take(TradeTick(BTC, D(first), D(1), "buy", "2", again.now, again.now))
    assert again.engine.prices()[BTC][2] == D(first)


# ---- a book that is void


def test_while_the_book_stays_void_what_is_held_is_worth_what_is_paid_for_it_and_no_entry_is_let_in():
    bench = Bench(replace(WIDE, daily_loss=D("0.04")))
    bench.quote("99.99", "100.01")
    bench.hold("50", "100")
    bench.crossed()
    bench.trade("90")
    bench.second()
    assert bench.engine.look().equity == D("9999.5")  # the next good quote is due at any moment
    for _ in range(3):
        bench.trade("90")
        bench.second()
    assert bench.engine.look().equity == D(9500)
    assert bench.engine.look().daily_loss == pytest.approx(0.05, abs=1e-3)
    (denial,) = of_type(bench.submit("td-2", "buy", "market", "1"), OrderDenied)
    assert denial.code == "CROSSED_BOOK"
    bench.quote("94.99", "95.01")
    bench.quote("94.99", "95.01")
    bench.second()
    assert bench.engine.look().equity == D("9749.5")


def test_a_void_book_in_which_nobody_trades_leaves_the_mark_as_it_was():
    bench = Bench()
    bench.trade("80")
    bench.quote("99.99", "100.01")
    bench.hold("50", "99")
    bench.crossed()
    for _ in range(10):
        bench.alive()
        bench.second()
    assert bench.engine.look().equity == D(5050) + 50 * D("99.99")
