"""An engine with a grid, and a venue that fills it: at once and at the tick's price, or the paper venue itself."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from bus.codec import decode, encode
from bus.ids import SessionId, TradeId, VenueOrderId
from bus.messages.header import Message, MessageMaker
from bus.messages.ledger import FundsChanged
from bus.messages.orders import ExecutionReport
from bus.messages.system import TimerFired
from exchanges.simulated import PaperConfig, SimulatedVenue
from market.instrument import Instrument
from market.interval import SECOND_NS
from market.money import ZERO
from market.ticks import Candle, QuoteTick, TradeTick
from orders.effects import CancelAtVenue, Effect, QueryVenue, SubmitToVenue
from orders.engine import Engine, EngineConfig
from orders.grid_state import Grid
from risk.approved import OrderRequest
from risk.limits import RiskLimits
from tests.orders.trading import BTC, START, WIDE

D = Decimal
FEE = D("0.0005")


def spot(tick: str = "0.01", step: str = "0.00001") -> Instrument:
    return Instrument(BTC, "BTCUSDT", "BTC", "USDT", D(tick), D(step), D(step), D(10_000), D(5), FEE, FEE)


class AtOnce:
    """A venue that fills everything at the price of the moment; a limit it cannot meet ends. Fees in quote or base."""

    def __init__(self, is_fee_in_base: bool) -> None:
        self.is_fee_in_base = is_fee_in_base
        self.price = ZERO
        self.trades = 0
        self.refuses_limits = False
        self.refuses_sales = False

    def answers(self, request: OrderRequest, now: int) -> list[ExecutionReport]:
        client_order_id, symbol = request.client_order_id, request.symbol
        accepted = ExecutionReport(client_order_id, symbol, "accepted", now, VenueOrderId(f"v{client_order_id}"))
        if request.price is not None and request.side == "buy" and (
            self.refuses_limits or self.price > request.price
        ):
            return [accepted, ExecutionReport(client_order_id, symbol, "cancelled", now, reason="no depth")]
        if self.refuses_sales and request.side == "sell":
            return [accepted, ExecutionReport(client_order_id, symbol, "expired", now, reason="no depth")]
        self.trades += 1
        in_base = self.is_fee_in_base and request.side == "buy"
        fee = request.quantity * FEE * (1 if in_base else self.price)
        return [accepted, ExecutionReport(
            client_order_id, symbol, "fill", now, trade_id=TradeId(f"t{self.trades}"), quantity=request.quantity,
            price=self.price, fee=fee, fee_asset="BTC" if in_base else "USDT",
        )]


class GridWorld:
    """Feeds prices and seconds, carries out what the engine wants, and can kill it: `restart`."""

    def __init__(
        self, *, capital: str = "10000", limits: RiskLimits = WIDE, instrument: Instrument | None = None,
        paper: PaperConfig | None = None, is_fee_in_base: bool = False, start_ns: int = START,
        **config: Any,
    ) -> None:
        self.config = EngineConfig("USDT", limits, intervals=("1s", "1m"), decision_interval="1m", **config)
        self.instrument = instrument or spot()
        self.now = start_ns
        self.journal: list[Message] = []
        self.sent: list[OrderRequest] = []
        self.step_ends: list[int] = []
        self._maker = MessageMaker("test", SessionId("t"))
        self._queue: list[ExecutionReport] = []
        self.at_once = AtOnce(is_fee_in_base)
        self.paper = None if paper is None else SimulatedVenue(paper, [self.instrument], self._queue.append)
        self.engine = self._new_engine()
        self.give(FundsChanged("USDT", D(capital), D(capital), "initial capital"))

    def _new_engine(self) -> Engine:
        return Engine(self.config, [self.instrument], MessageMaker("engine", SessionId("s")))

    # ---- inputs

    def give(self, body: Any) -> list[Any]:
        """One message to the engine; the facts that followed."""
        message = self._maker.make(body, self.now)
        if isinstance(body, FundsChanged):
            self.journal.append(message)
        return self._take(message)

    def price(self, price: Decimal | str, after_ns: int = SECOND_NS) -> list[Any]:
        """A trade at this price."""
        self.now += after_ns
        self.at_once.price = D(price)
        return self._market(TradeTick(BTC, D(price), D(1), "buy", "1", self.now, self.now))

    def quote(self, bid: Decimal, ask: Decimal) -> list[Any]:
        return self._market(QuoteTick(BTC, bid, D(1), ask, D(1), self.now, self.now))

    def item(self, item: TradeTick | QuoteTick) -> list[Any]:
        """A recorded market item, with its own time."""
        self.now = max(self.now, item.ts_init)
        if isinstance(item, TradeTick):
            self.at_once.price = item.price
        return self._market(item)

    def _market(self, item: TradeTick | QuoteTick) -> list[Any]:
        if self.paper is not None:
            self.paper.on_market(item)
            self._reports()
        return self._take(item)

    def second(self) -> list[Any]:
        """The once-a-second timer."""
        if self.paper is not None:
            self.paper.advance(self.now)
            self._reports()
        return self.give(TimerFired("second"))

    def walk(self, prices: Sequence[Decimal | str]) -> None:
        """Each price, and a second after it."""
        for price in prices:
            self.price(price)
            self.second()

    # ---- what follows

    def _take(self, item: Any) -> list[Any]:
        effects = self.engine.process(item)
        bodies = self._perform(effects)
        self._reports()
        self.step_ends.append(len(self.journal))
        return bodies

    def _reports(self) -> None:
        while self._queue:
            report = self._queue.pop(0)
            self._perform(self.engine.process(self._maker.make(report, self.now)))

    def _perform(self, effects: Sequence[Effect]) -> list[Any]:
        facts = [effect for effect in effects if isinstance(effect, Message)]
        self.journal.extend(facts)
        for effect in effects:
            if isinstance(effect, SubmitToVenue):
                self.sent.append(effect.approved.order)
                if self.paper is not None:
                    self.paper.submit(effect.approved)
                else:
                    self._queue.extend(self.at_once.answers(effect.approved.order, self.now))
            elif isinstance(effect, CancelAtVenue) and self.paper is not None:
                self.paper.cancel(effect.client_order_id, effect.venue_order_id, effect.symbol)
            elif isinstance(effect, QueryVenue) and self.paper is not None:
                self.paper.query(effect.client_order_id, effect.symbol)
        return [fact.body for fact in facts]

    def restart(self) -> None:
        """kill -9: everything but the journal's bytes (and the venue) is gone."""
        self.engine = self._new_engine()
        for message in self.journal:
            if type(message.body) is not Candle:  # those are not journalled
                self.engine.restore(decode(encode(message)))
        self._perform(self.engine.finish_restore(self.now))
        self._reports()

    # ---- what came of it

    @property
    def grid(self) -> Grid:
        """The newest one."""
        return list(self.engine.grids)[-1]

    def picture(self) -> dict[str, Any]:
        """Everything that a grid is, and the money."""
        engine = self.engine
        return {
            "grids": {each.grid_id: each for each in engine.grids},
            "orders": {order.client_order_id: order for order in engine.orders},
            "triggers": {order.client_order_id: engine.trigger_of(order.client_order_id) for order in engine.orders},
            "accounts": engine.ledger.accounts(),
            "profit": engine.ledger.realized_pnl,
        }


def candle_prices(rows: Sequence[tuple[float, float, float, float]], tick: Decimal) -> Callable[[], Any]:
    """Four prices a candle: open, the two extremes (the nearer to the open first), close."""

    def prices() -> Any:
        for open_, high, low, close in rows:
            first, second = (low, high) if open_ - low < high - open_ else (high, low)
            for value in (open_, first, second, close):
                yield (D(repr(value)) / tick).to_integral_value() * tick

    return prices
