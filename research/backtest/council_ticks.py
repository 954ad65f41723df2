"""The whole product over recorded ticks: what paper trading would have done while the recording was made.

Agents, runtime, engine, gate, ledger, paper venue and the feed's driver are the daemon's; the settings, too, but for
capital, costs and, when asked for, the interval of decisions. Time is the recording's: the timer fires for each second
that it passes. The paper venue takes `paper.latency_ms` to hear of an order and as long to answer; fills are never
better than the quote of that moment, through the book's levels where depth was recorded, else with the slippage; a
resting order stands behind all that stood at its price, and fills as trades pass it. Where nobody quoted, a quote with
the spread is put around each trade.
"""

import tempfile
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Final

from bus.clock import FeedClock
from bus.ids import SessionId
from bus.messages.header import Message
from exchanges.venue import FeedItem
from market.interval import SECOND_NS
from market.money import ZERO
from market.ticks import Candle, QuoteTick, TradeTick
from research.backtest.bars import Bars
from research.backtest.collection import rare_collection
from research.backtest.council_fold import CouncilFold, CouncilResult, Decision
from research.backtest.data import DataError
from research.backtest.guard import LookAheadError
from research.backtest.product import begin, make_product
from research.backtest.runner import Costs
from research.backtest.ticks import TickRecording
from store.candle_columns import CandleColumns
from tradingd import composition
from tradingd.feed_driver import FeedDriver
from tradingd.plugins.plugins import Plugins
from tradingd.runtime import Runtime
from tradingd.settings import CandleSettings, Settings

_SESSION: Final = SessionId("backtest")
_PLENTY: Final = Decimal(10**9)
_PROGRESS_EVERY: Final = 1024


class CouncilTicks:
    """All symbols of a recording that are quoted like `symbol`, whose candles are shown. Use `run` once."""

    def __init__(
        self, recording: TickRecording, symbol: str, cash: Decimal, costs: Costs, settings: Settings,
        interval: str = "",
    ) -> None:
        """Raises `DataError` for a symbol that is not in it. `interval`: of decisions, instead of the settings'."""
        main = next((each for each in recording.instruments if symbol in (each.symbol, each.venue_symbol, "")), None)
        if main is None:
            known = ", ".join(each.symbol for each in recording.instruments)
            raise DataError(f"the recording holds no {symbol}: there are {known}")
        self.symbol = main.symbol
        self._recording = recording
        self._instruments = [each for each in recording.instruments if each.quote == main.quote]
        self._cash = cash
        self._half = costs.spread / 2
        candles = CandleSettings(intervals=(interval,), decision=interval, warmup=0) if interval else settings.candles
        self.settings = settings.model_copy(update={
            "mode": "paper", "symbols": tuple(each.symbol for each in self._instruments), "candles": candles,
            "account": settings.account.model_copy(update={"quote": main.quote, "capital": cash}),
            "paper": settings.paper.model_copy(update={"slippage": costs.slippage, "fee": costs.fee}),
        })
        self._clock = FeedClock(recording.first_ns)
        self._fold = CouncilFold(self._clock.now, self.settings)
        self._candles: list[Candle] = []
        self._runtime: Runtime

    @property
    def bars(self) -> Bars:
        """After the run: the candles of `symbol` that the engine made. Raises `DataError` for fewer than two."""
        interval = self.settings.candles.decision
        if len(self._candles) < 2:
            raise DataError(
                f"the recording makes {len(self._candles)} candles of {interval} of {self.symbol}, 2 are wanted: "
                "choose a shorter --timeframe"
            )
        return Bars(self.symbol, interval, CandleColumns.of_candles(self._candles))

    def run(
        self, progress: Callable[[int], None] | None = None, journal: Path | None = None, until_ns: int | None = None,
    ) -> CouncilResult:
        """All frames, or those before `until_ns`. `journal`: where every fact is written; default: nowhere."""
        self._trade(progress, journal, until_ns)
        ledger = self._runtime.engine.ledger
        if self._candles:
            self._fold.result.equity[-1] = float(ledger.cash) + self._held()  # the last one stands for the very end
        result = self._fold.finish(self.bars, float(self._cash))
        if not self._recording.has_candles:
            result.path_dependent = None  # the path is the recording's
        result.open_quantity, result.cash, result.fees = ledger.quantity(self.symbol), ledger.cash, ledger.fees
        return result

    def decisions(self, until_ns: int) -> list[Decision]:
        """As `run`, for who asks for nothing else: it may make fewer than two candles."""
        self._trade(None, None, until_ns)
        return self._fold.result.decisions

    def _trade(self, progress: Callable[[int], None] | None, journal: Path | None, until_ns: int | None) -> None:
        with tempfile.TemporaryDirectory(prefix="tradelab-") as folder:
            plugins = Plugins(self.settings, self._clock, waits=True)
            plugins.launch()
            product = make_product(
                self.settings, self._instruments, _SESSION, self._clock, journal or Path(folder) / "backtest.journal",
                panel=plugins.panel, outside=plugins.names,
            )
            self._runtime = runtime = product.runtime
            plugins.connect(runtime)
            plugins.tell_loaded()
            runtime.listeners += [self._fold.hear, self._hear]
            try:
                with rare_collection():
                    begin(product, self.settings.account.quote, self._cash)
                    if self._recording.is_part:
                        runtime.hear_whole_from(self._recording.first_ns)
                    self._play(runtime, progress, until_ns)
            finally:
                plugins.end()
                runtime.journal.close()

    def _play(self, runtime: Runtime, progress: Callable[[int], None] | None, until_ns: int | None) -> None:
        limits = composition.make_limits(self.settings)
        driver = FeedDriver(
            runtime, on_second=lambda: watch_age(runtime, driver, limits.stale_after_ns), on_end=lambda: None,
            replay_clock=self._clock, silence_is_normal=self._recording.has_candles,
        )
        sink, strategy, log = driver.sink, runtime.runners["strategy"], self._fold.log
        told = candles = 0
        for number, item in self._items(until_ns):
            sink(item)
            if len(self._candles) > candles:
                candles = len(self._candles)
                log.on_decided(strategy.agent.status().message)
            if progress is not None and number >= told + _PROGRESS_EVERY:
                told = number
                progress(number)

    def _items(self, until_ns: int | None) -> Iterator[tuple[int, FeedItem]]:
        items = self._recording.items(end_ns=until_ns)
        if self._recording.has_quotes:
            yield from items
            return
        ticks = {each.symbol: each.price_tick for each in self._instruments}
        for number, item in items:
            if type(item) is TradeTick and item.symbol in ticks:
                below = max(item.price * self._half, ticks[item.symbol])
                bid, ask = item.price - below, item.price + item.price * self._half
                yield number, QuoteTick(item.symbol, bid, _PLENTY, ask, _PLENTY, item.ts_event, item.ts_init)
            yield number, item

    def _hear(self, message: Message) -> None:
        candle = message.body
        if type(candle) is not Candle or candle.is_warmup or candle.interval != self.settings.candles.decision:
            return
        if candle.symbol != self.symbol:
            self._fold.alphas.on_close(candle.symbol, float(candle.close))
            return
        self._candles.append(candle)
        held = self._held()
        self._fold.on_close(self.symbol, float(candle.close), float(self._runtime.engine.ledger.cash) + held, held)

    def _held(self) -> float:
        """What is held, of all symbols, at the last price of each."""
        engine = self._runtime.engine
        prices = engine.prices()
        held = sum(
            (position.quantity * (prices[symbol][2] or ZERO) for symbol, position in engine.ledger.positions.items()),
            start=ZERO,
        )
        return float(held)


def watch_age(runtime: Runtime, driver: FeedDriver, stale_after_ns: int) -> None:
    """Each second, as the daemon does: data that is too old keeps new risk away."""
    if driver.state != "connected" or not driver.last_ns:
        return
    if runtime.clock.now() - driver.last_ns > stale_after_ns:
        runtime.health.raise_condition("stale", f"no market data for more than {stale_after_ns / SECOND_NS:g} s")
    else:
        runtime.health.clear("stale")


def check(
    recording: TickRecording, symbol: str, cash: Decimal, costs: Costs, settings: Settings, interval: str,
    decisions: list[Decision],
) -> int:
    """Look-ahead (F73): orders of the first half, made again without the rest. Raises `LookAheadError`."""
    cut = recording.first_ns + (recording.last_ns - recording.first_ns) // 2
    again = CouncilTicks(recording, symbol, cash, costs, settings, interval).decisions(cut)
    before = [each for each in decisions if each[0] < cut]
    if [each for each in again if each[0] < cut] != before:
        raise LookAheadError("with the recording cut in the middle the council gave other orders")
    return 1
