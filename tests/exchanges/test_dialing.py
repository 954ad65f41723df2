"""A host of two addresses, the first of which swallows what is sent to it, as a half-dead IPv6 does."""

import asyncio
import socket
from collections.abc import Iterator

import pytest
from aiohttp import web
from websockets.asyncio.server import serve

from exchanges.dialing import dial
from exchanges.frame_socket import open_socket
from exchanges.http_line import HttpLine

HOST = "venue.test"
_real = socket.getaddrinfo


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """`HOST` is 127.0.0.2, where connections are never taken (its queue is full), then 127.0.0.1."""
    dead = socket.socket()
    dead.bind(("127.0.0.2", 0))
    dead.listen(0)
    number: int = dead.getsockname()[1]
    filling = [socket.socket() for _ in range(4)]
    for each in filling:
        each.setblocking(False)
        each.connect_ex(("127.0.0.2", number))

    def resolve(host: str, port: int, *rest: object, **more: object) -> object:
        if host != HOST:
            return _real(host, port, *rest, **more)  # type: ignore[arg-type]
        kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        return [(*kind, ("127.0.0.2", port)), (*kind, ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    yield number
    for each in (dead, *filling):
        each.close()


async def test_an_order_goes_to_the_address_that_lives(port: int):
    async def answer(_: web.BaseRequest) -> web.Response:
        return web.Response(text="taken")

    server = await asyncio.get_running_loop().create_server(web.Server(answer), "127.0.0.1", port)
    line = HttpLine(f"http://{HOST}:{port}", 2.0, 2.0)
    taken = await line.request("POST", "/order", {})
    assert bytes(taken.body) == b"taken"
    line.close()
    server.close()


async def test_a_stream_goes_to_the_address_that_lives(port: int):
    async with serve(lambda connection: connection.send("hello"), "127.0.0.1", port):
        async with asyncio.timeout(5):
            stream = await open_socket(f"ws://{HOST}:{port}/", max_size=1_000, ping_interval_s=None)
        assert await stream.receive() == b"hello"
        await stream.close()


async def test_a_small_message_does_not_wait_for_the_one_before_it_to_be_acknowledged(port: int):
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", port)
    way = await dial(HOST, port)
    assert way.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    way.close()
    server.close()


async def test_a_name_that_is_none_is_an_error_of_the_network():
    with pytest.raises(OSError, match="cannot connect to"):
        await dial("a..b", 443)


async def test_a_stream_that_moved_is_followed(port: int):
    async def elsewhere(_: web.BaseRequest) -> web.Response:
        return web.Response(status=301, headers={"Location": f"ws://127.0.0.1:{inner.sockets[0].getsockname()[1]}/"})

    async with serve(lambda connection: connection.send("hello"), "127.0.0.1", 0) as inner:
        outer = await asyncio.get_running_loop().create_server(web.Server(elsewhere), "127.0.0.1", port)
        stream = await open_socket(f"ws://127.0.0.1:{port}/", max_size=1_000, ping_interval_s=None)
        assert await stream.receive() == b"hello"
        await stream.close()
        outer.close()
