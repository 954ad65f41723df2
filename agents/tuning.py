"""Self-tuning (T12) as arithmetic: variations to be replayed, the best of them blended in, outcomes as feedback. Pure.

1. `variations`: ten sets around the current one, each parameter moved by up to 10 % either way. Which way, a hash of
   seed, version, number and name decides: the same history gives the same sets anywhere.
2. `blended`: a tenth of the way from the current set to the best of the replay. Trail, confidence and size follow the
   council's replay, spacing the grid's; drawdown and positions are limits, which no replay may argue with.
3. `with_feedback`: each parameter remembers its last 100 outcomes (round trips won or lost since it was last judged).
   Below 40 % success it becomes 10 % smaller, above 60 % 5 % larger; the confidence threshold the other way round, for
   it is the larger one that is careful. It takes eight outcomes: their confidence begins at 0.5, each adds 0.05, at 0.9
   it acts.
4. All of it ends within bounds and never loosens a limit (`agents.parameters`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from hashlib import sha256
from typing import Final

from agents.parameters import BOUNDS, Parameters
from market.money import ONE, to_text

VARIATIONS: Final = 10
REACH: Final = Decimal("0.10")
RATE: Final = Decimal("0.1")
OUTCOMES_REMEMBERED: Final = 100
FAILING: Final = 0.4
SUCCEEDING: Final = 0.6
SHRINK: Final = Decimal("0.90")
GROW: Final = Decimal("1.05")
FIRST_CONFIDENCE: Final = 0.5
CONFIDENCE_STEP: Final = 0.05
HIGHEST_CONFIDENCE: Final = 0.9
COUNCIL_PARAMETERS: Final = ("trail", "confidence", "size")
GRID_PARAMETERS: Final = ("spacing",)
_LARGER_IS_CAREFUL: Final = ("confidence",)
_ROUNDING: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Of one parameter: how many are remembered (at most 100), and how many of them were won."""

    count: int = 0
    won: int = 0

    @property
    def success(self) -> float | None:
        """Share won; None without any."""
        return self.won / self.count if self.count else None

    @property
    def confidence(self) -> float:
        """How much the success is worth: 0.5 and 0.05 for each outcome, at most 0.9."""
        return min(HIGHEST_CONFIDENCE, round(FIRST_CONFIDENCE + CONFIDENCE_STEP * self.count, 6))


@dataclass(frozen=True, slots=True)
class Tuned:
    """The new set, why in a sentence for each change, and which parameters' outcomes were used up."""

    parameters: Parameters
    reasons: tuple[str, ...]
    judged: tuple[str, ...] = ()


def variations(current: Parameters, configured: Parameters, seed: int, version: int) -> tuple[Parameters, ...]:
    """The current set first, then ten around it, within bounds."""
    sets = [current]
    for number in range(1, VARIATIONS + 1):
        varied = current
        for name in BOUNDS:
            varied = varied.with_value(name, current.value(name) * (ONE + REACH * _lot(seed, version, number, name)))
        sets.append(varied.within_bounds(configured))
    return tuple(sets)


def blended(
    sets: Sequence[Parameters], council_scores: Sequence[float], grid_scores: Sequence[float],
) -> tuple[Parameters, list[str]]:
    """A tenth of the way from the first set to the best by each score, and what was done. Empty scores change
    nothing.
    """
    current, reasons = sets[0], []
    made = current
    for names, scores, where in (
        (COUNCIL_PARAMETERS, council_scores, "council"), (GRID_PARAMETERS, grid_scores, "grid"),
    ):
        best = _best(scores)
        if best == 0:
            continue
        for name in names:
            value = current.value(name)
            made = made.with_value(name, value + RATE * (sets[best].value(name) - value))
        reasons.append(
            f"variation {best} of the {where}'s replay scored {scores[best]:+.4f} against {scores[0]:+.4f}: a tenth of "
            "the way to it"
        )
    return made, reasons


def with_feedback(parameters: Parameters, outcomes: Mapping[str, Outcomes]) -> Tuned:
    """Each parameter judged by its own outcomes."""
    made, reasons, judged = parameters, [], []
    for name in BOUNDS:
        known = outcomes.get(name, Outcomes())
        success = known.success
        if success is None or known.confidence < HIGHEST_CONFIDENCE or FAILING <= success <= SUCCEEDING:
            continue
        is_failing = success < FAILING
        factor = SHRINK if is_failing else GROW
        if name in _LARGER_IS_CAREFUL:
            factor = 2 - factor
        value = made.value(name) * factor
        if name == "positions":
            value = value.to_integral_value(ROUND_FLOOR if factor < ONE else ROUND_CEILING)
        made = made.with_value(name, value)
        judged.append(name)
        reasons.append(f"{name}: {success:.0%} of {known.count} outcomes were won")
    return Tuned(made, tuple(reasons), tuple(judged))


def tune(
    sets: Sequence[Parameters], council_scores: Sequence[float], grid_scores: Sequence[float],
    outcomes: Mapping[str, Outcomes], configured: Parameters,
) -> Tuned:
    """The whole step: replay, feedback, bounds. `sets` as `variations` gave them, a score for each or none at all."""
    for scores in (council_scores, grid_scores):
        if scores and len(scores) != len(sets):
            raise ValueError(f"{len(scores)} scores for {len(sets)} sets: the replay must judge each of them once")
    made, reasons = blended(sets, council_scores, grid_scores)
    judged = with_feedback(made, outcomes)
    bounded = judged.parameters.within_bounds(configured)
    changes = [
        f"{name} {to_text(sets[0].value(name))} -> {to_text(bounded.value(name))}"
        for name in BOUNDS if bounded.value(name) != sets[0].value(name)
    ]
    return Tuned(bounded, (*changes, *reasons, *judged.reasons), judged.judged)


def _best(scores: Sequence[float]) -> int:
    """Which set won; the current one unless another is better by more than rounding."""
    best = 0
    for number, score in enumerate(scores):
        if score > scores[best] + _ROUNDING:
            best = number
    return best


def _lot(seed: int, version: int, number: int, name: str) -> Decimal:
    """-1 to 1, by a hash."""
    digest = sha256(f"{seed}:{version}:{number}:{name}".encode()).digest()
    return Decimal(int.from_bytes(digest[:4]) - 2**31) / 2**31
