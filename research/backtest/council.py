"""The whole product over candles in a plain loop: six agents, runtime, engine, gate, ledger and the paper venue.

Wired as the daemon wires them (`tradingd.composition`), with the feed's clock for a clock. Of each candle four prices
are traded: open, the extreme that is worse for us, the other one, close (`market.candle_path`), and between them every
trigger that the engine holds. Around each a quote with the spread, before each one tick of the timer, after each the
venue's answers. Candles are built by the engine from these prices, and close with the first price after them: what the
council decides on a candle meets the next open, after the latency.
"""

import tempfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Final

from bus.clock import FeedClock
from bus.ids import SessionId
from market.candle_path import Stance, path_of
from market.instrument import Instrument
from market.interval import interval_ns
from market.money import ONE, ZERO
from market.ticks import FeedAlive, QuoteTick, TradeTick
from research.backtest.bars import Bars
from research.backtest.collection import rare_collection
from research.backtest.council_fold import CouncilFold, CouncilResult, Decision
from research.backtest.guard import LookAheadError
from research.backtest.product import begin, make_product
from research.backtest.runner import Costs
from tradingd.plugins.plugins import Plugins
from tradingd.runtime import Runtime
from tradingd.settings import CandleSettings, PaperSettings, Settings

_SESSION: Final = SessionId("backtest")
_DEPTH: Final = Decimal(10**9)
_LEAST: Final = Decimal("1e-8")
LATENCY_MS: Final = 20
_ANSWER_NS: Final = 3 * LATENCY_MS * 1_000_000
"""There and back again, and a little more."""
_STEPS: Final = 4
_MOST_TRIGGERS: Final = 1_000
"""Met on the way from one price to the next; so many orders a symbol are never held."""


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
            "candles": CandleSettings(
                intervals=(bars.interval, *_longer(settings, self._length)), decision=bars.interval, warmup=0
            ),
            "paper": PaperSettings(slippage=costs.slippage, fee=costs.fee, latency_ms=LATENCY_MS, use_book=False),
        })
        self.clock = FeedClock(int(bars.ts[0]))
        self._instrument = _instrument(bars, costs)
        self._tick = self._instrument.price_tick
        self._index = 0
        self._last = ZERO
        self._fold = CouncilFold(lambda: self._index, self.settings)

    def run(self, progress: Callable[[int], None] | None = None, journal: Path | None = None) -> CouncilResult:
        """All candles. `journal`: where every fact is written, as the daemon does; default: nowhere that stays."""
        with tempfile.TemporaryDirectory(prefix="tradelab-") as folder:
            plugins = Plugins(self.settings, self.clock, waits=True)
            plugins.launch()
            product = make_product(
                self.settings, [self._instrument], _SESSION, self.clock, journal or Path(folder) / "backtest.journal",
                panel=plugins.panel, outside=plugins.names,
            )
            runtime = product.runtime
            plugins.connect(runtime)
            plugins.tell_loaded()
            runtime.listeners.append(self._fold.hear)
            try:
                with rare_collection():
                    begin(product, self._bars.quote, self._cash)
                    self._loop(runtime, progress)
            finally:
                plugins.end()
                runtime.journal.close()
        ledger, result = runtime.engine.ledger, self._fold.finish(self._bars, float(self._cash))
        result.open_quantity, result.cash, result.fees = ledger.quantity(self._bars.symbol), ledger.cash, ledger.fees
        return result

    def _loop(self, runtime: Runtime, progress: Callable[[int], None] | None) -> None:
        bars, ledger, fold, strategy = self._bars, runtime.engine.ledger, self._fold, runtime.runners["strategy"]
        for index, candle in enumerate(bars.columns.candles(bars.symbol, bars.interval)):
            self._index = index
            volume, before = max(candle.volume / _STEPS, _LEAST), None
            for part in range(_STEPS):
                if part < 2:  # an entry that fills at the open is held when the worse extreme is chosen
                    stance: Stance = "long" if ledger.quantity(bars.symbol) > ZERO else "flat"
                    path = path_of(candle, stance, "pessimistic")
                price = path[part]
                at = candle.ts_open + self._length * part // _STEPS
                if before is not None:
                    self._way(runtime, before, price, at, f"{index}.{part}")
                is_idle = part > 0 and not ledger.positions and not runtime.engine.orders.working()
                self._price(runtime, price, volume, at, f"{index}.{part}", is_idle=is_idle)
                if before is None:  # the first price behind a candle closes it
                    fold.log.on_decided(strategy.agent.status().message)
                before = price
            held = float(ledger.quantity(bars.symbol)) * float(candle.close)
            fold.on_close(bars.symbol, float(candle.close), float(ledger.cash) + held, held)
            if progress is not None and index % 256 == 255:
                progress(index + 1)

    def _way(self, runtime: Runtime, before: Decimal, price: Decimal, at: int, name: str) -> None:
        """Between two prices the market passes every trigger: each is met where it stands, nearest first.

        At the tick behind it, in the way's direction: a tick before it nothing would fire.
        """
        engine, falls = runtime.engine, price < before
        met: set[Decimal] = set()
        for number in range(_MOST_TRIGGERS):
            low, high = min(before, price), max(before, price)
            between = [
                trigger for order in engine.orders.working()
                if (trigger := engine.trigger_of(order.client_order_id)) is not None and low <= trigger <= high
                and trigger not in met
            ]
            if not between:
                return
            trigger = max(between) if falls else min(between)
            met.add(trigger)
            reached = self._instrument.round_price(trigger, "buy" if falls else "sell")
            before = max(reached, price) if falls else min(reached, price)
            self._price(runtime, before, _LEAST, at, f"{name}.{number}")

    def _price(
        self, runtime: Runtime, price: Decimal, volume: Decimal, at: int, name: str, *, is_idle: bool = False
    ) -> None:
        """`is_idle`: inside a candle with nothing held and nothing ordered, there is nothing that time could do."""
        half = price * self._costs.spread / 2
        below = max(half, self._tick)  # the gate does not trust a bid that is not below the ask
        self.clock.advance(at)
        # The timer first: mandates and heartbeats last seconds, and must be fresh when a candle closes.
        runtime.take(FeedAlive(at))
        if not is_idle:
            runtime.tick()
        runtime.take(QuoteTick(self._bars.symbol, price - below, _DEPTH, price + half, _DEPTH, at, at))
        # Nobody recorded who took: by the tick rule (Lee and Ready, 1991) whoever moved the price.
        aggressor, self._last = "sell" if price < self._last else "buy", price
        runtime.take(TradeTick(self._bars.symbol, price, volume, aggressor, name, at, at))
        for _ in range(2):  # what was sent is answered, and what the answer caused is answered too
            self.clock.advance(self.clock.now() + _ANSWER_NS)
            if runtime.is_venue_due(self.clock.now()):
                runtime.advance_venue(self.clock.now())
                runtime.settle()


def _longer(settings: Settings, length_ns: int) -> tuple[str, ...]:
    """The configured intervals that are made of whole bars: live the council looks at them, too."""
    lengths = {interval: interval_ns(interval) for interval in settings.candles.intervals}
    return tuple(name for name, length in lengths.items() if length > length_ns and length % length_ns == 0)


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


def check(bars: Bars, cash: Decimal, costs: Costs, settings: Settings, decisions: list[Decision]) -> int:
    """Look-ahead (F73): orders up to half of the data, made again without the rest. Raises `LookAheadError`."""
    point = len(bars) // 2
    if point < 2:
        return 0
    again = CouncilBacktest(bars.cut(point), cash, costs, settings).run().decisions
    before = [each for each in decisions if each[0] < point]
    if again != before:
        raise LookAheadError(f"with the candles cut behind number {point - 1} the council gave other orders")
    return 1
