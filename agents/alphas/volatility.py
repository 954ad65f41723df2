"""Volatility: a sudden expansion of range that carries price out of its last 20 candles."""

from typing import Final

from agents.alphas.alpha import (
    TRAIL_ATR,
    UNDECIDED,
    MarketView,
    Opinion,
    clamp,
    hold,
    no_opinion,
    trail_ratio,
    urgency_of,
)
from bus.messages.council import Regime

EXPANSION: Final = 1.3
"""A candle's true range over the ATR before it, from which a break counts as one."""

TRAIL_FACTOR_BY_REGIME: Final[dict[Regime, float]] = {
    "calm": 0.75, "ranging": 1.0, "trending": 1.0, "unknown": 1.0, "volatile": 1.5,
}
"""Calm markets are trailed closer, wild ones need room."""


class Volatility:
    """Follows breakouts on widening range; its trail distance, told with every opinion, follows ATR and regime."""

    name = "volatility"
    version = "2"

    def opinion(self, view: MarketView) -> Opinion:
        features = view.features
        expansion, atr = features.get("range_expansion"), features.get("atr_14")
        highest, lowest = features.get("highest_20"), features.get("lowest_20")
        if atr is not None and atr <= 0.0:
            return hold(view, "price does not move")
        if expansion is None or atr is None or highest is None or lowest is None:
            return no_opinion(f"needs 21 candles, has {len(view.closes)}")
        multiple = TRAIL_ATR * TRAIL_FACTOR_BY_REGIME[view.regime]
        trail = trail_ratio(view, multiple)
        room = f"trail {multiple:.1f} ATR = {100.0 * trail:.2f} %"
        close = features["close"]
        if lowest <= close <= highest:
            return _wait(trail, f"price stays within its last 20 candles, range {expansion:.1f}x ATR; {room}")
        if expansion < EXPANSION:
            return _wait(trail, f"price left its last 20 candles on a range of only {expansion:.1f}x ATR; {room}")
        side = 1.0 if close > highest else -1.0
        beyond = (close - highest if side > 0.0 else lowest - close) / atr
        high, low = features["high"], features["low"]
        # Where in its own range the candle closed: 1 is at the end the break points to.
        finish = clamp(0.5 + side * (close - (high + low) / 2.0) / (high - low)) if high > low else 1.0
        confidence = clamp(
            0.35
            + 0.20 * clamp((expansion - EXPANSION) / 1.2)
            + 0.15 * clamp(beyond / 0.8)
            + 0.15 * finish
            + 0.10 * clamp((features.get("volume_ratio", 1.0) - 1.0) / 2.0),
            0.0,
            0.9,
        )
        return Opinion(
            "trail_buy" if side > 0.0 else "trail_sell",
            confidence,
            trail,
            urgency_of(confidence),
            f"range {expansion:.1f}x ATR carried price {beyond:.1f} ATR {'above' if side > 0.0 else 'below'} "
            f"its last 20 candles; {room}",
        )


def _wait(trail: float, reasoning: str) -> Opinion:
    return Opinion("hold", UNDECIDED, trail, "low", reasoning)
