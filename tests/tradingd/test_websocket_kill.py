"""A kill over the websocket: it waits for nothing, whatever was said before it on the same line."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from bus.messages import orders
from tests.tradingd.test_websocket import Place, place_in
from tradingd.api import websocket_protocol


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with place_in(tmp_path) as made:
        yield made


@pytest.fixture
def slow_archive(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Orders that only the journal knows take until the event is set."""
    is_read = threading.Event()
    monkeypatch.setattr(place.daemon.read_model, "is_past", lambda order_id: True)
    monkeypatch.setattr(place.daemon.read_model, "past", lambda order_id: is_read.wait(10) and None)
    yield is_read
    is_read.set()


async def test_a_kill_waits_for_no_command_before_it(place: Place, slow_archive: threading.Event) -> None:
    line = await place.line()
    for number in range(20):
        await line.say(op="command", id=number, command="trace", args={"id": "td-old"})
    await line.say(op="command", id="kill", command="kill", args={"action": "halt", "reason": "x"})
    told = await line.until(id="kill")
    assert (told["ok"], told["data"]["changed"]) == (True, True)
    slow_archive.set()
    assert (await line.until(id=0))["status"] == 404
    assert place.daemon.commands == [orders.EngageKillSwitch("halt", "x", "operator")]


async def test_a_kill_is_obeyed_although_its_client_has_left(place: Place, slow_archive: threading.Event) -> None:
    line = await place.line()
    await line.say(op="command", command="trace", args={"id": "td-old"})
    await line.say(op="command", command="kill", args={"action": "halt", "reason": "x"})
    await line.link.close()
    for _ in range(50):
        await asyncio.sleep(0.01)
    assert place.daemon.read_model.kill is not None


async def test_a_kill_said_after_an_unlock_is_the_last_word(place: Place, slow_archive: threading.Event) -> None:
    line = await place.line()
    await line.say(op="command", command="kill", args={"action": "halt", "reason": "before"}, key="k1")
    await line.until(command="kill")
    await line.say(op="command", id=1, command="trace", args={"id": "td-old"})
    await line.say(op="command", id=2, command="unlock", args={"reason": "over", "confirm": "unlock"})
    await line.say(op="command", id=3, command="kill", args={"action": "halt", "reason": "again"}, key="k2")
    assert (await line.until(id=3))["ok"]
    slow_archive.set()
    assert (await line.until(id=2))["ok"]
    await line.say(op="command", id=4, command="status")
    told = await line.until(id=4)
    assert told["data"]["kill"]["reason"] == "again"


async def test_as_many_kills_are_obeyed_at_once_as_commands_may_wait(
    place: Place, monkeypatch: pytest.MonkeyPatch,
) -> None:
    are_obeyed = asyncio.Event()

    async def slowly(*_: object, **__: object) -> tuple[int, dict[str, bool]]:
        await are_obeyed.wait()
        return 200, {"changed": True}

    monkeypatch.setattr(websocket_protocol, "dispatch", slowly)
    line = await place.line()
    for number in range(websocket_protocol.MOST_COMMANDS + 1):
        await line.say(op="command", id=number, command="kill", args={"action": "halt", "reason": "x"})
    assert "TOO_MANY_COMMANDS" in str(await line.until(op="error"))
    are_obeyed.set()
    for number in range(websocket_protocol.MOST_COMMANDS):
        assert (await line.until(id=number))["ok"]
