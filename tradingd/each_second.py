"""What is done each second before the engine has its own: a look at its parts and at the end of a timed run."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from bus.bus import Bus
from bus.clock import Clock, LiveClock
from tradingd.candle_history import CandleHistory
from tradingd.conditions import Conditions
from tradingd.configured_grids import ConfiguredGrids
from tradingd.disk_watch import DiskWatch
from tradingd.feed_driver import FeedDriver
from tradingd.parameters import held_parameters
from tradingd.part_heard_watch import PartHeardWatch
from tradingd.replay_run import ReplayRun
from tradingd.runtime import Runtime
from tradingd.settings import Settings
from tradingd.standing_quotes import StandingQuotes
from tradingd.tuner import Tuner
from tradingd.venue_access import MarketFeed


@dataclass(slots=True, kw_only=True)
class EachSecond:
    """`stale_after_ns`: older market data is named. `for_ns`: of feed time, then `on_full` is called; None: never.

    `tuner`: None in a replay, which would not be the same session again. `history` comes when it is there.
    """

    settings: Settings
    clock: Clock
    runtime: Runtime
    driver: FeedDriver
    feed: MarketFeed
    bus: Bus
    conditions: Conditions
    replay: ReplayRun
    disk: DiskWatch
    grids: ConfiguredGrids
    tuner: Tuner | None
    stale_after_ns: int
    for_ns: float | None
    on_full: Callable[[], None]
    history: CandleHistory | None = None
    part_heard: PartHeardWatch = field(init=False)
    standing_quotes: StandingQuotes = field(init=False)

    def __post_init__(self) -> None:
        self.part_heard = PartHeardWatch(self.runtime.health, self.settings.candles.decision)
        self.runtime.listeners.append(self.part_heard.listen)
        self.standing_quotes = StandingQuotes(self.runtime)

    def look(self) -> None:
        """The data's age, our clock, symbols that were halted, disk, grids and tuning, the end of a timed run."""
        runtime, driver, now = self.runtime, self.driver, self.clock.now
        runtime.health.show_halted(runtime.engine.halted_symbols)
        is_halted = runtime.engine.trading_state == "HALTED"
        runtime.health.show_not_closed(runtime.read_model.results.holdings if is_halted else ())
        if self.history is not None:
            self.history.on_second(now())
        self.part_heard.on_second(now())
        if driver.state == "connected" and driver.last_ns:
            self.conditions.data_age(now() - driver.last_ns, self.stale_after_ns)
        if isinstance(self.clock, LiveClock):
            self.standing_quotes.on_second(now())
            self.conditions.session_time(now() - time.time_ns())
        self.conditions.backlog(self.feed.counters.behind_looks)
        if self.bus.is_connected:
            self.conditions.bus_is_there()
        if self.replay.is_behind:
            return
        self.conditions.disk(self.disk.look())
        self.grids.on_second(
            is_active=runtime.engine.trading_state == "ACTIVE", prices=runtime.engine.prices(),
            tuned=held_parameters(self.settings, runtime.read_model.tuning.current),
        )
        if self.tuner is not None:
            self.tuner.on_second()
        if self.for_ns is not None and driver.first_ns and now() - driver.first_ns >= self.for_ns:
            self.on_full()
