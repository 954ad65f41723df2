"""A decision that leads to nothing is told with its votes, those who were skipped, and what stood in the way."""

from dataclasses import replace
from typing import Any

import pytest

from agents.strategy import CouncilConfig
from bus.messages.council import AlphaSkipped, ProposalWithheld, TradeProposed
from bus.messages.system import TradingStateChanged
from tests.agents.council_scene import analysis, at, bodies, buys, sells, signal
from tests.agents.test_strategy import BTC_NAME, Desk

SKIPPED = AlphaSkipped("mine", 0.5, "ALPHA_TIMEOUT", "no answer within 5 s")


def withheld(desk: Desk, second: float, signals: Any = None, **more: Any) -> ProposalWithheld:
    said = replace(analysis(BTC_NAME, signals, second=second, **more), skipped=(SKIPPED,))
    (told,) = bodies(desk.strategy.handle(desk.voice.say(second, said)))
    assert isinstance(told, ProposalWithheld)
    return told


def test_a_hold_is_told_with_every_vote_and_who_was_skipped() -> None:
    told = withheld(Desk(), 1, [signal("momentum", "hold", 0.5), signal("technical", "hold", 0.4, 0.3)])
    assert (told.outcome, told.action, told.confidence, told.lead_alpha) == ("hold", "hold", 0.0, "")
    assert [(vote.alpha, vote.weight) for vote in told.votes] == [("momentum", 1.0), ("technical", 0.3)]
    assert told.skipped == (SKIPPED,)
    assert (told.symbol, told.ts_open, told.regime, told.threshold) == (BTC_NAME, at(1), "trending", 0.6)
    assert told.reason == "all hold: momentum, technical"


def test_too_little_confidence_is_told_with_the_threshold() -> None:
    told = withheld(Desk(), 1, [signal("momentum", "trail_buy", 0.5996)])
    assert (told.outcome, told.action, told.lead_alpha) == ("unsure", "trail_buy", "momentum")
    assert told.reason == "momentum 0.60 says buy; 0.600 is below 0.600"


def test_the_threshold_itself_is_enough() -> None:
    thirds = [signal(name, "trail_buy", 0.6, 0.1) for name in ("a", "b", "c")]
    assert Desk().candle(1, signals=thirds)


@pytest.mark.parametrize(
    ("state", "signals", "words"),
    [("REDUCING", buys(), "trading is REDUCING"), ("HALTED", sells(), "trading is HALTED")],
)
def test_what_forbids_a_trade_is_named(state: Any, signals: Any, words: str) -> None:
    desk = Desk().hold(0) if signals == sells() else Desk()
    desk.tell(1, TradingStateChanged(state, (), "a fault"))
    told = withheld(desk, 2, signals)
    assert told.outcome == "blocked"
    assert told.reason.endswith(words)


def test_a_rule_that_makes_no_trade_of_it_says_why() -> None:
    told = withheld(Desk(), 1, buys(), atr_ratio=0)
    assert told.outcome == "no_plan"
    assert len(told.reason) > len("momentum 0.78, structure 0.70 agree to buy; technical holds; ")


def test_a_proposal_is_told_as_one_and_nothing_else() -> None:
    desk = Desk()
    said = bodies(desk.strategy.handle(desk.voice.say(1, analysis(BTC_NAME, buys(), second=1))))
    assert [type(body) for body in said] == [TradeProposed]


def test_quiet_holds_are_kept_to_oneself_when_they_are_not_wanted_and_nothing_else_is() -> None:
    desk = Desk(council=CouncilConfig(records_holds=False))
    quiet = analysis(BTC_NAME, [signal("momentum", "hold", 0.5)], second=1)
    assert bodies(desk.strategy.handle(desk.voice.say(1, quiet))) == []
    assert withheld(desk, 2, [signal("momentum", "hold", 0.5)]).outcome == "hold"  # somebody was skipped
    wanting = analysis(BTC_NAME, [signal("a", "trail_buy", 0.1, 0.1), signal("b", "hold", 0.5)], second=3)
    assert len(bodies(desk.strategy.handle(desk.voice.say(3, wanting)))) == 1
