"""A Binance with nothing but what trading cannot do without: no clock, candles, depth, user stream or key rights.

It fills market and crossing limit orders at once at a price of 100.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from itertools import count
from typing import Any

import orjson
from aiohttp import web

SYMBOL = {
    "symbol": "SOLUSDT", "status": "TRADING", "baseAsset": "SOL", "quoteAsset": "USDT", "baseAssetPrecision": 3,
    "quotePrecision": 2, "filters": [],
}
NOW_MS = 1_795_000_000_000


class BareBinance:
    """Orders by client id, balances; every created order is counted."""

    def __init__(self) -> None:
        self.orders: dict[str, dict[str, Any]] = {}
        self.posts: list[str] = []
        self.balances = {"USDT": Decimal(10_000), "SOL": Decimal(0)}
        self.is_down = False
        self._ids = count(1)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/v3/exchangeInfo", self._info), web.get("/api/v3/account", self._account),
            web.post("/api/v3/order", self._create), web.get("/api/v3/order", self._order),
            web.get("/api/v3/myTrades", self._trades), web.get("/ws", self._stream),
        ]

    @web.middleware
    async def outage(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """503 for everything while it is down."""
        if self.is_down:
            return web.Response(status=503)
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _info(self, _: web.Request) -> web.Response:
        return web.json_response({"symbols": [SYMBOL]})

    async def _account(self, _: web.Request) -> web.Response:
        rows = [{"asset": asset, "free": str(total), "locked": "0"} for asset, total in self.balances.items()]
        return web.json_response({"balances": rows})

    async def _create(self, request: web.Request) -> web.Response:
        wish = request.query
        self.posts.append(wish["newClientOrderId"])
        quantity, is_buy = Decimal(wish["quantity"]), wish["side"] == "BUY"
        number = next(self._ids)
        rests = wish["type"] == "STOP_LOSS_LIMIT"
        fill = {"price": "100", "qty": wish["quantity"], "commission": "0", "commissionAsset": "USDT",
                "tradeId": number, "id": number, "time": NOW_MS}
        if not rests:
            sign = 1 if is_buy else -1
            self.balances["SOL"] += sign * quantity
            self.balances["USDT"] -= sign * quantity * 100
        order = {
            "symbol": "SOLUSDT", "orderId": number, "clientOrderId": wish["newClientOrderId"], "transactTime": NOW_MS,
            "updateTime": NOW_MS, "origQty": wish["quantity"], "executedQty": "0" if rests else wish["quantity"],
            "status": "NEW" if rests else "FILLED", "fills": [] if rests else [fill],
        }
        self.orders[wish["newClientOrderId"]] = order
        return web.json_response(order)

    async def _order(self, request: web.Request) -> web.Response:
        order = self.orders.get(request.query["origClientOrderId"])
        if order is None:
            return web.json_response({"code": -2013, "msg": "Order does not exist."}, status=400)
        return web.json_response(order)

    async def _trades(self, request: web.Request) -> web.Response:
        number = int(request.query["orderId"])
        return web.json_response([
            fill for order in self.orders.values() if order["orderId"] == number for fill in order["fills"]
        ])

    async def _stream(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        wish = orjson.loads((await socket.receive()).data)
        await socket.send_json({"result": None, "id": wish["id"]})
        for number in count(1):
            if socket.closed:
                break
            await socket.send_json({"u": number, "s": "SOLUSDT", "b": "99.99", "B": "50", "a": "100.01", "A": "50"})
            await asyncio.sleep(0.2)
        return socket


@contextmanager
def serving() -> Iterator[tuple[BareBinance, str]]:
    """The exchange in a thread of its own, and its address ("127.0.0.1:port")."""
    exchange, loop = BareBinance(), asyncio.new_event_loop()
    started: list[str] = []
    ready = threading.Event()

    async def start() -> web.AppRunner:
        app = web.Application(middlewares=[exchange.outage])
        app.add_routes(exchange.routes())
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        started.append(f"{host}:{port}")
        ready.set()
        return runner

    def work() -> None:
        runner = loop.run_until_complete(start())
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert ready.wait(10)
        yield exchange, started[0]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
