"""One owner of the exit: the stop at the venue and what else would sell the position."""

from dataclasses import replace
from decimal import Decimal

import pytest

from bus.messages.ledger import FundsChanged
from bus.messages.orders import CancelOrder, ClosePosition, EngageKillSwitch, OrderDenied, TrailSpec
from bus.messages.system import AlertRaised, VoteTradingState
from tests.orders.guarded_position import STOP, guarded, resting
from tests.orders.trading import BTC, WIDE, Bench, cancels, of_type, queries, sent, wish

D = Decimal


@pytest.fixture
def bench() -> Bench:
    return Bench(WIDE, disaster_stop=True)


# ---- one owner of the exit


def test_a_fired_exit_waits_for_the_end_of_the_stop_and_then_sells(bench):
    stop = guarded(bench)
    effects = bench.trade("97.9")
    assert sent(effects) == []
    assert [call.client_order_id for call in cancels(effects)] == [stop]
    (sale,) = sent(bench.report(stop, "cancelled"))
    assert (sale.approved.order.client_order_id, sale.approved.order.quantity) == ("td-entry-s", 1)


def test_a_fill_of_the_stop_during_the_cancel_wins_and_only_the_rest_is_sold(bench):
    stop = guarded(bench)
    bench.trade("97")
    bench.fill(stop, "0.7", "96.9")
    (sale,) = sent(bench.report(stop, "cancelled"))
    assert sale.approved.order.quantity == D("0.3")
    bench.fill("td-entry-s", "0.3", "96.5")
    assert bench.engine.ledger.quantity(BTC) == 0


def test_a_stop_filled_wholly_during_the_cancel_leaves_nothing_to_sell(bench):
    stop = guarded(bench)
    bench.trade("97")
    assert sent(bench.fill(stop, "1", "96.9")) == []
    assert bench.order("td-entry-s").state == "CANCELLED"
    assert bench.engine.ledger.quantity(BTC) == 0


def test_close_takes_the_stop_back_first(bench):
    stop = guarded(bench)
    effects = bench.say(ClosePosition(BTC))
    assert sent(effects) == []
    assert cancels(effects)[0].client_order_id == stop
    (sale,) = sent(bench.report(stop, "cancelled"))
    assert sale.approved.order.quantity == 1


def test_an_exit_of_a_part_leaves_a_stop_over_the_rest(bench):
    stop = guarded(bench, "3")
    bench.submit("td-part", "sell", "market", "1")
    sale, call = sent(bench.report(stop, "cancelled"))
    assert sale.approved.order.quantity == 1
    assert (call.approved.order.wire_type, call.approved.order.quantity) == ("stop_limit", 2)


def test_a_persons_resting_sale_has_its_quantity_and_the_stop_the_rest(bench):
    stop = guarded(bench, "3")
    effects = bench.submit("td-l", "sell", "limit", "1", price="110")
    assert sent(effects) == []
    sale, call = sent(bench.report(stop, "cancelled"))
    assert (sale.approved.order.client_order_id, sale.approved.order.wire_type) == ("td-l", "limit")
    assert call.approved.order.quantity == 2


def test_a_second_resting_sale_of_coins_that_a_waiting_one_takes_is_refused_and_the_stop_keeps_the_rest(bench):
    stop = guarded(bench, "3")
    bench.submit("td-l1", "sell", "limit", "1", price="110")
    (denied,) = of_type(bench.submit("td-l2", "sell", "limit", "2.5", price="111"), OrderDenied)
    assert (denied.client_order_id, denied.code) == ("td-l2", "EXCEEDS_POSITION")
    sale, call = sent(bench.report(stop, "cancelled"))
    assert sale.approved.order.client_order_id == "td-l1"
    assert (call.approved.order.wire_type, call.approved.order.quantity) == ("stop_limit", 2)


def test_a_sale_that_the_gate_goes_on_refusing_keeps_no_stop_away_and_goes_when_it_may():
    bench = Bench(replace(WIDE, collar=D("0.05")), disaster_stop=True)
    stop = guarded(bench, "3")
    bench.submit("td-l", "sell", "limit", "2", price="104")
    for price in ("98.5", "98.4"):
        bench.trade(price)
    effects = list(bench.report(stop, "cancelled"))
    for _ in range(4):
        effects += bench.second()
    assert any("held back" in alert.title for alert in of_type(effects, AlertRaised))
    (call,) = sent(effects)
    stop = call.approved.order.client_order_id
    assert (call.approved.order.wire_type, call.approved.order.quantity) == ("stop_limit", 3)
    bench.accept(stop)
    heard = [effect for _ in range(20) for effect in bench.second()]
    assert (sent(heard), cancels(heard)) == ([], [])
    bench.trade("101")
    assert [each.client_order_id for each in cancels(bench.second())] == [stop]
    sale, rest = sent(bench.report(stop, "cancelled"))
    assert (sale.approved.order.client_order_id, sale.approved.order.quantity) == ("td-l", 2)
    assert (rest.approved.order.wire_type, rest.approved.order.quantity) == ("stop_limit", 1)


def test_an_exit_that_became_small_with_its_position_fires_above_the_venues_minimum():
    bench = Bench(replace(WIDE, min_notional=D(10)), disaster_stop=True)
    stop = guarded(bench, "1")
    bench.submit("td-t", "sell", "take_profit", "0.5", stop_price="105")
    bench.say(FundsChanged("BTC", D("-0.94"), D("0.06"), "sold by hand"))
    bench.second()
    bench.report(stop, "cancelled")
    bench.say(wish("td-more", "buy", "market", "1"))
    bench.fill("td-more", "1", "100")
    for _ in range(3):
        for cancel in cancels(bench.second(3)):
            bench.report(cancel.client_order_id, "cancelled")
        for order in resting(bench):
            bench.accept(order.client_order_id)
    assert [order.remaining for order in resting(bench)] == [D("1.06")]
    assert bench.order("td-t").spec.quantity == D("0.06")  # worth 6.30
    effects = [*bench.trade("105"), *bench.second()]
    for cancel in cancels(effects):
        effects += bench.report(cancel.client_order_id, "cancelled")
    sales = [call.approved.order for call in sent(effects) if call.approved.order.client_order_id == "td-t"]
    assert [(sale.wire_type, sale.quantity) for sale in sales] == [("market", D("0.06"))]


def test_a_sale_that_waits_behind_others_keeps_no_stop_away_and_goes_when_they_have_ended(bench):
    stop = guarded(bench, "3")
    bench.submit("td-l1", "sell", "limit", "1", price="110")
    sent(bench.report(stop, "cancelled"))
    bench.accept("td-l1")
    (stop,) = [order.client_order_id for order in resting(bench)]
    bench.accept(stop)
    bench.submit("td-l2", "sell", "limit", "2", price="111")
    # While the venue has not said that the stop is over, a person sells one coin there.
    bench.say(FundsChanged("BTC", D(-1), D(2), "sold by hand"))
    (call,) = sent([*bench.report(stop, "cancelled"), *bench.second()])
    stop = call.approved.order.client_order_id
    assert (call.approved.order.wire_type, call.approved.order.quantity) == ("stop_limit", 1)
    bench.accept(stop)
    heard = [effect for _ in range(12) for effect in bench.second()]
    assert (sent(heard), cancels(heard)) == ([], [])
    assert [alert.level for alert in of_type(heard, AlertRaised) if "behind other sales" in alert.title] == ["warning"]
    effects = [*bench.report("td-l1", "cancelled"), *bench.second()]
    assert [each.client_order_id for each in cancels(effects)] == [stop]
    (sale,) = sent(bench.report(stop, "cancelled"))
    assert (sale.approved.order.client_order_id, sale.approved.order.quantity) == ("td-l2", 2)


@pytest.mark.parametrize("exit_", [
    {"order_type": "stop", "stop_price": "90"}, {"order_type": "trailing", "trail": TrailSpec("percent", D("0.1"))},
])
def test_an_exit_can_be_armed_beside_the_stop_and_takes_it_back_when_it_fires(bench, exit_):
    stop = guarded(bench)
    bench.submit("td-mine", "sell", exit_["order_type"], "1", **{k: v for k, v in exit_.items() if k != "order_type"})
    assert bench.order("td-mine").is_armed
    bench.say(CancelOrder("td-entry-s"))
    bench.trade("89.9")
    (sale,) = sent(bench.report(stop, "cancelled"))
    assert sale.approved.order.client_order_id == "td-mine"


def test_a_cancel_the_venue_does_not_answer_is_asked_again_and_a_person_is_told(bench):
    stop = guarded(bench)
    bench.trade("97.9")
    asked, alerts = 0, []
    for _ in range(15):
        effects = bench.second()
        assert sent(effects) == []  # nothing is free: the venue still holds all of it
        asked += len(queries(effects))
        alerts += of_type(effects, AlertRaised)
    assert asked >= 2
    assert [alert.title for alert in alerts] == ["BTC/USDT: exit waits for the venue"]
    assert len(sent(bench.report(stop, "cancelled"))) == 1


def test_what_the_silent_venue_does_not_hold_is_sold_meanwhile(bench):
    stop = guarded(bench)
    bench.hold("2", "100", "td-more")
    bench.say(ClosePosition(BTC))
    sales = [call for _ in range(6) for call in sent(bench.second())]
    assert [(call.approved.order.wire_type, call.approved.order.quantity) for call in sales] == [("market", 2)]
    bench.fill(sales[0].approved.order.client_order_id, "2", "100")
    (rest,) = sent(bench.report(stop, "cancelled"))
    assert rest.approved.order.quantity == 1


# ---- halted and killed


def test_halt_and_cancel_leave_the_stop_and_place_none(bench):
    stop = guarded(bench)
    assert cancels(bench.say(EngageKillSwitch("cancel", "enough", "me"))) == []
    bench.trade("97.9")
    assert [order.client_order_id for order in resting(bench)] == [stop]
    assert cancels(bench.second(70)) == []
    bench.trade("96.9")
    alerts = [alert for _ in range(3) for alert in of_type(bench.second(), AlertRaised)]
    assert [alert.title for alert in alerts] == ["BTC/USDT: the venue's stop was reached"]
    bench.fill(stop, "1", "96.9")
    assert bench.engine.ledger.quantity(BTC) == 0


def test_under_a_halt_no_stop_is_placed_until_a_person_resumes(bench):
    bench.hold("1", "100", protection=STOP)
    bench.say(VoteTradingState("operator", "HALTED", "wait"))
    assert sent(bench.second()) == []
    bench.say(VoteTradingState("operator", "ACTIVE", "go on"))
    assert len(sent(bench.second())) == 1


def test_flatten_takes_the_stop_back_and_sells(bench):
    stop = guarded(bench)
    assert cancels(bench.say(EngageKillSwitch("flatten", "out", "me")))[0].client_order_id == stop
    (sale,) = sent(bench.report(stop, "cancelled"))
    assert (sale.approved.order.origin, sale.approved.order.wire_type) == ("kill", "market")
    bench.fill(sale.approved.order.client_order_id, "1", "99")
    assert sent(bench.second()) == []


# ---- larger than the venue takes


def largest(bench: Bench, quantity: str) -> None:
    market = bench.engine._desk.markets[BTC]
    market.instrument = replace(market.instrument, max_quantity=D(quantity))


def test_an_exit_larger_than_the_venue_takes_goes_in_equal_parts():
    bench = Bench()
    bench.hold("7", "100", protection=STOP)
    largest(bench, "3")
    sales = sent(bench.trade("97"))
    assert [call.approved.order.quantity for call in sales] == [D("2.3334"), D("2.3333"), D("2.3333")]
    for call in sales:
        bench.fill(call.approved.order.client_order_id, call.approved.order.quantity, "97")
    assert bench.engine.ledger.quantity(BTC) == 0
    assert sent(bench.second()) == []


@pytest.mark.parametrize("origin", ["close", "flatten"])
def test_close_and_flatten_go_in_parts_too(origin):
    bench = Bench()
    bench.hold("7", "100")
    largest(bench, "3")
    what = ClosePosition(BTC) if origin == "close" else EngageKillSwitch("flatten", "out", "me")
    sales = sent(bench.say(what))
    assert sum(call.approved.order.quantity for call in sales) == 7
    for call in sales:
        bench.fill(call.approved.order.client_order_id, call.approved.order.quantity, "97")
    assert bench.engine.ledger.quantity(BTC) == 0


def test_more_parts_than_go_at_once_follow_a_second_later_and_survive_a_restart():
    bench = Bench()
    bench.hold("7", "100", protection=STOP)
    largest(bench, "0.2")
    first = sent(bench.trade("97"))
    assert len(first) == 20
    bench = bench.restarted()
    largest(bench, "0.2")
    rest = sent(bench.engine.finish_restore(bench.now))
    assert len({call.approved.order.client_order_id for call in (*first, *rest)}) == 35
    for call in (*first, *rest):
        bench.fill(call.approved.order.client_order_id, call.approved.order.quantity, "97")
    assert bench.engine.ledger.quantity(BTC) == 0


def test_a_stop_for_more_than_the_venue_takes_covers_what_it_can_and_says_so(bench):
    bench.hold("7", "100", protection=STOP)
    largest(bench, "3")
    effects = bench.second()
    (call,) = sent(effects)
    assert call.approved.order.quantity == 3
    assert "covers 3 of 7" in of_type(effects, AlertRaised)[0].message
