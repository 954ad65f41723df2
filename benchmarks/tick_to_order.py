"""Tick to order over sockets (P5): a frame leaves the exchange, the order that it triggers comes back.

A loopback exchange (websocket frames out, REST orders in) stands in this process, the real daemon in
another, live on it: frame -> parse -> engine -> trigger -> gate -> journal with fsync -> HTTP request. Both
time stamps are taken here. On the same exchange the common asyncio stack (websockets, json, aiohttp; no
checks, no journal) does the same work as the peer. The journal's flush alone is reported apart.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

from benchmarks.result import BenchSkipped, Result, percentile
from bus.ids import SessionId
from bus.messages.header import MessageMaker
from bus.messages.system import Heartbeat
from tradingd.message_journal import MessageJournal

ORDERS = 300
SYMBOL = {
    "symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "baseAssetPrecision": 8, "quoteAsset": "USDT",
    "quotePrecision": 8, "quoteAssetPrecision": 8, "isSpotTradingAllowed": True, "permissions": ["SPOT"],
    "orderTypes": ["LIMIT", "MARKET"],
    "filters": [
        {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "10000000.00", "tickSize": "0.01"},
        {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000", "stepSize": "0.00001"},
        {"filterType": "NOTIONAL", "minNotional": "1.00"},
    ],
}


class LoopbackExchange:
    """Speaks as much of Binance's spot protocol as the two clients need, and takes the times."""

    def __init__(self) -> None:
        self.sockets: list[web.WebSocketResponse] = []
        self.arrived: asyncio.Queue[tuple[float, str]] = asyncio.Queue()
        self.connected = asyncio.Event()
        self.price = 50_000.0
        self._trade = 1
        self._order = 0
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/stream", self._socket)
        app.router.add_get("/ws-api/v3", self._user_socket)
        app.router.add_get("/api/v3/exchangeInfo", lambda r: self._json({"symbols": [SYMBOL], "timezone": "UTC"}))
        app.router.add_get("/api/v3/time", lambda r: self._json({"serverTime": time.time_ns() // 1_000_000}))
        app.router.add_get("/api/v3/account", lambda r: self._json(
            {"balances": [{"asset": "USDT", "free": "100000000.00", "locked": "0.00"}]}))
        app.router.add_get("/api/v3/depth", lambda r: self._json({"lastUpdateId": 1, "bids": [], "asks": []}))
        app.router.add_get("/api/v3/{anything:klines|openOrders|myTrades|trades}", lambda r: self._json([]))
        app.router.add_post("/api/v3/order", self._new_order)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        assert site._server is not None
        self.url = f"127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[attr-defined]

    async def stop(self) -> None:
        for socket in self.sockets:
            with suppress(Exception):
                await socket.close()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _json(self, data: object) -> web.Response:
        return web.json_response(data)

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.append(socket)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                asked = json.loads(message.data)
                await socket.send_json({"result": None, "id": asked.get("id")})
                self.connected.set()
        self.sockets.remove(socket)
        return socket

    async def _user_socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                asked = json.loads(message.data)
                await socket.send_json({"id": asked["id"], "status": 200, "result": {"subscriptionId": 0}})
        return socket

    async def _new_order(self, request: web.Request) -> web.Response:
        arrived = time.perf_counter()
        form: dict[str, Any] = dict(request.query) | dict(await request.post())
        self._order += 1
        client_id = str(form.get("newClientOrderId", ""))
        self.arrived.put_nowait((arrived, client_id))
        return web.json_response({
            "symbol": "BTCUSDT", "orderId": self._order, "orderListId": -1, "clientOrderId": client_id,
            "transactTime": time.time_ns() // 1_000_000, "price": "0.00", "origQty": form.get("quantity", "0"),
            "executedQty": "0.00000000", "cummulativeQuoteQty": "0.00", "status": "NEW", "timeInForce": "GTC",
            "type": "MARKET", "side": form.get("side", "BUY"), "fills": [],
        })

    def frame(self, price: float) -> str:
        """A public trade at this price."""
        now = time.time_ns() // 1_000_000
        self._trade += 1
        return json.dumps({"stream": "btcusdt@trade", "data": {
            "e": "trade", "E": now, "s": "BTCUSDT", "t": self._trade, "p": f"{price:.2f}", "q": "0.01000000", "T": now,
            "m": False, "M": True}})

    def quote(self, bid: float) -> str:
        """A best quote around this price."""
        self._trade += 1
        return json.dumps({"stream": "btcusdt@bookTicker", "data": {
            "u": self._trade, "s": "BTCUSDT", "b": f"{bid:.2f}", "B": "5.0", "a": f"{bid + 0.01:.2f}", "A": "5.0"}})

    async def send(self, text: str) -> None:
        for socket in self.sockets:
            await socket.send_str(text)

    async def time_orders(self, count: int, step: float) -> list[float]:
        """Seconds from each frame that must trigger to its order's arrival; orders wait `step` apart."""
        times: list[float] = []
        for _ in range(count):
            self.price += step
            text = self.frame(self.price)
            begin = time.perf_counter()
            await self.send(text)
            arrived, _ = await asyncio.wait_for(self.arrived.get(), 5)
            times.append(arrived - begin)
            await asyncio.sleep(0.004)
        return times


def run() -> list[Result]:
    return asyncio.run(_measure())


async def _measure() -> list[Result]:
    flush_us = _journal_flush_us()
    exchange = LoopbackExchange()
    await exchange.start()
    try:
        ours = await _daemon(exchange)
        peer = await _peer(exchange)
    finally:
        await exchange.stop()
    results = []
    for name, times, who in ((*ours, "tradingd"), ("tick_to_order", peer, "websockets + json + aiohttp")):
        for percent in (50, 99):
            value = percentile(times, percent / 100) * 1e6
            results.append(Result(name, value, "us", {"percentile": percent, "who": who}))
    results.append(Result("journal_flush", flush_us, "us", {"percentile": 50}))
    ours_p50 = percentile(ours[1], 0.5) * 1e6
    unflushed = ours_p50 - flush_us
    results.append(Result("tick_to_order", unflushed, "us", {"percentile": 50, "who": "tradingd less the flush"}))
    ratio = unflushed / (percentile(peer, 0.5) * 1e6)
    results.append(Result("tick_to_order_ratio", ratio, "x", {"percentile": 50}))
    return results


def _journal_flush_us() -> float:
    with tempfile.TemporaryDirectory() as folder:
        journal = MessageJournal.open(Path(folder) / "j.sqlite")
        maker = MessageMaker("bench", SessionId("s"))
        times = []
        for _ in range(200):
            message = maker.make(Heartbeat("x"), 1)
            begin = time.perf_counter()
            journal.append([message, message, message], sync=True)
            times.append(time.perf_counter() - begin)
        journal.close()
        return statistics.median(times) * 1e6


async def _daemon(exchange: LoopbackExchange) -> tuple[str, list[float]]:
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {
            "TRADINGD__MODE": "live", "TRADINGD__VENUE": "practice", "TRADINGD__DATA_DIR": folder,
            "TRADINGD__VENUES__PRACTICE__REST_URL": f"http://{exchange.url}",
            "TRADINGD__VENUES__PRACTICE__WS_URL": f"ws://{exchange.url}/stream",
            "TRADINGD__VENUES__PRACTICE__WS_API_URL": f"ws://{exchange.url}/ws-api/v3",
            "TRADINGD__SYMBOLS": "BTC/USDT", "TRADINGD__API__PORT": "0", "TRADINGD__LOG__FORMAT": "json",
            "TRADINGD__TAPE__ENABLED": "false", "TRADINGD__COUNCIL__THRESHOLD": "1",
            "TRADINGD__RISK__ORDERS_PER_SECOND": "1000000", "TRADINGD__RISK__ORDERS_PER_MINUTE": "1000000",
            "TRADINGD__RISK__MAX_POSITIONS": "1000", "TRADINGD__RISK__EXPOSURE_PER_ASSET": "1",
            "TRADINGD__RISK__EXPOSURE_TOTAL": "1", "TRADINGD__RISK__DUPLICATE_WINDOW_S": "0",
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "tradingd", "run"], env=environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )
        try:
            await asyncio.wait_for(exchange.connected.wait(), 20)
            url, token = await asyncio.to_thread(_control, Path(folder), environment)
            await exchange.send(exchange.quote(exchange.price))
            await exchange.send(exchange.frame(exchange.price))
            await asyncio.sleep(0.3)
            step = 0.5
            for number in range(ORDERS):
                await asyncio.to_thread(_place, url, token, exchange.price + step * (number + 1) - step / 2)
                if number % 50 == 0:
                    await exchange.send(exchange.quote(exchange.price))
            times = await exchange.time_orders(ORDERS, step)
            return "tick_to_order", times
        except TimeoutError as error:
            process.kill()
            said = process.stderr.read().decode(errors="replace")[-800:] if process.stderr else ""
            raise BenchSkipped(f"the daemon did not trade on the loopback exchange: {said}") from error
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()


def _control(folder: Path, environment: dict[str, str]) -> tuple[str, str]:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if (folder / "run.json").exists():
            url = json.loads((folder / "run.json").read_text())["url"]
            with suppress(OSError):
                urllib.request.urlopen(f"{url}/api/health", timeout=2)
                token = subprocess.run(
                    [sys.executable, "-m", "tradingd", "token"], env=environment, capture_output=True, text=True,
                    check=True,
                ).stdout.strip()
                return url, token
        time.sleep(0.05)
    raise TimeoutError("no run.json")


def _place(url: str, token: str, stop_price: float) -> None:
    body = {
        "symbol": "BTC/USDT", "side": "buy", "type": "stop", "quantity": "0.00100", "stop_price": f"{stop_price:.2f}",
    }
    request = urllib.request.Request(
        f"{url}/api/orders", json.dumps(body).encode(),
        {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    try:
        urllib.request.urlopen(request, timeout=5).read()
    except urllib.error.HTTPError as error:
        raise BenchSkipped(f"an order for the measurement was refused: {error.read().decode()[:300]}") from error


async def _peer(exchange: LoopbackExchange) -> list[float]:
    exchange.connected.clear()
    script = _PEER.replace("URL", exchange.url)
    process = subprocess.Popen([sys.executable, "-c", script])
    try:
        await asyncio.wait_for(exchange.connected.wait(), 20)
        await asyncio.sleep(0.2)
        return await exchange.time_orders(ORDERS, 0.5)
    finally:
        process.kill()
        process.wait()


_PEER = '''
import asyncio, json, aiohttp, websockets

async def main():
    async with aiohttp.ClientSession() as http, websockets.connect("ws://URL/stream") as socket:
        await socket.send(json.dumps({"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 1}))
        best = 0.0
        async for text in socket:
            data = json.loads(text).get("data")
            if data and data["e"] == "trade" and float(data["p"]) > best:
                best = float(data["p"])
                async with http.post("http://URL/api/v3/order", data={
                    "symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.001",
                    "newClientOrderId": "peer"}) as answer:
                    await answer.read()

asyncio.run(main())
'''
