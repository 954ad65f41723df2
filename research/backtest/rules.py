"""Trading rules for backtests: one class with `on_candle(context)`, told one closed candle after the other.

What a rule is, `agents.strategies.candle_rule` says. By name there are the strategies of the library, which the daemon
runs as well (`agents.strategies.library`), and two that ship so that anyone can check us against other backtesters:
`sma_cross` and `bollinger_reversion`. A rule sees nothing but the candles up to now; one that computes ahead of time in
`prepare` is checked for look-ahead (`research.backtest.guard`).
"""

import importlib.util
import math
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from agents.strategies.candle_rule import CandleRule, Context, RuleError, build_rule, require_positive, require_whole
from agents.strategies.library import STRATEGIES
from research.backtest.patience import START_LIMIT_S, StuckError, patience
from research.backtest.rule_cage import RULE_MODULE, guard_imports

__all__ = ["BY_NAME", "BollingerReversion", "Context", "Rule", "RuleError", "SmaCross", "make_rule"]

Rule = CandleRule

NEAR: Final = 1e-9
"""Where averages are closer than this (as a ratio of the price), rolling sums do not decide: they are wrong by some
1e-13. What is compared then is summed anew, rounded once (`math.fsum`), as backtrader sums each time."""


class RollingMean:
    """Mean of the last `window` values in constant time; summed anew every `window` values, so errors do not grow."""

    __slots__ = ("_at", "_sum", "_values", "window")

    def __init__(self, window: int) -> None:
        self.window = window
        self._values = [math.nan] * window  # as long as one of them is left, so is the sum
        self._sum = math.nan
        self._at = 0

    def add(self, value: float) -> float:
        """The mean, NaN until `window` values were seen."""
        values, at = self._values, self._at
        total = self._sum + (value - values[at])
        values[at] = value
        at += 1
        if at == self.window:
            at, total = 0, math.fsum(values)
        self._at, self._sum = at, total
        return total / self.window

    def exact(self) -> float:
        """The mean, rounded once; takes time in proportion to the window."""
        return math.fsum(self._values) / self.window


class RollingDeviation:
    """Mean and population standard deviation (divisor n, as Bollinger and TA-Lib) of the last `window` values."""

    __slots__ = ("_age", "_shift", "_squares", "_sum", "_values", "window")

    def __init__(self, window: int) -> None:
        self.window = window
        self._values: deque[float] = deque(maxlen=window)
        self._shift = self._sum = self._squares = 0.0
        self._age = window

    def add(self, value: float) -> tuple[float, float]:
        """(mean, deviation), NaN until `window` values were seen."""
        values = self._values
        is_full = len(values) == self.window
        oldest = values[0] if is_full else 0.0
        values.append(value)
        if len(values) < self.window:
            return math.nan, math.nan
        self._age += 1
        if not is_full or self._age >= self.window:
            # Around the latest value: squares of what is left are small, so nothing cancels.
            self._age, self._shift = 0, value
            self._sum = math.fsum(each - value for each in values)
            self._squares = math.fsum((each - value) ** 2 for each in values)
        else:
            new, old = value - self._shift, oldest - self._shift
            self._sum += new - old
            self._squares += new * new - old * old
        mean = self._sum / self.window
        return self._shift + mean, math.sqrt(max(self._squares / self.window - mean * mean, 0.0))

    def exact(self) -> tuple[float, float]:
        """As `add`, summed anew; takes time in proportion to the window."""
        mean = math.fsum(self._values) / self.window
        return mean, math.sqrt(math.fsum((each - mean) ** 2 for each in self._values) / self.window)


class SmaCross:
    """Buy when the fast simple moving average of closes crosses above the slow one, sell all when it crosses below.

    fast, slow: candles, whole numbers, 1 <= fast < slow. The first sign of (fast - slow) is that at candle number
    slow - 1 (counted from 0); it is no cross. Held nothing and the last sign was -, now fast > slow: buy. Held
    something and the last sign was +, now fast < slow: sell all. Where fast == slow the last sign stands.
    Source: the textbook "golden cross" (J. Murphy, Technical Analysis of the Financial Markets, ch. 9).
    """

    def __init__(self, fast: int = 20, slow: int = 50) -> None:
        require_whole("sma_cross", 1, fast=fast, slow=slow)
        if not fast < slow:
            raise RuleError(f"sma_cross: fast={fast}, slow={slow}: write 1 <= fast < slow")
        self._fast, self._slow = RollingMean(int(fast)), RollingMean(int(slow))
        self._sign = 0

    def on_candle(self, context: Context) -> None:
        close = context.close
        difference = self._fast.add(close) - self._slow.add(close)
        if -close * NEAR <= difference <= close * NEAR:
            difference = self._fast.exact() - self._slow.exact()
        if difference > 0.0:
            before, self._sign = self._sign, 1
            if before < 0 and not context.quantity:
                context.buy()
        elif difference < 0.0:
            before, self._sign = self._sign, -1
            if before > 0 and context.quantity:
                context.sell()


class BollingerReversion:
    """Buy when the close is below the lower band, sell all when it is at or above the middle one.

    window: candles, a whole number >= 2; k > 0. Middle: mean of the last `window` closes, the one at hand among them;
    lower band: middle - k * deviation, the population's (divisor n, not n-1). Held nothing and close < lower: buy. Held
    something and close >= middle: sell all. Nothing before candle number window - 1 (counted from 0).
    Source: J. Bollinger, Bollinger on Bollinger Bands; the band's middle as the target.
    """

    def __init__(self, window: int = 20, k: float = 2.0) -> None:
        require_whole("bollinger_reversion", 2, window=window)
        require_positive("bollinger_reversion", k=k)
        self._bands = RollingDeviation(int(window))
        self._k = k

    def on_candle(self, context: Context) -> None:
        close = context.close
        mean, deviation = self._bands.add(close)
        level = mean if context.quantity else mean - self._k * deviation
        if -close * NEAR <= close - level <= close * NEAR:
            mean, deviation = self._bands.exact()
            level = mean if context.quantity else mean - self._k * deviation
        if context.quantity:
            if close >= level:
                context.sell()
        elif close < level:
            context.buy()


BY_NAME: Final[Mapping[str, Callable[..., Rule]]] = {
    "sma_cross": SmaCross, "bollinger_reversion": BollingerReversion, **STRATEGIES,
}


def make_rule(name: str, parameters: Mapping[str, str | int | float]) -> Rule:
    """A rule of the library, or `FILE.py:CLASS`; raises `RuleError`."""
    try:
        with patience(lambda: None, lambda: f"{name}: not made within {START_LIMIT_S} s", START_LIMIT_S):
            maker = _from_file(name) if ".py" in name else BY_NAME.get(name)
            if maker is None:
                raise RuleError(f"no rule is called {name!r}: there are {', '.join(BY_NAME)}, or FILE.py:CLASS")
            return build_rule(name, maker, parameters)
    except StuckError as error:
        raise RuleError(str(error)) from None
    except RuleError:
        raise
    except Exception as error:  # whatever a rule's own constructor raises is told with its place
        raise RuleError(f"{name}: {type(error).__name__}: {error}") from error


def _from_file(name: str) -> Callable[..., Rule]:
    file, _, cls = name.rpartition(":")
    path = Path(file or name)
    if not file or not path.is_file():
        raise RuleError(f"{name!r}: write FILE.py:CLASS, where FILE.py exists")
    spec = importlib.util.spec_from_file_location(f"{RULE_MODULE}{path.stem}", path)
    if spec is None or spec.loader is None:
        raise RuleError(f"{path}: no Python file")
    module = importlib.util.module_from_spec(spec)
    guard_imports(module)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the user's file raises is told with its place
        raise RuleError(f"{path}: {type(error).__name__}: {error}") from error
    made: Any = getattr(module, cls, None)
    if not isinstance(made, type):
        raise RuleError(f"{path} holds no class {cls!r}")
    maker: Callable[..., Rule] = made
    return maker
