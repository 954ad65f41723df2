"""The whole product over candles in a plain loop: six agents, runtime, engine, gate, ledger and the paper venue.

Wired as the daemon wires them (`tradingd.composition`), with the feed's clock for a clock. Of each candle four prices
are traded: open, the extreme that is worse for us, the other one, close (`market.candle_path`), and between them every
trigger that the engine holds. Around each a quote with the spread, before each one tick of the timer, after each the
venue's answers. Candles are built by the engine from these prices, and close with the first price after them: what the
council decides on a candle meets the next open, after the latency.
"""

import tempfile
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from bus.clock import FeedClock
from bus.ids import SessionId
from bus.memory_bus import MemoryBus
from bus.messages.council import AlphaSignal
from bus.messages.header import Message, MessageMaker
from bus.messages.ledger import FundsChanged
from bus.messages.orders import OrderFilled, OrderInitialized, OrderRejected, OrderSubmitted
from exchanges.simulated import SimulatedVenue
from market.candle_path import path_of
from market.instrument import Instrument
from market.interval import interval_ns
from market.money import ONE, ZERO
from market.ticks import FeedAlive, QuoteTick, TradeTick
from research.backtest.alpha_figures import AlphaFold
from research.backtest.bars import Bars
from research.backtest.council_log import CouncilLog
from research.backtest.council_story import CouncilRun, Section, tell
from research.backtest.guard import LookAheadError
from research.backtest.runner import Costs
from research.backtest.trades import Trade, TradeFold
from tradingd import composition
from tradingd.message_journal import MessageJournal
from tradingd.path_dependence import PathDependence
from tradingd.plugins.plugins import Plugins
from tradingd.read_model import ReadModel
from tradingd.risk_settings import confidence_threshold
from tradingd.runtime import Runtime
from tradingd.settings import CandleSettings, PaperSettings, Settings
from tradingd.story import Story

_SESSION: Final = SessionId("backtest")
_DEPTH: Final = Decimal(10**9)
_LEAST: Final = Decimal("1e-8")
LATENCY_MS: Final = 20
_ANSWER_NS: Final = 3 * LATENCY_MS * 1_000_000
"""There and back again, and a little more."""
_STEPS: Final = 4
_MOST_TRIGGERS: Final = 8
"""Met on the way from one price to the next; more than one order a symbol is rare."""


@dataclass(slots=True)
class CouncilResult:
    """What came of it; the same meanings as `research.backtest.runner.Result`."""

    trades: list[Trade]
    denials: dict[str, int]
    equity: "array[float]" = field(default_factory=lambda: array("d"))
    decisions: list[tuple[int, str, str]] = field(default_factory=list)
    """(index of the candle, side, type and quantity) of each order that came to life."""
    decision_prices: list[tuple[str, float, float, float]] = field(default_factory=list)
    rejected: int = 0
    open_quantity: Decimal = ZERO
    cash: Decimal = ZERO
    fees: Decimal = ZERO
    alphas: dict[str, dict[str, Any]] = field(default_factory=dict)
    story: list[Section] = field(default_factory=list)
    """What each agent did and why, in words."""
    path_dependent: float | None = None
    """Share of round trips ended by an exit of the engine whose result rests on the path assumed inside a candle."""


class CouncilBacktest:
    """One symbol. Use `run` once."""

    def __init__(self, bars: Bars, cash: Decimal, costs: Costs, settings: Settings) -> None:
        """`settings` are the daemon's; symbol, candles' interval, capital and costs are those of the run."""
        self._bars = bars
        self._costs = costs
        self._cash = cash
        self._length = interval_ns(bars.interval)
        self.settings = settings.model_copy(update={
            "mode": "paper", "venue": "backtest", "symbols": (bars.symbol,),
            "account": settings.account.model_copy(update={"quote": bars.quote, "capital": cash}),
            "candles": CandleSettings(intervals=(bars.interval,), decision=bars.interval, warmup=0),
            "paper": PaperSettings(slippage=costs.slippage, fee=costs.fee, latency_ms=LATENCY_MS, use_book=False),
        })
        self.clock = FeedClock(int(bars.ts[0]))
        self._instrument = _instrument(bars, costs)
        self._tick = self._instrument.price_tick
        self._index = 0
        self._fold = TradeFold()
        self._alphas = AlphaFold()
        self._path = PathDependence(bars.interval)
        self._log = CouncilLog(confidence_threshold(self.settings), self.settings.council.quorum)
        self._decided: dict[str, float] = {}
        self._result = CouncilResult(self._fold.trades, self._fold.denials)

    def run(self, progress: Callable[[int], None] | None = None, journal: Path | None = None) -> CouncilResult:
        """All candles. `journal`: where every fact is written, as the daemon does; default: nowhere that stays."""
        with tempfile.TemporaryDirectory(prefix="tradelab-") as folder:
            plugins = Plugins(self.settings, self.clock, waits=True)
            plugins.launch()
            runtime = self._wire(journal if journal is not None else Path(folder) / "backtest.journal", plugins)
            try:
                self._loop(runtime, progress)
            finally:
                plugins.end()
                runtime.journal.close()
        ledger = runtime.engine.ledger
        result = self._result
        result.open_quantity, result.cash, result.fees = ledger.quantity(self._bars.symbol), ledger.cash, ledger.fees
        result.alphas = self._alphas.figures()
        result.path_dependent = self._path.report().share
        result.story = tell(CouncilRun(
            self._bars, result.equity, float(self._cash), result.trades, result.alphas, self._log,
            self.settings.strategy.rule,
        ))
        return result

    def _wire(self, path: Path, plugins: Plugins) -> Runtime:
        settings, quote = self.settings, self._bars.quote
        limits = composition.make_limits(settings)
        instruments = [self._instrument]
        venue = SimulatedVenue(
            composition.paper_config(settings), instruments, lambda report: runtime.on_report(report),
        )
        runtime = Runtime(
            session=_SESSION,
            engine=composition.make_engine(settings, limits, instruments, _SESSION),
            venue=venue,
            bus=MemoryBus(MessageMaker("bus", _SESSION)),
            journal=MessageJournal.open(path),
            read_model=ReadModel(quote),
            story=Story(lambda line: None, quote),
            clock=self.clock,
            warmup=1,
        )
        for name, make in composition.make_agents(
            settings, limits, instruments, _SESSION, panel=plugins.panel, outside=plugins.names,
        ).items():
            runtime.add_agent(name, make)
        plugins.connect(runtime)
        runtime.listeners.append(self._hear)
        runtime.subscribe_all()
        for runner in runtime.runners.values():
            runner.start()
        runtime.take(runtime.record("daemon", FundsChanged(quote, self._cash, self._cash, "initial capital")))
        runtime.vote_health()
        return runtime

    def _loop(self, runtime: Runtime, progress: Callable[[int], None] | None) -> None:
        bars, ledger, strategy = self._bars, runtime.engine.ledger, runtime.runners["strategy"]
        for index, candle in enumerate(bars.columns.candles(bars.symbol, bars.interval)):
            self._index = index
            stance = "long" if ledger.quantity(bars.symbol) > ZERO else "flat"
            volume, before = max(candle.volume / _STEPS, _LEAST), None
            for part, price in enumerate(path_of(candle, stance, "pessimistic")):  # type: ignore[arg-type]
                at = candle.ts_open + self._length * part // _STEPS
                if before is not None:
                    self._way(runtime, before, price, at, f"{index}.{part}")
                self._price(runtime, price, volume, at, f"{index}.{part}")
                if before is None:  # the first price behind a candle closes it
                    self._log.on_decided(strategy.agent.status().message)
                before = price
            held = float(ledger.quantity(bars.symbol)) * float(candle.close)
            equity = float(ledger.cash) + held
            self._result.equity.append(equity)
            self._alphas.on_close(float(candle.close))
            self._log.on_close(held / equity if equity > 0.0 else 0.0)
            if progress is not None and index % 256 == 255:
                progress(index + 1)

    def _way(self, runtime: Runtime, before: Decimal, price: Decimal, at: int, name: str) -> None:
        """Between two prices the market passes every trigger: each is met where it stands, nearest first."""
        engine = runtime.engine
        for number in range(_MOST_TRIGGERS):
            low, high = min(before, price), max(before, price)
            between = [
                trigger for order in engine.orders.working()
                if (trigger := engine.trigger_of(order.client_order_id)) is not None and low <= trigger <= high
            ]
            if not between:
                return
            before = max(between) if price < before else min(between)
            self._price(runtime, self._instrument.round_price(before, "sell"), _LEAST, at, f"{name}.{number}")

    def _price(self, runtime: Runtime, price: Decimal, volume: Decimal, at: int, name: str) -> None:
        half = price * self._costs.spread / 2
        below = max(half, self._tick)  # the gate does not trust a bid that is not below the ask
        self.clock.advance(at)
        # The timer first: mandates and heartbeats last seconds, and must be fresh when a candle closes.
        runtime.take(FeedAlive(at))
        runtime.tick()
        runtime.take(QuoteTick(self._bars.symbol, price - below, _DEPTH, price + half, _DEPTH, at, at))
        runtime.take(TradeTick(self._bars.symbol, price, volume, "buy", name, at, at))
        for _ in range(2):  # what was sent is answered, and what the answer caused is answered too
            self.clock.advance(self.clock.now() + _ANSWER_NS)
            runtime.advance_venue(self.clock.now())
            runtime.settle()

    def _hear(self, message: Message) -> None:
        body, kind = message.body, type(message.body)
        closed = len(self._fold.trades)
        self._fold.apply(body, message.header.ts)
        self._path.apply(message)
        self._log.apply(message)
        if kind is AlphaSignal:
            self._alphas.on_signal(body)
        elif kind is OrderInitialized:
            order = body.order
            self._alphas.on_order(order)
            self._result.decisions.append((self._index, order.side, f"{order.order_type} {order.quantity}"))
        elif kind is OrderSubmitted:
            self._decided[body.client_order_id] = float(body.reference_price)
        elif kind is OrderFilled:
            self._alphas.on_fill(body)
            decided = self._decided.get(body.client_order_id, float(body.price))
            self._result.decision_prices.append((body.side, decided, decided, float(body.price)))
        elif kind is OrderRejected:
            self._result.rejected += 1
        if len(self._fold.trades) > closed:
            self._alphas.on_trade(self._fold.trades[-1])


def _instrument(bars: Bars, costs: Costs) -> Instrument:
    """As fine as the data are."""
    digits = max((getattr(bars.columns, name).digits or 0) for name in ("open", "high", "low", "close")) or 8
    base = bars.symbol.partition("/")[0]
    return Instrument(
        bars.symbol,
        bars.symbol,
        base,
        bars.quote,
        ONE.scaleb(-digits),
        _LEAST,
        _LEAST,
        _DEPTH,
        ZERO,
        costs.fee,
        costs.fee,
    )


def check(bars: Bars, cash: Decimal, costs: Costs, settings: Settings, decisions: list[tuple[int, str, str]]) -> int:
    """Look-ahead (F73): orders up to half of the data, made again without the rest. Raises `LookAheadError`."""
    point = len(bars) // 2
    if point < 2:
        return 0
    again = CouncilBacktest(bars.cut(point), cash, costs, settings).run().decisions
    before = [each for each in decisions if each[0] < point]
    if again != before:
        raise LookAheadError(f"with the candles cut behind number {point - 1} the council gave other orders")
    return 1
