"""The websockets of that Binance: market streams (/ws, /stream), and the websocket API's user stream (/ws-api/v3)."""

import asyncio
import hashlib
import hmac
from itertools import count
from typing import Any

import orjson
from aiohttp import WSCloseCode, web

from tests.strangers.binance import Binance, BinanceError
from tests.strangers.binance_formats import number
from tests.strangers.market import Market, now_ms

STEP_S = 0.1
QUEUE = 5000


class Client:
    """One connection: what it subscribed to, and what waits to be sent."""

    def __init__(self, socket: web.WebSocketResponse, *, is_combined: bool) -> None:
        self.socket, self.is_combined = socket, is_combined
        self.streams: set[str] = set()
        self.waiting: asyncio.Queue[bytes] = asyncio.Queue(QUEUE)

    def say(self, body: Any) -> None:
        self.waiting.put_nowait(body if isinstance(body, bytes) else orjson.dumps(body))

    async def send(self) -> None:
        while True:
            await self.socket.send_str((await self.waiting.get()).decode())


class BinanceStreams:
    """Moves the markets ten times a second and tells whoever listens."""

    def __init__(self, binance: Binance) -> None:
        self.binance = binance
        self.clients: set[Client] = set()
        self.users: dict[Client, int] = {}
        self.refuses_users = False
        self.is_deaf = False
        """True: streams are named in the address only, messages are not read."""
        self.sends_bare_events = False
        self.answers = True
        """False: messages are obeyed without an answer."""
        self.frames_sent = 0
        self._trade_ids = {name: count(5_000_001) for name in binance.symbols}
        self._subscriptions = count()
        binance.events = self._on_event

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/ws", self._market), web.get("/ws/{streams:.+}", self._market), web.get("/stream", self._market),
            web.get("/ws-api/v3", self._api),
        ]

    async def run(self) -> None:
        """The market, for ever."""
        while True:
            await asyncio.sleep(STEP_S)
            for name, market in self.binance.symbols.items():
                if market.status == "TRADING" and not self.binance.faults.is_on("quiet"):
                    self.step(name, market)

    def step(self, name: str, market: Market) -> None:
        """One move: book, best price, a trade, and what it does to the account's orders."""
        exchange = self.binance.exchange
        market.move(exchange.chance)
        first = market.update + 1
        bids, asks = market.rebuild(exchange.chance)
        market.update += 1 + len(bids) + len(asks)
        bid, ask = market.best_bid, market.best_ask
        faults = self.binance.faults
        if faults.strikes("gap"):
            market.update += 5
            first = market.update
        self.tell(name, "depth@100ms", {
            "e": "depthUpdate", "E": now_ms(), "s": name, "U": first, "u": market.update,
            "b": [[number(price), number(size)] for price, size in bids.items()],
            "a": [[number(price), number(size)] for price, size in asks.items()],
        })
        quote = {"u": market.update, "s": name, "b": number(bid), "B": number(market.bids[bid]), "a": number(ask),
                 "A": number(market.asks[ask])}
        if faults.strikes("crossed"):
            quote |= {"b": number(ask + market.tick), "a": number(bid)}
        self.tell(name, "bookTicker", quote)
        self._trade(name, market)
        exchange.step(market)

    def _trade(self, name: str, market: Market) -> None:
        is_sell = self.binance.exchange.chance.random() < 0.5
        price = market.best_bid if is_sell else market.best_ask
        market.last = price
        row = {"id": next(self._trade_ids[name]), "price": number(price), "qty": number(market.step * 3),
               "quoteQty": number(price * market.step * 3), "time": now_ms(), "isBuyerMaker": is_sell,
               "isBestMatch": True}
        self.binance.trades[name].append(row)
        del self.binance.trades[name][:-2000]
        frame = {"e": "trade", "E": row["time"], "s": name, "t": row["id"], "p": row["price"], "q": row["qty"],
                 "T": row["time"], "m": is_sell, "M": True}
        faults = self.binance.faults
        if faults.strikes("bad_tick"):
            frame["p"] = number(price * 30)
        if faults.strikes("spike"):
            frame["p"] = number(price * 3 // 2)
        if faults.strikes("nan"):
            frame["p"] = "NaN"
        if faults.strikes("zero"):
            frame["p"] = "0.00000000"
        if faults.strikes("malformed"):
            self._to_all(name + "@trade", orjson.dumps(frame)[:30])
        self.tell(name, "trade", frame)
        if faults.is_on("double_ticks"):
            self.tell(name, "trade", frame)

    def tell(self, name: str, kind: str, data: dict[str, Any]) -> None:
        """To everybody who wants this stream."""
        stream = f"{name.lower()}@{kind}"
        if self.binance.faults.is_on("mute"):
            return
        for client in list(self.clients):
            if stream in client.streams:
                client.say({"stream": stream, "data": data} if client.is_combined else data)
                self.frames_sent += 1

    def _to_all(self, stream: str, raw: bytes) -> None:
        for client in self.clients:
            client.say(raw)

    async def _market(self, request: web.Request) -> web.WebSocketResponse:
        if self.binance.faults.is_on("stream_down"):
            raise web.HTTPServiceUnavailable
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        client = Client(socket, is_combined=request.path == "/stream")
        named = request.query.get("streams", "") if client.is_combined else request.match_info.get("streams", "")
        client.streams |= {stream for stream in named.split("/") if stream}
        self.clients.add(client)
        sender = asyncio.create_task(client.send())
        pings = asyncio.create_task(self._ping(socket))
        try:
            async for message in socket:
                if not self.is_deaf:
                    self._control(client, message.data)
        finally:
            self.clients.discard(client)
            sender.cancel()
            pings.cancel()
        return socket

    @staticmethod
    async def _ping(socket: web.WebSocketResponse) -> None:
        while True:
            await asyncio.sleep(3)
            await socket.ping(str(now_ms()).encode())

    def _control(self, client: Client, text: str) -> None:
        try:
            wish = orjson.loads(text)
        except orjson.JSONDecodeError:
            client.say({"error": {"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"}})
            return
        method, names = wish.get("method"), wish.get("params", [])
        if method == "SUBSCRIBE":
            if any("@" not in name or name.split("@")[0] != name.split("@")[0].lower() for name in names):
                client.say({"code": 2, "msg": "Invalid request: invalid stream"})
                return
            client.streams |= set(names)
        elif method == "UNSUBSCRIBE":
            client.streams -= set(names)
        elif method == "LIST_SUBSCRIPTIONS":
            client.say({"result": sorted(client.streams), "id": wish.get("id")})
            return
        else:
            client.say({"code": 2, "msg": "Invalid request: unknown variant, expected one of SUBSCRIBE, UNSUBSCRIBE"})
            return
        if self.answers:
            client.say({"result": None, "id": wish.get("id")})

    # the user stream

    async def _api(self, request: web.Request) -> web.WebSocketResponse:
        if self.refuses_users or self.binance.faults.is_on("user_down"):
            raise web.HTTPForbidden
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        client = Client(socket, is_combined=False)
        sender = asyncio.create_task(client.send())
        try:
            async for message in socket:
                client.say(self._answer(client, orjson.loads(message.data)))
        finally:
            self.users.pop(client, None)
            sender.cancel()
        return socket

    def _answer(self, client: Client, wish: dict[str, Any]) -> dict[str, Any]:
        limits = [{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000,
                   "count": 4}]
        try:
            result = self._perform(client, wish["method"], wish.get("params", {}))
        except BinanceError as error:
            return {"id": wish.get("id"), "status": error.status, "error": {"code": error.code, "msg": error.text},
                    "rateLimits": limits}
        return {"id": wish.get("id"), "status": 200, "result": result, "rateLimits": limits}

    def _perform(self, client: Client, method: str, params: dict[str, Any]) -> Any:
        if method == "ping":
            return {}
        if method == "time":
            return {"serverTime": now_ms() + self.binance.clock_ahead_ms}
        if method != "userDataStream.subscribe.signature":
            raise BinanceError(-1099, "Not found, unauthenticated, or unauthorized", 403)
        given = {name: str(value) for name, value in params.items() if name != "signature"}
        payload = "&".join(f"{name}={given[name]}" for name in sorted(given))
        right = hmac.new(self.binance.secret.encode(), payload.encode(), hashlib.sha256).hexdigest()
        if params.get("apiKey") != self.binance.key:
            raise BinanceError(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        if params.get("signature") != right:
            raise BinanceError(-1022, "Signature for this request is not valid.")
        self.binance.check_time(given)
        self.users[client] = next(self._subscriptions)
        return {"subscriptionId": self.users[client]}

    def _on_event(self, event: dict[str, Any]) -> None:
        faults = self.binance.faults
        if faults.is_on("user_mute") or (event["e"] == "executionReport" and event["x"] == "TRADE"
                                         and faults.strikes("fill_lost")):
            return
        for client, number_ in list(self.users.items()):
            frame = event if self.sends_bare_events else {"subscriptionId": number_, "event": event}
            client.say(frame)
            if faults.is_on("double_reports"):
                client.say(frame)

    def user_count(self) -> int:
        """How many listen to the account."""
        return len(self.users)

    def announce_shutdown(self) -> None:
        """The exchange says that it will close every connection, which it does some minutes later."""
        event = {"e": "serverShutdown", "E": now_ms()}
        for client in [*self.clients, *self.users]:
            client.say(event if client in self.clients else {"event": event})

    def end_subscriptions(self) -> None:
        """User streams end although their connections stay."""
        for client, number_ in list(self.users.items()):
            client.say({"subscriptionId": number_, "event": {"e": "eventStreamTerminated", "E": now_ms()}})
        self.users.clear()

    async def close_all(self) -> None:
        """The exchange ends every connection, as it does after 24 hours."""
        for client in [*self.clients, *self.users]:
            await client.socket.close(code=WSCloseCode.GOING_AWAY)
