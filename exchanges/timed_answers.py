"""Many questions at once, and only so much time for the answers."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

_Asked = TypeVar("_Asked")
_Told = TypeVar("_Told")


async def answers_within(
    seconds: float, ask: Callable[[_Asked], Coroutine[Any, Any, _Told]], about: Sequence[_Asked]
) -> dict[_Asked, _Told]:
    """What `ask` says about each, without those that gave no answer in time: these are cancelled.

    They are asked in the order of `about`, so what matters most goes first through a budget that cannot carry all.
    """
    if not about:
        return {}
    tasks = {each: asyncio.create_task(ask(each)) for each in about}
    try:
        done, _ = await asyncio.wait(tasks.values(), timeout=seconds)
        return {each: task.result() for each, task in tasks.items() if task in done}
    finally:
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
