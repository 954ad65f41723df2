"""The scanner: ranks the configured symbols by how much there is to do in them, and keeps the watch list.

How a symbol is measured and scored stands in `agents.opportunity`. Before anything is ranked the quality filters leave
symbols out, each with a reason: the venue halted it, it is too young, trades too little or its spread is too wide. A
listed symbol is replaced only by one that is clearly better, so that the list does not flicker.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from agents.agent import AgentStatus, Emit
from agents.opportunity import (
    LEAST,
    Measure,
    SymbolTrack,
    Yardstick,
    amount_text,
    candidate,
    score_of,
    span_text,
)
from bus.messages.council import Candidate, CandidatesRanked, LeftOut, QuotesSampled
from bus.messages.header import Message
from bus.messages.system import InstrumentChanged, TimerFired
from market.instrument import to_float
from market.interval import interval_ns
from market.ticks import Candle

LISTED_BONUS: Final = 5.0
"""Points in favour of a symbol that is on the list already."""

RUNNERS_UP: Final = 20
"""So many of those that did not make the list are told, too."""

HALTED: Final = "the venue has halted it"
"""The reason why a symbol is left out that the venue does not trade now."""

QUOTE_LIFE_NS: Final = 30_000_000_000
"""A spread sampled longer ago is not known any more."""


@dataclass(frozen=True, slots=True)
class ScannerConfig:
    """Keys of [scanner]; `interval` is that of the decision candles.

    `top`: length of the watch list. `min_quote_volume`: in quote, over the last 60 candles; below it a symbol
    is left out. `max_spread`: ratio of price; above it a symbol is left out. `refresh_ns`: least time between
    two rankings. `min_age_ns`: a symbol whose oldest candle of any interval (those fetched at the start count) is
    younger is left out. `quote`: the currency, for people.
    """

    top: int
    min_quote_volume: Decimal
    max_spread: float
    refresh_ns: int
    interval: str
    min_age_ns: int = 0
    quote: str = ""


class Scanner:
    """Ranks at most once per `refresh_ns`, first when that long has passed since the first message."""

    name = "scanner"
    subscriptions: frozenset[type] = frozenset({Candle, QuotesSampled, InstrumentChanged})

    def __init__(self, config: ScannerConfig, symbols: Sequence[str], halted: Collection[str] = ()) -> None:
        """`halted`: those of `symbols` that the venue does not trade as this begins."""
        self._config = config
        length_ns = interval_ns(config.interval)
        self._tracks = {symbol: SymbolTrack(symbol, length_ns) for symbol in sorted(symbols)}
        self._spread_by_symbol: dict[str, float] = {}
        self._sampled_ns = 0
        self._halted = set(halted)
        self._least_turnover = to_float(config.min_quote_volume)
        self._listed: tuple[str, ...] = ()
        self._next_ranking: int | None = None
        self._rankings = 0
        self._measured = 0
        self._left_out = 0

    def handle(self, message: Message) -> Sequence[Emit]:
        body, now = message.body, message.header.ts
        if isinstance(body, Candle):
            track = self._tracks.get(body.symbol)
            if track is not None:
                track.note_age(body.ts_open)
                if body.interval == self._config.interval:
                    track.add(body)
        elif isinstance(body, QuotesSampled):
            self._on_quotes(body, now)
            return ()
        elif isinstance(body, InstrumentChanged):
            (self._halted.discard if body.is_trading else self._halted.add)(body.symbol)
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
        total = len(self._tracks)
        if not self._rankings:
            return AgentStatus("idle", f"listening to {total} symbols", 0, total)
        listed = ", ".join(self._listed) or "no symbol"
        left_out = f", {self._left_out} left out" if self._left_out else ""
        return AgentStatus("running", f"{listed} on the watch list of {total} symbols{left_out}", self._measured, total)

    def _on_quotes(self, sample: QuotesSampled, now: int) -> None:
        self._sampled_ns = now
        self._spread_by_symbol = {
            quote.symbol: to_float((quote.ask - quote.bid) / quote.bid)
            for quote in sample.quotes if quote.symbol in self._tracks and quote.bid > 0
        }

    def _rank(self, now: int) -> Sequence[Emit]:
        if not any(track.has_history for track in self._tracks.values()):
            return ()  # nothing heard yet: whoever reads the list goes on with all symbols
        if now - self._sampled_ns > QUOTE_LIFE_NS:
            self._spread_by_symbol = {}
        fit: list[Measure] = []
        left_out: list[LeftOut] = []
        for symbol, track in self._tracks.items():
            measure = track.measure(now)
            objection = self._objection(track, measure, now)
            if objection:
                left_out.append(LeftOut(symbol, objection))
            elif measure is not None:
                fit.append(measure)
        self._measured, self._left_out = len(fit), len(left_out)
        self._rankings += 1
        chosen, others = self._choose(fit)
        self._listed = tuple(one.symbol for one in chosen)
        return (Emit(CandidatesRanked(chosen, others, tuple(left_out))),)

    def _choose(self, fit: Sequence[Measure]) -> tuple[tuple[Candidate, ...], tuple[Candidate, ...]]:
        """The watch list and the best of the others, each by score."""
        if not fit:
            return (), ()
        usual, spreads, most = Yardstick.of(fit), self._spread_by_symbol, self._config.max_spread
        scored = [(score_of(one, usual, spreads.get(one.symbol), most), one) for one in fit]
        listed = frozenset(self._listed)
        scored.sort(
            key=lambda pair: (-pair[0] - (LISTED_BONUS if pair[1].symbol in listed else 0.0), pair[1].symbol)
        )
        top, quote = self._config.top, self._config.quote

        def told(part: Sequence[tuple[float, Measure]]) -> tuple[Candidate, ...]:
            by_score = sorted(part, key=lambda pair: (-pair[0], pair[1].symbol))
            return tuple(candidate(one, score, usual, spreads.get(one.symbol), quote) for score, one in by_score)

        return told(scored[:top]), told(scored[top : top + RUNNERS_UP])

    def _objection(self, track: SymbolTrack, measure: Measure | None, now: int) -> str:
        """Why this symbol is not fit to be ranked; "" if it is."""
        config = self._config
        if track.symbol in self._halted:
            return HALTED
        if measure is None:
            return f"fewer than {LEAST} candles in the window: it does not trade"
        age = now - track.first_ns if track.first_ns is not None else 0
        if age < config.min_age_ns:
            return f"known for {span_text(age)}, at least {span_text(config.min_age_ns)} wanted (min_age_h)"
        if measure.turnover < self._least_turnover:
            return (
                f"traded {amount_text(measure.turnover)} {config.quote} in {span_text(measure.span_ns)}, at least "
                f"{amount_text(self._least_turnover)} wanted (min_quote_volume)"
            )
        spread = self._spread_by_symbol.get(track.symbol)
        if spread is not None and spread > config.max_spread:
            return f"spread {100.0 * spread:.3f} %, at most {100.0 * config.max_spread:.3f} % wanted (max_spread)"
        return ""
