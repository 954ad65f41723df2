"""Puts the parts together and serves them on loopback until cancelled."""

import asyncio
import contextlib
import fcntl
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final

from aiohttp import web

from exchanges.practice.config import PracticeConfig, PracticeError, PracticeUrls
from exchanges.practice.exchange import Exchange, open_exchange
from exchanges.practice.fault_requests import RequestFaults
from exchanges.practice.rest_market import VenueRefusal, refusal_body, reply

HOST: Final = "127.0.0.1"
_BODY_LIMIT: Final = 256 * 1024
_LOCK_TRIES: Final = 30
_LOCK_PAUSE_S: Final = 0.1


async def serve(config: PracticeConfig, ready: Callable[[PracticeUrls], None]) -> None:
    """Run one practice exchange until cancelled; `ready` is called once it answers.

    Raises `PracticeError` when it cannot start: a recording or state file is bad, the port is taken.
    """
    async with contextlib.AsyncExitStack() as open_things:
        bound = open_things.enter_context(_bind(config.port))
        await open_things.enter_async_context(only_one(config.data_dir))
        exchange = open_exchange(config)
        open_things.callback(exchange.close)
        runner = web.AppRunner(_application(exchange), access_log=None, handle_signals=False, shutdown_timeout=1.0)
        open_things.push_async_callback(_stop, runner, exchange)
        await runner.setup()
        await web.SockSite(runner, bound).start()
        port = bound.getsockname()[1]
        base = f"ws://{HOST}:{port}"
        ready(PracticeUrls(
            f"http://{HOST}:{port}", f"{base}/stream", f"{base}/ws-api/v3", f"{base}/coinbase/market",
            f"{base}/coinbase/user",
        ))
        await _run(exchange)


async def _run(exchange: Exchange) -> None:
    try:
        async with asyncio.TaskGroup() as tasks:
            beside = [tasks.create_task(work) for work in exchange.beside()]
            await exchange.run()
            for task in beside:
                task.cancel()
    except* PracticeError as several:
        raise PracticeError(str(several.exceptions[0])) from several


async def _stop(runner: web.AppRunner, exchange: Exchange) -> None:
    exchange.cut_clients()
    await runner.cleanup()


@contextlib.asynccontextmanager
async def only_one(data_dir: Path) -> AsyncIterator[None]:
    """Hold the data folder: two exchanges on one account would each forget what the other did.

    A predecessor that is just ending (its parent was killed) is waited for.
    """
    path = data_dir / "practice" / "lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.open("ab")
    except OSError as error:
        raise PracticeError(f"{path}: cannot be written ({error.strerror}): name a data folder of yours") from error
    with lock:
        for attempt in range(_LOCK_TRIES + 1):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if attempt == _LOCK_TRIES:
                    raise PracticeError(
                        f"{path.parent}: another practice exchange uses this folder: end it, or name another --data-dir"
                    ) from error
                await asyncio.sleep(_LOCK_PAUSE_S)
        yield


def _bind(port: int) -> socket.socket:
    # IPPROTO_TCP in full: with proto 0 the event loop does not set TCP_NODELAY and every answer waits 40 ms.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((HOST, port))
    except OSError as error:
        bound.close()
        raise PracticeError(f"port {port} cannot be opened ({error.strerror}): choose another, or 0") from error
    return bound


def _application(exchange: Exchange) -> web.Application:
    middlewares = [_errors, RequestFaults(exchange.faults).middleware()]
    app = web.Application(middlewares=middlewares, client_max_size=_BODY_LIMIT)
    app.add_routes(exchange.routes())
    return app


@web.middleware
async def _errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except VenueRefusal as refusal:
        return reply(refusal_body(refusal), refusal.status)
    except web.HTTPException as error:
        return reply({"code": -1000, "msg": f"{request.method} {request.path}: {error.reason}"}, error.status)
    except (asyncio.CancelledError, ConnectionError):
        raise
    except Exception as error:  # noqa: BLE001 - a client's request must never end the exchange
        with contextlib.suppress(Exception):
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"practice exchange: {request.method} {request.path}", "exception": error}
            )
        return reply({"code": -1000, "msg": "An unknown error occurred while processing the request."}, 500)
