"""How much an alpha should count, learnt from what came of the trades it voted on. Pure.

An outcome of an alpha is one round trip on whose entry it voted for a side: it was right when it voted for the entry
and the round trip earned something after fees, or voted against it and the round trip lost something. Holds, and round
trips that neither earned nor lost, are no outcomes; nor is what a strategy of the library wished, whatever its name.

    share  = (right + 10) / (outcomes + 20)         of the last 100 outcomes
    weight = base x min(1.5, max(0.5, 2 x share)),  at most 1, to two decimals

The 20 outcomes that are added, half of them right, keep few outcomes from saying much: the posterior mean of a
proportion under a Beta(10, 10) prior (Gelman et al., Bayesian Data Analysis, ch. 2). `base` is the weight of the file,
or what the alpha itself wishes. An alpha is never adapted to 0 and never from 0: only people turn one on or off.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

from bus.messages.votes import Vote
from market.money import ZERO

OUTCOMES: Final = 100
PRIOR: Final = 20
LEAST_FACTOR: Final = 0.5
MOST_FACTOR: Final = 1.5


def outcomes_of(votes: Iterable[Vote], profit: Decimal) -> Mapping[str, bool]:
    """By alpha, whether it was right about an entry that ended with this profit (in quote, after fees)."""
    if profit == ZERO:
        return {}
    earned = profit > ZERO
    return {
        vote.alpha: (vote.action == "trail_buy") == earned for vote in votes
        if vote.action != "hold" and not vote.is_strategy
    }


def factor_of(outcomes: Sequence[bool]) -> float:
    """What the last outcomes make of a weight: 0.5 to 1.5, 1 without any."""
    last = outcomes[-OUTCOMES:]
    share = (sum(last) + PRIOR / 2) / (len(last) + PRIOR)
    return min(MOST_FACTOR, max(LEAST_FACTOR, 2.0 * share))


def adapted(base: float, outcomes: Sequence[bool]) -> float:
    """The weight (0-1) that these outcomes make of `base` (0-1)."""
    if base <= 0.0:
        return 0.0
    return min(1.0, max(0.01, round(base * factor_of(outcomes), 2)))
