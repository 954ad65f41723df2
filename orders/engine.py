"""The order engine: one input in, the facts and venue calls that follow out. No clock, no waiting, no chance.

    process(input) = decide -> facts -> fold the facts -> effects

Everything it knows of its own doing is a fold over its facts (`orders.state`), so a restart feeds the
journalled facts to `restore` and arrives at the same state. Market prices, candles and ATR are heard
again, not journalled.

Under HALTED nothing new is sent except cancels and the kill switch's own exits. Held exits stay armed and
may fire, but wait; when a person allows trading again they are sent if the price is still through their
trigger, else armed anew.
"""

from collections import deque
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from bus.ids import ClientOrderId
from bus.messages.council import AlphaSignal, ProposalApproved
from bus.messages.header import Message, MessageMaker
from bus.messages.ledger import FundsChanged, PortfolioSnapshot
from bus.messages.orders import ExecutionReport, OrderFilled, OrderInitialized, SubmitOrder
from bus.messages.system import InstrumentChanged, KillSwitchEngaged, TimerFired, TradingState
from market.instrument import Instrument
from market.interval import SECOND_NS
from market.money import ZERO
from market.ticks import Candle, FeedAlive, QuoteInvalid, QuoteTick, TradeTick
from orders import exits, funds, grid_planner, instrument_rules, placing, protection, replacing, reports
from orders.cancelling import request_cancel
from orders.chores import Chores, emit_candle
from orders.commands import HANDLERS
from orders.desk import Desk, EngineConfig
from orders.effects import Effect
from orders.grid_book import GridBook
from orders.judged_prices import take_judged
from orders.ledger import Ledger
from orders.loaded import LoadedOrder, load
from orders.market_state import MarketState
from orders.order_table import OrderTable
from orders.trailing import TrailEvent

__all__ = ["Engine", "EngineConfig"]

MOST_HELD_CANDLES: Final = 10_000
"""Closed candles that wait for the history; a start that waits longer for its venue finds the older ones there."""

SHORT_STOP_NS: Final = 600 * SECOND_NS
"""After a stop no longer than this a price is as far from the last one before it as in a process that went on."""

_QUIET: Final[Sequence[Effect]] = ()
_NO_EVENTS: Final[Sequence[TrailEvent]] = ()


class Engine:
    """The hands. One instance per account; inputs one at a time, in the order in which they were taken."""

    __slots__ = ("_chores", "_desk", "_markets")

    def __init__(self, config: EngineConfig, instruments: Sequence[Instrument], maker: MessageMaker) -> None:
        self._desk = Desk(config, instruments, maker)
        self._markets = self._desk.markets
        self._chores = Chores(self._desk)

    # ---- inputs ------------------------------------------------------------------------------------

    def process(self, item: TradeTick | QuoteTick | QuoteInvalid | Candle | FeedAlive | Message) -> Sequence[Effect]:
        """What follows from one input; () when nothing does. Raises only on a defect (ledger, state table)."""
        kind = type(item)
        if kind is TradeTick:
            symbol, price, quantity, aggressor, _, ts_event, ts_init = item  # type: ignore[misc]
            market = self._markets.get(symbol)
            if market is None:
                return _QUIET
            self._desk.heard_ns = ts_init
            lasts = market.lasts
            if lasts.quiet_low < price < lasts.quiet_high:
                market.last = price
                closed = market.on_trade(price, quantity, ts_event, ts_init, aggressor)  # type: ignore[arg-type]
                return self._on_eventful_trade(symbol, _NO_EVENTS, closed, ts_init) if closed else _QUIET
            return self._on_loud_trade(market, item)  # type: ignore[arg-type]
        if kind is QuoteTick:
            symbol, bid, _, ask, _, _, ts_init = item  # type: ignore[misc]
            market = self._markets.get(symbol)
            if market is None:
                return _QUIET
            self._desk.heard_ns = ts_init
            guard = market.guard
            if (
                bid < guard.quote_low or ask > guard.quote_high  # type: ignore[operator]
                or market.mids.watches or market.bids.watches or market.asks.watches
            ):
                return self._on_loud_quote(market, item)  # type: ignore[arg-type]
            market.bid, market.ask, market.quote_ts = bid, ask, ts_init  # type: ignore[assignment]
            return _QUIET
        if kind is FeedAlive:
            self._desk.heard_ns = item.ts_init  # type: ignore[union-attr]
            return _QUIET
        if kind is Candle:
            return self._on_candle(item)  # type: ignore[arg-type]
        if kind is QuoteInvalid:
            return self._on_invalid_quote(item)  # type: ignore[arg-type]
        return self._on_message(item)  # type: ignore[arg-type]

    def _on_loud_trade(self, market: MarketState, tick: TradeTick) -> Sequence[Effect]:
        """A price that is far from the last one, or does something to the trails."""
        guard, price = market.guard, tick.price
        if not guard.print_low <= price <= guard.print_high:
            return self._on_far_price(market, tick)
        market.last = price
        events = market.on_last(price)
        closed = market.on_trade(price, tick.quantity, tick.ts_event, tick.ts_init, tick.aggressor)
        if events or closed:
            return self._on_eventful_trade(tick.symbol, events, closed, tick.ts_init)
        return _QUIET

    def _on_eventful_trade(
        self, symbol: str, events: Sequence[TrailEvent], closed: Sequence[Candle], ts_init: int,
    ) -> Sequence[Effect]:
        """Held orders first, candles after them."""
        desk, market = self._desk, self._markets[symbol]
        self._begin(ts_init, "")
        placing.on_trail_events(desk, market, "last", events)
        for candle in closed:
            emit_candle(desk, market, candle)
        return self._end()

    def _on_far_price(self, market: MarketState, item: TradeTick | QuoteTick) -> Sequence[Effect]:
        """A price that left the quiet limits: is it believed?"""
        self._begin(item.ts_init, "")
        take_judged(self._desk, market, item)
        return self._end()

    def _on_loud_quote(self, market: MarketState, quote: QuoteTick) -> Sequence[Effect]:
        """Prices that are far from the last ones, or that held orders look at."""
        guard, bid, ask, ts_init = market.guard, quote.bid, quote.ask, quote.ts_init
        if bid < guard.quote_low or ask > guard.quote_high:
            return self._on_far_price(market, quote)
        market.bid, market.ask, market.quote_ts = bid, ask, ts_init
        by_mid = market.mids.on_price((bid + ask) / 2)
        by_bid = market.bids.on_price(bid)
        by_ask = market.asks.on_price(ask)
        if not (by_mid or by_bid or by_ask):
            return _QUIET
        self._begin(ts_init, "")
        placing.on_trail_events(self._desk, market, "mid", by_mid)
        placing.on_trail_events(self._desk, market, "bid_ask", by_bid)
        placing.on_trail_events(self._desk, market, "bid_ask", by_ask)
        return self._end()

    def _on_candle(self, candle: Candle) -> Sequence[Effect]:
        """History teaches the ATR; it is never traded on, and no fact follows from it.

        One that is no history stands in for one that was heard only in part: it is told as if it had closed here.
        """
        market = self._markets.get(candle.symbol)
        if market is None or candle.interval != self._desk.config.decision_interval:
            return _QUIET
        market.guard.know(candle.close)
        if candle.is_warmup:
            market.atr.add(candle.ts_open, candle.high, candle.low, candle.close)
            return _QUIET
        self._begin(candle.ts_init, "")
        emit_candle(self._desk, market, candle)
        return self._end()

    def _on_invalid_quote(self, item: QuoteInvalid) -> Sequence[Effect]:
        """The book is crossed: until a sound quote the gate finds it so, and triggers do not look at it."""
        market = self._markets.get(item.symbol)
        if market is not None and market.bid is not None:
            self._desk.steps += 1
            market.void_quote(item.ts_init)
        return _QUIET

    def _on_message(self, message: Message) -> Sequence[Effect]:
        desk, body = self._desk, message.body
        self._begin(message.header.ts, message.id)
        kind = type(body)
        if kind is SubmitOrder:
            replacing.submit(desk, message)
        elif kind is ExecutionReport:
            reports.on_report(desk, body)
            self._chores.after_report(body)
        elif kind is TimerFired:
            self._chores.run()
        elif kind is ProposalApproved:
            desk.state.apply(message)
        elif kind is AlphaSignal:
            grid_planner.on_signal(desk, body)
        elif kind is FundsChanged:
            funds.on_funds(desk, message)
        elif kind is InstrumentChanged:
            instrument_rules.on_changed(desk, body)
        elif kind in HANDLERS:
            HANDLERS[kind](desk, body)
        return self._end()

    def _begin(self, ts: int, cause: str) -> None:
        """Time never goes back, whoever stamped the input."""
        desk = self._desk
        desk.steps += 1
        desk.now = max(desk.now, ts, desk.heard_ns or 0)
        desk.cause = cause
        desk.out = []

    def _end(self) -> Sequence[Effect]:
        if self._desk.state.grids.dirty:
            grid_planner.run_dirty(self._desk)
        if self._desk.wants_snapshot:
            self._chores.snapshot()
        return self._desk.out

    def hear_whole_from(self, ts: int, symbol: str = "") -> None:
        """Trades before `ts` (UTC ns) were missed, of this symbol or of all: the candles that were open lack them."""
        for market in self._markets.values():
            if symbol in ("", market.symbol):
                market.builder.whole_from = ts

    def close_candles(self, heard_ns: int) -> Sequence[Effect]:
        """The line is lost, the last that was heard came at `heard_ns` (UTC ns): what had ended by then is whole."""
        self._begin(heard_ns, "")
        for market in self._markets.values():
            for candle in market.builder.on_time(heard_ns, self._desk.config.candle_grace_ns):
                emit_candle(self._desk, market, candle)
        return self._end()

    def hold_candles(self) -> None:
        """From here on what closes waits for the history: prices are watched meanwhile."""
        self._desk.held_candles = deque(maxlen=MOST_HELD_CANDLES)

    def release_candles(self, now: int) -> Sequence[Effect]:
        """The history is there, or will not come: what has closed since is told, in order."""
        desk = self._desk
        self._begin(now, "")
        held, desk.held_candles = desk.held_candles, None
        for candle in held or ():
            emit_candle(desk, self._markets[candle.symbol], candle)
        return self._end()

    def load(self) -> list[LoadedOrder]:
        """The held orders that would fire next, judged ahead (see `orders.loaded`). Changes nothing."""
        return load(self._desk)

    # ---- restart -----------------------------------------------------------------------------------

    def restore(self, message: Message) -> None:
        """Fold one journalled message, in the journal's order. Commands and reports are skipped: their facts follow."""
        desk, body = self._desk, message.body
        desk.steps += 1
        desk.now = max(desk.now, message.header.ts)
        symbol = body.order.symbol if isinstance(body, OrderInitialized) else getattr(body, "symbol", "")
        if isinstance(body, OrderInitialized | OrderFilled):
            desk.know(symbol)
        if isinstance(body, PortfolioSnapshot):
            desk.tracker.restore(
                message.header.ts, equity=body.equity, peak_equity=body.peak_equity,
                day_open_equity=body.day_open_equity, day_peak_equity=body.day_peak_equity,
                week_peak_equity=body.week_peak_equity, initial_capital=body.initial_capital,
                marks={each.symbol: each.mark for each in body.positions},
            )
        if isinstance(body, FundsChanged):
            funds.restore(desk, message)
        else:
            desk.state.apply(message)

    def prices(self) -> dict[str, tuple[Decimal | None, Decimal | None, Decimal | None]]:
        """Bid, ask and last trade of every symbol, None until heard. For people: decisions have their own road."""
        return {symbol: (market.bid, market.ask, market.last) for symbol, market in self._markets.items()}

    def finish_restore(self, now: int) -> Sequence[Effect]:
        """After the last journalled fact: protection first, then what must be asked of the venue.

        Every order that may be at the venue is asked about; cancels that were under way are repeated; entries
        that were filled but not yet protected are protected now; a half-done send (journalled as initialized
        or triggered, never submitted) ends as an entry and goes on as an exit.
        """
        desk = self._desk
        desk.left_ns = desk.now
        self._begin(now, "")
        desk.state.ledger.check()
        for market in self._markets.values():
            market.tighten(desk.now)
            market.old_mark = desk.tracker.old_marks.get(market.symbol)
        desk.away_ns = desk.now
        for symbol, price in self.old_prices().items():
            self._markets[symbol].guard.know_of_old(price)
        for symbol, price in self._heard_last().items() if desk.now - desk.left_ns < SHORT_STOP_NS else ():
            self._markets[symbol].guard.know(price)
        desk.state.grids.dirty.clear()  # every step ended with its grids planned
        for order in desk.state.orders.working():
            has_to_be_armed = order.is_exit and order.is_held_kind
            if order.is_waiting and order.spec.replaces and not order.fires and not has_to_be_armed:
                continue  # the rest of what it replaces: `orders.replacing` goes on with it, sends or arms it
            if order.is_waiting and (not order.is_exit or (order.is_held_kind and order.detail == "initialized")):
                request_cancel(desk, order, "the process stopped before it was sent or armed")
        for order in tuple(desk.state.orders):
            protection.arm_what_was_cut_off(desk, order)
        for symbol in sorted(desk.markets):
            instrument_rules.fit_orders(desk, symbol)  # the venue's rules may have changed while nobody looked
        for symbol in sorted(desk.state.ledger.positions):
            protection.fit_to_position(desk, symbol)
        for order in desk.state.orders.working():
            if order.is_at_venue:
                if order.detail == "pending_cancel":
                    desk.ask_cancel(order)
                desk.ask_venue(order)
        exits.release_waiting(desk)
        self._chores.after_restart()
        return self._end()

    def old_prices(self) -> dict[str, Decimal]:
        """Of each symbol in which something is held or is to be bought: its last mark, else the average price, or where
        an entry fires.

        So the first price after a restart, too, is measured by something where money depends on it.
        """
        state, prices = self._desk.state, dict[str, Decimal]()
        for order in state.orders.working():
            trigger = None if order.is_exit else state.watch.trigger_of(order.client_order_id)
            if trigger is not None:
                prices[order.spec.symbol] = trigger
        for symbol, position in state.ledger.positions.items():
            if position.average_price > ZERO:
                prices[symbol] = position.average_price
        return {symbol: price for symbol, price in prices.items() if symbol in self._markets} | self._heard_last()

    def _heard_last(self) -> dict[str, Decimal]:
        """Prices from the last minutes of the journal: what grids noted, and what positions were worth."""
        state, marks = self._desk.state, self._desk.tracker.old_marks
        prices = {grid.symbol: grid.samples[-1] for grid in state.grids.live() if grid.samples}
        prices |= {symbol: marks[symbol] for symbol in state.ledger.positions if marks.get(symbol, ZERO) > ZERO}
        return {symbol: price for symbol, price in prices.items() if symbol in self._markets}

    # ---- what is known -----------------------------------------------------------------------------

    @property
    def trading_state(self) -> TradingState:
        """ACTIVE, REDUCING or HALTED."""
        return self._desk.state.trading_state

    @property
    def kill(self) -> KillSwitchEngaged | None:
        """The latched kill switch, None when trading is not locked."""
        return self._desk.state.kill

    @property
    def votes(self) -> tuple[tuple[str, str, str], ...]:
        """(voter, state, reason) of the four voters."""
        return self._desk.state.votes.votes

    @property
    def orders(self) -> OrderTable:
        return self._desk.state.orders

    @property
    def ledger(self) -> Ledger:
        return self._desk.state.ledger

    @property
    def desk(self) -> Desk:
        """Its inside, for those who write the folded state down (`tradingd.checkpoint_parts`) and for nobody else."""
        return self._desk

    @property
    def awaits_answers(self) -> bool:
        """Was the venue asked about orders, and has not said yet what became of them?"""
        return bool(self._desk.asked)

    @property
    def strangers(self) -> tuple[ClientOrderId, ...]:
        """Orders that the venue told of, with our mark, and that are not in our books: the last thousand."""
        return tuple(self._desk.strangers)

    @property
    def halted_symbols(self) -> frozenset[str]:
        """Symbols on which entries were stopped after repeated faults."""
        return frozenset(self._desk.state.halted_symbols)

    def awaits_signal(self, symbol: str) -> bool:
        """Does a grid of the symbol wait for its first entry?"""
        grid = self._desk.state.grids.of_symbol(symbol)
        return grid is not None and grid.phase == "WAITING"

    @property
    def grids(self) -> GridBook:
        return self._desk.state.grids

    def look(self) -> PortfolioSnapshot:
        """The account as it stands, without noting anything: looking at it must not move a peak or a drawdown."""
        return self._desk.snapshot()

    def portfolio(self, now: int) -> PortfolioSnapshot:
        """The account as it stands, without making a fact of it."""
        self._desk.steps += 1
        self._desk.now = max(self._desk.now, now)
        self._desk.mark_equity()
        return self._desk.snapshot()

    def atr(self, symbol: str) -> Decimal | None:
        """ATR(14) of the decision candles in quote, None until 15 were seen or for an unknown symbol."""
        market = self._markets.get(symbol)
        return market.atr.value if market else None

    def trigger_of(self, client_order_id: str) -> Decimal | None:
        """Where a held order would fire now; None when it is not watched."""
        return self._desk.state.watch.trigger_of(client_order_id)  # type: ignore[arg-type]

    def best_of(self, client_order_id: str) -> Decimal | None:
        """The best price a held trail has seen; None when it is not watched."""
        return self._desk.state.watch.best_of(client_order_id)  # type: ignore[arg-type]
