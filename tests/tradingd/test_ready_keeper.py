"""Orders are made ready soon after a step, and not more often than is worth it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

from tradingd.ready_keeper import BURST, PER_S, ReadyKeeper
from tradingd.runtime import Runtime


class Paced:
    """What a keeper needs of a runtime."""

    def __init__(self) -> None:
        self.fired_ready = self.made = 0
        self.on_step: Callable[[], None] = lambda: None
        self.was_made = asyncio.Event()

    def make_ready(self) -> None:
        self.made += 1
        self.was_made.set()

    async def step(self) -> None:
        self.was_made.clear()
        self.on_step()
        await asyncio.wait_for(self.was_made.wait(), 5)


@asynccontextmanager
async def kept() -> AsyncIterator[tuple[Paced, ReadyKeeper]]:
    runtime: Any = Paced()
    keeper = ReadyKeeper(cast("Runtime", runtime))
    task = asyncio.create_task(keeper.run())
    await asyncio.sleep(0)
    try:
        yield runtime, keeper
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_steps_that_come_together_are_served_once() -> None:
    async with kept() as (runtime, keeper):
        runtime.on_step()
        runtime.on_step()
        await runtime.step()
        assert runtime.made == keeper.made == 1


async def test_what_nobody_uses_is_made_ever_more_rarely() -> None:
    async with kept() as (runtime, keeper):
        begin = asyncio.get_running_loop().time()
        steps = int(1.5 * BURST)
        for _ in range(steps):
            await runtime.step()
        assert asyncio.get_running_loop().time() - begin > (steps - BURST - 1) / PER_S
        assert keeper.made == steps


async def test_an_order_that_left_ready_gives_its_share_back() -> None:
    async with kept() as (runtime, keeper):
        for number in range(3 * int(BURST)):
            await runtime.step()
            runtime.fired_ready += 1
            assert keeper._level > BURST - 2, number


async def test_once_ended_it_hears_of_no_step() -> None:
    async with kept() as (runtime, keeper):
        await runtime.step()
        runtime.on_step()
        waiting = keeper._waiting
    assert waiting is not None
    assert waiting.cancelled()
    runtime.on_step()
    assert keeper._waiting is waiting
