"""Our own orders' events over Binance's WebSocket API (`userDataStream.subscribe.signature`)."""

import asyncio
from collections.abc import Callable, Mapping
from decimal import Decimal
from itertools import count
from typing import Final

import orjson
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import WebSocketException

from bus.clock import Clock
from bus.messages.orders import ExecutionReport
from exchanges.backoff import Backoff
from exchanges.binance.parser import MAX_FRAME_BYTES, MS_NS, NOT_FOR_US, AnswerFrame, FrameError, FrameParser, UserFrame
from exchanges.binance.rest import RestClient
from exchanges.dialing import open_websocket
from exchanges.own_line import OwnLine
from exchanges.venue import BalanceSink

ANSWER_TIMEOUT_S: Final = 10.0
PING_EVERY_S: Final = 2.0
PONG_WITHIN_S: Final = 3.0
"""A line that swallows everything is known for it within the five seconds that a fill may stay unprotected."""


class UserStreamError(Exception):
    """The stream cannot go on; the text says why."""


class UserStream:
    """Keeps one subscription alive for good and gives each report to `on_report`, in order.

    With it: how much of the order the venue has executed in all, None where it does not say.

    `on_up` is called after each (re)subscription: what happened before must be asked over REST. `on_lost` is called
    when it is lost, which may be some seconds after it fell silent. `on_problem` hears of a defect, as of a report that
    nobody could take: the stream goes on with a new subscription.
    `symbols` maps wire names to the product's. `on_balances` hears of new balances, as they are told.
    """

    def __init__(
        self, ws_api_url: str, rest: RestClient, clock: Clock, symbols: Mapping[str, str], *,
        jitter: Callable[[], float], on_report: Callable[[ExecutionReport, Decimal | None], None],
        on_up: Callable[[], None], on_lost: Callable[[], None], on_problem: Callable[[str], None] = lambda _: None,
        on_balances: BalanceSink = lambda _: None, first_backoff_s: float = 1.0,
    ) -> None:
        self._url = ws_api_url
        self._rest = rest
        self._clock = clock
        self._parser = FrameParser(symbols)
        self._jitter = jitter
        self._on_report = on_report
        self._on_up = on_up
        self._on_lost = on_lost
        self._on_problem = on_problem
        self._on_balances = on_balances
        self._first_backoff_s = first_backoff_s
        self._ids = count(1)
        self._socket: ClientConnection | None = None
        self._closing: asyncio.Task[None] | None = None
        self._doubt = ""
        self.is_up = False
        self.up_since_ns = 0
        """By the venue's clock; 0 while it is away."""
        self.frames = 0
        self.reconnects = 0
        self.refused = 0
        self.ignored = 0
        self.last_problem = ""

    async def run(self) -> None:
        """Until cancelled: connect, subscribe, read, reconnect with backoff."""
        backoff = Backoff(self._jitter, self._first_backoff_s, 30.0)
        while True:
            while (pause_s := self._rest.banned_for_s()) > 0:  # noqa: ASYNC110 - the same limits hold here
                await asyncio.sleep(pause_s)
            try:
                await self._session(backoff)
            except UserStreamError as error:
                self._break(str(error))
            except Exception as error:  # noqa: BLE001 - one report that cannot be taken must not end all the others
                self._break(f"{type(error).__name__}: {error}")
                self._on_problem(f"the user stream failed and is opened anew: {self.last_problem}")
            finally:
                self.is_up, self.up_since_ns = False, 0
            self.reconnects += 1
            await asyncio.sleep(backoff.next_s())

    def look(self) -> OwnLine:
        """How it fares."""
        return OwnLine(self.is_up, self.frames, self.reconnects, 0, self.last_problem)

    def reopen(self, why: str) -> None:
        """It is there, and yet it tells not what it should."""
        if self._socket is not None and self.is_up:
            self._doubt = why
            self._closing = asyncio.get_running_loop().create_task(self._socket.close())

    def _break(self, why: str) -> None:
        self.last_problem, self._doubt = self._doubt or why, ""
        if self.is_up:
            self._on_lost()

    async def _session(self, backoff: Backoff) -> None:
        try:
            socket = await open_websocket(
                self._url, max_size=MAX_FRAME_BYTES, ping_interval=PING_EVERY_S, ping_timeout=PONG_WITHIN_S,
            )
        except (OSError, WebSocketException, TimeoutError) as error:
            raise UserStreamError(f"cannot connect to {self._url}: {error or type(error).__name__}") from error
        loop, up_since = asyncio.get_running_loop(), 0.0
        try:
            await self._subscribe(socket)
            up_since = loop.time()
            self._socket, self.up_since_ns = socket, self._rest.timestamp_ms() * MS_NS
            self.is_up = True
            self._on_up()
            while True:
                self._take(await _receive(socket))
        finally:
            self._socket = None
            if up_since:
                backoff.lasted(loop.time() - up_since)
            await socket.close()

    async def _subscribe(self, socket: ClientConnection) -> None:
        request_id = next(self._ids)
        request = {
            "id": request_id, "method": "userDataStream.subscribe.signature",
            "params": self._rest.signature_parameters({}),
        }
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                await socket.send(orjson.dumps(request).decode())
                while True:
                    answer = self._take(await _receive(socket))
                    if answer is not None and answer.request_id in (request_id, None):
                        break
        except TimeoutError:
            raise UserStreamError("no answer to the subscription") from None
        except WebSocketException as error:
            raise UserStreamError(f"the connection broke: {error}") from error
        if answer.error:
            self._rest.keep_silent(answer.silence_s)
            raise UserStreamError(f"subscription refused: {answer.error}")

    def _take(self, raw: bytes) -> AnswerFrame | None:
        self.frames += 1
        try:
            frame = self._parser.parse_frame(raw, self._clock.now())
        except FrameError as error:
            if error.reason == "ended":
                raise UserStreamError(str(error)) from None
            if error.reason in NOT_FOR_US:
                self.ignored += 1
                return None
            # A fill may hide in it: only a new subscription, with its REST queries, brings certainty back.
            self.refused += 1
            raise UserStreamError(f"a frame was refused: {error}") from error
        if isinstance(frame, UserFrame):
            for report in frame.reports:
                self._on_report(report, frame.executed)
            if frame.balances:
                self._on_balances(frame.balances)
        return frame if isinstance(frame, AnswerFrame) else None


async def _receive(socket: ClientConnection) -> bytes:
    try:
        return await socket.recv(decode=False)
    except WebSocketException as error:
        raise UserStreamError(f"the connection broke: {error}") from error
