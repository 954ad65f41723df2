"""When a stop that the venue refused, or that somebody took back, rests again; and one that the price jumped over."""

from dataclasses import replace
from decimal import Decimal as D

import pytest

from bus.messages.system import AlertRaised, InstrumentChanged
from tests.orders.guarded_position import STOP, guarded, placed
from tests.orders.trading import BTC, WIDE, Bench, cancels, instrument, of_type, sent


@pytest.fixture
def bench() -> Bench:
    return Bench(WIDE, disaster_stop=True)


def refused_for_long(bench, reason):
    """A position whose every stop the venue refused, for forty seconds."""
    bench.hold("1", "100", protection=STOP)
    for _ in range(40):
        for call in sent(bench.second()):
            bench.report(call.approved.order.client_order_id, "rejected", reason=reason)


def test_a_stop_jumped_over_where_nobody_trades_is_sold_when_the_sellers_ask_for_less(bench):
    stop = guarded(bench)
    for _ in range(5):
        effects = [*bench.quote("90", "90.5"), *bench.second()]
        if cancels(effects):
            break
    assert [each.client_order_id for each in cancels(effects)] == [stop]
    (sale,) = sent(bench.report(stop, "cancelled"))
    assert sale.approved.order.wire_type == "market"


def test_a_wide_quote_around_the_last_price_is_no_jump(bench):
    guarded(bench)
    assert not any(cancels([*bench.quote("90", "101"), *bench.second()]) for _ in range(10))


def test_what_was_refused_in_a_halt_is_tried_at_once_when_it_is_over(bench):
    refused_for_long(bench, "-2010: Market is closed.")
    rules = instrument(BTC)
    change = InstrumentChanged(
        BTC, rules.price_tick, rules.quantity_step, rules.min_quantity, rules.max_quantity, rules.min_notional,
        rules.maker_fee, rules.taker_fee, is_trading=False, reason="halted",
    )
    bench.say(change)
    calls = [*sent(bench.say(replace(change, is_trading=True))), *sent(bench.second())]
    assert [call.approved.order.wire_type for call in calls] == ["stop_limit"]


def test_what_was_refused_by_old_rules_is_tried_at_once_when_the_new_ones_are_known(bench):
    refused_for_long(bench, "-1013: Filter failure: PRICE_FILTER")
    rules = instrument(BTC)
    told = InstrumentChanged(
        BTC, D("0.05"), rules.quantity_step, rules.min_quantity, rules.max_quantity, rules.min_notional,
        rules.maker_fee, rules.taker_fee, is_trading=True, reason="price tick",
    )
    (call,) = sent([effect for _ in range(20) for effect in bench.second()])
    bench.report(call.approved.order.client_order_id, "rejected", reason="-1013: Filter failure: PRICE_FILTER")
    bench.now += 1_000_000  # within the second, before the refusal is seen to
    (call,) = sent([*bench.say(told), *bench.second()])
    assert call.approved.order.stop_price % D("0.05") == 0
    bench.report(call.approved.order.client_order_id, "rejected", reason="-2010: no such coins")
    assert sent([*bench.say(replace(told, taker_fee=D("0.002"))), *bench.second()]) == []


def test_a_stop_that_people_take_back_again_and_again_is_there_again_within_three_seconds(bench):
    stop = guarded(bench)
    for _ in range(8):
        bench.second(20)
        calls = sent(bench.report(stop, "cancelled", reason="by hand"))
        waited = 0
        while not calls:
            calls, waited = sent(bench.second()), waited + 1
        assert waited <= 3
        stop = calls[0].approved.order.client_order_id
        bench.accept(stop)


def test_a_stop_that_is_taken_back_before_it_has_rested_was_not_refused(bench):
    stop = guarded(bench)
    for _ in range(12):
        bench.second()
        calls = sent(bench.report(stop, "cancelled", reason="by hand"))
        waited = 0
        while not calls:
            calls, waited = sent(bench.second()), waited + 1
        assert waited <= 3
        stop = calls[0].approved.order.client_order_id
        bench.accept(stop)


@pytest.mark.parametrize(("own", "word"), [(STOP, "Only this process watches"), (None, "Nothing watches")])
def test_who_is_told_of_a_refused_stop_learns_whether_anything_watches_the_position(bench, own, word):
    bench.hold("1", "100", protection=own)
    (call,) = sent(bench.second())
    effects = [*bench.report(call.approved.order.client_order_id, "rejected", reason="no such type"), *bench.second()]
    (alert,) = of_type(effects, AlertRaised)
    assert alert.title == "BTC/USDT: no stop rests at the venue"
    assert word in alert.message


def test_the_last_fill_of_an_entry_is_covered_at_once(bench):
    bench.trade("100")
    bench.submit("td-e", "buy", "limit", "2", price="100", protection=STOP)
    bench.accept("td-e")
    bench.fill("td-e", "1", "100")
    stop = placed(bench)
    bench.fill("td-e", "1", "100")
    assert [each.client_order_id for each in cancels(bench.second())] == [stop]
