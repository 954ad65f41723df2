"""How much there is to do in a symbol: what its last candles show, whether it is fit to trade, a score and why. Pure.

Score 0-100, the weighted mean of what is known, each part 0-1 with x / (1 + x) so that no outlier fills it:

- spike (weight 30): mean volume of the last 5 candles over the mean of the window; average gives 0.5;
- move (30): net move over the window, against what a random walk of the same candle ranges would make;
- volatility (20): mean candle range over price, against the median of all symbols;
- turnover (20): traded value of the window, against the median of all symbols;
- spread (20): 1 at no spread, 0 at the permitted one; left out while no quote is known.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from math import sqrt
from statistics import median
from typing import Final

from bus.messages.council import Candidate
from market.instrument import to_float
from market.ticks import Candle

WINDOW: Final = 60
"""Candles looked at, and kept, per symbol."""

RECENT: Final = 5
LEAST: Final = 2
"""Candles without which nothing can be said."""

SPIKE_WEIGHT, MOVE_WEIGHT, VOLATILITY_WEIGHT, TURNOVER_WEIGHT, SPREAD_WEIGHT = 30.0, 30.0, 20.0, 20.0, 20.0


@dataclass(frozen=True, slots=True)
class Measure:
    """What the last candles of one symbol show."""

    symbol: str
    relative_volume: float
    move_ratio: float
    surprise: float  # the move in units of what chance would make
    range_ratio: float
    turnover: float  # in quote, over the window
    span_ns: int


class SymbolTrack:
    """The last candles of one symbol, measured when asked and again only after something changed.

    A column each, so that a sum runs over plain floats: five hundred symbols are measured in a few milliseconds.
    """

    __slots__ = (
        "_closes", "_is_new", "_length_ns", "_measure", "_opens", "_spreads", "_times", "_turnovers", "_volumes",
        "first_ns", "symbol",
    )

    def __init__(self, symbol: str, length_ns: int) -> None:
        self.symbol = symbol
        self.first_ns: int | None = None  # since when it is known to be traded, UTC ns
        self._length_ns = length_ns
        self._times: deque[int] = deque(maxlen=WINDOW)
        self._opens: deque[float] = deque(maxlen=WINDOW)
        self._closes: deque[float] = deque(maxlen=WINDOW)
        self._spreads: deque[float] = deque(maxlen=WINDOW)  # high less low
        self._volumes: deque[float] = deque(maxlen=WINDOW)
        self._turnovers: deque[float] = deque(maxlen=WINDOW)  # close times volume, in quote
        self._measure: Measure | None = None
        self._is_new = True

    def add(self, candle: Candle) -> None:
        """One closed candle; one that is not newer than the last changes nothing."""
        if self._times and candle.ts_open <= self._times[-1]:
            return
        close, volume = to_float(candle.close), to_float(candle.volume)
        self._times.append(candle.ts_open)
        self._opens.append(to_float(candle.open))
        self._closes.append(close)
        self._spreads.append(to_float(candle.high - candle.low))
        self._volumes.append(volume)
        self._turnovers.append(close * volume)
        self._is_new = True

    def note_age(self, ts_open: int) -> None:
        """A candle of whatever interval opened then: so old is the symbol at least."""
        if self.first_ns is None or ts_open < self.first_ns:
            self.first_ns = ts_open

    @property
    def has_history(self) -> bool:
        """Whether it was ever heard enough to speak of."""
        return len(self._times) >= LEAST

    def measure(self, now: int) -> Measure | None:
        """Of the candles within the window's length of `now` (UTC ns); None when there are too few."""
        oldest = now - (WINDOW + 1) * self._length_ns
        while self._times and self._times[0] < oldest:
            for column in (self._times, self._opens, self._closes, self._spreads, self._volumes, self._turnovers):
                column.popleft()
            self._is_new = True
        if self._is_new:
            self._measure = self._fresh_measure()
            self._is_new = False
        return self._measure

    def _fresh_measure(self) -> Measure | None:
        count = len(self._times)
        if count < LEAST:
            return None
        first, last = self._opens[0], self._closes[-1]
        if first <= 0.0 or last <= 0.0:
            return None
        usual, recent = sum(self._volumes) / count, list(islice(reversed(self._volumes), RECENT))
        range_ratio = sum(self._spreads) / count / last
        move, chance = last / first - 1.0, range_ratio * sqrt(count)
        return Measure(
            self.symbol,
            relative_volume=sum(recent) / len(recent) / usual if usual > 0.0 else 0.0,
            move_ratio=move,
            surprise=abs(move) / chance if chance > 0.0 else 0.0,
            range_ratio=range_ratio,
            turnover=sum(self._turnovers),
            span_ns=self._times[-1] + self._length_ns - self._times[0],
        )


@dataclass(frozen=True, slots=True)
class Yardstick:
    """What is usual among the symbols of one ranking."""

    range_ratio: float
    turnover: float

    @classmethod
    def of(cls, measures: Sequence[Measure]) -> "Yardstick":
        """The medians; of at least one measure."""
        return cls(
            median([measure.range_ratio for measure in measures]), median([measure.turnover for measure in measures])
        )


def score_of(measure: Measure, usual: Yardstick, spread_ratio: float | None, max_spread: float) -> float:
    """0-100 by the rule above. `spread_ratio` of the price, None = not known; `max_spread` the permitted one."""
    parts = [
        (SPIKE_WEIGHT, _saturated(measure.relative_volume)),
        (MOVE_WEIGHT, _saturated(measure.surprise)),
        (VOLATILITY_WEIGHT, _against(measure.range_ratio, usual.range_ratio)),
        (TURNOVER_WEIGHT, _against(measure.turnover, usual.turnover)),
    ]
    if spread_ratio is not None:
        parts.append((SPREAD_WEIGHT, 1.0 - spread_ratio / max_spread))
    return 100.0 * sum(weight * part for weight, part in parts) / sum(weight for weight, _ in parts)


def candidate(measure: Measure, score: float, usual: Yardstick, spread_ratio: float | None, quote: str) -> Candidate:
    """The symbol with its score and plain reasons; turnover in `quote`."""
    reasons = [f"moved {100.0 * measure.move_ratio:+.2f} % in {span_text(measure.span_ns)}"]
    reasons.append(f"volume {measure.relative_volume:.1f}x average")
    if usual.range_ratio > 0.0 and measure.range_ratio >= 1.2 * usual.range_ratio:
        reasons.append(f"ranges {measure.range_ratio / usual.range_ratio:.1f}x those of the other symbols")
    reasons.append(f"traded {amount_text(measure.turnover)} {quote}".rstrip())
    if spread_ratio is not None:
        reasons.append(f"spread {100.0 * spread_ratio:.3f} %")
    return Candidate(measure.symbol, round(score, 2), tuple(reasons))


def _against(value: float, usual: float) -> float:
    return _saturated(value / usual) if usual > 0.0 else 0.0


def _saturated(value: float) -> float:
    return value / (1.0 + value)


def amount_text(amount: float) -> str:
    """1234567.0 as "1.23M": three digits are enough to compare."""
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if amount >= size:
            return f"{amount / size:.3g}{letter}"
    return f"{amount:.3g}"


def span_text(span_ns: int) -> str:
    """A length of time as people say it."""
    seconds = round(span_ns / 1e9)
    if seconds < 55:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    if minutes == 1:
        return "a minute"
    if minutes < 100:
        return f"{minutes} minutes"
    hours = round(minutes / 60)
    return f"{hours} hours" if hours < 72 else f"{round(hours / 24)} days"
