"""The stop at the venue after a restart."""

from dataclasses import replace
from decimal import Decimal

import pytest

from bus.messages.orders import OrderFilled, OrderPendingCancel, OrderSubmitted
from tests.orders.guarded_position import STOP, guarded, resting
from tests.orders.trading import BTC, WIDE, Bench, cancels, of_type, queries, sent

D = Decimal


@pytest.fixture
def bench() -> Bench:
    return Bench(WIDE, disaster_stop=True)


def test_a_stop_that_was_sent_but_not_answered_is_asked_for_and_not_doubled(bench):
    bench.hold("1", "100", protection=STOP)
    (call,) = sent(bench.second())
    again = bench.restarted()
    effects = again.engine.finish_restore(again.now)
    assert call.approved.order.client_order_id in {each.client_order_id for each in queries(effects)}
    again.trade("100")
    assert sent(again.second()) == []
    again.accept(call.approved.order.client_order_id)
    assert sent(again.second()) == []
    assert len(resting(again)) == 1


def test_a_stop_that_never_arrived_is_placed_after_the_restart(bench):
    bench.hold("1", "100", protection=STOP)
    (call,) = sent(bench.second())
    again = bench.restarted()
    again.engine.finish_restore(again.now)
    again.trade("100")
    again.second(6)
    calls = sent(again.report(call.approved.order.client_order_id, "not_found"))
    assert [each.approved.order.wire_type for each in calls] == ["stop_limit"]


def test_a_restart_during_the_cancel_goes_on_with_the_cancel_and_the_exit(bench):
    stop = guarded(bench)
    bench.trade("97.9")
    again = bench.restarted()
    effects = again.engine.finish_restore(again.now)
    assert [call.client_order_id for call in cancels(effects)] == [stop]
    assert sent(effects) == []
    (sale,) = sent(again.report(stop, "cancelled"))
    assert sale.approved.order.client_order_id == "td-entry-s"


def test_a_stop_that_filled_while_we_were_away_is_booked_once_and_its_siblings_end(bench):
    stop = guarded(bench)
    again = bench.restarted()
    assert not again.engine.awaits_answers
    again.engine.finish_restore(again.now)
    assert again.engine.awaits_answers  # the balances are not compared before it has said what became of the stop
    again.accept(stop)
    assert not again.engine.awaits_answers
    (fact,) = of_type(again.fill(stop, "1", "96.5", trade_id="77"), OrderFilled)
    assert again.engine.ledger.quantity(BTC) == 0
    assert of_type(again.fill(stop, "1", "96.5", trade_id="77"), OrderFilled) == []
    assert again.order("td-entry-s").state == "CANCELLED"
    assert fact.is_complete
    assert sent(again.second()) == []


def test_a_torn_journal_between_the_stop_and_its_sending_leaves_no_order_and_a_new_stop_follows(bench):
    bench.hold("1", "100", protection=STOP)
    (call,) = sent(bench.second())
    cut = next(index for index, fact in enumerate(bench.journal) if isinstance(fact.body, OrderSubmitted)
               and fact.body.client_order_id == call.approved.order.client_order_id)
    del bench.journal[cut:]
    again = bench.restarted()
    (new,) = sent(again.engine.finish_restore(again.now))
    assert again.order(call.approved.order.client_order_id).state == "CANCELLED"
    assert new.approved.order.quantity == 1


def test_after_a_restart_a_bare_position_has_its_stop_with_the_first_step_before_any_price_is_heard(bench):
    bench.hold("1", "100", protection=STOP)
    again = bench.restarted()
    (call,) = sent(again.engine.finish_restore(again.now))
    assert (call.approved.order.wire_type, call.approved.order.quantity) == ("stop_limit", 1)
    assert call.approved.order.stop_price == D("97.02")
    again.accept(call.approved.order.client_order_id)
    assert sent(again.second()) == []


def test_after_a_restart_an_order_of_unknown_fate_that_may_sell_keeps_its_part_of_the_position(bench):
    bench.hold("3", "100", protection=STOP)
    bench.submit("td-part", "sell", "market", "1")
    again = bench.restarted()
    (call,) = sent(again.engine.finish_restore(again.now))
    assert (call.approved.order.wire_type, call.approved.order.quantity) == ("stop_limit", 2)


def test_switched_off_after_a_restart_the_stop_is_taken_back(bench):
    stop = guarded(bench)
    bench.config = replace(bench.config, disaster_stop=False)
    again = bench.restarted()
    effects = again.engine.finish_restore(again.now)
    assert cancels(effects)[0].client_order_id == stop
    assert of_type(effects, OrderPendingCancel)[0].reason == "switched off"
