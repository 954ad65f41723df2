"""The kill switch and the permission to trade."""

from dataclasses import replace
from decimal import Decimal

import pytest

from bus.messages.ledger import FundsChanged, PositionClosed
from bus.messages.orders import (
    EngageKillSwitch,
    OrderCancelled,
    OrderDenied,
    OrderPendingCancel,
    Protection,
    ReleaseKillSwitch,
)
from bus.messages.system import (
    KillSwitchEngaged,
    KillSwitchReleased,
    LimitBreached,
    TradingStateChanged,
    VoteTradingState,
)
from tests.orders.trading import BTC, ETH, WIDE, Bench, answers, bodies, cancels, of_type, sent

D = Decimal
STOP = Protection(stop_ratio=D("0.02"))


@pytest.fixture
def bench() -> Bench:
    """A position with a stop, an armed entry, an entry at the venue."""
    made = Bench()
    made.hold("1", "100", protection=STOP)
    made.submit("td-armed", "buy", "stop", "1", stop_price="110")
    made.submit("td-rests", "buy", "limit", "1", price="99")
    made.accept("td-rests")
    return made


@pytest.mark.parametrize("action", ["halt", "cancel", "flatten"])
def test_the_latch_is_the_first_fact_and_nothing_new_is_sent(bench, action):
    effects = bench.say(EngageKillSwitch(action, "test", "me"))
    assert isinstance(bodies(effects)[0], KillSwitchEngaged)
    assert bodies(effects)[1].state == "HALTED"
    assert bench.engine.trading_state == "HALTED"
    assert bench.engine.kill.action == action
    assert {call.approved.order.origin for call in sent(effects)} <= {"kill"}
    (denial,) = of_type(bench.submit("td-2", "buy", "market", "1"), OrderDenied)
    assert denial.code == "KILL_ENGAGED"


def test_halt_touches_no_order(bench):
    effects = bench.say(EngageKillSwitch("halt", "test", "me"))
    assert len(bodies(effects)) == 2
    assert cancels(effects) == []
    assert bench.order("td-entry-s").is_armed
    assert sent(bench.trade("120")) == []  # the armed entry fires and is denied
    assert bench.order("td-armed").state == "REJECTED"


def test_cancel_ends_the_entries_and_keeps_the_protection(bench):
    effects = bench.say(EngageKillSwitch("cancel", "test", "me"))
    assert [fact.client_order_id for fact in of_type(effects, OrderCancelled)] == ["td-armed"]
    assert [call.client_order_id for call in cancels(effects)] == ["td-rests"]
    assert bench.order("td-entry-s").is_armed


def test_flatten_ends_everything_and_sells_reduce_only(bench):
    effects = bench.say(EngageKillSwitch("flatten", "test", "me"))
    (call,) = sent(effects)
    order = call.approved.order
    assert (order.origin, order.side, order.quantity, order.reduce_only) == ("kill", "sell", 1, True)
    assert bench.order("td-entry-s").state == "CANCELLED"
    assert of_type(bench.fill(order.client_order_id, "1", "100"), PositionClosed)
    assert sent(bench.second()) == []


def test_an_entry_filled_after_flatten_is_sold_too(bench):
    (call,) = sent(bench.say(EngageKillSwitch("flatten", "test", "me")))
    bench.fill(call.approved.order.client_order_id, "1", "100")
    bench.fill("td-rests", "1", "99")
    (late,) = sent(bench.second())
    assert (late.approved.order.origin, late.approved.order.quantity) == ("kill", 1)
    bench.fill(late.approved.order.client_order_id, "1", "98")
    assert bench.engine.ledger.quantity(BTC) == 0


def test_flatten_waits_for_an_exit_at_the_venue(bench):
    bench.submit("td-out", "sell", "limit", "1", price="120")
    bench.accept("td-out")
    effects = bench.say(EngageKillSwitch("flatten", "test", "me"))
    assert sent(effects) == []
    assert "td-out" in {fact.client_order_id for fact in of_type(effects, OrderPendingCancel)}
    (call,) = sent(bench.report("td-out", "cancelled"))
    assert call.approved.order.origin == "kill"


def test_engaging_again_is_answered_and_may_only_become_stricter(bench):
    bench.say(EngageKillSwitch("cancel", "first", "me"))
    (answer,) = answers(bench.say(EngageKillSwitch("halt", "second", "you")))
    assert answer.message.body.reason == "first"
    effects = bench.say(EngageKillSwitch("flatten", "third", "you"))
    assert of_type(effects, KillSwitchEngaged)[0].action == "flatten"
    assert sent(effects)


def test_only_a_release_unlocks(bench):
    bench.say(EngageKillSwitch("halt", "test", "me"))
    bench.say(VoteTradingState("operator", "ACTIVE", "please"))
    assert bench.engine.trading_state == "HALTED"
    effects = bench.say(ReleaseKillSwitch("me", "over"))
    assert [type(body) for body in bodies(effects)] == [KillSwitchReleased, TradingStateChanged]
    assert bench.engine.trading_state == "ACTIVE"
    assert sent(bench.submit("td-2", "buy", "market", "1"))
    assert len(answers(bench.say(ReleaseKillSwitch("me", "again")))) == 1


def test_the_latch_survives_a_restart(bench):
    bench.say(EngageKillSwitch("cancel", "test", "me"))
    again = bench.restarted()
    assert again.engine.kill.reason == "test"
    assert again.engine.trading_state == "HALTED"
    again.trade("100")
    assert of_type(again.submit("td-9", "buy", "market", "1"), OrderDenied)[0].code == "KILL_ENGAGED"


def test_losing_half_of_the_initial_capital_engages_it():
    bench = Bench(replace(WIDE, kill_loss=D("0.5")))
    bench.hold("90", "100")
    bench.second()
    bench.trade("44")
    (latched,) = of_type(bench.second(), KillSwitchEngaged)  # 10000 -> 1000 + 3960
    assert (latched.action, latched.by) == ("cancel", "rule")
    assert "50.4 %" in latched.reason
    assert of_type(bench.second(), KillSwitchEngaged) == []


def test_just_less_than_half_does_not():
    bench = Bench(replace(WIDE, kill_loss=D("0.5")))
    bench.hold("90", "100")
    bench.trade("44.45")
    assert bench.engine.portfolio(bench.now).equity == D("5000.5")
    assert of_type(bench.second(), KillSwitchEngaged) == []
    bench.trade("44.44")
    assert of_type(bench.second(), KillSwitchEngaged)


def test_a_withdrawal_is_no_loss():
    bench = Bench(replace(WIDE, kill_loss=D("0.5")))
    bench.trade("100")
    bench.second()
    bench.say(FundsChanged("USDT", D(-8000), D(2000), "withdrawal"))
    assert of_type(bench.second(), KillSwitchEngaged) == []


def test_a_breach_is_told_once_per_episode():
    bench = Bench(replace(WIDE, daily_loss=D("0.05")))
    bench.hold("50", "100")
    bench.second()
    bench.trade("89")
    assert [fact.rule for fact in of_type(bench.second(), LimitBreached)] == ["daily_loss"]
    assert of_type(bench.second(), LimitBreached) == []
    assert of_type(bench.submit("td-2", "buy", "market", "1"), OrderDenied)[0].code == "DAILY_LOSS"


def test_the_lowest_vote_rules_and_a_repeated_vote_is_no_new_fact():
    bench = Bench()
    (changed,) = of_type(bench.say(VoteTradingState("health", "REDUCING", "lag")), TradingStateChanged)
    assert (changed.state, ("health", "REDUCING", "lag") in changed.votes) == ("REDUCING", True)
    effects = bench.say(VoteTradingState("health", "REDUCING", "lag"))
    assert bodies(effects) == []
    assert len(answers(effects)) == 1
    bench.say(VoteTradingState("ceo", "HALTED", "no"))
    assert bench.engine.trading_state == "HALTED"
    bench.say(VoteTradingState("ceo", "ACTIVE", ""))
    assert bench.engine.trading_state == "REDUCING"


def test_flatten_sells_every_position_in_a_fixed_order():
    bench = Bench()
    bench.trade("50", ETH)
    bench.submit("td-eth", "buy", "market", "2", symbol=ETH)
    bench.fill("td-eth", "2", "50")
    bench.hold("1", "100")
    calls = sent(bench.say(EngageKillSwitch("flatten", "test", "me")))
    assert [call.approved.order.symbol for call in calls] == [BTC, ETH]
