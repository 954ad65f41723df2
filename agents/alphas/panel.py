"""Alphas that think elsewhere: those of users and packages, each in a process of its own. The analyst's port to them.

The runtime serves it. An answer that takes time comes back as `OpinionsGathered`; whoever does not answer within the
time limit is in it as skipped, so that nothing a user's model does can hold up the council for longer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from agents.alphas.alpha import MarketView
from bus.messages.council import AlphaSkipped, OpinionsGathered, Regime

FAILED: Final = "ALPHA_FAILED"
"""It raised, or its answer was none."""

TIMED_OUT: Final = "ALPHA_TIMEOUT"
"""It did not answer within its time, and its process was ended; or not before the next candle closed."""

CRASHED: Final = "ALPHA_CRASHED"
"""Its process ended by itself."""

AWAY: Final = "ALPHA_AWAY"
"""It is not there: still loading, resting after a failure, or given up."""

BUSY: Final = "ALPHA_BUSY"
"""It was still at other symbols when the time was over."""


@dataclass(frozen=True, slots=True)
class OutsideAlpha:
    """One of them: `weight` (0-1) is its own wish, for when neither file nor person says another."""

    name: str
    version: str
    weight: float
    regimes: tuple[Regime, ...] = ()


class AlphaPanel(Protocol):
    """All alphas that think elsewhere."""

    def roster(self) -> Sequence[OutsideAlpha]:
        """Who belongs to it now, by name; also those that rest after a failure."""
        ...

    def ask(self, view: MarketView, names: Sequence[str]) -> OpinionsGathered | None:
        """Put the view before these; the answer, or None when it will come as a message (of the same `ts_open`)."""
        ...


class EmptyPanel:
    """Nobody thinks elsewhere."""

    def roster(self) -> Sequence[OutsideAlpha]:
        return ()

    def ask(self, view: MarketView, names: Sequence[str]) -> OpinionsGathered | None:
        """Nobody answers."""
        return OpinionsGathered(view.symbol, view.interval, view.ts_open, (), tuple(
            AlphaSkipped(name, 0.0, AWAY, "there is no such alpha") for name in names
        ))
