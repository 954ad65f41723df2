"""A person may tag an order as they like, and end it: the engine's own words mean nothing in a person's order."""

from decimal import Decimal

import pytest

from bus.messages.orders import CancelOrder, ClosePosition, Rebalance, RebalanceEnded, TargetWeight, TrailSpec
from tests.orders.trading import BTC, WIDE, Bench, cancels, of_type, sent

D = Decimal


@pytest.fixture
def bench() -> Bench:
    bench = Bench(WIDE)
    bench.hold("1", "100")
    return bench


@pytest.mark.parametrize("tag", ["escalated-", "escalated-x", "escalated-99"])
def test_an_exit_with_the_tag_of_a_replaced_one_is_replaced_as_the_first_of_its_kind(bench, tag):
    bench.submit("td-x", "sell", "market", "1", tag=tag)
    effects = bench.report("td-x", "rejected", reason="closed for a minute")
    (call,) = sent(effects)
    assert bench.order(call.approved.order.client_order_id).spec.tag == "escalated-1"


def test_a_stop_with_the_tag_of_a_target_is_a_stop(bench):
    assert not sent(bench.submit("td-x", "sell", "stop", "1", stop_price="95", tag="target"))
    assert not sent(bench.trade("105"))
    (call,) = sent(bench.trade("95"))
    assert call.approved.order.client_order_id == "td-x"


def test_a_limit_with_the_tag_of_a_closing_sale_does_not_keep_the_position_from_being_closed(bench):
    bench.submit("td-x", "sell", "limit", "1", price="110", tag="close")
    bench.accept("td-x")
    assert [each.client_order_id for each in cancels(bench.say(ClosePosition(BTC)))] == ["td-x"]
    (call,) = sent(bench.report("td-x", "cancelled"))
    assert (call.approved.order.wire_type, call.approved.order.quantity) == ("market", 1)


def test_a_limit_with_the_tag_of_a_rebalancing_does_not_hold_one_up(bench):
    bench.submit("td-x", "buy", "limit", "1", price="90", tag="rebalance")
    bench.accept("td-x")
    effects = bench.say(Rebalance((TargetWeight(BTC, bench.config.limits.exposure_per_asset / 2),)))
    assert sent(effects)
    assert not of_type(effects, RebalanceEnded)


@pytest.mark.parametrize("last_word", ["cancelled", "expired", "not_found", "rejected"])
@pytest.mark.parametrize("wish", ["a sale", "a close"])
def test_a_sale_that_a_person_took_back_is_not_sold_whatever_word_the_venue_has_for_its_end(bench, wish, last_word):
    if wish == "a sale":
        (call,) = sent(bench.submit("td-x", "sell", "market", "0.4"))
    else:
        (call,) = sent(bench.say(ClosePosition(BTC)))
    sale = call.approved.order.client_order_id
    bench.report(sale, "unknown", reason="no answer within 10 s")
    bench.say(CancelOrder(sale))
    bench.second(6)
    assert not sent(bench.report(sale, last_word))
    assert not sent(bench.second(2))
    assert not bench.order(sale).is_working
    assert bench.engine.ledger.quantity(BTC) == 1
    assert not bench.engine.orders.exits(BTC)


@pytest.mark.parametrize("last_word", ["cancelled", "expired", "not_found", "rejected"])
def test_a_sale_that_the_engine_took_back_to_hurry_it_goes_at_market_after_any_word(bench, last_word):
    trail = TrailSpec("percent", D("0.02"), limit_offset=D("0.001"))
    bench.submit("td-x", "sell", "trailing", "1", trail=trail)
    bench.trade("98")
    bench.report("td-x", "accepted")
    bench.trade("97")
    bench.second(60)
    (cancel,) = cancels(bench.second(60)) or cancels(bench.second())
    assert cancel.client_order_id == "td-x"
    (call,) = sent(bench.report("td-x", last_word))
    assert (call.approved.order.wire_type, call.approved.order.quantity) == ("market", 1)
