"""A Coinbase on this machine: REST and websockets in the real formats, JWTs verified, faults on demand.

It matches nothing: tests say what becomes of an order (`fill`, `end`), or set `auto_fill`.
"""

import asyncio
import contextlib
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from typing import Any

import jwt
import orjson
from aiohttp import WSMsgType, web
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

KEY_NAME = "organizations/00000000-aaaa/apiKeys/11111111-bbbb"
_KEY = ec.generate_private_key(ec.SECP256R1())
PEM = _KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
API = "/api/v3/brokerage"
CREATED = "2026-11-20T12:00:00.123456Z"
PRODUCT = {
    "product_id": "BTC-USD", "price": "100", "base_increment": "0.00000001", "quote_increment": "0.01",
    "quote_min_size": "1", "quote_max_size": "150000000", "base_min_size": "0.00000001", "base_max_size": "3400",
    "status": "online", "cancel_only": False, "limit_only": False, "post_only": False, "trading_disabled": False,
    "is_disabled": False, "auction_mode": False, "view_only": False, "product_type": "SPOT",
    "quote_currency_id": "USD", "base_currency_id": "BTC", "price_increment": "0.01", "alias": "", "alias_to": [],
}
Fault = Callable[[web.Request], Awaitable[web.StreamResponse | None]]


@dataclass
class Exchange:
    """`requests`: every REST call as (method, path, query, body); `subscriptions`: every websocket wish."""

    requests: list[tuple[str, str, Any, Any]] = field(default_factory=list)
    subscriptions: list[dict[str, Any]] = field(default_factory=list)
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    fills: list[dict[str, Any]] = field(default_factory=list)
    products: list[dict[str, Any]] = field(default_factory=lambda: [dict(PRODUCT)])
    faults: dict[tuple[str, str], list[Fault]] = field(default_factory=dict)
    rights: dict[str, Any] = field(default_factory=lambda: {
        "can_view": True, "can_trade": True, "can_transfer": False, "portfolio_uuid": "p", "portfolio_type": "DEFAULT",
    })
    bodies: dict[str, Any] = field(default_factory=dict)
    on_subscribed: list[Callable[["Feed"], Awaitable[None]]] = field(default_factory=list)
    auto_fill: bool = False
    clock_ahead_s: float = 0.0
    takes_old_tokens: bool = False
    page: int = 100
    is_mute: bool = False
    most_books: int = 30
    books_first: bool = False
    bad_tokens: int = 0
    feeds: list["Feed"] = field(default_factory=list)
    base: str = ""
    _ids: Any = field(default_factory=lambda: count(1))
    _runner: web.AppRunner | None = None

    @property
    def rest_url(self) -> str:
        return f"http://{self.base}"

    @property
    def ws_url(self) -> str:
        return f"ws://{self.base}/market"

    @property
    def ws_user_url(self) -> str:
        return f"ws://{self.base}/user"

    def calls(self, method: str, path: str) -> list[tuple[Any, Any]]:
        wanted = (method, API + path)
        return [(query, body) for called, where, query, body in self.requests if (called, where) == wanted]

    def fail(self, method: str, path: str, *faults: Fault) -> None:
        """These faults befall the next calls, one each; a fault that returns None lets the call go on."""
        self.faults.setdefault((method, API + path), []).extend(faults)

    # ---- what happens at the venue -----------------------------------------------------------------

    def place(self, body: dict[str, Any]) -> dict[str, Any]:
        """The order of this body; the same client id is the same order."""
        for order in self.orders.values():
            if order["client_order_id"] == body["client_order_id"]:
                return order
        order_id = f"{next(self._ids):08d}-0000-4000-8000-000000000000"
        order = {
            "order_id": order_id, "product_id": body["product_id"], "side": body["side"],
            "client_order_id": body["client_order_id"], "order_configuration": body["order_configuration"],
            "status": "OPEN", "created_time": _now_text(), "filled_size": "0", "average_filled_price": "0",
            "number_of_fills": "0", "filled_value": "0", "total_fees": "0", "reject_reason": "", "size_in_quote": False,
            "last_fill_time": None, "cancel_message": "", "reject_message": "",
        }
        self.orders[order_id] = order
        if self.auto_fill:
            self.fill(order["client_order_id"], self.size(order))
        return order

    def size(self, order: dict[str, Any]) -> str:
        (terms,) = order["order_configuration"].values()
        return terms["base_size"]

    def of(self, client_order_id: str) -> dict[str, Any]:
        (order,) = [each for each in self.orders.values() if each["client_order_id"] == client_order_id]
        return order

    def fill(self, client_order_id: str, size: str, price: str = "100", *, is_listed: bool = True) -> None:
        order = self.of(client_order_id)
        filled = Decimal(order["filled_size"]) + Decimal(size)
        order["filled_size"] = str(filled)
        order["last_fill_time"] = _now_text()
        if filled >= Decimal(self.size(order)):
            order["status"] = "FILLED"
        row = {
            "entry_id": f"e{next(self._ids)}", "trade_id": f"trade-{next(self._ids)}", "order_id": order["order_id"],
            "trade_time": _now_text(), "trade_type": "FILL", "price": price, "size": size, "commission": "0.06",
            "product_id": order["product_id"], "liquidity_indicator": "TAKER", "size_in_quote": False,
            "side": order["side"],
        }
        if is_listed:
            self.fills.insert(0, row)
        else:
            self.hidden = row

    def end(self, client_order_id: str, status: str = "CANCELLED", **more: Any) -> None:
        self.of(client_order_id).update(status=status, **more)

    async def tell(self, client_order_id: str) -> None:
        """The user channel's word about the order."""
        await self.broadcast("user", {"type": "update", "orders": [user_row(self.of(client_order_id), self)]})

    async def broadcast(self, channel: str, event: dict[str, Any], **options: Any) -> None:
        for feed in list(self.feeds):
            if channel in feed.channels or channel == "l2_data":
                await feed.send(channel, [event], **options)

    # ---- servers -----------------------------------------------------------------------------------

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/market", self._websocket)
        app.router.add_get("/user", self._websocket)
        app.router.add_route("*", "/{tail:.*}", self._rest)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.base = f"{host}:{port}"

    async def stop(self) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def drop(self) -> None:
        """Cut every websocket."""
        for feed in list(self.feeds):
            await feed.socket.close()

    def _claims(self, token: str) -> dict[str, Any]:
        header = jwt.get_unverified_header(token)
        assert header["kid"] == KEY_NAME
        assert re.fullmatch("[0-9a-f]{32}", header["nonce"])
        now = time.time() + self.clock_ahead_s
        old = {"audience": "retail_rest_api_proxy", "issuer": "coinbase-cloud"}
        form: dict[str, Any] = old if self.takes_old_tokens else {"issuer": "cdp"}
        claims = jwt.decode(
            token, _KEY.public_key(), algorithms=["ES256"], **form,
            options={"verify_nbf": False, "verify_exp": False, "verify_iat": False},
        )
        assert claims["sub"] == KEY_NAME
        assert claims["nbf"] <= now + 1.5
        assert now <= claims["exp"] <= claims["nbf"] + 120
        return claims

    async def _rest(self, request: web.Request) -> web.StreamResponse:
        body = await request.json() if request.can_read_body else None
        self.requests.append((request.method, request.path, request.query, body))
        waiting = self.faults.get((request.method, request.path))
        if waiting:
            answer = await waiting.pop(0)(request)
            if answer is not None:
                return answer
        path = request.path.removeprefix(API)
        if not (path.startswith("/market/") or path == "/time"):
            try:
                claims = self._claims(request.headers["Authorization"].removeprefix("Bearer "))
                assert claims["uri"] == f"{request.method} {self.base}{request.path}"
            except (AssertionError, KeyError, jwt.PyJWTError):
                self.bad_tokens += 1
                return web.Response(status=401, text="Unauthorized")
        if request.path == f"{API}/orders" and request.method == "POST":
            return web.json_response(created(self.place(body)))
        if path == "/orders/batch_cancel":
            return web.json_response({"results": [self._cancel(each) for each in body["order_ids"]]})
        return web.json_response(*self._look(path, request.query))

    def _cancel(self, order_id: str) -> dict[str, Any]:
        order = self.orders.get(order_id)
        reason = "UNKNOWN_CANCEL_ORDER"
        if order is not None:
            reason = "" if order["status"] == "OPEN" else "ORDER_IS_FULLY_FILLED"
        if not reason:
            self.orders[order_id]["status"] = "CANCELLED"
        return {
            "success": not reason, "failure_reason": reason or "UNKNOWN_CANCEL_FAILURE_REASON", "order_id": order_id,
        }

    def _look(self, path: str, query: Any) -> tuple[Any]:
        if path in self.bodies:
            return (self.bodies[path],)
        if path == "/time":
            now_ms = int((time.time() + self.clock_ahead_s) * 1000)
            return ({"iso": CREATED, "epochSeconds": str(now_ms // 1000), "epochMillis": str(now_ms)},)
        if path == "/key_permissions":
            return (self.rights,)
        if path == "/accounts":
            return ({"accounts": [account("USD", "900.5", "99.5"), account("BTC", "0", "0")], "has_next": False,
                     "cursor": ""},)
        if path == "/market/products":
            return ({"products": self.products, "num_products": len(self.products)},)
        if path == "/market/product_book":
            return ({"pricebook": {"product_id": query["product_id"], "bids": [{"price": "99", "size": "1"}],
                                   "asks": [{"price": "101", "size": "1"}], "time": CREATED}},)
        if path == "/orders/historical/batch":
            rows = sorted(self.orders.values(), key=lambda row: row["order_id"], reverse=True)
            wanted = query.getall("order_status", [])
            return (self._paged("orders", [row for row in rows if not wanted or row["status"] in wanted], query),)
        if path == "/orders/historical/fills":
            wanted = query.getall("order_ids", [])
            return (self._paged("fills", [row for row in self.fills if row["order_id"] in wanted], query),)
        order = self.orders.get(path.removeprefix("/orders/historical/"))
        if order is not None:
            return ({"order": order},)
        raise web.HTTPNotFound(text='{"error":"NOT_FOUND","message":"no such thing"}', content_type="application/json")

    def _paged(self, key: str, rows: list[Any], query: Any) -> dict[str, Any]:
        start = int(query.get("cursor", "0"))
        part = rows[start : start + self.page]
        has_next = start + self.page < len(rows)
        return {key: part, "has_next": has_next, "cursor": str(start + self.page) if has_next else ""}

    async def _websocket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        feed = Feed(socket)
        self.feeds.append(feed)
        async for message in socket:
            if message.type != WSMsgType.TEXT:
                break
            wish = orjson.loads(message.data)
            self.subscriptions.append(wish)
            if self.is_mute:
                continue
            await self._subscribe(feed, wish)
        self.feeds.remove(feed)
        return socket

    async def _subscribe(self, feed: "Feed", wish: dict[str, Any]) -> None:
        channel = wish["channel"]
        if channel == "level2":
            products, is_more = set(wish["product_ids"]), wish["type"] == "subscribe"
            books = feed.books | products if is_more else feed.books - products
            if len(books) > self.most_books:
                await feed.socket.send_str(
                    '{"type":"error","message":"too many L2 streams requested in a single session"}'
                )
                return
            feed.books = books
        if wish["type"] == "unsubscribe":
            feed.channels.discard(channel)
        else:
            if channel == "user":
                try:
                    self._claims(wish["jwt"])
                except (AssertionError, KeyError, jwt.PyJWTError):
                    self.bad_tokens += 1
                    await feed.socket.send_str('{"type":"error","message":"authentication failure"}')
                    return
                open_rows = [user_row(row, self) for row in self.orders.values() if row["status"] == "OPEN"]
                await feed.send("user", [{"type": "snapshot", "orders": open_rows}])
            feed.channels.add(channel)
        is_played = channel == "level2" and wish["type"] == "subscribe" and bool(self.on_subscribed)
        if is_played and self.books_first:
            with contextlib.suppress(ConnectionError):
                await self.on_subscribed.pop(0)(feed)
        await feed.send("subscriptions", [{"subscriptions": {name: wish["product_ids"] for name in feed.channels}}])
        if is_played and not self.books_first:
            with contextlib.suppress(ConnectionError):
                await self.on_subscribed.pop(0)(feed)


@dataclass
class Feed:
    """One websocket; `sequence` counts its frames."""

    socket: web.WebSocketResponse
    channels: set[str] = field(default_factory=set)
    books: set[str] = field(default_factory=set)
    sequence: int = 0

    async def send(self, channel: str, events: list[Any], *, sequence: int | None = None) -> None:
        number = self.sequence if sequence is None else sequence
        self.sequence = max(self.sequence, number + 1)
        frame = {"channel": channel, "client_id": "", "timestamp": CREATED, "sequence_num": number, "events": events}
        await self.socket.send_str(orjson.dumps(frame).decode())


def created(order: dict[str, Any]) -> dict[str, Any]:
    return {
        "success": True, "order_id": order["order_id"],
        "success_response": {
            "order_id": order["order_id"], "product_id": order["product_id"], "side": order["side"],
            "client_order_id": order["client_order_id"],
        },
        "order_configuration": order["order_configuration"],
    }


def user_row(order: dict[str, Any], exchange: Exchange) -> dict[str, Any]:
    return {
        "order_id": order["order_id"], "client_order_id": order["client_order_id"],
        "cumulative_quantity": order["filled_size"], "leaves_quantity": "0", "avg_price": "100", "total_fees": "0",
        "status": order["status"], "product_id": order["product_id"], "order_side": order["side"],
        "order_type": "Limit", "creation_time": order["created_time"],
    }


def account(currency: str, available: str, hold: str) -> dict[str, Any]:
    return {
        "uuid": currency, "currency": currency, "type": "ACCOUNT_TYPE_CRYPTO",
        "available_balance": {"value": available, "currency": currency}, "hold": {"value": hold, "currency": currency},
    }


def answers(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Fault:
    async def fault(_: web.Request) -> web.Response:
        text = body if isinstance(body, str) else orjson.dumps(body).decode()
        return web.Response(text=text, status=status, headers=headers, content_type="application/json")

    return fault


def _now_text() -> str:
    now = time.time_ns()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 10**9)) + f".{now % 10**9:09d}Z"


async def until(condition: Callable[[], object], timeout_s: float = 5.0) -> None:
    """Let the loop run until it holds."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110  # what is awaited is often a list in another object
            await asyncio.sleep(0.001)
