"""A fill after the end of an order that was replaced, perhaps several times: no more is bought than was wanted."""

from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.messages.orders import CancelOrder, ModifyOrder
from tests.orders.trading import BTC, Bench, D, cancels, sent


@pytest.fixture
def bench() -> Bench:
    return resting()


def resting() -> Bench:
    """td-1 rests at the venue: a buy of 1 at 99."""
    bench = Bench()
    bench.quote("99.9", "100")
    bench.trade("100")
    bench.submit("td-1", "buy", "limit", "1", price="99")
    bench.accept("td-1")
    return bench


def changed(bench: Bench, order_id: str, price: str) -> str:
    """The id of the order that waits to take its place."""
    bench.say(ModifyOrder(order_id, price=D(price)))
    return next(each.client_order_id for each in bench.engine.orders.working() if each.spec.replaces == order_id)


def replaced(bench: Bench, order_id: str, price: str) -> str:
    """The id of the order that has taken its place."""
    made = changed(bench, order_id, price)
    bench.report(order_id, "cancelled")
    bench.accept(made)
    return made


def test_what_the_first_of_three_executes_late_the_third_does_not_buy_once_more(bench):
    third = replaced(bench, replaced(bench, "td-1", "98"), "97")
    effects = bench.fill("td-1", "0.6", "99")
    assert [each.client_order_id for each in cancels(effects)] == [third]
    (call,) = sent(bench.report(third, "cancelled"))
    assert (call.approved.order.quantity, call.approved.order.price) == (D("0.4"), D(97))


def test_nor_while_the_second_is_being_cancelled_for_it(bench):
    second = replaced(bench, "td-1", "98")
    third = changed(bench, second, "97")
    bench.fill("td-1", "0.6", "99")
    (call,) = sent(bench.report(second, "cancelled"))
    assert (call.approved.order.client_order_id, call.approved.order.quantity) == (third, D("0.4"))
    assert bench.order(third).spec.quantity == D("0.4")


def test_what_both_before_it_execute_is_counted_once_each(bench):
    second = replaced(bench, "td-1", "98")
    third = changed(bench, second, "97")
    bench.fill("td-1", "0.6", "99")
    bench.fill(second, "0.2", "98")
    (call,) = sent(bench.report(second, "cancelled"))
    assert (call.approved.order.client_order_id, call.approved.order.quantity) == (third, D("0.2"))


@pytest.mark.parametrize("late", ["0.7", "1"])
def test_where_nothing_is_left_of_it_the_third_is_not_sent(bench, late):
    second = replaced(bench, "td-1", "98")
    third = changed(bench, second, "97")
    bench.fill(second, "0.3", "98")
    bench.fill("td-1", late, "99")
    assert bench.order(third).state == "CANCELLED"
    assert not sent(bench.report(second, "cancelled"))


def test_a_late_fill_is_counted_once_where_the_next_waits_for_a_price(bench):
    second = changed(bench, "td-1", "98")
    known = len(bench.journal)
    bench.report("td-1", "cancelled")
    killed = Bench(capital="")
    killed.journal, killed.now = bench.journal[:known + 1], bench.now  # its end is the last that was written
    again = killed.restarted()
    again.engine.finish_restore(again.now)
    again.fill("td-1", "0.6", "99")
    assert again.order(second).state == "PENDING"
    (call,) = sent([*again.quote("99.9", "100"), *again.trade("100"), *again.second()])
    assert (call.approved.order.client_order_id, call.approved.order.quantity) == (second, D("0.4"))


def test_one_that_was_held_for_lost_and_lives_ends_though_its_successor_was_replaced_too(bench):
    bench.submit("td-2", "buy", "limit", "1", price="99")
    second = changed(bench, "td-2", "98")
    bench.second(6)
    bench.trade("100")
    bench.report("td-2", "not_found")
    bench.accept(second)
    third = replaced(bench, second, "97")
    effects = bench.fill("td-2", "0.4", "99")
    assert [each.client_order_id for each in cancels(effects)] == ["td-2", third]
    bench.fill("td-2", "0.1", "99")
    bench.report("td-2", "cancelled")
    (call,) = sent(bench.report(third, "cancelled"))
    assert call.approved.order.quantity == D("0.5")


def test_one_whose_successors_have_all_ended_ends_too(bench):
    bench.submit("td-2", "buy", "limit", "1", price="99")
    second = changed(bench, "td-2", "98")
    bench.second(6)
    bench.trade("100")
    bench.report("td-2", "not_found")
    bench.accept(second)
    bench.fill(second, "1", "98")
    effects = bench.fill("td-2", "0.4", "99")
    assert [each.client_order_id for each in cancels(effects)] == ["td-2"]


@pytest.mark.parametrize("ids", [("td-1", "td-2"), ("td-1", "td-1")])
def test_orders_that_claim_to_replace_each_other_are_no_endless_chain(ids):
    bench = Bench()
    bench.quote("99.9", "100")
    bench.trade("100")
    first, second = ids
    bench.submit(first, "buy", "limit", "1", price="99", replaces=second)
    bench.submit(second, "buy", "limit", "1", price="99", replaces=first)
    for each in bench.engine.orders.at_venue(BTC):
        bench.say(CancelOrder(each.client_order_id))
        bench.report(each.client_order_id, "cancelled")
    bench.fill(first, "0.5", "99")
    assert bench.engine.ledger.quantity(BTC) == D("0.5")


STEPS = st.lists(
    st.tuples(st.sampled_from(["change", "cancelled", "fill", "late", "late", "restart"]), st.integers(1, 4)),
    min_size=4, max_size=16,
)


@settings(max_examples=100, deadline=None)
@given(STEPS)
def test_whenever_fills_come_late_what_works_at_last_is_no_more_than_is_still_wanted(steps):
    bench, sessions = resting(), count(2)
    for kind, number in steps:
        at_venue = bench.engine.orders.at_venue(BTC)
        assert len(at_venue) <= 1
        ended = [each for each in bench.engine.orders if each.submitted_ns and each.state in ("CANCELLED", "EXPIRED")]
        part = D(number) / 10
        if kind == "restart":
            bench = bench.restarted(f"s{next(sessions)}")
            bench.engine.finish_restore(bench.now)
            bench.quote("99.9", "100")
            bench.trade("100")
            bench.second()
        elif kind == "late" and ended:
            order = ended[number % len(ended)]
            bench.fill(order.client_order_id, part, "99")
        elif at_venue and kind == "cancelled" and at_venue[0].detail == "pending_cancel":
            bench.report(at_venue[0].client_order_id, "cancelled")
        elif at_venue and kind == "change":
            bench.say(ModifyOrder(at_venue[0].client_order_id, price=D(99) - number))
        elif at_venue and kind == "fill" and part <= at_venue[0].remaining:
            bench.fill(at_venue[0].client_order_id, part, "99")
    for _ in range(20):
        for order in bench.engine.orders.at_venue(BTC):
            if order.detail == "pending_cancel":
                bench.report(order.client_order_id, "cancelled")
    held = bench.engine.ledger.quantity(BTC)
    working = sum((order.remaining for order in bench.engine.orders.at_venue(BTC)), D(0))
    assert not working or held + working <= 1, steps
