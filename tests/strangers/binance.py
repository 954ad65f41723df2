"""A Binance spot exchange on this machine, from its public REST documents (rest-api.md, errors.md, filters.md)."""

import asyncio
import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import orjson
from aiohttp import web

from tests.strangers.binance_formats import (
    account_position,
    acknowledged,
    book_rows,
    cancelled,
    kline_rows,
    order_row,
    report,
    symbol_row,
    trade_rows,
)
from tests.strangers.faults import Faults, hang
from tests.strangers.market import Exchange, Execution, Market, Order, RefusedError, now_ms

CLIENT_ID = re.compile(r"^[\.A-Za-z0-9_:/-]{1,36}$")
REFUSALS = {
    "funds": (-2010, "Account has insufficient balance for requested action."),
    "halted": (-1013, "Market is closed."),
    "quantity": (-1013, "Filter failure: LOT_SIZE"),
    "price": (-1013, "Filter failure: PRICE_FILTER"),
    "minimum": (-1013, "Filter failure: NOTIONAL"),
    "stop": (-2010, "Stop price would trigger immediately."),
    "post_only": (-2010, "Order would immediately match and take."),
    "duplicate": (-2010, "Duplicate order sent."),
}
Handler = Callable[[web.Request, dict[str, str]], Awaitable[web.StreamResponse]]


class BinanceError(Exception):
    """An error body with its HTTP status."""

    def __init__(self, code: int, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.code, self.text, self.status = code, text, status


class Binance:
    """REST of the exchange. `events` receives what the user stream is to say."""

    def __init__(self, exchange: Exchange, key: str = "k", secret: str = "s") -> None:
        self.exchange, self.key, self.secret = exchange, key, secret
        self.faults = Faults()
        self.symbols = {market.base + market.quote: market for market in exchange.markets}
        self.clock_ahead_ms = 0
        self.posts: list[str] = []
        """The client id of every create that arrived, in order."""
        self.cancels: list[str] = []
        self.calls: list[str] = []
        self.banned_until_ms = 0
        self.closes_lines = False
        """True: every connection ends with its first answer."""
        self.reads_forms_only = False
        """True: what a POST says in its address is not read."""
        self.early_calls = 0
        """Requests that came while the exchange had forbidden any."""
        self.restrictions: dict[str, bool] | None = {
            "ipRestrict": False, "enableReading": True, "enableSpotAndMarginTrading": True, "enableWithdrawals": False,
            "enableInternalTransfer": False, "enableMargin": False, "enableFutures": False,
            "permitsUniversalTransfer": False, "enableVanillaOptions": False,
        }
        self.events: Callable[[dict[str, Any]], None] = lambda _: None
        self.trades: dict[str, list[dict[str, Any]]] = {name: [] for name in self.symbols}
        self.hidden_until: dict[str, int] = {}
        exchange.listener = self._on_order

    def routes(self) -> list[web.RouteDef]:
        public: dict[str, Handler] = {
            "/api/v3/ping": self._ping, "/api/v3/time": self._time, "/api/v3/exchangeInfo": self._info,
            "/api/v3/depth": self._depth, "/api/v3/klines": self._klines, "/api/v3/trades": self._recent,
            "/api/v3/historicalTrades": self._recent, "/api/v3/aggTrades": self._aggregated,
            "/api/v3/ticker/bookTicker": self._best, "/api/v3/ticker/price": self._last,
        }
        signed: dict[str, Handler] = {
            "/api/v3/account": self._account, "/api/v3/account/commission": self._commission,
            "/api/v3/openOrders": self._open, "/api/v3/allOrders": self._all, "/api/v3/myTrades": self._mine,
            "/api/v3/order": self._lookup, "/sapi/v1/account/apiRestrictions": self._restrictions,
        }
        return [
            *(web.get(path, self._door(handler, is_signed=False)) for path, handler in public.items()),
            *(web.get(path, self._door(handler, is_signed=True)) for path, handler in signed.items()),
            web.post("/api/v3/order", self._door(self._create, is_signed=True)),
            web.delete("/api/v3/order", self._door(self._cancel, is_signed=True)),
            web.delete("/api/v3/openOrders", self._door(self._cancel_all, is_signed=True)),
        ]

    def market(self, wish: dict[str, str]) -> Market:
        if "symbol" not in wish:
            raise BinanceError(-1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.")
        if wish["symbol"] not in self.symbols:
            raise BinanceError(-1121, "Invalid symbol.")
        return self.symbols[wish["symbol"]]

    def check(self, text: str, key: str | None) -> None:
        """The signature over `text`, the key and the timestamp; BinanceError otherwise."""
        if key != self.key or self.faults.is_on("bad_key"):
            raise BinanceError(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        wish = dict(parse_qsl(text))
        payload, _, _ = text.rpartition("&signature=")
        right = hmac.new(self.secret.encode(), payload.encode(), hashlib.sha256).hexdigest()
        if not payload or not hmac.compare_digest(right, wish.get("signature", "")):
            raise BinanceError(-1022, "Signature for this request is not valid.")
        self.check_time(wish)

    def check_time(self, wish: dict[str, str]) -> None:
        stamp, window = int(wish.get("timestamp", 0)), float(wish.get("recvWindow", 5000))
        now = now_ms() + self.clock_ahead_ms
        if window > 60_000:
            raise BinanceError(-1131, "recvWindow must be less than 60000.")
        if stamp > now + 1000:
            raise BinanceError(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
        if now - stamp > window:
            raise BinanceError(-1021, "Timestamp for this request is outside of the recvWindow.")

    def _door(self, handler: Handler, *, is_signed: bool) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            self.calls.append(f"{request.method} {request.path}")
            await request.read()  # one that hangs is obeyed late all the same, though its asker has left
            trouble = await self._trouble(request)
            if trouble is not None:
                return trouble
            is_form = self.reads_forms_only and request.method == "POST"
            text = "&".join(filter(None, ("" if is_form else request.query_string, await request.text())))
            try:
                if is_signed:
                    self.check(text, request.headers.get("X-MBX-APIKEY"))
                reply = await handler(request, dict(parse_qsl(text)))
            except BinanceError as error:
                return web.json_response({"code": error.code, "msg": error.text}, status=error.status)
            if self.closes_lines:
                reply.force_close()
            reply.headers["X-MBX-USED-WEIGHT-1M"] = str(len(self.calls) % 6000)
            return reply

        return answer

    async def _trouble(self, request: web.Request) -> web.StreamResponse | None:
        if self.banned_until_ms > now_ms():
            self.early_calls += 1
            left = -(-(self.banned_until_ms - now_ms()) // 1000)
            body = {"code": -1003, "msg": f"Way too much request weight used; IP banned until {self.banned_until_ms}. "
                    "Please use WebSocket Streams for live updates to avoid bans."}
            return web.json_response(body, status=418, headers={"Retry-After": str(left)})
        if self.faults.strikes("maintenance"):
            return web.Response(status=503, text="<html>Service Unavailable</html>", content_type="text/html")
        if self.faults.is_on("slow"):
            await asyncio.sleep(1.5)
        if self.faults.is_on("rest_dead"):
            await hang()
        return None

    # market data

    async def _ping(self, _: web.Request, __: dict[str, str]) -> web.Response:
        return web.json_response({})

    async def _time(self, _: web.Request, __: dict[str, str]) -> web.Response:
        return web.json_response({"serverTime": now_ms() + self.clock_ahead_ms})

    async def _info(self, _: web.Request, wish: dict[str, str]) -> web.Response:
        names = list(self.symbols)
        if "symbol" in wish:
            names = [wish["symbol"]]
        elif "symbols" in wish:
            names = orjson.loads(wish["symbols"])
        if any(name not in self.symbols for name in names):
            raise BinanceError(-1121, "Invalid symbol.")
        body = {
            "timezone": "UTC", "serverTime": now_ms(), "exchangeFilters": [], "sors": [],
            "rateLimits": [
                {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000},
                {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 100},
            ],
            "symbols": [symbol_row(name, self.symbols[name]) for name in names],
        }
        return web.json_response(body)

    async def _depth(self, _: web.Request, wish: dict[str, str]) -> web.Response:
        market = self.market(wish)
        limit = int(wish.get("limit", 100))
        return web.json_response({"lastUpdateId": market.update, **book_rows(market, limit)})

    async def _klines(self, _: web.Request, wish: dict[str, str]) -> web.Response:
        if self.faults.is_on("candles_hang"):
            await hang()
        return web.json_response(kline_rows(self.market(wish), wish))

    async def _recent(self, _: web.Request, wish: dict[str, str]) -> web.Response:
        self.market(wish)
        rows = self.trades[wish["symbol"]]
        if "fromId" in wish:
            rows = [row for row in rows if row["id"] >= int(wish["fromId"])][:int(wish.get("limit", 500))]
        return web.json_response(rows[-int(wish.get("limit", 500)):])

    async def _aggregated(self, _: web.Request, wish: dict[str, str]) -> web.Response:
        self.market(wish)
        return web.json_response([
            {"a": row["id"], "p": row["price"], "q": row["qty"], "f": row["id"], "l": row["id"], "T": row["time"],
             "m": row["isBuyerMaker"], "M": True} for row in self.trades[wish["symbol"]][-int(wish.get("limit", 500)):]
        ])

    async def _best(self, _: web.Request, wish: dict[str, str]) -> web.Response:
        rows = []
        for name, market in self.symbols.items():
            bid, ask = market.best_bid, market.best_ask
            rows.append({"symbol": name, "bidPrice": f"{bid:.8f}", "bidQty": f"{market.bids[bid]:.8f}",
                         "askPrice": f"{ask:.8f}", "askQty": f"{market.asks[ask]:.8f}"})
        if "symbol" in wish:
            self.market(wish)
            return web.json_response(next(row for row in rows if row["symbol"] == wish["symbol"]))
        return web.json_response(rows)

    async def _last(self, _: web.Request, wish: dict[str, str]) -> web.Response:
        return web.json_response({"symbol": wish["symbol"], "price": f"{self.market(wish).last:.8f}"})

    # the account

    async def _account(self, _: web.Request, wish: dict[str, str]) -> web.Response:
        if self.faults.is_on("no_balances"):
            raise BinanceError(-1000, "An unknown error occurred while processing the request.", 500)
        account = self.exchange.account
        assets = sorted({*account.free, *account.locked})
        rows = [{"asset": asset, "free": f"{account.free.get(asset, Decimal(0)):.8f}",
                 "locked": f"{account.locked.get(asset, Decimal(0)):.8f}"} for asset in assets]
        if wish.get("omitZeroBalances") == "true":
            rows = [row for row in rows if Decimal(row["free"]) + Decimal(row["locked"])]
        return web.json_response({
            "makerCommission": 10, "takerCommission": 10, "buyerCommission": 0, "sellerCommission": 0,
            "commissionRates": {"maker": "0.00100000", "taker": "0.00100000", "buyer": "0.00000000",
                                "seller": "0.00000000"},
            "canTrade": True, "canWithdraw": True, "canDeposit": True, "brokered": False,
            "requireSelfTradePrevention": False, "preventSor": False, "updateTime": now_ms(), "accountType": "SPOT",
            "balances": rows, "permissions": ["SPOT"], "uid": 354937868,
        })

    async def _commission(self, _: web.Request, wish: dict[str, str]) -> web.Response:
        self.market(wish)
        rate = f"{self.exchange.fee_rate:.8f}"
        none = {"maker": "0.00000000", "taker": "0.00000000", "buyer": "0.00000000", "seller": "0.00000000"}
        return web.json_response({
            "symbol": wish["symbol"], "standardCommission": {**none, "maker": rate, "taker": rate},
            "specialCommission": none, "taxCommission": none,
            "discount": {"enabledForAccount": True, "enabledForSymbol": True, "discountAsset": "BNB",
                         "discount": "0.75000000"},
        })

    async def _restrictions(self, _: web.Request, __: dict[str, str]) -> web.Response:
        if self.restrictions is None:
            return web.Response(status=404, text="<html><h1>404 Not Found</h1></html>", content_type="text/html")
        return web.json_response({**self.restrictions, "createTime": now_ms() - 10**9})

    async def _open(self, _: web.Request, wish: dict[str, str]) -> web.Response:
        wanted = self.market(wish) if "symbol" in wish else None
        return web.json_response([order_row(order) for order in self.exchange.orders
                                  if order.is_working and wanted in (None, order.market)])

    async def _all(self, _: web.Request, wish: dict[str, str]) -> web.Response:
        market = self.market(wish)
        rows = [order for order in self.exchange.orders if order.market is market]
        if "orderId" in wish:
            rows = [order for order in rows if order.number >= int(wish["orderId"])]
        return web.json_response([order_row(order) for order in rows[-int(wish.get("limit", 500)):]])

    async def _mine(self, _: web.Request, wish: dict[str, str]) -> web.Response:
        market = self.market(wish)
        rows = [row for order in self.exchange.orders if order.market is market for row in trade_rows(order)]
        rows.sort(key=lambda row: int(row["id"]))
        if "orderId" in wish:
            rows = [row for row in rows if row["orderId"] == int(wish["orderId"])]
        if "fromId" in wish:
            rows = [row for row in rows if row["id"] >= int(wish["fromId"])]
            return web.json_response(rows[:int(wish.get("limit", 500))])
        if "startTime" in wish:
            rows = [row for row in rows if row["time"] >= int(wish["startTime"])]
            return web.json_response(rows[:int(wish.get("limit", 500))])
        return web.json_response(rows[-int(wish.get("limit", 500)):])

    def _find(self, wish: dict[str, str], code: int, text: str) -> Order:
        market = self.market(wish)
        if "orderId" not in wish and "origClientOrderId" not in wish:
            raise BinanceError(-1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!")
        found = [
            order for order in self.exchange.orders if order.market is market and (
                order.number == int(wish["orderId"]) if "orderId" in wish
                else order.client_id == wish["origClientOrderId"])
        ]
        if not found or self.hidden_until.get(found[-1].client_id, 0) > now_ms():
            raise BinanceError(code, text)
        return found[-1]

    async def _lookup(self, request: web.Request, wish: dict[str, str]) -> web.Response:
        if self.faults.strikes("lookup_500"):
            return web.Response(status=500)
        return web.json_response(order_row(self._find(wish, -2013, "Order does not exist.")))

    # orders

    def _wished(self, wish: dict[str, str]) -> Order:
        market = self.market(wish)
        for name in ("side", "type"):
            if name not in wish:
                raise BinanceError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
        kind = wish["type"]
        needed = {"LIMIT": ("timeInForce", "quantity", "price"), "MARKET": (), "LIMIT_MAKER": ("quantity", "price"),
                  "STOP_LOSS_LIMIT": ("timeInForce", "quantity", "price", "stopPrice"),
                  "TAKE_PROFIT_LIMIT": ("timeInForce", "quantity", "price", "stopPrice")}.get(kind)
        if needed is None:
            raise BinanceError(-1116, "Invalid orderType.")
        for name in needed:
            if name not in wish:
                raise BinanceError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
        allowed = {"symbol", "side", "type", "timeInForce", "quantity", "quoteOrderQty", "price", "newClientOrderId",
                   "stopPrice", "newOrderRespType", "recvWindow", "timestamp", "signature", "strategyId", "icebergQty",
                   "selfTradePreventionMode", "trailingDelta", "strategyType"}
        if set(wish) - allowed:
            raise BinanceError(-1104, f"Not all sent parameters were read; read '{len(allowed)}' parameter(s) but was "
                               f"sent '{len(wish)}'.")
        name = wish.get("newClientOrderId", f"web_{now_ms()}")
        if not CLIENT_ID.match(name):
            raise BinanceError(-1100, "Illegal characters found in parameter 'newClientOrderId'; legal range is "
                               "'^[\\.A-Z\\:/a-z0-9_-]{1,36}$'.")
        for value in (wish.get("quantity", "1"), wish.get("price", "1"), wish.get("stopPrice", "1")):
            if not re.fullmatch(r"\d{1,20}(\.\d{1,20})?", value):
                raise BinanceError(-1100, "Illegal characters found in parameter 'quantity'; legal range is "
                                   "'^([0-9]{1,20})(\\.[0-9]{1,20})?$'.")
            if len(value.partition(".")[2].rstrip("0")) > 8:
                raise BinanceError(-1111, "Parameter 'quantity' has too much precision.")
        is_buy = wish["side"] == "BUY"
        is_stop = kind in ("STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT")
        quantity = Decimal(wish.get("quantity", "0"))
        if "quantity" not in wish and "quoteOrderQty" in wish:
            steps = Decimal(wish["quoteOrderQty"]) / market.best_ask // market.step
            quantity = steps * market.step
        return Order(
            0, name, market, is_buy, "MARKET" if kind == "MARKET" else "LIMIT", quantity,
            Decimal(wish.get("price", "0")), Decimal(wish.get("stopPrice", "0")),
            "POST" if kind == "LIMIT_MAKER" else wish.get("timeInForce", "GTC"),
            is_buy == (kind == "STOP_LOSS_LIMIT") if is_stop else False, wire={"type": kind},
        )

    async def _create(self, request: web.Request, wish: dict[str, str]) -> web.StreamResponse:
        faults = self.faults
        self.posts.append(wish.get("newClientOrderId", ""))
        if faults.strikes("rate_limit"):
            return web.json_response({"code": -1015, "msg": "Too many new orders; current limit is 100 orders per 10 "
                                      "SECOND."}, status=429, headers={"Retry-After": "2"})
        if faults.strikes("timeout_before"):
            await hang()
            return _cut(request)
        if faults.strikes("http_502_html"):
            return web.Response(status=502, text="<html><center><h1>502 Bad Gateway</h1></center></html>",
                                content_type="text/html")
        if faults.strikes("http_500_empty"):
            return web.Response(status=500)
        if faults.strikes("cut_before"):
            return _cut(request)
        order = self._wished(wish)
        if order.stop and faults.strikes("stop_refused"):
            raise BinanceError(*REFUSALS["stop"])
        if any(each.is_working for each in self.exchange.by_client_id(order.client_id)):
            raise BinanceError(*REFUSALS["duplicate"])
        if faults.is_on("not_found_early"):
            self.hidden_until[order.client_id] = now_ms() + 3000
        if faults.strikes("partial"):
            self.exchange.most_at_once = Decimal("0.4")
        try:
            self.exchange.place(order)
        except RefusedError as refused:
            raise BinanceError(*REFUSALS[refused.word]) from refused
        finally:
            self.exchange.most_at_once = None
        if faults.strikes("lost_ack"):
            return _cut(request)
        if faults.strikes("timeout_after"):
            await hang()
            return _cut(request)
        if faults.strikes("504_after"):
            return web.json_response({"code": -1007, "msg": "Timeout waiting for response from backend server. Send "
                                      "status unknown; execution status unknown."}, status=504)
        if faults.strikes("half_answer"):
            return web.Response(body=orjson.dumps(acknowledged(order, "FULL"))[:40], content_type="application/json")
        if faults.is_on("late_answers"):
            await asyncio.sleep(1.0)
        full = "FULL" if order.wire["type"] in ("MARKET", "LIMIT") else "ACK"
        return web.json_response(acknowledged(order, wish.get("newOrderRespType", full)))

    async def _cancel(self, request: web.Request, wish: dict[str, str]) -> web.StreamResponse:
        self.cancels.append(wish.get("origClientOrderId", wish.get("orderId", "")))
        if self.faults.strikes("cancel_rate_limit"):
            return web.json_response({"code": -1003, "msg": "Too much request weight used; current limit is 6000 "
                                      "request weight per 1 MINUTE."}, status=429, headers={"Retry-After": "2"})
        order = self._find(wish, -2011, "Unknown order sent.")
        if order.is_working and self.faults.strikes("cancel_race"):
            self.exchange.execute(order, order.price or order.market.middle, order.remaining, is_maker=True)
        if not order.is_working:
            raise BinanceError(-2011, "Unknown order sent.")
        order.wire["cancelled_by"] = f"c{now_ms()}"
        self.exchange.cancel(order)
        if self.faults.strikes("cancel_lost"):
            return _cut(request)
        return web.json_response(cancelled(order))

    async def _cancel_all(self, _: web.Request, wish: dict[str, str]) -> web.Response:
        market = self.market(wish)
        working = [order for order in self.exchange.orders if order.market is market and order.is_working]
        if not working:
            raise BinanceError(-2011, "Unknown order sent.")
        for order in working:
            order.wire["cancelled_by"] = f"c{now_ms()}"
            self.exchange.cancel(order)
        return web.json_response([cancelled(order) for order in working])

    def _on_order(self, order: Order, event: str, fill: Execution | None) -> None:
        self.events(report(order, event, fill))
        if event != "TRIGGERED":
            assets = {order.market.base, order.market.quote} | ({fill.fee_asset} if fill else set())
            self.events(account_position(self.exchange.account, sorted(assets)))


def _cut(request: web.Request) -> web.Response:
    """The connection ends instead of an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)
