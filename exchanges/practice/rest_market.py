"""Public REST: /api/v3 market data in the real venue's formats and errors."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import orjson
from aiohttp import web

from exchanges.practice.interval_names import interval_ms
from exchanges.practice.market_view import MarketView
from exchanges.practice.pairs import Pair, listing, wire

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_LIMITS: Final = {"depth": (100, 5_000), "klines": (500, 1_000), "trades": (500, 1_000)}


class VenueRefusal(Exception):
    """An answer in the venue's error format: {"code": ..., "msg": ...} with an HTTP status."""

    def __init__(self, code: int, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.code = code
        self.status = status


def reply(body: object, status: int = 200) -> web.Response:
    """A JSON answer."""
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")


def refusal_body(refusal: VenueRefusal) -> dict[str, Any]:
    """The venue's error object."""
    return {"code": refusal.code, "msg": str(refusal)}


class MarketRest:
    """Handlers over a `MarketView`."""

    def __init__(
        self, view: MarketView, skew_ms: Callable[[], int] = lambda: 0,
        is_closed: Callable[[str], bool] = lambda _name: False,
    ) -> None:
        self._view = view
        self._skew_ms = skew_ms
        self._is_closed = is_closed

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/v3/ping", self.ping), web.get("/api/v3/time", self.time),
            web.get("/api/v3/exchangeInfo", self.exchange_info), web.get("/api/v3/depth", self.depth),
            web.get("/api/v3/klines", self.klines), web.get("/api/v3/uiKlines", self.klines),
            web.get("/api/v3/trades", self.trades), web.get("/api/v3/historicalTrades", self.trades),
            web.get("/api/v3/aggTrades", self.agg_trades), web.get("/api/v3/ticker/bookTicker", self.book_ticker),
            web.get("/api/v3/ticker/24hr", self.ticker_24h), web.get("/api/v3/ticker/price", self.price),
            web.get("/practice/v1/info", self.info),
        ]

    async def ping(self, _request: web.Request) -> web.Response:
        return reply({})

    async def time(self, _request: web.Request) -> web.Response:
        return reply({"serverTime": self._view.now_ms() + self._skew_ms()})

    async def info(self, _request: web.Request) -> web.Response:
        return reply(self._view.info())

    async def exchange_info(self, request: web.Request) -> web.Response:
        chosen = self._several(request) or list(self._view.pairs.values())
        return reply({
            "timezone": "UTC", "serverTime": self._view.now_ms() + self._skew_ms(),
            "rateLimits": [
                {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000},
                {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 100},
            ],
            "exchangeFilters": [], "symbols": [self._listed(pair) for pair in chosen],
        })

    def _listed(self, pair: Pair) -> Mapping[str, Any]:
        return {**listing(pair), "status": "BREAK"} if self._is_closed(pair.name) else listing(pair)

    async def depth(self, request: web.Request) -> web.Response:
        pair = self.pair(request)
        return reply(self._view.depth(pair.name, _limit(request, "depth")))

    async def klines(self, request: web.Request) -> web.Response:
        pair = self.pair(request)
        interval = needed(request.query, "interval")
        length = interval_ms(interval)
        if length is None:
            raise VenueRefusal(-1120, "Invalid interval.")
        start, end = whole(request.query, "startTime"), whole(request.query, "endTime")
        return reply(self._view.klines(pair.name, interval, length, _limit(request, "klines"), start, end))

    async def trades(self, request: web.Request) -> web.Response:
        pair = self.pair(request)
        return reply(self._view.trades(pair.name, _limit(request, "trades"), whole(request.query, "fromId")))

    async def agg_trades(self, request: web.Request) -> web.Response:
        pair = self.pair(request)
        limit, from_id = _limit(request, "trades"), whole(request.query, "fromId")
        start, end = whole(request.query, "startTime"), whole(request.query, "endTime")
        rows = self._view.trades(pair.name, limit if start is None and end is None else 1_000, from_id)
        if start is not None:
            rows = [row for row in rows if row["time"] >= start][:limit]
        if end is not None:
            rows = [row for row in rows if row["time"] <= end][-limit:]
        return reply([
            {"a": row["id"], "p": row["price"], "q": row["qty"], "f": row["id"], "l": row["id"], "T": row["time"],
             "m": row["isBuyerMaker"], "M": True}
            for row in rows
        ])

    async def book_ticker(self, request: web.Request) -> web.Response:
        return self._each(request, lambda pair: self._view.book_ticker(pair.name))

    async def ticker_24h(self, request: web.Request) -> web.Response:
        return self._each(request, lambda pair: self._view.ticker_24h(pair.name))

    async def price(self, request: web.Request) -> web.Response:
        def one(pair: Pair) -> dict[str, Any] | None:
            last = self._view.last_price(pair.name)
            return None if last is None else {"symbol": pair.name, "price": wire(last)}

        return self._each(request, one)

    def pair(self, request: web.Request) -> Pair:
        """The pair a request names."""
        return known_pair(self._view, needed(request.query, "symbol"))

    def _several(self, request: web.Request) -> list[Pair]:
        if "symbol" in request.query:
            return [self.pair(request)]
        text = request.query.get("symbols")
        if text is None:
            return []
        try:
            names = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise VenueRefusal(-1100, "Illegal characters found in parameter 'symbols'.") from error
        if not isinstance(names, list) or not names:
            raise VenueRefusal(-1100, "Illegal characters found in parameter 'symbols'.")
        return [known_pair(self._view, str(name)) for name in names]

    def _each(self, request: web.Request, one: Callable[[Pair], dict[str, Any] | None]) -> web.Response:
        rows = [row for pair in self._several(request) or self._view.pairs.values() if (row := one(pair)) is not None]
        if "symbol" not in request.query:
            return reply(rows)
        if not rows:
            raise VenueRefusal(-1121, "Invalid symbol.")  # nothing has traded yet in this replay
        return reply(rows[0])


def known_pair(view: MarketView, name: str) -> Pair:
    """The pair of that wire name; else the venue's -1121."""
    pair = view.pairs.get(name)
    if pair is None:
        raise VenueRefusal(-1121, "Invalid symbol.")
    return pair


def needed(params: Any, key: str) -> str:
    """A mandatory parameter; else the venue's -1102."""
    value = params.get(key)
    if value is None or value == "":
        raise VenueRefusal(-1102, f"Mandatory parameter '{key}' was not sent, was empty/null, or malformed.")
    return str(value)


def whole(params: Any, key: str) -> int | None:
    """An optional non-negative integer; else the venue's -1100."""
    value = params.get(key)
    if value is None or value == "":
        return None
    text = str(value)
    if not text.isascii() or not text.isdigit() or len(text) > 19:
        raise VenueRefusal(
            -1100, f"Illegal characters found in parameter '{key}'; legal range is '^[0-9]{{1,20}}$'."
        )
    return int(text)


def _limit(request: web.Request, kind: str) -> int:
    default, most = _LIMITS[kind]
    limit = whole(request.query, "limit")
    if limit == 0:
        raise VenueRefusal(-1100, "Illegal characters found in parameter 'limit'; legal range is '1'.")
    return min(default if limit is None else limit, most)
