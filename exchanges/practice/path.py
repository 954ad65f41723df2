"""The synthetic price path: a log price that switches between calm, trends with pullbacks, and chop.

Pure: the random numbers come from the generator passed in, and time is the number of steps of 100 ms.
Magnitudes at volatility 1: a trend lasts 30-90 s and covers about 1-2 %, its pullbacks 0.1-0.25 %; chop
swings around where it began by some tenths of a percent; calm hardly moves.
"""

import math
from dataclasses import dataclass
from random import Random
from typing import Any, Final

STEPS_PER_SECOND: Final = 10
_ROOT_STEP: Final = math.sqrt(1 / STEPS_PER_SECOND)

CALM: Final = "calm"
UP: Final = "up"
DOWN: Final = "down"
CHOP: Final = "chop"

# regime -> shortest and longest seconds, sigma of the log price per square root of a second
_REGIMES: Final = {
    CALM: (6.0, 18.0, 0.00010),
    UP: (30.0, 90.0, 0.00020),
    DOWN: (30.0, 90.0, 0.00020),
    CHOP: (15.0, 35.0, 0.00045),
}
_HOME: Final = 0.03     # log distance from the start price at which the way back becomes e times likelier
_CHOP_PULL: Final = 0.12  # per second, towards the level at which the chop began


@dataclass(slots=True)
class PricePath:
    """One factor's log price relative to its start; `advance` moves it by one step."""

    volatility: float
    level: float = 0.0
    regime: str = CALM
    steps_left: int = 0
    drift: float = 0.0       # per step
    sigma: float = 0.0       # per step
    pullback_left: int = 0
    centre: float = 0.0      # of the chop
    spread: float = 0.0002   # ratio of price, of this regime

    def advance(self, rng: Random) -> float:
        """The next level."""
        if self.steps_left <= 0:
            self._switch(rng)
        self.steps_left -= 1
        self.level += self._drift_now(rng) + self.sigma * rng.gauss(0.0, 1.0)
        return self.level

    def _drift_now(self, rng: Random) -> float:
        if self.regime == CHOP:
            return (self.centre - self.level) * _CHOP_PULL / STEPS_PER_SECOND
        if self.regime == CALM:
            return 0.0
        if self.pullback_left > 0:
            self.pullback_left -= 1
            return -0.7 * self.drift
        if rng.random() < 1 / (14 * STEPS_PER_SECOND):
            self.pullback_left = rng.randint(2 * STEPS_PER_SECOND, 5 * STEPS_PER_SECOND)
        return self.drift

    def _switch(self, rng: Random) -> None:
        away = self.level / (_HOME * self.volatility)
        weights = {CALM: 0.18, UP: 0.32 * math.exp(-away), DOWN: 0.32 * math.exp(away), CHOP: 0.18}
        if self.regime in (CALM, CHOP):
            del weights[self.regime]
        names = list(weights)
        self.regime = rng.choices(names, [weights[name] for name in names])[0]
        shortest, longest, sigma = _REGIMES[self.regime]
        self.steps_left = int(rng.uniform(shortest, longest) * STEPS_PER_SECOND)
        self.sigma = sigma * self.volatility * _ROOT_STEP
        self.drift = rng.uniform(0.00022, 0.00048) * self.volatility / STEPS_PER_SECOND
        if self.regime == DOWN:
            self.drift = -self.drift
        self.pullback_left = 0
        self.centre = self.level
        self.spread = rng.uniform(0.0001, 0.00025) if self.regime != CHOP else rng.uniform(0.0002, 0.00045)

    def to_state(self) -> list[Any]:
        """All of it, for the state file."""
        return [self.level, self.regime, self.steps_left, self.drift, self.sigma, self.pullback_left, self.centre,
                self.spread]

    def load_state(self, state: list[Any]) -> None:
        """What `to_state` gave."""
        (self.level, self.regime, self.steps_left, self.drift, self.sigma, self.pullback_left, self.centre,
         self.spread) = state


def step_generator(rng: Random, seed: int, factor: int, step: int) -> Random:
    """Seed `rng` for one factor's step: chance depends on the position alone, so no generator state is kept."""
    rng.seed(((seed << 33) | factor) << 64 | step)
    return rng
