"""Technical indicators, one update per closed candle, float64. `value` is None until there is enough data.

The conventions are TA-Lib's (its C sources `ta_RSI.c`, `ta_ATR.c`, `ta_MACD.c`, `ta_EMA.c`, `ta_BBANDS.c`, in
the default compatibility mode): an EMA begins at the simple mean of its first window, Wilder's averages at
the simple mean of the first `period` changes. Windowed means are summed anew at each candle, which costs a
microsecond and leaves no drift however long the process runs.
"""

from collections import deque
from math import sqrt


class SimpleMovingAverage:
    """Mean of the last `period` values."""

    __slots__ = ("_window", "period", "value")

    def __init__(self, period: int) -> None:
        self.period = period
        self.value: float | None = None
        self._window: deque[float] = deque(maxlen=period)

    def update(self, price: float) -> float | None:
        window = self._window
        window.append(price)
        if len(window) == self.period:
            self.value = sum(window) / self.period
        return self.value


class ExponentialMovingAverage:
    """Smoothing 2 / (period + 1), begun at the simple mean of the last `period` of the first `seed_length` values.

    `seed_length` is longer than `period` only inside the MACD, whose two averages begin together.
    """

    __slots__ = ("_first", "_seed_length", "_smoothing", "period", "value")

    def __init__(self, period: int, seed_length: int = 0) -> None:
        self.period = period
        self.value: float | None = None
        self._smoothing = 2.0 / (period + 1)
        self._seed_length = max(seed_length, period)
        self._first: list[float] = []

    def update(self, price: float) -> float | None:
        if self.value is not None:
            self.value += self._smoothing * (price - self.value)
            return self.value
        self._first.append(price)
        if len(self._first) == self._seed_length:
            self.value = sum(self._first[-self.period :]) / self.period
            self._first.clear()
        return self.value


class RelativeStrengthIndex:
    """Wilder's RSI, 0-100 (New Concepts in Technical Trading Systems, 1978).

    As in TA-Lib (0.8: without the epsilon of its older releases, which took the changes of a coin at 1e-12 for
    nothing) it is 0 while no price has ever moved: whoever reads it must ask whether anything moved.
    """

    __slots__ = ("_changes", "_gain", "_last", "_loss", "period", "value")

    def __init__(self, period: int = 14) -> None:
        self.period = period
        self.value: float | None = None
        self._last: float | None = None
        self._changes = 0
        self._gain = 0.0
        self._loss = 0.0

    def update(self, close: float) -> float | None:
        if self._last is None:
            self._last = close
            return None
        change = close - self._last
        self._last = close
        gain, loss = (change, 0.0) if change > 0.0 else (0.0, -change)
        period = self.period
        if self._changes < period:
            self._gain += gain
            self._loss += loss
            self._changes += 1
            if self._changes < period:
                return None
            self._gain /= period
            self._loss /= period
        else:
            self._gain = (self._gain * (period - 1) + gain) / period
            self._loss = (self._loss * (period - 1) + loss) / period
        total = self._gain + self._loss
        self.value = 100.0 * (self._gain / total) if total > 0.0 else 0.0
        return self.value


class AverageTrueRange:
    """Wilder's ATR: smoothed true range, in quote. `true_range` is the newest candle's own."""

    __slots__ = ("_count", "_last_close", "_sum", "period", "true_range", "value")

    def __init__(self, period: int = 14) -> None:
        self.period = period
        self.value: float | None = None
        self.true_range: float | None = None
        self._last_close: float | None = None
        self._count = 0
        self._sum = 0.0

    def update(self, high: float, low: float, close: float) -> float | None:
        last, self._last_close = self._last_close, close
        if last is None:
            return None
        true_range = max(high, last) - min(low, last)
        self.true_range = true_range
        if self.value is not None:
            self.value = (self.value * (self.period - 1) + true_range) / self.period
            return self.value
        self._sum += true_range
        self._count += 1
        if self._count == self.period:
            self.value = self._sum / self.period
        return self.value


class MovingAverageConvergenceDivergence:
    """MACD line, its signal line and their difference, in quote (Appel).

    As in TA-Lib the fast average begins where the slow one does, and nothing is told before the signal
    line is there (candle 34 for 12, 26, 9).
    """

    __slots__ = ("_fast", "_signal", "_slow", "histogram", "signal", "value")

    def __init__(self, fast: int = 12, slow: int = 26, signal: int = 9) -> None:
        self._fast = ExponentialMovingAverage(fast, slow)
        self._slow = ExponentialMovingAverage(slow)
        self._signal = ExponentialMovingAverage(signal)
        self.value: float | None = None
        self.signal: float | None = None
        self.histogram: float | None = None

    def update(self, close: float) -> float | None:
        fast, slow = self._fast.update(close), self._slow.update(close)
        if fast is None or slow is None:
            return None
        line = fast - slow
        signal = self._signal.update(line)
        if signal is None:
            return None
        self.value, self.signal, self.histogram = line, signal, line - signal
        return line


class BollingerBands:
    """Mean of the last `period` closes and `width` population standard deviations each side (Bollinger).

    The deviation is taken in two passes: on flat prices it is exactly 0, where running sums leave noise.
    """

    __slots__ = ("_window", "deviation", "lower", "period", "upper", "value", "width")

    def __init__(self, period: int = 20, width: float = 2.0) -> None:
        self.period = period
        self.width = width
        self.value: float | None = None
        self.deviation: float | None = None
        self.upper: float | None = None
        self.lower: float | None = None
        self._window: deque[float] = deque(maxlen=period)

    def update(self, close: float) -> float | None:
        window = self._window
        window.append(close)
        if len(window) < self.period:
            return None
        # Deviations from the newest close are small numbers: their mean and squares lose no digits.
        offsets = [price - close for price in window]
        shift = sum(offsets) / self.period
        middle = close + shift
        deviation = sqrt(sum([(offset - shift) ** 2 for offset in offsets]) / self.period)
        self.value, self.deviation = middle, deviation
        self.upper = middle + self.width * deviation
        self.lower = middle - self.width * deviation
        return middle
