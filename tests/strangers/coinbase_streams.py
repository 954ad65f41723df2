"""The websockets of that Coinbase: one address for the market, one for the user; channels, JWTs, sequence numbers."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from itertools import count
from typing import Any

import orjson
from aiohttp import web

from tests.strangers.coinbase import Coinbase
from tests.strangers.coinbase_formats import iso, plain, user_row
from tests.strangers.market import Market, now_ms

STEP_S = 0.1
QUEUE = 5000
CHANNELS = {"heartbeats", "market_trades", "ticker", "ticker_batch", "level2", "status", "candles", "user"}
MUTE_AFTER_S = 5.0
"""A connection that asks for nothing so long is closed."""


class Client:
    """One connection: its channels with their products, and its own count of messages."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self.socket = socket
        self.channels: dict[str, set[str]] = {}
        self.numbers = count()
        self.waiting: asyncio.Queue[str] = asyncio.Queue(QUEUE)

    def say(self, channel: str, *events: Any) -> None:
        self.waiting.put_nowait(orjson.dumps({
            "channel": channel, "timestamp": iso(now_ms()).replace("Z", "123Z"), "sequence_num": next(self.numbers),
            "events": list(events),
        }).decode())

    async def send(self) -> None:
        while True:
            await self.socket.send_str(await self.waiting.get())


class CoinbaseStreams:
    """Moves the markets ten times a second and tells whoever listens."""

    def __init__(self, coinbase: Coinbase) -> None:
        self.coinbase = coinbase
        self.clients: set[Client] = set()
        self._trade_ids: defaultdict[str, Iterator[int]] = defaultdict(lambda: count(635_541_194))
        self._beats = count(12_240)
        coinbase.events = self._on_order

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/", self._connect), web.get("/user", self._connect)]

    async def run(self) -> None:
        """The market, for ever."""
        for number in count():
            await asyncio.sleep(STEP_S)
            if number % 10 == 0:
                self._beat()
            for name, market in self.coinbase.products.items():
                if market.status == "TRADING" and not self.coinbase.faults.is_on("quiet"):
                    self.step(name, market)

    def _beat(self) -> None:
        beat = next(self._beats)
        words = iso(now_ms()).replace("T", " ").replace("Z", " +0000 UTC m=+12240.233883420")
        if not self.coinbase.faults.is_on("mute"):
            for client in self.clients:
                if "heartbeats" in client.channels:
                    client.say("heartbeats", {"current_time": words, "heartbeat_counter": beat})

    @staticmethod
    def _canonical(name: str) -> str:
        """USDC books are those of USD: the market channels say so whatever was asked for."""
        return name[:-1] if name.endswith("-USDC") else name

    def step(self, name: str, market: Market) -> None:
        """One move: book, ticker, a trade, and what it does to the account's orders."""
        exchange = self.coinbase.exchange
        market.move(exchange.chance)
        bids, asks = market.rebuild(exchange.chance)
        at = iso(now_ms())
        updates = [
            {"side": side, "event_time": at, "price_level": plain(price), "new_quantity": plain(size)}
            for side, rows in (("bid", bids), ("offer", asks)) for price, size in rows.items()
        ]
        if self.coinbase.faults.strikes("crossed"):
            updates.append({"side": "bid", "event_time": at, "price_level": plain(market.best_ask + market.tick),
                            "new_quantity": "1"})
        book = {"type": "update", "product_id": self._canonical(name), "updates": updates}
        self.tell("level2", "l2_data", name, book)
        self.tell("ticker", "ticker", name, {"type": "update", "tickers": [self._ticker(name, market)]})
        trade = self._trade(name, market)
        self.tell("market_trades", "market_trades", name, {"type": "update", "trades": [trade]})
        if self.coinbase.faults.is_on("double_ticks"):
            self.tell("market_trades", "market_trades", name, {"type": "update", "trades": [trade]})
        exchange.step(market)

    def _ticker(self, name: str, market: Market) -> dict[str, str]:
        bid, ask = market.best_bid, market.best_ask
        return {
            "type": "ticker", "product_id": self._canonical(name), "price": plain(market.last),
            "volume_24_h": "16038.28770938", "low_24_h": "21835.29", "high_24_h": "23011.18", "low_52_w": "15460",
            "high_52_w": "48240", "price_percent_chg_24_h": "-4.15775596190603", "best_bid": plain(bid),
            "best_bid_quantity": plain(market.bids[bid]), "best_ask": plain(ask),
            "best_ask_quantity": plain(market.asks[ask]),
        }

    def _trade(self, name: str, market: Market) -> dict[str, str]:
        is_sell = self.coinbase.exchange.chance.random() < 0.5
        price = market.best_bid if is_sell else market.best_ask
        market.last = price
        row = {"product_id": self._canonical(name), "trade_id": str(next(self._trade_ids[name])), "price": plain(price),
               "size": plain(market.step * 3), "time": iso(now_ms()), "side": "SELL" if is_sell else "BUY"}
        self.coinbase.trades[name].append({**row, "bid": "", "ask": "", "exchange": "CBE"})
        del self.coinbase.trades[name][:-1000]
        faults = self.coinbase.faults
        if faults.strikes("bad_tick"):
            return {**row, "price": plain(price * 30)}
        if faults.strikes("spike"):
            return {**row, "price": plain(price * 3 / 2)}
        if faults.strikes("nan"):
            return {**row, "price": "NaN"}
        if faults.strikes("zero"):
            return {**row, "price": "0"}
        return row

    def tell(self, asked: str, channel: str, name: str, event: dict[str, Any]) -> None:
        """To everybody who asked for this channel of this product."""
        faults = self.coinbase.faults
        if faults.is_on("mute"):
            return
        for client in list(self.clients):
            if name in client.channels.get(asked, ()):
                if faults.strikes("gap"):
                    next(client.numbers)
                if faults.strikes("malformed"):
                    client.waiting.put_nowait('{"channel":"market_tra')
                client.say(channel, event)

    async def _connect(self, request: web.Request) -> web.WebSocketResponse:
        fault = "user_down" if request.path == "/user" else "stream_down"
        if self.coinbase.faults.is_on(fault):
            raise web.HTTPServiceUnavailable
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        client = Client(socket)
        self.clients.add(client)
        tasks = [asyncio.create_task(client.send()), asyncio.create_task(self._expect(client))]
        try:
            async for message in socket:
                self._control(client, orjson.loads(message.data))
        finally:
            self.clients.discard(client)
            for task in tasks:
                task.cancel()
        return socket

    @staticmethod
    async def _expect(client: Client) -> None:
        await asyncio.sleep(MUTE_AFTER_S)
        if not client.channels:
            await client.socket.close()

    def _control(self, client: Client, wish: dict[str, Any]) -> None:
        channel, names = wish.get("channel"), wish.get("product_ids") or []
        if wish.get("type") not in ("subscribe", "unsubscribe") or channel not in CHANNELS:
            client.waiting.put_nowait('{"type":"error","message":"channel field contains invalid channel"}')
            return
        if channel == "user" and not self.coinbase.is_token_good(wish.get("jwt", ""), None):
            client.waiting.put_nowait('{"type":"error","message":"authentication failure"}')
            return
        if "jwt" in wish and not self.coinbase.is_token_good(wish["jwt"], None):
            client.waiting.put_nowait('{"type":"error","message":"authentication failure"}')
            return
        if wish["type"] == "unsubscribe":
            client.channels.pop(channel, None)
        else:
            client.channels.setdefault(channel, set()).update(names)
            self._snapshot(client, channel, names)
        client.say("subscriptions", {"subscriptions": {
            each: sorted(products) or ([each] if each == "heartbeats" else ["00000000-0000-0000-0000-000000000000"])
            for each, products in client.channels.items()
        }})

    def _snapshot(self, client: Client, channel: str, names: list[str]) -> None:
        if channel == "user":
            rows = [user_row(order, self.coinbase.number_of(order)) for order in self.coinbase.exchange.orders
                    if order.is_working]
            none: dict[str, list[Any]] = {"perpetual_futures_positions": [], "expiring_futures_positions": []}
            for start in range(0, max(len(rows), 1), 50):
                client.say("user", {"type": "snapshot", "orders": rows[start:start + 50], "positions": none})
        for name in names:
            market = self.coinbase.products.get(name)
            if market is None:
                continue
            known = self._canonical(name)
            if channel == "level2":
                at = iso(now_ms())
                client.say("l2_data", {"type": "snapshot", "product_id": known, "updates": [
                    {"side": side, "event_time": at, "price_level": plain(price), "new_quantity": plain(size)}
                    for side, rows in (("bid", market.bids), ("offer", market.asks)) for price, size in rows.items()
                ]})
            if channel == "ticker":
                client.say("ticker", {"type": "snapshot", "tickers": [self._ticker(name, market)]})
            if channel == "market_trades":
                rows = [{key: row[key] for key in ("product_id", "trade_id", "price", "size", "time", "side")}
                        for row in self.coinbase.trades[name][::-1][:50]]
                client.say("market_trades", {"type": "snapshot", "trades": rows})

    def _on_order(self, row: dict[str, Any]) -> None:
        faults = self.coinbase.faults
        if faults.is_on("user_mute") or faults.strikes("fill_lost"):
            return
        for client in self.clients:
            if "user" in client.channels:
                for _ in range(2 if faults.is_on("double_reports") else 1):
                    client.say("user", {"type": "update", "orders": [row]})

    def user_count(self) -> int:
        """How many listen to the account."""
        return sum("user" in client.channels for client in self.clients)

    async def close_all(self) -> None:
        """The exchange ends every connection."""
        for client in list(self.clients):
            await client.socket.close(code=1001)
