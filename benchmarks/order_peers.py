"""Programs that do no more than post an order when the price rises: what tradingd is compared with.

No checks, no journal, no signature, no memory of what they did. Each is a script for a process of its own; URL stands
for the exchange's address.
"""

from typing import Final

COMMON: Final = "websockets + json + aiohttp"
"""The usual asyncio program."""
FAST_LOOP: Final = "uvloop + orjson + aiohttp"
"""The same with the fast event loop and parser."""
BARE: Final = "uvloop + orjson + bare sockets"
"""No library between the sockets and the program: what Python can do at all."""

_LIBRARIES: Final = '''
import asyncio, MODULES, aiohttp, websockets

async def main():
    async with aiohttp.ClientSession() as http, websockets.connect("ws://URL/stream") as socket:
        await socket.send('{"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 1}')
        best = 0.0
        async for text in socket:
            data = loads(text).get("data")
            if data and data.get("e") == "trade" and float(data["p"]) > best:
                best = float(data["p"])
                async with http.post("http://URL/api/v3/order", data={
                    "symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.001",
                    "newClientOrderId": "peer"}) as answer:
                    await answer.read()

RUN(main())
'''

_BARE: Final = '''
import asyncio, os, orjson, uvloop

HOST, PORT = "URL".split(":")
ORDER = b"symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.001&newClientOrderId=peer"
REQUEST = (b"POST /api/v3/order HTTP/1.1\\r\\nHost: URL\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(ORDER)) + ORDER
HELLO = (b"GET /stream HTTP/1.1\\r\\nHost: URL\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n"
         b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\nSec-WebSocket-Version: 13\\r\\n\\r\\n")
SAID = b'{"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 1}'

class Orders(asyncio.Protocol):
    def connection_made(self, transport):
        transport.set_write_buffer_limits(high=0)
        self.write = transport.write
    def data_received(self, data):
        pass

class Market(asyncio.Protocol):
    is_open, best, rest = False, 0.0, b""
    def __init__(self, orders):
        self.orders = orders
    def connection_made(self, transport):
        self.transport = transport
        transport.write(HELLO)
    def data_received(self, data):
        if not self.is_open:
            self.is_open = True
            self.transport.write(bytes((0x81, 0x80 | len(SAID))) + bytes(4) + SAID)
            return
        data = self.rest + data
        while len(data) >= 4:
            size, at = data[1], 2
            if size == 126:
                size, at = int.from_bytes(data[2:4], "big"), 4
            if len(data) < at + size:
                break
            self.take(data[at : at + size])
            data = data[at + size :]
        self.rest = data
    def take(self, text):
        body = orjson.loads(text).get("data")
        if body and body.get("e") == "trade" and float(body["p"]) > self.best:
            self.best = float(body["p"])
            self.orders.write(REQUEST)
    def connection_lost(self, error):
        os._exit(0)

async def main():
    loop = asyncio.get_running_loop()
    _, orders = await loop.create_connection(Orders, HOST, int(PORT))
    await loop.create_connection(lambda: Market(orders), HOST, int(PORT))
    await asyncio.sleep(3600)

uvloop.run(main())
'''


def script(peer: str, address: str) -> str:
    """The source of this peer's process, for the exchange at `address` ("127.0.0.1:4711")."""
    return _SCRIPTS[peer].replace("URL", address)


def _with_libraries(modules: str, loads: str, run: str) -> str:
    text = _LIBRARIES.replace("MODULES", modules).replace("loads(", f"{loads}(")
    return text.replace("RUN(", f"{run}(")


_SCRIPTS: Final = {
    COMMON: _with_libraries("json", "json.loads", "asyncio.run"),
    FAST_LOOP: _with_libraries("orjson, uvloop", "orjson.loads", "uvloop.run"),
    BARE: _BARE,
}
