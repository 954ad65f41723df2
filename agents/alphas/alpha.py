"""What a signal model is: it looks at one symbol after a closed candle and says what it thinks.

An alpha is pure: the same view gives the same opinion; it keeps nothing between two views, so that a
recorded session replays to the same signals. All numbers are float64.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, get_args

from bus.messages.council import Action, Regime, Urgency

TRAIL_ATR: Final = 2.0
"""A usual trail: twice the average true range, so that ordinary noise does not fire it."""

TRAIL_MOST: Final = 0.5
"""No trail is wider than half the price, however wild the market."""

_ACTIONS: Final = frozenset(get_args(Action))
_URGENCIES: Final = frozenset(get_args(Urgency))

UNDECIDED: Final = 0.5
"""Confidence of a hold that was looked at and found empty; it counts as an answer in the quorum."""


@dataclass(frozen=True, slots=True)
class MarketView:
    """One symbol as its newest closed candle of `interval` leaves it.

    The five sequences hold the last candles, oldest first, all of one length, [-1] being the candle opened
    at `ts_open` (UTC ns). `features` holds what is known by name (`market.indicators_features.FEATURE_NAMES`);
    what lacks history is absent. `higher` holds the same for the longer intervals, shortest interval first.
    Nobody may change what a view holds: the analyst goes on using it.
    """

    symbol: str
    interval: str
    ts_open: int
    opens: Sequence[float]
    highs: Sequence[float]
    lows: Sequence[float]
    closes: Sequence[float]
    volumes: Sequence[float]
    features: Mapping[str, float]
    regime: Regime
    higher: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Opinion:
    """What an alpha thinks: confidence 0-1, trail distance as a ratio of price, one sentence with numbers."""

    action: Action
    confidence: float
    trail_ratio: float
    urgency: Urgency
    reasoning: str


class Alpha(Protocol):
    """A signal model. `name` is its key in the weights, `version` changes when its opinions do."""

    name: str
    version: str

    def opinion(self, view: MarketView) -> Opinion:
        """Judge the newest candle. Raising costs this one opinion, nothing else."""
        ...


def no_opinion(reasoning: str) -> Opinion:
    """A hold for want of data: confidence 0, which does not count as an answer."""
    return Opinion("hold", 0.0, 0.0, "low", reasoning)


def hold(view: MarketView, reasoning: str) -> Opinion:
    """A considered hold: there was enough to see, and nothing to act on."""
    return Opinion("hold", UNDECIDED, trail_ratio(view), "low", reasoning)


def trail_ratio(view: MarketView, atr_multiple: float = TRAIL_ATR) -> float:
    """`atr_multiple` average true ranges as a ratio of price; 0 while the range is not known."""
    return min(atr_multiple * view.features.get("atr_ratio", 0.0), TRAIL_MOST)


def urgency_of(confidence: float) -> Urgency:
    """High from 0.8, medium from 0.65."""
    if confidence >= 0.8:
        return "high"
    return "medium" if confidence >= 0.65 else "low"


def clamp(value: float, low: float = 0.0, high: float = 1.0) -> float:
    """`value`, but not outside low..high."""
    return low if value < low else high if value > high else value


def what_is_wrong(opinion: Opinion) -> str:
    """Why this is no opinion the council can use; "" if it is one. Raises whatever a foreign type may raise."""
    if opinion.action not in _ACTIONS:
        return f"action {opinion.action!r} is none of {', '.join(sorted(_ACTIONS))}"
    if opinion.urgency not in _URGENCIES:
        return f"urgency {opinion.urgency!r} is none of low, medium, high"
    if not 0.0 <= opinion.confidence <= 1.0:
        return f"confidence {opinion.confidence!r} is not a number from 0 to 1"
    if not 0.0 <= opinion.trail_ratio < 1.0:
        return f"trail_ratio {opinion.trail_ratio!r} is not a number from 0 to below 1"
    return "" if isinstance(opinion.reasoning, str) else "reasoning is no text"


def price_text(level: float | None) -> str:
    """A price as people read it in a sentence: six digits, or cents from a thousand on."""
    return "unknown" if level is None else f"{level:.6g}" if abs(level) < 1000.0 else f"{level:.2f}"
