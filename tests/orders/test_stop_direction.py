"""Which way a stop fires is said by the order, not by where the market stood when it was armed."""

from dataclasses import replace

import pytest

from bus.messages.orders import ModifyOrder, OrderDenied, OrderTriggered, Protection, TrailSpec
from tests.orders.trading import WIDE, Bench, D, of_type, sent

COLLARED = replace(WIDE, collar=D("0.05"))


@pytest.fixture
def bench() -> Bench:
    made = Bench(COLLARED)
    made.quote("99.7", "99.9")
    made.trade("99.8")
    return made


def test_a_stop_loss_that_the_market_has_passed_already_fires_at_once(bench):
    bench.hold("1", "100")
    bench.trade("99.8")
    effects = bench.submit("td-s", "sell", "stop", "1", stop_price="99.9")
    (fired,) = of_type(effects, OrderTriggered)
    assert (fired.trigger, fired.price) == (D("99.9"), D("99.8"))
    assert len(sent(effects)) == 1


def test_a_stop_loss_at_the_very_price_fires_at_once(bench):
    bench.hold("1", "100")
    bench.trade("99.8")
    assert len(sent(bench.submit("td-s", "sell", "stop", "1", stop_price="99.8"))) == 1


def test_a_buy_stop_that_was_passed_fires_at_once_and_never_on_a_fall(bench):
    assert len(sent(bench.submit("td-b", "buy", "stop", "1", stop_price="99.5"))) == 1
    bench.submit("td-b2", "buy", "stop", "1", stop_price="101")
    assert sent(bench.trade("97")) == []
    assert len(sent(bench.trade("101"))) == 1


@pytest.mark.parametrize(("side", "stop"), [("sell", "500"), ("sell", "105"), ("buy", "60"), ("buy", "94.8")])
def test_a_stop_far_through_the_market_is_a_slip_of_the_hand(bench, side, stop):
    bench.hold("1", "100")
    effects = bench.submit("td-s", side, "stop", "1", stop_price=stop)
    (denial,) = of_type(effects, OrderDenied)
    assert (denial.code, denial.rule) == ("STOP_THROUGH_MARKET", "stop_price")
    assert sent(effects) == []


@pytest.mark.parametrize("target", ["50", "94.8"])
def test_a_target_far_below_the_market_is_a_slip_of_the_hand(bench, target):
    bench.hold("1", "100")
    effects = bench.submit("td-t", "sell", "take_profit", "1", stop_price=target)
    (denial,) = of_type(effects, OrderDenied)
    assert (denial.code, denial.rule) == ("STOP_THROUGH_MARKET", "stop_price")
    assert sent(effects) == []


def test_moving_a_target_far_below_the_market_is_refused_and_it_stays(bench):
    bench.hold("1", "100", "td-e", protection=Protection(None, None, D("0.04")))
    (denial,) = of_type(bench.say(ModifyOrder(bench.order("td-e-t").client_order_id, stop_price=D(1))), OrderDenied)
    assert denial.code == "STOP_THROUGH_MARKET"
    assert bench.engine.trigger_of("td-e-t") == D("104.00")


@pytest.mark.parametrize(("order_type", "has", "change", "field"), [
    ("trailing", {"trail": TrailSpec("percent", D("0.02"))}, {"price": D(3)}, "price"),
    ("trailing", {"trail": TrailSpec("percent", D("0.02"))}, {"stop_price": D(99)}, "stop_price"),
    ("stop", {"stop_price": D(98)}, {"trail": TrailSpec("percent", D("0.01"))}, "trail"),
    ("stop", {"stop_price": D(98)}, {"price": D(97)}, "price"),
])
def test_a_change_gives_no_order_what_its_kind_does_not_have(bench, order_type, has, change, field):
    """A trailing sell left as a limit 35 % above the market: a price had been written into it."""
    bench.hold("1", "100")
    bench.submit("td-x", "sell", order_type, "1", **has)
    (denial,) = of_type(bench.say(ModifyOrder(bench.order("td-x").client_order_id, **change)), OrderDenied)
    assert (denial.code, denial.rule) == ("INVALID_ORDER", field)
    assert bench.order("td-x").state == "PENDING"
    (call,) = sent(bench.trade("97.9"))
    assert (call.approved.order.wire_type, call.approved.order.price) == ("market", None)


def test_a_protecting_trail_as_wide_as_the_price_is_refused_before_anything_is_bought(bench):
    bench.trade("100")
    for number, distance in enumerate(("100.01", "99")):
        effects = bench.submit(
            f"td-b{number}", "buy", "market", "1", protection=Protection(trail=TrailSpec("absolute", D(distance))),
        )
        denials = of_type(effects, OrderDenied)
        assert [each.rule for each in denials] == (["protection.trail"] if number == 0 else [])
        assert len(sent(effects)) == number


def test_moving_a_protective_stop_above_the_market_is_refused_and_it_stays(bench):
    bench.hold("1", "100", "td-e", protection=Protection(D("0.02")))
    (denial,) = of_type(bench.say(ModifyOrder(bench.order("td-e-s").client_order_id, stop_price=D(125))), OrderDenied)
    assert denial.code == "STOP_THROUGH_MARKET"
    assert bench.engine.trigger_of("td-e-s") == D("98.00")
    assert sent(bench.trade("99")) == []
    assert len(sent(bench.trade("98"))) == 1


def test_moving_a_stop_through_the_market_by_a_little_fires_it(bench):
    bench.hold("1", "100", "td-e", protection=Protection(D("0.02")))
    effects = bench.say(ModifyOrder(bench.order("td-e-s").client_order_id, stop_price=D("100.5")))
    assert len(sent(effects)) == 1


@pytest.mark.parametrize("restart", [False, True])
def test_a_target_below_the_market_is_still_a_target(bench, restart):
    bench.hold("1", "100", "td-e", protection=Protection(None, None, D("0.04")))
    bench.say(ModifyOrder(bench.order("td-e-t").client_order_id, stop_price=D("102")))
    if restart:
        bench = bench.restarted()
        bench.engine.finish_restore(bench.now)
    assert sent(bench.trade("99")) == []
    assert sent(bench.trade("101.99")) == []
    assert len(sent(bench.trade("102"))) == 1


def test_a_stop_loss_never_sells_on_the_way_up(bench):
    bench.hold("1", "100")
    bench.submit("td-s", "sell", "stop", "1", stop_price="99.7")
    assert sent(bench.trade("103")) == []
    assert bench.order("td-s").is_armed
