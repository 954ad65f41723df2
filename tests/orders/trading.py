"""An engine on a small made-up market, with the words tests want to say to it."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import count
from typing import Any

from bus.ids import ClientOrderId, SessionId, TradeId, VenueOrderId
from bus.messages.header import Message, MessageMaker
from bus.messages.ledger import FundsChanged
from bus.messages.orders import ExecutionReport, SubmitOrder
from bus.messages.system import TimerFired
from market.instrument import Instrument
from market.interval import SECOND_NS
from market.ticks import FeedAlive, QuoteInvalid, QuoteTick, TradeTick
from orders import account
from orders.commands import HANDLERS
from orders.effects import Answer, CancelAtVenue, Effect, QueryVenue, SubmitToVenue
from orders.engine import Engine, EngineConfig
from orders.order_table import Order
from risk.limits import RiskLimits

D = Decimal
BTC = "BTC/USDT"
ETH = "ETH/USDT"
START = 1_700_000_000 * SECOND_NS


def instrument(symbol: str, tick: str = "0.01", step: str = "0.0001") -> Instrument:
    base, quote = symbol.split("/")
    return Instrument(
        symbol, base + quote, base, quote, D(tick), D(step), D(step), D(10_000), D(5), D("0.0005"), D("0.0005"),
    )


WIDE = RiskLimits(
    exposure_per_asset=D(1), exposure_total=D(1), daily_drawdown=D(1), weekly_drawdown=D(1), max_drawdown=D(1),
    daily_loss=D(1), max_positions=10, collar=D(1), max_order_notional=D(1), runaway_loss=D(1),
    orders_per_second=1000, orders_per_minute=1000, duplicate_window_ns=0, notional_per_minute=D(1000),
)
"""Limits that are out of the way of tests about something else."""


COMMANDS = frozenset(HANDLERS) | {SubmitOrder}
"""Each of these is answered by at least one fact that names it as its cause: `Bench` checks it every time."""


class Bench:
    """An engine, its clock, and everything it said."""

    def __init__(
        self, limits: RiskLimits = WIDE, capital: str = "10000", session: str = "s1",
        instruments: Sequence[Instrument] = (), **config: Any,
    ) -> None:
        self.instruments = instruments or (instrument(BTC), instrument(ETH))
        self.config = EngineConfig("USDT", limits, **{"intervals": ("1s", "5s"), **config})
        self.now = START
        self._commands = MessageMaker("test", SessionId(session))
        self._trade_ids = count(1)
        self.journal: list[Message] = []
        self.last_command: Message | None = None
        self.engine = self.new_engine(session)
        if capital:
            self.say(FundsChanged("USDT", D(capital), D(capital), "initial capital"))

    def new_engine(self, session: str) -> Engine:
        return Engine(self.config, self.instruments, MessageMaker("engine", SessionId(session)))

    # ---- inputs

    def _take(self, item: Any) -> Sequence[Effect]:
        effects = self.engine.process(item)
        self.check_order_of(effects)
        check_sums_of(self.engine)
        if isinstance(item, Message) and type(item.body) in COMMANDS:
            assert any(
                effect.header.cause == item.id if isinstance(effect, Message)
                else isinstance(effect, Answer) and effect.message.header.cause == item.id
                for effect in effects
            ), f"nobody answered {item.body}"
        self.journal.extend(effect for effect in effects if isinstance(effect, Message))
        return effects

    def say(self, body: Any, expires: int = 0) -> Sequence[Effect]:
        message = self._commands.make(body, self.now, expires=expires)
        self.last_command = message
        if isinstance(body, FundsChanged):
            self.journal.append(message)
        return self._take(message)

    def trade(
        self, price: str | Decimal, symbol: str = BTC, quantity: str = "0.1", after_ms: int = 1,
    ) -> Sequence[Effect]:
        self.now += after_ms * 1_000_000
        return self._take(TradeTick(symbol, D(price), D(quantity), "buy", "1", self.now, self.now))

    def quote(self, bid: str, ask: str, symbol: str = BTC) -> Sequence[Effect]:
        self.now += 1_000_000
        return self._take(QuoteTick(symbol, D(bid), D(1), D(ask), D(1), self.now, self.now))

    def alive(self, seconds: int = 0) -> Sequence[Effect]:
        """Nobody traded for so long, and the feed says that it is there."""
        self.now += seconds * SECOND_NS
        return self._take(FeedAlive(self.now))

    def crossed(self, symbol: str = BTC) -> Sequence[Effect]:
        self.now += 1_000_000
        return self._take(QuoteInvalid(symbol, "crossed", self.now))

    def second(self, seconds: int = 1) -> Sequence[Effect]:
        self.now += seconds * SECOND_NS
        return self.say(TimerFired("second"))

    def report(self, client_order_id: str, exec_type: str, **more: Any) -> Sequence[Effect]:
        order = self.engine.orders.get(ClientOrderId(client_order_id))
        symbol = more.pop("symbol", order.spec.symbol if order else BTC)
        return self.say(ExecutionReport(ClientOrderId(client_order_id), symbol, exec_type, self.now, **more))  # type: ignore[arg-type]

    def accept(self, client_order_id: str) -> Sequence[Effect]:
        return self.report(client_order_id, "accepted", venue_order_id=VenueOrderId("v" + client_order_id))

    def fill(
        self, client_order_id: str, quantity: str | Decimal, price: str | Decimal, fee: str = "0",
        fee_asset: str = "USDT", trade_id: str = "",
    ) -> Sequence[Effect]:
        return self.report(
            client_order_id, "fill", quantity=D(quantity), price=D(price), fee=D(fee), fee_asset=fee_asset,
            trade_id=TradeId(trade_id or f"t{next(self._trade_ids)}"),
        )

    # ---- wishes

    def submit(self, client_order_id: str, side: str, order_type: str, quantity: str, **more: Any) -> Sequence[Effect]:
        return self.say(wish(client_order_id, side, order_type, quantity, **more))

    def hold(self, quantity: str, price: str, client_order_id: str = "td-entry", **more: Any) -> None:
        """Buy at market and have it filled."""
        self.trade(price)
        self.submit(client_order_id, "buy", "market", quantity, **more)
        self.accept(client_order_id)
        self.fill(client_order_id, quantity, price)

    # ---- what came of it

    def order(self, client_order_id: str) -> Order:
        order = self.engine.orders.get(ClientOrderId(client_order_id))
        assert order is not None, f"no order {client_order_id}"
        return order

    def restarted(self, session: str = "s2") -> "Bench":
        """A new process over the same journal."""
        other = Bench(self.config.limits, capital="", session=session, instruments=self.instruments)
        other.config, other.now, other.journal = self.config, self.now, list(self.journal)
        other._trade_ids = count(10_000)
        other.engine = self.new_engine(session)
        for message in self.journal:
            other.engine.restore(message)
        return other

    @staticmethod
    def check_order_of(effects: Sequence[Effect]) -> None:
        """Nothing is sent that was not approved, and whose sending is not a fact before it in the list."""
        from bus.messages.orders import OrderSubmitted

        told = set()
        for effect in effects:
            if isinstance(effect, Message) and isinstance(effect.body, OrderSubmitted):
                told.add(effect.body.client_order_id)
            if isinstance(effect, SubmitToVenue):
                assert effect.approved.order.client_order_id in told
                assert all(check.passed for check in effect.approved.checks)


def check_sums_of(engine: Engine) -> None:
    """What the engine keeps as running sums is what adding up all orders anew gives."""
    desk, orders = engine._desk, engine.orders
    assert orders.exits() == tuple(order for order in orders.working() if order.is_exit)
    working = [(order, _counted_price(order, desk.markets[order.spec.symbol].touch("buy")))
               for order in orders.working() if not order.is_exit]
    positions = desk.state.ledger.positions
    for own in ("", *(order.client_order_id for order, _ in working)):
        others = [(order, order.remaining * price) for order, price in working if order.client_order_id != own]
        stake = account.exposure(desk.state, desk.markets, BTC, own)
        held = {symbol: account.position_value(each, desk.markets[symbol]) for symbol, each in positions.items()}
        assert stake.equity == account.equity(desk.state, desk.markets) == desk.state.ledger.cash + sum(held.values())
        assert stake.total == sum(max(value, D(0)) for value in held.values()) + sum(value for _, value in others)
        assert stake.asset == max(held.get(BTC, D(0)), D(0)) + sum(
            value for order, value in others if order.spec.symbol == BTC)
        assert stake.held_by_entries == sum(
            value * (1 + desk.markets[order.spec.symbol].instrument.taker_fee) for order, value in others)
        occupied = {order.spec.symbol for order, _ in others} | {
            symbol for symbol, each in positions.items() if account.takes_place(each, desk.markets[symbol])}
        assert stake.open_positions == len(occupied - {BTC})
    told = account.snapshot(desk.state, desk.markets, desk.tracker).working_entries
    assert sorted(told) == sorted((order.spec.symbol, order.remaining * price) for order, price in working)


def _counted_price(order: Order, touch: Decimal | None) -> Decimal:
    """What it was sent at, else what it asks for, else where it would fire, else the market's."""
    if order.wire_type:
        price = order.wire_price
    else:
        price = order.spec.price if order.spec.price is not None else order.spec.stop_price
    return price if price is not None else order.reference_price or touch or D(0)


def wish(client_order_id: str, side: str, order_type: str, quantity: str, **more: Any) -> SubmitOrder:
    for name in ("price", "stop_price"):
        if isinstance(more.get(name), str):
            more[name] = D(more[name])
    more.setdefault("reduce_only", side == "sell")
    more.setdefault("symbol", BTC)
    more.setdefault("origin", "manual")
    symbol = more.pop("symbol")
    return replace(
        SubmitOrder(ClientOrderId(client_order_id), symbol, side, order_type, D(quantity), "manual"), **more,  # type: ignore[arg-type]
    )


def bodies(effects: Sequence[Effect]) -> list[Any]:
    return [effect.body for effect in effects if isinstance(effect, Message)]


def of_type(effects: Sequence[Effect], kind: type) -> list[Any]:
    return [body for body in bodies(effects) if isinstance(body, kind)]


def sent(effects: Sequence[Effect]) -> list[SubmitToVenue]:
    return [effect for effect in effects if isinstance(effect, SubmitToVenue)]


def cancels(effects: Sequence[Effect]) -> list[CancelAtVenue]:
    return [effect for effect in effects if isinstance(effect, CancelAtVenue)]


def queries(effects: Sequence[Effect]) -> list[QueryVenue]:
    return [effect for effect in effects if isinstance(effect, QueryVenue)]


def answers(effects: Sequence[Effect]) -> list[Answer]:
    return [effect for effect in effects if isinstance(effect, Answer)]
