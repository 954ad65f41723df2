"""What the council sees, for people: the scanner's list, and of one symbol the newest analysis and thirty days."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agents.scanner import HALTED
from bus.messages.council import AnalysisCompleted, Candidate, CandidatesRanked
from bus.messages.header import Message
from bus.messages.system import DaemonStarted, InstrumentChanged
from market.interval import SECOND_NS, interval_ns
from market.money import to_text
from market.month_profile import DAY_NS, MONTH_DAYS, MonthProfile, month_profile
from tradingd.read_model_views import iso_or_none, to_iso

if TYPE_CHECKING:
    from store.candles import CandleStore

PROFILE_LIFE_NS: Final = 60 * SECOND_NS
"""A profile is made at most so often per symbol."""

MOST_SYMBOLS: Final = 1_000
LONGEST_NS: Final = 3_600 * SECOND_NS
"""Candles of an hour are fine enough for a profile of thirty days; longer ones serve where there are no others."""


@dataclass(frozen=True, slots=True)
class CandidateView:
    """A ranked symbol: score 0-100 and why; `rank` from 1."""

    rank: int
    symbol: str
    score: float
    is_watched: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LeftOutView:
    """A symbol that was not ranked, and why."""

    symbol: str
    reason: str


@dataclass(frozen=True, slots=True)
class ScannerView:
    """The newest ranking: the watch list and the runners-up, best first within each; `time` None before the first."""

    time: str | None
    ranked: tuple[CandidateView, ...]
    left_out: tuple[LeftOutView, ...]


@dataclass(frozen=True, slots=True)
class OpinionView:
    """What an alpha said of the candle."""

    alpha: str
    version: str
    action: str
    confidence: float
    weight: float
    trail_ratio: float
    urgency: str
    reasoning: str


@dataclass(frozen=True, slots=True)
class AnalysisView:
    """One closed candle as the analyst saw it; `time` is its opening. Features by name, float64."""

    symbol: str
    interval: str
    time: str
    close: str
    regime: str
    features: dict[str, float]
    opinions: tuple[OpinionView, ...]


@dataclass(frozen=True, slots=True)
class MonthView:
    """Thirty days of stored candles; see `market.month_profile.MonthProfile` for the figures."""

    interval: str
    candles: int
    first: str
    end: str
    days: float
    first_price: float
    last_price: float
    highest: float
    lowest: float
    change_ratio: float
    max_drawdown: float
    volatility: float
    recent_volatility: float
    average_swing_ratio: float
    efficiency: float
    turnover_per_day: float
    busiest_hour: int
    quietest_hour: int
    point_of_control: float | None
    value_area_low: float | None
    value_area_high: float | None


@dataclass(frozen=True, slots=True)
class FundamentalsView:
    """`venue_status` "trading" or "halted". `known_since`: opening of the oldest stored candle of any interval, and
    `age_days` since then: so long is it listed at least; None without any.
    """

    venue_status: str
    known_since: str | None
    age_days: float | None


@dataclass(frozen=True, slots=True)
class SymbolMarketView:
    """`analysis` None until one was made in this session, `month` None without enough stored candles."""

    symbol: str
    analysis: AnalysisView | None
    month: MonthView | None
    fundamentals: FundamentalsView


class MarketFold:
    """The newest ranking and each symbol's newest analysis; neither is journalled, so they are this session's."""

    def __init__(self) -> None:
        self._ranking: Message | None = None
        self._analysis_by_symbol: dict[str, AnalysisCompleted] = {}
        self._halted: set[str] = set()

    def apply(self, message: Message) -> None:
        """Any message; others than rankings, analyses and changes of the venue's rules change nothing."""
        body = message.body
        if isinstance(body, CandidatesRanked):
            self._ranking = message
        elif isinstance(body, AnalysisCompleted) and (
            body.symbol in self._analysis_by_symbol or len(self._analysis_by_symbol) < MOST_SYMBOLS
        ):
            self._analysis_by_symbol[body.symbol] = body
        elif isinstance(body, InstrumentChanged):
            (self._halted.discard if body.is_trading else self._halted.add)(body.symbol)
        elif isinstance(body, DaemonStarted):
            self._halted.clear()  # the venue's rules are read anew at each start

    def is_halted(self, symbol: str) -> bool:
        """The venue said so since the start, or at the start, which the scanner knows."""
        ranking: CandidatesRanked | None = self._ranking.body if self._ranking is not None else None
        left_out = ranking.left_out if ranking is not None else ()
        return symbol in self._halted or any(one.symbol == symbol and one.reason == HALTED for one in left_out)

    def scanner(self) -> ScannerView:
        """The newest ranking."""
        if self._ranking is None:
            return ScannerView(None, (), ())
        body: CandidatesRanked = self._ranking.body
        listed = [_candidate_view(number, one, True) for number, one in enumerate(body.candidates, start=1)]
        others = [
            _candidate_view(number, one, False) for number, one in enumerate(body.runners_up, start=len(listed) + 1)
        ]
        left_out = tuple(LeftOutView(one.symbol, one.reason) for one in body.left_out)
        return ScannerView(iso_or_none(self._ranking.header.ts), (*listed, *others), left_out)

    def analysis(self, symbol: str) -> AnalysisView | None:
        """The newest of this symbol."""
        body = self._analysis_by_symbol.get(symbol)
        if body is None:
            return None
        return AnalysisView(
            body.symbol, body.interval, to_iso(body.ts_open), to_text(body.close), body.regime,
            {feature.name: feature.value for feature in body.features},
            tuple(
                OpinionView(
                    one.alpha, one.version, one.action, one.confidence, one.weight, one.trail_ratio, one.urgency,
                    one.reasoning,
                )
                for one in body.signals
            ),
        )


class ProfileError(RuntimeError):
    """The stored candles cannot be read; the text names the file and the remedy."""


@dataclass(frozen=True, slots=True)
class StoredMarket:
    """What the stored candles say of a symbol: its last thirty days, and since when there are any (UTC ns)."""

    month: MonthProfile | None
    first_ns: int | None


class MonthProfiles:
    """What stored candles say, thirty-day profiles above all, each kept for a minute of the session's time.

    `profile` reads files: call it off the event loop. What reads them (Parquet) is loaded by the first who asks: it
    takes as much memory as a quarter of the daemon.
    """

    def __init__(self, root: Path, venue: str, now: Callable[[], int]) -> None:
        self._root = root
        self._venue = venue
        self._now = now
        self._known: dict[str, tuple[int, StoredMarket]] = {}

    def profile(self, symbol: str) -> MonthProfile | None:
        """None when too little is stored. Raises `ProfileError` for a damaged file."""
        return self.stored(symbol).month

    def stored(self, symbol: str) -> StoredMarket:
        """All of it; reads files as `profile` does, and raises the same."""
        from store.candle_parts import CandlePartError
        from store.candles import CandleStore

        now = self._now()
        known = self._known.get(symbol)
        if known is not None and 0 <= now - known[0] < PROFILE_LIFE_NS:
            return known[1]
        try:
            store = CandleStore(self._root, self._venue)
            made = StoredMarket(_profile(store, symbol, now), _oldest(store, symbol))
        except CandlePartError as error:
            raise ProfileError(str(error)) from error
        if len(self._known) >= MOST_SYMBOLS:
            self._known.clear()
        self._known[symbol] = (now, made)
        return made


def _oldest(store: "CandleStore", symbol: str) -> int | None:
    """Opening of the oldest candle of any interval."""
    times = [store.open_times(symbol, interval) for name, interval in store.series() if name == symbol]
    return min((int(each[0]) for each in times if len(each)), default=None)


def _profile(store: "CandleStore", symbol: str, now: int) -> MonthProfile | None:
    """From the series that reaches back furthest within the month; of equal ones the coarsest up to an hour."""
    start = now - MONTH_DAYS * DAY_NS
    lengths = {interval: interval_ns(interval) for name, interval in store.series() if name == symbol}
    fine = sorted((one for one in lengths if lengths[one] <= LONGEST_NS), key=lambda one: -lengths[one])
    best: MonthProfile | None = None
    for interval in fine or sorted(lengths, key=lambda one: lengths[one]):
        one = store.load(symbol, interval, start, now + 1)
        made = month_profile(symbol, interval, one.ts_open, one.open, one.high, one.low, one.close, one.volume)
        if made is not None and (best is None or made.days > best.days + 1.0):
            best = made
    return best


def fundamentals_view(first_ns: int | None, now: int, *, is_halted: bool) -> FundamentalsView:
    """For people and scripts."""
    status = "halted" if is_halted else "trading"
    if first_ns is None:
        return FundamentalsView(status, None, None)
    return FundamentalsView(status, to_iso(first_ns), round(max(now - first_ns, 0) / DAY_NS, 2))


def month_view(made: MonthProfile | None) -> MonthView | None:
    """For people and scripts."""
    if made is None:
        return None
    return MonthView(
        made.interval, made.candles, to_iso(made.first_ns), to_iso(made.end_ns), made.days, made.first_price,
        made.last_price, made.highest, made.lowest, made.change_ratio, made.max_drawdown, made.volatility,
        made.recent_volatility, made.average_swing_ratio, made.efficiency, made.turnover_per_day, made.busiest_hour,
        made.quietest_hour, made.point_of_control, made.value_area_low, made.value_area_high,
    )


def _candidate_view(rank: int, one: Candidate, is_watched: bool) -> CandidateView:
    return CandidateView(rank, one.symbol, one.score, is_watched, one.reasons)
