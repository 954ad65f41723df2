"""Cancels that the venue does not answer (F26): what the old stop does not cover gets one of its own."""

from decimal import Decimal

import pytest

from bus.messages.orders import OrderDenied
from bus.messages.system import AlertRaised
from orders.disaster_stop import MOST_BESIDE
from tests.orders.guarded_position import STOP, guarded, resting
from tests.orders.trading import BTC, WIDE, Bench, cancels, of_type, sent

D = Decimal


@pytest.fixture
def bench() -> Bench:
    return Bench(WIDE, disaster_stop=True)


def seconds(bench: Bench, count: int) -> list[str]:
    """Ids of what was sent meanwhile; the venue takes it, and answers no cancel."""
    left = []
    for _ in range(count):
        bench.trade("100")
        for call in sent(bench.second()):
            left.append(call.approved.order.client_order_id)
            bench.accept(left[-1])
    return left


def bought_more(bench: Bench, name: str, quantity: str = "1") -> None:
    bench.submit(name, "buy", "market", quantity)
    bench.fill(name, quantity, "100")


def shares(bench: Bench) -> list[Decimal]:
    return [order.remaining for order in resting(bench)]


def test_what_was_bought_more_gets_a_stop_beside_the_one_whose_cancel_is_not_answered(bench: Bench) -> None:
    old = guarded(bench)
    seconds(bench, 3)
    bought_more(bench, "td-more")
    (new,) = seconds(bench, 4)
    assert [order.client_order_id for order in resting(bench)] == [old, new]
    assert shares(bench) == [D(1), D(1)]
    assert seconds(bench, 30) == [], "both stay as they are"


def test_one_stop_covers_all_again_when_the_venue_answers(bench: Bench) -> None:
    old = guarded(bench)
    seconds(bench, 3)
    bought_more(bench, "td-more")
    (new,) = seconds(bench, 4)
    (call,) = sent(bench.report(old, "cancelled"))
    bench.accept(call.approved.order.client_order_id)
    assert shares(bench) == [D(1), D(1)], "the rest is covered at once, beside the newer one"
    bench.submit("td-half", "sell", "market", "1")
    for order in resting(bench):
        bench.report(order.client_order_id, "cancelled")
    bench.fill("td-half", "1", "100")
    seconds(bench, 2)
    (one,) = resting(bench)
    bench.accept(one.client_order_id)
    assert shares(bench) == [D(1)]
    seconds(bench, 5)
    bought_more(bench, "td-again")
    bench.trade("100")
    (call_back,) = cancels(bench.second(3))
    assert call_back.client_order_id != new
    (after,) = sent(bench.report(call_back.client_order_id, "cancelled"))
    assert after.approved.order.quantity == D(2), "the usual way: one stop in the place of another"


def test_a_cancel_that_is_refused_leaves_both(bench: Bench) -> None:
    old = guarded(bench)
    seconds(bench, 3)
    bought_more(bench, "td-more")
    seconds(bench, 4)
    bench.report(old, "cancel_rejected", reason="unknown")
    bench.accept(old)
    seconds(bench, 3)
    assert sum(shares(bench)) == D(2)


def test_each_that_is_jumped_over_is_taken_back_and_sold(bench: Bench) -> None:
    guarded(bench)
    seconds(bench, 3)
    bought_more(bench, "td-more")
    seconds(bench, 4)
    bench.trade("90")
    asked = []
    for _ in range(6):
        bench.trade("90")
        asked += cancels(bench.second())
    (new,) = resting(bench)[1:]
    assert new.client_order_id in [each.client_order_id for each in asked]


def test_nothing_more_is_bought_while_the_cancel_of_a_stop_has_no_answer(bench: Bench) -> None:
    old = guarded(bench)
    seconds(bench, 3)
    bought_more(bench, "td-more")
    seconds(bench, 7)
    (denied,) = of_type(bench.submit("td-third", "buy", "market", "1"), OrderDenied)
    assert denied.code == "UNKNOWN_PENDING"
    bench.report(old, "cancelled")
    assert of_type(bench.submit("td-fourth", "buy", "market", "1"), OrderDenied) == []


def crowded(bench: Bench) -> None:
    guarded(bench)
    bench.submit("td-slow", "buy", "limit", "9", price="100")
    for _ in range(MOST_BESIDE + 2):
        seconds(bench, 4)
        bench.fill("td-slow", "1", "100")
    assert len(resting(bench)) == MOST_BESIDE


def test_a_person_is_told_once_when_no_more_stops_fit(bench: Bench) -> None:
    crowded(bench)
    seconds(bench, 100)
    told = [each for each in of_type(bench.journal, AlertRaised) if "cover a part" in each.title]
    assert [each.level for each in told] == ["critical"]
    assert f"{BTC}" in told[0].title


def test_when_the_venue_answers_again_all_is_covered_in_time(bench: Bench) -> None:
    crowded(bench)
    for order in resting(bench):
        if order.detail == "pending_cancel":
            bench.report(order.client_order_id, "cancelled")
    for _ in range(20):
        bench.trade("100")
        effects = [*bench.second()]
        for call in sent(effects):
            bench.accept(call.approved.order.client_order_id)
        for cancel in cancels(effects):
            for call in sent(bench.report(cancel.client_order_id, "cancelled")):
                bench.accept(call.approved.order.client_order_id)
    assert sum(shares(bench)) == D(MOST_BESIDE + 3)


def test_a_restart_goes_on_with_both(bench: Bench) -> None:
    guarded(bench, protection=STOP)
    seconds(bench, 3)
    bought_more(bench, "td-more")
    seconds(bench, 4)
    again = bench.restarted()
    again.engine.finish_restore(again.now)
    for _ in range(5):
        again.trade("100")
        again.second()
    assert shares(again) == [D(1), D(1)]
