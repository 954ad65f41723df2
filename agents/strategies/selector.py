"""Which approved strategies trade, and with what weight: by performance, robustness, correlation and fit to the regime.

1. A candidate is approved when it closed at least 20 trades, won more than it lost (profit factor above 1) with a
   Sharpe ratio above 0, and holds in at least half of the tests of its robustness. The others are rejected with the
   reason.
2. Score = performance x robustness. Performance is the Sharpe ratio over 2, at most 1. Robustness is the mean of two
   shares: of the fifths of the time in which it earned, and of its parameters' neighbours (10 % more or less) that
   earned.
3. In the order of their scores at most four are taken; one whose returns correlate by more than 0.7 with those of one
   already taken adds nothing and is left out.
4. Weight = score x (1 - mean correlation with the others taken, where positive), over the largest of them, so
   that the strongest has 1. Fit to a regime is 1 where it earned in that regime, 0.5 where it hardly met it, 0 where it
   lost; in the daemon a purchase counts with weight x fit of the present regime.

Deterministic: ties go by name. Source of the correlation rule: H. Markowitz, Portfolio Selection, Journal of Finance
(1952), as a rule of thumb; the limits are conventions.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from bus.messages.council import Regime

LEAST_TRADES: Final = 20
FULL_SHARPE: Final = 2.0
LEAST_ROBUSTNESS: Final = 0.5
MOST_CORRELATION: Final = 0.7
MOST_CHOSEN: Final = 4
LEAST_CANDLES_IN_REGIME: Final = 50


@dataclass(frozen=True, slots=True)
class Candidate:
    """A strategy with what its backtest said. `returns`: of equity, candle by candle, in step with all other
    candidates'.

    `parts_won` of time and `neighbours_won` of its parameters are shares; `by_regime`: (candles, sum of returns).
    """

    name: str
    parameters: Mapping[str, float]
    trades: int
    sharpe: float
    profit_factor: float
    returns: Sequence[float]
    parts_won: float
    neighbours_won: float
    by_regime: Mapping[Regime, tuple[int, float]]

    @property
    def robustness(self) -> float:
        """0-1."""
        return (self.parts_won + self.neighbours_won) / 2.0

    @property
    def score(self) -> float:
        """0-1: performance x robustness."""
        return min(max(self.sharpe / FULL_SHARPE, 0.0), 1.0) * self.robustness


@dataclass(frozen=True, slots=True)
class Chosen:
    """One that trades. `weight` 0-1, `fit` by regime 0, 0.5 or 1, `reason` a sentence with the numbers."""

    candidate: Candidate
    weight: float
    fit: Mapping[Regime, float]
    reason: str


@dataclass(frozen=True, slots=True)
class Selection:
    """Those that trade, heaviest first, and why each of the others does not."""

    chosen: tuple[Chosen, ...]
    left_out: tuple[tuple[str, str], ...]


def select(candidates: Sequence[Candidate]) -> Selection:
    """See the module."""
    left_out = [(each.name, why) for each in candidates if (why := _why_rejected(each))]
    approved = sorted(
        (each for each in candidates if not _why_rejected(each)), key=lambda each: (-each.score, each.name)
    )
    taken: list[Candidate] = []
    for each in approved:
        closest = max(taken, key=lambda other: correlation(each.returns, other.returns), default=None)
        alike = correlation(each.returns, closest.returns) if closest is not None else 0.0
        if closest is not None and alike > MOST_CORRELATION:
            left_out.append((each.name, f"correlates by {alike:.2f} with {closest.name}, which scores higher"))
        elif len(taken) == MOST_CHOSEN:
            left_out.append((each.name, f"scores {each.score:.2f}, and {MOST_CHOSEN} score higher"))
        else:
            taken.append(each)
    return Selection(_weighed(taken), tuple(sorted(left_out)))


def correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Pearson's, 0 where one of them never moved. Both of one length."""
    count = len(first)
    if count < 2:
        return 0.0
    mean, other = math.fsum(first) / count, math.fsum(second) / count
    together = math.fsum((a - mean) * (b - other) for a, b in zip(first, second, strict=True))
    spread = math.sqrt(math.fsum((a - mean) ** 2 for a in first) * math.fsum((b - other) ** 2 for b in second))
    return together / spread if spread > 0.0 else 0.0


def fit_of(candidate: Candidate) -> dict[Regime, float]:
    """By regime: 1 where it earned, 0 where it lost, 0.5 where it was too seldom."""
    regimes: tuple[Regime, ...] = ("trending", "ranging", "volatile", "calm", "unknown")
    fit: dict[Regime, float] = {}
    for regime in regimes:
        candles, total = candidate.by_regime.get(regime, (0, 0.0))
        if regime == "unknown" or candles < LEAST_CANDLES_IN_REGIME or total == 0.0:
            fit[regime] = 0.5
        else:
            fit[regime] = 1.0 if total > 0.0 else 0.0
    return fit


def _why_rejected(candidate: Candidate) -> str:
    if candidate.trades < LEAST_TRADES:
        return f"{candidate.trades} trades, {LEAST_TRADES} are needed to judge it"
    if not candidate.profit_factor > 1.0:
        return f"its profit factor is {candidate.profit_factor:.2f}: it lost at least as much as it won"
    if not candidate.sharpe > 0.0:
        return f"its Sharpe ratio is {candidate.sharpe:.2f}"
    if candidate.robustness < LEAST_ROBUSTNESS:
        return (
            f"not robust: it earned in {candidate.parts_won:.0%} of the fifths of the time, and "
            f"{candidate.neighbours_won:.0%} of its neighbours earned"
        )
    return ""


def _weighed(taken: Sequence[Candidate]) -> tuple[Chosen, ...]:
    alike = {each.name: 0.0 for each in taken}
    for first, second in combinations(taken, 2):
        shared = max(correlation(first.returns, second.returns), 0.0) / (len(taken) - 1)
        alike[first.name] += shared
        alike[second.name] += shared
    raw = {each.name: each.score * (1.0 - alike[each.name]) for each in taken}
    highest = max(raw.values(), default=0.0)
    chosen = [
        Chosen(
            each, round(raw[each.name] / highest, 2) if highest > 0.0 else 0.0, fit_of(each),
            f"Sharpe {each.sharpe:.2f}, profit factor {each.profit_factor:.2f} in {each.trades} trades; earned in "
            f"{each.parts_won:.0%} of the fifths, {each.neighbours_won:.0%} of its neighbours earned; mean correlation "
            f"with the others {alike[each.name]:.2f}",
        )
        for each in taken
    ]
    return tuple(sorted(chosen, key=lambda each: (-each.weight, each.candidate.name)))
