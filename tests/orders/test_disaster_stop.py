"""One stop per position rests at the venue, and is kept right."""

from decimal import Decimal
from itertools import pairwise

import pytest

from bus.messages.ledger import FundsChanged
from bus.messages.orders import CancelAllOrders, OrderInitialized, OrderSubmitted, Protection, TrailSpec
from bus.messages.system import AlertRaised
from tests.orders.guarded_position import STOP, guarded, placed
from tests.orders.trading import BTC, WIDE, Bench, cancels, of_type, sent

D = Decimal


@pytest.fixture
def bench() -> Bench:
    return Bench(WIDE, disaster_stop=True)


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
    "PREVIEW_STOP_PRICE_ABOVE_LAST_TRADE_PRICE",
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
