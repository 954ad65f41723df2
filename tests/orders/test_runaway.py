"""The runaway guard, the bounded list of denials, and latches that a rule engaged."""

from dataclasses import replace
from decimal import Decimal

import pytest

from bus.messages.orders import EngageKillSwitch, OrderDenied, OrderInitialized, Protection, ReleaseKillSwitch
from bus.messages.system import AlertRaised, KillSwitchEngaged, KillSwitchReleased, VoteTradingState
from risk.limits import RiskLimits
from tests.orders.trading import WIDE, Bench, answers, of_type, sent
from tradingd.read_model import ReadModel

D = Decimal
PACED = replace(WIDE, orders_per_second=10, orders_per_minute=60)
STOP = Protection(stop_ratio=D("0.02"))


def flood(bench: Bench, number: int, name: str = "f", per_second: int = 1_000, **more: object) -> list[object]:
    """So many buys of a strategy that hears nothing; what came of them."""
    effects: list[object] = []
    for index in range(number):
        bench.trade("100", after_ms=0)
        bench.now += 1_000_000_000 // per_second
        effects += bench.submit(f"td-{name}{index}", "buy", "market", "0.2", **more)
    return effects


def test_a_thousand_orders_a_second_latch_halted_within_a_quarter_of_a_second() -> None:
    bench = Bench(PACED)
    effects = flood(bench, 250)
    (latch,) = of_type(effects, KillSwitchEngaged)  # type: ignore[arg-type]
    assert (latch.action, latch.by) == ("cancel", "rule")
    assert "risk.orders_per_minute" in latch.reason
    assert len(sent(effects)) == 10  # type: ignore[arg-type]
    assert bench.engine.trading_state == "HALTED"


def test_every_order_of_a_flood_is_answered_but_few_are_written_down() -> None:
    bench = Bench(PACED)
    effects = flood(bench, 3_000)
    written = of_type(effects, OrderDenied)  # type: ignore[arg-type]
    answered = [each.message.body for each in answers(effects)]  # type: ignore[arg-type]
    assert len(written) + len(answered) + 10 == 3_000
    assert {type(body) for body in answered} == {OrderDenied}
    assert len(written) <= 3 * 20 * 2  # of two codes, in three seconds
    (told,) = {alert.message for alert in of_type(bench.second(), AlertRaised) if "KILL_ENGAGED" in alert.message}
    assert told.split()[0].isdigit()
    assert len(bench.journal) < 300


def test_a_flood_for_an_hour_keeps_the_journal_small() -> None:
    bench = Bench(PACED)
    flood(bench, 250)
    before = len(bench.journal)
    for minute in range(60):
        flood(bench, 200, name=f"m{minute}-", per_second=200)
        bench.now += 58 * 1_000_000_000
        bench.second()
    assert len(bench.journal) - before < 60 * 130


def test_an_ordinary_limit_reached_is_a_denial_and_nothing_more() -> None:
    bench = Bench(PACED)
    for minute in range(4):
        effects = flood(bench, 120, name=f"m{minute}-", per_second=20)
        assert of_type(effects, OrderDenied)  # type: ignore[arg-type]
        bench.now += 60 * 1_000_000_000
    assert bench.engine.kill is None


def test_knocking_at_a_closed_door_is_no_runaway() -> None:
    bench = Bench(PACED)
    bench.say(VoteTradingState("health", "REDUCING", "lag"))
    flood(bench, 1_000)
    assert bench.engine.kill is None


def test_an_order_that_was_only_counted_is_judged_again_when_it_comes_again() -> None:
    bench = Bench(replace(PACED, orders_per_minute=1_000))
    flood(bench, 100)
    assert bench.engine.orders.get("td-f99") is None  # type: ignore[arg-type]
    bench.now += 2_000_000_000
    bench.trade("100")
    assert sent(bench.submit("td-f99", "buy", "market", "0.2"))
    assert bench.engine.orders.get("td-f20") is not None  # type: ignore[arg-type]
    assert sent(bench.submit("td-f20", "buy", "market", "0.2")) == []  # this one was written down: the same answer


def test_money_within_a_minute_is_capped_and_thrice_the_cap_latches() -> None:
    bench = Bench(replace(WIDE, notional_per_minute=D("0.5")))
    bench.trade("100")
    assert sent(bench.submit("td-1", "buy", "market", "25"))
    assert sent(bench.submit("td-2", "buy", "market", "24"))
    denials = []
    for number in range(3, 8):
        denials += of_type(bench.submit(f"td-{number}", "buy", "market", "25"), OrderDenied)
        assert (bench.engine.kill is None) == (number < 7)
    assert {denial.code for denial in denials} == {"NOTIONAL_PER_MINUTE"}
    assert "risk.notional_per_minute" in bench.engine.kill.reason  # type: ignore[union-attr]


def test_the_money_of_a_minute_is_remembered_over_a_restart_and_forgotten_after_the_minute() -> None:
    bench = Bench(replace(WIDE, notional_per_minute=D("0.5")))
    bench.hold("45", "100")
    again = bench.restarted()
    again.engine.finish_restore(again.now)
    again.trade("100")
    (denial,) = of_type(again.submit("td-2", "buy", "market", "10"), OrderDenied)
    assert denial.code == "NOTIONAL_PER_MINUTE"
    again.now += 60 * 1_000_000_000
    again.trade("100")
    assert sent(again.submit("td-3", "buy", "market", "10"))


def test_exactly_the_cap_is_still_allowed() -> None:
    bench = Bench(replace(WIDE, notional_per_minute=D("0.5")))
    bench.trade("100")
    assert sent(bench.submit("td-1", "buy", "limit", "50", price="100"))
    assert of_type(bench.submit("td-2", "buy", "limit", "0.1", price="100"), OrderDenied)


def test_losing_two_percent_within_a_minute_latches_after_two_seconds() -> None:
    bench = Bench(replace(WIDE, runaway_loss=D("0.02")))
    bench.hold("50", "100")
    bench.second()
    bench.trade("95.5")
    bench.trade("95.5")
    assert of_type(bench.second(), KillSwitchEngaged) == []  # one wrong quote must not end the day
    (latch,) = of_type(bench.second(), KillSwitchEngaged)
    assert (latch.action, latch.by) == ("cancel", "rule")
    assert "2.25 % of equity" in latch.reason
    bench.say(ReleaseKillSwitch("me", "seen"))
    for _ in range(30):
        bench.trade("95.5")
        bench.second()
    assert bench.engine.kill is None, "released by a person, and the same minute's loss latched it again"


def test_one_second_of_loss_latches_nothing() -> None:
    bench = Bench(replace(WIDE, runaway_loss=D("0.02")))
    bench.hold("50", "100")
    bench.second()
    for price in ("95.9", "95.9", "100", "100"):
        bench.trade(price)
    bench.second()
    bench.second()
    assert bench.engine.kill is None


# ---- what goes on under a rule's latch --------------------------------------------------------------


@pytest.fixture
def latched() -> Bench:
    """A position with a stop, and a latch that the runaway guard engaged."""
    bench = Bench(PACED)
    bench.hold("1", "100", client_order_id="td-hold", protection=STOP)
    flood(bench, 250)
    for order in bench.engine.orders.working():
        if order.is_at_venue:
            bench.report(order.client_order_id, "cancelled")
    assert bench.engine.kill is not None
    return bench


def fall(bench: Bench) -> list[object]:
    return [*bench.trade("97"), *bench.trade("97"), *bench.second()]


def test_exits_go_on_under_a_latch_that_no_person_chose(latched: Bench) -> None:
    (call,) = sent(fall(latched))  # type: ignore[arg-type]
    assert (call.approved.order.client_order_id, call.approved.order.side) == ("td-hold-s", "sell")


def test_so_does_a_persons_own_sale_but_not_the_councils(latched: Bench) -> None:
    (denial,) = of_type(latched.submit("td-c", "sell", "market", "0.5", origin="council"), OrderDenied)
    assert denial.code == "KILL_ENGAGED"
    latched.now += 60 * 1_000_000_000
    latched.trade("100")
    assert sent(latched.submit("td-m", "sell", "market", "0.5"))


def test_entries_do_not_go_on(latched: Bench) -> None:
    latched.now += 60 * 1_000_000_000
    latched.trade("100")
    (denial,) = of_type(latched.submit("td-new", "buy", "market", "0.5"), OrderDenied)
    assert denial.code == "KILL_ENGAGED"


def test_a_person_who_presses_takes_the_latch_over_and_exits_wait(latched: Bench) -> None:
    (taken,) = of_type(latched.say(EngageKillSwitch("halt", "let me look", "me")), KillSwitchEngaged)
    assert (taken.action, taken.by) == ("cancel", "me")  # never milder
    assert sent(fall(latched)) == []  # type: ignore[arg-type]
    assert answers(latched.say(EngageKillSwitch("halt", "again", "you")))


def test_a_person_named_rule_is_a_person() -> None:
    bench = Bench()
    bench.hold("1", "100", client_order_id="td-hold", protection=STOP)
    bench.say(EngageKillSwitch("halt", "test", "rule"))
    assert bench.engine.kill.by != "rule"  # type: ignore[union-attr]
    assert sent(fall(bench)) == []  # type: ignore[arg-type]


def test_untrusted_books_stop_exits_under_a_rules_latch_too(latched: Bench) -> None:
    latched.say(VoteTradingState("health", "HALTED", "the ledger is not trusted"))
    assert sent(fall(latched)) == []  # type: ignore[arg-type]
    latched.say(VoteTradingState("health", "ACTIVE", "looked at"))
    (call,) = sent(latched.second())
    assert call.approved.order.client_order_id == "td-hold-s"


def test_the_latch_and_its_leave_for_exits_survive_a_restart(latched: Bench) -> None:
    again = latched.restarted()
    again.engine.finish_restore(again.now)
    assert again.engine.kill.by == "rule"  # type: ignore[union-attr]
    again.trade("100")
    (call,) = sent(fall(again))  # type: ignore[arg-type]
    assert call.approved.order.client_order_id == "td-hold-s"


# ---- after the release ------------------------------------------------------------------------------


def test_after_the_release_the_votes_rule_and_the_count_begins_anew(latched: Bench) -> None:
    latched.say(VoteTradingState("ceo", "REDUCING", "an agent is silent"))
    assert of_type(latched.say(ReleaseKillSwitch("me", "strategy removed")), KillSwitchReleased)
    assert latched.engine.trading_state == "REDUCING"
    latched.say(VoteTradingState("ceo", "ACTIVE", ""))
    assert latched.engine.trading_state == "ACTIVE"
    flood(latched, 30, name="after")
    assert latched.engine.kill is None


def test_the_capital_rule_latches_once_per_episode() -> None:
    bench = Bench(replace(WIDE, kill_loss=D("0.5")))
    bench.hold("90", "100")
    bench.trade("44")
    assert of_type(bench.second(), KillSwitchEngaged)
    bench.say(ReleaseKillSwitch("me", "I know"))
    assert of_type(bench.second(), KillSwitchEngaged) == []
    (denial,) = of_type(bench.submit("td-2", "buy", "market", "1"), OrderDenied)
    assert denial.code == "CAPITAL_LOSS"
    again = bench.restarted()
    again.engine.finish_restore(again.now)
    again.trade("44")
    assert of_type(again.second(), KillSwitchEngaged) == [], "a restart forgot that a person had accepted the loss"
    again.trade("60")
    again.second()
    again.trade("44")
    assert of_type(again.second(), KillSwitchEngaged)


def test_no_strategy_can_change_a_cap() -> None:
    limits = RiskLimits()
    for name in ("orders_per_minute", "notional_per_minute", "runaway_loss"):
        with pytest.raises(AttributeError):
            setattr(limits, name, getattr(limits, name) * 2)


def test_a_flood_of_orders_does_not_hold_up_a_stop() -> None:
    bench = Bench(PACED)
    bench.hold("1", "100", client_order_id="td-hold", protection=STOP)
    flood(bench, 100)
    assert bench.engine.kill is None
    calls = sent([*bench.trade("97"), *bench.trade("97")])
    assert [call.approved.order.client_order_id for call in calls] == ["td-hold-s"]
    assert of_type(bench.second(), OrderInitialized) == []


def test_every_denial_is_in_one_of_the_two_counts() -> None:
    bench = Bench(replace(WIDE, orders_per_minute=100_000, max_order_notional=D("0.01")))
    bench.trade("100")
    read_model = ReadModel("USDT")
    for number in range(300):
        bench.submit(f"td-{number}", "buy", "market", "50")
    bench.second()
    for message in bench.journal:
        read_model.apply(message)
    counts = read_model.counts()
    assert counts.denied < 300
    assert counts.denied + counts.denied_unlisted == 300
