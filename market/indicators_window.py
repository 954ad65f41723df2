"""What a stretch of candles looks like: highs and lows, swing points, slope, straightness, session VWAP."""

from collections import deque
from itertools import islice
from math import sqrt
from typing import Final, NamedTuple

from market.interval import SECOND_NS

DAY_NS: Final = 86_400 * SECOND_NS


class RollingExtreme:
    """Highest (or lowest) of the last `period` values; amortised O(1) by a monotonic queue."""

    __slots__ = ("_count", "_queue", "_sign", "period", "value")

    def __init__(self, period: int, *, lowest: bool = False) -> None:
        self.period = period
        self.value: float | None = None
        self._sign = -1.0 if lowest else 1.0
        self._count = 0
        self._queue: deque[tuple[int, float]] = deque()

    def update(self, price: float) -> float | None:
        queue, signed = self._queue, self._sign * price
        while queue and queue[-1][1] <= signed:
            queue.pop()
        queue.append((self._count, signed))
        if queue[0][0] <= self._count - self.period:
            queue.popleft()
        self._count += 1
        if self._count >= self.period:
            self.value = self._sign * queue[0][1]
        return self.value


class SessionVwap:
    """Volume-weighted mean of typical prices (high + low + close) / 3 since 00:00 UTC.

    None before any volume, and for a day whose beginning was not seen: no candle at 00:00, none of the day before.
    """

    __slots__ = ("_day", "_is_whole", "_turnover", "_volume", "value")

    def __init__(self) -> None:
        self.value: float | None = None
        self._day: int | None = None
        self._is_whole = False
        self._turnover = 0.0
        self._volume = 0.0

    def update(self, ts_open: int, high: float, low: float, close: float, volume: float) -> float | None:
        day = ts_open // DAY_NS
        if day != self._day:
            self._is_whole = ts_open % DAY_NS == 0 or (self._day is not None and day == self._day + 1)
            self._day, self._turnover, self._volume, self.value = day, 0.0, 0.0, None
        self._turnover += (high + low + close) / 3.0 * volume
        self._volume += volume
        if self._is_whole and self._volume > 0.0:
            self.value = self._turnover / self._volume
        return self.value


class Swing(NamedTuple):
    """A turning point: its price, the number of its candle (the first is 0), what was remembered beside it."""

    price: float
    number: int
    companions: tuple[float | None, ...] = ()


class SwingPoints:
    """Turning points: a value above the `side` before it and not below the `side` after it (lows mirrored).

    A swing is known `side` candles after it happened. Of equal values the first is the swing; flat prices
    have none. The newest `keep` of each kind are kept, newest last.
    """

    __slots__ = ("_companions", "_count", "_sign", "_values", "age", "points", "side")

    def __init__(self, *, low: bool = False, side: int = 5, keep: int = 5) -> None:
        self.side = side
        self.points: deque[Swing] = deque(maxlen=keep)
        self.age = 0  # candles since the newest swing happened
        self._count = 0
        self._sign = -1.0 if low else 1.0
        self._values: deque[float] = deque(maxlen=2 * side + 1)
        self._companions: deque[tuple[float | None, ...]] = deque(maxlen=side + 1)

    def update(self, price: float, *companions: float | None) -> bool:
        """True when this candle confirms a swing. `companions` are remembered beside the price (such as its RSI)."""
        values, side = self._values, self.side
        values.append(self._sign * price)
        self._companions.append(companions)
        self.age += 1
        self._count += 1
        if len(values) <= 2 * side:
            return False
        middle = values[side]
        if middle < max(values) or max(islice(values, side)) >= middle:
            return False
        self.points.append(Swing(self._sign * middle, self._count - 1 - side, self._companions[0]))
        self.age = side
        return True


class LinearSlope:
    """Least-squares slope of the last `period` values, per candle, in the values' unit."""

    __slots__ = ("_window", "period", "value")

    def __init__(self, period: int) -> None:
        self.period = period
        self.value: float | None = None
        self._window: deque[float] = deque(maxlen=period)

    def update(self, price: float) -> float | None:
        window, period = self._window, self.period
        window.append(price)
        if len(window) < period:
            return None
        centre = (period - 1) / 2.0
        # Offsets from the newest value keep the digits; the weights sum to 0, so the offset drops out.
        rise = sum([(index - centre) * (past - price) for index, past in enumerate(window)])
        self.value = rise * 12.0 / (period * (period * period - 1.0))
        return self.value


class EfficiencyRatio:
    """Net move over path length of the last `period` changes, 0-1 (Kaufman, Trading Systems and Methods).

    1 is a straight line, near 0 is noise; 0 when nothing moved.
    """

    __slots__ = ("_path", "_window", "period", "value")

    def __init__(self, period: int) -> None:
        self.period = period
        self.value: float | None = None
        self._window: deque[float] = deque(maxlen=period + 1)
        self._path: deque[float] = deque(maxlen=period)

    def update(self, close: float) -> float | None:
        window = self._window
        if window:
            self._path.append(abs(close - window[-1]))
        window.append(close)
        if len(window) <= self.period:
            return None
        path = sum(self._path)
        self.value = min(abs(close - window[0]) / path, 1.0) if path > 0.0 else 0.0
        return self.value


class RecentMean:
    """Mean of up to the last `period` values, told from `minimum` values on."""

    __slots__ = ("_window", "minimum", "period", "value")

    def __init__(self, period: int, minimum: int) -> None:
        self.period = period
        self.minimum = minimum
        self.value: float | None = None
        self._window: deque[float] = deque(maxlen=period)

    def update(self, price: float) -> float | None:
        window = self._window
        window.append(price)
        if len(window) >= self.minimum:
            self.value = sum(window) / len(window)
        return self.value


class Surprise:
    """How unusual a value is: its distance from the mean of the `period` before it, in their standard deviations.

    None while there are fewer, and where they did not differ at all.
    """

    __slots__ = ("_window", "period", "value")

    def __init__(self, period: int) -> None:
        self.period = period
        self.value: float | None = None
        self._window: deque[float] = deque(maxlen=period)

    def update(self, quantity: float) -> float | None:
        window, period = self._window, self.period
        self.value = None
        if len(window) == period:
            mean = sum(window) / period
            deviation = sqrt(sum([(past - mean) ** 2 for past in window]) / period)
            if deviation > 1e-9 * abs(mean):
                self.value = (quantity - mean) / deviation
        window.append(quantity)
        return self.value
