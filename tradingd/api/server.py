"""uvicorn as a guest in our loop: our socket, our signals, our logging."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator
from typing import Final

import uvicorn
from fastapi import FastAPI

MAX_CONNECTIONS: Final = 200
_GRACE_S: Final = 2
_KEEP_ALIVE_S: Final = 5


class PortInUseError(RuntimeError):
    """The API's address cannot be bound; the text says which and what to do."""


class _Server(uvicorn.Server):
    """Leaves the signals to the daemon: uvicorn would stop itself before the parts are ended in order."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def bind_api(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 picks a free one. Raises `PortInUseError`."""
    # Without the protocol number asyncio does not set TCP_NODELAY on such a socket: 44 ms per request.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUseError(
                f"api.port {port} on {host} is taken by another program. Stop it, or choose another with --port "
                "(0 picks a free one)."
            ) from error
        raise PortInUseError(
            f"api.host {host}, api.port {port} cannot be used ({error.strerror or error}). "
            "Set them to an address of this machine and a port you may open."
        ) from error
    listener.setblocking(False)
    return listener


def url_of(listener: socket.socket) -> str:
    """http://host:port as a client on this machine reaches it."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - a name to compare with
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"  # noqa: S104
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class ApiServer:
    """The running API. `url` is how a client on this machine reaches it."""

    def __init__(self, app: FastAPI, listener: socket.socket) -> None:
        self.url = url_of(listener)
        self._listener = listener
        config = uvicorn.Config(
            app, lifespan="off", ws="none", http="httptools", log_config=None, access_log=False, server_header=False,
            proxy_headers=False,  # a client could name its own address and dodge the login lock
            timeout_graceful_shutdown=_GRACE_S, timeout_keep_alive=_KEEP_ALIVE_S, limit_concurrency=MAX_CONNECTIONS,
        )
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]), name="api")

    async def started(self) -> None:
        """Until connections are accepted; raises what stopped it from getting there."""
        while not self._server.started:
            if self._serving.done():
                await self._serving
                raise RuntimeError("the API ended before it began")
            await asyncio.sleep(0)

    async def stop(self) -> None:
        """Accept nothing more and finish open requests, for at most 2 s."""
        self._server.should_exit = True
        try:
            await asyncio.shield(self._serving)
        finally:
            self._listener.close()


async def serve_api(app: FastAPI, host: str, port: int) -> ApiServer:
    """Serve in this loop; connections are accepted when this returns. Raises `PortInUseError`."""
    server = ApiServer(app, bind_api(host, port))
    await server.started()
    return server
