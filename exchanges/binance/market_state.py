"""What a stream remembers between frames, and what it therefore lets through. Pure: frames in, items out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from exchanges.binance.depth import DepthSync
from exchanges.binance.parser import QuoteFrame, TradeFrame
from exchanges.binance.sequence import JUMP_FACTOR, PriceGuard, TradeSequence
from market.instrument import Instrument
from market.interval import SECOND_NS
from market.ticks import BookDelta, BookSnapshot, FeedAlive, MarketItem, QuoteTick, TradeTick

ALIVE_EVERY_NS: Final = 100_000_000
MOST_AHEAD_NS: Final = 2 * SECOND_NS
"""So far may a trade's stamp lie ahead of our clock: clocks differ."""


@dataclass(slots=True)
class FeedCounters:
    """What a feed has seen since it was made, for status pages and alerts."""

    frames: int = 0
    refused_by_reason: dict[str, int] = field(default_factory=dict)
    duplicates: int = 0
    trade_gaps: int = 0
    missed_trades: int = 0
    future_stamps: int = 0
    """Trades whose stamp lay further ahead than clocks differ: they count as of when they were heard."""
    backfilled_trades: int = 0
    book_gaps: int = 0
    snapshots: int = 0
    reconnects: int = 0
    quiet_checks: int = 0
    polled_quotes: int = 0
    behind_looks: int = 0
    """So many looks in a row found messages that nobody had handled yet: they come faster than they are handled."""
    last_problem: str = ""
    on_gap: Callable[[str, int], None] | None = None
    """Told of each gap in a symbol's trade numbers (symbol, UTC ns), before the trade behind it."""

    def refuse(self, reason: str) -> None:
        """Count a refused frame."""
        self.refused_by_reason[reason] = self.refused_by_reason.get(reason, 0) + 1


def as_heard(tick: TradeTick, counters: FeedCounters) -> TradeTick:
    """The trade, stamped when it was heard where the venue's stamp lies too far ahead of that; counted.

    Believed, the stamp would keep the symbol's candles open until then. The trade is not dropped: the clock that is
    wrong may be ours.
    """
    if tick.ts_event - tick.ts_init <= MOST_AHEAD_NS:
        return tick
    counters.future_stamps += 1
    return tick._replace(ts_event=tick.ts_init)


class SymbolState:
    """The memory of one symbol."""

    __slots__ = ("aggregates", "depth", "guard", "has_trades", "last_trade_ns", "quote", "quote_update", "trades")

    def __init__(self, symbol: str) -> None:
        self.trades = TradeSequence()
        self.aggregates = TradeSequence()
        self.has_trades = False
        self.last_trade_ns = 0
        self.quote_update = -1
        self.quote: QuoteTick | None = None
        self.guard = PriceGuard()
        self.depth = DepthSync(symbol)


class MarketState:
    """All symbols of one feed.

    Aggregated trades stand in for trades only until the first trade of the symbol was seen: a recording
    holds the one or the other, and counting both would double the volume.
    """

    def __init__(self, instruments: Sequence[Instrument], counters: FeedCounters) -> None:
        self.by_symbol = {each.symbol: SymbolState(each.symbol) for each in instruments}
        self._counters = counters
        self._last_alive = 0

    def know_prices(self, prices: Mapping[str, Decimal]) -> None:
        """What a unit of some symbols cost before anything was heard of them."""
        for symbol, price in prices.items():
            if symbol in self.by_symbol:
                self.by_symbol[symbol].guard.know(price)

    def on_trade(self, frame: TradeFrame) -> Sequence[MarketItem]:
        """The trade if it is new and believable."""
        tick = frame.tick
        state = self.by_symbol[tick.symbol]
        if frame.is_aggregate:
            if state.has_trades:
                return self.alive(tick.ts_init)
            skipped = state.aggregates.take(frame.number)
        else:
            state.has_trades = True
            skipped = state.trades.take(frame.number)
            if skipped >= 0:
                state.last_trade_ns = tick.ts_event
        if skipped:
            if skipped < 0:
                self._counters.duplicates += 1
                return self.alive(tick.ts_init)
            self._counters.trade_gaps += 1
            self._counters.missed_trades += skipped
            if self._counters.on_gap is not None:
                self._counters.on_gap(tick.symbol, tick.ts_init)
        if not state.guard.accepts(tick.price):
            self._counters.refuse("jump")
            return ()
        if tick.ts_event - tick.ts_init > MOST_AHEAD_NS:
            return (as_heard(tick, self._counters),)
        return (tick,)

    def on_quote(self, frame: QuoteFrame) -> Sequence[MarketItem]:
        """The quote if it is newer than the last and believable."""
        tick = frame.tick
        state = self.by_symbol[tick.symbol]
        if frame.update_id <= state.quote_update:
            self._counters.duplicates += 1
            return self.alive(tick.ts_init)
        state.quote_update = frame.update_id
        guard = state.guard
        # below `sure_high` it is less than ten times the bid, which lies above `sure_low`
        if not guard.accepts(tick.bid) or (tick.ask >= guard.sure_high and tick.ask >= tick.bid * JUMP_FACTOR):
            self._counters.refuse("jump")
            return ()
        state.quote = tick
        return (tick,)

    def on_polled_quote(self, tick: QuoteTick) -> Sequence[MarketItem]:
        """A quote asked for over REST while the stream is away: it has no number, only its price is checked."""
        state = self.by_symbol[tick.symbol]
        if not state.guard.accepts(tick.bid) or tick.ask >= tick.bid * JUMP_FACTOR:
            self._counters.refuse("jump")
            return ()
        self._counters.polled_quotes += 1
        return (tick,)

    def on_opening_quote(self, tick: QuoteTick) -> Sequence[MarketItem]:
        """A quote asked for over REST when the connection was new: the stream tells changes only.

        Where the stream has told one meanwhile, that is the newer one.
        """
        state = self.by_symbol[tick.symbol]
        items = self.on_polled_quote(tick) if state.quote is None else ()
        if items:
            state.quote = tick
        return items

    def on_delta(self, delta: BookDelta) -> Sequence[MarketItem]:
        """The event in step, or the loss of step."""
        depth = self.by_symbol[delta.symbol].depth
        gaps = depth.gaps
        items = depth.on_delta(delta)
        self._counters.book_gaps += depth.gaps - gaps
        return items or self.alive(delta.ts_init)

    def on_snapshot(self, snapshot: BookSnapshot) -> Sequence[MarketItem]:
        """A REST snapshot has come."""
        self._counters.snapshots += 1
        return self.by_symbol[snapshot.symbol].depth.on_snapshot(snapshot)

    def alive(self, ts_init: int) -> Sequence[MarketItem]:
        """Data age starts anew, at most every 100 ms."""
        if ts_init - self._last_alive < ALIVE_EVERY_NS:
            return ()
        self._last_alive = ts_init
        return (FeedAlive(ts_init),)

    def on_connection_lost(self, ts_init: int) -> list[MarketItem]:
        """Every book is void. Trade numbers are kept (no trade twice), quotes and their numbers start anew."""
        items: list[MarketItem] = []
        for state in self.by_symbol.values():
            state.quote_update = -1
            state.quote = None  # what the next connection is silent about may have changed meanwhile
            items += state.depth.invalidate("the connection was lost", ts_init)
        return items

    def backfill(self, symbol: str, trades: Sequence[tuple[int, TradeTick]]) -> list[TradeTick]:
        """The trades among `trades` (number, tick; oldest first) that the stream missed."""
        state = self.by_symbol[symbol]
        if trades and trades[-1][0] < state.trades.last and trades[-1][1].ts_event > state.last_trade_ns:
            state.trades.last = -1  # the venue numbers anew (a practice market was reset)
            return []
        missed: list[TradeTick] = []
        for number, tick in trades:
            if number > state.trades.last >= 0:
                told = self.on_trade(TradeFrame(tick, number, is_aggregate=False))
                missed += [each for each in told if isinstance(each, TradeTick)]
        self._counters.backfilled_trades += len(missed)
        return missed

    def quotes(self) -> dict[str, tuple[Decimal, Decimal]]:
        """The last best bid and ask of this connection by symbol, where one is known."""
        return {
            symbol: (state.quote.bid, state.quote.ask)
            for symbol, state in self.by_symbol.items()
            if state.quote is not None
        }
