"""Breakout: a close above the highest high of the channel is followed, with a stop two ranges away."""

from agents.strategies.candle_rule import Context, require_positive, require_whole, stop_of
from market.indicators import AverageTrueRange, SimpleMovingAverage
from market.indicators_window import RollingExtreme


class Breakout:
    """Buy a close above the highest high of the `entry` candles before it, leave below the lowest low of
    `exit` candles.

    entry, exit: candles of the channels (20 and 10). atr: of Wilder's average true range N (20). stop_atr: the
    protective stop in N (2). volume: least volume of the breaking candle over its mean of 20 candles (0 = any). After
    a stop a new break is needed: the close must have been inside the channel once.
    Source: Donchian's channel as the Turtles' System 1, in C. Faith, Way of the Turtle (2007), without its filter and
    without pyramiding.
    """

    def __init__(
        self, entry: int = 20, exit: int = 10, atr: int = 20, stop_atr: float = 2.0, volume: float = 0.0,
    ) -> None:
        require_whole("breakout", 1, entry=entry, exit=exit, atr=atr)
        require_positive("breakout", stop_atr=stop_atr)
        self._highest, self._lowest = RollingExtreme(int(entry)), RollingExtreme(int(exit), lowest=True)
        self._range = AverageTrueRange(int(atr))
        self._usual_volume = SimpleMovingAverage(20)
        self._stop_atr, self._least_volume = stop_atr, volume
        self._is_inside = False

    def on_candle(self, context: Context) -> None:
        close = context.close
        high, low, usual = self._highest.value, self._lowest.value, self._usual_volume.value
        self._highest.update(context.high)
        self._lowest.update(context.low)
        self._usual_volume.update(context.volume)
        atr = self._range.update(context.high, context.low, close)
        was_inside = self._is_inside
        self._is_inside = high is not None and close <= high
        if context.is_waiting or high is None or low is None:
            return
        if context.quantity:
            if close < low:
                context.sell(why=f"{close:g} fell below {low:g}, the channel's low")
            return
        if close > high and was_inside and atr is not None and self._has_volume(context.volume, usual):
            context.buy(stop=stop_of(self._stop_atr * atr, close), why=f"{close:g} broke {high:g}, the channel's high")

    def _has_volume(self, volume: float, usual: float | None) -> bool:
        if self._least_volume <= 0.0:
            return True
        return usual is not None and usual > 0.0 and volume >= self._least_volume * usual
