"""What both carriers promise, tested on both: the memory bus and Redis (a real server)."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from bus import redis_bus
from bus.bus import Bus
from bus.clock import FeedClock
from bus.ids import SessionId
from bus.memory_bus import MemoryBus
from bus.messages.header import PRIORITY_DATA, Message, MessageMaker
from bus.messages.orders import CancelOrder, ClosePosition
from bus.messages.system import AlertRaised, BusGap, Heartbeat
from bus.redis_bus import RedisBus
from tests.redis_server import RedisServer

SESSION = SessionId("s1")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def clock() -> FeedClock:
    return FeedClock(1_000)


@pytest.fixture(params=["memory", "redis"])
async def bus(request: pytest.FixtureRequest, clock: FeedClock, tmp_path: Path) -> AsyncIterator[Bus]:
    maker = MessageMaker("bus", SESSION)
    made: Bus
    if request.param == "memory":
        made = MemoryBus(maker, queue_size=100)
    else:
        server = request.getfixturevalue("server")
        made = RedisBus(server.url, f"test{id(clock)}", SESSION, maker, clock, queue_size=100)
    yield made
    await made.stop()


async def until(condition: Callable[[], bool], bus: Bus, clock: FeedClock) -> None:
    async with asyncio.timeout(5):
        while not condition():
            bus.pump(clock.now())
            await asyncio.sleep(0.005)


def beats(heard: list[Message]) -> list[str]:
    return [m.body.agent for m in heard if isinstance(m.body, Heartbeat)]


async def test_a_message_reaches_every_subscriber_of_its_type_and_no_other(bus: Bus, clock: FeedClock) -> None:
    first: list[Message] = []
    second: list[Message] = []
    other: list[Message] = []
    bus.subscribe("first", frozenset({Heartbeat}), first.append)
    bus.subscribe("second", frozenset({Heartbeat, AlertRaised}), second.append)
    bus.subscribe("other", frozenset({AlertRaised}), other.append)
    await bus.start()
    message = MessageMaker("ceo", SESSION).make(Heartbeat("ceo"), 1)
    bus.publish(message)
    await until(lambda: bool(first and second), bus, clock)
    assert first == second == [message]
    assert other == []


async def test_a_target_is_the_only_one_to_hear(bus: Bus, clock: FeedClock) -> None:
    heard: dict[str, list[Message]] = {"a": [], "b": []}
    for name, box in heard.items():
        bus.subscribe(name, frozenset({CancelOrder, Heartbeat}), box.append)
    await bus.start()
    maker = MessageMaker("trader", SESSION)
    bus.publish(maker.make(CancelOrder("td-1", "test"), 1, target="b"))  # type: ignore[arg-type]
    bus.publish(maker.make(Heartbeat("last"), 1))
    await until(lambda: beats(heard["a"]) == beats(heard["b"]) == ["last"], bus, clock)
    assert [type(m.body) for m in heard["b"]] == [CancelOrder, Heartbeat]
    assert [type(m.body) for m in heard["a"]] == [Heartbeat]


async def test_messages_of_one_source_arrive_in_order_and_once(bus: Bus, clock: FeedClock) -> None:
    heard: list[Message] = []
    bus.subscribe("a", frozenset({Heartbeat}), heard.append)
    await bus.start()
    maker = MessageMaker("ceo", SESSION)
    for number in range(90):
        bus.publish(maker.make(Heartbeat(str(number)), 1))
    await until(lambda: len(heard) >= 90, bus, clock)
    assert beats(heard) == [str(number) for number in range(90)]


async def test_an_expired_message_is_not_delivered(bus: Bus, clock: FeedClock) -> None:
    heard: list[Message] = []
    bus.subscribe("a", frozenset({Heartbeat, BusGap}), heard.append)
    await bus.start()
    maker = MessageMaker("ceo", SESSION)
    bus.publish(maker.make(Heartbeat("late"), 1, expires=1_000))
    bus.publish(maker.make(Heartbeat("timely"), 1, expires=1_001))
    await until(lambda: beats(heard) == ["timely"], bus, clock)
    assert bus.counters.expired == 1  # type: ignore[attr-defined]


async def test_a_lost_number_is_told_as_a_gap(bus: Bus, clock: FeedClock) -> None:
    heard: list[Message] = []
    bus.subscribe("a", frozenset({Heartbeat, BusGap}), heard.append)
    await bus.start()
    maker = MessageMaker("ceo", SESSION)
    if isinstance(bus, MemoryBus):
        # Memory loses only by overflow: the oldest of the least urgent goes.
        for number in range(101):
            bus.publish(maker.make(Heartbeat(str(number)), 1, priority=PRIORITY_DATA))
        lost = 1
    else:
        bus.publish(maker.make(Heartbeat("1"), 1))
        maker.make(Heartbeat("never published"), 1)
        bus.publish(maker.make(Heartbeat("3"), 1))
        lost = 2
    await until(lambda: any(isinstance(m.body, BusGap) for m in heard), bus, clock)
    gap = next(m.body for m in heard if isinstance(m.body, BusGap))
    assert (gap.missing_source, gap.first, gap.last) == ("ceo", lost, lost)
    assert bus.counters.gaps == 1  # type: ignore[attr-defined]


async def test_what_a_handler_publishes_is_delivered_too(bus: Bus, clock: FeedClock) -> None:
    heard: list[Message] = []
    maker = MessageMaker("a", SESSION)

    def answer(question: Message) -> None:
        bus.publish(maker.make(Heartbeat("answer"), 1, cause=question.id))

    bus.subscribe("a", frozenset({ClosePosition}), answer)
    bus.subscribe("b", frozenset({Heartbeat}), heard.append)
    await bus.start()
    question = MessageMaker("b", SESSION).make(ClosePosition("BTC/USDT"), 1)
    bus.publish(question)
    await until(lambda: bool(heard), bus, clock)
    assert heard[0].header.cause == question.id


async def test_memory_lets_control_overtake_data_and_keeps_order_within_a_priority() -> None:
    bus = MemoryBus(MessageMaker("bus", SESSION))
    heard: list[Message] = []
    bus.subscribe("a", frozenset({Heartbeat, CancelOrder}), heard.append)
    maker = MessageMaker("x", SESSION)
    bus.publish(maker.make(Heartbeat("1"), 1))
    bus.publish(maker.make(Heartbeat("2"), 1))
    bus.publish(maker.make(CancelOrder("td-1", ""), 1))  # type: ignore[arg-type]
    bus.pump(1)
    assert [type(m.body).__name__ for m in heard] == ["CancelOrder", "Heartbeat", "Heartbeat"]
    assert beats(heard) == ["1", "2"]


async def test_what_memory_has_not_delivered_yet_can_be_seen() -> None:
    bus = MemoryBus(MessageMaker("bus", SESSION))
    bus.subscribe("a", frozenset({Heartbeat}), lambda message: None)
    bus.publish(MessageMaker("x", SESSION).make(AlertRaised("info", "x", "for nobody"), 1))
    assert not bus.waiting
    bus.publish(MessageMaker("x", SESSION).make(Heartbeat("1"), 1))
    assert bus.waiting
    bus.pump(1)
    assert not bus.waiting


async def test_redis_may_die_and_come_back(tmp_path: Path, clock: FeedClock) -> None:
    server = RedisServer(tmp_path)
    server.start()
    changes: list[bool] = []
    heard: list[Message] = []
    bus = RedisBus(server.url, "test", SESSION, MessageMaker("bus", SESSION), clock, on_change=changes.append)
    bus.subscribe("a", frozenset({Heartbeat, BusGap}), heard.append)
    maker = MessageMaker("ceo", SESSION)
    try:
        await bus.start()
        bus.publish(maker.make(Heartbeat("before"), 1))
        await until(lambda: beats(heard) == ["before"], bus, clock)
        server.kill()
        await until(lambda: not bus.is_connected, bus, clock)
        bus.publish(maker.make(Heartbeat("meanwhile"), 1, expires=2_000))
        clock.advance(3_000)
        server.start()
        await until(lambda: bus.is_connected, bus, clock)
        bus.publish(maker.make(Heartbeat("after"), 1))
        await until(lambda: "after" in beats(heard), bus, clock)
        assert beats(heard) == ["before", "after"]
        assert any(isinstance(m.body, BusGap) for m in heard)
        assert changes[:3] == [True, False, True]
    finally:
        await bus.stop()
        server.kill()


async def test_a_mute_redis_is_a_lost_redis(
    tmp_path: Path, clock: FeedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_bus, "_LOOK_S", 0.02)
    monkeypatch.setattr(redis_bus, "_SILENCE_S", 0.3)
    server = RedisServer(tmp_path)
    server.start()
    bus = RedisBus(server.url, "test", SESSION, MessageMaker("bus", SESSION), clock)
    try:
        await bus.start()
        assert bus.is_connected
        server.freeze()
        await until(lambda: not bus.is_connected, bus, clock)
        server.thaw()
        await until(lambda: bus.is_connected, bus, clock)
    finally:
        await bus.stop()
        server.kill()


async def test_redis_is_asked_for_its_password(tmp_path: Path, clock: FeedClock) -> None:
    import redis.asyncio as redis

    server = RedisServer(tmp_path)
    server.start()
    client = redis.Redis.from_url(server.url)
    heard: list[Message] = []
    bus = RedisBus(
        server.url.replace("://", "://:secret@"), "test", SESSION, MessageMaker("bus", SESSION), clock
    )
    bus.subscribe("a", frozenset({Heartbeat}), heard.append)
    try:
        await client.config_set("requirepass", "another")
        await bus.start()
        assert not bus.is_connected
        await client.config_set("requirepass", "secret")
        await until(lambda: bus.is_connected, bus, clock)
        bus.publish(MessageMaker("ceo", SESSION).make(Heartbeat("inside"), 1))
        await until(lambda: beats(heard) == ["inside"], bus, clock)
    finally:
        await bus.stop()
        await client.aclose()
        server.kill()


async def test_what_redis_does_not_let_us_publish_ends_the_link(tmp_path: Path, clock: FeedClock) -> None:
    import redis.asyncio as redis

    server = RedisServer(tmp_path)
    server.start()
    client = redis.Redis.from_url(server.url)
    bus = RedisBus(server.url.replace("://", "://reader:x@"), "test", SESSION, MessageMaker("bus", SESSION), clock)
    changes: list[bool] = []
    bus._on_change = changes.append
    try:
        await client.acl_setuser(
            "reader", enabled=True, passwords=["+x"], channels=["*"], categories=["+@all"], commands=["-publish"]
        )
        await bus.start()
        assert bus.is_connected
        bus.publish(MessageMaker("ceo", SESSION).make(Heartbeat("ceo"), 1))
        await until(lambda: False in changes, bus, clock)
        assert bus.counters.reconnects >= 1
    finally:
        await bus.stop()
        await client.aclose()
        server.kill()


async def test_a_burst_larger_than_the_socket_arrives_whole(server: RedisServer, clock: FeedClock) -> None:
    heard: list[Message] = []
    bus = RedisBus(server.url, "burst", SESSION, MessageMaker("bus", SESSION), clock)
    bus.subscribe("a", frozenset({AlertRaised, BusGap}), heard.append)
    maker = MessageMaker("ceo", SESSION)
    try:
        await bus.start()
        for number in range(1_000):
            bus.publish(maker.make(AlertRaised("info", str(number), "x" * 2_000), 1))
        await until(lambda: len(heard) >= 1_000, bus, clock)
        assert [m.body.title for m in heard] == [str(number) for number in range(1_000)]
    finally:
        await bus.stop()


async def test_redis_refuses_forged_and_malformed_messages(server: RedisServer, clock: FeedClock) -> None:
    import redis.asyncio as redis

    heard: list[Message] = []
    bus = RedisBus(server.url, "forged", SESSION, MessageMaker("bus", SESSION), clock)
    bus.subscribe("a", frozenset({Heartbeat}), heard.append)
    client = redis.Redis.from_url(server.url)
    from bus.codec import encode

    try:
        await bus.start()
        foreign = MessageMaker("ceo", SessionId("other")).make(Heartbeat("foreign"), 1)
        unheard_of = MessageMaker("stranger", SESSION).make(Heartbeat("stranger"), 1)
        for data in (b"", b"{}", b"\x80pickle", encode(foreign), encode(unheard_of)):
            await client.publish("forged.council", data)
        await until(lambda: bus.counters.refused == 5, bus, clock)
        assert heard == []
    finally:
        await bus.stop()
        await client.aclose()


async def test_a_number_that_was_never_given_mutes_nobody(server: RedisServer, clock: FeedClock) -> None:
    import redis.asyncio as redis

    heard: list[Message] = []
    bus = RedisBus(server.url, "mute", SESSION, MessageMaker("bus", SESSION), clock)
    bus.subscribe("a", frozenset({Heartbeat, BusGap}), heard.append)
    client = redis.Redis.from_url(server.url)
    from bus.codec import encode

    try:
        await bus.start()
        ceo = MessageMaker("ceo", SESSION)
        bus.publish(ceo.make(Heartbeat("1"), 1))
        await until(lambda: beats(heard) == ["1"], bus, clock)
        forged = MessageMaker("ceo", SESSION).make(Heartbeat("forged"), 1)
        for number in (1, 2, 2**62):
            await client.publish("mute.council", encode(forged._replace(header=forged.header._replace(seq=number))))
        await until(lambda: bus.counters.refused == 3, bus, clock)
        for number in range(2, 10):
            bus.publish(ceo.make(Heartbeat(str(number)), 1))
        await until(lambda: len(heard) >= 9, bus, clock)
        assert beats(heard) == [str(number) for number in range(1, 10)]
        assert bus.counters.gaps == 0
    finally:
        await bus.stop()
        await client.aclose()
