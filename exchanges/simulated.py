"""The paper venue: takes approved orders and fills them from the live market. No I/O, no clock, no chance.

Time comes with the inputs: an order arrives `latency_ns` after it was sent, and what became of it is told
`latency_ns` after it happened. The same inputs give the same reports, to the byte.

Not modelled: our own orders do not use up the depth that others see, and balances are the ledger's affair.
"""

import heapq
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from bus.ids import ClientOrderId, TradeId, VenueOrderId
from bus.messages.orders import ExecType, ExecutionReport, Side, TimeInForce
from exchanges.simulated_matching import SymbolMarket
from exchanges.venue import OpenOrder, ReportSink
from market.book import OrderBook
from market.instrument import Instrument
from market.money import ZERO
from market.ticks import BookDelta, BookInvalid, BookSnapshot, MarketItem, QuoteTick, TradeTick
from risk.approved import Approved, OrderRequest

NO_MARKET_AFTER_NS: Final = 30_000_000_000
"""An order that finds no price waits this long, then it is rejected."""
FEED_SILENT_NS: Final = 10_000_000_000
"""After this long without any market item nothing is filled: nobody knows the price."""
REMEMBERED_ORDERS: Final = 100
_NEVER: Final = 2**63


@dataclass(frozen=True, slots=True)
class PaperConfig:
    """Ratios (0.001 = 0.1 %) and nanoseconds; see [paper] in config.toml."""

    slippage: Decimal = Decimal("0.001")
    fee: Decimal = Decimal("0.0005")
    latency_ns: int = 20_000_000
    use_book: bool = True


@dataclass(frozen=True, slots=True)
class WorkingOrder:
    """A resting order of an earlier run, to be put back: `remaining` is what is not filled yet.

    One with a `stop_price` waits for it again, also when it was triggered before.
    """

    client_order_id: ClientOrderId
    symbol: str
    side: Side
    price: Decimal
    remaining: Decimal
    stop_price: Decimal | None = None


@dataclass(slots=True, eq=False)
class _Order:
    """An order at the paper venue. `queue_ahead` stands before us at our price.

    `stop_price` is that of a stop whose price was not reached yet; triggered it is a limit order like others.
    """

    client_order_id: ClientOrderId
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal | None
    time_in_force: TimeInForce
    arrived_ns: int
    stop_price: Decimal | None = None
    is_working: bool = True
    filled: Decimal = ZERO
    queue_ahead: Decimal = ZERO
    reports: list[ExecutionReport] = field(default_factory=list)

    @property
    def remaining(self) -> Decimal:
        return self.quantity - self.filled

    @property
    def venue_order_id(self) -> VenueOrderId:
        return VenueOrderId(f"sim-{self.client_order_id}")


class SimulatedVenue:
    """Implements `exchanges.venue.Venue` for paper trading; `on_market` and `advance` move its time.

    `balances` tells the totals per asset (the ledger's); reports go to `sink`, in due order, from within
    `on_market` and `advance`.
    """

    name = "paper"
    is_simulated = True

    def __init__(
        self, config: PaperConfig, instruments: Sequence[Instrument], sink: ReportSink,
        balances: Callable[[], Mapping[str, Decimal]] = dict,
    ) -> None:
        self._config = config
        self._sink = sink
        self._balances = balances
        self._markets = {each.symbol: SymbolMarket(each, OrderBook(each.symbol)) for each in instruments}
        self._orders: OrderedDict[ClientOrderId, _Order] = OrderedDict()
        self._resting: dict[str, list[_Order]] = {}
        self._stops: dict[str, list[_Order]] = {}
        self._waiting: list[_Order] = []
        self._due: list[tuple[int, int, Callable[[int], None]]] = []
        self._sequence = 0
        self._trades = 0
        self._now = 0
        self._last_item = 0

    # ---- Venue -----------------------------------------------------------------------------------

    def submit(self, approved: Approved) -> None:
        """The order is on its way; it arrives after the latency."""
        order = approved.order
        self._schedule(max(approved.ts, self._now), lambda now: self._arrive(order, now))

    def cancel(self, client_order_id: ClientOrderId, venue_order_id: VenueOrderId, symbol: str) -> None:
        """The wish to end it is on its way; the order may fill before it arrives."""
        self._schedule(self._now, lambda now: self._cancel(client_order_id, venue_order_id, symbol, now))

    def query(self, client_order_id: ClientOrderId, symbol: str) -> None:
        """Everything that was ever reported of the order is reported again; "not_found" if it never arrived."""
        self._schedule(self._now, lambda now: self._query(client_order_id, symbol, now))

    async def balances(self) -> dict[str, Decimal]:
        return dict(self._balances())

    async def open_orders(self) -> Sequence[OpenOrder]:
        return [
            OpenOrder(each.client_order_id, each.venue_order_id, each.symbol, each.quantity, each.filled)
            for each in self._orders.values()
            if each.is_working
        ]

    async def start(self) -> None:
        """Nothing to connect to."""

    async def close(self) -> None:
        """Nothing to disconnect from."""

    def update_instruments(self, instruments: Sequence[Instrument]) -> None:
        """New increments and minimums, for the orders that follow; symbols are neither added nor removed."""
        for each in instruments:
            if each.symbol in self._markets:
                self._markets[each.symbol].instrument = each

    def restore(self, open_orders: Sequence[WorkingOrder]) -> None:
        """Put resting orders of an earlier run back, before the first market item; reports nothing."""
        for each in open_orders:
            order = _Order(
                each.client_order_id, each.symbol, each.side, each.remaining, each.price, "GTC", self._now,
                each.stop_price,
            )
            self._note(order, "accepted", self._now)
            self._remember(order)
            (self._resting if each.stop_price is None else self._stops).setdefault(each.symbol, []).append(order)

    # ---- time and market -------------------------------------------------------------------------

    def on_market(self, item: MarketItem) -> None:
        """First what was due before this item, on the market as it then was; then the item itself."""
        now = item.ts_init
        self.advance(now)
        self._last_item = max(self._last_item, now)
        if not isinstance(item, TradeTick | QuoteTick | BookSnapshot | BookDelta | BookInvalid):
            return
        market = self._markets.get(item.symbol)
        if market is None:
            return
        if self._config.use_book or not isinstance(item, BookSnapshot | BookDelta | BookInvalid):
            market.on_item(item)
        if isinstance(item, TradeTick):
            self._trigger_stops(item, self._now)
            self._fill_resting(item, self._now)
        if self._waiting:
            self._retry_waiting(self._now)
        self._deliver_until(self._now)

    def on_line_lost(self) -> None:
        """No order fills at a price from before the outage: what is due, or a triggered stop, meets the next."""
        for market in self._markets.values():
            market.forget()

    def advance(self, now: int) -> None:
        """Do and tell what is due until `now` (UTC ns of the feed); going back does nothing."""
        self._deliver_until(now)
        self._now = max(self._now, now)

    @property
    def next_due_ns(self) -> int:
        """When the next answer or arrival is due (UTC ns); far away when nothing is."""
        return self._due[0][0] if self._due else _NEVER

    def _deliver_until(self, now: int) -> None:
        while self._due and self._due[0][0] <= now:
            due, _, action = heapq.heappop(self._due)
            self._now = max(self._now, due)
            action(self._now)

    def _schedule(self, sent_ns: int, action: Callable[[int], None]) -> None:
        self._push(sent_ns + self._config.latency_ns, action)

    def _push(self, due_ns: int, action: Callable[[int], None]) -> None:
        self._sequence += 1
        heapq.heappush(self._due, (due_ns, self._sequence, action))

    # ---- an order's life -------------------------------------------------------------------------

    def _arrive(self, request: OrderRequest, now: int) -> None:
        order = _Order(
            request.client_order_id, request.symbol, request.side, request.quantity,
            request.price if request.wire_type != "market" else None, request.time_in_force, now,
            request.stop_price,
        )
        known = self._orders.get(request.client_order_id)
        if known is not None:
            if known.is_working:
                return  # the same order again: it is here, and that was said
            for report in known.reports:
                self._tell(report, now)
            return
        self._remember(order)
        refusal = self._refusal(order, request)
        if refusal:
            self._end(order, "rejected", refusal, now)
            return
        self._report(order, "accepted", now)
        if order.stop_price is not None:
            self._stops.setdefault(order.symbol, []).append(order)
            return
        self._match(order, now)
        if order in self._waiting:
            self._push(now + NO_MARKET_AFTER_NS, lambda at: self._give_up(order, at))

    def _refusal(self, order: _Order, request: OrderRequest) -> str:
        """Why a real venue would refuse it by its filters, "" if it would not."""
        market = self._markets.get(order.symbol)
        if market is None:
            return f"unknown symbol {order.symbol}"
        instrument = market.instrument
        if request.wire_type != "market" and (order.price is None or order.price <= ZERO):
            return "a limit order needs a price above zero"
        if (request.wire_type == "stop_limit") != (order.stop_price is not None):
            return "a stop order, and no other, needs a stop price"
        if order.stop_price is not None and market.last_price is not None and _is_reached(order, market.last_price):
            return "the stop price would trigger immediately"
        if order.price is not None and order.price % instrument.price_tick != ZERO:
            return f"price {order.price} is not a multiple of the tick {instrument.price_tick}"
        if order.quantity <= ZERO or order.quantity % instrument.quantity_step != ZERO:
            return f"quantity {order.quantity} is not a multiple of the step {instrument.quantity_step}"
        if not instrument.min_quantity <= order.quantity <= instrument.max_quantity:
            return f"quantity {order.quantity} is not within {instrument.min_quantity}..{instrument.max_quantity}"
        price = order.price if order.price is not None else market.best(order.side)
        if price is not None and price * order.quantity < instrument.min_notional:
            return f"value {price * order.quantity} is below the minimum {instrument.min_notional}"
        return ""

    def _match(self, order: _Order, now: int) -> None:
        """Fill what the market gives at once; rest, cancel or wait with what is left."""
        market = self._markets[order.symbol]
        if not market.is_known() or now - self._last_item > FEED_SILENT_NS:
            self._waiting.append(order)
            return
        takes = market.takes(
            order.side, order.remaining, order.price, self._config.slippage, use_book=self._config.use_book
        )
        if order.time_in_force == "FOK" and sum((size for _, size in takes), start=ZERO) < order.remaining:
            self._end(order, "cancelled", "fill or kill: not all of it could be filled", now)
            return
        for price, quantity in takes:
            self._fill(order, price, quantity, now, is_maker=False)
        if not order.is_working:
            return
        if order.price is None or order.time_in_force != "GTC":
            self._end(order, "cancelled", "the market had no more depth for it", now)
            return
        if self._config.use_book:
            order.queue_ahead = market.queue_ahead(order.side, order.price)
        self._resting.setdefault(order.symbol, []).append(order)

    def _trigger_stops(self, trade: TradeTick, now: int) -> None:
        """A print at a stop's price or through it makes a limit order of the stop, which meets the market at once."""
        stops = self._stops.get(trade.symbol)
        if not stops:
            return
        reached = [order for order in stops if _is_reached(order, trade.price)]
        for order in reached:
            stops.remove(order)
            order.stop_price = None
            self._match(order, now)

    def _fill_resting(self, trade: TradeTick, now: int) -> None:
        """A print through a resting price, or at it, fills: best price first, then the older order."""
        resting = self._resting.get(trade.symbol)
        if not resting:
            return
        left = {"buy": trade.quantity, "sell": trade.quantity}
        has_book = self._config.use_book and self._markets[trade.symbol].book.is_valid
        for order in sorted(resting, key=_price_priority):
            available = self._reach(order, trade, left[order.side], has_book=has_book)
            if available > ZERO and order.price is not None:
                quantity = min(available, order.remaining)
                left[order.side] -= quantity
                self._fill(order, order.price, quantity, now, is_maker=True)
        self._resting[trade.symbol] = [each for each in resting if each.is_working]

    def _reach(self, order: _Order, trade: TradeTick, left: Decimal, *, has_book: bool) -> Decimal:
        """How much of a trade gets to a resting order."""
        if order.price is None:
            return ZERO
        if trade.price < order.price if order.side == "buy" else trade.price > order.price:
            return left
        if trade.price != order.price or trade.aggressor == order.side or not has_book:
            return ZERO
        before_us = min(order.queue_ahead, left)
        order.queue_ahead -= before_us
        return left - before_us

    def _retry_waiting(self, now: int) -> None:
        waiting, self._waiting = self._waiting, []
        for order in waiting:
            if order.is_working:
                self._match(order, now)

    def _give_up(self, order: _Order, now: int) -> None:
        if order in self._waiting:
            self._waiting.remove(order)
            if order.is_working:
                self._end(order, "rejected", "no market data", now)

    def _cancel(
        self, client_order_id: ClientOrderId, venue_order_id: VenueOrderId, symbol: str, now: int
    ) -> None:
        order = self._orders.get(client_order_id)
        if order is None or not order.is_working:
            reason = "unknown order" if order is None else "the order has already ended"
            self._tell(
                ExecutionReport(client_order_id, symbol, "cancel_rejected", now, venue_order_id, reason=reason,
                                simulated=True), now,
            )
            return
        self._end(order, "cancelled", "cancelled on request", now)

    def _query(self, client_order_id: ClientOrderId, symbol: str, now: int) -> None:
        order = self._orders.get(client_order_id)
        if order is None:
            self._tell(ExecutionReport(client_order_id, symbol, "not_found", now, simulated=True), now)
            return
        for report in order.reports:
            self._tell(report, now)

    # ---- reports ---------------------------------------------------------------------------------

    def _fill(self, order: _Order, price: Decimal, quantity: Decimal, now: int, *, is_maker: bool) -> None:
        self._trades += 1
        order.filled += quantity
        # Feed time makes the id unique across restarts, when the counter begins again.
        trade_id = TradeId(f"sim-{now}-{self._trades}")
        report = ExecutionReport(
            order.client_order_id, order.symbol, "fill", now, order.venue_order_id, trade_id, quantity, price,
            quantity * price * self._config.fee, self._markets[order.symbol].instrument.quote, is_maker,
            simulated=True,
        )
        order.reports.append(report)
        order.is_working = order.remaining > ZERO
        self._tell(report, now)

    def _report(self, order: _Order, exec_type: ExecType, now: int, reason: str = "") -> None:
        self._tell(self._note(order, exec_type, now, reason), now)

    def _end(self, order: _Order, exec_type: ExecType, reason: str, now: int) -> None:
        order.is_working = False
        for places in (self._resting, self._stops):
            there = places.get(order.symbol)
            if there and order in there:
                there.remove(order)
        self._report(order, exec_type, now, reason)

    def _note(self, order: _Order, exec_type: ExecType, now: int, reason: str = "") -> ExecutionReport:
        report = ExecutionReport(
            order.client_order_id, order.symbol, exec_type, now, order.venue_order_id, reason=reason, simulated=True
        )
        order.reports.append(report)
        return report

    def _tell(self, report: ExecutionReport, now: int) -> None:
        """The report is on its way to us."""
        self._schedule(now, lambda _: self._sink(report))

    def _remember(self, order: _Order) -> None:
        self._orders[order.client_order_id] = order
        while len(self._orders) > REMEMBERED_ORDERS:
            oldest = next((key for key, each in self._orders.items() if not each.is_working), None)
            if oldest is None:
                return
            del self._orders[oldest]


def _is_reached(order: _Order, last: Decimal) -> bool:
    """Whether the last price triggers a stop: a sell's from above, a buy's from below."""
    stop = order.stop_price
    return stop is not None and (last <= stop if order.side == "sell" else last >= stop)


def _price_priority(order: _Order) -> tuple[Decimal, int]:
    price = order.price if order.price is not None else ZERO
    return (-price if order.side == "buy" else price, order.arrived_ns)
