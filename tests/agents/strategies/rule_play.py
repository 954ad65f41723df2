"""Plays candles to a rule, as a venue that fills at the next open would, and writes down what it wished."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agents.strategies.candle_rule import CandleContext, CandleRule, Wish

Row = tuple[float, float, float, float]
"""open, high, low, close"""


@dataclass(frozen=True)
class Wished:
    """What was wished at the close of candle `index`."""

    index: int
    wish: Wish


def play(
    rule: CandleRule, rows: Sequence[Row], *, cash: float = 10_000.0, volumes: Sequence[float] = (),
) -> list[Wished]:
    """Every wish is filled at the next open, without costs; stops and targets are not played."""
    context: Any = CandleContext()
    context.cash = cash
    said: list[Wished] = []
    pending: list[Wish] = []
    for index, (open_, high, low, close) in enumerate(rows):
        for wish in pending:
            if wish.side == "buy":
                spent = context.cash * (0.99 if wish.fraction is None else wish.fraction)
                context.quantity += spent / open_
                context.cash -= spent
            else:
                sold = context.quantity * (1.0 if wish.fraction is None else wish.fraction)
                context.quantity -= sold
                context.cash += sold * open_
        context.index, context.open, context.high, context.low, context.close = index, open_, high, low, close
        context.volume = volumes[index] if volumes else 1.0
        context.wishes, context.is_waiting = [], False
        rule.on_candle(context)
        pending = list(context.wishes)
        said += [Wished(index, wish) for wish in pending]
    return said


def closes(*prices: float) -> list[Row]:
    """Candles that open at the close before, without wicks."""
    before = (prices[0], *prices)
    return [(first, max(first, last), min(first, last), last) for first, last in zip(before, prices, strict=False)]


def sides(said: Sequence[Wished]) -> list[tuple[int, str]]:
    """Which candle, and what."""
    return [(each.index, each.wish.side) for each in said]
