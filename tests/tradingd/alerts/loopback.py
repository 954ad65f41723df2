"""Services on this machine that speak the real protocols: Telegram's Bot API, Slack, Twilio, SMTP, plain webhooks."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web


async def until(look: Callable[[], object]) -> None:
    """Let the others run until this is so; fails when it is not within ten seconds."""
    async with asyncio.timeout(10):
        while not look():  # noqa: ASYNC110 - what is looked at belongs to the product, which sets no event for tests
            await asyncio.sleep(0)


TOKEN = "123456789:AAcanary_TelegramTokenOfThirtyFiveChr"
CHAT, USER = 42, 7


@asynccontextmanager
async def http_server(handle: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """Everything that is asked goes to `handle`; gives the address."""
    async def answer(request: web.Request) -> web.StreamResponse:
        return await handle(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


class Telegram:
    """getUpdates with offset and long polling, sendMessage, and Telegram's own errors."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.waiting: list[dict[str, Any]] = []
        self.refuse: list[tuple[int, dict[str, Any]]] = []
        self.polls = 0
        self.asked: list[str] = []
        self.now: Callable[[], float] = time.time
        self.hangs_on_send = False
        self._next_id = 100
        self._news = asyncio.Event()

    def says(
        self, text: str, *, user: int = USER, chat: int = CHAT, age_s: float = 0, **more: Any
    ) -> dict[str, Any]:
        """A person writes."""
        update = self.made(text, user=user, chat=chat, age_s=age_s, **more)
        self.give(update)
        return update

    def made(
        self, text: str, *, user: int = USER, chat: int = CHAT, age_s: float = 0, **more: Any
    ) -> dict[str, Any]:
        """What a person wrote, not given to anybody yet."""
        self._next_id += 1
        return {"update_id": self._next_id, "message": {
            "message_id": self._next_id, "date": int(self.now() - age_s), "text": text,
            "from": {"id": user, "is_bot": False, "first_name": "Ann"}, "chat": {"id": chat, "type": "private"}, **more,
        }}

    def give(self, *updates: dict[str, Any]) -> None:
        """To whoever polls, in this order."""
        self.waiting.extend(updates)
        self._news.set()

    @property
    def texts(self) -> list[str]:
        return [each["text"] for each in self.sent]

    async def heard(self, count: int) -> list[str]:
        """The first `count` texts that were sent, once they are there."""
        await until(lambda: len(self.sent) >= count)
        return self.texts[:count]

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        bot, _, method = request.path.strip("/").partition("/")
        if bot != f"bot{TOKEN}":
            return web.json_response({"ok": False, "error_code": 401, "description": "Unauthorized"}, status=401)
        body = await request.json()
        self.asked.append(method)
        if method == "getMe":
            return web.json_response({"ok": True, "result": {"id": 1, "is_bot": True, "username": "Our_Bot"}})
        if method == "getUpdates":
            return await self._updates(body)
        if self.refuse:
            status, answer = self.refuse.pop(0)
            return web.json_response(answer, status=status)
        if self.hangs_on_send:
            await asyncio.sleep(3600)
        assert method == "sendMessage"
        self.sent.append(body)
        return web.json_response({"ok": True, "result": {"message_id": len(self.sent)}})

    async def _updates(self, body: dict[str, Any]) -> web.StreamResponse:
        self.polls += 1
        self.waiting = [each for each in self.waiting if each["update_id"] >= body["offset"]]
        if not self.waiting:
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), body["timeout"])
            except TimeoutError:
                return web.json_response({"ok": True, "result": []})
        return web.json_response({"ok": True, "result": self.waiting[: body["limit"]]})


class Smtp:
    """Greets, takes AUTH PLAIN, recipients and a message; `refuse` answers a verb or a whole line with another code."""

    def __init__(self, user: str = "", password: str = "") -> None:
        self.mails: list[bytes] = []
        self.recipients: list[str] = []
        self.refuse: dict[str, str] = {}
        self._login = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        self.logged_in = False
        self.hangs_on_quit = False

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 loopback ESMTP\r\n")
        while line := (await reader.readline()).decode().strip():
            verb, _, rest = line.partition(" ")
            if verb in self.refuse or line in self.refuse:
                writer.write((self.refuse.get(verb) or self.refuse[line]).encode() + b"\r\n")
            elif verb == "EHLO":
                writer.write(b"250-loopback\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME\r\n")
            elif verb == "AUTH":
                self.logged_in = rest == f"PLAIN {self._login}"
                writer.write(b"235 welcome\r\n" if self.logged_in else b"535 5.7.8 bad credentials\r\n")
            elif verb == "DATA":
                writer.write(b"354 go on\r\n")
                self.mails.append(await _message(reader))
                writer.write(b"250 queued\r\n")
            elif verb == "QUIT" and self.hangs_on_quit:
                await reader.read()
            elif verb == "QUIT":
                writer.write(b"221 bye\r\n")
                break
            else:
                if verb == "RCPT":
                    self.recipients.append(rest)
                writer.write(b"250 ok\r\n")
            await writer.drain()
        writer.close()
        await writer.wait_closed()


async def _message(reader: asyncio.StreamReader) -> bytes:
    lines = []
    while (line := await reader.readline()) != b".\r\n":
        lines.append(line[1:] if line.startswith(b"..") else line)
    return b"".join(lines)


@asynccontextmanager
async def smtp_server(smtp: Smtp) -> AsyncIterator[str]:
    talks: list[asyncio.Task[None]] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        own = asyncio.current_task()
        assert own is not None
        talks.append(own)
        await smtp(reader, writer)

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        await asyncio.gather(*talks)
        server.close()
        await server.wait_closed()
