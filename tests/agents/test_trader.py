from dataclasses import replace
from decimal import Decimal

import pytest

from agents.trader import MAX_OPEN, ORDER_FACTS, Trader
from bus.ids import ClientOrderId, ProposalId, TradeId, VenueOrderId
from bus.messages.council import ProposalApproved, ProposalExpired, ProposalVetoed, TradeProposed
from bus.messages.header import Message
from bus.messages.orders import (
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
    SubmitOrder,
    TrailingArmed,
)
from tests.agents.council_scene import Voice, at, bodies, proposal

ID = ClientOrderId("td-s7-p1")
D = Decimal


def proposed(body: TradeProposed | None = None, second: float = 0) -> Message:
    return Voice("strategy").say(second, body or proposal(), expires=at(second + 5))


def approved(quantity: str = "0.0050", second: float = 0.1, number: int = 1) -> Message:
    body = ProposalApproved(ProposalId(f"s7-p{number}"), "BTC/USDT", D(quantity), None, (), "Approved.")
    return Voice("risk").say(second, body, expires=at(5))


def orders(trader: Trader, message: Message) -> list[SubmitOrder]:
    return bodies(trader.handle(message), SubmitOrder)


def test_a_proposal_and_its_approval_become_one_order_with_everything_decided() -> None:
    trader = Trader()
    assert trader.handle(proposed()) == []
    (emit,) = trader.handle(approved("0.0042"))
    wish = proposal()
    assert emit.body == SubmitOrder(
        client_order_id=ID, symbol="BTC/USDT", side="buy", order_type="trailing", quantity=D("0.0042"),
        origin="council", trail=wish.trail, reduce_only=False, expire_at=at(60), proposal_id=ProposalId("s7-p1"),
        protection=wish.protection, confidence=0.75, lead_alpha="momentum", reason="momentum 0.75 says buy",
        votes=wish.votes,
    )
    assert emit.expires == at(5)
    assert emit.cause == "risk.s7.1"


def test_the_approval_may_come_before_the_proposal() -> None:
    trader = Trader()
    assert trader.handle(approved()) == []
    (emit,) = trader.handle(proposed())
    assert (emit.body.client_order_id, emit.cause) == (ID, "risk.s7.1")


def test_without_a_trail_the_order_goes_to_market() -> None:
    trader = Trader()
    trader.handle(proposed(proposal(trail=None)))
    (order,) = orders(trader, approved())
    assert (order.order_type, order.trail) == ("market", None)


def test_an_exit_only_reduces_and_carries_no_protection() -> None:
    trader = Trader()
    trader.handle(proposed(proposal(side="sell", reduce_only=True, protection=Protection())))
    (order,) = orders(trader, approved())
    assert (order.side, order.reduce_only, order.protection) == ("sell", True, None)


def test_a_sell_that_forgot_to_say_so_is_reduce_only_all_the_same() -> None:
    trader = Trader()
    trader.handle(proposed(proposal(side="sell", reduce_only=False)))
    (order,) = orders(trader, approved())
    assert order.reduce_only


def test_a_verdict_larger_than_the_proposal_buys_no_more_than_was_proposed() -> None:
    trader = Trader()
    trader.handle(proposed())
    (order,) = orders(trader, approved("9"))
    assert order.quantity == D("0.0050")


def test_repeated_proposals_and_approvals_make_no_second_order() -> None:
    trader = Trader()
    trader.handle(proposed())
    trader.handle(approved())
    assert trader.handle(proposed(second=0.2)) == []
    assert trader.handle(approved(second=0.3)) == []


def test_a_command_is_repeated_unchanged_every_second_until_it_is_answered() -> None:
    trader, clock = Trader(), Voice("timer")
    trader.handle(proposed())
    (first,) = trader.handle(approved())
    assert trader.handle(clock.tick(0.3)) == []  # sent a moment ago
    for second in (1, 2, 3):
        assert trader.handle(clock.tick(second)) == [first]
    trader.handle(Voice().say(3.5, OrderInitialized(first.body)))
    assert trader.handle(clock.tick(4)) == []
    assert trader.handle(approved(second=4.1)) == []


def fact(kind: type) -> object:
    symbol, price = "BTC/USDT", D(60_000)
    command = SubmitOrder(ID, symbol, "buy", "market", D("0.005"), "council", proposal_id=ProposalId("s7-p1"))
    facts = (
        OrderInitialized(command),
        OrderDenied(ID, symbol, "MAX_POSITIONS", "E006", "max_positions", "3", "3", "3 of 3 are open."),
        OrderSubmitted(ID, symbol, "market", D("0.005"), None, price), OrderAccepted(ID, symbol, VenueOrderId("9")),
        OrderRejected(ID, symbol, "no"), OrderTriggered(ID, symbol, price, price),
        OrderUpdated(ID, symbol, D("0.005"), None, None, None, "r"), OrderPendingCancel(ID, symbol, "r"),
        OrderCancelled(ID, symbol, "us", "r"), OrderExpired(ID, symbol, "us", "r"), OrderUnknown(ID, symbol, "r"),
        OrderFilled(ID, symbol, "buy", TradeId("1"), D("0.005"), price, D(0), "USDT", D("0.005"), True, False, True),
        TrailingArmed(ID, symbol, "buy", price, price),
    )
    return next(body for body in facts if type(body) is kind)


@pytest.mark.parametrize("kind", ORDER_FACTS)
def test_any_fact_about_the_order_is_an_answer(kind: type) -> None:
    trader, clock = Trader(), Voice("timer")
    trader.handle(proposed())
    trader.handle(approved())
    assert kind in trader.subscriptions
    assert trader.handle(Voice().say(0.5, fact(kind))) == []
    assert trader.handle(clock.tick(2)) == []
    assert trader.handle(clock.tick(30)) == []


def test_a_fact_about_another_order_is_no_answer() -> None:
    trader, clock = Trader(), Voice("timer")
    trader.handle(proposed())
    (first,) = trader.handle(approved())
    trader.handle(Voice().say(0.5, OrderAccepted(ClientOrderId("td-s7-p2"), "BTC/USDT", VenueOrderId("1"))))
    assert trader.handle(clock.tick(1)) == [first]


def test_at_its_expiry_an_unanswered_command_ends_and_is_never_sent_again() -> None:
    trader, clock = Trader(), Voice("timer")
    trader.handle(proposed())
    trader.handle(approved())
    assert len(orders(trader, clock.tick(4.9))) == 1
    (emit,) = trader.handle(clock.tick(5))
    assert emit.body == ProposalExpired(
        ProposalId("s7-p1"), "BTC/USDT", "the engine did not answer 2 commands in time",
    )
    assert trader.handle(clock.tick(6)) == []
    assert trader.handle(approved(second=6.1)) == []
    assert trader.handle(proposed(second=6.2)) == []


def test_silence_of_the_risk_officer_is_no() -> None:
    trader, clock = Trader(), Voice("timer")
    trader.handle(proposed())
    assert trader.handle(clock.tick(4)) == []
    (expired,) = bodies(trader.handle(clock.tick(5)))
    assert expired == ProposalExpired(
        ProposalId("s7-p1"), "BTC/USDT", "no verdict came in time, and silence is no",
    )
    assert trader.handle(approved(second=5.1)) == []


def test_an_approval_that_comes_after_the_expiry_buys_nothing() -> None:
    trader = Trader()
    trader.handle(proposed())
    (expired,) = bodies(trader.handle(approved(second=5)))
    assert isinstance(expired, ProposalExpired)


def test_an_approval_without_a_proposal_is_forgotten_in_silence() -> None:
    trader, clock = Trader(), Voice("timer")
    trader.handle(approved())
    assert trader.handle(clock.tick(5)) == []
    assert trader.handle(proposed(second=5.5)) == []


def test_a_veto_ends_a_proposal_even_if_an_approval_follows() -> None:
    trader = Trader()
    trader.handle(proposed())
    veto = ProposalVetoed(ProposalId("s7-p1"), "BTC/USDT", "MAX_POSITIONS", (), "Vetoed: 3 of 3 positions are open.")
    assert trader.handle(Voice("risk").say(0.1, veto)) == []
    assert trader.handle(approved(second=0.2)) == []
    assert "3 of 3" in trader.status().message


def test_a_proposal_without_expiry_is_refused() -> None:
    (emit,) = Trader().handle(Voice("strategy").say(0, proposal()))
    assert isinstance(emit.body, ProposalExpired)
    assert "no expiry" in emit.body.reason


def test_an_order_id_that_venues_would_refuse_is_never_sent() -> None:
    (emit,) = Trader().handle(proposed(proposal(proposal_id=ProposalId("x" * 34))))
    assert "37 characters" in emit.body.reason


def test_a_verdict_about_another_symbol_is_not_acted_on() -> None:
    trader = Trader()
    trader.handle(proposed())
    wrong = approved()
    (emit,) = trader.handle(wrong._replace(body=replace(wrong.body, symbol="ETH/USDT")))
    assert isinstance(emit.body, ProposalExpired)


def test_an_approval_of_nothing_sends_nothing() -> None:
    trader = Trader()
    trader.handle(proposed())
    (emit,) = trader.handle(approved("0"))
    assert isinstance(emit.body, ProposalExpired)


def test_a_flood_of_proposals_pushes_out_the_oldest() -> None:
    trader = Trader()
    emits = [e for n in range(1, MAX_OPEN + 3) for e in trader.handle(proposed(proposal(n)))]
    assert [body.proposal_id for body in bodies(emits, ProposalExpired)] == ["s7-p1", "s7-p2"]
    assert trader.handle(approved(number=1)) == []
    assert len(orders(trader, approved(number=3))) == 1
