"""The analyst: features, regime and every alpha's opinion for each closed decision candle.

Feature names are those of `market.indicators_features.FEATURE_NAMES`. Analysed are the symbols on the watch list, and
those that are held or ordered: an exit needs opinions, too. A candle arrives once; older and repeated ones are ignored,
missing ones (no trades in that interval) are normal. Warm-up candles are learnt from and never spoken about; they must
come before the first live candle of their symbol and interval.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Final

from agents.agent import AgentStatus, Emit
from agents.alphas.alpha import Alpha, MarketView, Opinion, no_opinion, what_is_wrong
from agents.alphas.panel import FAILED, TIMED_OUT, AlphaPanel, EmptyPanel
from bus.messages.council import (
    AlphaSignal,
    AlphaSkipped,
    AnalysisCompleted,
    CandidatesRanked,
    Feature,
    OpinionsGathered,
    Regime,
    WeightChanged,
)
from bus.messages.header import Message
from bus.messages.ledger import PortfolioSnapshot
from bus.messages.system import BusGap, TimerFired
from market.indicators_features import FEATURE_NAMES, IndicatorSet
from market.interval import SECOND_NS, interval_ns
from market.ticks import Candle

__all__ = ["FEATURE_NAMES", "Analyst", "AnalystConfig", "AnalystConfigError", "regime_of"]

SETTLE_CANDLES: Final = 14
"""After candles were lost, at most this many (the memory of RSI and ATR) must be whole before alphas speak."""

class AnalystConfigError(ValueError):
    """The analyst cannot work so; the text names key and remedy."""


@dataclass(frozen=True, slots=True)
class AnalystConfig:
    """`decision_interval` and `intervals` are [candles], `weights` (0-1 by alpha) [council].

    Absent from the weights: 0 = off; one that thinks elsewhere then has the weight it wishes for.
    `signal_ttl_ns`: a signal or analysis not read this long after it was made is not worth acting on.
    `patience_ns`: alphas that think elsewhere and have not answered by then never will.
    """

    decision_interval: str
    intervals: Sequence[str]
    weights: Mapping[str, float]
    signal_ttl_ns: int = 5 * SECOND_NS
    patience_ns: int = 10 * SECOND_NS


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An analysis that is complete but for the alphas that think elsewhere."""

    candle_id: str
    since_ns: int
    analysis: AnalysisCompleted
    weight_by_asked: Mapping[str, float]


def regime_of(features: Mapping[str, float]) -> Regime:
    """What kind of market the features show. The first rule that holds:

    - unknown: ATR, its average or the efficiency ratio lack history;
    - calm: nothing moves, or the ATR is at most 0.6 of its average over the last 100 candles;
    - volatile: the ATR is at least 1.6 of that average;
    - trending: 20 closes went somewhere (efficiency ratio of 0.45 or more);
    - ranging: the rest.
    """
    atr, usual = features.get("atr_14"), features.get("atr_average")
    efficiency = features.get("efficiency_20")
    if atr is None or usual is None or efficiency is None:
        return "unknown"
    if atr <= 0.0 or atr <= 0.6 * usual:
        return "calm"
    if atr >= 1.6 * usual:
        return "volatile"
    return "trending" if efficiency >= 0.45 else "ranging"


class Analyst:
    """One feature state per symbol and interval; alphas are asked on the decision interval only."""

    name = "analyst"
    subscriptions: frozenset[type] = frozenset(
        {Candle, CandidatesRanked, WeightChanged, BusGap, PortfolioSnapshot}
    )

    def __init__(
        self, config: AnalystConfig, symbols: Sequence[str], alphas: Sequence[Alpha], panel: AlphaPanel | None = None,
    ) -> None:
        if config.decision_interval not in config.intervals:
            raise AnalystConfigError(
                f"candles.decision: {config.decision_interval!r} is not among candles.intervals "
                f"{list(config.intervals)}. Add it there."
            )
        self._config = config
        self._alphas = tuple(alphas)
        self._panel: AlphaPanel = panel or EmptyPanel()
        self._waiting: dict[str, _Waiting] = {}
        self._weight_by_alpha = dict(config.weights)
        if len({alpha.name for alpha in alphas}) != len(self._alphas):
            raise AnalystConfigError("two alphas have the same name: rename one, weights and votes go by name")
        lengths = {interval: interval_ns(interval) for interval in config.intervals}
        ordered = sorted(lengths, key=lambda interval: lengths[interval])
        self._states = {symbol: {interval: IndicatorSet() for interval in ordered} for symbol in sorted(symbols)}
        decision_ns = lengths[config.decision_interval]
        self._higher = tuple(interval for interval in ordered if lengths[interval] > decision_ns)
        self._watched: frozenset[str] | None = None
        self._at_stake: frozenset[str] = frozenset()
        self._candle_sources: set[str] = set()
        self._unsettled: dict[str, int] = {}  # whole candles still wanted, by symbol
        self._failures: Counter[str] = Counter()
        self._analyses = 0
        self._gaps = 0
        self._last_candle = ""

    def handle(self, message: Message) -> Sequence[Emit]:
        body = message.body
        if isinstance(body, Candle):
            self._candle_sources.add(message.header.source)
            return self._on_candle(body, message)
        if isinstance(body, CandidatesRanked):
            self._watched = frozenset(candidate.symbol for candidate in body.candidates)
        elif isinstance(body, PortfolioSnapshot):
            held, ordered = body.positions, body.working_entries
            self._at_stake = frozenset([each.symbol for each in held] + [symbol for symbol, _ in ordered])
        elif isinstance(body, WeightChanged):
            if 0.0 <= body.weight <= 1.0:
                self._weight_by_alpha[body.alpha] = body.weight
        elif isinstance(body, BusGap):
            self._on_gap(body)
        elif isinstance(body, OpinionsGathered):
            return self._on_gathered(body, message.header.ts)
        elif isinstance(body, TimerFired):
            return self._on_timer(message.header.ts)
        return ()

    def status(self) -> AgentStatus:
        symbols = len(self._states)
        watched = sum(1 for symbol in self._states if self._is_spoken_about(symbol))
        words = [f"{self._analyses} analyses, newest {self._last_candle}" if self._analyses else "learning"]
        if self._failures:
            failed = ", ".join(f"{name} {count}x" for name, count in sorted(self._failures.items()))
            words.append(f"alphas that failed: {failed}")
        if self._gaps:
            words.append(f"candles lost on the bus {self._gaps}x")
        return AgentStatus("running" if self._analyses else "idle", "; ".join(words), watched, symbols)

    def _is_spoken_about(self, symbol: str) -> bool:
        """On the watch list (without one yet: all), or held or ordered: an exit needs opinions, too."""
        return self._watched is None or symbol in self._watched or symbol in self._at_stake

    def _on_candle(self, candle: Candle, message: Message) -> Sequence[Emit]:
        states = self._states.get(candle.symbol)
        state = states.get(candle.interval) if states is not None else None
        if states is None or state is None or not state.update(candle):
            return ()
        if candle.interval != self._config.decision_interval:
            return ()
        wanted = self._unsettled.get(candle.symbol, 0)
        if wanted:
            self._unsettled[candle.symbol] = wanted - 1
        if candle.is_warmup or not self._is_spoken_about(candle.symbol):
            return ()
        late = self._give_up_waiting(candle.symbol, "the next candle closed first", message.header.ts)
        return [*late, *self._analyse(candle, state, states, wanted, message)]

    def _on_gap(self, gap: BusGap) -> None:
        """A missing number may have been a candle of any symbol: no more candles are missing than numbers."""
        if gap.missing_source not in self._candle_sources:
            return
        self._gaps += 1
        wanted = min(SETTLE_CANDLES, max(1, gap.last - gap.first + 1))
        for symbol in self._states:
            self._unsettled[symbol] = max(wanted, self._unsettled.get(symbol, 0))

    def _analyse(
        self, candle: Candle, state: IndicatorSet, states: Mapping[str, IndicatorSet], wanted: int, message: Message
    ) -> Sequence[Emit]:
        features = state.features()
        regime: Regime = "unknown" if wanted else regime_of(features)
        view = MarketView(
            candle.symbol, candle.interval, candle.ts_open,
            state.opens, state.highs, state.lows, state.closes, state.volumes,
            features, regime,
            {interval: states[interval].features() for interval in self._higher if states[interval].count},
        )
        signals: list[AlphaSignal] = []
        skipped: list[AlphaSkipped] = []
        for alpha in self._alphas:
            weight = self._weight_by_alpha.get(alpha.name, 0.0)
            if weight <= 0.0:
                continue
            if wanted:
                opinion: Opinion | str = no_opinion(f"candles were lost; waits for {wanted} whole ones")
            else:
                opinion = self._ask(alpha, view)
            if isinstance(opinion, Opinion):
                signals.append(_signal(alpha, view, weight, opinion))
            else:
                skipped.append(AlphaSkipped(alpha.name, weight, FAILED, opinion))
        self._analyses += 1
        self._last_candle = f"{candle.symbol} {candle.interval}, {regime}"
        analysis = AnalysisCompleted(
            candle.symbol, candle.interval, candle.ts_open, candle.close, regime,
            tuple(Feature(name, value) for name, value in features.items() if isfinite(value)),
            tuple(signals), tuple(skipped),
        )
        return self._ask_elsewhere(analysis, view, is_settled=not wanted, message=message)

    def _ask_elsewhere(
        self, analysis: AnalysisCompleted, view: MarketView, *, is_settled: bool, message: Message
    ) -> Sequence[Emit]:
        """Those that think elsewhere may take their time: the analysis waits for them."""
        weights = {}
        for alpha in self._panel.roster() if is_settled else ():
            weight = self._weight_by_alpha.get(alpha.name, alpha.weight)
            if weight > 0.0:
                weights[alpha.name] = weight
        now = message.header.ts
        if not weights:
            return self._complete(analysis, now, message.id)
        waiting = _Waiting(message.id, now, analysis, weights)
        gathered = self._panel.ask(view, tuple(weights))
        if gathered is None:
            self._waiting[analysis.symbol] = waiting
            return ()
        return self._join(waiting, gathered, now)

    def _on_gathered(self, gathered: OpinionsGathered, now: int) -> Sequence[Emit]:
        waiting = self._waiting.get(gathered.symbol)
        if waiting is None or waiting.analysis.ts_open != gathered.ts_open:
            return ()  # nobody waits for it any more
        del self._waiting[gathered.symbol]
        return self._join(waiting, gathered, now)

    def _on_timer(self, now: int) -> Sequence[Emit]:
        overdue = [
            symbol for symbol, waiting in self._waiting.items() if now - waiting.since_ns >= self._config.patience_ns
        ]
        return [
            emit for symbol in sorted(overdue)
            for emit in self._give_up_waiting(symbol, "no answer came in time", now)
        ]

    def _give_up_waiting(self, symbol: str, why: str, now: int) -> Sequence[Emit]:
        waiting = self._waiting.pop(symbol, None)
        if waiting is None:
            return ()
        said = waiting.analysis
        skipped = tuple(AlphaSkipped(name, 0.0, TIMED_OUT, why) for name in waiting.weight_by_asked)
        return self._join(waiting, OpinionsGathered(symbol, said.interval, said.ts_open, (), skipped), now)

    def _join(self, waiting: _Waiting, gathered: OpinionsGathered, now: int) -> Sequence[Emit]:
        weights, analysis = waiting.weight_by_asked, waiting.analysis
        signals = [
            replace(signal, weight=weights[signal.alpha]) for signal in gathered.signals if signal.alpha in weights
        ]
        skipped = [replace(each, weight=weights[each.alpha]) for each in gathered.skipped if each.alpha in weights]
        self._failures.update(each.alpha for each in skipped)
        analysis = replace(
            analysis, signals=(*analysis.signals, *signals), skipped=(*analysis.skipped, *skipped),
        )
        return self._complete(analysis, now, waiting.candle_id)

    def _complete(self, analysis: AnalysisCompleted, now: int, cause: str) -> Sequence[Emit]:
        expires = now + self._config.signal_ttl_ns
        emits = [Emit(signal, expires, cause=cause) for signal in analysis.signals if signal.action != "hold"]
        emits.append(Emit(analysis, expires, cause=cause))
        return emits

    def _ask(self, alpha: Alpha, view: MarketView) -> Opinion | str:
        """The alpha's opinion, or why there is none: one bad model must not silence the others."""
        try:
            opinion = alpha.opinion(view)
            wrong = what_is_wrong(opinion)
        except Exception as error:  # noqa: BLE001 - a model may be anyone's code; it is counted and named in the status
            wrong = f"{type(error).__name__}: {error}"[:300]
        if not wrong:
            return opinion
        self._failures[alpha.name] += 1
        return wrong


def _signal(alpha: Alpha, view: MarketView, weight: float, opinion: Opinion) -> AlphaSignal:
    return AlphaSignal(
        alpha.name, alpha.version, view.symbol, view.interval, view.ts_open,
        opinion.action, opinion.confidence, weight, opinion.trail_ratio, opinion.urgency, opinion.reasoning,
    )
