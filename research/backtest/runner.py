"""The loop: one candle after the other through the live engine, with a venue that fills at the next open.

Per candle: orders that wait for it fill at its open; exits that the engine holds see the candle's pessimistic path
(for who holds, the low comes first); the close is a trade tick like any other; then the rule decides. Everything that
trades is the live code: `orders.engine.Engine` with gate, ledger and trailing, told nothing it would not be told live.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_FLOOR, Decimal
from typing import Any, Final

from bus.ids import ClientOrderId, SessionId, TradeId, VenueOrderId
from bus.messages.header import Message, MessageMaker
from bus.messages.ledger import FundsChanged, PositionClosed
from bus.messages.orders import (
    ExecutionReport,
    OrderDenied,
    OrderFilled,
    Protection,
    SubmitOrder,
    TrailSpec,
)
from market.instrument import Instrument
from market.interval import interval_ns
from market.money import ONE, ZERO
from market.ticks import TradeTick
from orders.effects import CancelAtVenue, QueryVenue, SubmitToVenue
from orders.engine import Engine, EngineConfig
from research.backtest.rules import Rule
from risk.approved import OrderRequest
from risk.limits import RiskLimits

QUANTITY_STEP: Final = Decimal("1e-8")
OPEN_LIMITS: Final = RiskLimits(
    exposure_per_asset=ONE, exposure_total=ONE, daily_drawdown=ONE, weekly_drawdown=ONE, max_drawdown=ONE,
    daily_loss=ONE, max_positions=1000, min_notional=ZERO, collar=ONE, max_order_notional=ONE, runaway_loss=ONE,
    orders_per_second=1_000_000, orders_per_minute=1_000_000, duplicate_window_ns=0, kill_loss=ONE,
    notional_per_minute=Decimal(1_000_000),
)
"""A bare rule is judged by its own merits: the limits stand wide open, the gate's sanity checks do not."""


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """Candles of one symbol, oldest first: float lists for the rule, exact Decimals for the engine."""

    symbol: str
    interval: str
    ts: Sequence[int]
    open: Sequence[float]
    high: Sequence[float]
    low: Sequence[float]
    close: Sequence[float]
    volume: Sequence[float]
    exact: Callable[[str, int], Decimal]
    """(column, index) -> the price as it was written."""
    closes: Sequence[Decimal] = ()

    def __len__(self) -> int:
        return len(self.ts)


@dataclass(frozen=True, slots=True)
class Costs:
    """Ratios: `fee` of every fill's worth; `spread` between bid and ask; `slippage` beyond the half spread."""

    fee: Decimal = Decimal("0.001")
    spread: Decimal = ZERO
    slippage: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Trade:
    """One round trip. Times are UTC ns of the opens (or the moment inside a candle); money in quote, net of fees."""

    symbol: str
    side: str
    entry_ts: int
    entry_price: Decimal
    exit_ts: int
    exit_price: Decimal
    quantity: Decimal
    fees: Decimal
    pnl: Decimal


@dataclass(slots=True)
class Result:
    """What a run gave. `equity`: at every close, marked to it, in quote."""

    trades: list[Trade] = field(default_factory=list)
    equity: list[float] = field(default_factory=list)
    decisions: list[tuple[int, str, str]] = field(default_factory=list)
    """(index of the candle, buy or sell, quantity) as the rule wished."""
    denials: dict[str, int] = field(default_factory=dict)
    open_quantity: Decimal = ZERO
    cash: Decimal = ZERO
    fees: Decimal = ZERO


class Backtest:
    """One rule over one symbol. Also the `Context` the rule is shown."""

    __slots__ = (
        "_at", "_bars", "_cash", "_costs", "_engine", "_half", "_has_exits", "_maker", "_number", "_opened", "_pending", "_result",
        "_stake", "_step", "_wishes", "close", "high", "index", "low", "open", "quantity", "ts", "volume",
    )

    def __init__(
        self, bars: Bars, cash: Decimal, stake: Decimal, costs: Costs, limits: RiskLimits = OPEN_LIMITS,
    ) -> None:
        base, _, quote = bars.symbol.partition("/")
        quote = quote or "USD"
        instrument = Instrument(
            bars.symbol, bars.symbol, base, quote, Decimal("1e-12"), QUANTITY_STEP, QUANTITY_STEP, Decimal(10**15), ZERO,
            costs.fee, costs.fee,
        )
        session = SessionId("backtest")
        config = EngineConfig(
            quote, limits, intervals=("1d",), decision_interval="1d", slippage_ratio=costs.slippage + costs.spread / 2,
        )
        self._bars = bars
        self._costs = costs
        self._half = costs.spread / 2 + costs.slippage
        self._stake = stake
        self._cash = cash
        self._maker = MessageMaker("lab", session)
        self._engine = Engine(config, [instrument], MessageMaker("engine", session))
        self._result = Result()
        self._pending: list[OrderRequest] = []
        self._wishes: list[SubmitOrder] = []
        self._number = 0
        self._has_exits = False
        self._opened: list[Any] | None = None
        self._step = interval_ns(bars.interval)
        self._at = bars.ts[0] if len(bars) else 0
        self.index = 0
        self.quantity = 0.0
        self.ts = 0
        self.open = self.high = self.low = self.close = self.volume = 0.0

    # ---- Context ---------------------------------------------------------------------------------

    @property
    def is_waiting(self) -> bool:
        return bool(self._pending or self._wishes)

    def buy(
        self, fraction: float | None = None, *, stop: float | None = None, target: float | None = None,
        trail: float | None = None,
    ) -> None:
        share = self._stake if fraction is None else Decimal(repr(float(fraction)))
        worth = self._engine.ledger.cash * share
        quantity = (worth / self._bars.closes[self.index] / QUANTITY_STEP).to_integral_value(ROUND_FLOOR) * QUANTITY_STEP
        if quantity <= ZERO:
            return
        around = None
        if stop is not None or target is not None or trail is not None:
            around = Protection(
                None if stop is None else Decimal(repr(stop)),
                None if trail is None else TrailSpec("percent", Decimal(repr(trail))),
                None if target is None else Decimal(repr(target)),
            )
            self._has_exits = True
        self._wish("buy", quantity, protection=around)

    def sell(self) -> None:
        held = self._engine.ledger.quantity(self._bars.symbol)
        if held > ZERO:
            self._wish("sell", held, reduce_only=True)

    def _wish(self, side: Any, quantity: Decimal, **more: Any) -> None:
        self._number += 1
        self._result.decisions.append((self.index, side, str(quantity)))
        self._wishes.append(SubmitOrder(
            ClientOrderId(f"td-lab-{self._number}"), self._bars.symbol, side, "market", quantity, "manual", **more,
        ))

    # ---- the loop --------------------------------------------------------------------------------

    def run(self, rule: Rule, progress: Callable[[int], None] | None = None) -> Result:
        """All candles; `progress` is told the index now and then."""
        bars, engine, result = self._bars, self._engine, self._result
        quote = bars.symbol.partition("/")[2] or "USD"
        self._take(self._maker.make(FundsChanged(quote, self._cash, self._cash, "initial capital"), self._at))
        process, on_candle, step, symbol = engine.process, rule.on_candle, self._step, bars.symbol
        closes = bars.closes
        add_equity = result.equity.append
        cash, held = float(self._cash), 0.0
        rows = zip(bars.ts, bars.open, bars.high, bars.low, bars.close, bars.volume, closes, strict=True)
        for index, (ts, opened, high, low, close, volume, exact_close) in enumerate(rows):
            self.index = index
            if self._pending:
                self._fill_at_open(ts, bars.exact("open", index))
                held, cash = float(engine.ledger.quantity(symbol)), float(engine.ledger.cash)
                self.quantity = held
            if held and self._has_exits:
                self._walk(index, ts)
                held, cash = float(engine.ledger.quantity(symbol)), float(engine.ledger.cash)
                self.quantity = held
            at = ts + step - 1
            effects = process(TradeTick(symbol, exact_close, ONE, "buy", str(index), at, at))
            if effects:
                self._perform(effects, at, exact_close)
            self.ts, self.open, self.high, self.low, self.close, self.volume = ts, opened, high, low, close, volume
            add_equity(cash + held * close)
            self._at = at
            on_candle(self)
            if self._wishes:
                self._send(at)
            if progress is not None and index % 20_000 == 0:
                progress(index)
        ledger = engine.ledger
        result.open_quantity, result.cash, result.fees = ledger.quantity(symbol), ledger.cash, ledger.fees
        return result

    def _send(self, at: int) -> None:
        wishes, self._wishes = self._wishes, []
        for wish in wishes:
            self._take(self._maker.make(wish, at))

    def _walk(self, index: int, ts: int) -> None:
        """The candle's way for someone who holds: open, low, high, close; what the engine holds may fire on it."""
        bars = self._bars
        for part, name in enumerate(("open", "low", "high"), 1):
            at = ts + self._step * part // 4
            price = bars.exact(name, index)
            tick = TradeTick(bars.symbol, price, ONE, "buy", f"{index}.{part}", at, at)
            effects = self._engine.process(tick)
            if effects:
                self._perform(effects, at, price)
            if self._pending:  # an exit fired: it goes at the price that is there, with its costs
                self._fill_at_open(at, price)

    def _fill_at_open(self, ts: int, price: Decimal) -> None:
        pending, self._pending = self._pending, []
        for order in pending:
            paid = price * (ONE + self._half if order.side == "buy" else ONE - self._half)
            self._number += 1
            cash = self._engine.ledger.cash
            if order.side == "buy" and order.quantity * paid * (ONE + self._costs.fee) > cash:
                self._report(order, "rejected", ts, reason="not enough cash at the open")
                continue
            self._report(order, "accepted", ts)
            self._report(
                order, "fill", ts, trade_id=TradeId(f"t{self._number}"), quantity=order.quantity, price=paid,
                fee=order.quantity * paid * self._costs.fee, fee_asset=order.symbol.partition("/")[2] or "USD",
            )

    def _report(self, order: OrderRequest, kind: Any, ts: int, **more: Any) -> None:
        report = ExecutionReport(
            order.client_order_id, order.symbol, kind, ts, VenueOrderId(f"v-{order.client_order_id}"), simulated=True, **more,
        )
        self._take(self._maker.make(report, ts))

    def _take(self, message: Message) -> None:
        self._perform(self._engine.process(message), message.header.ts, None)

    def _perform(self, effects: Sequence[Any], ts: int, price: Decimal | None) -> None:
        for effect in effects:
            if type(effect) is SubmitToVenue:
                self._pending.append(effect.approved.order)
            elif type(effect) is Message:
                self._note(effect.body, effect.header.ts)
            elif type(effect) is CancelAtVenue or type(effect) is QueryVenue:
                continue  # nothing rests at this venue: all that was sent fills or is refused at the next price

    def _note(self, body: Any, ts: int) -> None:
        kind = type(body)
        if kind is OrderFilled:
            self._on_fill(body, ts)
        elif kind is PositionClosed:
            opened = self._opened
            self._opened = None
            if opened is not None:
                self._result.trades.append(Trade(
                    body.symbol, "long", opened[0], opened[2] / opened[1], ts, opened[5] / opened[4], opened[1], opened[3],
                    opened[5] - opened[2] - opened[3],
                ))
        elif kind is OrderDenied:
            self._result.denials[body.code] = self._result.denials.get(body.code, 0) + 1

    def _on_fill(self, fill: OrderFilled, ts: int) -> None:
        """[entry time, bought, its worth, fees, sold, its worth] of the open round trip."""
        if self._opened is None:
            self._opened = [ts, ZERO, ZERO, ZERO, ZERO, ZERO]
        bought = 1 if fill.side == "buy" else 4
        self._opened[bought] += fill.quantity
        self._opened[bought + 1] += fill.quantity * fill.price
        self._opened[3] += fill.fee
