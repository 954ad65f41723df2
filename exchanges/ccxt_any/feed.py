"""Market data of any exchange that ccxt knows, through ccxt's own streams, or by asking where it has none.

What is weaker here than at Binance and Coinbase, and why only paper trading is allowed on it: ccxt hides the venue's
sequence numbers, so lost frames are not noticed and nothing is fetched again after a reconnect; there is no book, only
best prices, and those have passed through ccxt's floats; trades that come while we reconnect are missing; there is no
tape; silence is noticed after thirty seconds, not five.
"""

import asyncio
import contextlib
from collections import OrderedDict, defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from decimal import Decimal, localcontext
from typing import Any, Final, TypeVar

from bus.clock import Clock
from exchanges.answers import VenueError
from exchanges.backoff import Backoff
from exchanges.binance.market_state import FeedCounters, as_heard
from exchanges.binance.sequence import JUMP_FACTOR, PriceGuard
from exchanges.ccxt_any.market_rows import RowError, parse_book, parse_candle, parse_instrument, parse_trade
from exchanges.listed_symbols import ListedSymbols
from exchanges.venue import FeedDown, FeedSink, FeedUp
from exchanges.venue_time import VenueTime
from market.instrument import Instrument
from market.ticks import Candle

SILENT_AFTER_S: Final = 30.0
POLL_EVERY_S: Final = 2.0
KEEP_TRADE_IDS: Final = 5_000
_UP_WITHIN_S: Final = 0.1
_T = TypeVar("_T")


class CcxtFeed:
    """Implements `exchanges.venue.Feed`. `make_exchange` makes the ccxt.pro instance (tests point it elsewhere)."""

    def __init__(
        self, name: str, *, clock: Clock, jitter: Callable[[], float],
        make_exchange: Callable[[], Any] | None = None, poll_every_s: float = POLL_EVERY_S,
        silent_after_s: float = SILENT_AFTER_S, first_backoff_s: float = 1.0,
    ) -> None:
        self.name = name
        self.counters = FeedCounters()
        self._clock = clock
        self._time = VenueTime(clock, self._ask_time)
        self._jitter = jitter
        self._make_exchange = make_exchange or (lambda: _exchange_class(name)({"enableRateLimit": True}))
        self._poll_every_s = poll_every_s
        self._silent_after_s = silent_after_s
        self._first_backoff_s = first_backoff_s
        self._exchange: Any = None
        self._seen: dict[str, OrderedDict[str, None]] = {}
        self._guards: defaultdict[str, PriceGuard] = defaultdict(PriceGuard)
        self._is_up = False
        self._heard_at = 0.0
        self._listed = ListedSymbols()

    # ---- REST ------------------------------------------------------------------------------------

    async def instruments(self) -> Sequence[Instrument]:
        """All spot pairs whose increments can be told; raises `VenueError`."""
        exchange = await self._opened()
        markets = await self._ask("markets", lambda: exchange.load_markets(True))
        found = (parse_instrument(row, exchange.precisionMode) for row in markets.values())
        return [each for each in found if each is not None]

    async def rules(self, instruments: Sequence[Instrument]) -> Sequence[Instrument]:
        """These pairs as the venue has them now, without those it lists no more; raises `VenueError`."""
        wanted = {each.symbol for each in instruments}
        return [each for each in await self.instruments() if each.symbol in wanted]

    async def candles(self, instrument: Instrument, interval: str, limit: int) -> Sequence[Candle]:
        """The latest closed candles, oldest first; none where the venue has no such interval."""
        exchange = await self._opened()
        if limit <= 0 or not exchange.has.get("fetchOHLCV") or interval not in (exchange.timeframes or {}):
            return []
        closed_before = await self._time.now()
        rows = await self._ask(
            f"candles of {instrument.symbol}",
            lambda: exchange.fetch_ohlcv(instrument.symbol, interval, limit=limit + 1),
        )
        by_open: dict[int, Candle] = {}
        for row in rows:
            with contextlib.suppress(RowError):
                candle = parse_candle(row, instrument.symbol, interval)
                if candle.ts_init <= closed_before:
                    by_open[candle.ts_open] = candle
        return [by_open[ts_open] for ts_open in sorted(by_open)][-limit:]

    async def clock_offset_ns(self) -> int:
        """How far the venue's clock is ahead of ours; 0 where it does not tell. Raises `VenueError`."""
        before = self._clock.now()
        told = await self._ask_time()
        return 0 if told is None else told - (before + self._clock.now()) // 2

    async def _ask_time(self) -> int | None:
        exchange = await self._opened()
        if not exchange.has.get("fetchTime"):
            return None
        return int(await self._ask("time", exchange.fetch_time)) * 1_000_000

    async def close(self) -> None:
        """Close the connections."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            await exchange.close()

    # ---- the stream ------------------------------------------------------------------------------

    def know_prices(self, prices: Mapping[str, Decimal]) -> None:
        """See `exchanges.venue.Feed`."""
        for symbol, price in prices.items():
            self._guards[symbol].know(price)

    async def run(self, instruments: Sequence[Instrument], sink: FeedSink) -> None:
        """Stream until cancelled. What the sink raises comes out here."""
        backoff = Backoff(self._jitter, self._first_backoff_s, 30.0)
        self._listed.begin(instruments)
        while True:
            reason = await self._until_lost(sink, backoff)
            self.counters.last_problem = reason
            if self._is_up or self.counters.reconnects == 0:
                sink(FeedDown(self.name, reason, self._clock.now()))
            self._is_up = False
            self.counters.reconnects += 1
            await self.close()
            await asyncio.sleep(backoff.next_s())

    def leave_out(self, symbols: Collection[str]) -> None:
        """Ask nothing about these: the venue lists them no more. It holds until the next call."""
        self._listed.leave_out(symbols)

    async def _until_lost(self, sink: FeedSink, backoff: Backoff) -> str:
        """One life of the connections; returns why it ended."""
        try:
            exchange = await self._opened()
            if not exchange.markets:
                await self._ask("markets", exchange.load_markets)
        except VenueError as error:
            return str(error)
        self._heard_at = asyncio.get_running_loop().time()
        left = self._listed.left(self._heard_at)
        works = [self._watch(left, sink, backoff)]
        for each in left:
            works += [self._trades(exchange, each.symbol, sink), self._quotes(exchange, each.symbol, sink)]
        tasks = [asyncio.create_task(work) for work in works]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return min(task.result() for task in done)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, left: Sequence[Instrument], sink: FeedSink, backoff: Backoff) -> str:
        """Say when data begins to flow; end when it stops."""
        loop = asyncio.get_running_loop()
        began = self._heard_at
        while True:
            await asyncio.sleep(_UP_WITHIN_S)
            if not self._is_up and self._heard_at > began:
                self._is_up = True
                backoff.reset()
                sink(FeedUp(self.name, self._clock.now()))
            if self._listed.left(loop.time()) != left:
                return "the venue lists other symbols than before"
            if loop.time() - self._heard_at > self._silent_after_s:
                return f"mute: nothing for {self._silent_after_s:.0f} s"

    async def _trades(self, exchange: Any, symbol: str, sink: FeedSink) -> str:
        is_pushed = bool(exchange.has.get("watchTrades"))
        seen = self._seen.setdefault(symbol, OrderedDict())
        ask = exchange.watch_trades if is_pushed else exchange.fetch_trades
        while True:
            try:
                rows = await self._ask(f"trades of {symbol}", lambda: ask(symbol))
            except VenueError as error:
                return str(error)
            self._note_frame()
            for row in sorted(rows, key=lambda each: each.get("timestamp") or 0):
                self._tell_trade(row, symbol, seen, sink)
            if not is_pushed:
                await asyncio.sleep(self._poll_every_s)

    def _tell_trade(self, row: Any, symbol: str, seen: OrderedDict[str, None], sink: FeedSink) -> None:
        try:
            tick = parse_trade(row, symbol, self._clock.now())
        except RowError as error:
            self.counters.refuse("row")
            self.counters.last_problem = str(error)
            return
        if tick.trade_id in seen:
            self.counters.duplicates += 1
            return
        seen[tick.trade_id] = None
        while len(seen) > KEEP_TRADE_IDS:
            seen.popitem(last=False)
        if not self._guards[symbol].accepts(tick.price):
            self.counters.refuse("jump")
            return
        if self._is_up:  # what was traded before the connection was up is history, not news
            sink(as_heard(tick, self.counters))

    async def _quotes(self, exchange: Any, symbol: str, sink: FeedSink) -> str:
        is_pushed = bool(exchange.has.get("watchOrderBook"))
        ask = exchange.watch_order_book if is_pushed else exchange.fetch_order_book
        last = None
        while True:
            try:
                row = await self._ask(f"book of {symbol}", lambda: ask(symbol))
            except VenueError as error:
                return str(error)
            self._note_frame()
            while not self._is_up:  # noqa: ASYNC110 - the watch says so soon; a quiet market would not say its prices again
                await asyncio.sleep(_UP_WITHIN_S)
            try:
                quote = parse_book(row, symbol, self._clock.now())
            except RowError as error:
                self.counters.refuse("row")
                self.counters.last_problem = str(error)
                quote = None
            if quote is not None and (quote[:5] != last or not is_pushed):
                last = quote[:5]
                if self._guards[symbol].accepts(quote.bid) and quote.ask < quote.bid * JUMP_FACTOR:
                    sink(quote)
                else:
                    self.counters.refuse("jump")
            if not is_pushed:
                await asyncio.sleep(self._poll_every_s)

    def _note_frame(self) -> None:
        self.counters.frames += 1
        self._heard_at = asyncio.get_running_loop().time()

    # ---- ccxt --------------------------------------------------------------------------------------

    async def _opened(self) -> Any:
        if self._exchange is None:
            try:
                self._exchange = await asyncio.to_thread(self._make_exchange)
            except (ImportError, AttributeError) as error:
                raise VenueError(
                    f"{self.name}: ccxt knows no exchange of this name with streams. Mend `venue` in config.toml."
                ) from error
            # As they were written; text would do for REST, but ccxt sorts the levels of its books by what this makes.
            self._exchange.number = Decimal
        return self._exchange

    async def _ask(self, what: str, ask: Callable[[], Awaitable[_T]]) -> _T:
        """ccxt's answer; raises `VenueError` for whatever it raises.

        Its number formatting sets the rounding of the decimal context at hand: that must not be everybody's.
        """
        with localcontext():
            try:
                return await ask()
            except Exception as error:  # ccxt, aiohttp and the venues raise many kinds
                said = (str(error) or type(error).__name__)[:200]
                raise VenueError(f"{self.name}: {what}: {said}. Is the network up, and the exchange?") from error


def _exchange_class(name: str) -> Any:
    import ccxt.pro  # half a second and 100 MB: only who needs it pays

    return getattr(ccxt.pro, name)
