"""Market structure: breaks of swing highs and lows, bounces off them, and the chart patterns swings make."""

from typing import Final

from agents.alphas.alpha import MarketView, Opinion, clamp, hold, no_opinion, price_text, trail_ratio, urgency_of

CHART_WORDS: Final = (
    ("chart_head_shoulders", "inverse head and shoulders", "head and shoulders"),
    ("chart_double", "double bottom", "double top"),
    ("chart_triangle", "triangle left upwards", "triangle left downwards"),
    ("chart_flag", "bull flag", "bear flag"),
)
"""Feature, and what it is called when it points up and down; the weightier pattern first."""

CANDLE_NAMES: Final = ("candle_engulfing", "candle_morning_star", "candle_evening_star")
"""Candlesticks that speak of a turn, up as much as down (a hammer and its mirror have different rules)."""


class Structure:
    """Buys a close through resistance, a rejection at support or a bullish chart pattern; sells the mirror.

    Resistance and support are the nearest of the last five swing points as they stood before this candle; the more
    swings turned there, the more a break or a bounce means.
    """

    name = "structure"
    version = "3"

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
        side, words = _chart(view)
        if side:
            return _pattern(view, side, words, trend)
        return hold(view, f"between support {price_text(support)} and resistance {price_text(resistance)}")


def _break(view: MarketView, side: float, beyond_atr: float, level: float, trend: float) -> Opinion:
    """`beyond_atr`: how far past the level the candle closed, in average ranges: a hair is no break."""
    volume_ratio = view.features.get("volume_ratio", 1.0)
    touches = _touches(view, side)
    chart, words = _chart(view)
    confidence = clamp(
        0.38
        + 0.25 * clamp(beyond_atr / 0.8)
        + 0.15 * clamp((volume_ratio - 0.8) / 1.2)
        + 0.10 * side * trend
        + 0.04 * clamp(touches - 1.0, 0.0, 2.0)
        + 0.06 * side * chart,
        0.0,
        0.9,
    )
    word = "broke resistance" if side > 0.0 else "lost support"
    return Opinion(
        "trail_buy" if side > 0.0 else "trail_sell",
        confidence,
        trail_ratio(view),
        urgency_of(confidence),
        f"price {word} {price_text(level)}{_times(touches)} by {beyond_atr:.1f} ATR on {volume_ratio:.1f}x volume, "
        f"{_trend_word(trend)}{f'; {words}' if words else ''}",
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
    touches = _touches(view, -side)
    chart, words = _chart(view)
    confidence = clamp(
        0.52
        + 0.12 * clamp((volume_ratio - 0.8) / 1.2)
        + 0.12 * side * trend
        + 0.04 * clamp(touches - 1.0, 0.0, 2.0)
        + 0.06 * clamp(side * _candle(view), -1.0, 1.0)
        + 0.06 * side * chart,
        0.0,
        0.85,
    )
    return Opinion(
        "trail_buy" if side > 0.0 else "trail_sell",
        confidence,
        trail_ratio(view),
        urgency_of(confidence),
        f"price was turned away at {'support' if side > 0.0 else 'resistance'} {price_text(level)}{_times(touches)} "
        f"on {volume_ratio:.1f}x volume, {_trend_word(trend)}{f'; {words}' if words else ''}",
    )


def _pattern(view: MarketView, side: float, words: str, trend: float) -> Opinion:
    """A chart pattern alone, between the levels."""
    confidence = clamp(
        0.48
        + 0.10 * side * trend
        + 0.06 * clamp(side * _candle(view), -1.0, 1.0)
        + 0.08 * clamp((view.features.get("volume_ratio", 1.0) - 0.8) / 1.2),
        0.0,
        0.8,
    )
    return Opinion(
        "trail_buy" if side > 0.0 else "trail_sell", confidence, trail_ratio(view), urgency_of(confidence),
        f"{words}, {_trend_word(trend)}",
    )


def _chart(view: MarketView) -> tuple[float, str]:
    """Which way the chart patterns point together (-1, 0, 1), and the weightiest in words with its target.

    A measured move that the price has made is used up: such a pattern points nowhere any more.
    """
    features = view.features
    total = sum(features.get(name, 0.0) for name, _, _ in CHART_WORDS)
    if not total:
        return 0.0, ""
    side = 1.0 if total > 0.0 else -1.0
    word = next(up if side > 0.0 else down for name, up, down in CHART_WORDS if features.get(name) == side)
    target = features.get("chart_target")
    if target is not None and target > 0.0 and side * (target - features["close"]) <= 0.0:
        return 0.0, ""
    return side, f"{word} points to {price_text(target)}" if target is not None and target > 0.0 else word


def _candle(view: MarketView) -> float:
    features = view.features
    return sum(features.get(name, 0.0) for name in CANDLE_NAMES)


def _touches(view: MarketView, side: float) -> float:
    return view.features.get("resistance_touches" if side > 0.0 else "support_touches", 0.0)


def _times(touches: float) -> str:
    return f" (touched {touches:.0f}x)" if touches > 1.0 else ""


def _trend_word(trend: float) -> str:
    return "swings rise" if trend > 0.0 else "swings fall" if trend < 0.0 else "swings are mixed"
