"""P6: what it costs to hand a message over: memory bus beside asyncio.Queue, Redis bus beside bare redis-py."""

import asyncio
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import redis.asyncio as redis

from benchmarks.result import Result, median_rate
from bus.clock import LiveClock
from bus.codec import decode, encode
from bus.ids import SessionId
from bus.memory_bus import MemoryBus
from bus.messages.council import AlphaSignal
from bus.messages.header import Message, MessageMaker
from bus.redis_bus import RedisBus
from tests.redis_server import RedisServer

HOPS = 50_000
REDIS_HOPS = 1_000
REDIS_BURST = 5_000
BATCH = 256
RUNS = 5
SESSION = SessionId("bench")


def run() -> list[Result]:
    memory = 1e6 / median_rate(_memory, HOPS)
    queue = 1e6 / median_rate(lambda: lambda: asyncio.run(_through_queue()), HOPS)
    results = [
        Result("bus_hop", memory, "us", {"bus": "memory"}),
        Result("bus_hop", queue, "us", {"peer": "asyncio.Queue"}),
        Result("bus_codec", 1e6 / median_rate(_codec, REDIS_BURST), "us", {"work": "encode and decode"}),
    ]
    with TemporaryDirectory() as folder:
        try:
            server = RedisServer(Path(folder))
            server.start()
        except (ImportError, OSError, RuntimeError) as error:
            print(f"bus_hop: Redis left out, no server could be started: {error}", file=sys.stderr)
            return results
        try:
            results += asyncio.run(_redis(server.url))
        finally:
            server.kill()
    return results


def _signals(count: int) -> list[Message]:
    maker = MessageMaker("bench", SESSION)
    now = time.time_ns()
    return [maker.make(_signal(number), now) for number in range(count)]


def _signal(number: int) -> AlphaSignal:
    return AlphaSignal(
        alpha="momentum", version="1", symbol="BTC/USDT", interval="1s", ts_open=1_700_000_000_000_000_000,
        action="trail_buy", confidence=0.75, weight=0.2, trail_ratio=0.02, urgency="medium",
        reasoning=f"signal {number}",
    )


def _memory() -> Callable[[], object]:
    """Publish and pump each message alone: the worst case, nothing is shared between hops."""
    messages = _signals(HOPS)
    bus = MemoryBus(MessageMaker("bus", SESSION))
    heard: list[Message] = []
    bus.subscribe("listener", frozenset({AlphaSignal}), heard.append)

    def work() -> None:
        for message in messages:
            bus.publish(message)
            bus.pump(0)
        if len(heard) != HOPS:
            raise AssertionError(f"{len(heard)} of {HOPS} arrived")

    return work


def _codec() -> Callable[[], object]:
    messages = _signals(REDIS_BURST)

    def work() -> None:
        for message in messages:
            decode(encode(message))

    return work


async def _through_queue() -> None:
    """Two tasks that take turns: each message is a wake-up of the other task."""
    there: asyncio.Queue[int] = asyncio.Queue(maxsize=1)

    async def consume() -> None:
        for _ in range(HOPS):
            await there.get()

    consumer = asyncio.create_task(consume())
    for number in range(HOPS):
        await there.put(number)
    await consumer


async def _redis(url: str) -> list[Result]:
    hop, bus_rate = await _through_redis_bus(url)
    bare_hop, single_rate, bare_rate = await _through_bare_redis(url)
    return [
        Result("bus_hop", hop, "us", {"bus": "redis"}),
        Result("bus_hop", bare_hop, "us", {"peer": "redis-py publish"}),
        Result("bus_rate", bus_rate, "messages/s", {"bus": "redis"}),
        Result("bus_rate", single_rate, "messages/s", {"peer": "redis-py, one publish at a time"}),
        Result("bus_rate", bare_rate, "messages/s", {"peer": "redis-py, pipelines of 256"}),
        Result("bus_rate_ratio", bus_rate / single_rate, "x redis-py", {"of": "one publish at a time"}),
        Result("bus_rate_ratio", bus_rate / bare_rate, "x redis-py", {"of": "pipelines of 256"}),
    ]


async def _through_redis_bus(url: str) -> tuple[float, float]:
    clock = LiveClock()
    bus = RedisBus(url, "bench", SESSION, MessageMaker("bus", SESSION), clock)
    arrived = asyncio.Event()
    heard = 0
    wanted = 1

    def on_message(message: Message) -> None:
        nonlocal heard
        heard += 1
        if heard == wanted:
            arrived.set()

    bus.subscribe("listener", frozenset({AlphaSignal}), on_message)
    await bus.start()
    if not bus.is_connected:
        raise RuntimeError("the Redis bus did not connect")
    maker = MessageMaker("bench", SESSION)
    hops: list[float] = []
    rates: list[float] = []
    try:
        for number in range(REDIS_HOPS):
            heard, wanted = 0, 1
            arrived.clear()
            begin = time.perf_counter()
            bus.publish(maker.make(_signal(number), clock.now()))
            await arrived.wait()
            hops.append(time.perf_counter() - begin)
        for _ in range(RUNS):
            messages = [maker.make(_signal(number), clock.now()) for number in range(REDIS_BURST)]
            heard, wanted = 0, REDIS_BURST
            arrived.clear()
            begin = time.perf_counter()
            for message in messages:
                bus.publish(message)
            await asyncio.wait_for(arrived.wait(), 30)
            rates.append(REDIS_BURST / (time.perf_counter() - begin))
    finally:
        await bus.stop()
    return statistics.median(hops) * 1e6, statistics.median(rates)


async def _through_bare_redis(url: str) -> tuple[float, float, float]:
    """The same bytes through redis-py alone, without making, encoding, decoding or delivering messages."""
    payloads = [encode(message) for message in _signals(REDIS_BURST)]
    sender, listener = redis.Redis.from_url(url, protocol=2), redis.Redis.from_url(url, protocol=2)
    channel = listener.pubsub(ignore_subscribe_messages=True)
    hops: list[float] = []
    singles: list[float] = []
    rates: list[float] = []
    try:
        await channel.subscribe("bench.bare")
        while await channel.get_message(timeout=0.2) is not None:
            pass
        for payload in payloads[:REDIS_HOPS]:
            begin = time.perf_counter()
            await sender.publish("bench.bare", payload)
            await _hear(channel, 1)
            hops.append(time.perf_counter() - begin)
        for _ in range(RUNS):
            begin = time.perf_counter()
            listening = asyncio.create_task(_hear(channel, REDIS_HOPS))
            for payload in payloads[:REDIS_HOPS]:
                await sender.publish("bench.bare", payload)
            await asyncio.wait_for(listening, 30)
            singles.append(REDIS_HOPS / (time.perf_counter() - begin))
            begin = time.perf_counter()
            listening = asyncio.create_task(_hear(channel, REDIS_BURST))
            for first in range(0, REDIS_BURST, BATCH):
                pipe = sender.pipeline(transaction=False)
                for payload in payloads[first : first + BATCH]:
                    pipe.publish("bench.bare", payload)
                await pipe.execute()
            await asyncio.wait_for(listening, 30)
            rates.append(REDIS_BURST / (time.perf_counter() - begin))
    finally:
        await channel.aclose()  # type: ignore[no-untyped-call]
        await sender.aclose()
        await listener.aclose()
    return statistics.median(hops) * 1e6, statistics.median(singles), statistics.median(rates)


async def _hear(channel: "redis.client.PubSub", count: int) -> None:
    heard = 0
    while heard < count:
        if await channel.get_message(timeout=5) is not None:
            heard += 1
