"""Candle rules at work in the daemon: which are chosen, what each is shown, and what their wishes become.

Each chosen strategy has a weight, its share of the usual position size. A symbol has one position at a time; it is the
strategy's that proposed it, and only that one is asked when to leave (a position from before the start is everybody's).
The council keeps its say: where the models' own consensus is to sell, a strategy's purchase is not proposed, and where
it is to buy, its confidence is the proposal's; otherwise the confidence is the threshold.

Pure: candles and accounts in, wishes out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from agents.consensus import Consensus
from agents.strategies.candle_rule import CandleContext, CandleRule, Wish
from agents.strategies.library import make_strategy
from bus.messages.votes import Vote
from market.instrument import to_float
from market.ticks import Candle


@dataclass(frozen=True, slots=True)
class RuleChoice:
    """One strategy of the library that is to trade. `weight` 0-1: its share of the usual position size; `fit` 0-1: what
    is left of it in a regime, all where none is named.
    """

    name: str
    parameters: Mapping[str, float]
    weight: float = 1.0
    fit: Mapping[str, float] = field(default_factory=dict)

    def weight_in(self, regime: str) -> float:
        """What its wish to enter counts in this regime."""
        return self.weight * self.fit.get(regime, 1.0)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a symbol stands, as the strategy agent knows it: base held, quote to spend, and whether anything is under
    way.

    `is_waiting`: an order is working, or nothing may be proposed now.
    """

    held: float
    cash: float
    is_waiting: bool


@dataclass(frozen=True, slots=True)
class RuleWish:
    """What a strategy wished at the close of the candle that opened at `ts_open`."""

    choice: RuleChoice
    wish: Wish
    ts_open: int


@dataclass(slots=True)
class _Seat:
    """One strategy on one symbol."""

    choice: RuleChoice
    rule: CandleRule
    context: Any = field(default_factory=CandleContext)
    candles: int = 0


class RuleBook:
    """The chosen strategies of every symbol. Raises `RuleError` for a choice that cannot be made."""

    def __init__(self, choices: Sequence[RuleChoice], symbols: Sequence[str]) -> None:
        self._seats = {
            symbol: [_Seat(choice, make_strategy(choice.name, choice.parameters)) for choice in choices]
            for symbol in symbols
        }
        self._owners: dict[str, str] = {}
        self._newest: dict[str, int] = {}
        self._wishes: dict[str, list[RuleWish]] = {}

    def on_candle(self, candle: Candle, standing: Standing) -> bool:
        """Show a closed decision candle to the strategies; False for one that is not newer than the last."""
        symbol = candle.symbol
        if candle.ts_open <= self._newest.get(symbol, -1):
            return False
        self._newest[symbol] = candle.ts_open
        if not standing.held and not standing.is_waiting:
            self._owners.pop(symbol, None)
        wishes: list[RuleWish] = []
        for seat in self._seats[symbol]:
            for wish in _ask(seat, candle, standing, self._owners.get(symbol)):
                wishes.append(RuleWish(seat.choice, wish, candle.ts_open))
        self._wishes[symbol] = [] if candle.is_warmup else wishes
        return True

    def exit_wish(self, symbol: str) -> RuleWish | None:
        """The wish to leave after the newest candle, None when nobody wishes it."""
        return next((each for each in self._wishes.get(symbol, ()) if each.wish.side == "sell"), None)

    def entry_wish(self, symbol: str, ts_open: int, regime: str = "unknown") -> RuleWish | None:
        """The wish to enter after this candle of the strategy that weighs most in this regime, with that weight; None
        when nobody wishes it who is at home in it.
        """
        entries = [
            replace(each, choice=replace(each.choice, weight=each.choice.weight_in(regime)))
            for each in self._wishes.get(symbol, ()) if each.wish.side == "buy" and each.ts_open == ts_open
        ]
        fitting = [each for each in entries if each.choice.weight > 0.0]
        return min(fitting, key=lambda each: (-each.choice.weight, each.choice.name), default=None)

    def on_proposed(self, symbol: str, choice: RuleChoice) -> None:
        """An entry of this strategy was proposed: what comes of it is its position."""
        self._owners[symbol] = choice.name


def decide_with(wished: RuleWish | None, models: Consensus, threshold: float) -> Consensus:
    """The decision of one candle: the strategy's wish to enter, unless the models want out."""
    if wished is None:
        return replace(models, action="hold", confidence=0.0, lead_alpha="", reason="no strategy wishes to enter")
    name, why = wished.choice.name, wished.wish.why or "its rule says so"
    if models.action == "trail_sell" and models.confidence >= threshold:
        reason = f"{name} says buy ({why}), but the models want out: {models.reason}"
        return replace(models, action="hold", confidence=0.0, lead_alpha="", reason=reason)
    is_backed = models.action == "trail_buy"
    confidence = max(threshold, models.confidence) if is_backed else threshold
    vote = Vote(name, "trail_buy", confidence, wished.choice.weight, is_strategy=True)
    reason = f"{name}: {why}" + ("; the models agree" if is_backed else "")
    return Consensus("trail_buy", confidence, (vote, *models.votes), name, reason)


def _ask(seat: _Seat, candle: Candle, standing: Standing, owner: str | None) -> Sequence[Wish]:
    context, is_own = seat.context, owner in (None, seat.choice.name)
    context.index, context.ts = seat.candles, candle.ts_open
    context.open, context.high = to_float(candle.open), to_float(candle.high)
    context.low, context.close = to_float(candle.low), to_float(candle.close)
    context.volume, context.cash = to_float(candle.volume), standing.cash
    context.quantity = standing.held if is_own else 0.0
    # Another's position is as good as an order under way: one at a time on a symbol.
    context.is_waiting = standing.is_waiting or (standing.held > 0.0 and not is_own)
    seat.candles += 1
    context.wishes.clear()
    seat.rule.on_candle(context)
    return tuple(context.wishes)
