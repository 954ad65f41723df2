"""Asking Binance for market streams: by SUBSCRIBE messages, or in the address where nobody answers those.

Both ways are documented ("WebSocket Streams": raw streams at /ws/NAME/NAME, combined at /stream?streams=NAME/NAME).
"""

import asyncio
from collections.abc import Callable, Sequence
from itertools import count
from typing import Final
from urllib.parse import urlsplit

import orjson

from exchanges.binance.parser import AnswerFrame, FrameError, FrameParser, QuoteFrame, TradeFrame
from exchanges.frame_socket import ConnectionClosed, FrameSocket
from market.ticks import BookDelta

SUBSCRIBE_CHUNK: Final = 100
SUBSCRIBE_PAUSE_S: Final = 0.25  # the venue allows five messages a second
ANSWER_TIMEOUT_S: Final = 5.0
MOST_IN_ADDRESS: Final = 200
"""Streams; an address that names more is longer than servers read."""


class StreamLostError(Exception):
    """The connection is of no use any more; the text says why."""


class Subscription:
    """The streams of one feed. `is_whole`: all in one message, however many (a replay begins with it)."""

    def __init__(self, ws_url: str, streams: Sequence[str], *, is_whole: bool) -> None:
        self._url = ws_url.rstrip("/") if urlsplit(ws_url).path.strip("/") else ws_url.rstrip("/") + "/stream"
        self._streams = streams
        self._size = len(streams) if is_whole else SUBSCRIBE_CHUNK
        self._may_name_in_address = not is_whole and len(streams) <= MOST_IN_ADDRESS
        self._is_in_address = False
        self._request_ids = count(1)

    @property
    def url(self) -> str:
        """Where to connect."""
        if not self._is_in_address:
            return self._url
        names = "/".join(self._streams)
        is_combined = urlsplit(self._url).path.endswith("/stream")
        return f"{self._url}?streams={names}" if is_combined else f"{self._url}/{names}"

    def on_fruitless(self) -> None:
        """A connection whose address named the streams brought nothing: messages again."""
        self._is_in_address = False

    async def ask(
        self, socket: FrameSocket, parser: FrameParser, now: Callable[[], int]
    ) -> list[tuple[bytes, int]]:
        """Ask, and wait for every answer; the frames that came before the last one, with their times.

        Raises `StreamLostError` when the venue refuses, or neither answers nor sends anything.
        """
        if self._is_in_address:
            return []
        waiting: set[int] = set()
        early: list[tuple[bytes, int]] = []
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S + SUBSCRIBE_PAUSE_S * len(self._streams) / self._size):
                await self._send(socket, waiting)
                while waiting:
                    raw, ts_init = await socket.receive(), now()
                    answer = _answer(parser, raw, ts_init)
                    if answer is None:
                        early.append((raw, ts_init))
                    elif answer.error:
                        raise StreamLostError(f"subscription refused: {answer.error}")
                    elif answer.request_id is None:
                        waiting.pop()
                    else:
                        waiting.discard(answer.request_id)
        except TimeoutError:
            if any(_is_market(parser, raw, ts_init) for raw, ts_init in early):
                return early  # it obeys without a word
            self._is_in_address = self._may_name_in_address
            raise StreamLostError(f"no answer to {len(waiting)} subscriptions") from None
        except ConnectionClosed as error:
            raise StreamLostError(close_text(error)) from error
        return early

    async def _send(self, socket: FrameSocket, waiting: set[int]) -> None:
        for start in range(0, len(self._streams), self._size):
            if start:
                await asyncio.sleep(SUBSCRIBE_PAUSE_S)
            request_id = next(self._request_ids)
            waiting.add(request_id)
            names = self._streams[start : start + self._size]
            await socket.send(orjson.dumps({"method": "SUBSCRIBE", "params": names, "id": request_id}).decode())


def _answer(parser: FrameParser, raw: bytes, ts_init: int) -> AnswerFrame | None:
    try:
        frame = parser.parse_frame(raw, ts_init)
    except FrameError:
        return None  # refused and counted when its turn comes
    return frame if isinstance(frame, AnswerFrame) else None


def _is_market(parser: FrameParser, raw: bytes, ts_init: int) -> bool:
    try:
        frame = parser.parse_frame(raw, ts_init)
    except FrameError:
        return False
    return isinstance(frame, (QuoteFrame, TradeFrame, BookDelta))


def close_text(error: ConnectionClosed) -> str:
    """Why a connection ended, in the venue's words where it gave any."""
    received = error.rcvd
    if received is None:
        return "the connection broke"
    return f"closed by the venue: {received.code} {received.reason[:100]}".rstrip()
