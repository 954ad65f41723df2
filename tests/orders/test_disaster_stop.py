"""One stop per position resting at the venue, and one owner of the exit."""

from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

import pytest

from bus.messages.ledger import FundsChanged
from bus.messages.orders import (
    CancelAllOrders,
    CancelOrder,
    ClosePosition,
    EngageKillSwitch,
    OrderDenied,
    OrderFilled,
    OrderInitialized,
    OrderPendingCancel,
    OrderSubmitted,
    Protection,
    TrailSpec,
)
from bus.messages.system import AlertRaised, VoteTradingState
from orders.order_table import Order
from tests.orders.trading import BTC, WIDE, Bench, cancels, of_type, queries, sent, wish

D = Decimal
STOP = Protection(stop_ratio=D("0.02"))


@pytest.fixture
def bench() -> Bench:
    return Bench(WIDE, disaster_stop=True)


def resting(bench: Bench) -> list[Order]:
    return [order for order in bench.engine.orders.exits(BTC) if order.is_disaster_stop and order.is_at_venue]


def placed(bench: Bench) -> str:
    """A second later the stop is sent; the venue takes it."""
    (call,) = sent(bench.second())
    bench.accept(call.approved.order.client_order_id)
    return call.approved.order.client_order_id


def guarded(bench: Bench, quantity: str = "1", price: str = "100", **more: object) -> str:
    bench.hold(quantity, price, **{"protection": STOP, **more})
    return placed(bench)


# ---- placing


def test_a_second_after_the_fill_a_stop_rests_at_the_venue_below_our_own(bench):
    bench.hold("1", "100", protection=STOP)
    effects = bench.second()
    (call,) = sent(effects)
    order = call.approved.order
    assert (order.wire_type, order.side, order.reduce_only, order.origin) == ("stop_limit", "sell", True, "protective")
    assert (order.quantity, order.stop_price, order.price) == (1, D("97.02"), D("95.07"))  # 98 - 1 %, - 2 %
    (fact,) = of_type(effects, OrderSubmitted)
    assert (fact.wire_type, fact.price) == ("stop_limit", D("95.07"))
    assert bench.order("td-entry-s").is_armed
    assert of_type(bench.second(), OrderInitialized) == []


def test_without_the_setting_nothing_rests_at_the_venue():
    bench = Bench()
    bench.hold("1", "100", protection=STOP)
    assert sent(bench.second()) == []


def test_a_position_without_a_stop_of_its_own_has_one_by_the_limits(bench):
    bench.hold("1", "100")
    (call,) = sent(bench.second())
    assert call.approved.order.stop_price == D("97.02")  # limits.stop_loss is 2 %


def test_the_widest_of_several_stops_counts_and_targets_do_not(bench):
    bench.hold("1", "100", "td-a", protection=Protection(stop_ratio=D("0.02"), take_profit_ratio=D("0.1")))
    bench.hold("1", "100", "td-b", protection=Protection(stop_ratio=D("0.10")))
    (call,) = sent(bench.second())
    assert (call.approved.order.quantity, call.approved.order.stop_price) == (2, D("89.10"))


def test_a_trail_counts_where_the_entry_has_no_stop(bench):
    bench.hold("1", "100", protection=Protection(trail=TrailSpec("percent", D("0.05"))))
    (call,) = sent(bench.second())
    assert call.approved.order.stop_price == D("94.05")


def test_what_no_armed_exit_covers_lowers_the_stop_to_the_loss_allowed_from_the_average(bench):
    bench.hold("9", "50", "td-a")
    bench.hold("1", "100", "td-b", protection=STOP)
    (call,) = sent(bench.second())
    assert call.approved.order.stop_price == D("53.36")  # average 55, less 2 %, less 1 %, to the tick


def test_dust_is_not_protected_and_not_spoken_of(bench):
    bench.hold("0.04", "100", protection=STOP)
    assert of_type(bench.second(), AlertRaised) == []
    assert sent(bench.second()) == []


def test_a_position_the_venue_would_sell_but_whose_stop_is_too_small_is_told_once(bench):
    bench.hold("0.0515", "100", protection=STOP)
    (alert,) = of_type(bench.second(), AlertRaised)
    assert "Only this process watches" in alert.message
    assert of_type(bench.second(), AlertRaised) == []


def test_a_position_kept_through_a_fall_gets_its_stop_below_the_market_and_a_word(bench):
    bench.hold("1", "100")
    bench.trade("80")
    effects = bench.second()
    (call,) = sent(effects)
    assert call.approved.order.stop_price == D("79.20")
    assert of_type(effects, AlertRaised)[0].title == "BTC/USDT: already below its stop-loss"


@pytest.mark.parametrize("exit_", [
    {"order_type": "take_profit", "stop_price": "120"},
    {"order_type": "trailing", "trail": TrailSpec("percent", D("0.02"), activation_price=D("110"))},
])
def test_an_exit_that_waits_for_a_rise_does_not_keep_the_stop_away_while_the_price_is_low(bench, exit_):
    bench.hold("1", "100")
    bench.submit("td-mine", "sell", exit_["order_type"], "1", **{k: v for k, v in exit_.items() if k != "order_type"})
    bench.trade("96")
    effects = bench.second()
    (call,) = sent(effects)
    assert call.approved.order.stop_price == D("95.04")
    assert of_type(effects, AlertRaised)[0].title == "BTC/USDT: already below its stop-loss"
    assert bench.order("td-mine").is_armed


def test_a_stop_of_our_own_that_the_price_has_passed_sells_before_another_one_rests(bench):
    bench.quote("99.5", "100.5")
    bench.hold("1", "100", protection=Protection(trail=TrailSpec("percent", D("0.02"), price_source="bid_ask")))
    bench.trade("96")
    assert sent(bench.second()) == []
    (sale,) = sent(bench.quote("96", "96.2"))
    assert (sale.approved.order.client_order_id, sale.approved.order.wire_type) == ("td-entry-x", "market")


# ---- keeping it right


def test_a_grown_position_has_its_stop_replaced_only_after_the_old_one_has_ended(bench):
    old = guarded(bench)
    bench.hold("2", "100", "td-more", protection=STOP)
    bench.second(2)
    assert bench.order(old).detail == "pending_cancel"
    assert sent(bench.second()) == []
    (call,) = sent(bench.report(old, "cancelled"))  # in the same step: the position is bare for no longer
    assert call.approved.order.quantity == 3
    assert sum(order.remaining for order in bench.engine.orders.exits(BTC) if order.is_at_venue) == 3


def test_a_stop_that_fills_while_it_is_replaced_has_sold(bench):
    old = guarded(bench)
    bench.hold("1", "100", "td-more", protection=STOP)
    bench.second(2)
    (call,) = sent(bench.fill(old, "1", "96.5"))
    assert bench.engine.ledger.quantity(BTC) == 1
    assert call.approved.order.quantity == 1


def test_a_lowered_stop_of_our_own_moves_the_one_at_the_venue_at_once(bench):
    old = guarded(bench)
    bench.hold("0.005", "100", "td-wide", protection=Protection(stop_ratio=D("0.1")))
    (call,) = cancels(bench.second())
    assert (call.client_order_id, bench.order(old).cancel_reason) == (old, "it would come before our own stop")


def test_a_risen_trail_takes_the_stop_along_but_not_at_every_tick(bench):
    old = guarded(bench, protection=Protection(trail=TrailSpec("percent", D("0.05"))))
    bench.trade("110")
    assert cancels(bench.second(30)) == []
    assert cancels(bench.second(30))[0].client_order_id == old
    (call,) = sent(bench.report(old, "cancelled"))
    assert call.approved.order.stop_price == D("103.45")  # 110 - 5 % = 104.50, - 1 %


def test_a_stop_never_runs_away_from_a_falling_market(bench):
    guarded(bench)
    for price in ("99.5", "99", "98.5", "98.01"):
        bench.trade(price)
        assert cancels(bench.second(61)) == []


def test_a_stop_the_venue_ended_is_placed_again_ever_more_slowly_and_told_once(bench):
    bench.hold("1", "100", protection=STOP)
    times, alerts = [], []
    for second in range(60):
        effects = bench.second()
        alerts += of_type(effects, AlertRaised)
        for call in sent(effects):
            times.append(second)
            words = "-1013: Filter failure: PRICE_FILTER"
            answer = bench.report(call.approved.order.client_order_id, "rejected", reason=words)
            assert sent(answer) == []
            alerts += of_type(answer, AlertRaised)
    assert times[:5] == [0, 2, 6, 14, 29]
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert pauses == sorted(pauses)
    assert [alert.level for alert in alerts] == ["critical"]
    assert bench.order("td-entry-s").is_armed


def test_refusals_for_coins_that_had_gone_by_hand_are_forgotten_with_them(bench):
    bench.hold("1", "100", protection=STOP)
    for _ in range(40):
        for call in sent(bench.second()):
            bench.report(call.approved.order.client_order_id, "rejected", reason="-2010: insufficient balance")
    effects = [*bench.say(FundsChanged("BTC", D("-0.5"), D("0.5"), "sold or moved by hand")), *bench.second()]
    (stop,) = sent(effects)
    bench.accept(stop.approved.order.client_order_id)
    bench.second(5)
    bench.report(stop.approved.order.client_order_id, "cancelled", reason="by a person at the exchange")
    placed = [second for second in range(4) if sent(bench.second())]
    assert placed == [1]  # after the first pause, not after the ninth


@pytest.mark.parametrize("words", [
    "-2010: Stop price would trigger immediately.", "REJECTED: STOP_PRICE_WOULD_TRIGGER_IMMEDIATELY",
])
def test_a_stop_refused_because_the_price_is_through_it_becomes_a_market_sale(bench, words):
    bench.hold("1", "100", protection=STOP)
    (call,) = sent(bench.second())
    (sale,) = sent(bench.report(call.approved.order.client_order_id, "rejected", reason=words))
    assert (sale.approved.order.wire_type, sale.approved.order.quantity) == ("market", 1)
    bench.fill(sale.approved.order.client_order_id, "1", "96")
    assert bench.engine.ledger.quantity(BTC) == 0
    assert sent(bench.second()) == []


def test_a_stop_cancelled_by_a_person_is_placed_again(bench):
    old = guarded(bench)
    bench.say(CancelAllOrders("all"))
    assert sent(bench.report(old, "cancelled"))[0].approved.order.wire_type == "stop_limit"


@pytest.mark.parametrize("loss", [0, 1, 2])
def test_a_stop_that_got_lost_on_its_way_is_sent_anew_at_once_and_then_ever_more_slowly(bench, loss):
    bench.hold("1", "100", protection=STOP)
    (call,) = sent(bench.second())
    for _ in range(loss + 1):
        bench.second(6)
        answer = sent(bench.report(call.approved.order.client_order_id, "not_found"))
        calls = answer or [each for _ in range(10) for each in sent(bench.second())]
        assert len(calls) == 1
        call = calls[0]
    assert bool(answer) == (loss == 0)


# ---- jumped over (F30)


@pytest.mark.parametrize("last_word", ["cancelled", "expired"])
def test_a_stop_jumped_over_is_taken_back_after_three_seconds_and_sold_at_market(bench, last_word):
    old = guarded(bench)
    bench.hold("0.001", "100", "td-b")
    bench.say(CancelAllOrders("all"))
    (call,) = sent(bench.report(old, "cancelled"))
    new = call.approved.order.client_order_id
    bench.accept(new)
    bench.trade("90")
    bench.second()
    assert cancels(bench.second(2)) == []
    assert cancels(bench.second())[0].client_order_id == new
    (sale,) = sent(bench.report(new, last_word))
    assert (sale.approved.order.wire_type, sale.approved.order.quantity) == ("market", D("1.001"))


def test_the_rest_of_a_half_executed_stop_is_sold_at_market(bench):
    bench.hold("1", "100")
    stop = placed(bench)
    bench.trade("96")
    bench.fill(stop, "0.4", "96")
    bench.second()
    bench.second(5)
    (sale,) = sent(bench.report(stop, "cancelled"))
    assert sale.approved.order.quantity == D("0.6")


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


# ---- restart


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
