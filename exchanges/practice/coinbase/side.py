"""What Coinbase's door answers about the market, the account and its orders."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from math import inf
from typing import Any, Final

from exchanges.practice.account import Account
from exchanges.practice.coinbase import formats
from exchanges.practice.coinbase.wishes import OrderRefusal, client_id_of, in_words, read_wish, refused
from exchanges.practice.faults import Faults
from exchanges.practice.market_view import MarketView
from exchanges.practice.matching import Matching
from exchanges.practice.order import Fill, Order
from exchanges.practice.pairs import Pair
from exchanges.practice.rest_market import VenueRefusal

_PAGE: Final = 100
_LONGEST_PAGE: Final = 1_000
_GRANULARITIES: Final[Mapping[str, tuple[str, int]]] = {
    "ONE_MINUTE": ("1m", 60), "FIVE_MINUTE": ("5m", 300), "FIFTEEN_MINUTE": ("15m", 900),
    "THIRTY_MINUTE": ("30m", 1_800), "ONE_HOUR": ("1h", 3_600), "TWO_HOUR": ("2h", 7_200),
    "FOUR_HOUR": ("4h", 14_400), "SIX_HOUR": ("6h", 21_600), "ONE_DAY": ("1d", 86_400),
}
_MOST_CANDLES: Final = 350


class CoinbaseError(Exception):
    """An answer {"error", "message"} with an HTTP status."""

    def __init__(self, status: int, error: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error = error


class Query:
    """A request's query: `one` the last value of a key, `all` every one of it."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._pairs = list(pairs)

    def one(self, key: str, default: str = "") -> str:
        return next((value for name, value in reversed(self._pairs) if name == key), default)

    def all(self, *keys: str) -> list[str]:
        return [value for name, value in self._pairs if name in keys]

    def whole(self, key: str, default: int) -> int:
        text = self.one(key)
        if not text:
            return default
        if not text.isascii() or not text.isdigit() or len(text) > 15:
            raise CoinbaseError(400, "INVALID_ARGUMENT", f"{key} must be a whole number")
        return int(text)


class CoinbaseSide:
    """Each method returns the body of an answer; raises `CoinbaseError`."""

    def __init__(
        self, view: MarketView, account: Account, matching: Matching, hides: Callable[[Order, int], bool],
        faults: Faults,
    ) -> None:
        self.view = view
        self._account = account
        self._matching = matching
        self._hides = hides
        self._faults = faults
        self._days: dict[str, tuple[int, dict[str, str]]] = {}
        self.pairs: dict[str, Pair] = {formats.product_id(pair): pair for pair in view.pairs.values()}

    # ---- market --------------------------------------------------------------------------------------

    def now_ms(self) -> int:
        """The venue's clock, with what a fault adds."""
        return self.view.now_ms() + self._faults.skew_ms()

    def skew_s(self) -> float:
        return self._faults.skew_ms() / 1000

    def time(self) -> dict[str, Any]:
        now = self.now_ms()
        return {"iso": formats.moment(now), "epochSeconds": str(now // 1000), "epochMillis": str(now)}

    def pair(self, product: str) -> Pair:
        pair = self.pairs.get(product)
        if pair is None:
            raise CoinbaseError(404, "NOT_FOUND", f"product {product[:40]} not found")
        return pair

    def products(self, query: Query) -> dict[str, Any]:
        wanted = query.all("product_ids")
        rows = []
        if query.one("product_type", "SPOT") in ("SPOT", "UNKNOWN_PRODUCT_TYPE"):
            rows = [self.product(name) for name in self.pairs if not wanted or name in wanted]
        offset = query.whole("offset", 0)
        chosen = rows[offset:][: query.whole("limit", 0) or None]
        return {"products": chosen, "num_products": len(rows)}

    def product(self, name: str) -> dict[str, Any]:
        pair = self.pair(name)
        is_closed = self._faults.lasts("maintenance", pair.name)
        return formats.product(pair, self.view.ticker_24h(pair.name), is_closed=is_closed)

    def book(self, name: str, limit: int) -> dict[str, Any]:
        pair = self.pair(name)
        depth = self.view.depth(pair.name, min(limit or 5_000, 5_000))
        return {"pricebook": self._pricebook(name, depth)}

    def best(self, query: Query) -> dict[str, Any]:
        names = query.all("product_ids") or list(self.pairs)
        return {"pricebooks": [self._pricebook(name, self.view.depth(self.pair(name).name, 1)) for name in names]}

    def _pricebook(self, name: str, depth: Mapping[str, Any]) -> dict[str, Any]:
        def rows(side: str) -> list[dict[str, str]]:
            return [{"price": _short(price), "size": _short(size)} for price, size in depth[side]]

        return {"product_id": name, "bids": rows("bids"), "asks": rows("asks"), "time": formats.moment(self.now_ms())}

    def ticker(self, name: str, query: Query) -> dict[str, Any]:
        pair = self.pair(name)
        start, end = query.whole("start", 0) * 1000, query.whole("end", 0) * 1000
        limit = min(query.whole("limit", _PAGE) or _PAGE, _LONGEST_PAGE)
        rows = [
            row for row in self.view.trades(pair.name, _LONGEST_PAGE, None)
            if row["time"] >= start and (not end or row["time"] < end)
        ]
        best = self.view.book_ticker(pair.name) or {}
        trades = [trade_row(name, row) for row in reversed(rows[-limit:])]
        return {
            "trades": trades, "best_bid": _short(best.get("bidPrice", "0")),
            "best_ask": _short(best.get("askPrice", "0")),
        }

    def candles(self, name: str, query: Query) -> dict[str, Any]:
        pair = self.pair(name)
        granularity = _GRANULARITIES.get(query.one("granularity"))
        if granularity is None:
            raise CoinbaseError(400, "INVALID_ARGUMENT", f"granularity must be one of {', '.join(_GRANULARITIES)}")
        interval, seconds = granularity
        start, end = query.whole("start", 0), query.whole("end", 0) or self.now_ms() // 1000
        limit = min(query.whole("limit", _MOST_CANDLES), _MOST_CANDLES)
        if start and (end - start) // seconds > _MOST_CANDLES:
            raise CoinbaseError(400, "INVALID_ARGUMENT", f"ask for at most {_MOST_CANDLES} candles")
        rows = self.view.klines(pair.name, interval, seconds * 1000, limit, start * 1000 or None, end * 1000)
        return {"candles": [
            {"start": str(row[0] // 1000), "low": _short(row[3]), "high": _short(row[2]), "open": _short(row[1]),
             "close": _short(row[4]), "volume": _short(row[5])}
            for row in reversed(rows)
        ]}

    def day(self, pair: Pair) -> dict[str, str]:
        """What a ticker says of the last 24 hours; asked anew once a second."""
        now = self.view.now_ms()
        known = self._days.get(pair.name)
        if known is None or not known[0] <= now < known[0] + 1_000:
            day = self.view.ticker_24h(pair.name) or {}
            low, high = _short(day.get("lowPrice", "0")), _short(day.get("highPrice", "0"))
            known = now, {
                "volume_24_h": _short(day.get("volume", "0")), "low_24_h": low, "high_24_h": high, "low_52_w": low,
                "high_52_w": high, "price_percent_chg_24_h": str(day.get("priceChangePercent", "0")),
            }
            self._days[pair.name] = known
        return known[1]

    # ---- the older API -------------------------------------------------------------------------------

    def currencies(self) -> list[dict[str, Any]]:
        quotes = sorted({pair.quote for pair in self.pairs.values()})
        return [{"id": quote, "name": quote, "min_size": "0.01"} for quote in quotes]

    def crypto_currencies(self) -> list[dict[str, Any]]:
        bases = sorted({pair.base for pair in self.pairs.values()})
        return [
            {"asset_id": f"00000003-0000-4000-8000-{number:012d}", "code": base, "name": base, "color": "#000000",
             "sort_index": number, "exponent": 8, "type": "crypto", "address_regex": ""}
            for number, base in enumerate(bases, 1)
        ]

    def exchange_rates(self) -> dict[str, Any]:
        first = next(iter(self.pairs.values()))
        rates = {
            pair.base: formats.plain((1 / last).quantize(Decimal("1e-12")))
            for pair in self.pairs.values() if pair.quote == first.quote and (last := self.view.last_price(pair.name))
        }
        return {"currency": first.quote, "rates": rates}

    # ---- account -------------------------------------------------------------------------------------

    def accounts(self) -> dict[str, Any]:
        rows = [
            formats.account_row(asset, number, *amounts)
            for number, (asset, amounts) in enumerate(self._matching.balances().items(), 1)
        ]
        return {"accounts": rows, "has_next": False, "cursor": "", "size": len(rows)}

    def place(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """POST /orders. The id of an order that exists gives that order, as the venue documents."""
        try:
            pair = self.pairs.get(str(body.get("product_id")))
            if pair is None:
                raise OrderRefusal("INVALID_PRODUCT_ID", "unknown product_id", "PREVIEW_INVALID_PRODUCT_ID")
            order = self._account.find(pair.name, None, client_id_of(body))
            if order is None:
                new = read_wish(pair, body)
                try:
                    order, _ = self._matching.place(new)
                except VenueRefusal as refusal:
                    raise in_words(refusal) from refusal
        except OrderRefusal as refusal:
            return refused(refusal, body)
        success = {
            "order_id": formats.order_id(order.order_id), "product_id": formats.product_id(pair), "side": order.side,
            "client_order_id": order.client_id, "attached_order_id": "",
        }
        return {
            "success": True, "failure_reason": "UNKNOWN_FAILURE_REASON", "order_id": success["order_id"],
            "success_response": success, "order_configuration": body.get("order_configuration"),
        }

    def cancel(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """POST /orders/batch_cancel."""
        ids = body.get("order_ids")
        if not isinstance(ids, list) or not 0 < len(ids) <= _PAGE:
            raise CoinbaseError(400, "INVALID_ARGUMENT", f"order_ids must be a list of 1 to {_PAGE} ids")
        results = []
        for text in ids:
            order = self._order(str(text))
            reason = "UNKNOWN_CANCEL_ORDER" if order is None else "DUPLICATE_CANCEL_REQUEST"
            if order is not None and order.is_open:
                self._matching.cancel(order, "")
                reason = ""
            elif order is not None and order.status == "FILLED":
                reason = "ORDER_IS_FULLY_FILLED"
            results.append({
                "success": not reason, "failure_reason": reason or "UNKNOWN_CANCEL_FAILURE_REASON", "order_id": text,
            })
        return {"results": results}

    def order(self, text: str) -> dict[str, Any]:
        """GET /orders/historical/{id}."""
        order = self._order(text)
        if order is None or self._hides(order, self.view.now_ms()):
            raise CoinbaseError(404, "NOT_FOUND", "order with this orderID was not found")
        return {"order": self._row(order)}

    def orders(self, query: Query) -> dict[str, Any]:
        """GET /orders/historical/batch, the newest first."""
        statuses, sides = query.all("order_status"), query.all("order_side")
        products = query.all("product_id", "product_ids")
        since, until = _ms(query.one("start_date"), 0), _ms(query.one("end_date"), inf)
        ids = query.all("order_ids")
        now = self.view.now_ms()
        found = []
        for order in sorted(self._account.orders.values(), key=lambda each: each.order_id, reverse=True):
            pair = self.view.pairs.get(order.name)
            if pair is None or (statuses and formats.status_of(order) not in statuses):
                continue
            if (products and formats.product_id(pair) not in products) or (sides and order.side not in sides):
                continue
            if (ids and formats.order_id(order.order_id) not in ids) or not since <= order.created_ms < until:
                continue
            if not self._hides(order, now):
                found.append(order)
        page, cursor = _page(found, query)
        fills = self._fills_by_order()
        rows = [
            formats.order_row(order, self.view.pairs[order.name], fills.get(order.order_id, [])) for order in page
        ]
        return {"orders": rows, "sequence": "0", "has_next": bool(cursor), "cursor": cursor}

    def fills(self, query: Query) -> dict[str, Any]:
        """GET /orders/historical/fills, the newest first."""
        orders, products = query.all("order_id", "order_ids"), query.all("product_id", "product_ids")
        since, until = _ms(query.one("start_sequence_timestamp"), 0), _ms(query.one("end_sequence_timestamp"), inf)
        found = [
            (fill, pair) for fill in sorted(self._account.fills.values(), key=lambda each: each.trade_id, reverse=True)
            if (pair := self.view.pairs.get(fill.name)) is not None
            and (not orders or formats.order_id(fill.order_id) in orders)
            and (not products or formats.product_id(pair) in products) and since <= fill.time_ms < until
        ]
        page, cursor = _page(found, query)
        return {"fills": [formats.fill_row(fill, pair) for fill, pair in page], "cursor": cursor}

    def open_rows(self) -> list[dict[str, Any]]:
        """The snapshot of the user channel."""
        return [row for order in self._account.open_orders.values() if (row := self.user_row(order.order_id))]

    def user_row(self, number: int) -> dict[str, Any] | None:
        """An order as the user channel tells it."""
        order = self._account.orders.get(number)
        pair = self.view.pairs.get(order.name) if order is not None else None
        return formats.user_row(order, pair, self._fills_of(order)) if order is not None and pair is not None else None

    def _order(self, text: str) -> Order | None:
        number = formats.order_number(text)
        return self._account.orders.get(number) if number is not None else None

    def _row(self, order: Order) -> dict[str, Any]:
        return formats.order_row(order, self.view.pairs[order.name], self._fills_of(order))

    def _fills_by_order(self) -> dict[int, list[Fill]]:
        found: dict[int, list[Fill]] = {}
        for fill in self._account.fills.values():
            found.setdefault(fill.order_id, []).append(fill)
        return found

    def _fills_of(self, order: Order) -> list[Fill]:
        if not order.executed:
            return []
        return [fill for fill in self._account.fills.values() if fill.order_id == order.order_id]


def trade_row(product: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """A public trade; `side` is the maker's."""
    return {
        "trade_id": str(row["id"]), "product_id": product, "price": _short(row["price"]), "size": _short(row["qty"]),
        "time": formats.moment(row["time"]), "side": "BUY" if row["isBuyerMaker"] else "SELL", "bid": "", "ask": "",
        "exchange": "coinbase",
    }


def _short(text: str) -> str:
    return formats.plain(Decimal(text))


def _ms(text: str, default: float) -> float:
    """A time in a query, in ms."""
    if not text:
        return default
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp() * 1000
    except ValueError as error:
        raise CoinbaseError(400, "INVALID_ARGUMENT", f"{text[:40]} is not an RFC 3339 time") from error


def _page(rows: list[Any], query: Query) -> tuple[list[Any], str]:
    start = query.whole("cursor", 0)
    limit = min(query.whole("limit", _PAGE) or _PAGE, _LONGEST_PAGE)
    end = start + limit
    return rows[start:end], str(end) if end < len(rows) else ""
