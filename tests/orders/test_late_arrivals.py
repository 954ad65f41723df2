"""Orders that the venue did not know, and has after all."""

from decimal import Decimal
from itertools import pairwise

from bus.messages.orders import OrderCancelled, OrderFilled
from bus.messages.system import AlertRaised
from orders.late_arrivals import ASK_AFTER_S
from orders.reports import CAME_LATE
from tests.orders.trading import BTC, Bench, cancels, of_type, queries

D = Decimal
SECOND = 1_000_000_000


def given_up(kind: str = "market", **more: str) -> Bench:
    """td-1 was sent, not answered, not known to the venue, and has ended."""
    bench = Bench()
    bench.trade("100")
    bench.submit("td-1", "buy", kind, "1", **more)
    bench.report("td-1", "unknown", reason="no answer within 10 s")
    while bench.order("td-1").state != "REJECTED":
        bench.second()
        bench.report("td-1", "not_found")
    return bench


def test_it_is_asked_about_for_five_minutes_and_for_the_first_two_never_half_a_minute_apart() -> None:
    bench = given_up()
    asked = []
    for second in range(1, 400):
        if queries(bench.second()):
            asked.append(second)
            bench.report("td-1", "not_found")
    assert asked == list(ASK_AFTER_S)
    early = [0, *(each for each in asked if each <= 130)]
    assert max(later - earlier for earlier, later in pairwise(early)) <= 30
    assert bench.order("td-1").state == "REJECTED"


def test_what_it_has_executed_is_booked_and_ends_the_questions() -> None:
    bench = given_up()
    assert any(queries(bench.second()) for _ in range(600))
    bench.accept("td-1")
    (fill,) = of_type(bench.fill("td-1", "1", "101"), OrderFilled)
    assert fill.quantity == 1
    assert bench.engine.ledger.quantity(BTC) == 1
    assert bench.order("td-1").state == "FILLED"
    assert not any(queries(bench.second()) for _ in range(25))


def test_one_that_rests_is_cancelled_and_a_person_told_once() -> None:
    bench = given_up("limit", price="99")
    effects = bench.accept("td-1")
    (cancel,) = cancels(effects)
    assert cancel.client_order_id == "td-1"
    assert [alert.title for alert in of_type(effects, AlertRaised)] == ["An order arrived late"]
    again = bench.accept("td-1")
    assert len(cancels(again)) == 1
    assert not of_type(again, AlertRaised)
    assert bench.engine.ledger.quantity(BTC) == 0


def test_once_cancelled_it_ends_as_what_the_venue_says_also_after_a_restart() -> None:
    bench = given_up("limit", price="99")
    bench.accept("td-1")
    bench.report("td-1", "cancelled")
    assert (bench.order("td-1").state, bench.order("td-1").reason) == ("CANCELLED", CAME_LATE)
    assert not of_type(bench.report("td-1", "cancelled"), OrderCancelled)
    assert not any(queries(bench.second()) for _ in range(60))
    assert bench.restarted().order("td-1").state == "CANCELLED"


def test_what_a_late_one_executed_before_its_end_is_booked() -> None:
    bench = given_up("limit", price="99")
    bench.accept("td-1")
    bench.fill("td-1", "0.4", "99")
    bench.report("td-1", "cancelled")
    assert (bench.order("td-1").state, bench.order("td-1").filled) == ("CANCELLED", D("0.4"))
    assert bench.engine.ledger.quantity(BTC) == D("0.4")


def test_it_is_asked_about_at_once_after_a_restart_however_long_that_took() -> None:
    bench = given_up()
    bench.now += 3600 * SECOND
    again = bench.restarted()
    assert [query.client_order_id for query in queries(again.engine.finish_restore(again.now))] == ["td-1"]
    assert again.engine.awaits_answers
    again.fill("td-1", "1", "101")
    assert again.engine.ledger.quantity(BTC) == 1


def test_one_of_two_days_ago_is_not() -> None:
    bench = given_up()
    bench.now += 2 * 86_400 * SECOND
    again = bench.restarted()
    assert not queries(again.engine.finish_restore(again.now))


def test_an_order_that_the_venue_refused_in_words_is_not_asked_about() -> None:
    bench = Bench()
    bench.trade("100")
    bench.submit("td-1", "buy", "market", "1")
    bench.report("td-1", "rejected", reason="insufficient funds")
    assert not any(queries(bench.second()) for _ in range(60))
