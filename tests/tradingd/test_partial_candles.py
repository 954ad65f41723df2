"""A start within a candle, a lost line, missed trades: the council is told the truth, never the part that was heard."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from agents.agent import Agent, AgentStatus, Emit
from bus.messages.header import Message
from exchanges.answers import VenueError
from exchanges.binance.market_state import FeedCounters
from exchanges.venue import FeedDown, FeedUp
from market.instrument import Instrument
from market.interval import MINUTE_NS, SECOND_NS
from market.ticks import Candle
from tests.orders.trading import BTC, ETH, START
from tests.tradingd.live_runtime import Scene
from tradingd.feed_driver import FeedDriver
from tradingd.partial_candles import AGAIN_NS, SETTLED_NS, STILL_NEW_NS, TRIES, PartialCandles
from tradingd.settings import CandleSettings

D = Decimal
MINUTE = START - START % MINUTE_NS + MINUTE_NS
HIGH = D(118)


class Listener(Agent):
    """Hears every candle."""

    name = "listener"
    subscriptions = frozenset({Candle})

    def __init__(self) -> None:
        self.heard: list[Candle] = []

    def handle(self, message: Message) -> Sequence[Emit]:
        if isinstance(message.body, Candle):
            self.heard.append(message.body)
        return ()

    def status(self) -> AgentStatus:
        return AgentStatus("running", "", 0, 0)


class Exchange:
    """Knows every minute, whole, some time after its end."""

    name = "exchange"

    def __init__(self, scene: Scene) -> None:
        self.counters = FeedCounters()
        self.clock = scene.clock
        self.asked: list[tuple[str, int]] = []
        self.asked_in_order: list[tuple[str, str]] = []
        self.is_away = False
        self.delay_ns = 0
        self.eth_told: asyncio.Event | None = None

    async def candles(self, instrument: Instrument, interval: str, limit: int) -> Sequence[Candle]:
        self.asked.append((instrument.symbol, limit))
        self.asked_in_order.append((instrument.symbol, interval))
        if instrument.symbol == ETH and self.eth_told is not None:
            await self.eth_told.wait()
        if self.is_away:
            raise VenueError("away")
        end = (self.clock.now() - self.delay_ns) // MINUTE_NS * MINUTE_NS
        return [
            Candle(instrument.symbol, interval, end - n * MINUTE_NS, D(100), HIGH, D(99), D(100), D(600), 9, end,
                   is_warmup=True)
            for n in range(limit, 0, -1)
        ]


class Room:
    """A daemon's line from exchange to council, without the sockets."""

    def __init__(
        self, folder: Path, *, second: int, decision: str = "1m", intervals: tuple[str, ...] = ("1s", "5s", "1m"),
        begins_at: int = 0,
    ) -> None:
        """Begins so many seconds into a minute, or at a time (UTC ns)."""
        self.scene = Scene(folder, candles=CandleSettings(decision=decision, intervals=intervals))
        self.agent = Listener()
        self.scene.runtime.add_agent("listener", lambda: self.agent)
        self.scene.open()
        self.exchange = Exchange(self.scene)
        self.partial = PartialCandles(
            self.scene.runtime, self.exchange, self.scene.instruments, self.scene.settings.candles,  # type: ignore[arg-type]
        )
        self.driver = FeedDriver(
            self.scene.runtime, on_second=lambda: None, on_end=lambda: None, replay_clock=None,
        )
        self.driver.partial_candles = self.partial
        self.go_to(begins_at or MINUTE + second * SECOND_NS)
        self.agent.heard.clear()
        self.driver.sink(FeedUp("exchange", self.scene.clock.now()))

    def go_to(self, ts: int) -> None:
        self.scene.clock.advance(ts)

    def lose_line(self) -> None:
        self.driver.last_ns = self.driver.market_ns = self.scene.clock.now()
        self.driver.sink(FeedDown("exchange", "gone", self.scene.clock.now()))

    def find_line(self) -> None:
        self.driver.sink(FeedUp("exchange", self.scene.clock.now()))

    def miss_trades(self) -> None:
        """Of BTC, up to now."""
        assert self.exchange.counters.on_gap is not None
        self.exchange.counters.on_gap(BTC, self.scene.clock.now())

    async def hear(self, seconds: int, price: str = "104") -> None:
        """A trade of both symbols each second, the timer, and the look for what must be asked for."""
        for _ in range(seconds):
            self.scene.price(BTC, price, after_ms=1000)
            self.scene.price(ETH, "10")
            self.driver.last_ns = self.driver.market_ns = self.scene.clock.now()
            self.scene.runtime.tick()
            await self.partial.ask()

    def minutes(self, symbol: str = BTC) -> list[tuple[int, bool, Decimal]]:
        return [
            ((each.ts_open - MINUTE) // MINUTE_NS, each.is_warmup, each.high)
            for each in self.agent.heard if (each.symbol, each.interval) == (symbol, "1m")
        ]

    def notes(self) -> list[str]:
        return [line.text for line in self.scene.lines if line.kind == "NOTE"]


async def test_the_candle_in_which_it_began_is_decided_on_as_the_exchange_tells_it(tmp_path: Path) -> None:
    room = Room(tmp_path, second=50)
    await room.hear(80)
    assert room.minutes() == [(0, False, HIGH), (1, False, D(104))]
    assert room.exchange.asked == [(BTC, 1), (ETH, 1)]
    (said,) = room.notes()
    assert "taken from the exchange in its place: BTC/USDT 1m, ETH/USDT 1m" in said


async def test_one_that_is_not_decided_on_is_learnt_from_before_the_next_one(tmp_path: Path) -> None:
    room = Room(tmp_path, second=50, decision="5s")
    await room.hear(80)
    assert room.minutes() == [(0, True, HIGH), (1, False, D(104))]
    assert room.notes() == []


async def test_short_candles_go_on_and_only_the_first_is_not_decided_on(tmp_path: Path) -> None:
    room = Room(tmp_path, second=50)
    await room.hear(10)
    told = [each.is_warmup for each in room.agent.heard if (each.symbol, each.interval) == (BTC, "1s")]
    assert told[0]
    assert not any(told[2:])
    assert len(told) >= 8


async def test_the_minutes_without_a_line_are_history_and_the_one_of_the_return_is_decided_on(tmp_path: Path) -> None:
    room = Room(tmp_path, second=50)
    await room.hear(80)  # until 2:10
    room.lose_line()
    room.go_to(MINUTE + 5 * MINUTE_NS + 30 * SECOND_NS)
    room.find_line()
    await room.hear(1)
    assert room.minutes()[2:] == [(minute, True, HIGH) for minute in range(2, 5)]
    await room.hear(99)  # until 7:10
    assert room.minutes()[5:] == [(5, False, HIGH), (6, False, D(104))]


async def test_a_council_whose_line_is_cut_in_every_candle_still_decides_on_every_candle(tmp_path: Path) -> None:
    room = Room(tmp_path, second=50)
    for _ in range(10):
        await room.hear(59)
        room.lose_line()
        room.go_to(room.scene.clock.now() + SECOND_NS)
        room.find_line()
    assert [(minute, is_history) for minute, is_history, _ in room.minutes()] == [(n, False) for n in range(10)]
    assert not [line for line in room.notes() if "nothing is decided" in line]


async def test_missed_trades_of_one_symbol_are_asked_for_and_the_other_is_heard_on(tmp_path: Path) -> None:
    room = Room(tmp_path, second=50)
    await room.hear(80)
    room.miss_trades()
    await room.hear(120)
    assert [told[:2] for told in room.minutes()] == [(0, False), (1, False), (2, False), (3, False)]
    assert [told[2] for told in room.minutes()] == [HIGH, D(104), HIGH, D(104)]
    assert [told[2] for told in room.minutes(ETH)] == [HIGH, D(10), D(10), D(10)]


async def test_a_gap_behind_the_end_of_a_candle_that_is_not_closed_yet_loses_neither(tmp_path: Path) -> None:
    room = Room(tmp_path, second=50)
    await room.hear(129)  # until 2:59
    room.go_to(MINUTE + 3 * MINUTE_NS + SECOND_NS // 5)
    room.miss_trades()
    await room.hear(130)
    assert room.minutes() == [
        (0, False, HIGH), (1, False, D(104)), (2, False, HIGH), (3, False, HIGH), (4, False, D(104)),
    ]


async def test_a_line_lost_behind_the_end_of_a_candle_that_is_not_closed_yet_loses_neither(tmp_path: Path) -> None:
    room = Room(tmp_path, second=50)
    await room.hear(129)
    room.go_to(MINUTE + 3 * MINUTE_NS + SECOND_NS // 5)
    room.scene.price(ETH, "10")
    room.lose_line()
    room.go_to(room.scene.clock.now() + SECOND_NS)
    room.scene.runtime.tick()
    room.find_line()
    await room.hear(130)
    assert [told[:2] for told in room.minutes()] == [(n, False) for n in range(5)]


async def test_what_had_ended_whole_when_the_line_was_lost_is_decided_on_at_once(tmp_path: Path) -> None:
    room = Room(tmp_path, second=50)
    await room.hear(129)
    room.go_to(MINUTE + 3 * MINUTE_NS + SECOND_NS * 7 // 10)  # behind the grace, before the timer
    room.scene.price(ETH, "10")
    room.lose_line()
    assert room.minutes()[2:] == [(2, False, D(104))]


async def test_nothing_is_decided_on_while_the_line_is_away(tmp_path: Path) -> None:
    room = Room(tmp_path, second=50)
    await room.hear(5)
    room.lose_line()
    for second in range(20):
        room.go_to(MINUTE + MINUTE_NS + second * SECOND_NS)
        room.scene.runtime.tick()
        await room.partial.ask()
    assert room.minutes() == []
    room.find_line()
    await room.hear(1)
    assert room.minutes() == [(0, True, HIGH)]


async def test_gaps_in_every_second_put_off_no_candle(tmp_path: Path) -> None:
    room = Room(tmp_path, second=50)
    for _ in range(600):
        await room.hear(1)
        room.miss_trades()
    assert room.minutes() == [(n, False, HIGH) for n in range(10)]


async def test_an_exchange_that_has_it_late_is_asked_again(tmp_path: Path) -> None:
    room = Room(tmp_path, second=50)
    room.exchange.delay_ns = SETTLED_NS + AGAIN_NS
    await room.hear(80)
    assert room.minutes() == [(0, False, HIGH), (1, False, D(104))]
    assert len(room.exchange.asked) == 4


async def test_a_symbol_is_decided_on_though_another_one_s_answer_takes_long(tmp_path: Path) -> None:
    room = Room(tmp_path, second=50)
    room.exchange.eth_told = asyncio.Event()
    hearing = asyncio.create_task(room.hear(14))
    for _ in range(50):
        await asyncio.sleep(0)
    assert room.minutes() == [(0, False, HIGH)]
    assert room.minutes(ETH) == []
    room.go_to(room.scene.clock.now() + STILL_NEW_NS)
    room.exchange.eth_told.set()
    await hearing
    assert room.minutes(ETH)[0] == (0, True, HIGH)


async def test_what_is_decided_on_is_asked_for_of_every_symbol_before_any_longer_candle(tmp_path: Path) -> None:
    """With many symbols the exchange's pace would make the last ones too late to decide on."""
    hour = START - START % (60 * MINUTE_NS) + 60 * MINUTE_NS
    room = Room(tmp_path, second=50, intervals=("1m", "5m", "1h"), begins_at=hour - 10 * SECOND_NS, decision="5m")
    await room.hear(14)
    assert room.exchange.asked_in_order == [
        (BTC, "1m"), (BTC, "5m"), (ETH, "1m"), (ETH, "5m"), (BTC, "1h"), (ETH, "1h"),
    ]


async def test_one_that_the_exchange_has_too_late_is_learnt_from_alone(tmp_path: Path) -> None:
    room = Room(tmp_path, second=50)
    room.exchange.delay_ns = STILL_NEW_NS + SECOND_NS
    await room.hear(80)
    assert room.minutes() == [(0, True, HIGH), (1, False, D(104))]
    (said,) = room.notes()
    assert "nothing is decided on it" in said


async def test_an_exchange_that_does_not_answer_leaves_a_hole_and_says_so_and_decisions_go_on(tmp_path: Path) -> None:
    room = Room(tmp_path, second=50)
    room.exchange.is_away = True
    await room.hear(140)
    assert room.minutes() == [(1, False, D(104)), (2, False, D(104))]
    assert len(room.exchange.asked) == 2 * TRIES
    (said,) = room.notes()
    assert "the exchange does not tell it" in said


async def test_a_candle_that_comes_when_the_next_was_told_is_left_out(tmp_path: Path) -> None:
    room = Room(tmp_path, second=50)
    room.exchange.delay_ns = MINUTE_NS
    room.partial.ask = _nobody  # type: ignore[method-assign]
    await room.hear(75)
    assert room.minutes() == [(1, False, D(104))]
    await PartialCandles.ask(room.partial)
    assert room.minutes() == [(1, False, D(104))]


async def _nobody() -> None: ...
