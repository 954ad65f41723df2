"""The venue changes its rules while the daemon runs."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from bus.ids import ClientOrderId
from bus.messages.header import Message
from bus.messages.orders import OrderRejected
from bus.messages.system import InstrumentChanged
from exchanges.answers import VenueError
from market.instrument import Instrument
from tests.orders.trading import BTC, ETH
from tests.tradingd.live_runtime import Scene
from tradingd.instrument_watch import InstrumentWatch

D = Decimal


class Listing:
    """What the venue lists; a test changes it."""

    def __init__(self, instruments: list[Instrument]) -> None:
        self.by_symbol = {each.symbol: each for each in instruments}
        self.is_down = False
        self.left_out: list[set[str]] = []
        self.looks = 0

    async def rules(self, instruments: list[Instrument]) -> list[Instrument]:
        self.looks += 1
        if self.is_down:
            raise VenueError("exchangeInfo: no answer")
        return [self.by_symbol[each.symbol] for each in instruments if each.symbol in self.by_symbol]

    def leave_out(self, symbols: Collection[str]) -> None:
        self.left_out.append(set(symbols))

    def change(self, symbol: str, **rules: object) -> None:
        self.by_symbol[symbol] = replace(self.by_symbol[symbol], **rules)  # type: ignore[arg-type]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path).with_council().open()


@pytest.fixture
def listing(scene: Scene) -> Listing:
    return Listing(scene.instruments)


@pytest.fixture
def watch(scene: Scene, listing: Listing) -> InstrumentWatch:
    return InstrumentWatch(scene.runtime, listing, scene.paper, scene.instruments)  # type: ignore[arg-type]


def told(scene: Scene) -> list[tuple[str, str]]:
    return [(fact.symbol, fact.reason) for fact in scene.told(InstrumentChanged)]


def journalled(scene: Scene) -> list[Message]:
    scene.journal.flush()
    return [message for message in scene.journal.read() if isinstance(message.body, InstrumentChanged)]


async def test_nothing_is_told_while_nothing_changes(scene: Scene, watch: InstrumentWatch) -> None:
    await watch.look()
    assert told(scene) == []


async def test_a_change_is_a_fact_told_once_in_words(scene: Scene, listing: Listing, watch: InstrumentWatch) -> None:
    listing.change(BTC, price_tick=D("0.5"), min_notional=D(20))
    await watch.look()
    await watch.look()
    assert told(scene) == [(BTC, "price tick 0.01 -> 0.5; smallest value 5 -> 20")]
    assert [message.body.price_tick for message in journalled(scene)] == [D("0.5")]


async def test_engine_paper_venue_and_agents_follow_it(
    scene: Scene, listing: Listing, watch: InstrumentWatch,
) -> None:
    listing.change(BTC, quantity_step=D("0.5"), min_quantity=D("0.5"))
    await watch.look()
    scene.runtime.settle()
    runners = scene.runtime.runners
    assert runners["strategy"].agent._desks[BTC].instrument.quantity_step == D("0.5")  # type: ignore[attr-defined]
    assert runners["risk"].agent._instruments[BTC].quantity_step == D("0.5")  # type: ignore[attr-defined]
    assert scene.paper._markets[BTC].instrument.quantity_step == D("0.5")
    assert scene.runtime.engine._desk.markets[BTC].instrument.quantity_step == D("0.5")
    assert scene.runtime.engine._desk.markets[ETH].instrument.quantity_step == D("0.0001")


async def test_a_halt_a_delisting_and_a_return_are_told(
    scene: Scene, listing: Listing, watch: InstrumentWatch,
) -> None:
    listing.change(BTC, is_trading=False)
    gone = listing.by_symbol.pop(ETH)
    await watch.look()
    assert told(scene) == [(BTC, "halted"), (ETH, "no longer listed")]
    listing.change(BTC, is_trading=True)
    listing.by_symbol[ETH] = gone
    await watch.look()
    assert told(scene)[2:] == [(BTC, "trading again"), (ETH, "trading again")]


async def test_the_feed_leaves_out_what_is_delisted_and_takes_it_back_and_keeps_what_is_halted(
    listing: Listing, watch: InstrumentWatch,
) -> None:
    listing.change(BTC, is_trading=False)
    gone = listing.by_symbol.pop(ETH)
    await watch.look()
    listing.by_symbol[ETH] = gone
    await watch.look()
    assert listing.left_out == [{ETH}, set()]


async def test_a_venue_that_does_not_answer_has_halted_nothing(
    scene: Scene, listing: Listing, watch: InstrumentWatch,
) -> None:
    listing.is_down = True
    listing.by_symbol.clear()
    await watch.look()
    assert told(scene) == []
    assert listing.left_out == []


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tradingd.instrument_watch.LEAST_PAUSE_S", 0.001)
    monkeypatch.setattr("tradingd.instrument_watch.HALTED_PAUSE_S", 0.002)


@asynccontextmanager
async def running(watch: InstrumentWatch) -> AsyncIterator[None]:
    """Beside the test, with an hour between two ordinary looks."""
    task = asyncio.create_task(watch.run(3_600.0))
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  # what is awaited is a number in another object
            await asyncio.sleep(0)


def refuse(scene: Scene, reason: str) -> None:
    """The venue refuses an order, and everybody who listens hears of it."""
    message = scene.runtime.make("engine", OrderRejected(ClientOrderId("td-1"), BTC, reason))
    for listen in scene.runtime.listeners:
        listen(message)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("reason", [
    "ORDER_ENTRY_DISABLED: PREVIEW_ORDER_ENTRY_DISABLED: Orderbook is in cancel only mode", "UNTRADABLE_PRODUCT",
    "INVALID_SIZE_PRECISION: Too many decimals in order amount", "PREVIEW_INVALID_BASE_SIZE_TOO_SMALL",
    "INVALID_ORDER_SIZE", "PREVIEW_PRODUCT_TRADING_HALTED", "PREVIEW_NOT_ALLOWED_BY_MARKET_STATE",
    "-1013: Filter failure: PRICE_FILTER", "-2010: Market is closed.", "-1121: Invalid symbol.",
    "-1014: This order type is not possible in this trading phase.",
])
async def test_a_refusal_that_speaks_of_the_rules_has_them_asked_for_at_once(
    scene: Scene, listing: Listing, watch: InstrumentWatch, reason: str,
) -> None:
    listing.change(BTC, price_tick=D("0.5"))
    async with running(watch):
        refuse(scene, reason)
        await until(lambda: told(scene))
    assert told(scene) == [(BTC, "price tick 0.01 -> 0.5")]


@pytest.mark.usefixtures("at_once")
async def test_a_refusal_for_another_reason_asks_nothing_and_many_of_this_ask_once(
    scene: Scene, listing: Listing, watch: InstrumentWatch,
) -> None:
    async with running(watch):
        for reason in ("INSUFFICIENT_FUND", "-2010: Account has insufficient balance for requested action."):
            refuse(scene, reason)
        assert not watch._is_doubted.is_set()
        for _ in range(9):
            refuse(scene, "ORDER_ENTRY_DISABLED")
        await until(lambda: listing.looks)
        assert not watch._is_doubted.is_set()
    assert listing.looks == 1


@pytest.mark.usefixtures("at_once")
async def test_a_halted_symbol_is_looked_at_often_until_it_trades_again(
    scene: Scene, listing: Listing, watch: InstrumentWatch,
) -> None:
    listing.change(BTC, is_trading=False)
    await watch.look()
    async with running(watch):
        await until(lambda: listing.looks >= 4)
        listing.change(BTC, is_trading=True)
        await until(lambda: (BTC, "trading again") in told(scene))
        assert watch._pause_s(3_600.0) == 3_600.0


@pytest.mark.usefixtures("at_once")
async def test_one_that_stays_halted_or_is_listed_no_more_is_not_asked_for_so_often_for_ever(
    listing: Listing, watch: InstrumentWatch, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tradingd.instrument_watch.HALTED_LOOKS", 3)
    listing.by_symbol.pop(ETH)
    await watch.look()
    assert watch._pause_s(3_600.0) == 3_600.0
    listing.change(BTC, is_trading=False)
    await watch.look()
    async with running(watch):
        await until(lambda: listing.looks == 5)
        assert watch._pause_s(3_600.0) == 3_600.0
