"""The exits around one entry: what one of them leaves over, the others keep; what a sale ended comes back with it."""

from decimal import Decimal

import pytest

from bus.ids import ClientOrderId
from bus.messages.orders import CancelOrder, ModifyOrder, Protection, TrailSpec
from bus.messages.system import AlertRaised
from market.interval import SECOND_NS
from tests.orders.trading import BTC, ETH, Bench, cancels, of_type, sent

D = Decimal
STOP = Protection(stop_ratio=D("0.02"))
BOTH = Protection(stop_ratio=D("0.02"), trail=TrailSpec("percent", D("0.05")))
CLOSE_BOTH = Protection(stop_ratio=D("0.02"), trail=TrailSpec("percent", D("0.015")))


@pytest.fixture
def bench() -> Bench:
    return Bench()


def sales(effects) -> list[tuple[str, Decimal]]:
    return [(call.approved.order.client_order_id, call.approved.order.quantity) for call in sent(effects)]


def obeyed(bench: Bench, effects) -> None:
    """A venue that takes stops, sells at market and cancels at once."""
    while effects:
        answers = []
        for order, quantity in sales(effects):
            is_stop = bench.order(order).is_disaster_stop
            answers += bench.accept(order) if is_stop else bench.fill(order, str(quantity), "97")
        for cancel in cancels(effects):
            answers += bench.report(cancel.client_order_id, "cancelled")
        effects = answers


def held(bench: Bench) -> Decimal:
    return bench.engine.ledger.quantity(BTC)


def test_a_leg_that_a_person_made_smaller_leaves_the_rest_to_the_other(bench):
    bench.hold("1", "100", "td-e", protection=BOTH)
    bench.say(ModifyOrder(ClientOrderId("td-e-s"), quantity=D("0.5")))
    assert sales(bench.trade("97.9")) == [("td-e-s", D("0.5"))]
    assert bench.order("td-e-x").spec.quantity == D("0.5")
    bench.accept("td-e-s")
    bench.fill("td-e-s", "0.5", "97.9")
    assert sales(bench.trade("90")) == [("td-e-x", D("0.5"))]


@pytest.mark.parametrize("both_fire", [False, True])
def test_what_was_bought_while_an_exit_waited_to_leave_is_sold_too(both_fire):
    bench = Bench(disaster_stop=True)
    bench.trade("100")
    bench.submit("td-e", "buy", "limit", "3", price="100", protection=CLOSE_BOTH)
    bench.accept("td-e")
    bench.fill("td-e", "2", "100")
    ((stop, _),) = sales(bench.second())
    bench.accept(stop)
    bench.trade("98.4")
    bench.fill("td-e", "1", "98.4")
    effects = [*(bench.trade("97.4") if both_fire else ()), *bench.report(stop, "cancelled")]
    obeyed(bench, effects)
    for price in ("97.3", "95", "90"):
        obeyed(bench, [*bench.trade(price), *bench.second()])
    assert held(bench) == 0


def test_legs_that_ended_for_a_sale_the_venue_refuses_do_not_leave_the_position_bare(bench):
    bench.hold("2", "100", "td-a", protection=STOP)
    bench.submit("td-b", "buy", "limit", "1", price="100", protection=STOP)
    bench.accept("td-b")
    bench.submit("td-s", "sell", "market", "2")
    bench.fill("td-b", "0.5", "100")
    assert [quantity for _, quantity in sales(bench.report("td-s", "rejected", reason="no"))] == [2]


def test_legs_that_ended_for_a_sale_that_is_taken_back_are_armed_again(bench):
    bench.hold("1", "100", "td-e", protection=STOP)
    bench.submit("td-m", "sell", "market", "1")
    bench.report("td-m", "unknown", reason="timeout")
    bench.say(CancelOrder(ClientOrderId("td-m"), "no"))
    effects = [effect for _ in range(8) for effect in (*bench.second(), *bench.report("td-m", "not_found"))]
    assert [alert.level for alert in of_type(effects, AlertRaised) if "armed again" in alert.title] == ["warning"]
    (leg,) = bench.engine.orders.exits(BTC)
    assert (leg.is_armed, leg.spec.stop_price, leg.spec.quantity) == (True, 98, 1)
    assert sales(bench.trade("97")) == [(leg.client_order_id, D(1))]


def test_a_stop_that_a_person_has_moved_stays_there_when_more_is_filled(bench):
    bench.trade("100")
    bench.submit("td-e", "buy", "limit", "1", price="100", protection=STOP)
    bench.accept("td-e")
    bench.fill("td-e", "0.3", "100")
    bench.trade("103")
    bench.say(ModifyOrder(ClientOrderId("td-e-s"), stop_price=D("102")))
    bench.fill("td-e", "0.3", "100")
    assert bench.engine.trigger_of("td-e-s") == 102
    assert bench.order("td-e-s").spec.quantity == D("0.6")
    again = bench.restarted()
    again.fill("td-e", "0.4", "100")
    assert (again.engine.trigger_of("td-e-s"), again.order("td-e-s").spec.quantity) == (102, 1)


def test_the_order_that_took_an_entrys_place_ends_when_an_exit_has_begun(bench):
    bench.trade("100")
    bench.submit("td-e", "buy", "limit", "1", price="100", protection=Protection(trail=TrailSpec("percent", D("0.01"))))
    bench.accept("td-e")
    bench.fill("td-e", "0.3", "100")
    bench.say(ModifyOrder(ClientOrderId("td-e"), price=D("99.8")))
    bench.report("td-e", "cancelled")
    (later,) = [order for order in bench.engine.orders.working(BTC) if order.spec.side == "buy"]
    bench.accept(later.client_order_id)
    bench.trade("103")
    effects = bench.trade("101.9")
    assert sales(effects) == [("td-e-x", D("0.3"))]
    assert [cancel.client_order_id for cancel in cancels(effects)] == [later.client_order_id]


def test_a_stop_that_a_person_cancelled_does_not_come_back_when_it_is_long_forgotten(bench):
    bench.hold("1", "100", "td-e", protection=STOP)
    bench.say(CancelOrder(ClientOrderId("td-e-s"), "kept"))
    for number in range(130):
        bench.now += 60 * SECOND_NS
        bench.trade("97")
        bench.trade("100", symbol=ETH)
        bench.submit(f"td-x{number}", "buy", "limit", "0.1", price="90", symbol=ETH)
        bench.accept(f"td-x{number}")
        bench.say(CancelOrder(ClientOrderId(f"td-x{number}")))
        bench.report(f"td-x{number}", "cancelled")
        bench.now += 700 * SECOND_NS
    again = bench.restarted()
    again.engine.finish_restore(again.now)
    assert again.engine.orders.exits(BTC) == ()
    assert sent(again.trade("97")) == []
