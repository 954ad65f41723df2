"""Binance's public market stream: connect, subscribe, check, resynchronise, reconnect.

Each frame is handled, down to the sink, as it is read, so that the items' order is the wire's; REST snapshots
are fetched beside it and joined between two frames. A second task watches for silence.
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
from exchanges.binance.market_client import MarketClient
from exchanges.binance.market_state import FeedCounters, MarketState
from exchanges.binance.parser import (
    MAX_FRAME_BYTES,
    NOT_FOR_US,
    AliveFrame,
    ClockFrame,
    EndFrame,
    Frame,
    FrameError,
    FrameParser,
    QuoteFrame,
    TradeFrame,
)
from exchanges.binance.subscription import StreamLostError, Subscription, close_text
from exchanges.frame_socket import FrameSocket, open_socket
from exchanges.listed_symbols import ListedSymbols
from exchanges.price_poll import PricePoll
from exchanges.timed_answers import answers_within, end_tasks
from exchanges.trade_check import TradeCheck
from exchanges.venue import FeedDown, FeedEnded, FeedItem, FeedSink, FeedTime, FeedUp
from market.instrument import Instrument
from market.ticks import BookDelta, BookSnapshot, Candle, FeedAlive, QuoteInvalid, QuoteTick, TradeTick

MAX_STREAMS: Final = 1024  # per connection, by the venue's rules
WATCH_EVERY_S: Final = 0.5
QUIET_AFTER: Final = 4  # looks without a frame (2 s): ask over REST whether the market is quiet, or prices go stale
MUTE_AFTER: Final = 10  # looks without a frame (5 s): nothing explains the silence
QUIET_CHECK_TIMEOUT_S: Final = 1.5
REFUSED_IN_A_ROW: Final = 20
BACKFILL_TIMEOUT_S: Final = 5.0
"""So long are missed trades of the urgent symbols waited for before the stream goes on."""
BACKFILL_OTHERS_S: Final = 1.0
"""And those of the others: no position waits for a price until they are all told."""
POLL_TIMEOUT_S: Final = 5.0
POLL_EVERY_S: Final = 30.0
"""How often best prices are asked over REST while the stream is away."""
PING_EVERY_S: Final = 20.0


class BinanceFeed:
    """Implements `exchanges.venue.Feed` for Binance, Binance US and the practice exchange.

    `is_replay`: the server plays a recording and owns the time (practiceClock frames); snapshots are then
    fetched before the first frame, and silence is no fault. `jitter` returns numbers in [0, 1) for the
    reconnect waits. `on_frame` is shown every frame as it came, believed or not, behind what follows from it
    (the tape). `urgent` names the symbols whose missed trades are asked for first, and waited for longest.
    """

    def __init__(
        self, name: str, rest_url: str, ws_url: str, *, clock: Clock, jitter: Callable[[], float],
        is_replay: bool = False, first_backoff_s: float = 1.0, watch_every_s: float = WATCH_EVERY_S,
        poll_every_s: float = POLL_EVERY_S, on_frame: Callable[[int, bytes], None] | None = None,
        urgent: Callable[[], Collection[str]] = lambda: (),
    ) -> None:
        self.name = name
        self._urgent = urgent
        self._on_frame = on_frame
        self.counters = FeedCounters()
        self._ws_url = ws_url
        self._clock = clock
        self._jitter = jitter
        self._is_replay = is_replay
        self._read_clock = self._now if is_replay else clock.now
        self._first_backoff_s = first_backoff_s
        self._watch_every_s = watch_every_s
        self._poll = PricePoll(poll_every_s, f"{name} best prices")
        self._rest = MarketClient(name, rest_url, clock, jitter, is_replay=is_replay)
        self._state = MarketState((), self.counters)
        self._known_prices: dict[str, Decimal] = {}
        self._parser = FrameParser({})
        self._instruments_by_symbol: dict[str, Instrument] = {}
        self._listed = ListedSymbols()
        self._fetches: dict[str, asyncio.Task[BookSnapshot | None]] = {}
        self._fetch_backoff: dict[str, Backoff] = {}
        self._fetch_not_before: dict[str, float] = {}
        self._replay_ts = 0
        self._is_up = False
        self._refused_in_a_row = 0
        self._silence = ""

    # ---- REST ------------------------------------------------------------------------------------

    async def instruments(self) -> Sequence[Instrument]:
        """All spot pairs of the venue; raises `VenueError` when it cannot be asked."""
        return await self._rest.instruments()

    async def rules(self, instruments: Sequence[Instrument]) -> Sequence[Instrument]:
        """These pairs as the venue has them now, without those it lists no more; raises `VenueError`."""
        return await self._rest.rules(instruments)

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
        """Stream until cancelled, or until a replay is over. What the sink raises comes out here."""
        subscription = Subscription(self._ws_url, self._streams(instruments), is_whole=self._is_replay)
        self._instruments_by_symbol = {each.symbol: each for each in instruments}
        self._listed.begin(instruments)
        self._parser = FrameParser({each.venue_symbol: each.symbol for each in instruments})
        self._state = MarketState(instruments, self.counters)
        self._state.know_prices(self._known_prices)
        backoff = Backoff(self._jitter, self._first_backoff_s, 30.0)
        has_connected = False
        try:
            while True:
                frames = self.counters.frames
                try:
                    await self._connect_and_stream(subscription, sink, backoff, is_again=has_connected)
                    return
                except StreamLostError as error:
                    if self._is_up and self.counters.frames == frames:
                        subscription.on_fruitless()
                    self.counters.last_problem = str(error)
                    has_connected = has_connected or self._is_up
                    await self._on_lost(str(error), sink)
                self.counters.reconnects += 1
                if not self._is_replay:
                    self._poll.begin(partial(self._poll_quotes, sink))
                await self._poll.pause(backoff.next_s())
        finally:
            await self._poll.end()

    def leave_out(self, symbols: Collection[str]) -> None:
        """Ask nothing over REST about these: the venue lists them no more. It holds until the next call.

        The streams are subscribed to all the same: this venue takes any name, and one that is listed again speaks.
        """
        self._listed.leave_out(symbols)

    def _left(self) -> list[Instrument]:
        return self._listed.left(asyncio.get_running_loop().time())

    async def close(self) -> None:
        """Close the REST connections (the stream closes when `run` is cancelled)."""
        await self._rest.close()

    def _streams(self, instruments: Sequence[Instrument]) -> list[str]:
        kinds = ["trade", "bookTicker", "depth@100ms"]
        if self._is_replay:
            kinds.insert(1, "aggTrade")
        streams = [f"{each.venue_symbol.lower()}@{kind}" for each in instruments for kind in kinds]
        if self._is_replay:
            streams.append("practice@clock")
        if len(streams) > MAX_STREAMS:
            raise VenueError(
                f"{self.name}: {len(instruments)} symbols need {len(streams)} streams, a connection carries "
                f"{MAX_STREAMS}. Shorten `symbols` in config.toml to {MAX_STREAMS // len(kinds)}."
            )
        return streams

    async def _on_lost(self, reason: str, sink: FeedSink) -> None:
        now = self._now()
        if self._is_up or self.counters.reconnects == 0:
            sink(FeedDown(self.name, reason, now))
        self._is_up = False
        for item in self._state.on_connection_lost(now):
            sink(item)

    def _now(self) -> int:
        if self._is_replay and self._replay_ts:
            return self._replay_ts
        return self._clock.now()

    async def _connect_and_stream(
        self, subscription: Subscription, sink: FeedSink, backoff: Backoff, *, is_again: bool
    ) -> None:
        socket = await self._connect(subscription.url)
        self.counters.behind_looks = 0
        watchdog: asyncio.Task[None] | None = None
        loop, up_since = asyncio.get_running_loop(), 0.0
        try:
            if self._is_replay:
                await self._fetch_replay_snapshots()
            early = await subscription.ask(socket, self._parser, self._now)
            if not self._is_replay:
                await self._poll.end()  # what the stream tells from here on is newer
                if is_again:
                    await self._backfill(sink)
                self._announce(sink)
                watchdog = asyncio.create_task(self._watch(socket, sink), name=f"{self.name} silence watchdog")
                # However the watchdog ends, nobody reads on unwatched.
                watchdog.add_done_callback(lambda _: socket.transport.abort())
            up_since = loop.time()
            for raw, ts_init in early:
                if self._on_raw(sink, raw, self._now() if self._is_replay else ts_init):
                    return
            await self._read(socket, sink)
        finally:
            if up_since:
                backoff.lasted(loop.time() - up_since)
            await end_tasks(watchdog, *self._fetches.values())
            self._fetches.clear()
            await socket.close()

    async def _connect(self, url: str) -> FrameSocket:
        try:
            return await open_socket(
                url, max_size=MAX_FRAME_BYTES, ping_interval_s=None if self._is_replay else PING_EVERY_S,
            )
        except (OSError, WebSocketException, TimeoutError) as error:
            raise StreamLostError(f"cannot connect to {url}: {error or type(error).__name__}") from error

    async def _read(self, socket: FrameSocket, sink: FeedSink) -> None:
        try:
            await socket.flow(partial(self._on_raw, sink))
        except ConnectionClosed as error:
            raise self._lost(error) from error

    def _lost(self, error: ConnectionClosed) -> StreamLostError:
        if error.sent is not None and error.sent.code == 1009:
            self.counters.refuse("too_large")
        return StreamLostError(self._silence or close_text(error))

    def _on_raw(self, sink: FeedSink, raw: bytes, received_ns: int = 0) -> bool:
        """Parse one frame and give what it says to the sink; true when a replay is over.

        `received_ns`: when it came; 0 is now.
        """
        read_clock, on_frame = self._read_clock, self._on_frame
        ts_init = received_ns or read_clock()
        self.counters.frames += 1
        items: Sequence[FeedItem]
        try:
            frame = self._parser.parse_frame(raw, ts_init)
            self._refused_in_a_row = 0
            kind = type(frame)
            if kind is TradeFrame:
                items = self._state.on_trade(frame)  # type: ignore[arg-type]  # narrowed by `kind`, faster
            elif kind is QuoteFrame:
                items = self._state.on_quote(frame)  # type: ignore[arg-type]
            elif isinstance(frame, EndFrame):
                self._replay_ts = max(self._replay_ts, frame.ts)
                sink(FeedEnded(self._replay_ts))
                return True
            else:
                items = self._other_items(frame, ts_init)
            for item in items:
                sink(item)
        except FrameError as error:
            self._on_refused(error, ts_init, sink)
        finally:
            if on_frame is not None:  # an order does not wait for it
                on_frame(ts_init, raw)
        if self._fetches:
            self._collect_snapshots(sink)
        return False

    def _other_items(self, frame: Frame, ts_init: int) -> Sequence[FeedItem]:
        if isinstance(frame, BookDelta):
            items = self._state.on_delta(frame)
            if self._state.by_symbol[frame.symbol].depth.wants_snapshot:
                return [*items, *self._want_snapshot(frame.symbol, ts_init)]
            return items
        if isinstance(frame, ClockFrame):
            return self._on_clock(frame.ts)
        if isinstance(frame, AliveFrame):
            return self._state.alive(ts_init)
        return ()

    def _on_clock(self, ts: int) -> Sequence[FeedItem]:
        if not self._is_replay or ts <= self._replay_ts:
            return ()
        self._replay_ts = ts
        if self._is_up:
            return (FeedTime(ts),)
        self._is_up = True
        return (FeedTime(ts), FeedUp(self.name, ts))

    def _announce(self, sink: FeedSink) -> None:
        self._is_up = True
        self._refused_in_a_row = 0
        self._silence = ""
        sink(FeedUp(self.name, self._clock.now()))

    def _on_refused(self, error: FrameError, ts_init: int, sink: FeedSink) -> None:
        if error.reason == "ended":
            raise StreamLostError(str(error))
        self.counters.refuse(error.reason)
        self.counters.last_problem = str(error)
        if error.reason not in NOT_FOR_US:
            self._refused_in_a_row += 1
        if error.quoted:
            sink(QuoteInvalid(error.quoted, str(error), ts_init))
        if error.symbol:  # a book event that cannot be believed leaves a hole in the book
            for item in self._state.by_symbol[error.symbol].depth.invalidate(str(error), ts_init):
                sink(item)
        if self._refused_in_a_row >= REFUSED_IN_A_ROW and not self._is_replay:
            raise StreamLostError(f"{REFUSED_IN_A_ROW} frames in a row were refused, the last: {error}")

    # ---- book snapshots --------------------------------------------------------------------------

    def _want_snapshot(self, symbol: str, ts_init: int) -> Sequence[FeedItem]:
        if self._is_replay:
            # The server is ahead of what was read, by chance: asking it now would differ from run to run.
            return self._state.by_symbol[symbol].depth.start_empty(ts_init)
        now = asyncio.get_running_loop().time()
        if symbol not in self._fetches and now >= self._fetch_not_before.get(symbol, 0.0):
            self._fetches[symbol] = asyncio.create_task(self._fetch_snapshot(symbol), name=f"snapshot {symbol}")
        return ()

    async def _fetch_snapshot(self, symbol: str) -> BookSnapshot | None:
        """None when the venue does not give one that can be believed."""
        try:
            return await self._rest.snapshot(self._instruments_by_symbol[symbol])
        except VenueError as error:
            self.counters.last_problem = str(error)
            return None

    def _collect_snapshots(self, sink: FeedSink) -> None:
        """Join the snapshots that have come, between two frames."""
        for symbol in [each for each, task in self._fetches.items() if task.done()]:
            snapshot = self._fetches.pop(symbol).result()
            depth = self._state.by_symbol[symbol].depth
            if snapshot is not None:
                for item in self._state.on_snapshot(snapshot):
                    sink(item)
            backoff = self._fetch_backoff.setdefault(symbol, Backoff(self._jitter, self._first_backoff_s, 30.0))
            if depth.is_synced:
                backoff.reset()
            else:
                self._fetch_not_before[symbol] = asyncio.get_running_loop().time() + backoff.next_s()

    async def _fetch_replay_snapshots(self) -> None:
        for symbol in self._instruments_by_symbol:
            snapshot = await self._fetch_snapshot(symbol)
            if snapshot is None:
                raise StreamLostError(f"no book snapshot of {symbol}: {self.counters.last_problem}")
            self._state.on_snapshot(snapshot)

    # ---- gaps and silence ------------------------------------------------------------------------

    async def _backfill(self, sink: FeedSink) -> None:
        """Trades missed while the connection was away, as far as the venue still tells them."""
        urgent = self._urgent()
        known = sorted(
            (each.symbol for each in self._left() if self._state.by_symbol[each.symbol].trades.last >= 0),
            key=lambda symbol: symbol not in urgent,
        )
        answers = await answers_within(
            BACKFILL_OTHERS_S, self._recent_trades, known, longer_for=urgent, longer_s=BACKFILL_TIMEOUT_S,
        )
        if len(answers) < len(known):
            # The venue's budget of requests carries some fifty at once; the others' holes count as missed trades.
            self.counters.last_problem = (
                f"trades of {len(known) - len(answers)} of {len(known)} symbols were not backfilled in time"
            )
        missed = [tick for symbol, trades in answers.items() for tick in self._state.backfill(symbol, trades)]
        for tick in sorted(missed, key=lambda each: each.ts_event):
            sink(tick)

    async def _recent_trades(self, symbol: str) -> list[tuple[int, TradeTick]]:
        try:
            return await self._rest.recent_trades(self._instruments_by_symbol[symbol])
        except VenueError as error:
            # Not fatal: the hole shows up in the counters as missed trades.
            self.counters.last_problem = f"trades were not backfilled: {error}"
            return []

    async def _watch(self, socket: FrameSocket, sink: FeedSink) -> None:
        """Tell the best prices as the connection begins; end it when it is mute."""
        by_symbol = self._state.by_symbol
        check = TradeCheck(self._at_stake, lambda symbol: by_symbol[symbol].trades.last, self._newest_trade)
        opening = asyncio.create_task(self._opening_quotes(sink), name=f"{self.name} opening quotes")
        looking = asyncio.create_task(check.beside(self._look_until_mute(socket, sink)), name=f"{self.name} looks")
        try:
            await asyncio.wait((opening, looking), return_when=asyncio.FIRST_COMPLETED)
            if opening.done():
                opening.result()
            self._silence = await looking or self._silence
        finally:
            await end_tasks(opening, looking)

    def _at_stake(self) -> list[str]:
        urgent = self._urgent()
        return [each.symbol for each in self._left() if each.symbol in urgent]

    async def _newest_trade(self, symbol: str) -> int:
        trades = await self._recent_trades(symbol)
        return trades[-1][0] if trades else -1

    async def _opening_quotes(self, sink: FeedSink) -> None:
        """Best prices over REST: the stream tells changes only, and what changed before it began nobody else tells.

        Until they are there a symbol that rests stands at its price of before, while others keep the line fresh.
        """
        backoff = Backoff(self._jitter, self._first_backoff_s, 30.0)
        quotes: Sequence[QuoteTick] | None = None
        while quotes is None:
            try:
                quotes = await self._quotes_in(QUIET_CHECK_TIMEOUT_S)
            except (TimeoutError, VenueError):
                await asyncio.sleep(backoff.next_s())
        for quote in quotes:
            for item in self._state.on_opening_quote(quote):
                sink(item)

    async def _look_until_mute(self, socket: FrameSocket, sink: FeedSink) -> None:
        """Return when nothing explains the silence. A market that is merely quiet says so over REST.

        Looks are counted, not seconds: a blocked loop or frames still to be handled are not the venue's silence.
        """
        looks, frames = 0, self.counters.frames
        while True:
            await asyncio.sleep(self._watch_every_s)
            self.counters.behind_looks = 0 if socket.is_idle else self.counters.behind_looks + 1
            if self.counters.frames != frames or not socket.is_idle:
                looks, frames = 0, self.counters.frames
                continue
            looks += 1
            if looks == QUIET_AFTER and await self._is_quiet() and self.counters.frames == frames:
                self.counters.quiet_checks += 1
                looks = 0
                sink(FeedAlive(self._now()))
            elif looks >= MUTE_AFTER:
                self._silence = f"mute: no frame for {looks * self._watch_every_s:.0f} s"
                return  # which ends the connection

    async def _is_quiet(self) -> bool:
        """Whether the venue's best prices over REST are those known on this connection.

        Of a symbol that only one side knows nothing follows. A venue that has no price at all (a halt) is quiet.
        """
        try:
            told = await self._quotes_in(QUIET_CHECK_TIMEOUT_S)
        except (TimeoutError, VenueError):
            return False
        known = self._state.quotes()
        same = [known[each.symbol] == (each.bid, each.ask) for each in told if each.symbol in known]
        return all(same) if same else not told

    async def _quotes_in(self, seconds: float) -> Sequence[QuoteTick]:
        """Best prices over REST; raises `VenueError` and `TimeoutError`."""
        async with asyncio.timeout(seconds):
            return await self._rest.quotes(self._left())

    async def _poll_quotes(self, sink: FeedSink) -> None:
        """Best prices over REST while the stream is away, so that exits are not blind."""
        try:
            quotes = await self._quotes_in(POLL_TIMEOUT_S)
        except (TimeoutError, VenueError):
            return  # the venue is away altogether: the reconnect's own problem says so
        for quote in quotes:
            for item in self._state.on_polled_quote(quote):
                sink(item)
