"""Our own Binance adapter at the practice exchange while that misbehaves: what it must find out by itself."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import aiohttp
import orjson
import pytest
import pytest_asyncio

from bus.clock import LiveClock
from bus.ids import ClientOrderId
from bus.messages.orders import ExecutionReport
from exchanges.binance.orders import BinanceConfig, BinanceVenue
from exchanges.binance.stream import BinanceFeed
from exchanges.practice.config import PracticeConfig, PracticeUrls
from tests.exchanges.approvals import approved_order
from tests.exchanges.practice.running import eventually, running


@dataclass
class Trader:
    """A venue on the practice exchange and what it reported."""

    urls: PracticeUrls
    session: aiohttp.ClientSession
    reports: list[ExecutionReport] = field(default_factory=list)
    venue: BinanceVenue = field(init=False)

    async def fault(self, name: str, lasts: float = 0.0, target: str = "") -> None:
        body = orjson.dumps({"fault": name, "for": lasts, "target": target})
        async with self.session.post(f"{self.urls.rest_url}/practice/faults", data=body) as answer:
            assert answer.status == 200

    def kinds(self) -> list[str]:
        return [each.exec_type for each in self.reports]

    def filled(self) -> Decimal:
        """Each fill once."""
        by_trade = {each.trade_id: each.quantity for each in self.reports if each.exec_type == "fill"}
        return sum(by_trade.values(), Decimal(0))

    async def has(self, kind: str) -> None:
        async def look() -> bool:
            return kind in self.kinds()

        await eventually(look)


@pytest_asyncio.fixture
async def trader(tmp_path: Path) -> AsyncIterator[Trader]:
    async with running(PracticeConfig(tmp_path, symbols=("BTC/USDT",))) as urls, aiohttp.ClientSession() as session:
        feed = BinanceFeed("practice", urls.rest_url, urls.ws_url, clock=LiveClock(), jitter=lambda: 0.5)
        instruments = await feed.instruments()
        await feed.close()
        made = Trader(urls, session)
        config = BinanceConfig("practice", urls.rest_url, urls.ws_api_url, "key", "secret", order_timeout_s=0.3)
        made.venue = BinanceVenue(config, made.reports.append, LiveClock(), instruments, jitter=lambda: 0.5)
        await made.venue.start()

        async def is_up() -> bool:
            return made.venue.stream.is_up

        await eventually(is_up)
        yield made
        await made.venue.close()


async def test_an_overfill_is_found_though_no_stream_tells_it(trader: Trader) -> None:
    await trader.fault("user_mute", 60)
    await trader.fault("overfill")
    trader.venue.submit(approved_order("td-1", quantity="0.01"))

    async def is_whole() -> bool:
        return trader.filled() == Decimal("0.011")

    assert await eventually(is_whole)
    assert (await trader.venue.balances())["BTC"] == Decimal("0.011") - Decimal("0.000011")


@pytest.mark.parametrize("fault", ["timeout_after_accept", "lost_ack", "http_5xx"])
async def test_an_order_without_an_answer_is_unknown_and_found_when_asked_for(trader: Trader, fault: str) -> None:
    await trader.fault("user_mute", 60)
    await trader.fault(fault, target="order")
    trader.venue.submit(approved_order("td-1", quantity="0.01"))
    await trader.has("unknown")
    assert trader.filled() == 0
    trader.venue.query(ClientOrderId("td-1"), "BTC/USDT")
    await trader.has("fill")
    assert trader.filled() == Decimal("0.01")


async def test_an_order_that_never_arrived_is_not_found(trader: Trader) -> None:
    await trader.fault("timeout_before")
    trader.venue.submit(approved_order("td-1", quantity="0.01"))
    await trader.has("unknown")
    trader.venue.query(ClientOrderId("td-1"), "BTC/USDT")
    await trader.has("not_found")
    assert "BTC" not in await trader.venue.balances()


async def test_a_clock_that_is_off_is_set_and_the_order_sent_once_more(trader: Trader) -> None:
    await trader.fault("clock_skew", 60, "20")
    trader.venue.submit(approved_order("td-1", quantity="0.01"))
    await trader.has("fill")
    assert "rejected" not in trader.kinds()
    assert trader.filled() == Decimal("0.01")


async def test_a_cut_stream_comes_back_and_tells_what_was_missed(trader: Trader) -> None:
    trader.venue.submit(approved_order("td-1", wire_type="limit", price="94000.00", quantity="0.01"))
    await trader.has("accepted")
    await trader.fault("stream_down", 1)
    for _ in range(3):
        await trader.fault("crash")
        await asyncio.sleep(0)
    await trader.has("fill")

    async def is_up() -> bool:
        return trader.venue.stream.is_up and trader.filled() == Decimal("0.01")

    assert await eventually(is_up)
