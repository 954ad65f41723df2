"""What a worker and the daemon say to each other: JSON frames with their length in front, over one socket pair.

No pickle: what comes back from a user's code is data, bounded and checked, never an object.
"""

import re
import struct
from collections.abc import Iterator
from math import isfinite
from typing import Any, Final

import orjson

from agents.alphas.alpha import MarketView

_LENGTH: Final = struct.Struct("!I")
MOST_ANSWER_BYTES: Final = 1_000_000
"""Of one frame from a worker; a longer one ends it."""
MOST_STATE_BYTES: Final = 500_000
"""Of what an alpha may ask us to keep for it."""
MOST_TEXT: Final = 500
NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
"""What an alpha may be called: it is a key in the settings, on the wire and in tables."""


class WireError(ValueError):
    """Bytes that are no frame of ours."""


def pack(frame: dict[str, Any]) -> bytes:
    """A frame ready to be sent; raises `TypeError` for what JSON cannot say."""
    body = orjson.dumps(frame)
    return _LENGTH.pack(len(body)) + body


def view_frame(number: int, view: MarketView) -> bytes:
    """The question: what does the alpha think of this?"""
    return pack({
        "op": "ask", "id": number, "symbol": view.symbol, "interval": view.interval, "ts_open": view.ts_open,
        "opens": list(view.opens), "highs": list(view.highs), "lows": list(view.lows), "closes": list(view.closes),
        "volumes": list(view.volumes), "regime": view.regime, "features": _finite(view.features),
        "higher": {interval: _finite(features) for interval, features in view.higher.items()},
    })


def _finite(features: Any) -> dict[str, float]:
    return {name: value for name, value in features.items() if isfinite(value)}


def view_of(frame: dict[str, Any]) -> MarketView:
    """The view in a question."""
    return MarketView(
        frame["symbol"], frame["interval"], frame["ts_open"], frame["opens"], frame["highs"], frame["lows"],
        frame["closes"], frame["volumes"], frame["features"], frame["regime"], frame["higher"],
    )


class FrameReader:
    """Bytes in, frames out."""

    def __init__(self, most: int = MOST_ANSWER_BYTES) -> None:
        self._most = most
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """Each frame that is complete now; raises `WireError`."""
        self._buffer += data
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if length > self._most:
                raise WireError(f"a frame of {length} bytes: the limit is {self._most}")
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            try:
                frame = orjson.loads(body)
            except orjson.JSONDecodeError as error:
                raise WireError(f"no JSON: {error}") from error
            if type(frame) is not dict or type(frame.get("op")) is not str:
                raise WireError("no frame: an object with op is expected")
            yield frame


def plain_text(text: object, most: int = MOST_TEXT) -> str:
    """Text of foreign origin on one line, without control characters, no longer than `most`."""
    kept = str(text)[: 4 * most].encode("utf-8", "replace").decode()
    return " ".join("".join(sign if sign.isprintable() else " " for sign in kept).split())[:most]
