"""A Coinbase Advanced Trade on this machine, from its public documents (docs.cdp.coinbase.com, REST v3 brokerage)."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from time import time
from typing import Any
from uuid import UUID, uuid5

import jwt
import orjson
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec

from tests.strangers.coinbase_formats import (
    account_row,
    book,
    candle_rows,
    configured,
    fill_rows,
    iso,
    order_row,
    product_row,
    user_row,
)
from tests.strangers.faults import Faults, hang
from tests.strangers.market import Exchange, Execution, Market, Order, RefusedError, now_ms

BASE = "/api/v3/brokerage"
REFUSALS = {
    "funds": ("INSUFFICIENT_FUND", "Insufficient balance in source account", "PREVIEW_INSUFFICIENT_FUND"),
    "halted": ("UNKNOWN_FAILURE_REASON", "Market is currently unavailable", "PREVIEW_INVALID_PRODUCT_STATE"),
    "quantity": ("INVALID_SIZE_PRECISION", "Too many decimals in order amount", "PREVIEW_INVALID_SIZE_PRECISION"),
    "price": ("INVALID_PRICE_PRECISION", "Too many decimals in order price", "PREVIEW_INVALID_PRICE_PRECISION"),
    "minimum": ("UNKNOWN_FAILURE_REASON", "", "PREVIEW_INVALID_QUOTE_SIZE_TOO_SMALL"),
    "stop": ("PREVIEW_STOP_PRICE_ABOVE_LAST_TRADE_PRICE", "", "PREVIEW_STOP_PRICE_ABOVE_LAST_TRADE_PRICE"),
    "post_only": ("INVALID_LIMIT_PRICE_POST_ONLY", "", "PREVIEW_INVALID_LIMIT_PRICE_POST_ONLY"),
}
_SPACE = UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Coinbase:
    """REST of the exchange. `events` receives the row of an order that the user channel is to say."""

    def __init__(self, exchange: Exchange, key_name: str, public_key: ec.EllipticCurvePublicKey) -> None:
        self.exchange, self.key_name, self.public_key = exchange, key_name, public_key
        self.faults = Faults()
        self.products = {f"{market.base}-{market.quote}": market for market in exchange.markets}
        self.flags: dict[str, dict[str, bool]] = {name: {} for name in self.products}
        """trading_disabled, cancel_only, limit_only, post_only, view_only, is_disabled of a product."""
        self.posts: list[str] = []
        self.cancels: list[str] = []
        self.calls: list[str] = []
        self.permissions: dict[str, Any] | None = {
            "can_view": True, "can_trade": True, "can_transfer": False, "portfolio_uuid": str(uuid5(_SPACE, "p")),
            "portfolio_type": "DEFAULT",
        }
        self.page = 25
        """No listing gives more rows than this at once."""
        self.clock_ahead_s = 0.0
        self.hidden_until_ms = 0
        self.events: Callable[[dict[str, Any]], None] = lambda _: None
        self.trades: dict[str, list[dict[str, Any]]] = {name: [] for name in self.products}
        exchange.listener = self._on_order

    def routes(self) -> list[web.RouteDef]:
        open_to_all: dict[str, Handler] = {
            "/time": self._time, "/market/products": self._list_products, "/market/products/{name}": self._product,
            "/market/products/{name}/candles": self._candles, "/market/products/{name}/ticker": self._ticker,
            "/market/product_book": self._book,
        }
        private: dict[str, Handler] = {
            "/products": self._list_products, "/products/{name}": self._product, "/product_book": self._book,
            "/products/{name}/candles": self._candles, "/products/{name}/ticker": self._ticker,
            "/best_bid_ask": self._best, "/accounts": self._accounts, "/key_permissions": self._key_permissions,
            "/transaction_summary": self._summary, "/orders/historical/batch": self._orders,
            "/orders/historical/fills": self._fills, "/orders/historical/{number}": self._order,
        }
        return [
            *(web.get(BASE + path, self._door(handler, is_private=False)) for path, handler in open_to_all.items()),
            *(web.get(BASE + path, self._door(handler, is_private=True)) for path, handler in private.items()),
            web.post(BASE + "/orders", self._door(self._create, is_private=True)),
            web.post(BASE + "/orders/batch_cancel", self._door(self._cancel, is_private=True)),
        ]

    def add(self, quote: str, like: Market) -> None:
        """One more product, priced like another."""
        market = Market(like.base, quote, like.tick, like.step, like.middle, like.minimum, like.size)
        market.rebuild(self.exchange.chance)
        self.exchange.markets.append(market)
        name = f"{market.base}-{quote}"
        self.products[name], self.flags[name], self.trades[name] = market, {}, []

    def number_of(self, order: Order) -> str:
        """The order's id there."""
        return str(uuid5(_SPACE, f"order {order.number}"))

    def is_token_good(self, token: str, uri: str | None) -> bool:
        """ES256 by our key, in force now, for this request (a websocket's token names none)."""
        try:
            header = jwt.get_unverified_header(token)
            claims = jwt.decode(
                token, self.public_key, algorithms=["ES256"],
                options={"verify_aud": False, "verify_exp": False, "verify_nbf": False, "verify_iat": False},
            )
        except jwt.PyJWTError:
            return False
        if self.faults.is_on("bad_key"):
            return False
        now = time() + self.clock_ahead_s
        told = str(claims.get("uri", "")).replace("http://", "").replace("https://", "")
        return (
            header.get("kid") == self.key_name and bool(header.get("nonce")) and claims.get("sub") == self.key_name
            and claims.get("iss") in ("cdp", "coinbase-cloud") and claims["nbf"] <= now + 10
            and claims["exp"] > now and claims["exp"] - claims["nbf"] <= 120 and (uri is None or told == uri)
        )

    def _door(self, handler: Handler, *, is_private: bool) -> Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            self.calls.append(f"{request.method} {request.path}")
            await request.read()  # one that hangs is obeyed late all the same, though its asker has left
            if self.faults.strikes("maintenance"):
                return web.Response(status=503, text="upstream connect error or disconnect/reset before headers")
            if self.faults.is_on("ban"):
                return _error(429, "RATE_LIMIT_EXCEEDED", "rate limit exceeded")
            if self.faults.is_on("slow"):
                await asyncio.sleep(1.5)
            if self.faults.is_on("rest_dead"):
                await hang()
            if is_private:
                scheme, _, token = request.headers.get("Authorization", "").partition(" ")
                host = request.headers.get("Host", "")
                if scheme != "Bearer" or not self.is_token_good(token, f"{request.method} {host}{request.path}"):
                    return web.Response(status=401, text="Unauthorized\n")
            return await handler(request)

        return answer

    # products

    def row(self, name: str) -> dict[str, Any]:
        market = self.products[name]
        alias_to = [other for other in self.products if other == name + "C"]
        alias = name[:-1] if name.endswith("-USDC") and name[:-1] in self.products else ""
        return product_row(name, market, self.flags[name], alias, alias_to)

    async def _time(self, _: web.Request) -> web.Response:
        now = time() + self.clock_ahead_s
        return web.json_response({"iso": iso(int(now * 1000)), "epochSeconds": str(int(now)),
                                  "epochMillis": str(int(now * 1000))})

    async def _list_products(self, request: web.Request) -> web.Response:
        names = [name for name in request.query.getall("product_ids", list(self.products)) if name in self.products]
        if request.query.get("product_type", "SPOT") != "SPOT":
            names = []
        rows = [self.row(name) for name in names]
        offset, limit = int(request.query.get("offset", 0)), int(request.query.get("limit", 10_000))
        return web.json_response({"products": rows[offset:offset + limit], "num_products": len(rows),
                                  "pagination": {"has_next": False, "next_cursor": ""}})

    def _market(self, name: str) -> Market | None:
        return self.products.get(name)

    async def _product(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self.products:
            return _error(404, "NOT_FOUND", f"valid product_id is required: {name}")
        return web.json_response(self.row(name))

    async def _candles(self, request: web.Request) -> web.Response:
        market = self._market(request.match_info["name"])
        if market is None:
            return _error(404, "NOT_FOUND", "valid product_id is required")
        if "start" not in request.query or "end" not in request.query:
            return _error(400, "INVALID_ARGUMENT", "start and end argument is required")
        if self.faults.is_on("candles_hang"):
            await hang()
        rows = candle_rows(market, request.query)
        if len(rows) > 350:
            return _error(400, "INVALID_ARGUMENT", "number of candles requested should be less than 350")
        return web.json_response({"candles": rows})

    async def _ticker(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        market = self._market(name)
        if market is None:
            return _error(404, "NOT_FOUND", "valid product_id is required")
        rows = self.trades[name][::-1][:int(request.query.get("limit", 100))]
        return web.json_response({"trades": rows, "best_bid": str(market.best_bid), "best_ask": str(market.best_ask)})

    async def _book(self, request: web.Request) -> web.Response:
        name = request.query.get("product_id", "")
        market = self._market(name)
        if market is None:
            return _error(404, "NOT_FOUND", "valid product_id is required")
        return web.json_response(book(name, market, int(request.query.get("limit", 50))))

    async def _best(self, request: web.Request) -> web.Response:
        names = request.query.getall("product_ids", list(self.products))
        return web.json_response({"pricebooks": [book(name, self.products[name], 1)["pricebook"] for name in names]})

    # the account

    async def _accounts(self, request: web.Request) -> web.Response:
        if self.faults.is_on("no_balances"):
            return _error(500, "INTERNAL", "internal error")
        account = self.exchange.account
        names = sorted({*account.free, *account.locked})
        start = int(request.query.get("cursor") or 0)
        limit = min(int(request.query.get("limit", 49)), self.page)
        rows = [account_row(name, account) for name in names[start:start + limit]]
        has_next = start + limit < len(names)
        return web.json_response({"accounts": rows, "has_next": has_next, "size": len(rows),
                                  "cursor": str(start + limit) if has_next else ""})

    async def _key_permissions(self, _: web.Request) -> web.Response:
        if self.permissions is None:
            return web.Response(status=404, text="404 page not found")
        return web.json_response(self.permissions)

    async def _summary(self, _: web.Request) -> web.Response:
        rate = str(self.exchange.fee_rate)
        return web.json_response({
            "total_volume": 0, "total_fees": 0, "advanced_trade_only_volume": 0, "advanced_trade_only_fees": 0,
            "coinbase_pro_volume": 0, "coinbase_pro_fees": 0, "total_balance": "", "margin_rate": None,
            "goods_and_services_tax": None, "has_promo_fee": False,
            "fee_tier": {"pricing_tier": "Advanced 1", "usd_from": "0", "usd_to": "1000", "taker_fee_rate": rate,
                         "maker_fee_rate": str(self.exchange.fee_rate / 2), "aop_from": "", "aop_to": "",
                         "volume_types_and_range": []},
        })

    # orders

    async def _create(self, request: web.Request) -> web.StreamResponse:
        faults = self.faults
        body = orjson.loads(await request.read())
        client_id = body.get("client_order_id", "")
        self.posts.append(client_id)
        if faults.strikes("rate_limit"):
            return _error(429, "RATE_LIMIT_EXCEEDED", "Too many requests")
        if faults.strikes("timeout_before"):
            await hang()
            return _cut(request)
        if faults.strikes("http_502_html"):
            return web.Response(status=502, text="<html>Bad gateway | coinbase.com</html>", content_type="text/html")
        if faults.strikes("http_500_empty"):
            return web.Response(status=500)
        if faults.strikes("cut_before"):
            return _cut(request)
        if not client_id or body.get("product_id") not in self.products:
            return _error(400, "INVALID_ARGUMENT", "client_order_id and product_id are required")
        there = self.exchange.by_client_id(client_id)
        if there:  # "the order corresponding with that ID will be returned instead"
            return web.json_response(self._taken(there[0]))
        try:
            order = self._placed(body)
        except RefusedError as refused:
            error, text, preview = REFUSALS[refused.word]
            return web.json_response({
                "success": False, "failure_reason": "UNKNOWN_FAILURE_REASON", "order_id": "",
                "error_response": {"error": error, "message": text, "error_details": "",
                                   "preview_failure_reason": preview},
                "order_configuration": body["order_configuration"],
            })
        if faults.is_on("not_found_early"):
            self.hidden_until_ms = now_ms() + 3000
        if faults.strikes("lost_ack"):
            return _cut(request)
        if faults.strikes("timeout_after"):
            await hang()
            return _cut(request)
        if faults.strikes("504_after"):
            return web.Response(status=504, text="upstream request timeout")
        if faults.strikes("half_answer"):
            return web.Response(body=orjson.dumps(self._taken(order))[:40], content_type="application/json")
        if faults.is_on("late_answers"):
            await asyncio.sleep(1.0)
        return web.json_response(self._taken(order))

    def _placed(self, body: dict[str, Any]) -> Order:
        name = body["product_id"]
        market, flags = self.products[name], self.flags[name]
        order = configured(body, market)
        if any(flags.get(flag) for flag in ("trading_disabled", "cancel_only", "view_only", "is_disabled")):
            raise RefusedError("halted")
        if flags.get("limit_only") and order.kind == "MARKET":
            raise RefusedError("halted")
        if flags.get("post_only") and order.time_in_force != "POST":
            raise RefusedError("post_only")
        if order.stop and self.faults.strikes("stop_refused"):
            raise RefusedError("stop")
        if self.faults.strikes("partial"):
            self.exchange.most_at_once = Decimal("0.4")
        try:
            return self.exchange.place(order)
        finally:
            self.exchange.most_at_once = None

    def _taken(self, order: Order) -> dict[str, Any]:
        return {
            "success": True, "failure_reason": "UNKNOWN_FAILURE_REASON", "order_id": self.number_of(order),
            "success_response": {
                "order_id": self.number_of(order), "product_id": order.wire["product_id"],
                "side": "BUY" if order.is_buy else "SELL", "client_order_id": order.client_id,
                "attached_order_id": "",
            },
            "order_configuration": order.wire["order_configuration"],
        }

    def _hidden(self, order: Order) -> bool:
        return self.hidden_until_ms > now_ms() and order is self.exchange.orders[-1]

    def _visible(self) -> list[Order]:
        return [order for order in self.exchange.orders if not self._hidden(order)]

    async def _order(self, request: web.Request) -> web.Response:
        number = request.match_info["number"]
        for order in self._visible():
            if self.number_of(order) == number:
                return web.json_response({"order": order_row(order, number)})
        return _error(404, "NOT_FOUND", f"order with this orderID was not found: {number}")

    async def _orders(self, request: web.Request) -> web.Response:
        query = request.query
        if self.faults.strikes("lookup_500"):
            return web.Response(status=500)
        states = query.getall("order_status", [])
        if "OPEN" in states and len(states) > 1:
            return _error(400, "INVALID_ARGUMENT", "Cannot query for OPEN orders with other order types")
        rows = [order_row(order, self.number_of(order)) for order in reversed(self._visible())]
        products, numbers = query.getall("product_ids", []), query.getall("order_ids", [])
        rows = [row for row in rows if (not states or row["status"] in states)
                and (not products or row["product_id"] in products) and (not numbers or row["order_id"] in numbers)
                and query.get("start_date", "") <= row["created_time"] < query.get("end_date", "9")]
        start = int(query.get("cursor") or 0)
        limit = min(int(query.get("limit", 1000)), self.page)
        has_next = start + limit < len(rows)
        return web.json_response({"orders": rows[start:start + limit], "sequence": "0", "has_next": has_next,
                                  "cursor": str(start + limit) if has_next else ""})

    async def _fills(self, request: web.Request) -> web.Response:
        query = request.query
        rows = [row for order in self.exchange.orders for row in fill_rows(order, self.number_of(order))]
        rows.sort(key=lambda row: str(row["sequence_timestamp"]), reverse=True)
        products, numbers = query.getall("product_ids", []), query.getall("order_ids", [])
        rows = [row for row in rows if (not products or row["product_id"] in products)
                and (not numbers or row["order_id"] in numbers)
                and query.get("start_sequence_timestamp", "") <= row["sequence_timestamp"]]
        if self.faults.is_on("fills_late"):
            rows = []
        start = int(query.get("cursor") or 0)
        limit = min(int(query.get("limit", 100)), self.page)
        return web.json_response({"fills": rows[start:start + limit],
                                  "cursor": str(start + limit) if start + limit < len(rows) else ""})

    async def _cancel(self, request: web.Request) -> web.StreamResponse:
        if self.faults.strikes("cancel_rate_limit"):
            return _error(429, "RATE_LIMIT_EXCEEDED", "Too many requests")
        results = []
        for number in orjson.loads(await request.read()).get("order_ids", []):
            self.cancels.append(number)
            order = next((each for each in self.exchange.orders if self.number_of(each) == number), None)
            if order is not None and order.is_working and self.faults.strikes("cancel_race"):
                self.exchange.execute(order, order.price or order.market.middle, order.remaining, is_maker=True)
            if order is None or not order.is_working:
                results.append({"success": False, "failure_reason": "UNKNOWN_CANCEL_ORDER", "order_id": number})
                continue
            self.exchange.cancel(order)
            results.append({"success": True, "failure_reason": "UNKNOWN_CANCEL_FAILURE_REASON", "order_id": number})
        if self.faults.strikes("cancel_lost"):
            return _cut(request)
        return web.json_response({"results": results})

    def _on_order(self, order: Order, _: str, __: Execution | None) -> None:
        self.events(user_row(order, self.number_of(order)))


def _error(status: int, error: str, text: str) -> web.Response:
    return web.json_response({"error": error, "error_details": text, "message": text}, status=status)


def _cut(request: web.Request) -> web.Response:
    """The connection ends instead of an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)
