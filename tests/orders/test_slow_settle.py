"""Sent in the journal, dead before the call: what became of the order is known as soon as the grace is over."""

from bus.messages.orders import OrderRejected
from market.interval import SECOND_NS
from orders.reports import NOT_FOUND_GRACE_NS
from tests.orders.trading import Bench, of_type, queries

GRACE_S = NOT_FOUND_GRACE_NS // SECOND_NS


def test_an_order_that_never_left_is_settled_when_the_grace_ends_not_at_the_next_slow_question() -> None:
    bench = Bench()
    bench.trade("100")
    bench.submit("td-1", "buy", "market", "1")
    again = bench.restarted()
    again.report("td-1", "not_found")  # the answer to the question of the restart: too early to be believed
    asked = [second for second in range(1, GRACE_S + 1) if queries(again.second())]
    assert asked == [GRACE_S]
    (ended,) = of_type(again.report("td-1", "not_found"), OrderRejected)
    assert "never arrived" in ended.reason
    assert again.order("td-1").state == "REJECTED"


def test_an_order_that_was_only_slow_is_asked_about_once_and_goes_on() -> None:
    bench = Bench()
    bench.trade("100")
    bench.submit("td-1", "buy", "limit", "1", price="99")
    bench.report("td-1", "not_found")
    asked = [second for second in range(1, GRACE_S + 1) if queries(bench.second())]
    assert asked == [GRACE_S]
    bench.accept("td-1")
    assert not any(queries(bench.second()) for _ in range(20))
    assert bench.order("td-1").detail == "accepted"
