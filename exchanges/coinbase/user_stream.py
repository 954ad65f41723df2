"""Our own orders' news over Coinbase's user channel, which wants a fresh JWT for each subscription."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from websockets.exceptions import ConnectionClosed, WebSocketException

from exchanges.backoff import Backoff
from exchanges.binance.parser import FrameError
from exchanges.coinbase.market_state import ConnectionSequence
from exchanges.coinbase.parser import Envelope, parse_envelope
from exchanges.coinbase.rest import CoinbaseRest
from exchanges.coinbase.subscription import USER_CHANNELS, Confirmations, wish
from exchanges.coinbase.user_events import OrderNews, parse_orders
from exchanges.frame_socket import FrameSocket, open_socket
from exchanges.own_line import OwnLine

ANSWER_TIMEOUT_S: Final = 10.0
MUTE_S: Final = 4.0
"""Silence after a heartbeat was heard, which comes once a second; a fill may stay unprotected for five."""
MAX_FRAME_BYTES: Final = 8_000_000
PING_EVERY_S: Final = 10.0


class UserStreamError(Exception):
    """The stream cannot go on; the text says why."""


class UserStream:
    """Keeps one subscription alive for good and gives each order's news to `on_news`, in order.

    `on_up` is called after each (re)subscription and after a missing frame: what happened before must be asked.
    `on_lost` is called when it is lost, which may be some seconds after it fell silent. `on_problem` hears of a defect,
    as of news that nobody could take: the stream goes on with a new subscription.
    """

    def __init__(
        self, ws_user_url: str, rest: CoinbaseRest, products: Sequence[str], *, jitter: Callable[[], float],
        on_news: Callable[[OrderNews], None], on_up: Callable[[], None], on_lost: Callable[[], None],
        on_problem: Callable[[str], None] = lambda _: None, first_backoff_s: float = 1.0,
        mute_s: float = MUTE_S,
    ) -> None:
        self._url = ws_user_url
        self._rest = rest
        self._products = list(products)
        self._jitter = jitter
        self._on_news = on_news
        self._on_up = on_up
        self._on_lost = on_lost
        self._on_problem = on_problem
        self._first_backoff_s = first_backoff_s
        self._mute_s = mute_s
        self._sequence = ConnectionSequence()
        self._has_heartbeats = False
        self.is_up = False
        self.frames = 0
        self.reconnects = 0
        self.refused = 0
        self.gaps = 0
        self.last_problem = ""

    async def run(self) -> None:
        """Until cancelled: connect, subscribe, read, reconnect with backoff."""
        backoff = Backoff(self._jitter, self._first_backoff_s, 30.0)
        while True:
            try:
                await self._session(backoff)
            except UserStreamError as error:
                self._break(str(error))
            except Exception as error:  # noqa: BLE001 - one report that cannot be taken must not end all the others
                self._break(f"{type(error).__name__}: {error}")
                self._on_problem(f"the user stream failed and is opened anew: {self.last_problem}")
            finally:
                self.is_up = False
            self.reconnects += 1
            await asyncio.sleep(backoff.next_s())

    def look(self) -> OwnLine:
        """How it fares."""
        return OwnLine(self.is_up, self.frames, self.reconnects, self.gaps, self.last_problem)

    def _break(self, why: str) -> None:
        self.last_problem = why
        if self.is_up:
            self._on_lost()

    async def _session(self, backoff: Backoff) -> None:
        try:
            socket = await open_socket(self._url, max_size=MAX_FRAME_BYTES, ping_interval_s=PING_EVERY_S)
        except (OSError, WebSocketException, TimeoutError) as error:
            raise UserStreamError(f"cannot connect to {self._url}: {error or type(error).__name__}") from error
        self._sequence = ConnectionSequence()
        self._has_heartbeats = False
        loop, up_since = asyncio.get_running_loop(), 0.0
        try:
            await self._subscribe(socket)
            up_since = loop.time()
            self.is_up = True
            self._on_up()
            while True:
                self._take(await self._receive(socket))
        except ConnectionClosed as error:
            raise UserStreamError(f"the connection broke: {error}") from error
        finally:
            if up_since:
                backoff.lasted(loop.time() - up_since)
            await socket.close()

    async def _subscribe(self, socket: FrameSocket) -> None:
        waiting = Confirmations(USER_CHANNELS)
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                for channel in USER_CHANNELS:
                    await socket.send(wish("subscribe", channel, self._products, self._rest.stream_token))
                while "user" in waiting.missing:
                    envelope = self._take(await socket.receive())
                    if envelope is not None:
                        waiting.take(envelope)
        except TimeoutError:
            raise UserStreamError("no answer to the subscription") from None
        except FrameError as error:
            raise UserStreamError(f"a frame was refused: {error}") from error

    async def _receive(self, socket: FrameSocket) -> bytes:
        if not self._has_heartbeats:
            return await socket.receive()  # pings watch over it
        try:
            async with asyncio.timeout(self._mute_s):
                return await socket.receive()
        except TimeoutError:
            raise UserStreamError(f"mute: no frame for {self._mute_s:g} s") from None

    def _take(self, raw: bytes) -> Envelope | None:
        """Read one frame; None for one seen before."""
        self.frames += 1
        try:
            envelope = parse_envelope(raw)
            if envelope.channel == "error":
                raise UserStreamError(f"the venue refuses: {envelope.error}")
            missing = self._sequence.take(envelope.sequence)
            if missing < 0:
                return None
            news = parse_orders(envelope) if envelope.channel == "user" else ()
        except FrameError as error:
            # A fill may hide in it: only a new subscription, with its REST queries, brings certainty back.
            self.refused += 1
            raise UserStreamError(f"a frame was refused: {error}") from error
        self._has_heartbeats = self._has_heartbeats or envelope.channel == "heartbeats"
        for each in news:
            self._on_news(each)
        if missing and self.is_up:
            self.gaps += 1
            self._on_up()
        return envelope
