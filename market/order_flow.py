"""Order flow: who was in a hurry, buyers or sellers, over the last candles.

Two measures, both -1 (all sellers) to 1 (all buyers), weighted by volume:

- `MoneyFlow`, from the candle alone: where in its range a candle closed, (2 close - high - low) / (high - low),
  stands for who pressed. This is Chaikin's money flow (`ta.volume.ChaikinMoneyFlowIndicator`). It is there for every
  candle, stored or live, so models may rest on it.
- `TakerFlow`, from the sides of the takers (2 bought - volume) / volume, where the feed tells them. Stored history
  does not keep them: a model that rests on it sees less in a backtest than live.
"""

from collections import deque


class MoneyFlow:
    """Chaikin's money flow over `period` candles; 0 when nothing was traded."""

    __slots__ = ("_flows", "_volumes", "period", "value")

    def __init__(self, period: int = 20) -> None:
        self.period = period
        self.value: float | None = None
        self._flows: deque[float] = deque(maxlen=period)
        self._volumes: deque[float] = deque(maxlen=period)

    def update(self, high: float, low: float, close: float, volume: float) -> float | None:
        """One candle: prices in quote, volume in base. A candle without a range presses nobody."""
        spread = high - low
        pressure = ((close - low) - (high - close)) / spread if spread > 0.0 else 0.0
        self._flows.append(pressure * volume)
        self._volumes.append(volume)
        if len(self._volumes) == self.period:
            total = sum(self._volumes)
            self.value = sum(self._flows) / total if total > 0.0 else 0.0
        return self.value


class TakerFlow:
    """Share of takers who bought less those who sold, over `period` candles; None while one of them is not told."""

    __slots__ = ("_bought", "_volumes", "period", "value")

    def __init__(self, period: int = 20) -> None:
        self.period = period
        self.value: float | None = None
        self._bought: deque[float] = deque(maxlen=period)
        self._volumes: deque[float] = deque(maxlen=period)

    def update(self, volume: float, taker_buy_volume: float | None) -> float | None:
        """One candle, both in base; `taker_buy_volume` None forgets what was heard before."""
        if taker_buy_volume is None:
            self._bought.clear()
            self._volumes.clear()
            self.value = None
            return None
        self._bought.append(taker_buy_volume)
        self._volumes.append(volume)
        if len(self._volumes) < self.period:
            return None
        total = sum(self._volumes)
        self.value = (2.0 * sum(self._bought) - total) / total if total > 0.0 else 0.0
        return self.value
