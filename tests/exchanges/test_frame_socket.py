"""The socket that handles messages as they are read, against a real websocket server."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus

from exchanges.frame_socket import MAX_WAITING, FrameSocket, open_socket

Script = Callable[[ServerConnection], Awaitable[None]]


@asynccontextmanager
async def connected(script: Script, max_size: int = 1_000_000) -> AsyncIterator[FrameSocket]:
    async def serve_one(connection: ServerConnection) -> None:
        await script(connection)
        await connection.wait_closed()

    async with serve(serve_one, "127.0.0.1", 0, compression=None) as server:
        port = server.sockets[0].getsockname()[1]
        socket = await open_socket(f"ws://127.0.0.1:{port}/", max_size=max_size, ping_interval_s=None)
        try:
            yield socket
        finally:
            await socket.close()


def sending(*messages: str | bytes) -> Script:
    async def script(connection: ServerConnection) -> None:
        for message in messages:
            await connection.send(message)

    return script


def collect(count: int, into: list[bytes]) -> Callable[[bytes], bool]:
    def take(message: bytes) -> bool:
        into.append(message)
        return len(into) == count

    return take


async def test_messages_flow_in_the_order_in_which_they_were_sent():
    got: list[bytes] = []
    async with connected(sending(*[str(number) for number in range(5_000)])) as socket:
        await asyncio.wait_for(socket.flow(collect(5_000, got)), 10)
    assert got == [str(number).encode() for number in range(5_000)]


async def test_what_is_received_one_by_one_comes_before_what_flows():
    got: list[bytes] = []
    async with connected(sending("a", "b", "c", "d")) as socket:
        first = [await socket.receive(), await socket.receive()]
        await asyncio.sleep(0.02)  # the others wait in the socket meanwhile
        await socket.flow(collect(2, got))
    assert (first, got) == ([b"a", b"b"], [b"c", b"d"])


async def test_a_message_in_pieces_arrives_whole():
    async def in_pieces(connection: ServerConnection) -> None:
        await connection.send(iter(["one ", "message ", "of three"]))
        await connection.send("another")

    got: list[bytes] = []
    async with connected(in_pieces) as socket:
        await socket.flow(collect(2, got))
    assert got == [b"one message of three", b"another"]


async def test_a_text_within_another_is_refused_as_the_protocol_wants_it():
    async def broken(connection: ServerConnection) -> None:
        connection.transport.write(b"\x01\x03one" + b"\x81\x03two" + b"\x80\x01!")

    got: list[bytes] = []
    async with connected(broken) as socket:
        with pytest.raises(ConnectionClosed) as ended:
            await asyncio.wait_for(socket.flow(collect(2, got)), 10)
    assert got == []
    assert ended.value.sent is not None
    assert ended.value.sent.code == 1002


async def test_a_refused_handshake_is_told_as_ever():
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 5\r\n\r\nlater")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(InvalidStatus, match="503"):
            await open_socket(f"ws://127.0.0.1:{port}/", max_size=1_000, ping_interval_s=None)


async def test_all_that_came_is_handled_before_the_end_is_told():
    async def then_close(connection: ServerConnection) -> None:
        for number in range(3_000):
            await connection.send(str(number))
        await connection.close(1001, "maintenance")

    got: list[bytes] = []
    async with connected(then_close) as socket:
        await asyncio.sleep(0.05)
        with pytest.raises(ConnectionClosed, match="maintenance"):
            await asyncio.wait_for(socket.flow(collect(0, got)), 10)
    assert len(got) == 3_000


async def test_receiving_from_a_closed_connection_says_so():
    async def close(connection: ServerConnection) -> None:
        await connection.close(1000, "done")

    async with connected(close) as socket:
        with pytest.raises(ConnectionClosed, match="done"):
            await asyncio.wait_for(socket.receive(), 5)


async def test_what_handling_raises_comes_out_of_the_flow():
    def broken(message: bytes) -> bool:
        raise OSError(f"no room for {message!r}")

    async with connected(sending("x", "y")) as socket:
        with pytest.raises(OSError, match="no room for b'x'"):
            await socket.flow(broken)


async def test_others_have_their_turn_during_a_flood():
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    def slow(message: bytes) -> bool:
        time.sleep(0.002)
        return message == b"last"

    # One write: without turns all of it would be handled in one go.
    async with connected(sending(*["x"] * 60, "last")) as socket:
        await asyncio.sleep(0.05)
        task = asyncio.create_task(other())
        await asyncio.wait_for(socket.flow(slow), 10)
        task.cancel()
    assert turns >= 10


async def test_a_socket_that_nobody_reads_makes_the_sender_wait():
    sent = 0

    async def flood(connection: ServerConnection) -> None:
        nonlocal sent
        for _ in range(40_000):
            await connection.send("x" * 1_000)
            sent += 1

    got: list[bytes] = []
    async with connected(flood) as socket:
        await asyncio.sleep(0.3)
        held = sent
        assert MAX_WAITING < held < 40_000
        await asyncio.wait_for(socket.flow(collect(40_000, got)), 20)
    assert len(got) == 40_000


async def test_a_message_above_the_limit_ends_the_connection_with_the_protocols_code():
    async with connected(sending("x" * 2_000), max_size=1_000) as socket:
        with pytest.raises(ConnectionClosed) as caught:
            await asyncio.wait_for(socket.flow(lambda _: False), 5)
    assert caught.value.sent is not None
    assert caught.value.sent.code == 1009


async def test_nothing_is_idle_while_messages_wait():
    async with connected(sending("a", "b")) as socket:
        assert await socket.receive() == b"a"
        await asyncio.sleep(0.02)
        assert not socket.is_idle
        await socket.receive()
        assert socket.is_idle
