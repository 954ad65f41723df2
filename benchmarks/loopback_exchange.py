"""A loopback exchange that does nothing but take times: Binance's spot protocol as far as the bench's clients need.

REST and websockets share one port and one bare asyncio protocol. While an order is timed, the exchange neither sleeps
nor goes through its event loop: the frame is written to the socket, and the sockets are looked at until the order's
first bytes are there. What lies between the two stamps is the client's own, and the kernel's.
"""

import asyncio
import base64
import hashlib
import json
import os
import select
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httptools

_WS_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
_TEXT, _CLOSE, _PING, _PONG = 0x1, 0x8, 0x9, 0xA
SYMBOL: Final = {
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
    """`send` goes to every market socket; `arrived` holds (perf_counter, client order id) of each posted order."""

    def __init__(self) -> None:
        self.market_sockets: list[_Connection] = []
        self.arrived: asyncio.Queue[tuple[float, str]] = asyncio.Queue()
        self.connected = asyncio.Event()
        self.price = 50_000.0
        self.address = ""
        self._sequence = 0
        self._orders = 0
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        for connection in list(self._connections):
            connection.close()
        if self._server is not None:
            self._server.close()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._server.wait_closed(), 2)

    def send(self, frame: bytes) -> None:
        """A websocket frame made by `trade` or `quote`."""
        for connection in self.market_sockets:
            connection.write(frame)

    def send_and_watch(self, frame: bytes, patience_s: float, meanwhile: Callable[[], None]) -> float | None:
        """Seconds from writing the frame to the arrival of an order; None when none came within `patience_s`.

        Holds up the event loop, which answers the order afterwards. `meanwhile` is called while nothing has come.
        """
        lines = {each.fileno(): each for each in self._connections if not each.is_websocket}
        looked_at = select.poll()
        for descriptor in lines:
            looked_at.register(descriptor, select.POLLIN)
        begin = time.perf_counter()
        self.send_at_once(frame)
        while (now := time.perf_counter()) - begin < patience_s:
            for descriptor, _ in looked_at.poll(0):
                now = time.perf_counter()
                if lines[descriptor].peek().startswith(b"POST"):
                    return now - begin
                looked_at.unregister(descriptor)  # another request: answered when the loop goes on
            meanwhile()
        return None

    def send_at_once(self, frame: bytes) -> None:
        """As `send`, past the event loop; only while nothing it was given before is still to be written."""
        for connection in self.market_sockets:
            connection.write_at_once(frame)

    def trade(self, price: float) -> bytes:
        """A public trade at this price, ready to be written."""
        now = time.time_ns() // 1_000_000
        self._sequence += 1
        return _frame(_TEXT, json.dumps({"stream": "btcusdt@trade", "data": {
            "e": "trade", "E": now, "s": "BTCUSDT", "t": self._sequence, "p": f"{price:.2f}", "q": "0.01000000",
            "T": now, "m": False, "M": True}}).encode())

    def quote(self, bid: float) -> bytes:
        """A best quote with this bid, a cent wide, ready to be written."""
        self._sequence += 1
        return _frame(_TEXT, json.dumps({"stream": "btcusdt@bookTicker", "data": {
            "u": self._sequence, "s": "BTCUSDT", "b": f"{bid:.2f}", "B": "5.00000000", "a": f"{bid + 0.01:.2f}",
            "A": "5.00000000"}}).encode())

    # ---- called by connections -------------------------------------------------------------------

    def on_open(self, connection: "_Connection") -> None:
        self._connections.add(connection)

    def on_closed(self, connection: "_Connection") -> None:
        self._connections.discard(connection)
        if connection in self.market_sockets:
            self.market_sockets.remove(connection)
            if not self.market_sockets:
                self.connected.clear()

    def on_text(self, connection: "_Connection", path: str, text: bytes) -> None:
        """A request over a websocket: every one is granted."""
        asked = json.loads(text)
        if path.startswith("/ws-api"):
            answer: dict[str, Any] = {"id": asked["id"], "status": 200, "result": {"subscriptionId": 0}}
        else:
            answer = {"result": None, "id": asked.get("id")}
            if connection not in self.market_sockets:
                self.market_sockets.append(connection)
        connection.write(_frame(_TEXT, json.dumps(answer).encode()))
        if self.market_sockets:
            self.connected.set()

    def answer(self, method: str, target: str, body: bytes, arrived: float) -> object:
        """What a REST request gets; orders are noted with the time at which their bytes arrived."""
        parts = urlsplit(target)
        match method, parts.path:
            case "POST", "/api/v3/order":
                form = {key: values[0] for key, values in parse_qs(parts.query + "&" + body.decode()).items()}
                return self._new_order(form, arrived)
            case _, "/api/v3/exchangeInfo":
                return {"symbols": [SYMBOL], "timezone": "UTC"}
            case _, "/api/v3/time":
                return {"serverTime": time.time_ns() // 1_000_000}
            case _, "/api/v3/account":
                return {"balances": [{"asset": "USDT", "free": "100000000.00", "locked": "0.00"}]}
            case _, "/api/v3/depth":
                return {"lastUpdateId": 1, "bids": [], "asks": []}
            case _, "/api/v3/ping":
                return {}
            case _:
                return []

    def _new_order(self, form: dict[str, str], arrived: float) -> object:
        self._orders += 1
        client_id = form.get("newClientOrderId", "")
        self.arrived.put_nowait((arrived, client_id))
        quantity, price = form.get("quantity", "0"), f"{self.price:.2f}"
        return {
            "symbol": "BTCUSDT", "orderId": self._orders, "orderListId": -1, "clientOrderId": client_id,
            "transactTime": time.time_ns() // 1_000_000, "price": "0.00", "origQty": quantity,
            "executedQty": quantity, "cummulativeQuoteQty": f"{float(quantity) * self.price:.8f}", "status": "FILLED",
            "timeInForce": "GTC", "type": "MARKET", "side": form.get("side", "BUY"),
            "fills": [{"price": price, "qty": quantity, "commission": "0.00000000", "commissionAsset": "USDT",
                       "tradeId": self._orders}],
        }


class _Connection(asyncio.Protocol):
    """One socket: HTTP until it is upgraded, websocket frames after. `on_*` below are httptools' callbacks."""

    def __init__(self, exchange: LoopbackExchange) -> None:
        self._exchange = exchange
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._target = ""
        self._key = b""
        self._body = b""
        self._arrived = 0.0
        self._socket: socket.socket | None = None
        self.is_websocket = False
        self._buffer = b""

    def fileno(self) -> int:
        """Of a socket of its own for this connection: the loop's is not to be touched."""
        assert self._socket is not None
        return self._socket.fileno()

    def peek(self) -> bytes:
        """The first bytes that nobody has read yet; they stay there."""
        assert self._socket is not None
        return self._socket.recv(16, socket.MSG_PEEK)

    def write_at_once(self, data: bytes) -> None:
        assert self._socket is not None
        self._socket.send(data)

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a TCP transport
        self._socket = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
        self._exchange.on_open(self)

    def connection_lost(self, error: Exception | None) -> None:
        if self._socket is not None:
            self._socket.close()
        self._exchange.on_closed(self)

    def data_received(self, data: bytes) -> None:
        self._arrived = time.perf_counter()
        if self.is_websocket:
            self._buffer += data
            self._read_frames()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._upgrade()

    def on_url(self, url: bytes) -> None:
        self._target, self._body = url.decode(), b""

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"sec-websocket-key":
            self._key = value

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if self._key:
            return
        method = self._parser.get_method().decode()
        content = json.dumps(self._exchange.answer(method, self._target, self._body, self._arrived)).encode()
        self.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(content) + content
        )

    def _upgrade(self) -> None:
        accept = base64.b64encode(hashlib.sha1(self._key + _WS_GUID).digest())
        self.is_websocket = True
        self.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )

    def _read_frames(self) -> None:
        while True:
            parsed = _unmask(self._buffer)
            if parsed is None:
                return
            opcode, payload, used = parsed
            self._buffer = self._buffer[used:]
            if opcode == _TEXT:
                self._exchange.on_text(self, self._target, payload)
            elif opcode == _PING:
                self.write(_frame(_PONG, payload))
            elif opcode == _CLOSE:
                self.write(_frame(_CLOSE, payload))
                self.close()
                return


def _frame(opcode: int, payload: bytes) -> bytes:
    """An unmasked, final frame (RFC 6455, 5.2), as a server sends it."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, size)) + payload
    return bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big") + payload


def _unmask(data: bytes) -> tuple[int, bytes, int] | None:
    """(opcode, payload, bytes used) of a client's frame at the beginning of `data`; None when it is not whole."""
    if len(data) < 2:
        return None
    size, at = data[1] & 0x7F, 2
    if size == 126:
        size, at = int.from_bytes(data[2:4], "big"), 4
    elif size == 127:
        size, at = int.from_bytes(data[2:10], "big"), 10
    end = at + 4 + size
    if len(data) < end:
        return None
    mask = data[at : at + 4]
    payload = bytes(byte ^ mask[index % 4] for index, byte in enumerate(data[at + 4 : end]))
    return data[0] & 0x0F, payload, end
