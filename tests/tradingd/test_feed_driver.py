"""From the feed to the runtime: session time, the timer of each second, and what the feed's state means."""

import asyncio
from pathlib import Path

from bus.clock import FeedClock
from bus.messages import orders, system
from bus.messages.ledger import PositionOpened
from exchanges.venue import FeedDown, FeedEnded, FeedTime, FeedUp
from market.ticks import QuoteTick, TradeTick
from tests.orders.trading import BTC, START
from tests.tradingd.live_runtime import SECOND, D, Scene
from tradingd.feed_driver import FeedDriver


class Driven:
    """A runtime behind a driver; `replay` gives it the feed's clock."""

    def __init__(self, folder: Path, *, replay: bool = True) -> None:
        self.scene = Scene(folder).open()
        self.seconds: list[int] = []
        self.ends = 0
        self.timers: list[int] = []
        runtime = self.scene.runtime
        tick = runtime.tick

        def noting() -> None:
            self.timers.append(self.scene.clock.now())
            tick()

        runtime.tick = noting  # type: ignore[method-assign]
        self.driver = FeedDriver(
            runtime, on_second=lambda: self.seconds.append(self.scene.clock.now()), on_end=self._end,
            replay_clock=self.scene.clock if replay else None,
        )

    def _end(self) -> None:
        self.ends += 1

    async def time(self, ns: int) -> None:
        self.driver.sink(FeedTime(ns))


async def test_a_replay_fires_each_second_that_the_feed_passes(tmp_path: Path) -> None:
    driven = Driven(tmp_path)
    await driven.time(START + SECOND // 2)
    assert driven.timers == []
    await driven.time(START + SECOND - 1)
    assert driven.timers == []
    await driven.time(START + 3 * SECOND + 1)
    assert driven.timers == [START + SECOND, START + 2 * SECOND, START + 3 * SECOND]
    assert driven.seconds == driven.timers
    assert driven.scene.clock.now() == START + 3 * SECOND + 1


async def test_a_second_is_fired_at_its_very_moment_and_once(tmp_path: Path) -> None:
    driven = Driven(tmp_path)
    await driven.time(START + 1)
    await driven.time(START + SECOND)
    await driven.time(START + SECOND)
    assert driven.timers == [START + SECOND]


async def test_how_the_time_is_cut_does_not_change_the_seconds(tmp_path: Path) -> None:
    whole, cut = Driven(tmp_path / "whole"), Driven(tmp_path / "cut")
    for driven in (whole, cut):
        await driven.time(START + 1)
    await whole.time(START + 10 * SECOND)
    for tenth in range(1, 101):
        await cut.time(START + tenth * SECOND // 10)
    assert whole.timers == cut.timers
    assert len(whole.timers) == 10


async def test_over_a_long_silence_some_hundred_seconds_say_as_much(tmp_path: Path) -> None:
    driven = Driven(tmp_path)
    await driven.time(START + 1)
    end = START + 86_400 * SECOND
    await driven.time(end)
    assert 60 <= len(driven.timers) <= 1000
    assert driven.timers == sorted(set(driven.timers))
    assert all(at % SECOND == 0 for at in driven.timers)
    assert end - driven.timers[-1] <= SECOND


async def test_time_never_goes_back(tmp_path: Path) -> None:
    driven = Driven(tmp_path)
    await driven.time(START + 5 * SECOND)
    await driven.time(START + 2 * SECOND)
    assert driven.scene.clock.now() == START + 5 * SECOND


async def test_the_paper_venues_answers_arrive_in_feed_time(tmp_path: Path) -> None:
    driven = Driven(tmp_path)
    await driven.time(START + SECOND // 10)
    driven.scene.runtime.command(driven.scene.order(), by="operator")
    await driven.time(START + SECOND // 10 + 1)
    assert not driven.scene.told(orders.OrderFilled)
    await driven.time(START + SECOND // 2)
    assert driven.scene.told(orders.OrderFilled)
    assert driven.scene.told(PositionOpened)


async def test_live_the_feed_moves_no_clock_and_fires_no_timer(tmp_path: Path) -> None:
    driven = Driven(tmp_path, replay=False)
    before = driven.scene.clock.now()
    await driven.time(START + 100 * SECOND)
    assert driven.scene.clock.now() == before
    assert driven.timers == []


async def test_market_items_go_to_the_engine_and_count_as_data(tmp_path: Path) -> None:
    driven = Driven(tmp_path)
    at = START + SECOND
    driven.driver.sink(QuoteTick(BTC, D("199"), D(1), D("200"), D(1), at, at))
    driven.driver.sink(TradeTick(BTC, D("200"), D(1), "buy", "77", at, at))
    driven.scene.runtime.command(
        driven.scene.order(order_type="trailing", quantity="0.1", trail=orders.TrailSpec("percent", D("0.01"))),
        by="operator",
    )
    armed = driven.scene.told(orders.TrailingArmed)
    assert [fact.best for fact in armed] == [D("200")]
    assert driven.driver.items == 2
    assert driven.driver.last_ns == at


async def test_a_lost_feed_stops_entries_and_its_return_allows_them(tmp_path: Path) -> None:
    driven = Driven(tmp_path)
    engine = driven.scene.runtime.engine
    driven.driver.sink(FeedUp("practice", START))
    assert (driven.driver.state, engine.trading_state) == ("connected", "ACTIVE")
    driven.driver.sink(FeedDown("practice", "the cable is cut", START + 1))
    assert (driven.driver.state, engine.trading_state) == ("lost", "REDUCING")
    assert driven.driver.detail == "the cable is cut"
    assert any("the cable is cut" in problem.text for problem in driven.scene.runtime.health.problems)
    driven.driver.sink(FeedUp("practice", START + 2))
    assert (driven.driver.state, driven.driver.detail, driven.driver.reconnects) == ("connected", "", 1)
    assert engine.trading_state == "ACTIVE"
    assert [type(body) for body in (*driven.scene.told(system.FeedConnected), *driven.scene.told(system.FeedLost))] == [
        system.FeedConnected, system.FeedConnected, system.FeedLost,
    ]


async def test_a_lost_feed_leaves_the_paper_venue_no_price_to_fill_at(tmp_path: Path) -> None:
    driven = Driven(tmp_path)
    at = START + SECOND
    driven.driver.sink(FeedUp("practice", START))
    driven.driver.sink(QuoteTick(BTC, D("199"), D(1), D("200"), D(1), at, at))
    simulated = driven.scene.runtime._simulated
    assert simulated is not None
    assert simulated._markets[BTC].is_known()
    driven.driver.sink(FeedDown("practice", "the cable is cut", at + 1))
    assert not simulated._markets[BTC].is_known()


async def test_the_end_of_a_replay_is_told_once_after_its_last_second(tmp_path: Path) -> None:
    driven = Driven(tmp_path)
    await driven.time(START + 1)
    driven.driver.sink(FeedEnded(START + 2 * SECOND))
    assert driven.timers == [START + SECOND, START + 2 * SECOND]
    assert driven.ends == 1
    assert driven.driver.state == "ended"



def test_the_clock_of_a_replay_is_the_runtimes_own(tmp_path: Path) -> None:
    driven = Driven(tmp_path)
    assert isinstance(driven.scene.runtime.clock, FeedClock)
    assert driven.scene.runtime.make("daemon", system.DaemonStopping("x")).header.ts == driven.scene.clock.now()


class Late:
    """A live driver whose loop's time the test sets."""

    def __init__(self, folder: Path) -> None:
        self.scene = Scene(folder).open()
        self.loop_s = 100.0
        self.driver = FeedDriver(
            self.scene.runtime, on_second=lambda: None, on_end=lambda: None, replay_clock=None,
            monotonic=lambda: self.loop_s,
        )
        self.driver.expect_second()
        self.driver.sink(FeedUp("practice", self.scene.clock.now()))

    def pass_time(self, seconds: float) -> None:
        self.loop_s += seconds
        self.scene.clock.advance(self.scene.clock.now() + round(seconds * SECOND))

    def seconds_on_time(self, count: int) -> None:
        for _ in range(count):
            self.pass_time(1.0)
            self.driver.second()

    def trade(self, price: str) -> None:
        now = self.scene.clock.now()
        self.driver.sink(TradeTick(BTC, D(price), D("0.1"), "buy", "7", now - 5 * SECOND, now))

    @property
    def state(self) -> str:
        return self.scene.runtime.engine.trading_state


def test_what_waited_while_the_loop_stood_still_finds_no_entries_allowed(tmp_path: Path) -> None:
    """F13: the first message of the past comes before the timer does."""
    late = Late(tmp_path)
    late.seconds_on_time(2)
    late.trade("100")
    assert late.state == "ACTIVE"
    late.pass_time(6.0)
    late.trade("101")
    assert late.state == "REDUCING"
    assert any("late" in text for text in late.scene.runtime.health.reasons_to_reduce)


def test_entries_come_back_when_the_timer_has_been_on_time_for_some_seconds(tmp_path: Path) -> None:
    late = Late(tmp_path)
    late.seconds_on_time(1)
    late.pass_time(4.0)
    late.driver.second()
    assert (late.state, late.driver.loop_lag_s) == ("REDUCING", 3.0)
    late.seconds_on_time(2)
    assert late.state == "REDUCING"
    late.seconds_on_time(1)
    assert late.state == "ACTIVE"


def test_a_market_that_was_merely_quiet_is_no_lag(tmp_path: Path) -> None:
    late = Late(tmp_path)
    late.seconds_on_time(30)
    late.trade("100")
    assert late.state == "ACTIVE"


async def test_until_the_timer_takes_over_the_engine_has_its_second_often_and_the_agents_do_not(tmp_path: Path) -> None:
    driven = Driven(tmp_path, replay=False)
    beats: list[int] = []

    def beat() -> None:
        beats.append(1)
        if len(beats) == 2:
            driven.driver.expect_second()

    driven.scene.runtime.beat = beat  # type: ignore[method-assign]
    await asyncio.wait_for(driven.driver.run_first_beats(), 10)
    assert len(beats) == 2
    assert driven.timers == []
