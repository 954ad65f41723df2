"""A person may tag an order as they like: the engine's own words mean nothing in a person's order."""

import pytest

from bus.messages.orders import ClosePosition, Rebalance, RebalanceEnded, TargetWeight
from tests.orders.trading import BTC, WIDE, Bench, cancels, of_type, sent


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
