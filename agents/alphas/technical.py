"""The technical strategy: points for RSI, moving averages and MACD; plain, and therefore of little weight."""

from typing import Final

from agents.alphas.alpha import MarketView, Opinion, hold, no_opinion, trail_ratio, urgency_of

RSI_POINTS: Final = 30.0
AVERAGES_POINTS: Final = 25.0
MACD_POINTS: Final = 20.0


class Technical:
    """RSI beyond 30/70 gives 30 points, SMA 20 against SMA 50 gives 25, MACD against its signal 20.

    Confidence is the winning side's points in percent, so 0.75 at most; none or a tie is a hold at 0.5,
    insufficient data a hold at 0.
    """

    name = "technical"
    version = "1"

    def opinion(self, view: MarketView) -> Opinion:
        features = view.features
        rsi, histogram = features.get("rsi_14"), features.get("macd_histogram")
        short, long, atr = features.get("sma_20"), features.get("sma_50"), features.get("atr_14")
        if rsi is None or histogram is None or short is None or long is None or atr is None:
            return no_opinion(f"needs 50 candles, has {len(view.closes)}")
        if atr <= 0.0:
            return hold(view, "price does not move")
        buy, sell = 0.0, 0.0
        words = [f"RSI {rsi:.0f}"]
        if rsi < 30.0:
            buy += RSI_POINTS
        elif rsi > 70.0:
            sell += RSI_POINTS
        if short > long:
            buy += AVERAGES_POINTS
            words.append("SMA 20 above SMA 50")
        elif short < long:
            sell += AVERAGES_POINTS
            words.append("SMA 20 below SMA 50")
        if histogram > 0.0:
            buy += MACD_POINTS
            words.append("MACD above its signal")
        elif histogram < 0.0:
            sell += MACD_POINTS
            words.append("MACD below its signal")
        reasoning = f"{', '.join(words)}: {buy:.0f} points to buy, {sell:.0f} to sell"
        if buy == sell:
            return hold(view, reasoning)
        confidence = max(buy, sell) / 100.0
        return Opinion(
            "trail_buy" if buy > sell else "trail_sell",
            confidence, trail_ratio(view), urgency_of(confidence), reasoning,
        )
