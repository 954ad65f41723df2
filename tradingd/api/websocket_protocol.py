"""One websocket connection at /api/ws, as an asyncio protocol beside uvicorn's HTTP one.

`websockets` does the protocol (RFC 6455), we own the transport: broadcast frames are written to it as ready bytes,
and its buffer tells at once who does not read. No task and no queue per client; commands alone run in a task, one
after the other; a kill waits for none of them.
"""

import asyncio
import logging
from collections import deque
from dataclasses import replace
from typing import Any, Final, cast

import orjson
from starlette.types import ASGIApp
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from tradingd.api.hosts import OwnNames, is_same_origin
from tradingd.api.websocket_commands import dispatch
from tradingd.api.websocket_frames import text_frame
from tradingd.api.websocket_hub import Hub
from tradingd.api.websocket_session import Command, Said, SayError, principal_of, read_said
from tradingd.auth import Auth, Principal

PATH: Final = "/api/ws"
MAX_MESSAGE: Final = 64 * 1024
MAX_UNREAD: Final = 256 * 1024
"""Bytes a client may leave unread in our buffer (the kernel's come on top) before it is dropped."""
TOKEN_WITHIN_S: Final = 5.0
PING_EVERY_S: Final = 20
SILENT_FOR_S: Final = 60
CHECK_TOKEN_EVERY_S: Final = 10
MOST_COMMANDS: Final = 16
KILL: Final = "kill"
UNLOCK: Final = "unlock"
MESSAGES_PER_SECOND: Final = 50
_CLOSE_WITHIN_S: Final = 2.0
_READ_AT_ONCE: Final = 1024
_POLICY_VIOLATION: Final = 1008
_log = logging.getLogger(__name__)
_wire_log = logging.getLogger(f"{__name__}.wire")
_wire_log.setLevel(logging.ERROR)  # it tells of each handshake and each goodbye: strangers would fill the log


class Gate:
    """What all connections share: the hub, who may in, and how many."""

    def __init__(self, app: ASGIApp, hub: Hub, auth: Auth, names: OwnNames, most_clients: int) -> None:
        self.app = app
        self.hub = hub
        self.auth = auth
        self.names = names
        self.most_clients = most_clients
        self.waiting: dict[WebsocketProtocol, None] = {}
        """Connections that have not shown their token yet, oldest first; half as many as clients may be."""

    def refusal(self, request: Request) -> tuple[int, str, str] | None:
        """Why this handshake is not answered with 101."""
        hosts = request.headers.get_all("Host")
        host = hosts[0] if len(hosts) == 1 else ""
        if not self.names.is_ours(host):
            told = "the Host header names another machine: use the address the daemon was given"
            return 421, "WRONG_HOST", told
        origins = request.headers.get_all("Origin")
        if any(not is_same_origin(origin, host) for origin in origins):
            return 403, "WRONG_ORIGIN", "a page of another origin may not listen here"
        if request.path.partition("?")[0] != PATH:
            return 404, "NOT_FOUND", f"there is no websocket at this path: it is {PATH}"
        if len(self.hub) >= self.most_clients:
            told = f"{self.most_clients} clients are connected already (api.max_clients): try again later"
            return 503, "TOO_MANY_CLIENTS", told
        return None

    def wait(self, newcomer: "WebsocketProtocol") -> None:
        """It is to show its token. Whoever holds lines open without one must not keep others out: the oldest goes."""
        if len(self.waiting) >= max(1, self.most_clients // 2):
            next(iter(self.waiting)).hang_up()
        self.waiting[newcomer] = None


class WebsocketProtocol(asyncio.Protocol):
    """One client. Made by uvicorn when a request asks for an upgrade; see `Gate.protocol`."""

    def __init__(self, gate: Gate, server_state: Any) -> None:
        self.channels: frozenset[str] = frozenset()
        self._gate = gate
        self._connections: set[Any] = server_state.connections
        self._conn = ServerProtocol(max_size=MAX_MESSAGE, logger=_wire_log)
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._host = ""
        self._address = ("", 0)
        self._token = ""
        self._principal: Principal | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None
        self._commands: deque[Command] = deque()
        self._working: asyncio.Task[None] | None = None
        self._is_closed = False
        self._at_work: Command | None = None
        self._kills: set[asyncio.Task[None]] = set()
        self._seconds = self._heard = 0
        self._allowance = float(MESSAGES_PER_SECOND * 2)

    # ---- asyncio -----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self._address = (str(peer[0]), int(peer[1])) if isinstance(peer, tuple) else ("", 0)
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        self._stop_timer()
        self._stop_waiting()
        self._forget_commands()
        self._gate.hub.remove(self)
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._heard = self._seconds
        # In small parts: a read can hold forty thousand pings, and each costs the loop that also trades.
        for start in range(0, len(data), _READ_AT_ONCE):
            self._conn.receive_data(data[start : start + _READ_AT_ONCE])
            for event in self._conn.events_received():
                if isinstance(event, Request):
                    self._on_request(event)
                elif isinstance(event, Frame):
                    self._on_frame(event)
            if self._conn.state in (State.CLOSING, State.CLOSED):
                break
        self._write_out()
        if self._conn.parser_exc is not None or self._conn.close_expected():
            self._end_soon()

    def eof_received(self) -> bool:
        return False

    def shutdown(self) -> None:
        """The server ends."""
        self._close(1001, "the daemon is stopping")

    # ---- the hub's client --------------------------------------------------------------------------

    def send(self, frame: bytes) -> None:
        """Never waits: whoever leaves more than `MAX_UNREAD` unread is dropped."""
        transport = self._transport
        if transport is None or transport.is_closing() or self._conn.state is not State.OPEN:
            return
        if transport.get_write_buffer_size() > MAX_UNREAD:
            _log.warning("websocket client %s:%d does not read: dropped", *self._address)
            transport.abort()
            return
        transport.write(frame)

    def second(self) -> None:
        """Keep-alive, allowance, and whether the token still holds."""
        self._seconds += 1
        self._allowance = min(self._allowance + MESSAGES_PER_SECOND, MESSAGES_PER_SECOND * 2.0)
        if self._seconds - self._heard > SILENT_FOR_S and self._transport is not None:
            self._transport.abort()
            return
        if self._conn.state is not State.OPEN:
            return
        if self._seconds % PING_EVERY_S == 0:
            self._conn.send_ping(b"")
            self._write_out()
        if self._seconds % CHECK_TOKEN_EVERY_S == 0:
            self._check_token()

    # ---- handshake and frames ----------------------------------------------------------------------

    def _on_request(self, request: Request) -> None:
        refused = self._gate.refusal(request)
        response = self._conn.accept(request) if refused is None else self._refuse(*refused)
        self._conn.send_response(response)
        if response.status_code != 101:
            self._is_closed = True
            self._end_soon()
            return
        self._host = request.headers.get("Host", "")
        self._gate.wait(self)
        self._timer = self._loop.call_later(TOKEN_WITHIN_S, self._no_token)

    def _refuse(self, status: int, code: str, message: str) -> Any:
        response = self._conn.reject(status, orjson.dumps({"code": code, "message": message}).decode())
        del response.headers["Content-Type"]
        response.headers["Content-Type"] = "application/json"
        return response

    def _no_token(self) -> None:
        told = f"the first message carries the token, within {TOKEN_WITHIN_S:g} s"
        self._answer_error(SayError("NOT_AUTHENTICATED", told, is_final=True), None)

    def _on_frame(self, frame: Frame) -> None:
        # What stands before a goodbye of the other side still counts, and nothing behind our own.
        if self._is_closed or self._conn.state is State.CONNECTING:
            return
        self._allowance -= 1  # pings, too: each one is answered
        if self._allowance < 0:
            self._close(_POLICY_VIOLATION, "too many messages")
            return
        if frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            return
        self._size += len(frame.data)
        if self._size > MAX_MESSAGE or len(self._parts) > 64:
            self._close(1009, "the message is too large")
            return
        self._parts.append(bytes(frame.data))
        if not frame.fin:
            return
        text = b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        self._on_text(text)

    def _on_text(self, text: bytes) -> None:
        message_id: str | int | None = None
        try:
            said = read_said(text)
            message_id = said.id
            if self._principal is None:
                self._let_in(said)
            self._obey(said)
        except SayError as error:
            if self._principal is None:
                error.is_final = True
            self._answer_error(error, message_id)

    # ---- what is said ------------------------------------------------------------------------------

    def _let_in(self, said: Said) -> None:
        self._principal = principal_of(self._gate.auth, said.token)
        self._token = said.token
        self._stop_timer()
        self._stop_waiting()
        if len(self._gate.hub) >= self._gate.most_clients:
            told = f"{self._gate.most_clients} clients are connected already (api.max_clients): try again later"
            raise SayError("TOO_MANY_CLIENTS", told, is_final=True)
        self._gate.hub.add(self)

    def _obey(self, said: Said) -> None:
        hub = self._gate.hub
        if said.op == "auth":
            self._take_token(said.token)
            who = self._principal
            assert who is not None  # noqa: S101 - `_let_in` came before
            self._answer({"op": "auth", "id": said.id, "ok": True, "user": who.user, "role": who.role})
        elif said.op == "ping":
            self._answer({"op": "ping", "id": said.id, "ok": True})
        elif said.command is not None:
            self._take_command(said.command)
        else:
            hub.settle()
            new = said.channels - self.channels if said.op == "subscribe" else frozenset()
            self._allowance -= len(new)  # each begins with a snapshot
            left = self.channels - said.channels
            self.channels = self.channels | said.channels if said.op == "subscribe" else left
            hub.note_channels()
            seq = {channel: number for channel, number in hub.seq.items() if channel in self.channels}
            self._answer({"op": said.op, "id": said.id, "ok": True, "channels": sorted(self.channels), "seq": seq})
            for frame in hub.snapshot(sorted(new)):
                self.send(frame)

    def _take_token(self, token: str) -> None:
        """A client may show a newer token before the old one expires; never that of somebody else."""
        if not token or token == self._token:
            return
        who = principal_of(self._gate.auth, token)
        if who != self._principal:
            raise SayError("NOT_AUTHENTICATED", "this is another user's token: open a connection of its own")
        self._token = token

    def _take_command(self, command: Command) -> None:
        """Each waits for those before it, but not a kill: what it might wait for can take seconds.

        After an unlock that is not done yet it is given once more in its turn, for it was the last word.
        """
        if command.name == KILL:
            if len(self._kills) >= MOST_COMMANDS:
                raise SayError("TOO_MANY_COMMANDS", f"{MOST_COMMANDS} kills are being obeyed: await their answers")
            task = self._loop.create_task(self._carry_out(command), name="websocket kill")
            self._kills.add(task)
            task.add_done_callback(self._kills.discard)
            before = [each.name for each in (self._at_work, *self._commands) if each is not None]
            if UNLOCK not in before or len(self._commands) >= 2 * MOST_COMMANDS:  # then many in line say the same
                return
            command = replace(command, key="", is_repeated=True)
        elif len(self._commands) >= MOST_COMMANDS:
            raise SayError("TOO_MANY_COMMANDS", f"{MOST_COMMANDS} commands wait already: await their answers")
        self._commands.append(command)
        if self._working is None:
            self._working = self._loop.create_task(self._work(), name="websocket commands")

    def _forget_commands(self) -> None:
        """Nobody is there to be answered. A kill that is still to be repeated stays."""
        kept = [each for each in self._commands if each.is_repeated]
        self._commands.clear()
        self._commands.extend(kept)

    async def _work(self) -> None:
        """Commands one after the other, in the order they came."""
        try:
            while self._commands:
                self._at_work = self._commands.popleft()
                await self._carry_out(self._at_work)
        finally:
            self._working = self._at_work = None

    async def _carry_out(self, command: Command) -> None:
        status, data = await dispatch(
            self._gate.app, command.name, command.args, token=self._token, key=command.key, host=self._host,
            address=self._address,
        )
        if command.is_repeated:
            return
        ok = status < 400
        self._answer({
            "op": "command", "id": command.id, "command": command.name, "ok": ok, "status": status,
            "data": data if ok else None, "error": None if ok else data,
        })

    def _check_token(self) -> None:
        try:
            principal_of(self._gate.auth, self._token)
        except SayError as error:
            self._answer_error(error, None)

    # ---- answers -----------------------------------------------------------------------------------

    def _answer(self, data: dict[str, Any]) -> None:
        self._write_out()
        self.send(text_frame(orjson.dumps(data)))

    def _answer_error(self, error: SayError, message_id: str | int | None) -> None:
        told = {"code": error.code, "message": str(error)}
        self._answer({"op": "error", "id": message_id, "ok": False, "error": told})
        if error.is_final:
            self._close(_POLICY_VIOLATION, error.code)

    def _close(self, code: int, reason: str) -> None:
        self._is_closed = True
        if self._conn.state is State.OPEN:
            self._conn.send_close(code, reason)
            self._write_out()
        self._end_soon()

    def _end_soon(self) -> None:
        """Hang up when all is written and the other side has had its say, or after two seconds."""
        self._gate.hub.remove(self)
        self._stop_timer()
        self._stop_waiting()
        self._write_out()
        if self._transport is None:
            return
        if self._conn.state is State.CLOSED or self._conn.state is State.CONNECTING or self._conn.parser_exc:
            self._transport.close()
        self._timer = self._loop.call_later(_CLOSE_WITHIN_S, self.hang_up)

    def hang_up(self) -> None:
        """At once, without a goodbye."""
        self._stop_waiting()
        if self._transport is not None:
            self._transport.abort()

    def _write_out(self) -> None:
        if self._transport is None:
            return
        for data in self._conn.data_to_send():
            if data and not self._transport.is_closing():
                self._transport.write(data)
            elif not data:
                self._transport.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _stop_waiting(self) -> None:
        self._gate.waiting.pop(self, None)
