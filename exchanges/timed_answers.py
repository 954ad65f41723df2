"""Many questions at once, and only so much time for the answers; and how tasks are ended."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Sequence
from typing import Any, TypeVar

_Asked = TypeVar("_Asked")
_Told = TypeVar("_Told")


async def answers_within(
    seconds: float, ask: Callable[[_Asked], Coroutine[Any, Any, _Told]], about: Sequence[_Asked], *,
    longer_for: Collection[_Asked] = (), longer_s: float = 0.0,
) -> dict[_Asked, _Told]:
    """What `ask` says about each, without those that gave no answer in time: these are cancelled.

    They are asked in the order of `about`, so what matters most goes first through a budget that cannot carry all.
    Answers about those in `longer_for` are waited for until `longer_s` seconds have passed; what the others say
    meanwhile counts. What a question raises comes out, without waiting for the rest.
    """
    if not about:
        return {}
    tasks = {each: asyncio.create_task(ask(each)) for each in about}
    try:
        done, _ = await asyncio.wait(tasks.values(), timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
        awaited = [tasks[each] for each in about if each in longer_for and not tasks[each].done()]
        if awaited and longer_s > seconds:
            await asyncio.wait(awaited, timeout=longer_s - seconds, return_when=asyncio.FIRST_EXCEPTION)
        return {each: task.result() for each, task in tasks.items() if task.done()}
    finally:
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)


async def end_tasks(*tasks: asyncio.Task[Any] | None) -> None:
    """End the tasks; what one of them raised by mistake is raised here, not lost."""
    live = [task for task in tasks if task is not None]
    for task in live:
        task.cancel()
    for outcome in await asyncio.gather(*live, return_exceptions=True):
        if isinstance(outcome, Exception):
            raise outcome
