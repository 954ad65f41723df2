"""Mean reversion: what fell far below its mean is bought and sold back at the mean."""

from agents.strategies.candle_rule import Context, require_positive, require_whole, stop_of
from market.indicators import AverageTrueRange, BollingerBands, SimpleMovingAverage


class MeanReversion:
    """Buy a close below mean - k deviations, leave at the mean, after `hold` candles, or at the stop.

    window: candles of the simple mean and its population deviation (20). k: deviations (2). trend: only above the mean
    of so many candles, so that a falling market is not caught (100; 0 = off). hold: longest time in candles (48; 0 =
    for ever). stop_atr: the protective stop in ATR(14) of the signal candle (3).
    Source: J. Bollinger, Bollinger on Bollinger Bands (2001); the trend filter and the exit at the mean: L. Connors and
    C. Alvarez, Short Term Trading Strategies That Work (2008).
    """

    def __init__(
        self, window: int = 20, k: float = 2.0, trend: int = 100, hold: int = 48, stop_atr: float = 3.0,
    ) -> None:
        require_whole("mean_reversion", 2, window=window)
        require_whole("mean_reversion", 0, trend=trend, hold=hold)
        require_positive("mean_reversion", k=k, stop_atr=stop_atr)
        self._bands = BollingerBands(int(window), k)
        self._trend = SimpleMovingAverage(int(trend)) if trend else None
        self._range = AverageTrueRange(14)
        self._hold, self._stop_atr = hold, stop_atr
        self._held = 0

    def on_candle(self, context: Context) -> None:
        close, bands = context.close, self._bands
        bands.update(close)
        atr = self._range.update(context.high, context.low, close)
        trend = self._trend.update(close) if self._trend is not None else None
        self._held = self._held + 1 if context.quantity else 0
        if context.is_waiting or bands.value is None or bands.lower is None:
            return
        if context.quantity:
            if close >= bands.value:
                context.sell(why=f"back at the mean: {close:g}, mean {bands.value:g}")
            elif 0 < self._hold <= self._held:
                context.sell(why=f"not back at the mean after {self._held} candles")
            return
        if self._trend is not None and (trend is None or close <= trend):
            return
        if close < bands.lower and atr is not None:
            context.buy(
                stop=stop_of(self._stop_atr * atr, close), why=f"{close:g} is below the band {bands.lower:g}",
            )
