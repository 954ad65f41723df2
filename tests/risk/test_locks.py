"""The rules of the protections on their own: what counts, for how long, and that nothing counts twice."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from bus.messages.system import LockPlaced
from risk.locks import LockBook, NewLock, Protections, Trip, deepest_fall
from tests.risk.examples import D

SECOND = 1_000_000_000
STOPS = Protections(stop_guard_stops=2, stop_guard_window_ns=60 * SECOND, stop_guard_pause_ns=10 * SECOND)


def trip(second: float, profit: str = "-1", symbol: str = "BTC/USDT", *, is_stop: bool = True) -> Trip:
    return Trip(symbol, int(second * SECOND), D(profit), D(100), is_stop)


def wanted(book: LockBook, last: Trip, rules: Protections, equity: str = "1000") -> list[NewLock]:
    book.note_trip(last)
    return list(book.wanted_after(last, rules, D(equity), "USDT"))


def placed(number: int, symbol: str, since: int, until: int, rule: str = "cooldown") -> LockPlaced:
    return LockPlaced(f"lock-{number}", rule, symbol, "a test", since * SECOND, until * SECOND)


def test_a_stop_just_outside_the_window_does_not_count() -> None:
    for first, locks in ((0, 0), (0.000000001, 1)):
        book = LockBook()
        book.note_trip(trip(first))
        assert len(wanted(book, trip(60), STOPS)) == locks


def test_a_win_between_two_stops_neither_locks_nor_resets() -> None:
    book = LockBook()
    assert not wanted(book, trip(1), STOPS)
    assert not wanted(book, trip(2, "5", is_stop=False), STOPS)
    (lock,) = wanted(book, trip(3), STOPS)
    assert (lock.symbol, lock.until_ns) == ("BTC/USDT", 13 * SECOND)


def test_what_led_to_a_lock_does_not_lead_to_the_next() -> None:
    book = LockBook()
    wanted(book, trip(1), STOPS)
    (lock,) = wanted(book, trip(2), STOPS)
    book.place(placed(1, lock.symbol, 2, 12, lock.rule))
    assert not wanted(book, trip(13), STOPS)
    assert wanted(book, trip(14), STOPS)


def test_a_return_at_the_least_allowed_does_not_lock_and_a_hair_less_does() -> None:
    rules = Protections(low_profit_trips=2, low_profit_ratio=D("-0.02"))
    for second_profit, locks in (("-1", 0), ("-1.0001", 1)):
        book = LockBook()
        book.note_trip(trip(1))
        assert len(wanted(book, trip(2, second_profit), rules)) == locks


def test_giving_back_is_measured_from_the_best_and_at_the_limit_it_locks() -> None:
    rules = Protections(drawdown_guard_trips=1, drawdown_guard_ratio=D("0.01"))
    for loss, locks in (("-9.99", 0), ("-10", 1)):
        book = LockBook()
        assert not wanted(book, trip(1, "50"), rules)
        (*found,) = wanted(book, trip(2, loss), rules)
        assert [lock.symbol for lock in found] == ["*"] * locks


def test_the_longest_lock_of_a_symbol_is_told_and_those_of_others_are_not() -> None:
    book = LockBook()
    book.place(placed(1, "BTC/USDT", 0, 10))
    book.place(placed(2, "BTC/USDT", 1, 30, "stop_guard"))
    book.place(placed(3, "*", 1, 20))
    assert [lock.lock_id for place in ("BTC/USDT", "*") if (lock := book.holding(place, 5 * SECOND))] == [
        "lock-2", "lock-3"]
    assert book.holding("ETH/USDT", 5 * SECOND) is None
    assert book.holding("BTC/USDT", 30 * SECOND) is None
    assert [lock.lock_id for lock in book.active(15 * SECOND)] == ["lock-2", "lock-3"]
    assert book.next_id == "lock-4"


def test_a_new_lock_of_a_rule_takes_the_old_ones_place() -> None:
    book = LockBook()
    book.place(placed(1, "BTC/USDT", 0, 10))
    book.place(placed(2, "BTC/USDT", 5, 15))
    assert [lock.lock_id for lock in book.active(6 * SECOND)] == ["lock-2"]


@given(st.lists(st.decimals(-1000, 1000, places=2), max_size=30))
def test_the_deepest_fall_is_the_worst_of_all_stretches(profits: list[Decimal]) -> None:
    stretches = [sum(profits[i:j], D(0)) for i in range(len(profits) + 1) for j in range(i, len(profits) + 1)]
    assert deepest_fall(profits) == max(-min(stretches), D(0))
