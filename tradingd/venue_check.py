"""`tradingd venue check`: one look at a venue with the daemon's own adapters, and what each part of it says.

Nothing is ordered unless asked for: then one small limit buy far below the market, through the same gate as every
order, which is cancelled at once.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal
from typing import Final

from bus.clock import LiveClock
from bus.ids import ClientOrderId, VenueOrderId
from bus.messages.orders import ExecutionReport
from exchanges.answers import VenueError
from exchanges.venue import FeedDown, FeedItem, FeedUp
from market.instrument import Instrument
from market.interval import SECOND_NS
from market.money import ZERO, to_text
from market.ticks import BookSnapshot, FeedAlive, QuoteTick, TradeTick
from risk.approved import Approved, Denied, OrderRequest
from risk.gate import GateView, RiskGate
from risk.limits import RiskLimits
from tradingd import composition
from tradingd.doctor import CheckResult, Level
from tradingd.redaction import redact
from tradingd.settings import Settings, VenueSettings
from tradingd.settings_errors import ConfigError
from tradingd.venue_access import (
    PRACTICE,
    LiveVenue,
    MarketFeed,
    check_addresses,
    dialect_of,
    make_feed,
    make_live_venue,
)

STREAM_S: Final = 15.0
ANSWER_S: Final = 20.0
CLOCK_OFF_MS: Final = 1_000
CLOCK_WRONG_MS: Final = 5_000
_FAR: Final = Decimal("0.8")
"""The trial order's price, of the best bid: far enough never to be filled, near enough for the venues' own collars."""
_MARKET: Final = (QuoteTick, TradeTick, BookSnapshot, FeedAlive)
_ID_STEM: Final = "check-"  # not our mark: a daemon on the same account must not take it for its own


@dataclass
class VenueCheck:
    """`run` it once; `results` then holds a line for each part."""

    settings: Settings
    places_order: bool = False
    results: list[CheckResult] = field(default_factory=list)
    _clock: LiveClock = field(default_factory=LiveClock)
    _quotes: dict[str, QuoteTick] = field(default_factory=dict)
    _reports: list[ExecutionReport] = field(default_factory=list)
    _problems: list[str] = field(default_factory=list)

    async def run(self) -> list[CheckResult]:
        """Raises `ConfigError` for settings with which nothing can be asked."""
        settings = self.settings
        urls = settings.venues.get(settings.venue, VenueSettings())
        if settings.venue == PRACTICE and not urls.rest_url:
            raise ConfigError("the practice venue begins and ends with the daemon: there is nothing to check.")
        check_addresses(settings, urls)
        feed = make_feed(settings, urls, self._clock, is_replay=False, on_frame=None)
        try:
            instruments = await self._public(feed)
        finally:
            await feed.close()
        if self._can_be_traded(urls):
            await self._account(urls, instruments)
        return self.results

    def _say(self, name: str, level: Level, text: str) -> None:
        self.results.append(CheckResult(name, level, redact(text)))

    # ---- public data -------------------------------------------------------------------------------

    async def _public(self, feed: MarketFeed) -> list[Instrument]:
        try:
            offered = await feed.instruments()
        except VenueError as error:
            self._say("instruments", "fail", str(error))
            return []
        trading = sum(each.is_trading for each in offered)
        self._say("instruments", "ok" if trading else "fail", f"{len(offered)} pairs are listed, {trading} trade")
        chosen = self._chosen(offered)
        await self._look_at_clock(feed)
        if chosen:
            await self._listen(feed, chosen)
            await self._past(feed, chosen[0])
        return chosen

    def _chosen(self, offered: Sequence[Instrument]) -> list[Instrument]:
        """The configured symbols that are listed; each gets its line."""
        chosen: list[Instrument] = []
        for name in self.settings.symbols:
            one = self.settings.model_copy(update={"symbols": (name,)})
            try:
                (found,) = composition.choose_instruments(one, offered, take_all=False)
            except ConfigError as error:
                self._say(name, "fail", str(error))
                continue
            chosen.append(found)
            self._say(found.symbol, *self._rules(found))
        return chosen

    def _rules(self, found: Instrument) -> tuple[Level, str]:
        text = (
            f"tick {to_text(found.price_tick)}, step {to_text(found.quantity_step)}, at least "
            f"{to_text(found.min_quantity)} {found.base} and {to_text(found.min_notional)} {found.quote}; fees "
            f"{to_text(found.maker_fee * 100)} % maker, {to_text(found.taker_fee * 100)} % taker"
        )
        if not found.is_trading:
            return "fail", f"halted; {text}"
        if found.quote != self.settings.account.quote:
            return "warn", f"{text}; only watched, for account.quote is {self.settings.account.quote}"
        return "ok", text

    async def _look_at_clock(self, feed: MarketFeed) -> None:
        try:
            offset_ms = await feed.clock_offset_ns() // 1_000_000
        except VenueError as error:
            self._say("clock", "warn", str(error))
            return
        level: Level = "ok" if abs(offset_ms) < CLOCK_OFF_MS else "warn" if abs(offset_ms) < CLOCK_WRONG_MS else "fail"
        direction = "ahead of" if offset_ms >= 0 else "behind"
        remedy = "" if level == "ok" else ": synchronise this machine's clock (NTP)"
        self._say("clock", level, f"the venue's is {abs(offset_ms)} ms {direction} ours{remedy}")

    async def _listen(self, feed: MarketFeed, instruments: Sequence[Instrument]) -> None:
        """One connection, until something of the market came over it."""
        heard: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        last_down, is_up = "", False

        def sink(item: FeedItem) -> None:
            nonlocal last_down, is_up
            if isinstance(item, QuoteTick):
                self._quotes[item.symbol] = item
            if isinstance(item, FeedDown):
                last_down, is_up = item.reason, False
            elif isinstance(item, FeedUp):
                is_up = True
            elif is_up and feed.counters.frames and isinstance(item, _MARKET) and not heard.done():
                # Without a frame, or while it is down, what is told came over REST.
                heard.set_result(type(item).__name__)

        running = asyncio.create_task(feed.run(instruments, sink))
        try:
            await asyncio.wait((running, heard), timeout=STREAM_S, return_when=asyncio.FIRST_COMPLETED)
            if heard.done():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._a_quote_of(instruments[0]), 5.0)
                self._say("stream", "ok", f"subscribed and heard the market ({feed.counters.frames} frames)")
            else:
                why = last_down or feed.counters.last_problem or "connected, but no frame of the market came"
                self._say("stream", "fail", f"nothing within {STREAM_S:g} s: {why}. Check venues.{feed.name}.ws_url.")
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def _a_quote_of(self, instrument: Instrument) -> None:
        while instrument.symbol not in self._quotes:  # noqa: ASYNC110 - filled by the sink
            await asyncio.sleep(0.05)

    async def _past(self, feed: MarketFeed, instrument: Instrument) -> None:
        try:
            candles = await feed.candles(instrument, "1m", 10)
        except VenueError as error:
            self._say("history", "warn", str(error))
            return
        level: Level = "ok" if candles else "warn"
        self._say("history", level, f"{len(candles)} closed candles of one minute of {instrument.symbol}")

    # ---- the account -------------------------------------------------------------------------------

    def _can_be_traded(self, urls: VenueSettings) -> bool:
        if dialect_of(self.settings.venue, urls) == "ccxt":
            self._say("account", "warn", "this venue is for paper trading only: its account is not looked at")
            return False
        own = self.settings.venues.get(self.settings.venue, VenueSettings())
        if self.settings.venue != PRACTICE and not own.api_key.get_secret_value():
            name = f"TRADINGD__VENUES__{self.settings.venue.upper()}__API_KEY"
            self._say("keys", "warn", f"none: public data and paper trading only. Set {name} and its _API_SECRET.")
            return False
        return True

    async def _account(self, urls: VenueSettings, instruments: Sequence[Instrument]) -> None:
        try:
            async with self._opened(urls, instruments) as venue:
                self._say("keys", "ok", "the venue takes them")
                notes = " ".join(venue.notes)
                self._say("permissions", "warn" if notes else "ok", notes or "may trade, may not move money out")
                await self._money(venue)
                await self._user_stream(venue)
                if self.places_order:
                    await self._trial(venue, instruments)
        except VenueError as error:
            self._say("account", "fail", str(error))

    @contextlib.asynccontextmanager
    async def _opened(self, urls: VenueSettings, instruments: Sequence[Instrument]) -> AsyncIterator[LiveVenue]:
        venue = make_live_venue(
            self.settings, urls, self._clock, instruments, on_report=self._reports.append,
            on_problem=self._problems.append, on_refused=self._problems.append,
        )
        try:
            await venue.start()
            yield venue
        finally:
            await venue.close()

    async def _money(self, venue: LiveVenue) -> None:
        balances = await venue.balances()
        quote = self.settings.account.quote
        has = to_text(balances.get(quote, ZERO))
        others = ", ".join(sorted(set(balances) - {quote})[:8])
        text = f"{has} {quote}; also {others}" if others else f"{has} {quote}"
        self._say("balance", "ok" if balances.get(quote) else "warn", text)
        try:
            orders = await venue.open_orders()
        except VenueError as error:
            self._say("open orders", "warn", f"{error} An order that appears late is not found without them.")
        else:
            self._say("open orders", "ok", f"{len(orders)} rest there")

    async def _user_stream(self, venue: LiveVenue) -> None:
        stream = getattr(venue, "stream", None)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(10.0):
                while stream is not None and not stream.is_up:  # noqa: ASYNC110 - a flag of the adapter's
                    await asyncio.sleep(0.05)
        if stream is not None and stream.is_up:
            self._say("user stream", "ok", "subscribed: fills come at once")
        else:
            why = getattr(stream, "last_problem", "") or "the venue has none configured"
            self._say("user stream", "warn", f"down ({why}): orders are asked for every 2 s instead")

    # ---- the trial order ---------------------------------------------------------------------------

    async def _trial(self, venue: LiveVenue, instruments: Sequence[Instrument]) -> None:
        quote_currency = self.settings.account.quote
        able = [
            each for each in instruments
            if each.symbol in self._quotes and each.quote == quote_currency and each.is_trading
        ]
        if not able:
            self._say("trial order", "fail", f"no symbol in {quote_currency} trades and has a price to place it by")
            return
        instrument, quote = able[0], self._quotes[able[0].symbol]
        order = _far_order(instrument, quote, self._clock.now())
        balance = (await venue.balances()).get(quote_currency, ZERO)
        verdict = _review(order, instrument, quote, balance, self._clock.now())
        if isinstance(verdict, Denied):
            self._say("trial order", "fail", f"not placed: {verdict.message}")
            return
        what = f"{to_text(order.quantity)} {instrument.base} at {to_text(order.price or ZERO)}"
        venue.submit(verdict)
        first = await self._word(("accepted", "rejected", "unknown"))
        if first is None or first.exec_type == "unknown":
            why = first.reason if first is not None else "no answer"
            self._say("trial order", "fail", f"{what}: {why}. Look for {order.client_order_id} and cancel it by hand.")
        if first is not None and first.exec_type == "rejected":
            self._say("trial order", "fail", f"{what} was refused: {first.reason}")
            return
        await self._take_back(venue, order, first.venue_order_id if first is not None else VenueOrderId(""), what)

    async def _take_back(self, venue: LiveVenue, order: OrderRequest, venue_id: VenueOrderId, what: str) -> None:
        venue.cancel(order.client_order_id, venue_id, order.symbol)
        last = await self._word(("cancelled", "expired", "fill", "not_found"))
        if last is not None and last.exec_type == "cancelled":
            self._say("trial order", "ok", f"{what} was placed and cancelled")
            return
        said = f"it was told {last.exec_type}" if last is not None else "no word of its end came"
        self._say("trial order", "fail", f"{what}: {said}. Look for {order.client_order_id} at the exchange.")

    async def _word(self, kinds: tuple[str, ...]) -> ExecutionReport | None:
        """The first report of one of these kinds; None when none comes."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_S):
                while True:
                    for report in self._reports:
                        if report.exec_type in kinds:
                            return report
                    await asyncio.sleep(0.02)
        return None


def _far_order(instrument: Instrument, quote: QuoteTick, now: int) -> OrderRequest:
    """The smallest buy that the venue takes, so far below the market that nobody sells to it."""
    price = instrument.round_price(quote.bid * _FAR, "buy")
    least = max(instrument.min_quantity, instrument.min_notional * Decimal("1.1") / price)
    steps = (least / instrument.quantity_step).to_integral_value(ROUND_CEILING)
    return OrderRequest(
        ClientOrderId(f"{_ID_STEM}{now // 1_000_000:x}"), instrument.symbol, "buy", "limit",
        max(steps, Decimal(1)) * instrument.quantity_step, price, "GTC", quote.bid, False, "manual",
    )


def _review(
    order: OrderRequest, instrument: Instrument, quote: QuoteTick, balance: Decimal, now: int
) -> Approved | Denied:
    """The gate's own word. Its limits on size and distance are out of the way: the order must be small and far."""
    limits = RiskLimits(
        collar=Decimal(1), exposure_per_asset=Decimal(1), exposure_total=Decimal(1), max_order_notional=Decimal(1),
        min_notional=ZERO, stale_after_ns=60 * SECOND_NS,
    )
    view = GateView(
        now=now, trading_state="ACTIVE", kill_engaged=False, instrument=instrument, bid=quote.bid, ask=quote.ask,
        last=None, feed_age_ns=max(0, now - quote.ts_init), equity=balance, available=balance, position_quantity=ZERO,
        sellable_quantity=ZERO, open_positions=0, asset_exposure=ZERO, total_exposure=ZERO, daily_drawdown=ZERO,
        weekly_drawdown=ZERO, max_drawdown=ZERO, daily_loss=ZERO, runaway_loss=ZERO, orders_last_second=0,
        orders_last_minute=0, taker_fee_ratio=instrument.taker_fee,
    )
    return RiskGate(limits).review(order, view)
