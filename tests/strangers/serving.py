"""A stranger in a thread of its own."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from aiohttp import web


class Served:
    """Where it is, and a way into its loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, port: int, host: str) -> None:
        self._loop, self.port = loop, port
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def do(self, work: Callable[[], Any]) -> Any:
        """Runs `work` in the stranger's loop, and its result; whoever changes a stranger does it there."""

        async def run() -> Any:
            return work()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    def wait_for(self, work: Coroutine[Any, Any, Any]) -> Any:
        """The same for something that takes time."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)


@contextmanager
def serving(
    routes: Sequence[web.RouteDef], run: Callable[[], Coroutine[Any, Any, None]], port: int = 0, host: str = "127.0.0.1"
) -> Iterator[Served]:
    """Serves the routes, and runs `run` beside them, for the length of the block."""
    loop = asyncio.new_event_loop()
    started: list[int] = []
    ready = threading.Event()

    async def start() -> web.AppRunner:
        app = web.Application()
        app.add_routes(routes)
        runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, host, port, reuse_address=True).start()
        started.append(runner.addresses[0][1])
        return runner

    def work() -> None:
        asyncio.set_event_loop(loop)
        runner = loop.run_until_complete(start())
        running = loop.create_task(run())
        running.add_done_callback(lambda task: task.cancelled() or task.result())
        ready.set()
        loop.run_forever()
        running.cancel()
        loop.run_until_complete(runner.cleanup())
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        assert ready.wait(10), "the stranger did not start"
        yield Served(loop, started[0], host)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
