"""Mean reversion: price stretched far from its Bollinger mean, RSI at an extreme, and no trend behind it."""

from typing import Final

from agents.alphas.alpha import MarketView, Opinion, clamp, hold, no_opinion, trail_ratio, urgency_of

STRETCHED: Final = 1.8
"""Standard deviations from the mean from which a return is likely enough to speak of."""

RSI_LOW: Final = 35.0
STRAIGHT: Final = 0.5
"""An efficiency ratio from here on is a trend: standing in its way is no reversion."""


class MeanReversion:
    """Buys what fell too far within a range, sells what rose too far."""

    name = "mean_reversion"
    version = "1"

    def opinion(self, view: MarketView) -> Opinion:
        features = view.features
        z, rsi = features.get("bollinger_z"), features.get("rsi_14")
        efficiency, atr = features.get("efficiency_20"), features.get("atr_14")
        if z is None or rsi is None or efficiency is None or atr is None:
            return no_opinion(f"needs 21 candles, has {len(view.closes)}")
        if atr <= 0.0:
            return hold(view, "price does not move")
        side = 1.0 if z < 0.0 else -1.0
        where = f"{abs(z):.1f} sigma {'below' if side > 0.0 else 'above'} its mean"
        depth = 50.0 - side * (50.0 - rsi)  # the RSI as a buyer sees it: low is stretched
        if abs(z) < STRETCHED or depth > RSI_LOW:
            return hold(view, f"not stretched: RSI {rsi:.0f}, price {where}")
        if efficiency >= STRAIGHT:
            return hold(view, f"price is {where}, but it went there in a straight line ({efficiency:.2f})")
        turning = side * (features["close"] - (features["high"] + features["low"]) / 2.0) > 0.0
        confidence = clamp(
            0.42
            + 0.15 * clamp((abs(z) - STRETCHED) / 1.2)
            + 0.20 * clamp((RSI_LOW - depth) / 15.0)
            + 0.10 * clamp((STRAIGHT - efficiency) / 0.4)
            + (0.08 if turning else 0.0)
            + (0.08 if side * features.get("divergence", 0.0) > 0.0 else 0.0)
            - (0.10 if view.regime == "trending" else 0.0),
            0.0,
            0.9,
        )
        return Opinion(
            "trail_buy" if side > 0.0 else "trail_sell",
            confidence,
            trail_ratio(view),
            urgency_of(confidence),
            f"RSI {rsi:.0f} is {'oversold' if side > 0.0 else 'overbought'} and price is {where}"
            + (", turning back" if turning else ""),
        )
