"""Coinbase's public market stream: connect, subscribe, check, resynchronise, reconnect.

Each frame is handled, down to the sink, as it is read, so that the items' order is the wire's. A missing frame may
have been a trade or a level, of any product: the connection is given up and begun anew, where the trades that were
missed come over REST before anything newer is told (the barrier), and a snapshot replaces each book. A book that is
lost alone (crossed, or a frame of it refused) is asked for anew on the same connection.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Final

from websockets.exceptions import ConnectionClosed, WebSocketException

from bus.clock import Clock
from exchanges.answers import VenueError
from exchanges.backoff import Backoff
from exchanges.binance.market_state import FeedCounters
from exchanges.binance.parser import NOT_FOR_US, FrameError
from exchanges.binance.subscription import close_text
from exchanges.coinbase.book_repair import BookRepair, BooksLostError
from exchanges.coinbase.book_seats import BookSeats
from exchanges.coinbase.keys import read_keys
from exchanges.coinbase.market_client import MarketClient
from exchanges.coinbase.market_state import CoinbaseState
from exchanges.coinbase.parser import MAX_FRAME_BYTES, BookChange, Envelope, MarketParser, Trade, parse_envelope
from exchanges.coinbase.silence import Silence
from exchanges.coinbase.subscription import MARKET_CHANNELS, Confirmations, products, wish
from exchanges.coinbase.told_names import ToldNames
from exchanges.frame_socket import FrameSocket, open_socket
from exchanges.listed_symbols import ListedSymbols
from exchanges.price_poll import PricePoll
from exchanges.timed_answers import answers_within, end_tasks
from exchanges.trade_check import TradeCheck
from exchanges.venue import FeedDown, FeedSink, FeedUp
from market.instrument import Instrument
from market.ticks import Candle, QuoteInvalid, QuoteTick, TradeTick

ANSWER_TIMEOUT_S: Final = 10.0
WATCH_EVERY_S: Final = 0.5
REFUSED_IN_A_ROW: Final = 20
BACKFILL_TIMEOUT_S: Final = 5.0
"""So long are missed trades of the urgent symbols waited for before the stream goes on."""
BACKFILL_OTHERS_S: Final = 1.0
"""And those of the others: no position waits for a price until they are all told."""
POLL_TIMEOUT_S: Final = 5.0
POLL_EVERY_S: Final = 30.0
"""How often best prices are asked over REST while the stream is away."""
QUIET_CHECK_TIMEOUT_S: Final = 1.5
QUIET_SAMPLE: Final = 5
"""So many products are looked at over REST to tell a quiet market from a mute connection."""
PING_EVERY_S: Final = 20.0
STEADY_S: Final = 10.0
"""A connection that held so long is begun anew without a pause when a frame is missing."""


class StreamLostError(Exception):
    """The connection is of no use any more; the text says why.

    `is_gap`: it lives, but a frame is missing. `is_lighter`: the next one asks for less, so it may go better.
    """

    def __init__(self, reason: str, *, is_gap: bool = False, is_lighter: bool = False) -> None:
        super().__init__(reason)
        self.is_gap = is_gap
        self.is_lighter = is_lighter


class CoinbaseFeed:
    """Implements `exchanges.venue.Feed` for Coinbase Advanced Trade.

    `ws_url` is the full socket address. With keys `instruments` carry the account's own fees; the stream itself needs
    none; `is_live`: the account asks about them itself. `jitter` returns numbers in [0, 1) for the reconnect waits.
    `on_frame` is shown every frame as it came, before it is believed (the tape). `urgent` names the symbols that are
    asked about first while the stream is away, and whose missed trades are waited for longest.
    """

    def __init__(
        self, name: str, rest_url: str, ws_url: str, *, clock: Clock, jitter: Callable[[], float],
        api_key: str = "", api_secret: str = "", first_backoff_s: float = 1.0, watch_every_s: float = WATCH_EVERY_S,
        poll_every_s: float = POLL_EVERY_S, on_frame: Callable[[int, bytes], None] | None = None,
        is_live: bool = False, urgent: Callable[[], Collection[str]] = lambda: (),
    ) -> None:
        self.name = name
        self._urgent = urgent
        self.counters = FeedCounters()
        self._on_frame = on_frame
        self._ws_url = ws_url
        self._clock = clock
        self._jitter = jitter
        self._first_backoff_s = first_backoff_s
        self._watch_every_s = watch_every_s
        self._poll = PricePoll(poll_every_s, f"{name} best prices")
        self._rest = MarketClient(name, rest_url, clock, jitter, read_keys(name, api_key, api_secret), is_live=is_live)
        self._state = CoinbaseState((), self.counters)
        self._known_prices: dict[str, Decimal] = {}
        self._names = ToldNames()
        self._parser = MarketParser({})
        self._listed = ListedSymbols()
        self._asked: dict[str, Instrument] = {}  # what this connection was asked for, by symbol
        self._book_repair = BookRepair()
        self._seats = BookSeats()
        self._silence = Silence(self.counters)
        self._is_up = False
        self._up_since = 0.0
        self._refused_in_a_row = 0
        self._reason = ""

    # ---- REST ------------------------------------------------------------------------------------

    async def instruments(self) -> Sequence[Instrument]:
        """All spot pairs of the venue; raises `VenueError` when it cannot be asked."""
        return await self._rest.instruments()

    async def rules(self, instruments: Sequence[Instrument]) -> Sequence[Instrument]:
        """These pairs as the venue has them now, without those it lists no more; raises `VenueError`."""
        wanted = {each.symbol for each in instruments}
        return [each for each in await self._rest.instruments() if each.symbol in wanted]

    async def candles(self, instrument: Instrument, interval: str, limit: int) -> Sequence[Candle]:
        """The latest closed candles, oldest first (see `MarketClient.candles`); raises `VenueError`."""
        return await self._rest.candles(instrument, interval, limit)

    async def clock_offset_ns(self) -> int:
        """How far the venue's clock is ahead of ours; raises `VenueError`."""
        return await self._rest.clock_offset_ns()

    # ---- the stream ------------------------------------------------------------------------------

    def know_prices(self, prices: Mapping[str, Decimal]) -> None:
        """See `exchanges.venue.Feed`."""
        self._known_prices = dict(prices)

    async def run(self, instruments: Sequence[Instrument], sink: FeedSink) -> None:
        """Stream until cancelled. What the sink raises comes out here."""
        self._listed.begin(instruments)
        self._names = ToldNames(instruments, self._rest.aliases)
        self._parser = MarketParser(self._names.symbols)
        self._state = CoinbaseState(instruments, self.counters)
        self._state.shared.know_prices(self._known_prices)
        backoff = Backoff(self._jitter, self._first_backoff_s, 30.0)
        has_connected = False
        try:
            while True:
                try:
                    await self._connect_and_stream(sink, backoff, is_again=has_connected)
                except StreamLostError as error:
                    self.counters.last_problem = str(error)
                    has_connected = has_connected or self._is_up
                    was_steady = self._is_up and asyncio.get_running_loop().time() - self._up_since >= STEADY_S
                    self._on_lost(str(error), sink)
                    self.counters.reconnects += 1
                    if error.is_gap and was_steady:
                        continue
                    if error.is_lighter:
                        backoff.reset()
                self._poll.begin(partial(self._poll_quotes, sink))
                await self._poll.pause(backoff.next_s())
        finally:
            await self._poll.end()

    def leave_out(self, symbols: Collection[str]) -> None:
        """Ask nothing about these: the venue lists them no more. It holds until the next call."""
        self._listed.leave_out(symbols)

    def _left(self) -> list[Instrument]:
        return self._listed.left(asyncio.get_running_loop().time())

    async def close(self) -> None:
        """Close the REST connections (the stream closes when `run` is cancelled)."""
        await self._rest.close()

    def _on_lost(self, reason: str, sink: FeedSink) -> None:
        now = self._clock.now()
        if self._is_up or self.counters.reconnects == 0:
            sink(FeedDown(self.name, reason, now))
        self._is_up = False
        for item in self._state.on_connection_lost(now):
            sink(item)

    async def _connect_and_stream(self, sink: FeedSink, backoff: Backoff, *, is_again: bool) -> None:
        socket = await self._connect()
        self.counters.behind_looks = 0
        watchdog: asyncio.Task[None] | None = None
        try:
            early = await self._subscribe(socket)
            await self._poll.end()  # what the stream tells from here on is newer
            if is_again:
                await self._backfill(sink)
            self._announce(sink)
            watchdog = asyncio.create_task(self._watch(socket, sink), name=f"{self.name} silence watchdog")
            # However the watchdog ends, nobody reads on unwatched.
            watchdog.add_done_callback(lambda _: socket.transport.abort())
            for raw, ts_init in early:
                self._on_raw(raw, ts_init, sink)
            await self._read(socket, sink)
        finally:
            if self._is_up:
                backoff.lasted(asyncio.get_running_loop().time() - self._up_since)
            await end_tasks(watchdog)
            await socket.close()

    async def _connect(self) -> FrameSocket:
        try:
            return await open_socket(self._ws_url, max_size=MAX_FRAME_BYTES, ping_interval_s=PING_EVERY_S)
        except (OSError, WebSocketException, TimeoutError) as error:
            raise StreamLostError(f"cannot connect to {self._ws_url}: {error or type(error).__name__}") from error

    async def _subscribe(self, socket: FrameSocket) -> list[tuple[bytes, int]]:
        """Ask for every channel and wait until each flows; returns all frames that came meanwhile."""
        self._asked = {each.symbol: each for each in self._left()}
        books = self._seats.begin(list(self._asked), self._urgent())
        waiting = Confirmations(set(MARKET_CHANNELS) - {"heartbeats"})
        early: list[tuple[bytes, int]] = []
        deadline = asyncio.get_running_loop().time() + ANSWER_TIMEOUT_S
        try:
            async with asyncio.timeout_at(deadline):
                for channel in MARKET_CHANNELS:
                    named = books if channel == "level2" else self._asked
                    await socket.send(wish("subscribe", channel, products(self._asked, named)))
            while waiting.missing:  # heartbeats are not waited for: `silence` copes without them
                raw = await socket.receive_by(deadline)
                early.append((raw, self._clock.now()))
                self._learn(waiting, raw)
        except TimeoutError:
            raise StreamLostError(f"no answer to the subscription of {', '.join(waiting.missing)}") from None
        except ConnectionClosed as error:
            raise self._lost(error) from error
        return early

    def _learn(self, waiting: Confirmations, raw: bytes) -> None:
        try:
            envelope = parse_envelope(raw)
            if envelope.channel == "error":
                left_out = self._leave_out_named(envelope.error)
                reason = left_out or f"subscription refused: {envelope.error}"
                raise StreamLostError(reason, is_lighter=bool(left_out) or self._seats.heed(envelope.error))
            waiting.take(envelope)
        except FrameError:
            return  # refused and counted when its turn comes

    def _leave_out_named(self, error: str) -> str:
        """What was done about the products that the venue's error names, "" when it names none.

        A wish with one that is not valid is refused as a whole.
        """
        named = self._listed.refuse(error, asyncio.get_running_loop().time())
        for symbol in named:
            self._asked.pop(symbol, None)
        return f"left out {', '.join(named)}: the venue says {error}" if named else ""

    def _announce(self, sink: FeedSink) -> None:
        loop_now = asyncio.get_running_loop().time()
        self._is_up = True
        self._up_since = loop_now
        self._refused_in_a_row = 0
        self._reason = ""
        self._silence.begin()
        self._book_repair.begin()
        self._book_repair.expect(self._seats.taken, loop_now)
        sink(FeedUp(self.name, self._clock.now()))

    async def _read(self, socket: FrameSocket, sink: FeedSink) -> None:
        on_raw, clock = self._on_raw, self._clock

        def take(raw: bytes) -> bool:
            on_raw(raw, clock.now(), sink)
            return False

        try:
            await socket.flow(take)
        except ConnectionClosed as error:
            raise self._lost(error) from error

    def _lost(self, error: ConnectionClosed) -> StreamLostError:
        if error.sent is not None and error.sent.code == 1009:
            self.counters.refuse("too_large")
        return StreamLostError(self._reason or close_text(error))

    # ---- one frame -------------------------------------------------------------------------------

    def _on_raw(self, raw: bytes, ts_init: int, sink: FeedSink) -> None:
        """Check one frame and give what it says to the sink; raises `StreamLostError` when one is missing."""
        self.counters.frames += 1
        if self._on_frame is not None:
            self._on_frame(ts_init, raw)
        try:
            envelope = parse_envelope(raw)
        except FrameError as error:
            self._on_refused(error, None, ts_init, sink)
            return
        if envelope.channel == "error":
            left_out = self._leave_out_named(envelope.error)
            if not left_out:
                is_lighter = self._seats.heed(envelope.error)
                raise StreamLostError(f"the venue refuses: {envelope.error}", is_lighter=is_lighter)
            self.counters.last_problem = left_out
            return
        missing = self._state.sequence.take(envelope.sequence)
        if missing:
            self._on_disorder(missing, ts_init, sink)
            return
        self._silence.on_frame(envelope.channel)
        try:
            self._on_envelope(envelope, ts_init, sink)
        except FrameError as error:
            self._on_refused(error, envelope, ts_init, sink)
            return
        self._refused_in_a_row = 0

    def _on_envelope(self, envelope: Envelope, ts_init: int, sink: FeedSink) -> None:
        state = self._state
        if envelope.channel in ("heartbeats", "subscriptions"):
            for item in state.shared.alive(ts_init):
                sink(item)
            return
        trades: list[Trade] = []
        for event in self._names.spread(self._parser.parse(envelope, ts_init)):
            if type(event) is Trade:
                trades.append(event)
                continue
            if type(event) is BookChange:
                items = state.on_book(event, ts_init)
                if event.is_snapshot:
                    self._book_repair.on_snapshot(event.symbol)
                    self._listed.welcome(event.symbol)
            else:
                assert isinstance(event, QuoteTick)  # noqa: S101 - the third kind of three
                items = state.on_ticker(event)
            for item in items:
                sink(item)
        if trades:
            for item in state.on_trades(trades):
                sink(item)

    def _on_disorder(self, missing: int, ts_init: int, sink: FeedSink) -> None:
        if missing < 0:
            self.counters.duplicates += 1
            for item in self._state.shared.alive(ts_init):
                sink(item)
            return
        for item in self._state.on_gap(missing, ts_init):
            sink(item)
        raise StreamLostError(f"gap: {missing} frames are missing", is_gap=True)

    def _on_refused(self, error: FrameError, envelope: Envelope | None, ts_init: int, sink: FeedSink) -> None:
        self.counters.refuse(error.reason)
        self.counters.last_problem = str(error)
        if error.reason not in NOT_FOR_US:
            self._refused_in_a_row += 1
        for symbol in self._names.of(error.quoted):
            self._state.on_quote_refused(symbol)
            sink(QuoteInvalid(symbol, str(error), ts_init))
        if envelope is not None and envelope.channel == "l2_data":  # it leaves a hole in the books it spoke of
            named = self._names.of(error.symbol) if len(envelope.events) == 1 else []
            for item in self._state.invalidate_books(str(error), ts_init, named or None):
                sink(item)
        elif envelope is not None and envelope.channel == "market_trades" and error.reason not in NOT_FOR_US:
            self._state.on_trades_refused(error.symbol)
        if self._refused_in_a_row >= REFUSED_IN_A_ROW:
            raise StreamLostError(f"{REFUSED_IN_A_ROW} frames in a row were refused, the last: {error}")

    # ---- gaps and silence ------------------------------------------------------------------------

    async def _backfill(self, sink: FeedSink) -> None:
        """Trades missed while the connection was away, as far as the venue still tells them."""
        by_symbol = self._state.shared.by_symbol
        urgent = self._urgent()
        known = sorted(
            (each for each in self._asked.values() if by_symbol[each.symbol].trades.last >= 0),
            key=lambda instrument: instrument.symbol not in urgent,
        )
        answers = await answers_within(
            BACKFILL_OTHERS_S, self._recent_trades, known,
            longer_for=[each for each in known if each.symbol in urgent], longer_s=BACKFILL_TIMEOUT_S,
        )
        if len(answers) < len(known):  # the others' holes count as missed trades
            self.counters.last_problem = (
                f"trades of {len(known) - len(answers)} of {len(known)} symbols were not backfilled in time"
            )
        missed = [
            tick for each, trades in answers.items() for tick in self._state.backfill(each.symbol, trades)
        ]
        for tick in sorted(missed, key=lambda each: each.ts_event):
            sink(tick)

    async def _recent_trades(self, instrument: Instrument) -> list[tuple[int, TradeTick]]:
        try:
            return await self._rest.recent_trades(instrument)
        except VenueError as error:
            # Not fatal: the hole shows up in the counters as missed trades.
            self.counters.last_problem = f"trades were not backfilled: {error}"
            return []

    async def _watch(self, socket: FrameSocket, sink: FeedSink) -> None:
        """End a connection that is mute or has lost a book for good; ask anew for a book that is lost."""
        by_symbol = self._state.shared.by_symbol
        check = TradeCheck(self._at_stake, lambda symbol: by_symbol[symbol].trades.last, self._newest)
        self._reason = await check.beside(self._look(socket, sink)) or self._reason

    def _at_stake(self) -> list[str]:
        """Without those whose trades are numbered under another name, perhaps otherwise."""
        urgent, aliases = self._urgent(), self._rest.aliases
        return [each.symbol for each in self._left() if each.symbol in urgent and each.venue_symbol not in aliases]

    async def _newest(self, symbol: str) -> int:
        trades = await self._recent_trades(self._asked[symbol]) if symbol in self._asked else []
        return trades[-1][0] if trades else -1

    async def _look(self, socket: FrameSocket, sink: FeedSink) -> None:
        while True:
            await asyncio.sleep(self._watch_every_s)
            self.counters.behind_looks = 0 if socket.is_idle else self.counters.behind_looks + 1
            if not socket.is_idle or socket.take_growth():
                self._silence.begin_look()
                continue
            look = self._silence.look(self._watch_every_s)
            if look == "mute":
                self._reason = f"mute: no frame for {self._silence.quiet_s:.0f} s"
                return  # which ends the connection
            if look == "ask":
                is_quiet = await self._is_quiet()
                verdict = self._silence.on_answer(is_quiet=is_quiet)
                if verdict == "alive":
                    for item in self._state.shared.alive(self._clock.now()):
                        sink(item)
                elif verdict == "mute":
                    self._reason = "mute: the market moves over REST, and no frame tells of it"
                    return
            try:
                await self._ask_for_others(socket, sink)
                await self._repair_books(socket)
            except BooksLostError as error:
                self._reason = str(error)
                return
            except ConnectionClosed:
                self._reason = "the connection broke while it was asked for more"
                return

    async def _ask_for_others(self, socket: FrameSocket, sink: FeedSink) -> None:
        """Subscribe to products that are listed again, or due to be tried again, and to books of those now at stake."""
        left = {each.symbol: each for each in self._left()}
        new = [symbol for symbol in left if symbol not in self._asked]
        known, self._asked = {**self._asked, **left}, left
        for channel in MARKET_CHANNELS if new else ():
            if channel != "level2":
                await socket.send(wish("subscribe", channel, products(known, new)))
        leaving, coming = self._seats.change(list(left), self._urgent())
        for item in self._state.invalidate_books("its book is asked for no more", self._clock.now(), leaving):
            sink(item)
        if leaving:  # first: the venue counts what it was not told to end
            await socket.send(wish("unsubscribe", "level2", products(known, leaving)))
        if coming:
            self._book_repair.expect(coming, asyncio.get_running_loop().time())
            await socket.send(wish("subscribe", "level2", products(known, coming)))

    async def _repair_books(self, socket: FrameSocket) -> None:
        """Subscribe anew to the books that are lost; raises `BooksLostError`."""
        synced = [symbol for symbol, book in self._state.books.items() if book.is_synced]
        lost = self._book_repair.look(self._seats.taken, synced, asyncio.get_running_loop().time())
        if named := products(self._asked, lost):
            await socket.send(wish("unsubscribe", "level2", named))
            await socket.send(wish("subscribe", "level2", named))

    async def _is_quiet(self) -> bool | None:
        """Whether the venue's best prices over REST are those that the stream said last; None when nobody can say."""
        known = self._state.shared.quotes()
        sample = [each for each in self._left() if each.symbol in known][:QUIET_SAMPLE]
        told = await self._quotes_in(QUIET_CHECK_TIMEOUT_S, sample)
        if not told:
            return None
        return all((each.bid, each.ask) == known[each.symbol] for each in told)

    async def _quotes_in(self, seconds: float, instruments: Sequence[Instrument]) -> list[QuoteTick]:
        """Best prices over REST of those that answer in time, and that the venue knows."""
        answers = await answers_within(seconds, self._quote, instruments)
        return [quote for quote in answers.values() if quote is not None]

    async def _quote(self, instrument: Instrument) -> QuoteTick | None:
        try:
            return await self._rest.quote(instrument)
        except VenueError:
            return None  # one product is away, or all are: then the reconnect's own problem says so

    async def _poll_quotes(self, sink: FeedSink) -> None:
        """Best prices over REST while the stream is away, so that exits are not blind; each is told as it comes."""
        urgent = self._urgent()
        wanted = sorted(self._left(), key=lambda instrument: instrument.symbol not in urgent)

        async def ask_and_tell(instrument: Instrument) -> None:
            quote = await self._quote(instrument)
            for item in self._state.shared.on_polled_quote(quote) if quote is not None else ():
                sink(item)

        await answers_within(POLL_TIMEOUT_S, ask_and_tell, wanted)
