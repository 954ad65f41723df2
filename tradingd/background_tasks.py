"""What runs beside the feed for as long as the process does; the failure of one is the failure of the process."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

_LIMIT_S: Final = 15.0


class BackgroundTasks:
    """`on_failure` hears what one of them raised."""

    def __init__(self, on_failure: Callable[[BaseException], None]) -> None:
        self._on_failure = on_failure
        self._tasks: list[asyncio.Task[Any]] = []

    def spawn(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Begin it; it may end before the others."""
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._on_done)
        self._tasks.append(task)

    async def cancel(self) -> None:
        """End them all; one that does not end in 15 s is left behind."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_LIMIT_S)
        self._tasks.clear()

    def _on_done(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_failure(error)
