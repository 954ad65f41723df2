"""The life of an order through the whole engine: asked, judged, sent, executed, ended."""

from decimal import Decimal
from itertools import pairwise

import pytest

from bus.messages.council import ProposalApproved
from bus.messages.ledger import PortfolioSnapshot, PositionChanged, PositionClosed, PositionOpened
from bus.messages.orders import (
    CancelAllOrders,
    CancelOrder,
    ModifyOrder,
    OrderAccepted,
    OrderCancelled,
    OrderDenied,
    OrderExpired,
    OrderFilled,
    OrderInitialized,
    OrderPendingCancel,
    OrderRejected,
    OrderSubmitted,
    OrderTriggered,
    OrderUnknown,
    OrderUpdated,
    Protection,
    TrailingAdvanced,
    TrailingArmed,
    TrailSpec,
)
from bus.messages.system import AlertRaised
from market.interval import SECOND_NS
from market.ticks import Candle
from risk.limits import RiskLimits
from tests.orders.trading import (
    BTC,
    ETH,
    START,
    WIDE,
    Bench,
    answers,
    bodies,
    cancels,
    of_type,
    queries,
    sent,
)

D = Decimal


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.trade("100")
    return made


# ---- asking


def test_a_market_buy_is_a_fact_before_it_is_sent(bench):
    effects = bench.submit("td-1", "buy", "market", "1.00009")
    assert [type(body) for body in bodies(effects)] == [OrderInitialized, OrderSubmitted]
    (call,) = sent(effects)
    assert call.approved.order.quantity == D("1.0000")  # rounded down to the step
    assert call.approved.order.reference_price == 100
    assert all(effect.header.cause == bench.last_command.id for effect in effects[:2])


def test_a_limit_price_is_rounded_against_us(bench):
    (call,) = sent(bench.submit("td-1", "buy", "limit", "1", price="99.999"))
    assert call.approved.order.price == D("99.99")
    assert call.approved.order.wire_type == "limit"


@pytest.mark.parametrize(("more", "code", "word"), [
    ({"quantity": "0"}, "QUANTITY_NOT_POSITIVE", "above zero"),
    ({"quantity": "-1"}, "QUANTITY_NOT_POSITIVE", "above zero"),
    ({"quantity": "NaN"}, "QUANTITY_NOT_POSITIVE", "above zero"),
    ({"symbol": "NO/USDT"}, "UNKNOWN_INSTRUMENT", "NO/USDT"),
    ({"order_type": "limit"}, "INVALID_ORDER", "price"),
    ({"order_type": "limit", "price": "-5"}, "PRICE_NOT_POSITIVE", "above zero"),
    ({"order_type": "stop"}, "INVALID_ORDER", "stop_price"),
    ({"order_type": "trailing"}, "INVALID_ORDER", "trail"),
    ({"order_type": "trailing", "trail": TrailSpec("percent", D(2))}, "INVALID_ORDER", "0.02 is 2 %"),
    ({"order_type": "trailing", "trail": TrailSpec("absolute", D(100))}, "INVALID_ORDER", "not below the price"),
    ({"order_type": "trailing", "trail": TrailSpec("atr", D(2))}, "INVALID_ORDER", "ATR"),
    ({"client_order_id": "td-" + "x" * 40}, "INVALID_ORDER", "36"),
    ({"client_order_id": "td 1"}, "INVALID_ORDER", "letters"),
    ({"expire_at": START}, "INVALID_ORDER", "time is over"),
])
def test_a_wish_that_makes_no_sense_is_denied_with_a_sentence(bench, more, code, word):
    given = {"client_order_id": "td-1", "side": "buy", "order_type": "market", "quantity": "1", **more}
    effects = bench.submit(**given)
    (denial,) = of_type(effects, OrderDenied)
    assert denial.code == code
    assert word in denial.message
    assert sent(effects) == []
    assert effects[0].header.cause == bench.last_command.id


def test_a_denied_order_can_be_seen_and_explained(bench):
    bench.submit("td-1", "buy", "market", "500")  # 50,000 of 10,000
    order = bench.order("td-1")
    assert (order.state, order.by, order.detail) == ("REJECTED", "us", "denied")
    assert order.spec.quantity == 500
    assert order.denial.code in ("MAX_ORDER_NOTIONAL", "INSUFFICIENT_FUNDS")
    assert order.history[-1].why == order.denial.message


def test_a_command_that_comes_too_late_is_denied(bench):
    from tests.orders.trading import wish

    (denial,) = of_type(bench.say(wish("td-1", "buy", "market", "1"), expires=bench.now - 1), OrderDenied)
    assert "too late" in denial.message


def test_nothing_is_armed_before_a_price_was_heard():
    bench = Bench()
    (denial,) = of_type(
        bench.submit("td-1", "buy", "trailing", "1", trail=TrailSpec("percent", D("0.02"))), OrderDenied)
    assert denial.code == "PRICE_UNKNOWN"


def test_the_same_id_does_nothing_twice_and_is_answered_again(bench):
    bench.submit("td-1", "buy", "market", "1")
    effects = bench.submit("td-1", "buy", "market", "1")
    (answer,) = answers(effects)
    assert len(effects) == 1
    assert answer.message.body == OrderInitialized(bench.order("td-1").spec)
    assert answer.message.header.cause == bench.last_command.id
    assert len(bench.engine.orders) == 1


def test_a_denied_id_gets_the_same_denial_again(bench):
    (denial,) = of_type(bench.submit("td-1", "buy", "market", "500"), OrderDenied)
    (answer,) = answers(bench.submit("td-1", "buy", "market", "1"))
    assert answer.message.body == denial


def test_equal_content_under_another_id_is_a_mistake():
    bench = Bench(RiskLimits(exposure_per_asset=D(1), exposure_total=D(1)))
    bench.trade("100")
    assert sent(bench.submit("td-1", "buy", "market", "1"))
    (denial,) = of_type(bench.submit("td-2", "buy", "market", "1"), OrderDenied)
    assert denial.code == "DUPLICATE_ORDER"
    assert sent(bench.submit("td-3", "buy", "market", "1.5"))


def test_stale_data_stops_entries(bench):
    bench.second(4)
    (denial,) = of_type(bench.submit("td-1", "buy", "market", "1"), OrderDenied)
    assert denial.code == "STALE_DATA"


def test_working_entries_count_as_exposure():
    bench = Bench(RiskLimits(exposure_per_asset=D("0.05"), exposure_total=D("0.25"), duplicate_window_ns=0))
    bench.trade("100")
    assert sent(bench.submit("td-1", "buy", "limit", "3", price="100"))
    (denial,) = of_type(bench.submit("td-2", "buy", "limit", "3", price="100"), OrderDenied)
    assert denial.code == "EXPOSURE_PER_ASSET"
    bench.accept("td-1")
    bench.report("td-1", "cancelled")
    assert sent(bench.submit("td-3", "buy", "limit", "3", price="100"))


def test_orders_per_second_are_capped():
    from dataclasses import replace

    bench = Bench(replace(WIDE, orders_per_second=3))
    bench.trade("100")
    outcomes = [bool(sent(bench.submit(f"td-{n}", "buy", "market", "1"))) for n in range(6)]
    assert outcomes == [True, True, True, False, False, False]
    bench.trade("100", after_ms=1001)
    assert sent(bench.submit("td-9", "buy", "market", "1"))


def test_a_council_order_needs_the_risk_officers_verdict_and_may_not_exceed_it(bench):
    wish = {"side": "buy", "order_type": "market", "origin": "council"}
    denials = of_type(bench.submit("td-p1", quantity="1", proposal_id="p1", **wish), OrderDenied)
    assert denials[0].code == "NO_VERDICT"
    for proposal in ("p2", "p3"):
        bench.say(ProposalApproved(proposal, BTC, D("0.5"), D(1), (), "shrunk"))
    denials = of_type(bench.submit("td-p2", quantity="1", proposal_id="p2", **wish), OrderDenied)
    assert denials[0].code == "EXCEEDS_VERDICT"
    assert sent(bench.submit("td-p3", quantity="0.5", proposal_id="p3", **wish))


# ---- executions


def test_fills_become_position_cash_and_a_snapshot(bench):
    bench.submit("td-1", "buy", "market", "2")
    bench.accept("td-1")
    first = bench.fill("td-1", "0.5", "100", fee="0.05")
    assert [type(body) for body in bodies(first)] == [OrderFilled, PositionOpened, PortfolioSnapshot]
    assert bench.order("td-1").state == "PARTIAL"
    second = bench.fill("td-1", "1.5", "102")
    assert [type(body) for body in bodies(second)] == [OrderFilled, PositionChanged, PortfolioSnapshot]
    order = bench.order("td-1")
    assert (order.state, order.filled, order.average_price) == ("FILLED", 2, D("101.5"))
    assert bench.engine.ledger.cash == D("10000") - 50 - 153 - D("0.05")
    snapshot = bodies(second)[-1]
    assert snapshot.positions[0].quantity == 2
    assert snapshot.exposure == 200
    assert snapshot.initial_capital == 10000


def test_closing_tells_the_round_trip(bench):
    bench.hold("2", "100")
    bench.trade("110")
    bench.submit("td-out", "sell", "market", "2")
    (closed,) = of_type(bench.fill("td-out", "2", "110", fee="0.2"), PositionClosed)
    assert (closed.entry_price, closed.exit_price, closed.realized_pnl, closed.fees) == (100, 110, D("19.8"), D("0.2"))
    assert closed.opened_ns >= START


def test_a_fill_counts_once(bench):
    bench.submit("td-1", "buy", "market", "2")
    bench.fill("td-1", "1", "100", trade_id="x")
    assert bodies(bench.fill("td-1", "1", "100", trade_id="x")) == []
    assert bench.order("td-1").filled == 1


def test_a_fill_may_overtake_its_acceptance(bench):
    bench.submit("td-1", "buy", "market", "2")
    bench.fill("td-1", "1", "100")
    assert bench.order("td-1").state == "PARTIAL"
    bench.accept("td-1")
    assert (bench.order("td-1").state, bench.order("td-1").venue_order_id) == ("PARTIAL", "vtd-1")
    bench.fill("td-1", "1", "100")
    assert bench.accept("td-1") == []
    assert bench.order("td-1").state == "FILLED"


def test_filled_wins_over_cancelled(bench):
    bench.submit("td-1", "buy", "limit", "2", price="99")
    bench.accept("td-1")
    bench.say(CancelOrder("td-1"))
    bench.report("td-1", "cancelled")
    effects = bench.fill("td-1", "0.5", "99")
    assert of_type(effects, AlertRaised)[0].title == "Filled after its end"
    assert (bench.order("td-1").state, bench.order("td-1").filled) == ("CANCELLED", D("0.5"))
    bench.fill("td-1", "1.5", "99")
    assert bench.order("td-1").state == "FILLED"
    assert bench.engine.ledger.quantity(BTC) == 2


def test_more_than_was_asked_for_is_the_truth_all_the_same(bench):
    bench.submit("td-1", "buy", "market", "1")
    effects = bench.fill("td-1", "1.25", "100")
    assert of_type(effects, AlertRaised)[0].title == "Overfilled"
    assert bench.engine.ledger.quantity(BTC) == D("1.25")


def test_an_order_with_our_mark_that_nobody_knows_raises_an_alarm_once(bench):
    assert of_type(bench.fill("td-ghost", "1", "100"), AlertRaised)[0].level == "critical"
    assert bodies(bench.fill("td-ghost", "1", "100")) == []
    assert bodies(bench.fill("other-bot", "1", "100")) == []
    assert bench.engine.ledger.quantity(BTC) == 0


def test_a_fill_without_an_id_or_amount_is_not_booked(bench):
    bench.submit("td-1", "buy", "market", "1")
    for more in ({"trade_id": ""}, {"trade_id": "a", "quantity": D(0)}, {"trade_id": "a", "price": D(-1)}):
        given = {"trade_id": "a", "quantity": D(1), "price": D(100), **more}
        assert of_type(bench.report("td-1", "fill", **given), AlertRaised)[0].level == "critical"
    assert bench.engine.ledger.quantity(BTC) == 0


def test_a_report_for_the_wrong_symbol_is_not_booked(bench):
    bench.submit("td-1", "buy", "market", "1")
    assert of_type(bench.report("td-1", "rejected", symbol=ETH), AlertRaised)
    assert bench.order("td-1").state == "SUBMITTED"


# ---- the venue's other words


def test_rejected_by_the_venue_ends_the_order(bench):
    bench.submit("td-1", "buy", "market", "1")
    (rejected,) = of_type(bench.report("td-1", "rejected", reason="no money"), OrderRejected)
    assert rejected.reason == "no money"
    assert (bench.order("td-1").state, bench.order("td-1").by) == ("REJECTED", "venue")


def test_unknown_holds_exposure_blocks_the_symbol_and_is_asked_about(bench):
    bench.submit("td-1", "buy", "market", "1")
    assert of_type(bench.report("td-1", "unknown", reason="timeout"), OrderUnknown)
    assert (bench.order("td-1").state, bench.order("td-1").detail) == ("SUBMITTED", "unknown")
    (denial,) = of_type(bench.submit("td-2", "buy", "market", "1"), OrderDenied)
    assert denial.code == "UNKNOWN_PENDING"
    assert len(queries(bench.second())) == 1
    bench.trade("100")
    bench.accept("td-1")
    assert queries(bench.second(5)) == []
    bench.trade("100")
    assert sent(bench.submit("td-3", "buy", "market", "1"))


def test_a_cancel_that_nobody_answers_does_not_make_an_unknown_order_known(bench):
    bench.trade("100")
    bench.submit("td-1", "buy", "limit", "1", price="99", expire_at=bench.now + 2 * SECOND_NS)
    bench.report("td-1", "unknown", reason="timeout")
    bench.second(3)
    assert bench.order("td-1").detail == "pending_cancel"
    bench.trade("100")
    (denial,) = of_type(bench.submit("td-2", "buy", "limit", "1", price="98"), OrderDenied)
    assert denial.code == "UNKNOWN_PENDING"
    bench.accept("td-1")
    assert sent(bench.submit("td-3", "buy", "limit", "1", price="98"))


def test_questions_about_an_unknown_order_slow_down_to_every_thirty_seconds(bench):
    bench.submit("td-1", "buy", "market", "1")
    bench.report("td-1", "unknown")
    asked = [second for second in range(1, 201) if queries(bench.second())]
    pauses = [later - earlier for earlier, later in pairwise(asked)]
    assert asked[0] == 1
    assert pauses[:4] == [2, 4, 8, 16]
    assert set(pauses[4:]) == {30}


def test_a_person_is_told_once_of_an_order_whose_fate_is_unknown_for_a_minute(bench):
    bench.submit("td-1", "buy", "market", "1")
    bench.report("td-1", "unknown")
    for second in range(200):
        bench.second()
        if second % 10 == 9:
            bench.report("td-1", "unknown")
        told = [alert for alert in of_type(bench.journal, AlertRaised) if "what became of an order" in alert.title]
        assert len(told) == (second >= 60)
    assert told[0].level == "critical"
    bench.accept("td-1")
    bench.report("td-1", "unknown")
    bench.second(30)
    assert len([each for each in of_type(bench.journal, AlertRaised) if "what became" in each.title]) == 1


def test_not_found_is_believed_only_after_a_grace(bench):
    bench.submit("td-1", "buy", "market", "1")
    bench.report("td-1", "unknown")
    assert bodies(bench.report("td-1", "not_found")) == []
    bench.now += 5 * SECOND_NS
    (rejected,) = of_type(bench.report("td-1", "not_found"), OrderRejected)
    assert "never arrived" in rejected.reason
    assert bench.order("td-1").by == "venue"


def test_an_order_that_is_silent_after_sending_is_asked_about(bench):
    bench.submit("td-1", "buy", "market", "1")
    assert queries(bench.second()) == []
    assert len(queries(bench.second())) == 1


# ---- ending and changing


def test_a_held_order_is_cancelled_at_once(bench):
    bench.submit("td-1", "buy", "stop", "1", stop_price="110")
    (cancelled,) = of_type(bench.say(CancelOrder("td-1", "changed my mind")), OrderCancelled)
    assert (cancelled.by, cancelled.reason) == ("us", "changed my mind")
    assert bench.engine.trigger_of("td-1") is None
    assert bodies(bench.trade("120")) == []


def test_an_order_at_the_venue_holds_its_exposure_until_the_venue_answers(bench):
    bench.submit("td-1", "buy", "limit", "1", price="99")
    bench.accept("td-1")
    effects = bench.say(CancelOrder("td-1", "enough"))
    assert of_type(effects, OrderPendingCancel)
    assert cancels(effects)[0].venue_order_id == "vtd-1"
    assert bench.engine.portfolio(bench.now).exposure == 99
    bench.accept("td-1")
    assert [len(cancels(bench.second())) for _ in range(4)] == [0, 1, 0, 1]
    (cancelled,) = of_type(bench.report("td-1", "cancelled"), OrderCancelled)
    assert (cancelled.by, cancelled.reason) == ("us", "enough")
    assert bench.engine.portfolio(bench.now).exposure == 0


@pytest.mark.parametrize("command", [CancelOrder("td-nobody"), ModifyOrder("td-nobody", quantity=D(1))])
def test_a_command_about_an_unknown_order_is_denied(bench, command):
    (denial,) = of_type(bench.say(command), OrderDenied)
    assert denial.code == "UNKNOWN_ORDER"
    assert len(bench.engine.orders) == 0


def test_cancel_all_entries_leaves_exits_alone(bench):
    bench.hold("1", "100")
    bench.submit("td-b", "buy", "stop", "1", stop_price="120")
    bench.submit("td-s", "sell", "stop", "1", stop_price="90")
    effects = bench.say(CancelAllOrders("entries"))
    assert [fact.client_order_id for fact in of_type(effects, OrderCancelled)] == ["td-b"]
    assert bench.order("td-s").is_armed
    bench.say(CancelAllOrders("all"))
    assert not bench.order("td-s").is_working


def test_cancel_all_is_answered_even_when_there_is_nothing(bench):
    assert "0 orders" in of_type(bench.say(CancelAllOrders("all")), AlertRaised)[0].message


def test_held_orders_expire(bench):
    bench.submit("td-1", "buy", "stop", "1", stop_price="110", expire_at=bench.now + 3 * SECOND_NS)
    assert of_type(bench.second(2), OrderExpired) == []
    (expired,) = of_type(bench.second(1), OrderExpired)
    assert expired.by == "us"
    assert bodies(bench.trade("120")) == []


def test_an_order_at_the_venue_that_expires_is_cancelled_there_first(bench):
    bench.submit("td-1", "buy", "limit", "1", price="99", expire_at=bench.now + 3 * SECOND_NS)
    bench.accept("td-1")
    assert cancels(bench.second(3))
    assert bench.order("td-1").detail == "pending_cancel"
    bench.report("td-1", "cancelled")
    assert (bench.order("td-1").state, bench.order("td-1").by) == ("EXPIRED", "us")


def test_a_held_order_can_be_changed_and_keeps_its_best_price(bench):
    bench.hold("1", "100")
    bench.submit("td-s", "sell", "trailing", "1", trail=TrailSpec("percent", D("0.05")))
    bench.trade("110")
    effects = bench.say(ModifyOrder("td-s", trail=TrailSpec("percent", D("0.02"))))
    assert of_type(effects, OrderUpdated)
    assert of_type(effects, TrailingArmed)[0].best == 110
    assert bench.engine.trigger_of("td-s") == D("107.80")


def test_a_change_that_raises_exposure_passes_the_gate(bench):
    bench.submit("td-1", "buy", "stop", "1", stop_price="110")
    (denial,) = of_type(bench.say(ModifyOrder("td-1", quantity=D(5000))), OrderDenied)
    assert denial.order is None
    assert bench.order("td-1").is_armed
    assert bench.order("td-1").spec.quantity == 1
    bench.say(ModifyOrder("td-1", quantity=D(2)))
    assert bench.order("td-1").spec.quantity == 2


def test_an_order_being_executed_at_market_cannot_be_changed(bench):
    bench.submit("td-1", "buy", "market", "1")
    (denial,) = of_type(bench.say(ModifyOrder("td-1", quantity=D(2))), OrderDenied)
    assert denial.code == "INVALID_ORDER"
    assert "at market" in denial.message
    assert denial.order is None
    assert bench.order("td-1").state == "SUBMITTED"


# ---- trailing, end to end


def test_the_worked_case_a_sell_armed_at_100_with_2_percent_fires_at_102_50(bench):
    bench.hold("1", "100")
    (armed,) = of_type(
        bench.submit("td-s", "sell", "trailing", "1", trail=TrailSpec("percent", D("0.02"))), TrailingArmed)
    assert (armed.best, armed.trigger) == (100, 98)
    (advanced,) = of_type(bench.trade("105"), TrailingAdvanced)
    assert (advanced.best, advanced.trigger, advanced.count) == (105, D("102.9"), 1)
    assert bodies(bench.trade("103")) == []
    effects = bench.trade("102.5")
    (fired,) = of_type(effects, OrderTriggered)
    assert (fired.trigger, fired.price) == (D("102.9"), D("102.5"))
    (call,) = sent(effects)
    assert (call.approved.order.wire_type, call.approved.order.quantity) == ("market", 1)
    assert bench.order("td-s").fires[0].trigger == D("102.9")
    assert {message.header.cause for message in effects if hasattr(message, "header")} == {""}


def test_a_buy_trail_follows_the_low_and_buys_the_rebound(bench):
    bench.submit("td-b", "buy", "trailing", "1", trail=TrailSpec("percent", D("0.02")))
    bench.trade("90")
    effects = bench.trade("91.8")
    assert of_type(effects, OrderTriggered)[0].trigger == D("91.80")
    assert sent(effects)[0].approved.order.side == "buy"


def test_an_entry_that_fires_is_judged_again_as_things_are_now(bench):
    bench.submit("td-b", "buy", "stop", "90", stop_price="101")
    bench.submit("td-other", "buy", "market", "5")
    bench.fill("td-other", "5", "100")
    effects = bench.trade("115")
    assert sent(effects) == []
    assert of_type(effects, OrderDenied)[0].code in ("INSUFFICIENT_FUNDS", "MAX_ORDER_NOTIONAL")
    assert (bench.order("td-b").state, bench.order("td-b").by) == ("REJECTED", "us")


def test_a_trail_waits_for_its_activation_price(bench):
    bench.hold("1", "100")
    trail = TrailSpec("percent", D("0.02"), activation_price=D(110))
    (armed,) = of_type(bench.submit("td-s", "sell", "trailing", "1", trail=trail), TrailingArmed)
    assert not armed.is_active
    assert bodies(bench.trade("90")) == []
    (activated,) = of_type(bench.trade("110"), TrailingArmed)
    assert (activated.is_active, activated.trigger) == (True, D("107.80"))
    assert sent(bench.trade("107"))


def test_a_limit_offset_sends_a_limit_beyond_the_trigger(bench):
    bench.hold("1", "100")
    trail = TrailSpec("percent", D("0.02"), limit_offset=D("0.01"))
    bench.submit("td-s", "sell", "trailing", "1", trail=trail)
    (call,) = sent(bench.trade("97"))
    assert (call.approved.order.wire_type, call.approved.order.price) == ("limit", D("97.02"))


def test_mid_and_bid_ask_sources_look_at_quotes(bench):
    bench.hold("1", "100")
    bench.quote("99", "101")
    bench.submit("td-m", "sell", "trailing", "0.4", trail=TrailSpec("percent", D("0.02"), price_source="mid"))
    bench.submit("td-b", "sell", "trailing", "0.4", trail=TrailSpec("percent", D("0.02"), price_source="bid_ask"))
    assert bench.engine.trigger_of("td-m") == 98
    assert bench.engine.trigger_of("td-b") == D("97.02")
    assert bodies(bench.trade("50")) == []
    fired = of_type(bench.quote("97", "98.9"), OrderTriggered)
    assert [fact.client_order_id for fact in fired] == ["td-m", "td-b"]


def test_an_atr_trail_resolves_its_distance_when_it_is_armed(bench):
    for number in range(15):
        bench.engine.process(Candle(
            BTC, "1s", START - (20 - number) * SECOND_NS, D(100), D(101), D(99), D(100), D(1), 1, START, True))
    assert bench.engine.atr(BTC) == 2
    bench.hold("1", "100")
    (armed,) = of_type(bench.submit("td-s", "sell", "trailing", "1", trail=TrailSpec("atr", D(3))), TrailingArmed)
    assert (armed.distance, armed.trigger) == (6, 94)


def test_closed_candles_are_told_and_teach_the_atr(bench):
    candles = []
    for number in range(40):
        candles += of_type(bench.trade(str(101 - number % 2), after_ms=1000), Candle)
    assert [candle.interval for candle in candles].count("1s") == 40
    assert bench.engine.atr(BTC) == 1


def test_accepted_twice_is_one_fact(bench):
    bench.submit("td-1", "buy", "limit", "1", price="99")
    assert of_type(bench.accept("td-1"), OrderAccepted)
    assert bodies(bench.accept("td-1")) == []


@pytest.mark.parametrize("more", [
    {"price": "100"},
    {"protection": Protection(stop_ratio=D(1))},
    {"protection": Protection(take_profit_ratio=D(0))},
    {"protection": Protection(trail=TrailSpec("percent", D(1)))},
    {"protection": Protection(), "client_order_id": "td-" + "x" * 31},
    {"side": "sell", "protection": Protection(stop_ratio=D("0.02"))},
    {"trail": TrailSpec("percent", D("0.02"), activation_price=D(0))},
    {"trail": TrailSpec("percent", D("0.02"), limit_offset=D(1))},
    {"trail": TrailSpec("percent", D("0.02"), break_even_ratio=D(0))},
    {"trail": TrailSpec("percent", D("0.02"), decay_ratio_per_minute=D(2), decay_floor=D("0.01"))},
    {"trail": TrailSpec("percent", D("0.02"), decay_ratio_per_minute=D("0.1"))},
    {"order_type": "trailing",
     "trail": TrailSpec("percent", D("0.02"), decay_ratio_per_minute=D("0.1"), decay_floor=D("0.03"))},
])
def test_trails_and_protection_must_make_sense(bench, more):
    bench.hold("1", "100", "td-held")
    given = {"client_order_id": "td-1", "side": "buy", "order_type": "market", "quantity": "0.5", **more}
    (denial,) = of_type(bench.submit(**given), OrderDenied)
    assert denial.code in ("INVALID_ORDER", "PRICE_UNEXPECTED")
    assert denial.message.endswith(".")


def test_a_symbol_quoted_in_another_currency_is_only_watched():
    from bus.ids import SessionId
    from bus.messages.header import MessageMaker
    from orders.engine import Engine
    from tests.orders.trading import instrument, wish

    bench = Bench()
    bench.engine = Engine(bench.config, [instrument("BTC/EUR")], MessageMaker("engine", SessionId("s")))
    bench.trade("100", "BTC/EUR")
    (denial,) = of_type(bench.say(wish("td-1", "buy", "market", "1", symbol="BTC/EUR")), OrderDenied)
    assert "only watched" in denial.message


def test_a_change_that_makes_no_sense_is_refused_and_the_order_goes_on(bench):
    bench.submit("td-1", "buy", "stop", "1", stop_price="110")
    (denial,) = of_type(bench.say(ModifyOrder("td-1", quantity=D(-1))), OrderDenied)
    assert denial.order is None
    assert bench.order("td-1").is_armed


def test_a_trail_with_decay_tightens_with_time_and_fires_without_a_tick(bench):
    bench.hold("1", "100")
    trail = TrailSpec("percent", D("0.02"), decay_ratio_per_minute=D("0.5"), decay_floor=D("0.005"))
    bench.submit("td-s", "sell", "trailing", "1", trail=trail)
    bench.trade("98.9")
    bench.alive(59)
    effects = bench.second()
    assert of_type(effects, OrderTriggered)[0].trigger == 99
    assert len(sent(effects)) == 1
