"""Connecting to a host that has several addresses, of which some may be dead (RFC 8305, "Happy Eyeballs").

A half-dead IPv6 swallows what is sent to it. Whoever tries one address after the other spends the whole time that a
connection may take on the dead one, each time anew; here the next one is tried beside it soon.
"""

import asyncio
import contextlib
import socket
from typing import Any, Final
from urllib.parse import urlsplit

from aiohappyeyeballs import start_connection
from websockets.asyncio.client import ClientConnection, connect
from websockets.proxy import get_proxy
from websockets.uri import parse_uri

NEXT_AFTER_S: Final = 0.25
"""So long an address may take before the next one is tried as well ("Connection Attempt Delay", RFC 8305, 5)."""
OPEN_TIMEOUT_S: Final = 10.0
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


async def dial(host: str, port: int) -> socket.socket:
    """A TCP connection to the first address that answers; raises `OSError`. The caller sets the time limit."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        connected = await start_connection(found, happy_eyeballs_delay=NEXT_AFTER_S, loop=loop)
    except (RuntimeError, UnicodeError, ValueError) as error:  # a name that is none; uvloop's word for a refusal
        raise OSError(f"cannot connect to {host}:{port}: {error}") from error
    with contextlib.suppress(OSError):
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connected


async def open_websocket(url: str, **options: Any) -> ClientConnection:
    """`websockets.connect` by way of `dial`; raises what it raises. Loopback addresses never go through a proxy."""
    parts = urlsplit(url)
    is_local = parts.hostname in _LOOPBACK
    given = {"open_timeout": OPEN_TIMEOUT_S, "close_timeout": 1, "compression": None, **options}
    if not is_local and get_proxy(parse_uri(url)) is not None:
        return await connect(url, proxy=True, **given)
    target = parse_uri(url)
    async with asyncio.timeout(OPEN_TIMEOUT_S):
        way = await dial(target.host, target.port)
    try:
        return await connect(url, sock=way, proxy=None, **given)
    except ValueError:  # the server sends us elsewhere, which a socket that is there already cannot follow
        return await connect(url, proxy=None, **given)
