"""The loop: one candle after the other through the live engine, with a venue that fills at the next open.

Per candle: orders that wait for it fill at its open. While exits are held by the engine, the candle's pessimistic path
follows (who holds sees the low before the high, `market.candle_path`), and each trigger on the way is met at its own
price, after a gap where the gap ended. Then the close, then the rule decides. Everything that trades is the live code:
`orders.engine.Engine` with gate, ledger and trailing, told nothing that it would not be told live.
"""

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import ROUND_FLOOR, Decimal
from itertools import zip_longest
from typing import Any, Final

from agents.strategies.candle_rule import CandleContext, Wish
from bus.ids import ClientOrderId, SessionId, TradeId, VenueOrderId
from bus.messages.header import Message, MessageMaker
from bus.messages.ledger import FundsChanged
from bus.messages.orders import ExecutionReport, Protection, SubmitOrder, TrailSpec
from market.instrument import Instrument
from market.interval import interval_ns
from market.money import ONE, ZERO
from market.ticks import TradeTick
from orders.effects import SubmitToVenue
from orders.engine import Engine, EngineConfig
from research.backtest.bars import Bars, Row
from research.backtest.collection import rare_collection
from research.backtest.patience import LIMIT_S, StuckError, patience
from research.backtest.rules import Rule, RuleError
from research.backtest.trades import Trade, TradeFold, exit_reason
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
_EXITS: Final = Wish._fields[2:5]
_LEAST_RATIO: Final = Decimal("1e-9")
_NO_CASH: Final = "not enough cash at the open"


@dataclass(frozen=True, slots=True)
class Costs:
    """Ratios: `fee` of every fill's worth; `spread` between bid and ask; `slippage` beyond the half spread.

    A target is a resting limit order: it pays the fee, and neither spread nor slippage.
    """

    fee: Decimal = Decimal("0.001")
    spread: Decimal = ZERO
    slippage: Decimal = ZERO

    @property
    def away(self) -> Decimal:
        """How far from the price a market order fills."""
        return self.spread / 2 + self.slippage


@dataclass(slots=True)
class Result:
    """What a run gave. `equity`: at every close, marked to it, in quote."""

    trades: list[Trade] = field(default_factory=list)
    equity: "array[float]" = field(default_factory=lambda: array("d"))
    decisions: list[tuple[int, str, str]] = field(default_factory=list)
    """(index of the candle, buy or sell, quantity and exits) as the rule wished."""
    denials: dict[str, int] = field(default_factory=dict)
    rejected: int = 0
    """Entries that the cash did not suffice for at the open, after a gap."""
    fills: int = 0
    decision_prices: list[tuple[str, float, float, float]] = field(default_factory=list)
    """Of each fill: side, price when it was decided (close, or trigger), price met before costs, price paid."""
    open_quantity: Decimal = ZERO
    cash: Decimal = ZERO
    fees: Decimal = ZERO


class Backtest:
    """One rule over one symbol."""

    __slots__ = (
        "_bars",
        "_buy_away",
        "_cash",
        "_context",
        "_costs",
        "_engine",
        "_fold",
        "_has_exits",
        "_held",
        "_is_calm",
        "_last",
        "_maker",
        "_number",
        "_pending",
        "_result",
        "_sell_away",
        "_stake",
        "_step",
        "_symbol",
    )

    def __init__(self, bars: Bars, cash: Decimal, stake: Decimal, costs: Costs) -> None:
        """`cash` in quote; `stake` the share of the cash an entry takes when the rule names none, 0-1."""
        base = bars.symbol.partition("/")[0]
        instrument = Instrument(
            bars.symbol, bars.symbol, base, bars.quote, Decimal("1e-12"), QUANTITY_STEP, QUANTITY_STEP, Decimal(10**15),
            ZERO, costs.fee, costs.fee,
        )
        session = SessionId("backtest")
        # The gate asks for the fee at the last close, as backtrader does; what the open then costs is seen at the open.
        config = EngineConfig(bars.quote, OPEN_LIMITS, intervals=("1d",), decision_interval="1d", slippage_ratio=ZERO,
                              tells_portfolio=False)
        self._bars = bars
        self._symbol = bars.symbol
        self._costs = costs
        self._buy_away, self._sell_away = ONE + costs.away, ONE - costs.away
        self._stake = stake
        self._cash = cash
        self._maker = MessageMaker("lab", session)
        self._engine = Engine(config, [instrument], MessageMaker("engine", session))
        self._result = Result()
        self._fold = TradeFold(self._result.trades, self._result.denials)
        self._context = CandleContext()
        self._pending: list[OrderRequest] = []
        self._number = 0
        self._held: list[tuple[int, float, float]] = []
        self._has_exits = False
        self._is_calm = True
        self._last = ZERO
        self._step = interval_ns(bars.interval)

    def run(self, rule: Rule, progress: Callable[[int], None] | None = None) -> Result:
        """All candles, once; `progress` is told the index now and then. Raises `RuleError` for what the rule raises."""
        result = self._decided(rule, progress)
        ledger = self._engine.ledger
        result.open_quantity, result.cash, result.fees = ledger.quantity(self._symbol), ledger.cash, ledger.fees
        result.fills = self._fold.fills
        result.equity = self._marked()
        return result

    def decisions(self, rule: Rule) -> list[tuple[int, str, str]]:
        """As `run`, for who asks for nothing else."""
        return self._decided(rule, None).decisions

    def _decided(self, rule: Rule, progress: Callable[[int], None] | None) -> Result:
        with rare_collection():
            try:
                with patience(lambda: self._context.index, lambda: self._stuck(rule)):
                    self._run(rule, progress)
            except StuckError as error:
                raise RuleError(str(error)) from None
        return self._result

    def _run(self, rule: Rule, progress: Callable[[int], None] | None) -> None:
        bars = self._bars
        begin = int(bars.ts[0]) if len(bars) else 0
        self._take(self._maker.make(FundsChanged(bars.quote, self._cash, self._cash, "initial capital"), begin))
        self._look_at_account(0)
        try:
            for first, is_calm, rows in bars.batches():
                self._is_calm = is_calm
                self._batch(first, rows, rule.on_candle)
                if progress is not None:
                    progress(first + len(rows))
        except RuleError:
            raise
        except _EngineTrouble as trouble:
            raise trouble.cause from trouble
        except Exception as error:
            raise RuleError(f"the rule failed at candle {self._context.index}: {_where(error)}") from error

    def _stuck(self, rule: Rule) -> str:
        index, file = self._context.index, rule.on_candle.__code__.co_filename
        at = datetime.fromtimestamp(int(self._bars.ts[index]) // 10**9, UTC)
        return (
            f"the rule did not come back from candle {index} ({at:%Y-%m-%d %H:%M} UTC) within {LIMIT_S} s: look for a "
            f"loop without an end in {file}"
        )

    def _batch(self, first: int, rows: Sequence[Row], on_candle: Callable[[Any], None]) -> None:
        process, length = self._engine.process, self._step - 1
        context, wishes = self._context, self._context.wishes
        is_calm, held = self._is_calm, context.quantity
        for index, row in enumerate(rows, first):
            ts, context.open, context.high, context.low, context.close, context.volume, tick = row
            if self._pending or self._has_exits:
                self._inside(index, ts, ts + length, tick.price)
                held = self._look_at_account(index)
            elif is_calm:
                process(tick)  # nothing is held that could fire
            else:
                self._tick(tick.price, ts + length)
            context.index, context.ts, context.quantity = index, ts, held
            on_candle(context)
            if wishes:
                self._last = tick.price
                self._decide(index, ts + length)

    # ---- wishes ----------------------------------------------------------------------------------

    def _decide(self, index: int, at: int) -> None:
        context = self._context
        wishes = tuple(context.wishes)
        context.wishes.clear()
        try:
            for wish in wishes:
                order = self._order_of(wish)
                if order is not None:
                    exits = "".join(f" {name} {value!r}" for name, value in zip(_EXITS, wish[2:5], strict=True)
                                    if value is not None)
                    self._result.decisions.append((index, wish.side, f"{order.quantity}{exits}"))
                    self._take(self._maker.make(order, at))
        except Exception as error:
            raise _EngineTrouble(error) from error
        context.is_waiting = bool(self._pending)

    def _order_of(self, wish: Wish) -> SubmitOrder | None:
        ledger = self._engine.ledger
        self._number += 1
        name = ClientOrderId(f"td-lab-{self._number}")
        if wish.side == "sell":
            held = self._part_of(ledger.quantity(self._symbol), wish.fraction)
            return (
                SubmitOrder(name, self._symbol, "sell", "market", held, "manual", reduce_only=True)
                if held > ZERO
                else None
            )
        share = self._stake if wish.fraction is None else _decimal(wish.fraction)
        quantity = (ledger.cash * share / self._last / QUANTITY_STEP).to_integral_value(ROUND_FLOOR) * QUANTITY_STEP
        if quantity <= ZERO:
            return None
        around = None
        if wish.stop is not None or wish.target is not None or wish.trail is not None:
            around = Protection(
                None if wish.stop is None else _ratio(wish.stop),
                None if wish.trail is None else TrailSpec("percent", _ratio(wish.trail)),
                None if wish.target is None else _ratio(wish.target),
            )
        return SubmitOrder(name, self._symbol, "buy", "market", quantity, "manual", protection=around)

    @staticmethod
    def _part_of(held: Decimal, fraction: float | None) -> Decimal:
        if fraction is None or fraction == 1.0:
            return held
        return (held * _decimal(fraction) / QUANTITY_STEP).to_integral_value(ROUND_FLOOR) * QUANTITY_STEP

    # ---- inside a candle ---------------------------------------------------------------------------

    def _inside(self, index: int, ts: int, at: int, close: Decimal) -> None:
        """A candle in which something may happen: waiting orders, then held exits along the path."""
        try:
            before = self._bars.exact("open", index)
            engine, symbol = self._engine, self._symbol
            if self._has_exits or self._pending:
                self._tick(before, ts)  # a gap meets what is held before any new order, whose trail begins at the open
            self._fill_pending(ts, before)
            if engine.orders.exits(symbol):
                steps = (self._bars.exact("low", index), self._bars.exact("high", index), close)
                for part, price in enumerate(steps, 1):
                    moment = ts + self._step * part // 4
                    self._to(before, price, moment if part < 3 else at)
                    before = price
            else:
                self._tick(close, at)
            self._has_exits = bool(engine.orders.exits(symbol))
        except Exception as error:
            raise _EngineTrouble(error) from error

    def _to(self, before: Decimal, price: Decimal, at: int) -> None:
        """From one point of the path to the next; what is armed between them is met at its trigger, nearest first."""
        engine = self._engine
        met: set[Decimal] = set()
        while True:
            low, high = (price, before) if price < before else (before, price)
            between = [
                trigger for order in engine.orders.exits(self._symbol)
                if (trigger := engine.trigger_of(order.client_order_id)) is not None and low <= trigger <= high
                and trigger not in met
            ]
            if not between:
                break
            before = max(between) if price < before else min(between)
            met.add(before)
            self._tick(before, at)
        self._tick(price, at)

    def _tick(self, price: Decimal, at: int) -> None:
        process = self._engine.process
        effects = list(process(TradeTick(self._symbol, price, ONE, "buy", "1", at, at)))
        if not self._is_calm:
            # Live, a far price is believed when a second print confirms it; this one is history: it did happen.
            effects += process(TradeTick(self._symbol, price, ONE, "buy", "2", at, at))
        if effects:
            count = len(self._pending)
            self._perform(effects)
            fired, self._pending = self._pending[count:], self._pending[:count]
            for order in fired:
                self._fill(order, at, price)

    def _fill_pending(self, ts: int, price: Decimal) -> None:
        pending, self._pending = self._pending, []
        for order in pending:
            known = self._engine.orders.get(order.client_order_id)
            if known is not None and not known.is_working:
                continue  # a stop was quicker in the gap
            self._fill(order, ts, price)

    def _fill(self, order: OrderRequest, ts: int, price: Decimal) -> None:
        is_target = exit_reason(order.client_order_id) == "target"
        paid = price if is_target else price * (self._buy_away if order.side == "buy" else self._sell_away)
        quantity = order.quantity
        if order.side == "buy" and quantity * paid * (ONE + self._costs.fee) > self._engine.ledger.cash:
            self._result.rejected += 1
            self._report(order, "rejected", ts, reason=_NO_CASH)
            return
        self._number += 1
        self._result.decision_prices.append((order.side, float(order.reference_price), float(price), float(paid)))
        self._report(
            order, "fill", ts, trade_id=TradeId(f"t{self._number}"), quantity=quantity, price=paid,
            fee=quantity * paid * self._costs.fee, fee_asset=self._bars.quote, is_maker=is_target,
        )

    def _report(self, order: OrderRequest, kind: Any, ts: int, **more: Any) -> None:
        report = ExecutionReport(
            order.client_order_id,
            order.symbol,
            kind,
            ts,
            VenueOrderId(f"v-{order.client_order_id}"),
            simulated=True,
            **more,
        )
        self._take(self._maker.make(report, ts))

    # ---- the engine --------------------------------------------------------------------------------

    def _take(self, message: Message) -> None:
        self._perform(self._engine.process(message))

    def _perform(self, effects: Sequence[Any]) -> None:
        for effect in effects:
            if type(effect) is SubmitToVenue:
                self._pending.append(effect.approved.order)
            elif type(effect) is Message:
                self._fold.apply(effect.body, effect.header.ts)
            # Cancels and questions have nothing to do: nothing rests here, what was sent fills or is refused.

    def _look_at_account(self, index: int) -> float:
        """What is held from this candle on, in base."""
        ledger, context = self._engine.ledger, self._context
        context.cash, context.quantity = float(ledger.cash), float(ledger.quantity(self._symbol))
        context.is_waiting = bool(self._pending)
        self._held.append((index, context.cash, context.quantity))
        return context.quantity

    def _marked(self) -> "array[float]":
        """What was held from each candle on, marked to every close."""
        close, made = self._bars.close, array("d")
        for (first, cash, quantity), after in zip_longest(self._held, self._held[1:]):
            made.frombytes((cash + quantity * close[first : after[0] if after else len(close)]).tobytes())
        return made


class _EngineTrouble(Exception):
    """Raised inside the loop by our own parts: it must not be taken for the rule's."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


def _where(error: Exception) -> str:
    """The innermost line of the traceback."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" ({trace.tb_frame.f_code.co_filename}:{trace.tb_lineno})" if trace is not None else ""
    return f"{type(error).__name__}: {error}{place}"


def _ratio(number: float) -> Decimal:
    """An exit's distance, to nine places: with all digits of a float the books of long runs would need more than 28."""
    return max(round(_decimal(number), 9), _LEAST_RATIO)


def _decimal(number: float) -> Decimal:
    return Decimal(repr(float(number)))
