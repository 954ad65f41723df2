import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from exchanges.http_line import HttpLine, LineError
from tests.exchanges.binance.loopback import until

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nRetry-After: 3\r\n\r\nok"


class Wire:
    """A raw TCP server: `replies` are written as they are, in the pieces given, one entry per request."""

    def __init__(self) -> None:
        self.replies: list[list[bytes]] = []
        self.requests: list[bytes] = []
        self.connections = 0
        self.closes_after_reply = False
        self.server: asyncio.Server | None = None

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                for piece in self.replies.pop(0) if self.replies else []:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
                if self.closes_after_reply:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@pytest_asyncio.fixture
async def wire() -> AsyncIterator[Wire]:
    wire = Wire()
    wire.server = await asyncio.start_server(wire.handle, "127.0.0.1", 0)
    yield wire
    wire.server.close()


def line_to(wire: Wire, timeout_s: float = 2.0) -> HttpLine:
    assert wire.server is not None
    return HttpLine(f"http://127.0.0.1:{wire.server.sockets[0].getsockname()[1]}", timeout_s, 2.0)


async def test_a_request_is_one_write_and_the_connection_is_kept(wire: Wire):
    wire.replies = [[OK], [OK]]
    line = line_to(wire)
    for _ in range(2):
        answer = await line.request("POST", "/api?x=1", {"X-Key": "k"})
        assert (answer.status, bytes(answer.body), answer.headers["retry-after"]) == (200, b"ok", "3")
    assert wire.connections == 1
    assert wire.requests[0].startswith(b"POST /api?x=1 HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"X-Key: k\r\nContent-Length: 0\r\n\r\n" in wire.requests[0]
    line.close()


async def test_a_connection_that_was_idle_for_long_is_not_trusted_with_an_order(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
):
    wire.replies = [[OK], [OK]]
    line = line_to(wire)
    await line.request("POST", "/", {})
    monkeypatch.setattr("exchanges.http_line.IDLE_S", 0.0)
    assert line.send_now("POST", "/", {}) is None
    await line.request("POST", "/", {})
    assert wire.connections == 2
    line.close()


@pytest.mark.parametrize("pieces", [
    [bytes([byte]) for byte in OK],
    [b"HTTP/1.1 100 Continue\r\n\r\n", OK],
    [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n", b"1\r\nk\r\n0\r\n\r\n"],
])
async def test_an_answer_in_pieces_or_chunks_is_put_together(wire: Wire, pieces: list[bytes]):
    wire.replies = [pieces]
    line = line_to(wire)
    answer = await line.request("POST", "/", {})
    assert (answer.status, bytes(answer.body)) == (200, b"ok")
    line.close()


async def test_a_late_answer_is_never_read_as_the_next_ones(wire: Wire):
    line = line_to(wire, timeout_s=0.05)
    with pytest.raises(LineError, match="no answer within"):
        await line.request("POST", "/first", {})
    wire.replies = [[OK]]
    assert (await line.request("POST", "/second", {})).status == 200
    assert wire.connections == 2
    line.close()


async def test_a_cancelled_request_gives_its_connection_up(wire: Wire):
    line = line_to(wire)
    task = asyncio.create_task(line.request("POST", "/first", {}))
    await until(lambda: wire.requests)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    wire.replies = [[OK]]
    assert (await line.request("POST", "/second", {})).status == 200
    assert wire.connections == 2
    line.close()


async def test_two_answers_to_one_request_spoil_the_connection(wire: Wire):
    wire.replies = [[OK + OK.replace(b"ok", b"no")], [OK]]
    line = line_to(wire)
    answer = await line.request("POST", "/", {})
    assert bytes(answer.body) == b"ok"
    assert bytes((await line.request("POST", "/", {})).body) == b"ok"
    assert wire.connections == 2
    line.close()


async def test_a_connection_that_the_venue_closed_is_replaced(wire: Wire):
    wire.replies = [[OK], [OK]]
    wire.closes_after_reply = True
    line = line_to(wire)
    await line.request("POST", "/", {})
    await asyncio.sleep(0.02)
    assert (await line.request("POST", "/", {})).status == 200
    assert wire.connections == 2
    line.close()


@pytest.mark.parametrize("reply", [b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf"])
async def test_half_an_answer_or_none_is_an_error(wire: Wire, reply: bytes):
    wire.replies = [[reply]]
    wire.closes_after_reply = True
    line = line_to(wire)
    with pytest.raises(LineError):
        await line.request("POST", "/", {})
    line.close()


@pytest.mark.parametrize("bad", [
    lambda line: line.request("POST", "/x\r\nEvil: 1", {}),
    lambda line: line.request("POST", "/", {"X": "1\r\nEvil: 1"}),
    lambda line: line.request("POST", "/", {"X": "1\nEvil: 1"}),
    lambda line: line.request("POST", "/", {"X": "1\rEvil: 1"}),
    lambda line: line.request("POST", "/ü", {}),
])
async def test_nobody_can_smuggle_a_header(wire: Wire, bad: Callable):
    line = line_to(wire)
    with pytest.raises(ValueError, match="line break"):
        await bad(line)
    assert wire.requests == []
    line.close()


async def test_nobody_listening_is_an_error():
    line = HttpLine("http://127.0.0.1:1", 1.0, 1.0)
    with pytest.raises(LineError, match="cannot connect"):
        await line.request("POST", "/", {})


def test_only_http_addresses_are_taken():
    with pytest.raises(ValueError, match="not an http"):
        HttpLine("ftp://x", 1.0, 1.0)


async def test_nothing_is_sent_at_once_without_an_open_connection(wire: Wire):
    line = line_to(wire)
    assert line.send_now("POST", "/order", {}) is None
    assert wire.requests == []
    line.close()


async def test_on_an_open_connection_the_bytes_leave_before_the_answer_is_waited_for(wire: Wire):
    wire.replies = [[OK], [OK]]
    line = line_to(wire)
    await line.request("GET", "/ping", {})
    sent = line.send_now("POST", "/order", {"X-Key": "k"})
    assert sent is not None
    await until(lambda: len(wire.requests) == 2)
    assert wire.requests[1].startswith(b"POST /order HTTP/1.1\r\n")
    assert (await sent.answer()).status == 200
    assert wire.connections == 1
    line.close()


async def test_a_connection_with_an_answer_outstanding_is_not_used_for_the_next_request(wire: Wire):
    wire.replies = [[OK], [], [OK]]
    line = line_to(wire)
    await line.request("GET", "/ping", {})
    first = line.send_now("POST", "/first", {})
    assert first is not None
    assert line.send_now("POST", "/second", {}) is None
    assert (await line.request("POST", "/second", {})).status == 200
    assert wire.connections == 2
    line.close()
    with pytest.raises(LineError):
        await first.answer()


async def test_a_foreign_header_line_is_refused_before_anything_is_sent(wire: Wire):
    wire.replies = [[OK]]
    line = line_to(wire)
    await line.request("GET", "/ping", {})
    with pytest.raises(ValueError, match="line break"):
        line.send_now("POST", "/order", {"X-Key": "k\r\nX-Evil: 1"})
    assert len(wire.requests) == 1
    line.close()
