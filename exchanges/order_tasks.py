"""What an order adapter does beside the caller: requests on their way, and what becomes of an order when one breaks."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from bus.clock import Clock
from bus.ids import ClientOrderId
from bus.messages.orders import ExecutionReport


class OrderTasks:
    """The tasks of one adapter. A defect in one is told, and leaves its order unknown: never forgotten."""

    def __init__(
        self, name: str, clock: Clock, on_problem: Callable[[str], None], tell: Callable[[ExecutionReport], None],
    ) -> None:
        self._name = name
        self._clock = clock
        self._on_problem = on_problem
        self._tell = tell
        self._tasks: set[asyncio.Task[None]] = set()

    def run(
        self, work: Coroutine[Any, Any, None], what: str,
        client_order_id: ClientOrderId | None = None, symbol: str = "",
    ) -> None:
        """Run it beside us; `what` names it in a problem's sentence."""

        def on_done(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if task.cancelled() or task.exception() is None:
                return
            problem = f"{self._name}: {what} failed: {task.exception()!r}"
            self._on_problem(problem)
            if client_order_id is not None:
                self._tell(
                    ExecutionReport(client_order_id, symbol, "unknown", self._clock.now(), reason=problem[:200])
                )

        task = asyncio.get_running_loop().create_task(work, name=what)
        self._tasks.add(task)
        task.add_done_callback(on_done)

    async def cancel(self) -> None:
        """End every one; returns when they have ended."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
