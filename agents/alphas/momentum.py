"""Momentum: where it fades (divergences over several intervals), and where it carries on.

A divergence is a new low (high) of price that RSI or MACD do not confirm: the move has lost its strength. Where the
divergences of this and the longer intervals agree, price is expected to turn. Else a move under way is followed if RSI,
MACD and the slope of price point the same way and the longer intervals do not object.
"""

from typing import Final

from agents.alphas.alpha import MarketView, Opinion, clamp, hold, no_opinion, trail_ratio, urgency_of

WEAK: Final = 0.35
"""Below this mean strength (0-1) there is nothing to say."""

EXHAUSTED: Final = 75.0
"""Following a rise at an RSI above this (a fall below 100 minus this) comes too late."""

AGREED: Final = 2
"""Divergences that must point one way, more than point the other, before a turn is spoken of."""


class Momentum:
    """Speaks of a turn when divergences agree, else follows a move under way.

    Strength of a move is the weighted mean of three measures, each -1 to 1, in units of the ATR.
    """

    name = "momentum"
    version = "2"

    def opinion(self, view: MarketView) -> Opinion:
        features = view.features
        rsi, histogram = features.get("rsi_14"), features.get("macd_histogram")
        slope, atr = features.get("slope_10"), features.get("atr_14")
        if rsi is None or histogram is None or slope is None or atr is None:
            return no_opinion(f"needs 34 candles, has {len(view.closes)}")
        if atr <= 0.0:
            return hold(view, "price does not move")
        turn = _turn(view, slope)
        if turn is not None:
            return turn
        drift = 9.0 * slope / atr  # how many average ranges the fitted line climbs over its 10 closes
        score = (
            0.25 * clamp((rsi - 50.0) / 20.0, -1.0, 1.0)
            + 0.35 * clamp(histogram / (0.25 * atr), -1.0, 1.0)
            + 0.40 * clamp(drift / 3.0, -1.0, 1.0)
        )
        strength = abs(score)
        if strength < WEAK:
            return hold(view, f"no clear direction: RSI {rsi:.0f}, 10 candles drifted {drift:+.1f} ATR")
        side = 1.0 if score > 0.0 else -1.0
        if 50.0 + side * (rsi - 50.0) > EXHAUSTED:
            return hold(view, f"RSI {rsi:.0f} is exhausted: too late to follow")
        agreement, agreeing, asked = _agreement(view, side)
        if agreement < 0.0:
            return hold(view, f"{asked - agreeing} of {asked} longer intervals disagree with RSI {rsi:.0f}")
        straightness = clamp((features.get("efficiency_20", 0.0) - 0.3) / 0.4)
        warning = 0.15 if side * features.get("divergence", 0.0) < 0.0 else 0.0
        confidence = clamp(0.2 + 0.5 * strength + 0.1 * agreement + 0.15 * straightness - warning, 0.0, 0.9)
        return Opinion(
            "trail_buy" if side > 0.0 else "trail_sell",
            confidence,
            trail_ratio(view),
            urgency_of(confidence),
            f"RSI {rsi:.0f}, MACD {'above' if histogram > 0.0 else 'below'} its signal, 10 candles drifted "
            f"{drift:+.1f} ATR; {agreeing} of {asked} longer intervals agree",
        )


def _turn(view: MarketView, slope: float) -> Opinion | None:
    """A turn that the divergences agree on and price has begun."""
    bullish: list[str] = []
    bearish: list[str] = []
    for interval, features in ((view.interval, view.features), *view.higher.items()):
        for name, word in (("divergence", "RSI"), ("macd_divergence", "MACD")):
            value = features.get(name, 0.0)
            if value:
                (bullish if value > 0.0 else bearish).append(f"{word} {interval}")
    net = len(bullish) - len(bearish)
    side = 1.0 if net > 0 else -1.0
    if abs(net) < AGREED or side * slope <= 0.0:
        return None
    far = side * (view.features["rsi_14"] - 50.0)  # a turn that has run is no turn any more
    confidence = clamp(0.50 + 0.08 * (abs(net) - AGREED) + 0.10 * clamp(-far / 20.0, -1.0, 1.0), 0.0, 0.9)
    return Opinion(
        "trail_buy" if side > 0.0 else "trail_sell",
        confidence,
        trail_ratio(view),
        urgency_of(confidence),
        f"{'bullish' if side > 0.0 else 'bearish'} divergence of {', '.join(bullish if side > 0.0 else bearish)}: "
        f"the {'fall' if side > 0.0 else 'rise'} lost its strength and price turns, RSI {view.features['rsi_14']:.0f}",
    )


def _agreement(view: MarketView, side: float) -> tuple[float, int, int]:
    """Mean agreement of the longer intervals with `side` (-1 to 1), how many agree, how many were asked.

    An interval says its direction when price and its slope lie on the same side of its 12-candle average.
    """
    votes: list[float] = []
    for features in view.higher.values():
        slope, average, close = features.get("slope_10"), features.get("ema_12"), features.get("close")
        if slope is None or average is None or close is None:
            continue
        direction = 1.0 if slope > 0.0 and close > average else -1.0 if slope < 0.0 and close < average else 0.0
        votes.append(side * direction)
    if not votes:
        return 0.0, 0, 0
    return sum(votes) / len(votes), sum(1 for vote in votes if vote > 0.0), len(votes)
