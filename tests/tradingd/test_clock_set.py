"""The machine's clock is set forward (time synchronisation): the candle that was open is not over by that."""

from pathlib import Path

from market.interval import MINUTE_NS, SECOND_NS
from market.ticks import TradeTick
from tests.orders.trading import BTC
from tests.tradingd.test_partial_candles import HIGH, D, Room
from tradingd.feed_driver import FeedDriver

CUT_NONE = [(0, False, HIGH), (1, False, D(104)), (2, False, HIGH), (3, False, HIGH), (4, False, D(104))]
"""Those of the two minutes that our clock was set from and to are the exchange's."""


class SetForward(Room):
    """A room whose timer goes by a clock that nobody sets."""

    def __init__(self, folder: Path, *, second: int) -> None:
        super().__init__(folder, second=second)
        self.steady_s = 100.0
        self.driver = FeedDriver(
            self.scene.runtime, on_second=lambda: None, on_end=lambda: None, replay_clock=None,
            monotonic=lambda: self.steady_s,
        )
        self.driver.partial_candles = self.partial
        self.driver.state = "connected"
        self.driver.expect_second()

    def trade(self, price: str = "104") -> None:
        now = self.scene.clock.now()
        self.driver.sink(TradeTick(BTC, D(price), D("0.1"), "buy", str(now), now, now))

    async def pass_seconds(self, count: int) -> None:
        for _ in range(count):
            self.steady_s += 1.0
            self.go_to(self.scene.clock.now() + SECOND_NS)
            self.trade()
            self.driver.second()
            await self.partial.ask()


async def test_a_trade_that_comes_before_the_timer_closes_no_candle_short(tmp_path: Path) -> None:
    room = SetForward(tmp_path, second=50)
    await room.pass_seconds(80)  # until 2:10
    room.go_to(room.scene.clock.now() + MINUTE_NS)
    room.trade()
    await room.pass_seconds(120)
    assert room.minutes() == CUT_NONE


async def test_nor_does_the_timer(tmp_path: Path) -> None:
    room = SetForward(tmp_path, second=50)
    await room.pass_seconds(80)
    room.go_to(room.scene.clock.now() + MINUTE_NS)
    room.steady_s += 1.0
    room.driver.second()
    await room.pass_seconds(120)
    assert room.minutes() == CUT_NONE
