"""Trend following: with the long average below and the short one above it, held behind a chandelier stop."""

from agents.strategies.candle_rule import Context, RuleError, require_positive, require_whole, stop_of
from market.indicators import AverageTrueRange, ExponentialMovingAverage, SimpleMovingAverage


class TrendFollowing:
    """Buy when the fast average is above the slow one and the close above both; leave below the chandelier.

    fast: candles of the exponential average (20). slow: of the simple average (100). atr: of the average true range
    (22). trail_atr: the chandelier hangs so many ATRs below the highest high since the entry and never comes down (3);
    an intact trend is entered once, a new entry needs the fast average to have been below the slow one, or a close
    below it. Source: the average as a filter: M. Faber, A Quantitative Approach to Tactical Asset Allocation, Journal
    of Wealth Management (2007); the chandelier exit: C. LeBeau, in A. Elder, Come Into My Trading Room (2002).
    """

    def __init__(self, fast: int = 20, slow: int = 100, atr: int = 22, trail_atr: float = 3.0) -> None:
        require_whole("trend_following", 1, fast=fast, slow=slow, atr=atr)
        require_positive("trend_following", trail_atr=trail_atr)
        if fast >= slow:
            raise RuleError(f"trend_following: fast={fast}, slow={slow}: write a fast one shorter than the slow one")
        self._fast, self._slow = ExponentialMovingAverage(int(fast)), SimpleMovingAverage(int(slow))
        self._range = AverageTrueRange(int(atr))
        self._trail_atr = trail_atr
        self._highest = 0.0
        self._chandelier = 0.0
        self._is_fresh = True

    def on_candle(self, context: Context) -> None:
        close = context.close
        fast, slow = self._fast.update(close), self._slow.update(close)
        atr = self._range.update(context.high, context.low, close)
        if fast is None or slow is None or atr is None:
            return
        if fast <= slow or close <= slow:
            self._is_fresh = True
        if context.quantity:
            self._highest = max(self._highest, context.high)
            self._chandelier = max(self._chandelier, self._highest - self._trail_atr * atr)
            if context.is_waiting:
                return
            if close < self._chandelier:
                context.sell(why=f"{close:g} is below the chandelier at {self._chandelier:g}")
            elif fast < slow:
                context.sell(why=f"the averages crossed down: {fast:g} below {slow:g}")
            return
        self._highest = self._chandelier = 0.0
        if not context.is_waiting and self._is_fresh and fast > slow and close > max(fast, slow):
            self._is_fresh = False
            stop = stop_of(self._trail_atr * atr, close)
            context.buy(stop=stop, why=f"an upward trend: {close:g} above {fast:g} above {slow:g}")
