"""Strategies of the library in the strategy agent: whose wish counts, who owns a position, what the models may veto."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from agents.agent import HISTORY
from agents.consensus import Consensus
from agents.strategies.candle_rule import RuleError, Wish
from agents.strategies.entry_size import SizeRule
from agents.strategies.rule_book import RuleBook, RuleChoice, RuleWish, Standing, decide_with
from agents.strategies.wished_trade import WishedTrade
from agents.strategy import CouncilConfig, Strategy
from bus.messages.council import MandateIssued, TradeProposed
from bus.messages.ledger import PortfolioSnapshot, PositionOpened
from market.ticks import Candle
from risk.limits import RiskLimits
from tests.agents.council_scene import (
    BTC,
    ETH,
    SESSION,
    START_NS,
    Voice,
    analysis,
    at,
    bodies,
    portfolio,
    position,
    sells,
    signal,
)

D = Decimal
BREAKOUT = RuleChoice("breakout", {"entry": 3, "exit": 2, "atr": 3})
FREE = Standing(0.0, 10_000.0, is_waiting=False)
WISH = RuleWish(BREAKOUT, Wish("buy", stop=0.03, target=0.06, why="it broke out"), START_NS)


def candle(second: int, close: str, *, high: str = "", low: str = "", is_warmup: bool = False) -> Candle:
    price = Decimal(close)
    return Candle(
        "BTC/USDT", "1s", at(second), price, Decimal(high or close), Decimal(low or close), price, Decimal(1), 1,
        at(second + 1), is_warmup,
    )


def calm(count: int = 6, first: int = 0, **more: Any) -> list[Candle]:
    return [candle(first + number, "60000", high="60010", low="59990", **more) for number in range(count)]


def fed(book: RuleBook, candles: list[Candle], standing: Standing = FREE) -> RuleBook:
    for each in candles:
        book.on_candle(each, standing)
    return book


# ---- the book


def test_a_wish_to_enter_is_for_its_own_candle_only() -> None:
    book = fed(RuleBook([BREAKOUT], ["BTC/USDT"]), [*calm(), candle(6, "60100")])
    wished = book.entry_wish("BTC/USDT", at(6))
    assert wished is not None
    assert wished.wish.why == "60100 broke 60010, the channel's high"
    assert book.entry_wish("BTC/USDT", at(5)) is None


def test_what_is_wished_while_learning_from_history_is_forgotten() -> None:
    book = fed(RuleBook([BREAKOUT], ["BTC/USDT"]), [*calm(is_warmup=True), candle(6, "60100", is_warmup=True)])
    assert book.entry_wish("BTC/USDT", at(6)) is None


def test_a_repeated_candle_is_ignored() -> None:
    book = RuleBook([BREAKOUT], ["BTC/USDT"])
    assert book.on_candle(candle(0, "60000"), FREE)
    assert not book.on_candle(candle(0, "60000"), FREE)


def test_of_several_wishes_the_heaviest_strategy_leads() -> None:
    heavy = replace(BREAKOUT, weight=0.7)
    light = RuleChoice("momentum", {"lookback": 2, "entry": 0.001}, 0.3)
    book = fed(RuleBook([light, heavy], ["BTC/USDT"]), [*calm(20), candle(20, "60100")])
    wished = book.entry_wish("BTC/USDT", at(20))
    assert wished is not None
    assert wished.choice.name == "breakout"


def test_only_the_strategy_whose_position_it_is_decides_to_leave() -> None:
    momentum = RuleChoice("momentum", {"lookback": 2, "entry": 0.001, "exit": 0.0005})
    book = fed(RuleBook([BREAKOUT, momentum], ["BTC/USDT"]), [*calm(20), candle(20, "60100")])
    book.on_proposed("BTC/USDT", BREAKOUT)
    held = Standing(0.01, 9_000.0, is_waiting=False)
    book.on_candle(candle(21, "60100", low="60050"), held)
    book.on_candle(candle(22, "60100", low="60050"), held)  # no momentum any more, but it is not momentum's
    assert book.exit_wish("BTC/USDT") is None
    book.on_candle(candle(23, "60000"), held)  # below the lows of two candles
    wished = book.exit_wish("BTC/USDT")
    assert wished is not None
    assert wished.choice.name == "breakout"


def test_a_position_from_before_the_start_is_everybodys() -> None:
    book = fed(RuleBook([BREAKOUT], ["BTC/USDT"]), calm(), Standing(0.01, 9_000.0, is_waiting=False))
    book.on_candle(candle(6, "59000"), Standing(0.01, 9_000.0, is_waiting=False))
    assert book.exit_wish("BTC/USDT") is not None


def test_an_unknown_strategy_is_refused() -> None:
    with pytest.raises(RuleError, match="no strategy is called 'luck'"):
        RuleBook([RuleChoice("luck", {})], ["BTC/USDT"])


# ---- the council's say


def test_the_models_that_want_out_veto_a_purchase() -> None:
    models = Consensus("trail_sell", 0.7, (), "momentum", "momentum 0.70 says sell")
    decided = decide_with(WISH, models, 0.6)
    assert decided.action == "hold"
    assert decided.reason == "breakout says buy (it broke out), but the models want out: momentum 0.70 says sell"


@pytest.mark.parametrize(("models", "confidence"), [
    (Consensus("hold", 0.0, (), "", "all hold"), 0.6),
    (Consensus("trail_sell", 0.59, (), "momentum", "not sure"), 0.6),
    (Consensus("trail_buy", 0.8, (), "momentum", "sure"), 0.8),
    (Consensus("trail_buy", 0.5, (), "momentum", "not sure"), 0.6),
])
def test_a_purchase_has_the_confidence_of_models_that_agree_else_the_threshold(
    models: Consensus, confidence: float,
) -> None:
    decided = decide_with(WISH, models, 0.6)
    assert (decided.action, decided.confidence, decided.lead_alpha) == ("trail_buy", confidence, "breakout")
    assert decided.votes[0].alpha == "breakout"
    assert [vote.is_strategy for vote in decided.votes] == [True, *[False] * len(models.votes)]


# ---- in the agent


class Office:
    """A strategy agent with a breakout to trade."""

    def __init__(self, weight: float = 1.0, **parameters: float) -> None:
        choice = RuleChoice("breakout", {**BREAKOUT.parameters, **parameters}, weight)
        rule = WishedTrade(SizeRule(Decimal("0.05"), RiskLimits()), 60_000_000_000)
        self.voice = Voice()
        self.agent = Strategy(
            SESSION, CouncilConfig(cooldown_ns=0), rule, [BTC, ETH], book=RuleBook([choice], ["BTC/USDT", "ETH/USDT"]),
        )
        self.say(0, portfolio())
        self.say(0, MandateIssued("risk_on", "calm", at(10_000)))

    def say(self, second: float, body: Any) -> list[TradeProposed]:
        found: list[TradeProposed] = bodies(self.agent.handle(self.voice.say(second, body)), TradeProposed)
        return found

    def breaks_out(self, **more: Any) -> list[TradeProposed]:
        for number, each in enumerate(calm()):
            self.say(number + 1, each)
        assert self.say(7, candle(6, "60100")) == []  # a purchase waits for the analysis of its candle
        return self.say(7, analysis(second=6, **{"signals": (signal("momentum", "hold", 0.5),), **more}))


def test_a_breakout_is_proposed_at_once_with_the_rules_own_stop() -> None:
    (proposal,) = Office().breaks_out()
    assert (proposal.side, proposal.trail, proposal.lead_alpha) == ("buy", None, "breakout")
    assert proposal.confidence == 0.6
    assert proposal.protection.stop_ratio == Decimal("0.001553")  # 2 x ATR(3) of 20, 20, 20, 100 = 46.67, over 60,100
    assert proposal.reason == "breakout: 60100 broke 60010, the channel's high"


def test_the_weight_is_the_share_of_the_usual_size() -> None:
    (whole,), (half,) = Office().breaks_out(), Office(weight=0.5).breaks_out()
    assert half.quantity == BTC.round_quantity(whole.quantity / 2)


def test_against_the_models_nothing_is_bought() -> None:
    assert Office().breaks_out(signals=sells()) == []


def test_without_a_mandate_the_strategy_waits_for_a_new_break() -> None:
    office = Office()
    office.say(0, MandateIssued("risk_off", "lost too much", at(10_000)))
    assert office.breaks_out() == []


def test_a_wish_to_leave_is_proposed_without_asking_anybody() -> None:
    office = Office()
    office.breaks_out()
    office.say(20, portfolio(position("BTC/USDT", "0.005")))  # its proposal is answered or dead by now
    assert office.say(21, candle(7, "60100", low="60050")) == []
    (left,) = office.say(22, candle(8, "59900"))
    assert (left.side, left.quantity, left.reduce_only) == ("sell", Decimal("0.005"), True)
    assert left.reason.startswith("breakout: 59900 fell below")


# ---- begun anew, with a position


class Life:
    """Hourly candles of one strategy; bought while candle `bought` runs, held until it says to sell."""

    def __init__(self, choice: RuleChoice, closes: list[int], bought: int) -> None:
        self.choice, self.bought, self.voice = choice, bought, Voice()
        self.candles = [
            Candle("BTC/USDT", "1h", at(3600 * number), D(close), D(close + 50), D(close - 50), D(close), D(10), 1,
                   at(3600 * (number + 1)))
            for number, close in enumerate(closes)
        ]

    def leaves_at(self, *, restart: int = 0) -> int:
        """The candle after which it wishes to leave; before candle `restart` the agent is begun anew."""
        agent = self._agent()
        for number, each in enumerate(self.candles):
            seconds = 3600 * (number + 1)
            if restart and number == restart:
                agent = self._agent()
                agent.handle(Voice(HISTORY).say(seconds - 3000, self._account(number)))
                for past in self.candles[max(0, number - 120):number]:
                    agent.handle(Voice(HISTORY).say(seconds - 3000, replace(past, is_warmup=True)))
            agent.handle(self.voice.say(seconds - 1, self._account(number)))
            if bodies(agent.handle(self.voice.say(seconds, each)), TradeProposed):
                return number
        raise AssertionError("it never left")

    def _agent(self) -> Strategy:
        rule = WishedTrade(SizeRule(D("0.05"), RiskLimits()), 60_000_000_000)
        council = CouncilConfig(decision_interval="1h", cooldown_ns=0)
        return Strategy(SESSION, council, rule, [BTC], book=RuleBook([self.choice], ["BTC/USDT"]))

    def _account(self, number: int) -> PortfolioSnapshot:
        held = replace(position("BTC/USDT", "0.005"), opened_ns=at(3600 * self.bought + 7))
        return portfolio(*([held] if number >= self.bought else []))


@pytest.mark.parametrize("restart", [131, 150, 170, 177])
def test_a_longest_time_in_candles_goes_on_over_a_restart(restart: int) -> None:
    life = Life(RuleChoice("mean_reversion", {"hold": 48}), [50_000 - 3 * number for number in range(260)], 130)
    assert life.leaves_at() == 177
    assert life.leaves_at(restart=restart) == 177


@pytest.mark.parametrize("restart", [107, 163, 175])
def test_a_chandelier_hangs_as_high_after_a_restart_as_before_it(restart: int) -> None:
    rise = [50_000 + 60 * number for number in range(160)]
    life = Life(RuleChoice("trend_following", {}), rise + [59_540 - 12 * number for number in range(60)], 106)
    assert life.leaves_at() == 182
    assert life.leaves_at(restart=restart) == 182


def test_candles_from_before_the_purchase_are_shown_without_a_position() -> None:
    """Else a fall before it would already count against it."""
    fall = [70_000 - 100 * number for number in range(100)]
    closes = fall + [60_000 + 60 * number for number in range(60)] + [63_540 - 12 * number for number in range(60)]
    life = Life(RuleChoice("trend_following", {"slow": 30}), closes, 130)
    assert life.leaves_at(restart=150) == life.leaves_at()


def test_the_strategy_agent_without_a_book_does_not_listen_to_candles() -> None:
    rule = WishedTrade(SizeRule(Decimal("0.05"), RiskLimits()), 1)
    assert Candle not in Strategy(SESSION, CouncilConfig(), rule, [BTC]).subscriptions
    assert PositionOpened in Strategy(SESSION, CouncilConfig(), rule, [BTC]).subscriptions
