"""Frames of Coinbase's market stream, and a feed that is watched."""

import asyncio
import contextlib
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from bus.clock import LiveClock
from exchanges.coinbase.stream import CoinbaseFeed
from exchanges.venue import FeedItem
from market.book import OrderBook
from market.instrument import Instrument
from market.ticks import BookDelta, BookInvalid, BookSnapshot
from tests.exchanges.coinbase.exchange import CREATED, Exchange, Feed

D = Decimal
BTC = Instrument("BTC/USD", "BTC-USD", "BTC", "USD", D("0.01"), D("0.00000001"), D("0.00000001"), D(3400), D(1))
ETH = Instrument("ETH/USD", "ETH-USD", "ETH", "USD", D("0.01"), D("0.00000001"), D("0.00000001"), D(3400), D(1))


def trade(number: int, price: str = "100", kind: str = "update", product: str = "BTC-USD") -> tuple[str, dict]:
    return "market_trades", {"type": kind, "trades": [trade_row(number, price, product)]}


def trade_row(number: int, price: str = "100", product: str = "BTC-USD") -> dict:
    return {"trade_id": str(number), "product_id": product, "price": price, "size": "1", "side": "BUY",
            "time": CREATED}


def book(kind: str, *levels: tuple[str, str, str]) -> tuple[str, dict]:
    return "l2_data", {"type": kind, "product_id": "BTC-USD", "updates": [
        {"side": side, "event_time": CREATED, "price_level": price, "new_quantity": quantity}
        for side, price, quantity in levels
    ]}


SNAPSHOT = book("snapshot", ("bid", "99", "1"), ("offer", "101", "1"))


def ticker(bid: str, ask: str) -> tuple[str, dict]:
    return "ticker", {"type": "update", "tickers": [{
        "product_id": "BTC-USD", "best_bid": bid, "best_bid_quantity": "1", "best_ask": ask, "best_ask_quantity": "1",
    }]}


HEARTBEAT = ("heartbeats", {"current_time": "x", "heartbeat_counter": 1})


def plays(*frames: tuple[str, dict] | str) -> Any:
    async def script(feed: Feed) -> None:
        for each in frames:
            if isinstance(each, str):
                await feed.socket.send_str(each)
            else:
                await feed.send(each[0], [each[1]])
    return script


class Watcher:
    """Runs a feed and keeps what it gave."""

    def __init__(self, server: Exchange, instruments: Sequence[Instrument] = (BTC,), **options: Any) -> None:
        self.instruments = instruments
        self.items: list[FeedItem] = []
        self.feed = CoinbaseFeed(
            "coinbase", server.rest_url, server.ws_url,
            **{"clock": LiveClock(), "jitter": lambda: 0.5, "first_backoff_s": 0.01, "watch_every_s": 0.01, **options},
        )
        self.task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Watcher":
        self.task = asyncio.create_task(self.feed.run(self.instruments, self.items.append))
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self.task is not None
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task
        await self.feed.close()

    def of(self, *kinds: type) -> list:
        return [item for item in self.items if isinstance(item, kinds)]

    def served(self) -> OrderBook:
        """The book of a reader that followed every item."""
        mirror = OrderBook("BTC/USD")
        for item in self.items:
            if isinstance(item, BookSnapshot):
                mirror.apply_snapshot(item)
            elif isinstance(item, BookDelta):
                mirror.apply_delta(item)
            elif isinstance(item, BookInvalid):
                mirror.invalidate(item.reason)
        return mirror
