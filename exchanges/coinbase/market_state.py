"""What the market stream remembers between frames, and what it therefore lets through. Pure.

Trades, quotes and their guards are those of every venue (`exchanges.binance.market_state`); Coinbase's own are the
sequence of the connection, which alone tells that something was missed, and books that begin with a snapshot inside the
stream.
"""

from collections.abc import Sequence
from typing import Final

from exchanges.binance.market_state import FeedCounters, MarketState
from exchanges.binance.parser import QuoteFrame, TradeFrame
from exchanges.binance.sequence import TradeSequence
from exchanges.coinbase.parser import BookChange, Trade
from market.book import Level, OrderBook
from market.instrument import Instrument
from market.interval import SECOND_NS
from market.ticks import BookDelta, BookInvalid, BookSnapshot, MarketItem, QuoteInvalid, QuoteTick, TradeTick

Items = Sequence[MarketItem]
BOOK_SPEAKS_NS: Final = 3 * SECOND_NS
"""So long after its last change a product's book is believed before the ticker."""
_NOTHING_TOLD: Final = (None, None)


class ConnectionSequence:
    """`sequence_num` counts the frames of one connection, whatever their channel: each is one more than the last."""

    __slots__ = ("last",)

    def __init__(self) -> None:
        self.last = -1

    def take(self, number: int) -> int:
        """-1: seen before, ignore it. Otherwise how many frames are missing (0 is the good case)."""
        if number <= self.last:
            return -1
        missing = number - self.last - 1 if self.last >= 0 else 0
        self.last = number
        return missing


class CountedTrades(TradeSequence):
    """Trade numbers of a product whose frames are counted: a jump means missing trades only where frames may be.

    `has_hole`: this is such a place. That numbers rise by one the venue does not promise: products may share a counter.
    """

    __slots__ = ("has_hole",)

    def __init__(self) -> None:
        super().__init__()
        self.has_hole = False

    def take(self, number: int) -> int:
        """As `TradeSequence.take`."""
        skipped = super().take(number)
        if skipped < 0:
            return skipped
        had_hole, self.has_hole = self.has_hole, False
        return skipped if had_hole else 0


class StreamBook:
    """One product's book: nothing until a snapshot, which always replaces what was; deltas after it.

    The numbers in what comes out count this book's own changes: they rise by one, for readers that check.
    """

    __slots__ = ("_book", "_count", "_top", "heard_ns", "is_synced", "symbol")

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.is_synced = False
        self.heard_ns = 0
        """When its last change came (UTC ns)."""
        self._book = OrderBook(symbol)
        self._count = 0
        self._top: tuple[Level | None, Level | None] = _NOTHING_TOLD

    def new_top(self, ts_event: int, ts_init: int) -> QuoteTick | None:
        """The best bid and ask, when they are others than those told last and both are there."""
        bid, ask = self._book.best_bid, self._book.best_ask
        if (bid, ask) == self._top:
            return None
        self._top = (bid, ask)
        if bid is None or ask is None:
            return None
        return QuoteTick(self.symbol, *bid, *ask, ts_event, ts_init)

    def forget_top(self) -> None:
        """Others than its best prices were told since: they are told again with its next change."""
        self._top = _NOTHING_TOLD

    def apply(self, change: BookChange, ts_init: int) -> list[MarketItem]:
        """What readers may be told: the snapshot, the delta, or that the book is lost (crossed)."""
        self.heard_ns = ts_init
        if change.is_snapshot:
            return self._begin(change, ts_init)
        if not self.is_synced:
            return []
        self._count += 1
        delta = BookDelta(
            self.symbol, change.bids, change.asks, self._count, self._count, change.ts_event, ts_init
        )
        if not self._book.apply_delta(delta):
            return self._crossed(f"the book is {self._book.invalid_reason}", ts_init)
        return [delta]

    def _begin(self, change: BookChange, ts_init: int) -> list[MarketItem]:
        self._count += 1
        snapshot = BookSnapshot(self.symbol, change.bids, change.asks, self._count, change.ts_event, ts_init)
        if not self._book.apply_snapshot(snapshot):
            return self._crossed(f"the snapshot is {self._book.invalid_reason}", ts_init)
        self.is_synced = True
        return [snapshot]

    def _crossed(self, reason: str, ts_init: int) -> list[MarketItem]:
        """Its best prices are told as quotes, too: those cannot be, either."""
        return [*self.invalidate(reason, ts_init), QuoteInvalid(self.symbol, reason, ts_init)]

    def invalidate(self, reason: str, ts_init: int) -> list[MarketItem]:
        """Forget everything until the next snapshot."""
        was_synced, self.is_synced = self.is_synced, False
        self._book.invalidate(reason)
        self.forget_top()
        return [BookInvalid(self.symbol, reason, ts_init)] if was_synced else []


class CoinbaseState:
    """All products of one feed."""

    def __init__(self, instruments: Sequence[Instrument], counters: FeedCounters) -> None:
        self.shared: Final = MarketState(instruments, counters)
        self.sequence = ConnectionSequence()
        self.books = {each.symbol: StreamBook(each.symbol) for each in instruments}
        self._counters = counters
        self._quotes = 0
        self._numbers = {each.symbol: CountedTrades() for each in instruments}
        for symbol, numbers in self._numbers.items():
            self.shared.by_symbol[symbol].trades = numbers

    def on_trades(self, trades: Sequence[Trade]) -> list[MarketItem]:
        """Those that are new and believable, oldest first.

        A subscription opens with trades of the past. The first time nobody is told of them: they happened before we
        watched. After a reconnect those that we missed are told.
        """
        unseen = {symbol for symbol, state in self.shared.by_symbol.items() if state.trades.last < 0}
        items: list[MarketItem] = []
        for trade in trades:
            tick, state = trade.tick, self.shared.by_symbol[trade.tick.symbol]
            if trade.is_past and trade.number <= state.trades.last:
                self._numbers[tick.symbol].has_hole = False  # the list reaches back to what we know
            if trade.is_past and tick.symbol in unseen:
                state.trades.take(trade.number)
                state.last_trade_ns = tick.ts_event
            elif not trade.is_past or trade.number > state.trades.last:
                items += self.shared.on_trade(TradeFrame(tick, trade.number, is_aggregate=False))
        return items

    def on_ticker(self, tick: QuoteTick) -> Items:
        """The ticker's quote, if it is believable and no book knows better.

        It speaks only when something trades, and in busy times seconds late; told behind the book's, such a price would
        be the past, and stand until the next best one. Where the book is lost, or silent, it is what there is.
        """
        book = self.books[tick.symbol]
        if book.is_synced and tick.ts_init - book.heard_ns < BOOK_SPEAKS_NS:
            return self.shared.alive(tick.ts_init)
        book.forget_top()
        return self._on_quote(tick)

    def on_book(self, change: BookChange, ts_init: int) -> Items:
        """The change in step, the whole book, or the loss of it; then the best prices when they are others."""
        book = self.books[change.symbol]
        was_synced = book.is_synced
        items = book.apply(change, ts_init)
        if change.is_snapshot and book.is_synced:
            self._counters.snapshots += 1
        elif was_synced and not book.is_synced:
            self._counters.book_gaps += 1
        top = book.new_top(change.ts_event, ts_init)
        if top is not None:
            return [*items, *self._on_quote(top)]
        return items or self.shared.alive(ts_init)

    def _on_quote(self, tick: QuoteTick) -> Items:
        """The quote if it is believable: it is newer than the last, for no frame is handled twice."""
        self._quotes += 1
        return self.shared.on_quote(QuoteFrame(tick, self._quotes))

    def on_quote_refused(self, symbol: str) -> None:
        """A quote that cannot be was told as void: the book's best prices are told again with its next change."""
        self.books[symbol].forget_top()

    def backfill(self, symbol: str, trades: Sequence[tuple[int, TradeTick]]) -> list[TradeTick]:
        """The trades among `trades` (number, tick; oldest first) that the stream missed."""
        numbers = self._numbers[symbol]
        if trades and trades[0][0] <= numbers.last:
            numbers.has_hole = False
        return self.shared.backfill(symbol, trades)

    def on_trades_refused(self, symbol: str) -> None:
        """A frame of trades could not be read: a jump of this product's numbers (of any, for "") is a gap."""
        for each in [symbol] if symbol in self._numbers else self._numbers:
            self._numbers[each].has_hole = True

    def on_gap(self, missing: int, ts_init: int) -> list[MarketItem]:
        """Frames are missing, of which channel nobody knows: no book can be believed."""
        self._counters.book_gaps += 1
        return self.invalidate_books(f"gap: {missing} frames are missing", ts_init)

    def invalidate_books(
        self, reason: str, ts_init: int, symbols: Sequence[str] | None = None
    ) -> list[MarketItem]:
        """These books, or (None) all, are void until their next snapshot."""
        named = sorted(self.books) if symbols is None else symbols
        return [item for symbol in named for item in self.books[symbol].invalidate(reason, ts_init)]

    def on_connection_lost(self, ts_init: int) -> list[MarketItem]:
        """A new connection counts its frames anew. Trade numbers are kept: no trade comes twice."""
        self.sequence = ConnectionSequence()
        self.on_trades_refused("")
        self.shared.on_connection_lost(ts_init)
        return self.invalidate_books("the connection was lost", ts_init)
