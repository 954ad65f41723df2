"""Protection around an entry, one owner of the exit, and exits that must not fail."""

from dataclasses import replace
from decimal import Decimal

import pytest

from bus.messages.ledger import PositionClosed
from bus.messages.orders import (
    ClosePosition,
    EngageKillSwitch,
    OrderCancelled,
    OrderDenied,
    OrderInitialized,
    OrderPendingCancel,
    OrderTriggered,
    OrderUpdated,
    Protection,
    ReleaseKillSwitch,
    TrailSpec,
)
from bus.messages.system import BY_RULE, AlertRaised, LimitBreached, SymbolReleased, VoteTradingState
from market.interval import SECOND_NS
from tests.orders.trading import BTC, WIDE, Bench, answers, bodies, cancels, of_type, sent

D = Decimal
STOP = Protection(stop_ratio=D("0.02"))
ALL = Protection(stop_ratio=D("0.02"), trail=TrailSpec("percent", D("0.03")), take_profit_ratio=D("0.1"))


@pytest.fixture
def bench() -> Bench:
    return Bench()


# ---- protection


def test_a_filled_entry_is_protected_at_once(bench):
    bench.hold("1", "100", protection=ALL)
    children = {order.spec.tag: order for order in bench.engine.orders.children("td-entry")}
    assert {tag: order.client_order_id for tag, order in children.items()} == {
        "stop": "td-entry-s", "trail": "td-entry-x", "target": "td-entry-t"}
    assert all(order.is_armed and order.spec.reduce_only and order.spec.origin == "protective"
               for order in children.values())
    assert bench.engine.trigger_of("td-entry-s") == 98
    assert bench.engine.trigger_of("td-entry-x") == 97
    assert bench.engine.trigger_of("td-entry-t") == 110


def test_protection_grows_with_each_partial_fill_and_its_stop_follows_the_average(bench):
    bench.trade("100")
    bench.submit("td-e", "buy", "market", "3", protection=STOP)
    bench.fill("td-e", "1", "100")
    assert bench.order("td-e-s").spec.quantity == 1
    (updated,) = of_type(bench.fill("td-e", "1", "102"), OrderUpdated)
    assert (updated.quantity, updated.stop_price) == (2, D("98.98"))
    assert bench.engine.trigger_of("td-e-s") == D("98.98")
    bench.fill("td-e", "1", "101")
    assert bench.order("td-e-s").spec.quantity == 3
    assert bench.engine.ledger.quantity(BTC) == 3


def test_protection_covers_what_is_left_after_a_fee_in_base(bench):
    bench.trade("100")
    bench.submit("td-e", "buy", "market", "1", protection=STOP)
    bench.fill("td-e", "1", "100", fee="0.00055", fee_asset="BTC")
    assert bench.order("td-e-s").spec.quantity == D("0.9994")
    (call,) = sent(bench.trade("97"))
    assert call.approved.order.quantity == D("0.9994")
    assert of_type(bench.fill("td-e-s", "0.9994", "97"), PositionClosed)


@pytest.mark.parametrize(("price", "fires"), [("97", "td-entry-s"), ("110", "td-entry-t")])
def test_one_leg_firing_ends_the_others(bench, price, fires):
    bench.hold("1", "100", protection=ALL)
    effects = bench.trade(price)
    assert [call.approved.order.client_order_id for call in sent(effects)] == [fires]
    assert {fact.client_order_id for fact in of_type(effects, OrderCancelled)} == (
        {"td-entry-s", "td-entry-x", "td-entry-t"} - {fires})


def test_stop_and_trail_reached_by_the_same_tick_sell_once(bench):
    bench.hold("1", "100", protection=ALL)
    effects = bench.trade("90")
    assert len(sent(effects)) == 1
    assert len(of_type(effects, OrderTriggered)) == 1


def test_an_exit_ends_its_entrys_remainder_and_a_late_fill_is_protected_anew(bench):
    bench.trade("100")
    bench.submit("td-e", "buy", "limit", "2", price="100", protection=STOP)
    bench.accept("td-e")
    bench.fill("td-e", "1", "100")
    effects = bench.trade("97")
    assert cancels(effects)[0].client_order_id == "td-e"
    bench.fill("td-e-s", "1", "97")
    bench.fill("td-e", "0.5", "97.5")
    assert bench.order("td-e-s2").is_armed
    assert bench.order("td-e-s2").spec.quantity == D("0.5")


def test_a_child_sells_what_its_entry_brought_not_what_others_did(bench):
    bench.hold("1", "100", "td-a", protection=STOP)
    bench.hold("2", "101", "td-b", protection=STOP)
    (first,) = sent(bench.trade("98.9"))
    assert (first.approved.order.client_order_id, first.approved.order.quantity) == ("td-b-s", 2)
    (second,) = sent(bench.trade("98"))
    assert (second.approved.order.client_order_id, second.approved.order.quantity) == ("td-a-s", 1)


def test_protection_ends_with_the_position(bench):
    bench.hold("1", "100", protection=STOP)
    bench.submit("td-l", "sell", "limit", "1", price="105")
    bench.accept("td-l")
    assert bench.order("td-entry-s").is_armed  # a resting limit does not leave the position unprotected
    effects = bench.fill("td-l", "1", "105")
    assert of_type(effects, PositionClosed)
    assert bench.order("td-entry-s").state == "CANCELLED"
    assert bodies(bench.trade("50")) == []


def test_protection_shrinks_with_the_position(bench):
    bench.hold("2", "100", protection=STOP)
    bench.submit("td-l", "sell", "market", "1.5")
    bench.fill("td-l", "1.5", "100")
    assert bench.order("td-entry-s").spec.quantity == D("0.5")


# ---- one owner


def test_close_sells_all_and_ends_the_armed_exits(bench):
    bench.hold("1", "100", protection=ALL)
    effects = bench.say(ClosePosition(BTC, "enough"))
    (call,) = sent(effects)
    assert (call.approved.order.quantity, call.approved.order.reduce_only) == (1, True)
    assert len(of_type(effects, OrderCancelled)) == 3
    (again,) = answers(bench.say(ClosePosition(BTC)))
    assert isinstance(again.message.body, OrderInitialized)


def test_close_without_a_position_is_denied(bench):
    (denial,) = of_type(bench.say(ClosePosition(BTC)), OrderDenied)
    assert denial.code == "NOTHING_TO_SELL"


def test_an_exit_at_the_venue_is_asked_back_before_another_takes_the_remainder(bench):
    bench.hold("2", "100", protection=STOP)
    bench.submit("td-l", "sell", "limit", "2", price="120")
    bench.accept("td-l")
    effects = bench.trade("97")
    assert of_type(effects, OrderTriggered)
    assert of_type(effects, OrderPendingCancel)[0].client_order_id == "td-l"
    assert sent(effects) == []
    bench.fill("td-l", "0.5", "120")
    (call,) = sent(bench.report("td-l", "cancelled"))
    assert (call.approved.order.client_order_id, call.approved.order.quantity) == ("td-entry-s", D("1.5"))


def test_an_exit_that_finds_everything_sold_ends_quietly(bench):
    bench.hold("2", "100", protection=STOP)
    bench.submit("td-l", "sell", "limit", "2", price="120")
    bench.accept("td-l")
    bench.trade("97")
    effects = bench.fill("td-l", "2", "120")
    assert sent(effects) == []
    assert bench.order("td-entry-s").state == "CANCELLED"


def test_an_exit_for_more_than_is_held_sells_what_is_held_at_once(bench):
    bench.hold("1", "100")
    bench.submit("td-half", "sell", "stop", "1", stop_price="99", reduce_only=True)
    bench.submit("td-out", "sell", "market", "0.4")
    bench.fill("td-out", "0.4", "100")
    (call,) = sent(bench.trade("98"))
    assert (call.approved.order.client_order_id, call.approved.order.quantity) == ("td-half", D("0.6"))


def test_sells_never_exceed_what_is_held(bench):
    bench.hold("2", "100")
    bench.submit("td-1", "sell", "limit", "1.5", price="110")
    (denial,) = of_type(bench.submit("td-2", "sell", "limit", "1", price="111"), OrderDenied)
    assert denial.code == "EXCEEDS_POSITION"
    assert sent(bench.submit("td-3", "sell", "limit", "0.5", price="111"))


# ---- exits that must not fail


def refuse(bench, effects, times):
    """The venue refuses market exits so often; returns the seconds until each next one came, and the last effects."""
    pauses = []
    for _ in range(times):
        (call,) = sent(effects)
        assert call.approved.order.wire_type == "market"
        said = bench.report(call.approved.order.client_order_id, "rejected", reason="Market is closed.")
        seconds, effects = 0, said
        while not sent(effects) and seconds < 100:
            effects, seconds = bench.second(), seconds + 1
        pauses.append((seconds, said))
    return pauses, effects


def test_an_exit_that_the_venue_keeps_refusing_is_tried_with_growing_pauses_until_it_is_out(bench):
    bench.hold("1", "100", protection=STOP)
    pauses, effects = refuse(bench, bench.trade("97"), 9)
    assert [seconds for seconds, _ in pauses] == [0, 1, 2, 4, 8, 16, 30, 30, 30]
    said = [alert for _, told in pauses for alert in of_type(told, AlertRaised) if alert.level == "critical"]
    assert len(said) == 1
    assert [breach.value for _, told in pauses for breach in of_type(told, LimitBreached)] == [BTC]
    bench.trade("97")
    (denial,) = of_type(bench.submit("td-new", "buy", "market", "1"), OrderDenied)
    assert denial.code == "SYMBOL_HALTED"
    (call,) = sent(effects)
    bench.fill(call.approved.order.client_order_id, "1", "97")
    assert bench.engine.ledger.quantity(BTC) == 0


def test_the_halt_of_a_symbol_ends_when_it_is_flat(bench):
    bench.hold("1", "100", protection=STOP)
    _, effects = refuse(bench, bench.trade("97"), 4)
    assert bench.engine.halted_symbols == {BTC}
    (call,) = sent(effects)
    bench.fill(call.approved.order.client_order_id, "1", "97")
    assert bench.engine.halted_symbols == frozenset()
    bench.trade("97")
    assert sent(bench.submit("td-new2", "buy", "market", "1"))


def test_the_halt_of_a_symbol_ends_when_one_of_its_exits_is_executed_after_all(bench):
    bench.hold("2", "100")
    bench.submit("td-half", "sell", "market", "1", reduce_only=True)
    effects = bench.report("td-half", "rejected", reason="-2015: Invalid API-key")
    _, effects = refuse(bench, effects, 4)
    assert bench.engine.halted_symbols == {BTC}
    (call,) = sent(effects)
    (released,) = of_type(bench.fill(call.approved.order.client_order_id, "1", "97"), SymbolReleased)
    assert (released.symbol, released.by) == (BTC, BY_RULE)
    assert bench.engine.ledger.quantity(BTC) == 1
    assert bench.engine.halted_symbols == frozenset()


def test_a_persons_start_ends_the_halt_of_a_symbol_and_it_stays_ended_after_a_restart(bench):
    bench.hold("1", "100", protection=STOP)
    refuse(bench, bench.trade("97"), 4)
    (released,) = of_type(bench.say(VoteTradingState("operator", "ACTIVE", "started by ann")), SymbolReleased)
    assert released.reason == "started by ann"
    assert bench.engine.halted_symbols == frozenset()
    assert bench.restarted().engine.halted_symbols == frozenset()


def test_when_health_is_back_a_refused_exit_does_not_wait_out_its_pause(bench):
    bench.hold("1", "100", protection=STOP)
    bench.say(VoteTradingState("health", "REDUCING", "the venue refuses our keys"))
    _, effects = refuse(bench, bench.trade("97"), 7)
    bench.report(sent(effects)[0].approved.order.client_order_id, "rejected", reason="-2015: Invalid API-key")
    assert not sent(bench.second())
    bench.say(VoteTradingState("health", "ACTIVE", "all is well"))
    assert sent(bench.second())


@pytest.mark.parametrize("word", ["ACTIVE", "REDUCING"])
def test_a_word_of_healths_that_is_said_again_lets_a_refused_exit_wait_no_longer(bench, word):
    bench.hold("1", "100", protection=STOP)
    bench.say(VoteTradingState("health", word, "as it is"))
    _, effects = refuse(bench, bench.trade("97"), 7)
    bench.report(sent(effects)[0].approved.order.client_order_id, "rejected", reason="-2010: insufficient balance")
    assert not sent(bench.second())
    bench.say(VoteTradingState("health", word, "as it is"))
    assert sent(bench.second())


def test_after_a_restart_a_refused_exit_is_tried_at_once(bench):
    bench.hold("1", "100", protection=STOP)
    (call,) = sent(bench.trade("97"))
    for _ in range(2):
        effects = bench.report(call.approved.order.client_order_id, "rejected", reason="Market is closed.")
        (call,) = sent(effects) or (call,)
    again = bench.restarted()
    again.quote("96.9", "97")
    again.trade("97")
    assert len(sent(again.engine.finish_restore(again.now)) + sent(again.second())) == 1


def test_a_partly_executed_exit_that_the_venue_ends_goes_on_with_the_rest(bench):
    bench.hold("1", "100", protection=STOP)
    bench.trade("97")
    bench.fill("td-entry-s", "0.4", "97")
    (call,) = sent(bench.report("td-entry-s", "expired"))
    assert call.approved.order.quantity == D("0.6")


def test_a_limit_exit_that_nobody_takes_goes_at_market_in_time(bench):
    trail = TrailSpec("percent", D("0.02"), limit_offset=D(0))
    bench.hold("1", "100", protection=Protection(trail=trail))
    bench.trade("97.5")
    bench.accept("td-entry-x")
    effects = bench.second(5)
    assert cancels(effects)[0].client_order_id == "td-entry-x"
    (call,) = sent(bench.report("td-entry-x", "cancelled"))
    assert (call.approved.order.wire_type, call.approved.order.quantity) == ("market", 1)


NARROW = replace(WIDE, collar=D("0.05"))


def gap_to_80(bench):
    """A far price is believed when a quote and a print agree."""
    return [*bench.quote("79.9", "80.1"), *bench.trade("80")]


def test_a_fired_exit_whose_limit_a_gap_has_left_beyond_the_collar_goes_at_market():
    bench = Bench(NARROW)
    bench.hold("1", "100")
    bench.submit("td-s", "sell", "trailing", "1", trail=TrailSpec("percent", D("0.02"), limit_offset=D("0.001")))
    effects = gap_to_80(bench)
    (call,) = sent(effects)
    order = call.approved.order
    assert (order.client_order_id, order.wire_type, order.price, order.quantity) == ("td-s", "market", None, 1)
    assert order.reduce_only
    (told,) = [alert for alert in of_type(effects, AlertRaised) if "at market instead" in alert.title]
    assert "its limit 97.91 was refused" in told.message
    bench.fill("td-s", "1", "80")
    assert bench.engine.ledger.quantity(BTC) == 0


def test_protection_is_asked_for_no_collar_and_leaves_at_its_limit_which_goes_at_market_in_time():
    bench = Bench(NARROW)
    trail = TrailSpec("percent", D("0.02"), limit_offset=D("0.001"))
    bench.hold("1", "100", protection=Protection(trail=trail))
    (call,) = sent(gap_to_80(bench))
    assert (call.approved.order.wire_type, call.approved.order.price) == ("limit", D("97.91"))
    bench.accept("td-entry-x")
    bench.second(5)
    (call,) = sent(bench.report("td-entry-x", "cancelled"))
    assert call.approved.order.wire_type == "market"


def test_a_fired_stop_limit_beyond_the_collar_goes_at_market_after_a_restart_too():
    bench = Bench(NARROW)
    bench.hold("1", "100")
    bench.submit("td-s", "sell", "stop", "1", stop_price="98", price="97.5")
    bench.say(VoteTradingState("operator", "HALTED", "look at the books"))
    assert sent(gap_to_80(bench)) == []
    again = bench.restarted()
    gap_to_80(again)
    again.engine.finish_restore(again.now)
    calls = sent(again.say(VoteTradingState("operator", "ACTIVE", "all is well")))
    assert [(call.approved.order.client_order_id, call.approved.order.wire_type) for call in calls] == [
        ("td-s", "market")]


def test_a_limit_sell_of_a_person_beyond_the_collar_is_refused_as_before():
    bench = Bench(NARROW)
    bench.hold("1", "100")
    (denied,) = of_type(bench.submit("td-s", "sell", "limit", "1", price="80"), OrderDenied)
    assert denied.code == "PRICE_COLLAR"


@pytest.mark.parametrize("origin", ["manual", "council"])
def test_fired_exits_do_not_wait_for_the_pace_of_other_orders(origin):
    bench = Bench(replace(WIDE, orders_per_second=2, orders_per_minute=2))
    bench.hold("10", "100")
    for number in range(9):
        bench.submit(f"td-{number}", "sell", "stop", "1", stop_price="98")
    if origin == "council":
        bench.submit("td-c", "sell", "trailing", "1", trail=TrailSpec("percent", D("0.02")))
    calls = sent(bench.trade("97"))
    assert len(calls) == (10 if origin == "council" else 9)  # an entry's pace times three would have let five go
    assert of_type(bench.submit("td-late", "buy", "market", "1"), OrderDenied)[0].code == "RATE_PER_SECOND"


def test_an_exit_goes_out_on_stale_data_and_when_only_reducing(bench):
    bench.hold("1", "100", protection=STOP)
    bench.say(VoteTradingState("health", "REDUCING", "clock"))
    assert of_type(bench.submit("td-2", "buy", "market", "1"), OrderDenied)[0].code == "TRADING_REDUCING"
    bench.second(60)
    assert sent(bench.say(ClosePosition(BTC)))


def test_an_exit_that_fires_while_halted_waits_and_goes_when_the_price_is_still_there(bench):
    bench.hold("1", "100", protection=STOP)
    bench.say(VoteTradingState("operator", "HALTED", "look at the books"))
    effects = bench.trade("97")
    assert sent(effects) == []
    assert of_type(effects, AlertRaised)[0].level == "critical"
    assert sent(bench.second()) == []
    bench.trade("96")
    assert len(sent(bench.say(VoteTradingState("operator", "ACTIVE", "fine")))) == 1


def test_an_exit_that_fired_while_halted_is_armed_anew_when_the_price_came_back(bench):
    bench.hold("1", "100", protection=ALL)
    bench.say(VoteTradingState("operator", "HALTED", "look at the books"))
    bench.trade("96")
    bench.trade("101")
    assert sent(bench.say(VoteTradingState("operator", "ACTIVE", "fine"))) == []
    assert bench.order("td-entry-s").is_armed
    assert bench.engine.trigger_of("td-entry-s") == 98
    assert bench.order("td-entry-x").is_armed
    assert len(sent(bench.trade("97"))) == 1


def test_dust_is_told_as_closed_and_not_sold_again_and_again(bench):
    bench.trade("100")
    bench.submit("td-e", "buy", "market", "1", protection=STOP)
    bench.fill("td-e", "1", "100", fee="0.00001", fee_asset="BTC")
    bench.trade("97")
    effects = bench.fill("td-e-s", "0.9999", "97")
    assert of_type(effects, PositionClosed)
    assert bench.engine.ledger.quantity(BTC) == D("0.00009")
    assert sent(bench.second()) == []
    assert of_type(bench.say(ClosePosition(BTC)), OrderDenied)


def test_a_person_is_told_when_the_venue_does_not_give_an_exit_back(bench):
    bench.hold("2", "100", protection=STOP)
    bench.submit("td-l", "sell", "limit", "2", price="120")
    bench.accept("td-l")
    bench.trade("97")
    alerts = [of_type(bench.second(), AlertRaised) for _ in range(20)]
    assert [second for second, told in enumerate(alerts) if told] == [8]
    assert alerts[8][0].title == "BTC/USDT: exit waits for the venue"
    assert len(sent(bench.report("td-l", "cancelled"))) == 1


def test_an_exit_that_is_held_back_by_the_gate_goes_on_trying(bench):
    bench.hold("1", "100", protection=STOP)
    bench.quote("97", "96")  # crossed: no price can be trusted
    bench.say(VoteTradingState("operator", "HALTED", "books"))
    bench.trade("97")
    for _ in range(5):
        assert sent(bench.second()) == []
    assert bench.order("td-entry-s").is_waiting
    assert len(sent(bench.say(VoteTradingState("operator", "REDUCING", "books are fine")))) == 1


def test_a_remainder_too_small_for_the_venue_is_refused_once_with_an_alert_and_not_tried_again():
    bench = Bench(replace(WIDE, min_notional=D(0)))
    bench.hold("0.06", "100", protection=STOP)
    effects = bench.trade("70")  # worth 4.20, the venue wants 5
    assert sent(effects) == []
    assert of_type(effects, OrderDenied)[0].order.client_order_id == "td-entry-s"
    assert of_type(effects, AlertRaised)[0].title == "BTC/USDT: exit refused"
    assert bodies(bench.second()) == []


def test_a_denial_that_may_pass_keeps_the_exit_alive_and_is_told_after_three_tries(bench):
    bench.hold("1", "100", protection=STOP)
    market = bench.engine._desk.markets[BTC]
    market.instrument = replace(market.instrument, taker_fee=D("NaN"))
    assert sent(bench.trade("97")) == []
    assert of_type(bench.second(), AlertRaised) == []
    told = bench.second()
    assert of_type(told, AlertRaised)[0].title == "BTC/USDT: exit held back"
    assert of_type(told, LimitBreached)[0].value == BTC
    assert bench.order("td-entry-s").is_waiting
    assert of_type(bench.second(), AlertRaised) == []
    market.instrument = replace(market.instrument, taker_fee=D(0))
    assert len(sent(bench.second())) == 1


def test_protection_whose_trail_cannot_be_armed_is_told_and_the_stop_is_armed_all_the_same(bench):
    bench.trade("100")
    bench.submit("td-e", "buy", "market", "1", protection=Protection(D("0.02"), TrailSpec("atr", D(2))))
    effects = bench.fill("td-e", "1", "100")
    assert of_type(effects, AlertRaised)[0].level == "critical"
    assert [order.client_order_id for order in bench.engine.orders.children("td-e")] == ["td-e-s"]


# ---- once its trigger was reached


def test_a_fired_exit_does_not_end_by_its_expiry_while_another_makes_way():
    bench = Bench(WIDE, disaster_stop=True)
    bench.hold("1", "100")
    (call,) = sent(bench.second())
    resting = call.approved.order.client_order_id
    bench.accept(resting)
    bench.submit("td-x", "sell", "stop", "1", stop_price="99", expire_at=bench.now + 2 * SECOND_NS)
    assert [each.client_order_id for each in cancels(bench.trade("98.9"))] == [resting]
    bench.second(3)
    (call,) = sent(bench.report(resting, "cancelled"))
    assert call.approved.order.client_order_id == "td-x"


def test_a_fired_exit_whose_limit_nobody_takes_goes_at_market_though_its_time_is_over(bench):
    bench.hold("1", "100")
    bench.submit("td-x", "sell", "stop", "1", stop_price="99", price="98.8", expire_at=bench.now + 2 * SECOND_NS)
    bench.trade("98.9")
    bench.accept("td-x")
    bench.trade("95")
    assert not cancels(bench.second(3))
    assert cancels(bench.second(3))
    (call,) = sent(bench.report("td-x", "cancelled"))
    assert (call.approved.order.wire_type, call.approved.order.quantity) == ("market", 1)


def test_an_exit_that_is_armed_anew_after_a_halt_ends_by_its_expiry(bench):
    bench.hold("1", "100")
    bench.submit("td-x", "sell", "stop", "1", stop_price="99", expire_at=bench.now + 5 * SECOND_NS)
    bench.say(EngageKillSwitch("halt", "me", "me"))
    bench.trade("98.9")
    bench.trade("99.5")
    bench.say(ReleaseKillSwitch("me", "seen"))
    assert bench.order("td-x").is_armed
    bench.second(6)
    assert bench.order("td-x").state == "EXPIRED"


def test_a_fired_limit_exit_stays_at_the_venue_while_nothing_may_follow_it(bench):
    bench.hold("1", "100")
    bench.submit("td-x", "sell", "stop", "1", stop_price="98", price="97.5")
    bench.trade("97.9")
    bench.accept("td-x")
    bench.trade("90")
    bench.say(EngageKillSwitch("halt", "me", "me"))
    assert not any(cancels(bench.second()) for _ in range(20))
    bench.say(ReleaseKillSwitch("me", "seen"))
    assert [each.client_order_id for each in cancels(bench.second())] == ["td-x"]


# ---- what rests at the venue beside it


def rest(bench, client_order_id, quantity, price):
    """A limit sell that rests; the disaster stop makes way and comes back smaller."""
    effects = bench.submit(client_order_id, "sell", "limit", quantity, price=price)
    for made in cancels(effects):
        effects = bench.report(made.client_order_id, "cancelled")
    for call in [*sent(effects), *sent(bench.second())]:
        bench.accept(call.approved.order.client_order_id)
    assert bench.order(client_order_id).detail == "accepted"


def test_two_limits_for_half_of_a_position_rest_side_by_side_and_only_the_disaster_stop_makes_way():
    bench = Bench(WIDE, disaster_stop=True)
    bench.hold("1", "100")
    rest(bench, "td-a", "0.5", "110")
    rest(bench, "td-b", "0.5", "112")
    assert bench.order("td-a").detail == "accepted"


def test_a_part_is_sold_without_taking_back_a_limit_that_is_not_in_its_way():
    bench = Bench(WIDE, disaster_stop=True)
    bench.hold("1", "100")
    rest(bench, "td-a", "0.5", "110")
    (back,) = cancels(bench.submit("td-m", "sell", "market", "0.5"))
    assert bench.order(back.client_order_id).is_disaster_stop
    (call,) = sent(bench.report(back.client_order_id, "cancelled"))
    assert call.approved.order.client_order_id == "td-m"
    assert bench.order("td-a").detail == "accepted"


def test_where_the_disaster_stop_does_not_come_back_the_limits_make_way_too():
    bench = Bench(WIDE, disaster_stop=True)
    bench.hold("1", "100")
    rest(bench, "td-a", "0.5", "110")
    bench.submit("td-m", "sell", "market", "0.5")
    assert "td-a" in [each.client_order_id for each in cancels(bench.second())]
    (call,) = sent(bench.report("td-a", "cancelled"))
    assert call.approved.order.client_order_id == "td-m"
