"""Regime: does what the kind of market asks for, and says how much room a trail needs in it.

- trending: goes with the trend, if averages, slope and the longer intervals agree on its direction;
- ranging: buys near the bottom of the last 20 candles once price turns up, sells near the top once it turns down;
- volatile: goes only with a move that is as straight as it is wild, else stands aside;
- calm: waits; nothing there pays for its fees.
"""

from typing import Final

from agents.alphas.alpha import UNDECIDED, MarketView, Opinion, clamp, hold, no_opinion, trail_ratio, urgency_of
from bus.messages.council import Regime

TRAIL_ATR_BY_REGIME: Final[dict[Regime, float]] = {
    "trending": 3.0, "ranging": 1.4, "volatile": 4.0, "calm": 1.0, "unknown": 2.0,
}
"""Two ATRs by the factors of trail distances: trending 1.5, ranging 0.7, volatile 2, calm 0.5."""

STRAIGHT: Final = 0.6
EDGE: Final = 0.2
"""Share of the range of 20 candles that counts as its edge."""


class MarketRegime:
    """Reads the regime, then the direction it leaves open."""

    name = "regime"
    version = "1"

    def opinion(self, view: MarketView) -> Opinion:
        features, regime = view.features, view.regime
        slope, efficiency, atr = features.get("slope_10"), features.get("efficiency_20"), features.get("atr_14")
        short, long = features.get("sma_20"), features.get("sma_50")
        if atr is not None and atr <= 0.0:
            return hold(view, "price does not move")
        if regime == "unknown" or slope is None or efficiency is None or atr is None or short is None or long is None:
            return no_opinion(f"needs 50 candles, has {len(view.closes)}")
        if regime == "ranging":
            return _range(view, atr)
        if regime == "calm":
            return _wait(view, "a calm market moves too little to pay for a trade")
        drift = 9.0 * slope / atr  # how many average ranges the fitted line climbs over its 10 closes
        side = 1.0 if drift > 0.0 else -1.0
        if regime == "volatile" and efficiency < STRAIGHT:
            return _wait(view, f"a wild market without direction, efficiency {efficiency:.2f}")
        if abs(drift) < 1.0 or side * (short - long) <= 0.0 or side * (features["close"] - short) <= 0.0:
            return _wait(view, f"{regime}, but averages and a drift of {drift:+.1f} ATR do not agree on where")
        agreeing, asked = _agreeing(view, side)
        if 2 * agreeing < asked:
            return _wait(view, f"{regime}, but {asked - agreeing} of {asked} longer intervals go elsewhere")
        confidence = clamp(
            0.45
            + 0.20 * clamp((efficiency - 0.45) / 0.4)
            + 0.12 * clamp((abs(drift) - 1.0) / 3.0)
            + (0.10 * agreeing / asked if asked else 0.0)
            - (0.08 if regime == "volatile" else 0.0)
            - (0.10 if side * features.get("divergence", 0.0) < 0.0 else 0.0),
            0.0,
            0.9,
        )
        word = "up" if side > 0.0 else "down"
        return _act(
            view, side, confidence,
            f"{regime} {word}: {drift:+.1f} ATR in 10 candles, efficiency {efficiency:.2f}, "
            f"{agreeing} of {asked} longer intervals agree",
        )


def _range(view: MarketView, atr: float) -> Opinion:
    features = view.features
    highest, lowest = features.get("highest_20"), features.get("lowest_20")
    if highest is None or lowest is None or highest - lowest < 2.0 * atr:
        return _wait(view, "the range is no wider than the noise in it")
    close, open_ = features["close"], features["open"]
    place = (close - lowest) / (highest - lowest)
    side = 1.0 if place < 0.5 else -1.0
    depth = place if side > 0.0 else 1.0 - place  # 0 at the edge, 0.5 in the middle
    if not 0.0 <= depth <= EDGE:
        return _wait(view, f"in a range, {100.0 * place:.0f} % of the way up: no edge to act on")
    if side * (close - open_) <= 0.1 * atr:
        return _wait(view, f"at the {'bottom' if side > 0.0 else 'top'} of a range, and not turning yet")
    confidence = clamp(
        0.42
        + 0.15 * (1.0 - depth / EDGE)
        + 0.10 * clamp((highest - lowest) / atr / 8.0)
        + (0.08 if side * features.get("divergence", 0.0) > 0.0 else 0.0),
        0.0,
        0.9,
    )
    return _act(
        view, side, confidence,
        f"turned {'up at the bottom' if side > 0.0 else 'down at the top'} of a range "
        f"{(highest - lowest) / atr:.1f} ATR wide",
    )


def _agreeing(view: MarketView, side: float) -> tuple[int, int]:
    """How many longer intervals slope this way, of how many that know their slope."""
    slopes = [slope for features in view.higher.values() if (slope := features.get("slope_10")) is not None]
    return sum(1 for slope in slopes if side * slope > 0.0), len(slopes)


def _act(view: MarketView, side: float, confidence: float, reasoning: str) -> Opinion:
    return Opinion(
        "trail_buy" if side > 0.0 else "trail_sell", confidence,
        trail_ratio(view, TRAIL_ATR_BY_REGIME[view.regime]), urgency_of(confidence), reasoning,
    )


def _wait(view: MarketView, reasoning: str) -> Opinion:
    return Opinion("hold", UNDECIDED, trail_ratio(view, TRAIL_ATR_BY_REGIME[view.regime]), "low", reasoning)
