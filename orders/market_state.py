"""What the engine remembers of one symbol's market: prices, candles in the making, ATR, its triggers."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from bus.messages.orders import PriceSource, Side
from market.candles import CandleBuilder
from market.instrument import Instrument
from market.money import ZERO
from orders.average_true_range import AverageTrueRange
from orders.print_guard import PrintGuard
from orders.watch import Watch

DEFAULT_COLLAR: Final = Decimal("0.05")
"""A price further than this from the last believed one needs confirmation (`limits.collar` when nothing is said)."""


class MarketState:
    """Prices are None until heard. The trails are those of the watch, kept here to be one step away."""

    __slots__ = (
        "ask", "asks", "atr", "bid", "bids", "builder", "guard", "instrument", "is_watched", "last", "lasts", "mids",
        "old_last", "old_mark", "on_last", "on_trade", "quote_ts", "symbol", "void_last", "void_ns",
        "warned_ns",
    )

    def __init__(
        self, instrument: Instrument, intervals: Sequence[str], watch: Watch, collar: Decimal = DEFAULT_COLLAR,
    ) -> None:
        self.instrument = instrument
        self.symbol = instrument.symbol
        self.is_watched = True
        """False for a symbol of the journal that is not configured: no price of it will ever be heard."""
        self.last: Decimal | None = None
        self.old_last: Decimal | None = None
        """The very object that was the last price when market data fell silent: while it is, nobody has traded."""
        self.old_mark: Decimal | None = None
        """The very object that was the mark in the last long silence (`orders.desk`); until a price is heard, what the
        account was last written down with."""
        self.bid: Decimal | None = None
        self.ask: Decimal | None = None
        self.quote_ts = 0
        self.void_ns = 0
        """When the quote was said to be crossed (UTC ns); `quote_ts` is 0 then, until a sound one is heard."""
        self.void_last: Decimal | None = None
        """The very object that was the last price then."""
        self.guard = PrintGuard(collar)
        self.warned_ns = 0
        self.atr = AverageTrueRange()
        self.builder = CandleBuilder(self.symbol, intervals)
        self.lasts = watch.trails(self.symbol, "last")
        self.mids = watch.trails(self.symbol, "mid")
        self.bids = watch.trails(self.symbol, "bid")
        self.asks = watch.trails(self.symbol, "ask")
        self.fence_prints()
        # bound methods, looked up once: these two are called on every trade
        self.on_trade = self.builder.on_trade
        self.on_last = self.lasts.on_price

    def fence_prints(self) -> None:
        """A print the guard must look at is not quiet for the trails either: one comparison serves both."""
        self.lasts.fence(self.guard.print_low, self.guard.print_high)

    def tighten(self, now: int) -> None:
        """Trails that tighten with time are as tight as `now` says; nothing fires by it. For a restart."""
        for trails in (self.lasts, self.mids, self.bids, self.asks):
            trails.on_time(now)

    def void_quote(self, ts: int) -> None:
        """It is crossed: nobody is to look at it until there is a sound one."""
        if self.bid is None:
            return
        if self.quote_ts:
            self.void_ns, self.void_last = ts, self.last
        self.ask, self.quote_ts = self.bid, 0

    def follow_trades(self, now: int, after_ns: int) -> None:
        """A quote that is void for so long is where trades are since, as crossed as before: it hides no fall."""
        is_void = self.bid is not None and not self.quote_ts and now - self.void_ns >= after_ns
        if is_void and self.last is not None and self.last is not self.void_last:
            self.bid = self.ask = self.last

    @property
    def mark(self) -> Decimal | None:
        """What one unit is worth to its holder: the bid, or the last trade where no quote was heard."""
        return self.bid if self.bid is not None else self.last

    @property
    def known_mark(self) -> Decimal | None:
        """The mark, or, while no price is heard, the one known from before."""
        mark = self.mark
        return self.old_mark if mark is None else mark

    def touch(self, side: Side) -> Decimal | None:
        """The price a market order of this side meets: the other side's quote, or the last trade."""
        quote = self.ask if side == "buy" else self.bid
        return quote if quote is not None else self.last

    def watched_price(self, source: PriceSource, side: Side) -> Decimal | None:
        """The price a trigger of this source and side looks at; falls back on what is known."""
        if source == "last":
            return self.last if self.last is not None else self.touch(side)
        if self.bid is None or self.ask is None:
            return self.last
        if source == "mid":
            return (self.bid + self.ask) / 2
        return self.bid if side == "sell" else self.ask

    def value(self, quantity: Decimal) -> Decimal:
        """Marked to bid, in quote; 0 when no price is known."""
        mark = self.mark
        return quantity * mark if mark is not None else ZERO
