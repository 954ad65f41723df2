"""The look-ahead guard (F73): decisions made again with the data cut must be the same up to the cut.

A cut is a copy of the first candles: nothing that runs on it can reach what came after. Cuts lie right behind
candles at which the rule decided something, where knowing one candle more shows at once, and spread over the whole run.
"""

from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from typing import Final

from research.backtest.bars import Bars
from research.backtest.patience import START_LIMIT_S, StuckError, patience
from research.backtest.rules import Rule, RuleError
from research.backtest.runner import Backtest, Costs

DECISIONS: Final = 12
"""Cuts behind decisions."""
NEAR: Final = 20_000
"""They lie within the first so many candles, where making the decisions again costs little."""
LATE: Final = 4
"""Cuts behind decisions at least: of a rule that waits for long, they lie behind its first ones."""
PARTS: Final = 3
"""Cuts at 1/3 and 2/3 of all candles: together they cost as much as the run."""

Decision = tuple[int, str, str]


class LookAheadError(RuntimeError):
    """The rule knew what it could not know: the text names the candle and both decisions."""


def prepared(rule: Rule, bars: Bars) -> Rule:
    """Let a rule that computes ahead see these candles, and no others. Raises `RuleError` for what it raises."""
    prepare = getattr(rule, "prepare", None)
    if prepare is not None:
        try:
            with patience(lambda: None, lambda: f"it did not come back within {START_LIMIT_S} s", START_LIMIT_S):
                prepare(bars.arrays())
        except RuleError:
            raise
        except StuckError as error:
            raise RuleError(f"the rule's prepare: {error}") from None
        except Exception as error:
            raise RuleError(f"the rule's prepare failed: {type(error).__name__}: {error}") from error
    return rule


def cut_points(size: int, decisions: list[Decision]) -> list[int]:
    """How many candles each cut keeps, ascending."""
    near = [index for index, _, _ in decisions if index < NEAR]
    chosen = near[:: max(1, len(near) // DECISIONS)][:DECISIONS]
    late = [index for index, _, _ in decisions if index >= NEAR][: max(0, LATE - len(chosen))]
    points = {index + 1 for index in (*chosen, *late)}
    # Between two decisions: a rule that learned of its next one early shows there.
    points |= {(left + right) // 2 + 1 for left, right in list(pairwise(chosen))[:4]}
    points |= {size * part // PARTS for part in range(1, PARTS)}
    return sorted(each for each in points if 2 <= each < size)


def check(
    make: Callable[[], Rule], bars: Bars, decisions: list[Decision], cash: Decimal, stake: Decimal, costs: Costs,
) -> int:
    """As `compare`, in this process. `make` gives a new rule."""
    return compare(
        bars, decisions, lambda part: Backtest(part, cash, stake, costs).decisions(prepared(make(), part))
    )


def compare(bars: Bars, decisions: list[Decision], decide: Callable[[Bars], list[Decision]]) -> int:
    """How many cuts agreed; raises `LookAheadError` at the first that does not. `decide`: a new rule's decisions."""
    points = cut_points(len(bars), decisions)
    for point in points:
        part = bars.cut(point)
        try:
            again = decide(part)
        except RuleError as error:
            raise LookAheadError(
                f"the rule looks ahead: with all candles it ran, with the candles cut behind number {point - 1} {error}"
            ) from error
        whole = [each for each in decisions if each[0] < point]
        if again != whole:
            raise LookAheadError(_refusal(again, whole, point))
    return len(points)


def _refusal(again: list[Decision], whole: list[Decision], point: int) -> str:
    first = next((number for number, pair in enumerate(zip(again, whole, strict=False)) if pair[0] != pair[1]), None)
    if first is None:
        first = min(len(again), len(whole))
    told = [_words(rows[first]) if first < len(rows) else "nothing more" for rows in (whole, again)]
    return (
        f"the rule looks ahead, or does not decide the same twice: with all candles it decided {told[0]}, with the "
        f"candles cut behind number {point - 1} {told[1]}. Compute only from candles up to the one at "
        "hand, and without chance."
    )


def _words(decision: Decision) -> str:
    index, side, quantity = decision
    return f"to {side} {quantity} at candle {index}"
