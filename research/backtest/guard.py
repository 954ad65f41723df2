"""The look-ahead guard (F73): decisions at sampled candles, made again with the data cut there, must be the same."""

from collections.abc import Callable
from decimal import Decimal
from typing import Final

from research.backtest.runner import Backtest, Bars, Costs
from research.backtest.rules import Rule

SAMPLES: Final = 4
LONGEST: Final = 20_000
"""Cuts lie within the first so many candles: a rule that looks ahead does so from the beginning."""


class LookAheadError(RuntimeError):
    """The rule knew what it could not know: the text names the candle and both decisions."""


def cut(bars: Bars, count: int) -> Bars:
    """The first `count` candles."""
    return Bars(
        bars.symbol, bars.interval, bars.ts[:count], bars.open[:count], bars.high[:count], bars.low[:count],
        bars.close[:count], bars.volume[:count], bars.exact, bars.closes[:count],
    )


def prepared(rule: Rule, bars: Bars) -> Rule:
    """Let a rule that computes ahead see these candles, and no others."""
    prepare = getattr(rule, "prepare", None)
    if prepare is not None:
        prepare(bars)
    return rule


def check(
    make: Callable[[], Rule], bars: Bars, decisions: list[tuple[int, str, str]], cash: Decimal, stake: Decimal, costs: Costs,
) -> int:
    """How many cuts agreed; raises `LookAheadError` at the first that does not."""
    size = min(len(bars), LONGEST)
    points = sorted({max(2, size * number // (SAMPLES + 1)) for number in range(1, SAMPLES + 1)}) if size > 2 else []
    # Where it decided something is where knowing more would show.
    points += [index + 1 for index, _, _ in decisions[:200:25] if 1 < index + 1 <= size]
    for point in sorted(set(points)):
        part = cut(bars, point)
        again = Backtest(part, cash, stake, costs).run(prepared(make(), part)).decisions
        whole = [each for each in decisions if each[0] < point]
        if again != whole:
            _refuse(again, whole, point)
    return len(set(points))


def _refuse(again: list[tuple[int, str, str]], whole: list[tuple[int, str, str]], point: int) -> None:
    first = next((number for number, pair in enumerate(zip(again, whole, strict=False)) if pair[0] != pair[1]), None)
    if first is None:
        first = min(len(again), len(whole))
    told = [_words(rows[first]) if first < len(rows) else "nothing" for rows in (whole, again)]
    raise LookAheadError(
        f"the rule looks ahead: with all candles it decided {told[0]}, with the candles cut behind number {point} "
        f"{told[1]}. Compute only from candles up to the one at hand."
    )


def _words(decision: tuple[int, str, str]) -> str:
    index, side, quantity = decision
    return f"to {side} {quantity} at candle {index}"
