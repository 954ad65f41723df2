"""Coinbase's websockets: channels of the market, made from the market's own frames, and the user channel."""

import asyncio
from collections.abc import Callable, Iterable
from decimal import Decimal
from itertools import count
from typing import Any, Final

import orjson
from aiohttp import web

from exchanges.practice.coinbase import formats
from exchanges.practice.coinbase.falsify import falsify
from exchanges.practice.coinbase.keys import CoinbaseKeys, Unauthorized
from exchanges.practice.coinbase.side import CoinbaseSide, trade_row
from exchanges.practice.fault_market import Action, FrameFaults, Kind
from exchanges.practice.hub import BINARY, TEXT, Client, Hub
from exchanges.practice.pairs import Pair

MARKET_CHANNELS: Final = ("market_trades", "ticker", "ticker_batch", "level2")
CHANNELS: Final = (*MARKET_CHANNELS, "heartbeats", "user", "status")
_SENT_AS: Final = {"level2": "l2_data"}
_FRAME_LIMIT: Final = 256 * 1024
_PAST_TRADES: Final = 50
_DEPTH: Final = 5_000


class _Refused(Exception):
    """What the venue says to a message it does not take."""


class Feed:
    """One connection: its channels, and the number of its next frame."""

    def __init__(self, client: Client, now_ms: Callable[[], int], *, is_user_door: bool) -> None:
        self.client = client
        self.is_user_door = is_user_door
        self.products: dict[str, dict[str, None]] = {}  # channel -> product ids
        self._now_ms = now_ms
        self._numbers = count()

    def has(self, channel: str, product: str) -> bool:
        return product in self.products.get(channel, ())

    def send(self, channel: str, events: list[Any], action: Action = "pass", *, is_torn: bool = False) -> None:
        """A frame. One that is lost has its number all the same, as the real venue's would."""
        text = orjson.dumps({
            "channel": channel, "client_id": "", "timestamp": formats.moment(self._now_ms()),
            "sequence_num": next(self._numbers), "events": events,
        }).decode()
        self.client.carry(action, text[: len(text) // 2] if is_torn else text)


class CoinbaseStream:
    """All connections."""

    def __init__(self, side: CoinbaseSide, keys: CoinbaseKeys, hub: Hub, faults: FrameFaults) -> None:
        self._side = side
        self._keys = keys
        self._hub = hub
        self._faults = faults
        self._feeds: dict[Feed, None] = {}
        self._tapped: set[str] = set()
        self._beats = count(1)

    async def handle(self, request: web.Request, *, is_user_door: bool) -> web.WebSocketResponse:
        """One connection, to its end."""
        ws = web.WebSocketResponse(compress=False, max_msg_size=_FRAME_LIMIT)
        await ws.prepare(request)
        client = Client(ws, request.transport, is_wrapped=False)
        feed = Feed(client, self._side.now_ms, is_user_door=is_user_door)
        self._feeds[feed] = None
        try:
            async for message in ws:
                if message.type in (TEXT, BINARY):
                    self._take(feed, message.data)
        finally:
            self._feeds.pop(feed, None)
            await client.end()
        return ws

    def cut(self, *, is_user_door: bool) -> None:
        """End the connections of one door."""
        for feed in list(self._feeds):
            if feed.is_user_door == is_user_door:
                feed.client.cut(1001, b"going away")

    async def beat(self) -> None:
        """A heartbeat a second, until cancelled."""
        while True:
            await asyncio.sleep(1.0)
            now = self._side.now_ms()
            event = {"current_time": formats.moment(now).replace("T", " "), "heartbeat_counter": next(self._beats)}
            listening = [feed for feed in self._feeds if "heartbeats" in feed.products]
            if not listening:
                continue
            market, user = self._faults.judge("other", "").action, self._faults.judge_event("", is_fill=False)
            for feed in listening:
                feed.send("heartbeats", [event], user if feed.is_user_door else market)

    def tell(self, order_number: int, name: str, *, is_fill: bool) -> None:
        """Something became of an order of the pair `name`."""
        listening = [feed for feed in self._feeds if "user" in feed.products]
        row = self._side.user_row(order_number) if listening else None
        if row is None:
            return
        action = self._faults.judge_event(name, is_fill=is_fill)
        for feed in listening:
            feed.send("user", [{"type": "update", "orders": [row]}], action)

    # ---- what clients want -------------------------------------------------------------------------

    def _take(self, feed: Feed, text: str | bytes) -> None:
        try:
            wish = orjson.loads(text)
            if not isinstance(wish, dict):
                raise _Refused("expected an object")
            self._obey(feed, wish)
        except orjson.JSONDecodeError:
            feed.client.send('{"type":"error","message":"malformed JSON"}')
        except (_Refused, Unauthorized) as error:
            feed.client.send(orjson.dumps({"type": "error", "message": str(error)}).decode())

    def _obey(self, feed: Feed, wish: dict[str, Any]) -> None:
        channel, kind = wish.get("channel"), wish.get("type")
        if channel not in CHANNELS or kind not in ("subscribe", "unsubscribe"):
            raise _Refused(f"unknown type or channel: {str(kind)[:40]} {str(channel)[:40]}")
        named = wish.get("product_ids") or []
        if not isinstance(named, list) or any(name not in self._side.pairs for name in named):
            raise _Refused("product_ids must be a list of products that are traded here")
        products = [str(name) for name in named] or list(self._side.pairs)
        if kind == "unsubscribe":
            there = feed.products.get(channel, {})
            for name in products:
                there.pop(name, None)
            if not there:
                feed.products.pop(channel, None)
        else:
            if channel == "user" or "jwt" in wish:
                self._keys.check(str(wish.get("jwt", "")), None, self._side.skew_s())
            self._subscribe(feed, channel, products)
        named_now = {name: _named(name, ids) for name, ids in feed.products.items()}
        feed.send("subscriptions", [{"subscriptions": named_now}])

    def _subscribe(self, feed: Feed, channel: str, products: list[str]) -> None:
        feed.products.setdefault(channel, {}).update(dict.fromkeys(products))
        if channel == "user":
            feed.send("user", [{"type": "snapshot", "orders": self._side.open_rows()}])
        if channel not in MARKET_CHANNELS:
            return
        for name in products:
            self._tap(name)
            event = self._snapshot(channel, name)
            if event is not None:
                feed.send(_SENT_AS.get(channel, channel), [event])

    def _snapshot(self, channel: str, product: str) -> dict[str, Any] | None:
        pair, view = self._side.pair(product), self._side.view
        if channel == "market_trades":
            rows = [trade_row(product, row) for row in reversed(view.trades(pair.name, _PAST_TRADES, None))]
            return {"type": "snapshot", "trades": rows}
        if channel == "level2":
            depth = view.depth(pair.name, _DEPTH)
            return self._levels("snapshot", product, depth["bids"], depth["asks"], self._side.now_ms())
        return self._ticker("snapshot", pair, channel, view.book_ticker(pair.name))

    # ---- the market's frames -----------------------------------------------------------------------

    def _tap(self, product: str) -> None:
        if product in self._tapped:
            return
        self._tapped.add(product)
        pair = self._side.pair(product)
        stream = pair.name.lower()
        self._hub.tap(f"{stream}@trade", lambda data: self._on_trade(pair, data))
        self._hub.tap(f"{stream}@bookTicker", lambda data: self._on_quote(pair, data))
        self._hub.tap(f"{stream}@depth@100ms", lambda data: self._on_depth(pair, data))

    def _on_trade(self, pair: Pair, data: str) -> None:
        product = formats.product_id(pair)
        listening = self._listening("market_trades", product)
        if listening:
            frame = orjson.loads(data)
            row = trade_row(product, {
                "id": frame["t"], "price": frame["p"], "qty": frame["q"], "time": frame["T"],
                "isBuyerMaker": frame["m"],
            })
            self._send(listening, "market_trades", "trade", pair, {"type": "update", "trades": [row]})

    def _on_quote(self, pair: Pair, data: str) -> None:
        product = formats.product_id(pair)
        for channel in ("ticker", "ticker_batch"):
            listening = self._listening(channel, product)
            if listening:
                frame = orjson.loads(data)
                best = {"bidPrice": frame["b"], "bidQty": frame["B"], "askPrice": frame["a"], "askQty": frame["A"]}
                event = self._ticker("update", pair, channel, best)
                if event is not None:
                    self._send(listening, channel, "quote", pair, event)

    def _on_depth(self, pair: Pair, data: str) -> None:
        product = formats.product_id(pair)
        listening = self._listening("level2", product)
        if listening:
            frame = orjson.loads(data)
            event = self._levels("update", product, frame["b"], frame["a"], frame["E"])
            self._send(listening, "l2_data", "book", pair, event)

    def _listening(self, channel: str, product: str) -> list[Feed]:
        return [feed for feed in self._feeds if feed.has(channel, product)]

    def _send(self, feeds: Iterable[Feed], channel: str, kind: Kind, pair: Pair, event: dict[str, Any]) -> None:
        action, change = self._faults.judge(kind, pair.name)
        if change and change != "malformed":
            falsify(change, event)
        for feed in feeds:
            feed.send(channel, [event], action, is_torn=change == "malformed")

    def _levels(self, kind: str, product: str, bids: Any, asks: Any, time_ms: int) -> dict[str, Any]:
        at = formats.moment(time_ms)
        updates = [
            {"side": side, "event_time": at, "price_level": _short(price), "new_quantity": _short(size)}
            for side, levels in (("bid", bids), ("offer", asks)) for price, size in levels
        ]
        return {"type": kind, "product_id": product, "updates": updates}

    def _ticker(self, kind: str, pair: Pair, channel: str, best: Any) -> dict[str, Any] | None:
        last = self._side.view.last_price(pair.name)
        if best is None or last is None:
            return None
        row = {
            "type": channel, "product_id": formats.product_id(pair), "price": formats.plain(last),
            **self._side.day(pair), "best_bid": _short(best["bidPrice"]), "best_ask": _short(best["askPrice"]),
            "best_bid_quantity": _short(best["bidQty"]), "best_ask_quantity": _short(best["askQty"]),
        }
        return {"type": kind, "tickers": [row]}


def _named(channel: str, products: Iterable[str]) -> list[str]:
    return ["heartbeats"] if channel == "heartbeats" else list(products)


def _short(text: str) -> str:
    return formats.plain(Decimal(text))
