from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from agents.risk_officer import KEEP_ANSWERS, RiskOfficer
from bus.ids import ClientOrderId, ProposalId
from bus.messages.council import MandateIssued, ProposalApproved, ProposalExpired, ProposalVetoed, TradeProposed
from bus.messages.orders import OrderCancelled, OrderDenied, OrderInitialized, Protection, SubmitOrder
from bus.messages.system import LimitBreached, LockLifted, LockPlaced, TradingStateChanged, VoteTradingState
from risk.limits import RiskLimits
from tests.agents.council_scene import BTC, ETH, SOL, XRP, Voice, at, bodies, losing, portfolio, position, proposal

D = Decimal


class Office:
    """A risk officer with a mandate and, unless told otherwise, a fresh portfolio."""

    def __init__(self, *positions: Any, known: bool = True, mandate: str = "risk_on", **limits: Any) -> None:
        self.officer = RiskOfficer(RiskLimits(**limits), (BTC, ETH, SOL, XRP))
        self.voice = Voice()
        if known:
            self.tell(0, portfolio(*positions))
        if mandate:
            self.tell(0, MandateIssued(mandate, "test", at(1000)))  # type: ignore[arg-type]

    def tell(self, second: float, body: Any, expires: int = 0) -> list[Any]:
        return bodies(self.officer.handle(self.voice.say(second, body, expires=expires)))

    def tick(self, second: float) -> list[Any]:
        return bodies(self.officer.handle(self.voice.tick(second)))

    def ask(self, second: float, wish: TradeProposed | None = None) -> ProposalApproved | ProposalVetoed:
        (answer,) = self.tell(second, wish or proposal(), expires=at(second + 5))
        return answer  # type: ignore[no-any-return]


def wish(number: int, symbol: str, quantity: str, price: str) -> TradeProposed:
    return proposal(number, symbol=symbol, quantity=D(quantity), reference_price=D(price))


# ---- verdicts --------------------------------------------------------------------------------------


def test_a_sound_proposal_is_approved_with_every_check() -> None:
    answer = Office().ask(1)
    assert isinstance(answer, ProposalApproved)
    assert (answer.quantity, answer.shrunk_from) == (D("0.0050"), None)
    assert len(answer.checks) > 10
    assert all(check.passed for check in answer.checks)


def test_an_answer_lives_as_long_as_its_proposal() -> None:
    office = Office()
    (emit,) = office.officer.handle(office.voice.say(1, proposal(), expires=at(6)))
    assert emit.expires == at(6)
    assert emit.cause == ""  # the runner names the proposal as the cause


def test_too_large_a_proposal_is_shrunk_below_the_limit() -> None:
    answer = Office().ask(1, proposal(quantity=D("0.0100")))
    assert isinstance(answer, ProposalApproved)
    assert answer.shrunk_from == D("0.0100")
    assert answer.quantity * 60_000 < 500
    assert "shrunk from 0.01 to" in answer.reason
    assert "exposure in BTC would exceed 5 %" in answer.reason


def test_a_fourth_position_is_vetoed_in_words() -> None:
    office = Office(position("ETH/USDT", "0.1"), position("SOL/USDT", "1"), position("XRP/USDT", "100"))
    answer = office.ask(1)
    assert isinstance(answer, ProposalVetoed)
    assert answer.code == "MAX_POSITIONS"
    assert answer.reason == "Vetoed: 3 of 3 positions are open already."


def test_a_symbol_nobody_knows_is_vetoed() -> None:
    answer = Office().ask(1, proposal(symbol="PEPE/USDT"))
    assert isinstance(answer, ProposalVetoed)
    assert answer.code == "UNKNOWN_INSTRUMENT"


@pytest.mark.parametrize("mandate", ["risk_off", ""])
def test_no_mandate_means_no_new_risk(mandate: str) -> None:
    answer = Office(mandate=mandate).ask(1)
    assert isinstance(answer, ProposalVetoed)
    assert answer.code == "MANDATE_RISK_OFF"


def test_an_expired_mandate_means_no_new_risk() -> None:
    office = Office()
    office.tell(999.5, portfolio())
    assert isinstance(office.ask(999.9), ProposalApproved)
    answer = office.ask(1000, proposal(2))
    assert isinstance(answer, ProposalVetoed)
    assert answer.code == "MANDATE_RISK_OFF"


def test_the_trading_state_is_obeyed() -> None:
    office = Office()
    office.tell(0.5, TradingStateChanged("REDUCING", (), "test"))
    answer = office.ask(1)
    assert isinstance(answer, ProposalVetoed)
    assert answer.code == "TRADING_REDUCING"


def test_without_a_portfolio_everything_is_vetoed() -> None:
    answer = Office(known=False).ask(1)
    assert isinstance(answer, ProposalVetoed)
    assert (answer.code, answer.reason) == ("PORTFOLIO_STALE", "Vetoed: the portfolio is not known yet.")


def test_a_portfolio_of_five_seconds_is_the_oldest_that_carries_an_entry() -> None:
    assert isinstance(Office().ask(5), ProposalApproved)
    answer = Office().ask(5.1)
    assert isinstance(answer, ProposalVetoed)
    assert answer.reason == "Vetoed: the portfolio is 5.1 s old, at most 5 s are allowed."


def test_the_age_of_the_portfolio_is_told_by_the_latest_message_of_all() -> None:
    office = Office()
    office.tick(5.5)  # the proposal has waited on the bus since second 4
    assert isinstance(office.ask(4), ProposalVetoed)


def exit_of(quantity: str) -> TradeProposed:
    return proposal(side="sell", reduce_only=True, quantity=D(quantity), protection=Protection())


def test_a_portfolio_that_was_overtaken_by_a_newer_one_is_ignored() -> None:
    office = Office()
    office.tell(3, portfolio())
    office.tell(2, portfolio(position("ETH/USDT", "0.1"), position("SOL/USDT", "1"), position("XRP/USDT", "100")))
    assert isinstance(office.ask(3), ProposalApproved)


def test_an_exit_passes_even_on_an_old_portfolio_while_reducing_and_without_a_mandate() -> None:
    office = Office(position("BTC/USDT", "0.005"), mandate="")
    office.tell(0.5, TradingStateChanged("REDUCING", (), "test"))
    answer = office.ask(60, exit_of("0.005"))
    assert isinstance(answer, ProposalApproved)
    assert answer.quantity == D("0.005")


def test_an_exit_of_nothing_is_vetoed() -> None:
    answer = Office().ask(1, exit_of("0.005"))
    assert isinstance(answer, ProposalVetoed)
    assert answer.code == "NOTHING_TO_SELL"


def test_a_repeated_proposal_gets_the_same_answer_whatever_happened_since() -> None:
    office = Office()
    first = office.ask(1)
    office.tell(1.5, TradingStateChanged("HALTED", (), "test"))
    assert office.ask(2) == first
    vetoed = office.ask(2, proposal(2))
    office.tell(2.5, TradingStateChanged("ACTIVE", (), "test"))
    assert office.ask(3, proposal(2)) == vetoed
    assert isinstance(vetoed, ProposalVetoed)


def test_a_dead_proposal_is_not_answered() -> None:
    office = Office()
    office.tick(5)
    assert office.tell(1, proposal(), expires=at(5)) == []


# ---- what is approved and not yet in the portfolio -------------------------------------------------


def test_answers_to_the_dead_are_few_and_answers_to_the_living_all_there() -> None:
    office = Office()
    first = office.tell(1, proposal(1), expires=at(900))
    for number in range(2, KEEP_ANSWERS + 2):
        office.tell(1, proposal(number, symbol="PEPE/USDT"), expires=at(900))
    assert office.tell(2, proposal(1), expires=at(900)) == first, "none of them is dead"
    for number in range(KEEP_ANSWERS + 2, 3 * KEEP_ANSWERS):
        office.tell(901, proposal(number, symbol="PEPE/USDT"), expires=at(1800))
    office.tick(1801)
    for number in range(3 * KEEP_ANSWERS, 4 * KEEP_ANSWERS):
        office.tell(1801, proposal(number, symbol="PEPE/USDT"), expires=at(1900))
    assert len(office.officer._answers) <= 2 * KEEP_ANSWERS
    assert office.tell(1802, proposal(1), expires=at(900)) == []
    assert office.officer.status().total == 4 * KEEP_ANSWERS - 1


def one_slot() -> Office:
    return Office(position("ETH/USDT", "0.1"), position("SOL/USDT", "1"))


XRP_WISH = wish(2, "XRP/USDT", "300", "1")


def test_two_proposals_of_one_instant_cannot_both_take_the_last_slot() -> None:
    office = one_slot()
    assert isinstance(office.ask(1), ProposalApproved)
    second = office.ask(1, XRP_WISH)
    assert isinstance(second, ProposalVetoed)
    assert second.code == "MAX_POSITIONS"


def test_two_proposals_of_one_instant_cannot_both_take_the_last_exposure() -> None:
    office = Office(max_positions=5, exposure_total=D("0.08"))
    first = office.ask(1, wish(1, "BTC/USDT", "0.007", "60000"))
    second = office.ask(1, XRP_WISH)
    third = office.ask(1, wish(3, "SOL/USDT", "3", "150"))
    assert isinstance(first, ProposalApproved)
    assert isinstance(second, ProposalApproved)
    worth = first.quantity * 60_000 + second.quantity
    assert worth < 800
    assert isinstance(third, ProposalApproved | ProposalVetoed)
    if isinstance(third, ProposalApproved):
        assert worth + third.quantity * 150 < 800


def begun(number: int = 1) -> OrderInitialized:
    return OrderInitialized(SubmitOrder(
        ClientOrderId(f"td-s7-p{number}"), "BTC/USDT", "buy", "trailing", D("0.005"), "council",
        proposal_id=ProposalId(f"s7-p{number}"),
    ))


def holdings() -> tuple[Any, ...]:
    return position("ETH/USDT", "0.1"), position("SOL/USDT", "1")


def is_slot_free(office: Office, second: float, number: int) -> bool:
    return isinstance(office.ask(second, replace(XRP_WISH, proposal_id=ProposalId(f"s7-p{number}"))), ProposalApproved)


def test_a_place_stays_taken_from_approval_until_the_portfolio_shows_the_order() -> None:
    office = one_slot()
    office.ask(1)
    office.tell(1.5, portfolio(*holdings()))  # not an order yet: the snapshot cannot know it
    assert not is_slot_free(office, 1.6, 2)
    office.tell(2, begun())
    assert not is_slot_free(office, 2.1, 3)
    office.tell(3, portfolio(*holdings(), working=(("BTC/USDT", D(300)),)))
    assert not is_slot_free(office, 3.1, 4)
    office.tell(4, portfolio(*holdings()))
    assert is_slot_free(office, 4.1, 5)


@pytest.mark.parametrize(
    "end",
    [
        OrderDenied(ClientOrderId("td-s7-p1"), "BTC/USDT", "C", "E006", "r", "1", "1", "m"),
        OrderCancelled(ClientOrderId("td-s7-p1"), "BTC/USDT", "us", "r"),
    ],
    ids=lambda body: type(body).__name__,
)
def test_a_place_is_free_again_when_the_order_is_refused_or_over(end: Any) -> None:
    office = one_slot()
    office.ask(1)
    office.tell(2, end)
    assert is_slot_free(office, 2.1, 2)


def test_a_place_that_nobody_claims_is_free_a_moment_after_the_expiry() -> None:
    office = one_slot()
    office.ask(1)
    office.tell(6, ProposalExpired(ProposalId("s7-p1"), "BTC/USDT", "silence"))
    office.tell(10, portfolio(*holdings()))
    assert not is_slot_free(office, 10.9, 2)
    assert is_slot_free(office, 11, 3)


def test_an_approved_exit_takes_no_place() -> None:
    office = Office(position("BTC/USDT", "0.005"), exposure_total=D("0.062"))
    assert isinstance(office.ask(1, exit_of("0.005")), ProposalApproved)
    answer = office.ask(1, XRP_WISH)
    assert isinstance(answer, ProposalApproved)
    assert answer.shrunk_from is None


# ---- limits and the vote ---------------------------------------------------------------------------


def votes(said: list[Any]) -> list[str]:
    return [body.state for body in said if isinstance(body, VoteTradingState)]


def breaches(said: list[Any]) -> list[LimitBreached]:
    return [body for body in said if isinstance(body, LimitBreached)]


@pytest.mark.parametrize(
    ("field", "below", "reached"),
    [
        ("daily_drawdown", 0.0499, 0.05), ("weekly_drawdown", 0.0999, 0.1), ("max_drawdown", 0.1499, 0.15),
        ("daily_loss", 0.0499, 0.05),
    ],
)
def test_reaching_a_loss_limit_is_told_once_and_votes_reducing(field: str, below: float, reached: float) -> None:
    office = Office()
    assert breaches(office.tell(1, losing(field, below))) == []
    said = office.tell(2, losing(field, reached))
    assert [breach.rule for breach in breaches(said)] == [field]
    assert votes(said) == ["REDUCING"]
    assert breaches(office.tell(3, losing(field, reached + 0.01))) == []


def test_a_breach_reads_as_a_sentence() -> None:
    (breach,) = breaches(Office().tell(1, portfolio(daily_loss=0.052)))
    assert (breach.value, breach.limit) == ("5.2 %", "5 %")
    assert breach.message == (
        "The daily loss is 5.2 %; the limit is 5 %: no new risk until it is below 4.75 %."
    )


def test_a_limit_is_left_with_a_margin_and_may_then_be_reached_again() -> None:
    office = Office()
    office.tell(1, portfolio(daily_loss=0.05))
    assert "ACTIVE" not in votes(office.tell(2, portfolio(daily_loss=0.0475)))
    assert votes(office.tell(3, portfolio(daily_loss=0.0474))) == ["ACTIVE"]
    assert len(breaches(office.tell(4, portfolio(daily_loss=0.05)))) == 1


def test_active_is_voted_only_when_every_limit_is_left() -> None:
    office = Office()
    office.tell(1, portfolio(daily_loss=0.06, daily_drawdown=0.06))
    said = office.tell(2, portfolio(daily_loss=0.0, daily_drawdown=0.06))
    assert votes(said) == ["REDUCING"]  # the same wish for another reason
    assert votes(office.tell(3, portfolio())) == ["ACTIVE"]


def test_a_vote_that_the_engine_does_not_show_is_repeated() -> None:
    office = Office()
    said = office.tell(1, portfolio(daily_loss=0.05))
    assert votes(office.tick(1.5)) == []
    assert votes(office.tick(2)) == ["REDUCING"]
    office.tell(2.5, TradingStateChanged("REDUCING", (("risk", "REDUCING", said[-1].reason),), "limit"))
    assert [votes(office.tick(second)) for second in range(3, 70)] == [[]] * 67


# ---- locks, and drawdowns near their limit -----------------------------------------------------------


def lock(number: int, symbol: str, until: int) -> LockPlaced:
    return LockPlaced(f"lock-{number}", "stop_guard", symbol, "4 losing stops within 600 s", at(0), at(until))


@pytest.mark.parametrize(("place", "code"), [("BTC/USDT", "SYMBOL_LOCKED"), ("*", "ALL_LOCKED")])
def test_a_lock_vetoes_entries_until_it_ends_and_says_which(place: str, code: str) -> None:
    office = Office()
    office.tell(1, lock(1, place, 4))
    answer = office.ask(2)
    assert isinstance(answer, ProposalVetoed)
    assert answer.code == code
    assert answer.reason == "Vetoed: stop_guard locks new entries for 2 s more: 4 losing stops within 600 s."
    assert isinstance(office.ask(4, proposal(2)), ProposalApproved)


def test_a_lifted_lock_and_the_lock_of_another_symbol_veto_nothing() -> None:
    office = Office()
    office.tell(1, lock(1, "BTC/USDT", 100))
    office.tell(1, lock(2, "ETH/USDT", 100))
    office.tell(1, LockLifted("lock-1", "BTC/USDT", "ann", "seen"))
    assert isinstance(office.ask(2), ProposalApproved)


def test_a_lock_lets_exits_out() -> None:
    office = Office(position("BTC/USDT", "0.005"))
    office.tell(1, lock(1, "BTC/USDT", 100))
    assert isinstance(office.ask(2, proposal(side="sell", reduce_only=True)), ProposalApproved)
