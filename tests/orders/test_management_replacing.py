"""An order in another's place: never both alive, never more than was wanted, across restarts too."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.ids import ClientOrderId, ProposalId
from bus.messages.council import ProposalApproved
from bus.messages.orders import (
    CancelOrder,
    ModifyOrder,
    OrderDenied,
    OrderInitialized,
    OrderTriggered,
    OrderUpdated,
    Protection,
    TrailSpec,
)
from bus.messages.system import AlertRaised, VoteTradingState
from tests.orders.trading import BTC, WIDE, Bench, D, cancels, of_type, sent

TRAIL = TrailSpec("percent", D("0.02"))


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.quote("99.9", "100")
    made.trade("100")
    return made


def resting(bench: Bench, order_id: str = "td-1", quantity: str = "1", price: str = "99", **more) -> None:
    bench.submit(order_id, "buy", "limit", quantity, price=price, **more)
    bench.accept(order_id)


def modify(bench: Bench, order_id: str = "td-1", **more) -> str:
    """The id of the order that is to come in its place."""
    effects = bench.say(ModifyOrder(ClientOrderId(order_id), **more))
    (made,) = of_type(effects, OrderInitialized)
    assert made.order.replaces
    return made.order.client_order_id


def alive_at_venue(bench: Bench) -> list[str]:
    return [order.client_order_id for order in bench.engine.orders.at_venue(BTC)]


# ---- a person's change


def test_a_change_at_the_venue_waits_for_the_end_of_the_old_order(bench):
    resting(bench)
    effects = bench.say(ModifyOrder("td-1", price=D(98)))
    assert [effect.client_order_id for effect in cancels(effects)] == ["td-1"]
    assert sent(effects) == []
    assert alive_at_venue(bench) == ["td-1"]
    (new,) = [order for order in bench.engine.orders.working() if order.spec.replaces == "td-1"]
    effects = bench.report("td-1", "cancelled")
    (submit,) = sent(effects)
    assert (submit.approved.order.client_order_id, submit.approved.order.price) == (new.client_order_id, D(98))
    assert alive_at_venue(bench) == [new.client_order_id]
    assert bench.order("td-1").state == "CANCELLED"


def test_a_partial_fill_during_the_cancel_lessens_the_new_order(bench):
    resting(bench)
    new = modify(bench, price=D(98))
    bench.fill("td-1", "0.3", "99")
    bench.report("td-1", "cancelled")
    assert bench.order(new).total == D("0.7")
    assert bench.order(new).spec.quantity == D("0.7")


def test_a_complete_fill_during_the_cancel_wins_and_nothing_is_placed(bench):
    resting(bench)
    new = modify(bench, price=D(98))
    effects = bench.fill("td-1", "1", "99")
    assert sent(effects) == []
    assert bench.order(new).state == "CANCELLED"
    assert "nothing is left to place" in bench.order(new).reason
    assert bench.engine.ledger.quantity(BTC) == D(1)


def test_a_fill_after_the_old_orders_end_lessens_the_new_one_again(bench):
    resting(bench)
    new = modify(bench, price=D(98))
    bench.report("td-1", "cancelled")
    bench.accept(new)
    effects = bench.fill("td-1", "0.4", "99")
    assert [effect.client_order_id for effect in cancels(effects)] == [new]
    effects = bench.report(new, "cancelled")
    (submit,) = sent(effects)
    assert submit.approved.order.quantity == D("0.6")


def test_the_new_quantity_counts_what_was_filled_before(bench):
    resting(bench)
    bench.fill("td-1", "0.5", "99")
    new = modify(bench, quantity=D(2))
    bench.report("td-1", "cancelled")
    assert bench.order(new).total == D("1.5")


def test_a_quantity_below_what_was_filled_is_refused_and_the_order_goes_on(bench):
    resting(bench)
    bench.fill("td-1", "0.5", "99")
    effects = bench.say(ModifyOrder("td-1", quantity=D("0.4")))
    (denial,) = of_type(effects, OrderDenied)
    assert (denial.code, denial.rule) == ("INVALID_ORDER", "quantity")
    assert cancels(effects) == []
    assert bench.order("td-1").is_working


def test_a_change_that_breaks_a_limit_is_refused_and_the_order_goes_on():
    from dataclasses import replace

    bench = Bench(replace(WIDE, max_order_notional=D("0.02")))
    bench.trade("100")
    resting(bench)
    effects = bench.say(ModifyOrder("td-1", quantity=D(3)))
    (denial,) = of_type(effects, OrderDenied)
    assert denial.code == "MAX_ORDER_NOTIONAL"
    assert cancels(effects) == []


def test_changed_twice_before_the_venue_answers_only_the_last_change_is_placed(bench):
    resting(bench)
    first = modify(bench, price=D(98))
    second = modify(bench, price=D(97))
    assert bench.order(first).state == "CANCELLED"
    third = modify(bench, second, price=D(96))
    (submit,) = sent(bench.report("td-1", "cancelled"))
    assert (submit.approved.order.client_order_id, submit.approved.order.price) == (third, D(96))
    assert alive_at_venue(bench) == [third]


def test_cancelling_the_old_order_meanwhile_ends_both(bench):
    resting(bench)
    new = modify(bench, price=D(98))
    bench.say(CancelOrder("td-1"))
    assert bench.order(new).state == "CANCELLED"
    assert sent(bench.report("td-1", "cancelled")) == []


def test_cancelling_the_new_order_meanwhile_ends_both(bench):
    resting(bench)
    new = modify(bench, price=D(98))
    bench.say(CancelOrder(new))
    assert sent(bench.report("td-1", "cancelled")) == []
    assert alive_at_venue(bench) == []


def test_a_trigger_cannot_be_given_to_an_order_at_the_venue(bench):
    resting(bench)
    (denial,) = of_type(bench.say(ModifyOrder("td-1", stop_price=D(95))), OrderDenied)
    assert (denial.code, denial.rule) == ("INVALID_ORDER", "stop_price")


def test_a_second_change_keeps_what_the_first_has_set(bench):
    resting(bench)
    modify(bench, quantity=D("0.5"), price=D(97))
    new = modify(bench, quantity=D("0.6"))
    assert (bench.order(new).spec.quantity, bench.order(new).spec.price) == (D("0.6"), D(97))
    new = modify(bench, price=D(98))
    (submit,) = sent(bench.report("td-1", "cancelled"))
    request = submit.approved.order
    assert (request.client_order_id, request.quantity, request.price) == (new, D("0.6"), D(98))


def test_an_order_of_unknown_fate_is_not_changed(bench):
    bench.submit("td-1", "buy", "limit", "1", price="99")
    bench.report("td-1", "unknown")
    (denial,) = of_type(bench.say(ModifyOrder("td-1", price=D(98))), OrderDenied)
    assert denial.code == "UNKNOWN_PENDING"


def test_an_order_that_never_arrived_is_replaced_in_full(bench):
    bench.submit("td-1", "buy", "limit", "1", price="99")
    new = modify(bench, price=D(98))
    bench.second(6)
    bench.trade("100")
    (submit,) = sent(bench.report("td-1", "not_found"))
    assert (submit.approved.order.client_order_id, submit.approved.order.quantity) == (new, D(1))


def test_an_order_that_never_arrived_and_lives_all_the_same_is_ended_and_lessens_its_successor(bench):
    bench.submit("td-1", "buy", "limit", "1", price="99")
    new = modify(bench, price=D(98))
    bench.second(6)
    bench.trade("100")
    bench.report("td-1", "not_found")
    bench.accept(new)
    effects = bench.fill("td-1", "0.4", "99")
    assert bench.order("td-1").state == "PARTIAL"
    assert [effect.client_order_id for effect in cancels(effects)] == ["td-1", new]
    bench.report("td-1", "cancelled")
    (submit,) = sent(bench.report(new, "cancelled"))
    assert submit.approved.order.quantity == D("0.6")


def test_nothing_more_is_bought_once_an_exit_of_the_old_order_has_begun(bench):
    resting(bench, protection=Protection(stop_ratio=D("0.02")))
    bench.fill("td-1", "0.5", "99")
    new = modify(bench, price=D(98))
    bench.trade("97")
    assert bench.order("td-1-s").is_at_venue
    bench.report("td-1", "cancelled")
    assert bench.order(new).state == "CANCELLED"
    assert "exit" in bench.order(new).reason


def test_a_resting_sell_is_changed_and_never_sells_more_than_is_held(bench):
    bench.hold("1", "100")
    bench.submit("td-s", "sell", "limit", "1", price="110")
    bench.accept("td-s")
    effects = bench.say(ModifyOrder("td-s", price=D(105)))
    assert sent(effects) == []
    (made,) = of_type(effects, OrderInitialized)
    new = made.order.client_order_id
    assert sent(bench.second()) == []
    bench.fill("td-s", "0.25", "110")
    (submit,) = sent(bench.report("td-s", "cancelled"))
    assert (submit.approved.order.client_order_id, submit.approved.order.price) == (new, D(105))
    assert submit.approved.order.quantity == D("0.75")


def test_the_old_orders_cancel_is_asked_for_again_until_the_venue_answers(bench):
    resting(bench)
    modify(bench, price=D(98))
    assert [effect.client_order_id for effect in cancels(bench.second(3))] == ["td-1"]


# ---- the council decides again for a symbol


def approve(bench: Bench, proposal: str, quantity: str, symbol: str = BTC) -> None:
    bench.say(ProposalApproved(ProposalId(proposal), symbol, D(quantity), None, (), "ok"))


def council(bench: Bench, order_id: str, quantity: str, kind: str = "trailing", **more):
    proposal = order_id.removeprefix("td-")
    approve(bench, proposal, quantity)
    more = {"trail": TRAIL, **more} if kind == "trailing" else more
    return bench.submit(order_id, "buy", kind, quantity, origin="council", proposal_id=ProposalId(proposal), **more)


def test_a_second_entry_of_the_council_takes_the_place_of_a_held_one(bench):
    council(bench, "td-p1", "1")
    bench.trade("95")
    council(bench, "td-p2", "0.5")
    assert bench.order("td-p1").state == "CANCELLED"
    assert "td-p2 takes its place" in bench.order("td-p1").reason
    assert bench.order("td-p2").is_armed
    assert bench.order("td-p2").spec.replaces == "td-p1"
    assert [order.client_order_id for order in bench.engine.orders.working()] == ["td-p2"]


def test_the_second_trail_goes_on_from_the_lowest_price_the_first_has_seen(bench):
    council(bench, "td-p1", "1")
    bench.trade("90")
    bench.trade("91")
    council(bench, "td-p2", "1")
    assert bench.engine.best_of("td-p2") == D(90)


def test_a_second_entry_that_the_gate_refuses_leaves_the_first_as_it_was(bench):
    council(bench, "td-p1", "1")
    effects = bench.submit("td-p2", "buy", "trailing", "1", origin="council", trail=TRAIL, proposal_id="p2")
    assert [denial.code for denial in of_type(effects, OrderDenied)] == ["NO_VERDICT"]
    assert bench.order("td-p1").is_armed


def test_a_second_entry_replaces_what_is_left_of_one_at_the_venue(bench):
    council(bench, "td-p1", "1", "limit", price="99")
    bench.accept("td-p1")
    bench.fill("td-p1", "0.25", "99")
    effects = council(bench, "td-p2", "1", "limit", price="98")
    assert sent(effects) == []
    (submit,) = sent(bench.report("td-p1", "cancelled"))
    assert (submit.approved.order.client_order_id, submit.approved.order.quantity) == ("td-p2", D("0.75"))


def test_a_second_entry_is_dropped_when_the_first_was_filled_meanwhile(bench):
    council(bench, "td-p1", "1", "limit", price="99")
    bench.accept("td-p1")
    council(bench, "td-p2", "1", "limit", price="98")
    assert sent(bench.fill("td-p1", "1", "99")) == []
    assert bench.order("td-p2").state == "CANCELLED"


def changed_to_held(bench: Bench, kind: str = "trailing", **more) -> None:
    """An entry of the council rests at the venue; the council decides anew, for one that the engine holds."""
    council(bench, "td-p1", "1", "limit", price="99")
    bench.accept("td-p1")
    bench.trade("102")
    effects = council(bench, "td-p2", "1", kind, **more)
    assert [effect.client_order_id for effect in cancels(effects)] == ["td-p1"]


def test_a_trail_that_takes_the_place_of_an_entry_at_the_venue_is_armed_and_not_bought(bench):
    changed_to_held(bench, trail=TrailSpec("percent", D("0.03")))
    bench.fill("td-p1", "0.25", "99")
    assert sent(bench.report("td-p1", "cancelled")) == []
    armed = bench.order("td-p2")
    assert (armed.is_armed, armed.spec.quantity) == (True, D("0.75"))
    assert bench.engine.trigger_of("td-p2") == D("105.06")  # 102 + 3 %
    bench.trade("101")
    assert sent(bench.trade("104")) == []
    (submit,) = sent(bench.trade("104.03"))
    assert (submit.approved.order.client_order_id, submit.approved.order.quantity) == ("td-p2", D("0.75"))


def test_a_stop_that_is_reached_while_the_venue_ends_the_old_entry_fires_when_it_is_armed(bench):
    changed_to_held(bench, "stop", stop_price="103")
    assert sent(bench.trade("103.2")) == []
    (submit,) = sent(bench.report("td-p1", "cancelled"))
    assert submit.approved.order.client_order_id == "td-p2"
    assert bench.order("td-p2").fires


def test_what_is_left_of_a_trail_that_has_fired_goes_on_as_its_limit_when_less_is_wanted(bench):
    changed_to_held(bench, trail=TrailSpec("percent", D("0.03"), limit_offset=D("0.001")))
    bench.report("td-p1", "cancelled")
    bench.quote("105.9", "106")
    (submit,) = sent(bench.trade("105.2"))
    assert submit.approved.order.price == D("105.16")
    bench.accept("td-p2")
    bench.fill("td-p1", "0.3", "99")  # after its end
    (submit,) = sent(bench.report("td-p2", "cancelled"))
    order = submit.approved.order
    assert (order.wire_type, order.quantity, order.price) == ("limit", D("0.7"), D("105.16"))


@pytest.mark.parametrize("change", [
    {"quantity": D("0.5")}, {"trail": TrailSpec("percent", D("0.01"))}, {"quantity": D("0.5"), "price": D(98)},
])
def test_a_trail_that_waits_to_be_armed_is_not_changed_into_something_else(bench, change):
    changed_to_held(bench, trail=TrailSpec("percent", D("0.03")))
    (denied,) = of_type(bench.say(ModifyOrder(ClientOrderId("td-p2"), **change)), OrderDenied)
    assert "waits to be armed in the place of td-p1" in denied.message
    bench.report("td-p1", "cancelled")
    assert bench.order("td-p2").is_armed


def test_a_trail_that_cannot_be_armed_leaves_the_entry_at_the_venue_as_it_was(bench):
    council(bench, "td-p1", "1", "limit", price="99")
    bench.accept("td-p1")
    effects = council(bench, "td-p2", "1", trail=TrailSpec("atr", D(2)))
    assert "ATR" in of_type(effects, OrderDenied)[0].message
    assert cancels(effects) == []
    assert bench.order("td-p1").is_working


def test_a_trail_that_the_gate_refuses_in_the_end_is_denied_and_told(bench):
    changed_to_held(bench, trail=TrailSpec("percent", D("0.03")))
    bench.say(VoteTradingState("operator", "REDUCING", "careful"))
    effects = bench.report("td-p1", "cancelled")
    assert sent(effects) == []
    assert bench.order("td-p2").state == "REJECTED"
    assert [alert.title for alert in of_type(effects, AlertRaised)] == ["BTC/USDT: changed order refused"]


def test_entries_of_two_symbols_and_of_people_do_not_touch_each_other(bench):
    bench.trade("10", "ETH/USDT")
    council(bench, "td-p1", "1")
    approve(bench, "p2", "1", "ETH/USDT")
    bench.submit(
        "td-p2", "buy", "trailing", "1", origin="council", trail=TRAIL, symbol="ETH/USDT", proposal_id="p2",
    )
    bench.submit("td-m1", "buy", "trailing", "1", trail=TRAIL)
    assert {order.client_order_id for order in bench.engine.orders.working()} == {"td-p1", "td-p2", "td-m1"}


def test_the_portfolio_names_the_entry_that_the_councils_next_one_replaces(bench):
    council(bench, "td-p1", "1", "limit", price="99")
    bench.submit("td-m1", "buy", "limit", "1", price="97")
    seen = bench.engine.portfolio(bench.now)
    assert seen.working_entries == ((BTC, D(99)), (BTC, D(97)))
    assert seen.replaceable == ((BTC, D(99)),)


def test_entries_of_people_are_nobodys_to_replace(bench):
    bench.submit("td-m1", "buy", "limit", "1", price="97")
    assert bench.engine.portfolio(bench.now).replaceable == ()


# ---- restarts


def story(bench: Bench) -> None:
    resting(bench)
    modify(bench, price=D(98))
    bench.fill("td-1", "0.3", "99")
    bench.report("td-1", "cancelled")


def test_a_restart_while_the_old_order_is_being_cancelled_goes_on_where_it_was(bench):
    resting(bench)
    new = modify(bench, price=D(98))
    bench = bench.restarted()
    bench.engine.finish_restore(bench.now)
    bench.quote("99.9", "100")
    bench.trade("100")
    assert bench.order(new).state == "PENDING"
    bench.fill("td-1", "0.3", "99")
    (submit,) = sent(bench.report("td-1", "cancelled"))
    assert (submit.approved.order.client_order_id, submit.approved.order.quantity) == (new, D("0.7"))


def test_killed_at_any_fact_the_two_orders_together_never_exceed_what_was_wanted(bench):
    story(bench)
    for length in range(2, len(bench.journal) + 1):
        half = Bench(capital="")
        half.journal = bench.journal[:length]
        again = half.restarted("s2")
        again.now = bench.now
        again.engine.finish_restore(again.now)
        again.quote("99.9", "100")
        again.trade("100")
        for _ in range(3):
            again.second()
        for order in list(again.engine.orders.at_venue(BTC)):
            if order.detail == "pending_cancel":
                again.report(order.client_order_id, "cancelled")
        again.second()
        alive = alive_at_venue(again)
        assert len(alive) <= 1, length
        wanted = sum(order.remaining for order in again.engine.orders.at_venue(BTC))
        assert again.engine.ledger.quantity(BTC) + wanted <= D(1), length


def test_a_trail_that_waits_for_the_old_entrys_end_is_armed_after_a_restart_too(bench):
    changed_to_held(bench, trail=TrailSpec("percent", D("0.03")))
    bench = bench.restarted()
    approve(bench, "p2", "1")  # which the journal holds with the facts
    bench.engine.finish_restore(bench.now)
    bench.report("td-p1", "cancelled")
    assert bench.order("td-p2").state == "PENDING"
    bench.trade("101")
    assert sent(bench.second()) == []
    assert bench.order("td-p2").is_armed
    assert bench.engine.trigger_of("td-p2") == D("104.03")


def test_a_trail_of_atrs_waits_after_a_restart_for_the_history_and_not_for_ever(bench):
    for minute in range(20):
        bench.trade(D(100) + minute % 2, after_ms=60_000)
    changed_to_held(bench, trail=TrailSpec("atr", D(2)))
    bench = bench.restarted()
    bench.engine.finish_restore(bench.now)
    bench.trade("102")
    assert sent(bench.report("td-p1", "cancelled")) == []
    bench.second(30)
    assert bench.order("td-p2").is_waiting
    effects = bench.second(31)
    assert "ATR" in of_type(effects, OrderDenied)[0].message
    assert sent(effects) == []


def test_a_trail_that_had_fired_but_was_not_sent_ends_with_a_restart_also_where_it_replaced_another(bench):
    changed_to_held(bench, trail=TrailSpec("percent", D("0.03")))
    bench.report("td-p1", "cancelled")
    bench.trade("105.2")
    end = next(
        index for index, message in enumerate(bench.journal)
        if isinstance(message.body, OrderTriggered) and message.body.client_order_id == "td-p2"
    ) + 1
    bench.journal = bench.journal[:end]
    again = bench.restarted()
    again.engine.finish_restore(again.now)
    assert again.order("td-p2").state == "CANCELLED"


def test_a_replacement_that_finds_no_price_after_a_restart_is_dropped(bench):
    resting(bench)
    new = modify(bench, price=D(98))
    journal = list(bench.journal)
    bench.report("td-1", "cancelled")
    ended = next(message for message in bench.journal if type(message.body).__name__ == "OrderCancelled")
    half = Bench(capital="")
    half.journal = [*journal, ended]
    again = half.restarted("s2")
    again.now = bench.now
    again.engine.finish_restore(again.now)
    again.second(30)
    assert again.order(new).state == "PENDING"
    again.second(40)
    assert again.order(new).state == "CANCELLED"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["fill", "cancelled", "modify", "second", "cancel", "restart"]),
                          st.integers(1, 9)), max_size=14))
def test_whatever_happens_no_two_are_alive_and_no_more_is_bought_than_wanted(steps):
    bench = Bench()
    bench.quote("99.9", "100")
    bench.trade("100")
    resting(bench)
    for kind, number in steps:
        at_venue = bench.engine.orders.at_venue(BTC)
        assert len(at_venue) <= 1
        assert bench.engine.ledger.quantity(BTC) + sum(order.remaining for order in at_venue) <= D(1)
        if kind == "restart":
            bench = bench.restarted(f"s{number + 2}x{len(bench.journal)}")
            bench.engine.finish_restore(bench.now)
            bench.quote("99.9", "100")
            bench.trade("100")
        elif kind == "second":
            bench.trade("100")
            bench.second()
        elif at_venue and kind == "fill":
            order = at_venue[0]
            bench.fill(order.client_order_id, min(order.remaining, Decimal(number) / 10), "99")
        elif at_venue and kind == "cancelled" and at_venue[0].detail == "pending_cancel":
            bench.report(at_venue[0].client_order_id, "cancelled")
        elif at_venue and kind == "modify":
            bench.say(ModifyOrder(at_venue[0].client_order_id, price=Decimal(99) - number))
        elif at_venue and kind == "cancel":
            bench.say(CancelOrder(at_venue[0].client_order_id))


def test_the_change_is_told_when_less_was_left(bench):
    story(bench)
    (update,) = [message.body for message in bench.journal if isinstance(message.body, OrderUpdated)]
    assert update.quantity == D("0.7")
    assert "0.3" in update.reason




def test_a_change_of_a_held_entry_whose_trail_cannot_be_armed_leaves_the_old_one(bench):
    council(bench, "td-p1", "1")
    effects = council(bench, "td-p2", "1", trail=TrailSpec("atr", D(2)))
    assert "ATR" in of_type(effects, OrderDenied)[0].message
    assert bench.order("td-p1").is_armed
