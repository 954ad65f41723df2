"""Market structure: breaks of swing highs and lows, and bounces off them."""

from agents.alphas.alpha import MarketView, Opinion, clamp, hold, no_opinion, trail_ratio, urgency_of


class Structure:
    """Buys a close through resistance or a rejection at support; sells the mirror.

    Resistance and support are the nearest of the last five swing points as they stood before this candle.
    """

    name = "structure"
    version = "1"

    def opinion(self, view: MarketView) -> Opinion:
        features = view.features
        atr, trend = features.get("atr_14"), features.get("swing_trend")
        if atr is None or trend is None:
            return no_opinion(f"needs two swing highs and lows, has seen {len(view.closes)} candles")
        if atr <= 0.0:
            return hold(view, "price does not move")
        close, resistance, support = features["close"], features.get("resistance"), features.get("support")
        if resistance is not None and close > resistance:
            return _break(view, 1.0, (close - resistance) / atr, resistance, trend)
        if support is not None and close < support:
            return _break(view, -1.0, (support - close) / atr, support, trend)
        if support is not None and _rejected(view, 1.0, support, atr):
            return _bounce(view, 1.0, support, trend)
        if resistance is not None and _rejected(view, -1.0, resistance, atr):
            return _bounce(view, -1.0, resistance, trend)
        return hold(view, f"between support {_price(support)} and resistance {_price(resistance)}")


def _break(view: MarketView, side: float, beyond_atr: float, level: float, trend: float) -> Opinion:
    """`beyond_atr`: how far past the level the candle closed, in average ranges: a hair is no break."""
    volume_ratio = view.features.get("volume_ratio", 1.0)
    confidence = clamp(
        0.38
        + 0.25 * clamp(beyond_atr / 0.8)
        + 0.15 * clamp((volume_ratio - 0.8) / 1.2)
        + 0.10 * side * trend,
        0.0,
        0.9,
    )
    word = "broke resistance" if side > 0.0 else "lost support"
    return Opinion(
        "trail_buy" if side > 0.0 else "trail_sell",
        confidence,
        trail_ratio(view),
        urgency_of(confidence),
        f"price {word} {_price(level)} by {beyond_atr:.1f} ATR on {volume_ratio:.1f}x volume, {_trend_word(trend)}",
    )


def _rejected(view: MarketView, side: float, level: float, atr: float) -> bool:
    """The candle came within a quarter range of the level and closed half a range off it, our way."""
    features = view.features
    nearest = features["low"] if side > 0.0 else features["high"]
    away = side * (features["close"] - level)
    return (
        abs(nearest - level) <= 0.25 * atr
        and away >= 0.5 * atr
        and side * (features["close"] - features["open"]) > 0.0
    )


def _bounce(view: MarketView, side: float, level: float, trend: float) -> Opinion:
    volume_ratio = view.features.get("volume_ratio", 1.0)
    confidence = clamp(0.52 + 0.12 * clamp((volume_ratio - 0.8) / 1.2) + 0.12 * side * trend, 0.0, 0.85)
    return Opinion(
        "trail_buy" if side > 0.0 else "trail_sell",
        confidence,
        trail_ratio(view),
        urgency_of(confidence),
        f"price was turned away at {'support' if side > 0.0 else 'resistance'} {_price(level)} "
        f"on {volume_ratio:.1f}x volume, {_trend_word(trend)}",
    )


def _trend_word(trend: float) -> str:
    return "swings rise" if trend > 0.0 else "swings fall" if trend < 0.0 else "swings are mixed"


def _price(level: float | None) -> str:
    return "unknown" if level is None else f"{level:.6g}" if abs(level) < 1000.0 else f"{level:.2f}"
