"""TJR: liquidity below a low is swept, structure breaks upward, and the retrace into the imbalance is bought."""

from collections import deque
from dataclasses import dataclass

from agents.strategies.candle_rule import Context, RuleError, require_positive, require_whole
from market.indicators import AverageTrueRange
from market.indicators_window import SwingPoints


@dataclass(slots=True)
class _Setup:
    """One setup under way. Prices in quote; `age` candles since its last step; the imbalance is (bottom, top)."""

    level: float
    low: float
    structure: float
    age: int = 0
    is_broken: bool = False
    imbalance: tuple[float, float] | None = None


class LiquiditySweep:
    """Long side of the sweep, break, retrace sequence:

    1. Sweep: a candle trades below the newest swing low, where stops lie, and closes at or above it again. A close
       below before the break is no sweep: the setup is void.
    2. Break of structure: within `patience` candles a close above the newest swing high from before the sweep.
    3. Imbalance: a gap of three candles (this low above the high two candles before) in the move since the sweep; the
       newest one counts, and one that completes while the retrace is awaited as well.
    4. Retrace: within `patience` candles after the break a candle trades into the gap and closes not below its bottom:
       buy. A close below the gap's bottom is the end of the setup.

    swing: candles on each side of a swing point, which is known so many candles later (3). patience: candles per step
    (24). The stop is one of stop_atr: in ATR(14) (1.5), stop_percent: a ratio of price (0.015 = 1.5 %), stop_quote:
    money per coin (1500), below the close; target = stop x reward (2). direction: 1; -1, the short side, is refused.
    Source: the publicly taught method of TJR (TJR Trades), after the sweep, shift and fair value gap model of ICT; the
    stops and rewards are those of the swarm (1000/1500/2000 quote, 1.5/2/2.5).
    """

    def __init__(
        self, swing: int = 3, patience: int = 24, stop_atr: float = 0.0, stop_percent: float = 0.0,
        stop_quote: float = 0.0, reward: float = 2.0, direction: int = 1,
    ) -> None:
        if direction != 1:
            raise RuleError(f"tjr: direction={direction}: a short-only strategy; spot trading is long only, write 1")
        require_whole("tjr", 1, swing=swing, patience=patience)
        require_positive("tjr", reward=reward)
        chosen = [each for each in (stop_atr, stop_percent, stop_quote) if each]
        if len(chosen) > 1 or any(each < 0 for each in chosen) or stop_percent > 0.5:
            raise RuleError(
                f"tjr: stop_atr={stop_atr}, stop_percent={stop_percent}, stop_quote={stop_quote}: write one of the "
                "three, above 0 (a percent stop as a ratio, at most 0.5)"
            )
        self._stop_atr = stop_atr if chosen else 1.5
        self._stop_percent, self._stop_quote, self._reward = stop_percent, stop_quote, reward
        self._patience = patience
        self._highs, self._lows = SwingPoints(side=int(swing)), SwingPoints(side=int(swing), low=True)
        self._range = AverageTrueRange(14)
        self._last_highs: deque[float] = deque(maxlen=2)
        self._setup: _Setup | None = None

    def on_candle(self, context: Context) -> None:
        atr = self._range.update(context.high, context.low, context.close)
        if context.quantity or context.is_waiting:
            self._setup = None
        else:
            self._step(context, atr)
        # Swings and highs are learnt after the candle was judged: a sweep is of levels from before it.
        self._highs.update(context.high)
        self._lows.update(context.low)
        self._last_highs.append(context.high)

    def _step(self, context: Context, atr: float | None) -> None:
        setup = self._setup
        if setup is None:
            self._setup = self._sweep(context)
            return
        setup.age += 1
        if setup.age > self._patience:
            self._setup = self._sweep(context)
            return
        gap_bottom = self._last_highs[0] if len(self._last_highs) == 2 else context.low
        if setup.is_broken and setup.imbalance is not None:
            bottom, top = setup.imbalance
            if context.close < bottom:
                self._setup = self._sweep(context)
                return
            if context.low <= top:
                self._buy(context, atr, setup)
                return
        if not setup.is_broken:
            if context.close < setup.level:
                self._setup = None
                return
            setup.low = min(setup.low, context.low)
        if context.low > gap_bottom:
            setup.imbalance = (gap_bottom, context.low)
        if not setup.is_broken and context.close > setup.structure:
            setup.is_broken, setup.age = True, 0

    def _sweep(self, context: Context) -> _Setup | None:
        if not self._lows.points or not self._highs.points:
            return None
        level, structure = self._lows.points[-1][0], self._highs.points[-1][0]
        if not context.low < level <= context.close < structure:
            return None
        return _Setup(level, context.low, structure)

    def _buy(self, context: Context, atr: float | None, setup: _Setup) -> None:
        stop = self._stop_ratio(context.close, atr)
        if stop is None:
            return
        self._setup = None
        bottom, top = setup.imbalance or (0.0, 0.0)
        told = f"{setup.level:g} was swept to {setup.low:g}, {setup.structure:g} broken"
        context.buy(stop=stop, target=stop * self._reward, why=f"{told}, {bottom:g} to {top:g} retraced")

    def _stop_ratio(self, close: float, atr: float | None) -> float | None:
        if self._stop_percent:
            return self._stop_percent
        distance = self._stop_quote or (self._stop_atr * atr if atr is not None else 0.0)
        ratio = distance / close
        return ratio if 0.0 < ratio <= 0.5 else None
