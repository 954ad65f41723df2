"""Time-series momentum: what rose over the last `lookback` candles is held until it no longer does."""

from collections import deque

from agents.strategies.candle_rule import Context, RuleError, require_positive, require_whole, stop_of
from market.indicators import AverageTrueRange


class Momentum:
    """Buy when the close stands more than `entry` above the close `lookback` candles before, leave when less than
    `exit`.

    lookback: candles (48). entry, exit: ratios (0.02 and 0), entry > exit so that it does not flicker. stop_atr: the
    protective stop in ATR(14) of the signal candle (3). After a stop it waits until momentum was below `entry` once.
    Source: Moskowitz, Ooi and Pedersen, Time Series Momentum, Journal of Financial Economics 104 (2012), long side.
    """

    def __init__(self, lookback: int = 48, entry: float = 0.02, exit: float = 0.0, stop_atr: float = 3.0) -> None:
        require_whole("momentum", 1, lookback=lookback)
        require_positive("momentum", stop_atr=stop_atr)
        if not exit < entry:
            raise RuleError(f"momentum: entry={entry}, exit={exit}: write an exit below the entry")
        self._closes: deque[float] = deque(maxlen=int(lookback) + 1)
        self._range = AverageTrueRange(14)
        self._entry, self._exit, self._stop_atr = entry, exit, stop_atr
        self._is_armed = True

    def on_candle(self, context: Context) -> None:
        close, closes = context.close, self._closes
        closes.append(close)
        atr = self._range.update(context.high, context.low, close)
        if len(closes) < (closes.maxlen or 0) or closes[0] <= 0.0:
            return
        momentum = close / closes[0] - 1.0
        if momentum <= self._entry:
            self._is_armed = True
        if context.is_waiting:
            return
        told = f"{momentum:+.2%} over {len(closes) - 1} candles"
        if context.quantity:
            if momentum < self._exit:
                context.sell(why=f"momentum is gone: {told}, below {self._exit:+.2%}")
        elif momentum > self._entry and self._is_armed and atr is not None:
            self._is_armed = False
            context.buy(stop=stop_of(self._stop_atr * atr, close), why=f"momentum: {told}, above {self._entry:+.2%}")
