"""The scanner: ranks the configured symbols by how much there is to do in them, and keeps the watch list.

Score 0-100, the weighted mean of what is known, each part 0-1 with x / (1 + x) so that no outlier fills it:

- volume (weight 40): mean volume of the last 5 candles over the mean of the window; average gives 0.5;
- move (35): net move over the window, against what a random walk of the same candle ranges would make;
- volatility (25): mean candle range over price, against the median of all symbols;
- spread (20): 1 at no spread, 0 at the permitted one; left out while no quote is known.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import sqrt
from statistics import median
from typing import Final

from agents.agent import AgentStatus, Emit
from bus.messages.council import Candidate, CandidatesRanked
from bus.messages.header import Message
from bus.messages.system import TimerFired
from market.instrument import to_float
from market.interval import interval_ns
from market.money import ZERO
from market.ticks import Candle, QuoteTick

WINDOW: Final = 60
"""Candles looked at, and kept, per symbol."""

RECENT: Final = 5
LISTED_BONUS: Final = 5.0
"""A listed symbol is replaced only by one that scores more than this above it, so that the list does not flicker."""

QUOTE_LIFE_NS: Final = 30_000_000_000
"""A spread older than this is not known any more."""


@dataclass(frozen=True, slots=True)
class ScannerConfig:
    """Keys of [scanner]; `interval` is that of the decision candles.

    `top`: length of the watch list. `min_quote_volume`: in quote, over the last 60 candles; below it a symbol
    is left out. `max_spread`: ratio of price; above it a symbol is left out. `refresh_ns`: least time between
    two rankings.
    """

    top: int
    min_quote_volume: Decimal
    max_spread: float
    refresh_ns: int
    interval: str


@dataclass(frozen=True, slots=True)
class _Measure:
    """What the last candles of one symbol show."""

    symbol: str
    relative_volume: float
    move_ratio: float
    surprise: float  # the move in units of what chance would make
    range_ratio: float
    spread_ratio: float | None
    span_ns: int


class Scanner:
    """Ranks at most once per `refresh_ns`, first when that long has passed since the first message."""

    name = "scanner"
    subscriptions: frozenset[type] = frozenset({Candle, QuoteTick})

    def __init__(self, config: ScannerConfig, symbols: Sequence[str]) -> None:
        self._config = config
        self._length_ns = interval_ns(config.interval)
        self._candles_by_symbol: dict[str, deque[Candle]] = {symbol: deque(maxlen=WINDOW) for symbol in sorted(symbols)}
        self._quote_by_symbol: dict[str, QuoteTick] = {}
        self._listed: tuple[str, ...] = ()
        self._next_ranking: int | None = None
        self._rankings = 0
        self._measured = 0

    def handle(self, message: Message) -> Sequence[Emit]:
        body, now = message.body, message.header.ts
        if isinstance(body, Candle):
            self._on_candle(body)
        elif isinstance(body, QuoteTick):
            if body.symbol in self._candles_by_symbol:
                self._quote_by_symbol[body.symbol] = body
            return ()
        elif not isinstance(body, TimerFired):
            return ()
        if self._next_ranking is None:
            self._next_ranking = now + self._config.refresh_ns
            return ()
        if now < self._next_ranking:
            return ()
        self._next_ranking = now + self._config.refresh_ns
        return self._rank(now)

    def status(self) -> AgentStatus:
        total = len(self._candles_by_symbol)
        if not self._rankings:
            return AgentStatus("idle", f"listening to {total} symbols", 0, total)
        listed = ", ".join(self._listed) or "no symbol"
        return AgentStatus("running", f"{listed} on the watch list of {total} symbols", self._measured, total)

    def _on_candle(self, candle: Candle) -> None:
        candles = self._candles_by_symbol.get(candle.symbol)
        if candles is None or candle.interval != self._config.interval:
            return
        if not candles or candle.ts_open > candles[-1].ts_open:
            candles.append(candle)

    def _rank(self, now: int) -> Sequence[Emit]:
        measures = [measure for symbol in self._candles_by_symbol if (measure := self._measure(symbol, now))]
        self._measured = len(measures)
        if not measures:
            if all(len(candles) < 2 for candles in self._candles_by_symbol.values()):
                return ()  # nothing heard yet: whoever reads the list goes on with all symbols
            self._listed = ()
            self._rankings += 1
            return (Emit(CandidatesRanked(())),)
        usual_range = median(measure.range_ratio for measure in measures)
        candidates = [self._candidate(measure, usual_range) for measure in measures]
        favour = {symbol: LISTED_BONUS for symbol in self._listed}
        candidates.sort(key=lambda one: (-(one.score + favour.get(one.symbol, 0.0)), one.symbol))
        chosen = sorted(candidates[: self._config.top], key=lambda one: (-one.score, one.symbol))
        self._listed = tuple(one.symbol for one in chosen)
        self._rankings += 1
        return (Emit(CandidatesRanked(tuple(chosen))),)

    def _measure(self, symbol: str, now: int) -> _Measure | None:
        """None when there is too little to see, or the quality filters leave the symbol out."""
        oldest = now - WINDOW * self._length_ns - self._length_ns
        candles = [candle for candle in self._candles_by_symbol[symbol] if candle.ts_open >= oldest]
        if len(candles) < 2:
            return None
        if sum((one.close * one.volume for one in candles), ZERO) < self._config.min_quote_volume:
            return None
        spread = self._spread_ratio(symbol, now)
        first, last = to_float(candles[0].open), to_float(candles[-1].close)
        if first <= 0.0 or last <= 0.0 or (spread is not None and spread > self._config.max_spread):
            return None
        volumes = [to_float(one.volume) for one in candles]
        usual, recent = sum(volumes) / len(volumes), volumes[-RECENT:]
        range_ratio = sum(to_float(one.high - one.low) for one in candles) / len(candles) / last
        move = last / first - 1.0
        chance = range_ratio * sqrt(len(candles))
        return _Measure(
            symbol,
            relative_volume=sum(recent) / len(recent) / usual if usual > 0.0 else 0.0,
            move_ratio=move,
            surprise=abs(move) / chance if chance > 0.0 else 0.0,
            range_ratio=range_ratio,
            spread_ratio=spread,
            span_ns=candles[-1].ts_open + self._length_ns - candles[0].ts_open,
        )

    def _spread_ratio(self, symbol: str, now: int) -> float | None:
        quote = self._quote_by_symbol.get(symbol)
        if quote is None or now - quote.ts_init > QUOTE_LIFE_NS or quote.bid <= ZERO:
            return None
        return to_float((quote.ask - quote.bid) / quote.bid)

    def _candidate(self, measure: _Measure, usual_range: float) -> Candidate:
        parts = [(40.0, _saturated(measure.relative_volume)), (35.0, _saturated(measure.surprise))]
        parts.append((25.0, _saturated(measure.range_ratio / usual_range if usual_range > 0.0 else 0.0)))
        if measure.spread_ratio is not None:
            parts.append((20.0, 1.0 - measure.spread_ratio / self._config.max_spread))
        score = 100.0 * sum(weight * part for weight, part in parts) / sum(weight for weight, _ in parts)
        return Candidate(measure.symbol, round(score, 2), _reasons(measure, usual_range))


def _saturated(value: float) -> float:
    return value / (1.0 + value)


def _reasons(measure: _Measure, usual_range: float) -> tuple[str, ...]:
    reasons = [f"moved {100.0 * measure.move_ratio:+.2f} % in {_span(measure.span_ns)}"]
    reasons.append(f"volume {measure.relative_volume:.1f}x average")
    if usual_range > 0.0 and measure.range_ratio >= 1.2 * usual_range:
        reasons.append(f"ranges {measure.range_ratio / usual_range:.1f}x those of the other symbols")
    if measure.spread_ratio is not None:
        reasons.append(f"spread {100.0 * measure.spread_ratio:.3f} %")
    return tuple(reasons)


def _span(span_ns: int) -> str:
    seconds = round(span_ns / 1e9)
    if seconds < 55:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    if minutes == 1:
        return "a minute"
    return f"{minutes} minutes" if minutes < 100 else f"{round(minutes / 60)} hours"
