"""The websocket over a real socket: who may in, what is told, that nobody slow or many costs the others."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin

from bus.messages import orders, system
from tests.tradingd.small_daemon import SmallDaemon, settings_in
from tradingd.api import websocket_protocol
from tradingd.api.app import create_app
from tradingd.api.server import serve_api
from tradingd.api.websocket_hub import MOST_WAITING
from tradingd.auth import Auth, mint_token, reset_password
from tradingd.settings import ApiSettings

MARKET = {"symbol": "BTC/USDT", "side": "buy", "type": "market", "quantity": "0.5"}


@dataclass
class Line:
    """One client: what it was told, read on demand."""

    link: ClientConnection
    answers: list[dict[str, Any]] = field(default_factory=list)

    async def say(self, **message: Any) -> None:
        await self.link.send(json.dumps(message))

    async def next(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(await asyncio.wait_for(self.link.recv(), 5))
        return told

    async def until(self, **wanted: Any) -> dict[str, Any]:
        """The next message whose fields are these; others are kept in `answers`."""
        while True:
            told = await self.next()
            flat = {**(told["data"] if isinstance(told.get("data"), dict) else {}), **told}
            if all(flat.get(name) == value for name, value in wanted.items()):
                return told
            self.answers.append(told)

    async def close_code(self) -> int | None:
        """Why the line was closed; what was told before is read and forgotten."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                await self.next()
        return self.link.close_code

    async def listen(self, *channels: str) -> dict[str, Any]:
        await self.say(op="subscribe", channels=list(channels))
        return await self.until(op="subscribe")


class Place:
    """A served small daemon in this loop."""

    def __init__(self, daemon: SmallDaemon, url: str, data_dir: Path, app: Any) -> None:
        self.daemon, self.data_dir, self.app = daemon, data_dir, app
        self.http_url = url
        self.url = url.replace("http", "ws") + "/api/ws"
        self.token = mint_token(data_dir)
        self._stack = contextlib.AsyncExitStack()

    async def line(self, token: str | None = None) -> Line:
        link = await self._stack.enter_async_context(connect(self.url, proxy=None))
        line = Line(link)
        await line.say(op="auth", token=self.token if token is None else token)
        return line

    async def raw_line(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A line after its handshake, whose bytes the test writes itself."""
        port = int(self.http_url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        self._stack.callback(writer.close)
        writer.write(
            b"GET /api/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        return reader, writer

    async def listener(self, *channels: str) -> Line:
        line = await self.line()
        await line.until(op="auth", ok=True)
        await line.listen(*channels)
        return line

    async def close(self) -> None:
        await self._stack.aclose()


@contextlib.asynccontextmanager
async def place_in(path: Path, **api: Any) -> AsyncIterator[Place]:
    settings = settings_in(path).model_copy(update={"api": ApiSettings(**api)})
    daemon = SmallDaemon(settings)
    app = create_app(daemon, Auth.open(path))
    server = await serve_api(app, "127.0.0.1", 0)
    place = Place(daemon, server.url, path, app)
    try:
        yield place
    finally:
        await place.close()
        await server.stop()


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with place_in(tmp_path) as made:
        yield made


# ---- who may in ---------------------------------------------------------------------------------------


async def test_the_first_message_carries_the_token(place: Place) -> None:
    line = await place.line()
    assert await line.next() == {"op": "auth", "id": None, "ok": True, "user": "operator", "role": "operator"}


async def test_the_token_may_come_with_the_first_subscription(place: Place) -> None:
    async with connect(place.url, proxy=None) as link:
        await link.send(json.dumps({"op": "subscribe", "channels": ["alert"], "token": place.token}))
        told = json.loads(await link.recv())
    assert (told["op"], told["channels"]) == ("subscribe", ["alert"])


@pytest.mark.parametrize("first", [
    '{"op": "subscribe", "channels": ["order"]}', '{"op": "auth", "token": "guess"}', '{"op": "auth"}', "nonsense",
    '{"op": "command", "command": "pause"}', "[]", '{"op": "auth", "token": 7}',
])
async def test_without_a_valid_token_first_the_line_is_closed_and_nothing_happens(place: Place, first: str) -> None:
    async with connect(place.url, proxy=None) as link:
        await link.send(first)
        told = json.loads(await link.recv())
        assert (told["op"], told["ok"]) == ("error", False)
        with pytest.raises(ConnectionClosed) as closed:
            await link.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008
    assert place.daemon.commands == []


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
async def test_a_page_of_another_origin_may_not_listen(place: Place, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(place.url, origin=origin, proxy=None)  # type: ignore[arg-type]
    assert refused.value.response.status_code == 403
    assert json.loads(refused.value.response.body or b"")["code"] == "WRONG_ORIGIN"


async def test_our_own_page_may_listen(place: Place) -> None:
    async with connect(place.url, origin=place.http_url, proxy=None) as link:  # type: ignore[arg-type]
        await link.send(json.dumps({"op": "auth", "token": place.token}))
        assert json.loads(await link.recv())["ok"] is True


async def test_strangers_leave_no_line_in_the_log(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "tradingd")
    with pytest.raises(InvalidStatus):
        async with connect(place.url, proxy=None, origin=Origin("http://evil.example")):
            pass
    _, writer = await place.raw_line()
    writer.write(b"\xff\xff nonsense")
    line = await place.line(token="wrong")
    assert await line.close_code() == 1008
    assert [each.getMessage() for each in caplog.records if each.name.startswith("tradingd")] == []


async def test_a_rebound_name_and_another_path_are_refused(place: Place) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(place.url, additional_headers={"Host": "evil.example"}, proxy=None)
    assert refused.value.response.status_code in (400, 421)
    with pytest.raises(InvalidStatus) as refused:
        await connect(place.url + "x", proxy=None)
    assert refused.value.response.status_code == 404


async def test_only_so_many_clients_are_let_in_and_rest_goes_on(tmp_path: Path) -> None:
    async with place_in(tmp_path, max_clients=2) as place:
        for _ in range(2):
            await (await place.line()).until(op="auth", ok=True)
        with pytest.raises(InvalidStatus) as refused:
            await place.line()
        assert refused.value.response.status_code == 503
        reader, writer = await asyncio.open_connection("127.0.0.1", int(place.http_url.rpartition(":")[2]))
        writer.write(b"GET /api/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()


# ---- what is told -------------------------------------------------------------------------------------


async def test_every_event_has_channel_number_time_and_data_and_the_numbers_have_no_gap(place: Place) -> None:
    line = await place.listener("order", "trade", "position")
    await place.daemon.execute(order("td-m1"), by="x")
    await place.daemon.execute(order("td-m2"), by="x")
    seen: dict[str, list[int]] = {}
    while len(seen.get("trade", [])) < 2 or len(seen.get("position", [])) < 2:
        told = await line.next()
        assert set(told) == {"channel", "seq", "ts", "data"}
        assert told["ts"].endswith("Z")
        seen.setdefault(told["channel"], []).append(told["seq"])
    for numbers in seen.values():
        assert numbers[1:] == list(range(numbers[1], numbers[1] + len(numbers) - 1))


def order(order_id: str, **more: Any) -> orders.SubmitOrder:
    from bus.ids import ClientOrderId

    spec: dict[str, Any] = {"side": "buy", "order_type": "market", "quantity": Decimal("0.5"), **more}
    return orders.SubmitOrder(ClientOrderId(order_id), "BTC/USDT", origin="manual", **spec)


async def test_an_order_is_told_from_created_to_filled_with_its_whole_view(place: Place) -> None:
    line = await place.listener("order", "trade")
    await place.daemon.execute(order("td-m7"), by="x")
    events = []
    while not events or events[-1] != "filled":
        told = await line.next()
        if told["channel"] == "order" and told["data"]["event"] != "snapshot":
            events.append(told["data"]["event"])
            assert told["data"]["order"]["id"] == "td-m7"
    assert events == ["created", "submitted", "accepted", "filled"]
    trade = await line.until(channel="trade")
    assert (trade["data"]["order_id"], trade["data"]["quantity"]) == ("td-m7", "0.5")


async def test_a_subscription_begins_with_what_holds_now(place: Place) -> None:
    await place.daemon.execute(order("td-m1"), by="x")
    place.daemon.touch["BTC/USDT"] = (Decimal("99.9"), Decimal("100.10"), None)
    line = await place.line()
    await line.listen("status", "position", "performance", "agent", "price", "order")
    shown = {}
    while len(shown) < 6:
        told = await line.next()
        shown[told["channel"]] = told["data"]
    assert shown["status"]["status"]["state"] == "ACTIVE"
    assert shown["position"]["positions"][0]["symbol"] == "BTC/USDT"
    assert shown["agent"]["agents"][0]["name"] == "ceo"
    assert shown["price"]["prices"] == [
        {"event": "quote", "symbol": "BTC/USDT", "bid": "99.9", "ask": "100.1", "last": None}
    ]


async def test_a_changed_price_is_told_and_an_unchanged_one_is_not(place: Place) -> None:
    line = await place.listener("price")
    place.daemon.touch["BTC/USDT"] = (Decimal(99), Decimal(100), Decimal(99))
    place.daemon.touch["ETH/USDT"] = (None, None, Decimal(5))
    first = [(await line.until(event="quote"))["data"]["symbol"] for _ in range(2)]
    place.daemon.touch["ETH/USDT"] = (None, None, Decimal(6))
    again = await line.until(event="quote")
    assert first == ["BTC/USDT", "ETH/USDT"]
    assert (again["data"]["symbol"], again["data"]["last"]) == ("ETH/USDT", "6")


async def test_a_price_that_cannot_be_told_ends_neither_the_others_nor_the_look_at_tokens(
    place: Place, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(websocket_protocol, "CHECK_TOKEN_EVERY_S", 1)
    line = await place.listener("price")
    place.daemon.touch = {"BTC/USDT": ()}  # type: ignore[dict-item]
    await asyncio.sleep(0.4)
    place.daemon.touch = {"BTC/USDT": (Decimal(1), Decimal(2), None)}
    await line.until(symbol="BTC/USDT")
    place.daemon.touch = {"BTC/USDT": ()}  # type: ignore[dict-item]
    await asyncio.sleep(0.4)
    reset_password(place.data_dir)
    assert await line.close_code() == 1008


async def test_only_what_was_asked_for_is_told_and_no_more_after_leaving(place: Place) -> None:
    line = await place.listener("alert", "status")
    place.daemon.fact(system.AgentFailed("ceo", "x"))
    place.daemon.fact(system.AlertRaised("info", "one", "1"))
    assert (await line.until(channel="alert"))["data"]["title"] == "one"
    assert not [told for told in line.answers if told.get("channel") == "agent"]
    await line.say(op="unsubscribe", channels=["alert"], id=9)
    assert (await line.until(op="unsubscribe", id=9))["channels"] == ["status"]
    place.daemon.fact(system.AlertRaised("info", "two", "2"))
    place.daemon.fact(system.KillSwitchReleased("x", "y"))
    await line.until(channel="status", event="unlock")
    assert not [told for told in line.answers if (told.get("data") or {}).get("title") == "two"]


async def test_a_burst_is_shown_in_slices_and_a_newcomer_hears_only_what_came_after_its_snapshot(place: Place) -> None:
    first, second = await place.listener("alert"), await place.line()
    await second.until(op="auth", ok=True)
    for number in range(200):
        place.daemon.fact(system.AlertRaised("info", str(number), ""))
    hub = place.app.state.hub
    turns = 0
    while not hub._shown:  # noqa: ASYNC110 - until the burst is half shown, for which there is no event
        await asyncio.sleep(0)
    while hub._shown:
        turns += 1
        await asyncio.sleep(0)
    assert turns > 5
    heard = [await first.until(channel="alert") for _ in range(200)]
    assert [each["seq"] for each in heard] == list(range(heard[0]["seq"], heard[0]["seq"] + 200))
    assert [each["data"]["title"] for each in heard] == [str(number) for number in range(200)]
    await second.listen("alert")
    place.daemon.fact(system.AlertRaised("info", "last", ""))
    assert (await second.until(channel="alert"))["data"]["title"] == "last"


async def test_a_flood_of_facts_is_bounded_and_what_was_left_out_shows_as_a_gap(place: Place) -> None:
    line = await place.listener("alert")
    for number in range(MOST_WAITING + 10):
        place.daemon.fact(system.AlertRaised("info", str(number), ""))
    await line.until(seq=MOST_WAITING)
    place.daemon.fact(system.AlertRaised("info", "after", ""))
    assert (await line.until(title="after"))["seq"] == MOST_WAITING + 11


async def test_a_fact_that_cannot_be_shown_is_left_out_and_the_next_ones_are_told(
    place: Place, caplog: pytest.LogCaptureFixture,
) -> None:
    line = await place.listener("alert")
    place.daemon.fact(system.AlertRaised("info", "before", ""))
    place.daemon.fact(system.AlertRaised("info", "\ud800", "no text at all"))
    place.daemon.fact(system.AlertRaised("info", "after", ""))
    assert [(await line.next())["seq"], (await line.next())["seq"]] == [1, 3]
    assert place.app.state.hub.left_out == 1
    assert "AlertRaised cannot be shown" in caplog.text


# ---- commands -----------------------------------------------------------------------------------------


async def test_a_command_takes_the_road_of_rest(place: Place) -> None:
    line = await place.line()
    await line.say(op="command", id="a", command="order", args=MARKET, key="k1")
    await line.say(op="command", id="b", command="order", args=MARKET, key="k1")
    first, second = await line.until(id="a"), await line.until(id="b")
    assert (first["ok"], first["status"], first["data"]["state"]) == (True, 202, "FILLED")
    assert second["data"] == first["data"]
    assert len(place.daemon.commands) == 1


async def test_a_command_that_is_refused_says_why(place: Place) -> None:
    line = await place.line()
    await line.say(op="command", id=1, command="order", args={**MARKET, "quantity": "5"})
    told = await line.until(id=1)
    assert (told["ok"], told["status"], told["error"]["code"]) == (False, 422, "MAX_ORDER")
    await line.say(op="command", id=2, command="cancel", args={"id": "td-none"})
    assert (await line.until(id=2))["error"]["code"] == "UNKNOWN_ORDER"


async def test_an_id_cannot_climb_to_another_path(place: Place) -> None:
    line = await place.line()
    await line.say(op="command", id=1, command="cancel", args={"id": "../trading/kill"})
    assert (await line.until(id=1))["status"] == 404
    assert place.daemon.commands == []


async def test_a_viewer_may_listen_but_command_nothing(place: Place) -> None:
    line = await place.line(mint_token(place.data_dir, "viewer", "viewer"))
    await line.listen("order")
    await line.say(op="command", id=1, command="pause")
    told = await line.until(id=1)
    assert (told["status"], told["error"]["code"]) == (403, "FORBIDDEN")
    assert place.daemon.commands == []


@pytest.mark.parametrize(("message", "code"), [
    ({"op": "subscribe", "channels": ["gossip"]}, "UNKNOWN_CHANNEL"), ({"op": "subscribe"}, "INVALID_REQUEST"),
    ({"op": "dance"}, "INVALID_REQUEST"), ({"op": "command", "command": "rm"}, "UNKNOWN_COMMAND"),
    ({"op": "command", "command": "pause", "args": 1}, "INVALID_REQUEST"), ({"op": "subscribe", "channels": [1]},
                                                                          "UNKNOWN_CHANNEL"),
    ({"op": "subscribe", "channels": ["order"], "id": []}, "INVALID_REQUEST"),
])
async def test_nonsense_is_answered_and_the_line_goes_on(place: Place, message: dict[str, Any], code: str) -> None:
    line = await place.line()
    await line.say(**message)
    assert (await line.until(op="error"))["error"]["code"] == code
    await line.say(op="ping", id=5)
    assert (await line.until(op="ping"))["id"] == 5


# ---- slow and many ------------------------------------------------------------------------------------



async def test_a_client_that_does_not_read_is_dropped_and_the_others_hear_everything(place: Place) -> None:
    _, writer = await place.raw_line()
    try:
        raw: socket.socket = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        said = json.dumps({"op": "subscribe", "channels": ["alert"], "token": place.token}).encode()
        writer.write(bytes((0x81, 0x80 | 126)) + len(said).to_bytes(2, "big") + bytes(4) + said)
        good = await place.listener("alert")
        hub = place.app.state.hub
        text = "x" * 4_000
        for number in range(4_000):
            if len(hub) == 1:
                break
            place.daemon.fact(system.AlertRaised("info", str(number), text))
            await good.until(title=str(number)) if number % 100 == 99 else None
        assert len(hub) == 1
        place.daemon.fact(system.AlertRaised("info", "last", ""))
        assert (await good.until(title="last"))["channel"] == "alert"
    finally:
        writer.transport.abort()


async def test_a_client_that_talks_without_end_is_cut_off(place: Place) -> None:
    line = await place.line()
    with contextlib.suppress(ConnectionClosed):
        for _ in range(500):
            await line.say(op="ping")
    assert await line.close_code() == 1008


async def test_pings_without_end_cut_the_line_off_before_anything_piles_up(place: Place) -> None:
    reader, writer = await place.raw_line()
    writer.write(b"\x89\x80\0\0\0\0" * 40_000)
    answered = await asyncio.wait_for(reader.read(), 10)
    assert answered.count(b"\x8a\x00") < 1_000
    assert b"too many messages" in answered


async def test_lines_without_a_token_make_room_for_those_who_have_one(tmp_path: Path) -> None:
    async with place_in(tmp_path, max_clients=4) as place:
        silent = [await place.raw_line() for _ in range(5)]
        line = await place.line()
        await line.say(op="ping", id=1)
        assert (await line.until(op="ping"))["id"] == 1
        assert await asyncio.wait_for(silent[0][0].read(), 10) == b""


async def test_a_message_over_the_limit_closes_the_line(place: Place) -> None:
    line = await place.line()
    await line.say(op="ping", text="x" * 70_000)
    assert await line.close_code() == 1009


async def test_a_stopping_daemon_says_goodbye(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    server = await serve_api(create_app(SmallDaemon(settings), Auth.open(tmp_path)), "127.0.0.1", 0)
    async with connect(server.url.replace("http", "ws") + "/api/ws", proxy=None) as link:
        await link.send(json.dumps({"op": "auth", "token": mint_token(tmp_path)}))
        await link.recv()
        stopping = asyncio.create_task(server.stop())
        with pytest.raises(ConnectionClosed) as closed:
            await link.recv()
        await stopping
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001
