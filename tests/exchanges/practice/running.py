"""A practice exchange served inside the test's loop, and one as a real child process."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from exchanges.practice.config import PracticeConfig, PracticeUrls
from exchanges.practice.server import serve


class ChildFailed(Exception):
    """The child ended before it was ready; the text is its exit code and error output."""


@contextlib.asynccontextmanager
async def running(config: PracticeConfig) -> AsyncIterator[PracticeUrls]:
    ready: asyncio.Future[PracticeUrls] = asyncio.get_running_loop().create_future()
    serving: asyncio.Future[None] = asyncio.ensure_future(serve(config, ready.set_result))
    both: list[asyncio.Future[Any]] = [ready, serving]
    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        serving.result()
    try:
        yield ready.result()
    finally:
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving


async def child(data_dir: Path, *options: str) -> tuple[asyncio.subprocess.Process, PracticeUrls]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "exchanges.practice", "--data-dir", str(data_dir), *options,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    line = await process.stdout.readline()
    if not line:
        _, text = await process.communicate()
        raise ChildFailed(f"exit {process.returncode}: {text.decode()}")
    return process, PracticeUrls(**orjson.loads(line))


class Rest:
    """Answers with status and body."""

    def __init__(self, session: aiohttp.ClientSession, urls: PracticeUrls) -> None:
        self._session = session
        self._base = urls.rest_url

    async def call(self, method: str, path: str, **params: Any) -> tuple[int, Any]:
        async with self._session.request(method, f"{self._base}{path}", params=params) as answer:
            return answer.status, orjson.loads(await answer.read())

    async def get(self, path: str, **params: Any) -> Any:
        status, body = await self.call("GET", path, **params)
        assert status == 200, body
        return body

    async def signed(self, method: str, path: str, **params: Any) -> tuple[int, Any]:
        time = await self.get("/api/v3/time")
        return await self.call(method, f"/api/v3/{path}", timestamp=time["serverTime"], **params)


async def eventually(look: Callable[[], Awaitable[Any]], seconds: float = 10) -> Any:
    """The first truthy answer."""
    async with asyncio.timeout(seconds):
        while not (found := await look()):  # noqa: ASYNC110  # it is another process's or connection's doing
            await asyncio.sleep(0.02)
    return found


async def receive(ws: aiohttp.ClientWebSocketResponse) -> Any:
    message = await asyncio.wait_for(ws.receive(), 10)
    assert message.type is aiohttp.WSMsgType.TEXT, message
    return orjson.loads(message.data)
