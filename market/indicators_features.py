"""Every indicator of one symbol and interval, updated together once per closed candle, told by name."""

from typing import Final

from market.candle_patterns import PATTERN_NAMES, CandlePatterns
from market.chart_patterns import CHART_NAMES, ChartPatterns
from market.indicators import (
    AverageTrueRange,
    BollingerBands,
    ExponentialMovingAverage,
    MovingAverageConvergenceDivergence,
    RelativeStrengthIndex,
    SimpleMovingAverage,
)
from market.indicators_window import (
    EfficiencyRatio,
    LinearSlope,
    RecentMean,
    RollingExtreme,
    SessionVwap,
    Surprise,
    SwingPoints,
)
from market.instrument import to_float
from market.order_flow import MoneyFlow, TakerFlow
from market.ticks import Candle
from market.volume_profile import volume_profile

WINDOW: Final = 120
"""How many candles are kept to look at, at least (at most twice as many, once there have been so many)."""

DIVERGENCE_LIFE: Final = 20
"""Candles after its swing until a divergence is old news."""

PROFILE_LEAST: Final = 20
"""Candles from which a volume profile says something."""

_NO_DIVERGENCE: Final = (0.0, 0)

FEATURE_NAMES: Final = (
    "open", "high", "low", "close", "volume",  # the newest candle
    "rsi_14",  # 0-100; 0 while nothing ever moved
    "macd", "macd_signal", "macd_histogram",  # 12, 26, 9; in quote
    "atr_14",  # Wilder, in quote
    "atr_ratio",  # atr_14 / close
    "atr_average",  # mean of the last 100 atr_14 (20 at least): what is usual here
    "true_range",  # of the newest candle, in quote
    "range_expansion",  # true_range / the atr_14 before it
    "bollinger_upper", "bollinger_middle", "bollinger_lower",  # 20, 2 sigma
    "bollinger_z",  # (close - middle) / sigma; 0 on flat prices
    "bollinger_width_ratio",  # (upper - lower) / middle
    "sma_20", "sma_50", "ema_12", "ema_26",
    "volume_average_20",  # in base
    "volume_ratio",  # volume / volume_average_20
    "volume_surprise",  # volume against the 20 before it, in their standard deviations
    "trade_size_ratio",  # volume per trade / mean of that over 20 candles; absent where trades are not told
    "order_flow_20",  # Chaikin's money flow, -1 to 1: who pressed, by where the candles closed
    "taker_flow_20",  # bought less sold by takers / volume, -1 to 1; live only, history does not keep it
    "vwap",  # of the UTC day so far, from its beginning
    "point_of_control", "value_area_low", "value_area_high",  # volume profile of the last 120 candles, 70 % of volume
    "highest_20", "lowest_20",  # of the 20 candles before the newest
    "swing_high", "swing_low",  # the newest turning points (5 candles each side)
    "swing_trend",  # 1: the last highs and lows both rose, -1: both fell, 0: neither
    "resistance",  # lowest of the last 5 swing highs not below the previous close
    "support",  # highest of the last 5 swing lows not above the previous close
    "support_touches", "resistance_touches",  # of the last 10 swings of either kind, those within half an ATR of it
    "divergence",  # 1: price made a lower low and RSI did not (bullish), -1: the mirror, 0: none lately
    "macd_divergence",  # the same against the MACD's histogram
    "slope_10",  # least squares over 10 closes, quote per candle
    "efficiency_20",  # net move over path length of 20 changes, 0-1
    *PATTERN_NAMES,  # candlesticks of TA-Lib: 1 bullish, -1 bearish, 0 not there
    *CHART_NAMES,  # chart patterns confirmed in the last 10 candles: 1 bullish, -1 bearish, 0 none
    "chart_target",  # where the newest of them points by its measured move; absent without one
)
"""Names of the features, in the order they are told. What lacks history is absent, never NaN."""


class IndicatorSet:
    """The feature state of one symbol and interval. Feed it closed candles in time order."""

    __slots__ = (
        "_atr", "_atr_average", "_bollinger", "_candle_patterns", "_chart_patterns", "_divergences", "_efficiency",
        "_ema_fast", "_ema_slow", "_features", "_highest", "_highs_swing", "_lowest", "_lows_swing", "_macd",
        "_money_flow", "_previous_atr", "_previous_close", "_previous_highest", "_previous_lowest", "_rsi", "_slope",
        "_sma_long", "_sma_short", "_taker_flow", "_trade_size", "_trade_size_average", "_volume_average",
        "_volume_surprise", "_vwap", "closes", "count", "highs", "lows", "opens", "ts_open", "volumes",
    )

    def __init__(self) -> None:
        self.count = 0
        self.ts_open: int | None = None
        self.opens: list[float] = []
        self.highs: list[float] = []
        self.lows: list[float] = []
        self.closes: list[float] = []
        self.volumes: list[float] = []
        self._features: dict[str, float] | None = None
        self._rsi = RelativeStrengthIndex(14)
        self._macd = MovingAverageConvergenceDivergence(12, 26, 9)
        self._atr = AverageTrueRange(14)
        self._atr_average = RecentMean(100, 20)
        self._bollinger = BollingerBands(20, 2.0)
        self._sma_short, self._sma_long = SimpleMovingAverage(20), SimpleMovingAverage(50)
        self._ema_fast, self._ema_slow = ExponentialMovingAverage(12), ExponentialMovingAverage(26)
        self._volume_average, self._volume_surprise = SimpleMovingAverage(20), Surprise(20)
        self._trade_size: float | None = None
        self._trade_size_average = SimpleMovingAverage(20)
        self._money_flow, self._taker_flow = MoneyFlow(20), TakerFlow(20)
        self._vwap = SessionVwap()
        self._highest, self._lowest = RollingExtreme(20), RollingExtreme(20, lowest=True)
        self._highs_swing, self._lows_swing = SwingPoints(), SwingPoints(low=True)
        self._candle_patterns, self._chart_patterns = CandlePatterns(), ChartPatterns()
        self._slope, self._efficiency = LinearSlope(10), EfficiencyRatio(20)
        self._divergences = [_NO_DIVERGENCE, _NO_DIVERGENCE]  # of RSI, of MACD
        self._previous_close: float | None = None
        self._previous_atr: float | None = None
        self._previous_highest: float | None = None
        self._previous_lowest: float | None = None

    def update(self, candle: Candle) -> bool:
        """Take one closed candle; False (and nothing changes) when it is not newer than the last one."""
        if self.ts_open is not None and candle.ts_open <= self.ts_open:
            return False
        self.ts_open = candle.ts_open
        self.count += 1
        self._features = None
        high, low, close = to_float(candle.high), to_float(candle.low), to_float(candle.close)
        open_, volume = to_float(candle.open), to_float(candle.volume)
        self._remember(open_, high, low, close, volume)
        rsi = self._rsi.update(close)
        self._macd.update(close)
        self._previous_atr = self._atr.value
        atr = self._atr.update(high, low, close)
        if atr is not None:
            self._atr_average.update(atr)
        self._bollinger.update(close)
        self._sma_short.update(close)
        self._sma_long.update(close)
        self._ema_fast.update(close)
        self._ema_slow.update(close)
        self._update_volume(candle, high, low, close, volume)
        self._previous_highest, self._previous_lowest = self._highest.value, self._lowest.value
        self._highest.update(high)
        self._lowest.update(low)
        self._slope.update(close)
        self._efficiency.update(close)
        self._update_swings(high, low, rsi, self._macd.histogram)
        self._candle_patterns.update(open_, high, low, close)
        self._chart_patterns.update(high, low, close, atr, self._highs_swing, self._lows_swing)
        return True

    def features(self) -> dict[str, float]:
        """What is known after the newest candle, by name, in the order of `FEATURE_NAMES`. Do not change it."""
        if self._features is None:
            known = self._values().get
            self._features = {name: value for name in FEATURE_NAMES if (value := known(name)) is not None}
        return self._features

    def _remember(self, open_: float, high: float, low: float, close: float, volume: float) -> None:
        self._previous_close = self.closes[-1] if self.closes else None
        self.opens.append(open_)
        self.highs.append(high)
        self.lows.append(low)
        self.closes.append(close)
        self.volumes.append(volume)
        if len(self.closes) > 2 * WINDOW:
            for series in (self.opens, self.highs, self.lows, self.closes, self.volumes):
                del series[:-WINDOW]

    def _update_volume(self, candle: Candle, high: float, low: float, close: float, volume: float) -> None:
        self._volume_average.update(volume)
        self._volume_surprise.update(volume)
        self._vwap.update(candle.ts_open, high, low, close, volume)
        self._money_flow.update(high, low, close, volume)
        bought = candle.taker_buy_volume
        self._taker_flow.update(volume, None if bought is None else to_float(bought))
        self._trade_size = volume / candle.trades if candle.trades > 0 else None
        if self._trade_size is not None:
            self._trade_size_average.update(self._trade_size)

    def _update_swings(self, high: float, low: float, rsi: float | None, histogram: float | None) -> None:
        for index, (side, age) in enumerate(self._divergences):
            self._divergences[index] = (side, age + 1) if age < DIVERGENCE_LIFE else _NO_DIVERGENCE
        for swings, price, side in ((self._highs_swing, high, -1.0), (self._lows_swing, low, 1.0)):
            if swings.update(price, rsi, histogram):
                for index in range(2):
                    if _diverges(swings, side, index):
                        self._divergences[index] = (side, swings.age)

    def _values(self) -> dict[str, float | None]:
        close, atr = self.closes[-1], self._atr.value
        bands, macd = self._bollinger, self._macd
        return {
            "open": self.opens[-1], "high": self.highs[-1], "low": self.lows[-1], "close": close,
            "rsi_14": self._rsi.value,
            "macd": macd.value, "macd_signal": macd.signal, "macd_histogram": macd.histogram,
            "atr_14": atr, "atr_ratio": _ratio(atr, close), "atr_average": self._atr_average.value,
            "true_range": self._atr.true_range, "range_expansion": _ratio(self._atr.true_range, self._previous_atr),
            "bollinger_upper": bands.upper, "bollinger_middle": bands.value, "bollinger_lower": bands.lower,
            "bollinger_z": _sigmas(close, bands), "bollinger_width_ratio": _width_ratio(bands),
            "sma_20": self._sma_short.value, "sma_50": self._sma_long.value,
            "ema_12": self._ema_fast.value, "ema_26": self._ema_slow.value,
            "highest_20": self._previous_highest, "lowest_20": self._previous_lowest,
            "slope_10": self._slope.value, "efficiency_20": self._efficiency.value,
            **self._volume_values(), **self._swing_values(atr),
            **self._candle_patterns.values(), **(self._chart_patterns.values() if atr is not None else {}),
        }

    def _volume_values(self) -> dict[str, float | None]:
        volume, average = self.volumes[-1], self._volume_average.value
        profile = None
        if self.count >= PROFILE_LEAST:
            profile = volume_profile(self.highs[-WINDOW:], self.lows[-WINDOW:], self.volumes[-WINDOW:])
        return {
            "volume": volume, "volume_average_20": average, "volume_ratio": _ratio(volume, average),
            "volume_surprise": self._volume_surprise.value,
            "trade_size_ratio": _ratio(self._trade_size, self._trade_size_average.value),
            "order_flow_20": self._money_flow.value, "taker_flow_20": self._taker_flow.value,
            "vwap": self._vwap.value,
            "point_of_control": profile.point_of_control if profile else None,
            "value_area_low": profile.value_low if profile else None,
            "value_area_high": profile.value_high if profile else None,
        }

    def _swing_values(self, atr: float | None) -> dict[str, float | None]:
        highs, lows = self._highs_swing.points, self._lows_swing.points
        support, resistance = self._nearest_level(highs=False), self._nearest_level(highs=True)
        (divergence, _), (macd_divergence, _) = self._divergences
        return {
            "swing_high": highs[-1].price if highs else None, "swing_low": lows[-1].price if lows else None,
            "swing_trend": _swing_trend(self._highs_swing, self._lows_swing),
            "resistance": resistance, "support": support,
            "support_touches": self._touches(support, atr), "resistance_touches": self._touches(resistance, atr),
            "divergence": divergence if self._rsi.value is not None else None,
            "macd_divergence": macd_divergence if self._macd.histogram is not None else None,
        }

    def _nearest_level(self, *, highs: bool) -> float | None:
        previous = self._previous_close
        if previous is None:
            return None
        if highs:
            return min((swing.price for swing in self._highs_swing.points if swing.price >= previous), default=None)
        return max((swing.price for swing in self._lows_swing.points if swing.price <= previous), default=None)

    def _touches(self, level: float | None, atr: float | None) -> float | None:
        """How many of the kept swings, highs or lows, turned within half an ATR of the level."""
        if level is None or atr is None:
            return None
        points = (*self._highs_swing.points, *self._lows_swing.points)
        return float(sum(1 for swing in points if abs(swing.price - level) <= 0.5 * atr))


def _ratio(value: float | None, of: float | None) -> float | None:
    return value / of if value is not None and of is not None and of > 0.0 else None


def _sigmas(close: float, bands: BollingerBands) -> float | None:
    if bands.value is None or bands.deviation is None:
        return None
    # Under a billionth of the price the deviation is rounding, not movement.
    return (close - bands.value) / bands.deviation if bands.deviation > 1e-9 * bands.value else 0.0


def _width_ratio(bands: BollingerBands) -> float | None:
    if bands.upper is None or bands.lower is None:
        return None
    return _ratio(bands.upper - bands.lower, bands.value)


def _diverges(swings: SwingPoints, sign: float, which: int) -> bool:
    """Whether the newest swing went further than the one before while its companion did not (sign 1: lows)."""
    if len(swings.points) < 2:
        return False
    before, newest = swings.points[-2], swings.points[-1]
    then, now = before.companions[which], newest.companions[which]
    if then is None or now is None:
        return False
    return sign * (before.price - newest.price) > 0.0 and sign * (now - then) > 0.0


def _swing_trend(highs: SwingPoints, lows: SwingPoints) -> float | None:
    if len(highs.points) < 2 or len(lows.points) < 2:
        return None
    high_change = highs.points[-1].price - highs.points[-2].price
    low_change = lows.points[-1].price - lows.points[-2].price
    if high_change > 0.0 and low_change > 0.0:
        return 1.0
    return -1.0 if high_change < 0.0 and low_change < 0.0 else 0.0
