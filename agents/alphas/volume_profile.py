"""Volume: spikes and whales, and where they leave the prices at which most was traded."""

from typing import Final

from agents.alphas.alpha import MarketView, Opinion, clamp, hold, no_opinion, price_text, trail_ratio, urgency_of

SPIKE: Final = 2.0
"""Volume over its average of 20 candles from which somebody is in a hurry ..."""

SURPRISE: Final = 2.0
"""... if it is also so many standard deviations above the candles before it."""

WHALE: Final = 4.0
"""From so many standard deviations one large hand is likelier than many small ones."""

WHALE_TRADE: Final = 3.0
"""A mean trade so many times the usual one is a whale's, too, where trades are counted."""

PRESSED: Final = 0.2
"""Order flow (-1 to 1) beyond which one side has pressed for 20 candles."""


class VolumeProfile:
    """Follows a candle of unusual volume the way it closed, most of all out of the value area; distrusts one that
    closed in the middle of its range or moved nothing.
    """

    name = "volume_profile"
    version = "1"

    def opinion(self, view: MarketView) -> Opinion:
        features = view.features
        ratio, surprise, flow = (features.get(name) for name in ("volume_ratio", "volume_surprise", "order_flow_20"))
        atr, control = features.get("atr_14"), features.get("point_of_control")
        if atr is not None and atr <= 0.0:
            return hold(view, "price does not move")
        if atr is None or flow is None:
            return no_opinion(f"needs 20 candles, has {len(view.closes)}")
        if control is None or ratio is None:
            return hold(view, "nothing was traded in the last 20 candles")
        if ratio < SPIKE or surprise is None or surprise < SURPRISE:
            return hold(view, f"volume {ratio:.1f}x average is nothing unusual, most traded at {price_text(control)}")
        high, low, close = features["high"], features["low"], features["close"]
        # Where the candle closed in its range, -1 low to 1 high: who won.
        finish = (2.0 * close - high - low) / (high - low) if high > low else 0.0
        moved = close - features["open"]
        side = 1.0 if moved > 0.0 else -1.0
        told = f"volume {ratio:.1f}x average ({surprise:.1f} sigma)"
        if abs(moved) < 0.25 * atr or side * finish < 0.3:
            return hold(view, f"{told}, but neither side won the candle")
        whale = surprise >= WHALE or features.get("trade_size_ratio", 0.0) >= WHALE_TRADE
        place, leaves = _place(view, side, close)
        confidence = clamp(
            0.40
            + 0.12 * clamp((ratio - SPIKE) / 3.0)
            + 0.10 * clamp(abs(moved) / (1.5 * atr))
            + (0.08 if whale else 0.0)
            + (0.10 if leaves else 0.0)
            + 0.10 * clamp(side * flow / (2.0 * PRESSED), -1.0, 1.0),
            0.0,
            0.9,
        )
        return Opinion(
            "trail_buy" if side > 0.0 else "trail_sell",
            confidence,
            trail_ratio(view),
            urgency_of(confidence),
            f"{'a whale' if whale else 'somebody'} {'bought' if side > 0.0 else 'sold'}: {told}, {place}, "
            f"order flow {flow:+.2f}",
        )


def _place(view: MarketView, side: float, close: float) -> tuple[str, bool]:
    """Where the candle ended, in words, and whether it left the value area the way it went."""
    features = view.features
    low, high = features["value_area_low"], features["value_area_high"]
    edge = high if side > 0.0 else low
    beyond = side * (close - edge) > 0.0
    if beyond and side * (features["open"] - edge) <= 0.0:
        return f"out of the value area {price_text(low)} to {price_text(high)}", True
    if beyond:
        return f"{'above' if side > 0.0 else 'below'} the value area", False
    return f"most traded at {price_text(features['point_of_control'])}", False
