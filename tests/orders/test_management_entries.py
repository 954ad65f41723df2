"""Entries that take long, are nearly done, or could be better; the hours in which there are none."""

from dataclasses import replace

import pytest

from bus.ids import ClientOrderId, ProposalId
from bus.messages.council import ProposalApproved
from bus.messages.orders import ModifyOrder, OrderDenied, OrderInitialized, Protection, ReassessmentDue, TrailSpec
from bus.messages.votes import Vote
from market.interval import SECOND_NS
from orders.time_rules import MARGIN_S, Blackout, TimeRules, parse_blackout, parse_day_end
from tests.orders.trading import BTC, START, Bench, D, cancels, of_type, sent

TRAIL = TrailSpec("percent", D("0.02"))
MIDNIGHT = START - START % (86_400 * SECOND_NS)


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.quote("99.9", "100")
    made.trade("100")
    return made


def council(bench: Bench, order_id: str = "td-p1", kind: str = "trailing", **more):
    proposal = ProposalId(order_id.removeprefix("td-"))
    bench.say(ProposalApproved(proposal, BTC, D(1), None, (), "ok"))
    more = {"trail": TRAIL, **more} if kind == "trailing" else more
    return bench.submit(order_id, "buy", kind, "1", origin="council", proposal_id=proposal, **more)


# ---- the 80 % rule


def test_a_fill_above_80_percent_of_a_resting_entry_cancels_the_rest(bench):
    bench.submit("td-1", "buy", "limit", "1", price="99")
    bench.accept("td-1")
    assert cancels(bench.fill("td-1", "0.8", "99")) == []
    effects = bench.fill("td-1", "0.01", "99")
    assert [effect.client_order_id for effect in cancels(effects)] == ["td-1"]
    assert "80 %" in bench.order("td-1").cancel_reason


def test_an_entry_at_market_is_left_to_fill_in_parts(bench):
    bench.submit("td-1", "buy", "market", "1")
    bench.accept("td-1")
    assert cancels(bench.fill("td-1", "0.9", "100")) == []


def test_a_resting_sell_is_left_to_fill_in_parts(bench):
    bench.hold("1", "100")
    bench.submit("td-s", "sell", "limit", "1", price="110")
    bench.accept("td-s")
    assert cancels(bench.fill("td-s", "0.9", "110")) == []


# ---- reassessment


def test_an_entry_without_an_end_is_reassessed_after_ten_minutes_and_then_cancelled(bench):
    council(bench)
    assert of_type(bench.second(599), ReassessmentDue) == []
    (due,) = of_type(bench.second(2), ReassessmentDue)
    assert (due.client_order_id, due.open_ns // SECOND_NS) == ("td-p1", 601)
    assert of_type(bench.second(29), ReassessmentDue) == []
    assert bench.order("td-p1").is_armed
    bench.second(1)
    assert bench.order("td-p1").state == "CANCELLED"
    assert "has not decided for it again" in bench.order("td-p1").reason


def test_an_entry_is_reassessed_at_half_of_its_time(bench):
    council(bench, expire_at=bench.now + 100 * SECOND_NS)
    assert of_type(bench.second(49), ReassessmentDue) == []
    (due,) = of_type(bench.second(2), ReassessmentDue)
    assert due.cancel_at == bench.now + 30 * SECOND_NS


def test_a_long_given_time_is_not_cut_to_ten_minutes(bench):
    council(bench, expire_at=bench.now + 7200 * SECOND_NS)
    assert of_type(bench.second(3599), ReassessmentDue) == []
    assert len(of_type(bench.second(2), ReassessmentDue)) == 1


@pytest.mark.parametrize(("interval", "answer_s"), [("5s", 30), ("1m", 90), ("1h", 3630)])
def test_a_council_that_decides_seldom_has_until_its_next_decision_to_answer(interval, answer_s):
    bench = Bench(intervals=("1s", interval), decision_interval=interval)
    bench.quote("99.9", "100")
    bench.trade("100")
    council(bench)
    (due,) = of_type(bench.second(601), ReassessmentDue)
    assert due.cancel_at == bench.now + answer_s * SECOND_NS


def test_an_entry_that_the_council_decides_for_again_is_renewed(bench):
    council(bench)
    bench.second(601)
    bench.trade("100")
    council(bench, "td-p2")
    bench.second(60)
    assert bench.order("td-p1").state == "CANCELLED"
    assert bench.order("td-p2").is_armed


def test_a_persons_entry_is_never_reassessed(bench):
    bench.submit("td-1", "buy", "trailing", "1", trail=TRAIL)
    assert of_type(bench.second(5000), ReassessmentDue) == []
    assert bench.order("td-1").is_armed


def test_a_reassessment_under_way_survives_a_restart(bench):
    council(bench)
    bench.second(601)
    again = bench.restarted()
    again.engine.finish_restore(again.now)
    assert of_type(again.second(29), ReassessmentDue) == []
    again.second(1)
    assert again.order("td-p1").state == "CANCELLED"


# ---- improvement


def test_a_resting_limit_that_may_improve_follows_a_move_of_more_than_a_tenth_of_a_percent(bench):
    bench.submit("td-1", "buy", "limit", "1", price="99", improve=True)
    bench.accept("td-1")
    bench.second(6)
    bench.quote("99.7", "99.80")
    effects = bench.second()
    (made,) = of_type(effects, OrderInitialized)
    assert (made.order.price, made.order.replaces) == (D("98.80"), "td-1")
    assert [effect.client_order_id for effect in cancels(effects)] == ["td-1"]
    (submit,) = sent(bench.report("td-1", "cancelled"))
    assert submit.approved.order.price == D("98.80")


@pytest.mark.parametrize(("ask", "seconds", "improve"), [("99.90", 6, True), ("99.80", 3, True), ("99.80", 6, False),
                                                         ("100.5", 6, True)])
def test_no_improvement_for_a_small_move_or_too_soon_or_unasked_or_against_it(bench, ask, seconds, improve):
    bench.submit("td-1", "buy", "limit", "1", price="99", improve=improve)
    bench.accept("td-1")
    bench.second(seconds - 1)
    bench.quote("99.5", ask)
    assert of_type(bench.second(), OrderInitialized) == []


def test_a_stop_entry_that_may_improve_comes_down_with_the_market_and_never_up(bench):
    bench.submit("td-1", "buy", "stop", "1", stop_price="102", improve=True)
    bench.second(6)
    bench.trade("99")
    bench.second()
    assert bench.engine.trigger_of("td-1") == D("100.98")
    bench.second(6)
    bench.trade("100.5")
    bench.second()
    assert bench.engine.trigger_of("td-1") == D("100.98")
    bench.trade("101")
    assert bench.order("td-1").state == "SUBMITTED"


def test_an_improved_stop_is_the_same_after_a_restart(bench):
    bench.submit("td-1", "buy", "stop", "1", stop_price="102", improve=True)
    bench.second(6)
    bench.trade("99")
    bench.second()
    again = bench.restarted()
    again.engine.finish_restore(again.now)
    assert again.engine.trigger_of("td-1") == D("100.98")
    again.second(6)
    again.trade("98")
    again.second()
    assert again.engine.trigger_of("td-1") == D("99.96")


def test_a_stop_loss_of_a_person_is_not_moved(bench):
    bench.hold("1", "100")
    bench.submit("td-s", "sell", "stop", "1", stop_price="95")
    bench.second(6)
    bench.trade("110")
    bench.second()
    assert bench.engine.trigger_of("td-s") == D(95)


# ---- what an order carries


def test_an_order_of_the_council_carries_its_votes_through_a_restart(bench):
    votes = (Vote("momentum", "trail_buy", 0.7, 1.0),)
    council(bench, votes=votes, confidence=0.7, lead_alpha="momentum")
    again = bench.restarted()
    spec = again.order("td-p1").spec
    assert (spec.votes, spec.confidence, spec.lead_alpha) == (votes, 0.7, "momentum")


# ---- take profit and brackets


def test_a_take_profit_fires_at_or_above_its_price(bench):
    bench.hold("1", "100")
    bench.submit("td-t", "sell", "take_profit", "1", stop_price="105")
    assert sent(bench.trade("104.99")) == []
    assert len(sent(bench.trade("105"))) == 1


def test_a_take_profit_that_is_reached_already_fires_with_the_next_price(bench):
    bench.hold("1", "100")
    bench.submit("td-t", "sell", "take_profit", "1", stop_price="98")
    assert len(sent(bench.trade("99"))) == 1


def test_a_buy_cannot_take_profit(bench):
    (denial,) = of_type(bench.submit("td-t", "buy", "take_profit", "1", stop_price="98"), OrderDenied)
    assert (denial.code, denial.rule) == ("INVALID_ORDER", "side")


BRACKET = Protection(D("0.02"), TrailSpec("percent", D("0.02")), D("0.05"))


@pytest.mark.parametrize(("price", "fired"), [("98", {"td-e-s", "td-e-x"}), ("105", {"td-e-t"})])
@pytest.mark.parametrize("restart", [False, True])
def test_of_a_bracket_one_leg_sells_and_ends_the_others(bench, price, fired, restart):
    bench.hold("1", "100", "td-e", protection=BRACKET)
    if restart:
        bench = bench.restarted()
        bench.engine.finish_restore(bench.now)
    effects = bench.trade(price)
    submits = sent(effects)
    assert len(submits) == 1
    assert submits[0].approved.order.client_order_id in fired
    assert submits[0].approved.order.quantity == D(1)
    others = {"td-e-s", "td-e-x", "td-e-t"} - {submits[0].approved.order.client_order_id}
    assert {bench.order(other).state for other in others} == {"CANCELLED"}
    bench.fill(submits[0].approved.order.client_order_id, "1", price)
    assert bench.engine.ledger.quantity(BTC) == 0


def test_two_legs_that_fired_while_halted_sell_their_entry_once_and_not_the_other_holdings(bench):
    from bus.messages.system import VoteTradingState

    bench.hold("1", "100", "td-e", protection=BRACKET)
    bench.hold("2", "100", "td-other")
    bench.say(VoteTradingState("operator", "HALTED", "wait"))
    bench.trade("98")
    assert bench.order("td-e-s").detail == bench.order("td-e-x").detail == "triggered"
    bench.trade("97")
    effects = bench.say(VoteTradingState("operator", "ACTIVE", "go on"))
    total = sum(each.approved.order.quantity for each in sent(effects))
    for each in sent(effects):
        effects = bench.fill(each.approved.order.client_order_id, each.approved.order.quantity, "97")
        total += sum(more.approved.order.quantity for more in sent(effects))
    total += sum(more.approved.order.quantity for more in sent(bench.second()))
    assert total == D(1)


# ---- hours


def in_hours(now: int, rules: TimeRules) -> Bench:
    made = Bench(time_rules=rules)
    made.now = now
    made.quote("99.9", "100")
    made.trade("100")
    return made


@pytest.mark.parametrize(("text", "clock", "holds"), [
    ("08:00-08:30", "07:59", False), ("08:00-08:30", "08:00", True), ("08:00-08:30", "08:29", True),
    ("08:00-08:30", "08:30", False), ("23:30-00:30", "23:30", True), ("23:30-00:30", "00:29", True),
    ("23:30-00:30", "00:30", False), ("tue 10:00-11:00", "10:30", True), ("wed 10:00-11:00", "10:30", False),
    ("mon 23:00-01:00", "00:30", True), ("tue 23:00-01:00", "00:30", False),
])
def test_a_blackout_holds_from_its_start_until_before_its_end(text, clock, holds):
    # START is on Tuesday, 14 November 2023 (UTC).
    hours, minutes = map(int, clock.split(":"))
    assert parse_blackout(text).holds(MIDNIGHT + (hours * 3600 + minutes * 60) * SECOND_NS) is holds


@pytest.mark.parametrize("text", ["8:00-9:00", "08:00", "25:00-26:00", "08:00-08:00", "noon-13:00", "xyz 08:00-09:00"])
def test_what_is_no_period_is_refused_with_its_text(text):
    with pytest.raises(ValueError, match=text):
        parse_blackout(text)


def test_the_end_of_the_day_is_a_time_of_day():
    assert parse_day_end("21:30") == 77_400
    with pytest.raises(ValueError, match="24:00"):
        parse_day_end("24:00")


NINE = MIDNIGHT + 33 * 3600 * SECOND_NS


def test_inside_a_blackout_no_entry_is_taken_but_exits_are():
    bench = in_hours(NINE - 10 * SECOND_NS, TimeRules((Blackout(9 * 3600, 10 * 3600, None, "09:00-10:00"),)))
    bench.hold("1", "100")
    bench.now = NINE
    bench.trade("100")
    (denial,) = of_type(bench.submit("td-2", "buy", "limit", "1", price="99"), OrderDenied)
    assert denial.code == "BLACKOUT"
    assert "09:00-10:00" in denial.message
    assert len(sent(bench.submit("td-s", "sell", "market", "1"))) == 1


def test_when_a_blackout_begins_resting_entries_are_cancelled_and_held_ones_may_not_fire():
    bench = in_hours(NINE - 10 * SECOND_NS, TimeRules((Blackout(9 * 3600, 10 * 3600, None, "09:00-10:00"),)))
    bench.submit("td-1", "buy", "limit", "1", price="99")
    bench.accept("td-1")
    bench.submit("td-2", "buy", "stop", "1", stop_price="102")
    assert [effect.client_order_id for effect in cancels(bench.second(11))] == ["td-1"]
    (denial,) = of_type(bench.trade("102"), OrderDenied)
    assert (denial.client_order_id, denial.code) == ("td-2", "BLACKOUT")


def test_a_change_of_an_entry_is_not_placed_inside_a_blackout():
    bench = in_hours(NINE - 2 * SECOND_NS, TimeRules((Blackout(9 * 3600, 10 * 3600, None, "09:00-10:00"),)))
    bench.submit("td-1", "buy", "limit", "1", price="99")
    bench.accept("td-1")
    bench.say(ModifyOrder(ClientOrderId("td-1"), price=D(98)))
    bench.now = NINE
    bench.trade("100")
    assert sent(bench.report("td-1", "cancelled")) == []
    assert [order.state for order in bench.engine.orders if order.spec.replaces] == ["CANCELLED"]


DAY_END = MIDNIGHT + 86_400 * SECOND_NS


def test_five_minutes_before_the_day_ends_entries_end_and_positions_are_closed():
    bench = in_hours(DAY_END - (MARGIN_S + 10) * SECOND_NS, TimeRules(closes_with_day=True))
    bench.hold("1", "100")
    bench.submit("td-2", "buy", "stop", "1", stop_price="102")
    assert sent(bench.second(9)) == []
    effects = bench.second(1)
    (submit,) = sent(effects)
    assert (submit.approved.order.side, submit.approved.order.quantity) == ("sell", D(1))
    assert bench.order("td-2").state == "CANCELLED"
    (denial,) = of_type(bench.submit("td-3", "buy", "market", "1"), OrderDenied)
    assert denial.code == "DAY_ENDING"


def test_entries_for_the_day_end_with_it_and_only_what_they_bought_is_sold():
    bench = in_hours(DAY_END - (MARGIN_S + 10) * SECOND_NS, TimeRules())
    bench.hold("2", "100", "td-long")
    bench.hold("1", "100", "td-day", ends_with_day=True)
    bench.submit("td-2", "buy", "stop", "1", stop_price="102", ends_with_day=True)
    bench.submit("td-3", "buy", "stop", "1", stop_price="103")
    effects = bench.second(10)
    (submit,) = sent(effects)
    assert submit.approved.order.quantity == D(1)
    assert bench.order("td-2").state == "CANCELLED"
    assert bench.order("td-3").is_armed
    bench.fill(submit.approved.order.client_order_id, "1", "100")
    assert sent(bench.second(60)) == []
    assert bench.engine.ledger.quantity(BTC) == D(2)


def test_without_the_setting_a_day_ends_like_any_hour():
    bench = in_hours(DAY_END - MARGIN_S * SECOND_NS, TimeRules())
    bench.hold("1", "100")
    assert sent(bench.second(10)) == []


# ---- an end of the day that nobody was there for


def away_over_the_end(bench: Bench, begin: int, end: int, *, is_stopped: bool) -> Bench:
    """From `begin` to `end` (UTC ns) the process was down, or the machine asleep."""
    bench.now = begin
    bench.second(0)
    if not is_stopped:
        bench.now = end
        return bench
    again = bench.restarted()
    again.now = end
    again.engine.finish_restore(again.now)
    return again


AFTER = DAY_END + 4 * 3600 * SECOND_NS
BEFORE = DAY_END - (MARGIN_S + 10) * SECOND_NS


@pytest.mark.parametrize("is_stopped", [True, False])
def test_positions_whose_day_ended_while_the_process_was_away_are_sold_with_the_first_price(is_stopped):
    bench = in_hours(BEFORE - 3600 * SECOND_NS, TimeRules(closes_with_day=True))
    bench.hold("1", "100")
    bench.submit("td-2", "buy", "stop", "1", stop_price="102")
    again = away_over_the_end(bench, BEFORE, AFTER, is_stopped=is_stopped)
    first = [] if not is_stopped else sent(again.second(0))
    assert first == []
    again.trade("99")
    (submit,) = sent(again.second(1))
    assert (submit.approved.order.side, submit.approved.order.quantity) == ("sell", D(1))
    assert again.order("td-2").state == "CANCELLED"
    again.fill(submit.approved.order.client_order_id, "1", "99")
    again.hold("1", "99", "td-new")
    assert sent(again.second(60)) == []


@pytest.mark.parametrize("is_stopped", [True, False])
def test_entries_for_a_day_that_is_over_end_and_what_they_bought_is_sold(is_stopped):
    bench = in_hours(BEFORE - 3600 * SECOND_NS, TimeRules())
    bench.hold("2", "100", "td-long")
    bench.hold("1", "100", "td-day", ends_with_day=True)
    bench.submit("td-2", "buy", "stop", "1", stop_price="102", ends_with_day=True)
    bench.submit("td-3", "buy", "stop", "1", stop_price="103")
    again = away_over_the_end(bench, BEFORE, AFTER, is_stopped=is_stopped)
    if is_stopped:  # and once more, before it was sold
        again.second(0)
        again = away_over_the_end(again, AFTER, AFTER + 60 * SECOND_NS, is_stopped=True)
    again.trade("99")
    (submit,) = sent(again.second(1))
    assert submit.approved.order.quantity == D(1)
    assert again.order("td-2").state == "CANCELLED"
    assert again.order("td-3").is_armed
    again.fill(submit.approved.order.client_order_id, "1", "99")
    again.hold("1", "99", "td-new", ends_with_day=True)
    assert sent(again.second(60)) == []
    assert again.engine.ledger.quantity(BTC) == D(3)


@pytest.mark.parametrize(("rules", "is_for_the_day"), [(TimeRules(closes_with_day=True), False), (TimeRules(), True)])
def test_so_is_what_an_entry_of_that_day_bought_unheard(rules, is_for_the_day):
    bench = in_hours(BEFORE - 3600 * SECOND_NS, rules)
    bench.submit("td-1", "buy", "limit", "1", price="99", ends_with_day=is_for_the_day)
    bench.accept("td-1")
    again = away_over_the_end(bench, BEFORE, AFTER, is_stopped=True)
    assert [each.client_order_id for each in cancels(again.second(0))] == ["td-1"]
    again.trade("98")
    again.fill("td-1", "1", "99")
    assert again.engine.ledger.position(BTC).opened_ns > DAY_END
    (submit,) = sent(again.second(1))
    assert (submit.approved.order.side, submit.approved.order.quantity) == ("sell", D(1))


def test_who_lets_positions_end_with_the_day_from_now_on_sells_none_before_it_does():
    bench = in_hours(BEFORE, TimeRules())
    bench.hold("1", "100")
    bench.second(4 * 3600)
    bench.config = replace(bench.config, time_rules=TimeRules(closes_with_day=True))
    again = away_over_the_end(bench, AFTER, AFTER + 60 * SECOND_NS, is_stopped=True)
    again.trade("99")
    assert sent(again.second(1)) == []


def test_a_day_after_a_restart_ends_as_punctually_as_any():
    bench = in_hours(BEFORE - 3600 * SECOND_NS, TimeRules(closes_with_day=True))
    bench.hold("1", "100")
    again = away_over_the_end(bench, BEFORE - 600 * SECOND_NS, BEFORE - 590 * SECOND_NS, is_stopped=True)
    again.trade("100")
    for _ in range(599):
        assert sent(again.second()) == []
    assert len(sent(again.second())) == 1
