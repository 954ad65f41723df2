"""Frames of Binance's market stream, and a feed that is watched."""

import asyncio
import contextlib
from collections.abc import Sequence
from decimal import Decimal

from bus.clock import FeedClock, LiveClock
from exchanges.binance.stream import BinanceFeed
from exchanges.venue import FeedItem
from market.instrument import Instrument
from tests.exchanges.binance.loopback import Loopback

T0 = 1_723_161_255_000
BTC = Instrument(
    "BTC/USDT", "BTCUSDT", "BTC", "USDT", Decimal("0.01"), Decimal("0.00001"), Decimal("0.00001"), Decimal(9000),
    Decimal(5),
)
ETH = Instrument(
    "ETH/USDT", "ETHUSDT", "ETH", "USDT", Decimal("0.01"), Decimal("0.0001"), Decimal("0.0001"), Decimal(9000),
    Decimal(5),
)
DEPTH_PATH = "/api/v3/depth"
TOP = {"symbol": "BTCUSDT", "bidPrice": "99.00", "bidQty": "1", "askPrice": "101", "askQty": "2"}


def trade(number: int, price: str = "100", kind: str = "trade", pair: str = "BTCUSDT") -> dict:
    key = "t" if kind == "trade" else "a"
    return {"stream": f"{pair.lower()}@{kind}", "data": {
        "e": kind, "E": T0 + number, "s": pair, key: number, "p": price, "q": "1", "T": T0 + number, "m": False,
    }}


def quote(update: int, bid: str = "99", ask: str = "101", pair: str = "BTCUSDT") -> dict:
    return {"stream": f"{pair.lower()}@bookTicker",
            "data": {"u": update, "s": pair, "b": bid, "B": "1", "a": ask, "A": "1"}}


def depth(first: int, last: int, bid: str = "99") -> dict:
    return {"stream": "btcusdt@depth@100ms", "data": {
        "e": "depthUpdate", "E": T0, "s": "BTCUSDT", "U": first, "u": last, "b": [[bid, "2"]], "a": [],
    }}


def clock_frame(offset_ms: int) -> dict:
    return {"stream": "practice@clock", "data": {"e": "practiceClock", "N": (T0 + offset_ms) * 1_000_000}}


def end_frame(offset_ms: int) -> dict:
    return {"stream": "practice@clock", "data": {"e": "practiceEnd", "N": (T0 + offset_ms) * 1_000_000}}


def book(last: int) -> dict:
    return {"lastUpdateId": last, "bids": [["99", "1"]], "asks": [["101", "1"]]}


class Watcher:
    """Runs a feed and keeps what it gave."""

    def __init__(self, server: Loopback, instruments: Sequence[Instrument] = (BTC,), **options) -> None:
        self.instruments = instruments
        clock = FeedClock() if options.get("is_replay") else LiveClock()
        self.items: list[FeedItem] = []
        self.feed = BinanceFeed(
            "binance", server.rest_url, server.ws_url,
            **{"clock": clock, "jitter": lambda: 0.5, "first_backoff_s": 0.01, **options},
        )
        self.task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Watcher":
        def sink(item: FeedItem) -> None:
            self.items.append(item)

        self.task = asyncio.create_task(self.feed.run(self.instruments, sink))
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self.task is not None
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task
        await self.feed.close()

    def of(self, *kinds: type) -> list:
        return [item for item in self.items if isinstance(item, kinds)]
