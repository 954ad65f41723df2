"""Recorded ticks and frames as the items a feed gives: what `tradingd run --replay` plays, without sockets and days.

Binance frames (.tsv, .tsv.gz: the daemon's own tape, too) and Parquet files of trades and best quotes
(`exchanges.practice.recording`). They pass the parser and the checks of the live stream, depth is joined to its
recorded snapshot, and session time is the recording's receive time.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Final

from exchanges.binance.market_rest import parse_instruments, parse_snapshot
from exchanges.binance.market_state import FeedCounters, MarketState
from exchanges.binance.parser import FrameError, FrameParser, QuoteFrame, TradeFrame
from exchanges.practice.config import PracticeError
from exchanges.practice.pairs import listing
from exchanges.practice.recording import Frame
from exchanges.practice.recording_files import files_of, open_session
from exchanges.practice.replay_book import SymbolPast
from exchanges.venue import FeedEnded, FeedItem, FeedTime, FeedUp
from market.book import OrderBook
from market.instrument import Instrument
from market.interval import SECOND_NS
from market.ticks import BookDelta, BookInvalid, BookSnapshot
from research.backtest.data import DataError

FEED: Final = "recording"
_KINDS: Final = frozenset({"trade", "aggTrade", "bookTicker", "depth@100ms"})
_CLOCK_STEP_NS: Final = 1_000_000
_SAMPLE: Final = 5_000
_BOOK_LEVELS: Final = 1_000


class TickRecording:
    """One recording of one or more symbols, or the part of it received in a half-open range, UTC ns.

    It is read anew by each run.
    """

    def __init__(self, paths: Sequence[Path], start_ns: int | None = None, end_ns: int | None = None) -> None:
        """Raises `DataError` naming file and line, or a range in which nothing was recorded."""
        try:
            self._session = open_session(paths)
            self._files = [path for named in paths for path in files_of(named)]
            found = parse_instruments({"symbols": [listing(pair) for pair in self._session.pairs.values()]})
        except (PracticeError, FrameError) as error:
            raise DataError(str(error)) from error
        facts = self._session.facts
        self._start_ns = facts.first_ns if start_ns is None else max(start_ns, facts.first_ns)
        self._end_ns = facts.last_ns + 1 if end_ns is None else min(end_ns, facts.last_ns + 1)
        if self._start_ns >= self._end_ns:
            raise DataError(
                f"nothing was recorded in this range: there is something from {_iso(facts.first_ns)} to "
                f"{_iso(facts.last_ns)}"
            )
        self.instruments: tuple[Instrument, ...] = tuple(sorted(found, key=lambda each: each.symbol))
        self.has_quotes = any(
            frame.stream.endswith("@bookTicker") for frame in islice(self._session.frames(), _SAMPLE)
        )

    @property
    def first_ns(self) -> int:
        """Receive time of the first frame, UTC ns; the start of the range when that is later."""
        return self._start_ns

    @property
    def last_ns(self) -> int:
        """Of the last, as far as the range reaches."""
        return self._end_ns - 1

    @property
    def is_part(self) -> bool:
        """Was something recorded before the range? Then its first candle may lack trades."""
        return self._start_ns > self._session.facts.first_ns

    @property
    def has_candles(self) -> bool:
        """Were its ticks made of candles?"""
        return self._session.facts.has_candles

    def __len__(self) -> int:
        return self._session.facts.frames

    def fingerprint(self) -> str:
        """SHA-256 of the files' bytes, in order; of a part of them another one for each range."""
        made = hashlib.sha256()
        facts = self._session.facts
        if (self._start_ns, self._end_ns) != (facts.first_ns, facts.last_ns + 1):
            made.update(f"{self._start_ns} {self._end_ns} ".encode())
        for path in self._files:
            with path.open("rb") as stream:
                while block := stream.read(1 << 20):
                    made.update(block)
        return made.hexdigest()

    def items(self, start_ns: int = 0, end_ns: int | None = None) -> Iterator[tuple[int, FeedItem]]:
        """(number of the frame, item) of frames received in the half-open range, UTC ns; the last is `FeedEnded`.

        What came before the range is heard, not told: the books are whole at its start.
        """
        start_ns, end_ns = max(start_ns, self._start_ns), self._end_ns if end_ns is None else min(end_ns, self._end_ns)
        state = MarketState(self.instruments, FeedCounters())
        parser = FrameParser({each.venue_symbol: each.symbol for each in self.instruments})
        self._join_snapshots(state)
        books = {each.symbol: OrderBook(each.symbol) for each in self.instruments}
        now = clock = number = 0
        for number, frame in enumerate(self._session.frames(), 1):
            if frame.ns < start_ns:
                if frame.stream.partition("@")[2] in _KINDS:
                    _fold(books, _items(frame, parser, state, frame.ns))
                continue
            if frame.ns >= end_ns:
                break
            if frame.ns >= clock + _CLOCK_STEP_NS:
                yield number, FeedTime(frame.ns)
                if not clock:
                    yield number, FeedUp(FEED, frame.ns)
                    for book in books.values():
                        if book.is_valid:
                            yield number, _snapshot(book, frame.ns)
                now = clock = frame.ns
            if frame.stream.partition("@")[2] in _KINDS:
                for item in _items(frame, parser, state, now):
                    yield number, item
        if now:
            yield number, FeedEnded(now)

    def _join_snapshots(self, state: MarketState) -> None:
        facts = self._session.facts
        for each in self.instruments:
            pair = self._session.pairs[each.venue_symbol]
            past = SymbolPast(pair, facts.symbols[each.venue_symbol])
            state.on_snapshot(parse_snapshot(past.depth(_BOOK_LEVELS), each.symbol, facts.first_ns))


def _fold(books: Mapping[str, OrderBook], items: Sequence[FeedItem]) -> None:
    for item in items:
        if isinstance(item, BookSnapshot):
            books[item.symbol].apply_snapshot(item)
        elif isinstance(item, BookDelta):
            books[item.symbol].apply_delta(item)
        elif isinstance(item, BookInvalid):
            books[item.symbol].invalidate(item.reason)


def _snapshot(book: OrderBook, now: int) -> BookSnapshot:
    bids, asks = book.depth("bid", _BOOK_LEVELS), book.depth("ask", _BOOK_LEVELS)
    return BookSnapshot(book.symbol, tuple(bids), tuple(asks), book.sequence, book.ts_event, now)


def _iso(ts_ns: int) -> str:
    return datetime.fromtimestamp(ts_ns / SECOND_NS, UTC).isoformat(timespec="seconds")


def _items(frame: Frame, parser: FrameParser, state: MarketState, now: int) -> Sequence[FeedItem]:
    raw = b'{"stream":"%b","data":%b}' % (frame.stream.encode(), frame.data.encode())
    try:
        parsed = parser.parse_frame(raw, now)
    except FrameError as error:
        return state.by_symbol[error.symbol].depth.invalidate(str(error), now) if error.symbol else ()
    if isinstance(parsed, QuoteFrame):
        return state.on_quote(parsed)
    if isinstance(parsed, TradeFrame):
        return state.on_trade(parsed)
    if isinstance(parsed, BookDelta):
        items = state.on_delta(parsed)
        depth = state.by_symbol[parsed.symbol].depth
        return [*items, *depth.start_empty(now)] if depth.wants_snapshot else items
    return ()
