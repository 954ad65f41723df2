"""Cuts what a websocket server sends into messages that are whole in one frame, and into the rest.

Almost all that a market stream sends is unmasked text, one frame a message (RFC 6455, 5.2: first byte 0x81). Reading
that takes a look at two to four bytes. Everything else (the handshake, pings, closing, parts of messages, binary, what
breaks the rules) is passed on byte by byte to a library that knows all of the protocol, in order and uncut in meaning.
"""

from typing import Final

_TEXT: Final = 0x81  # final, no extension, text
_LONG: Final = 126  # two bytes of length follow; 127: eight
_HEAD_END: Final = b"\r\n\r\n"
_MOST_HEAD: Final = 1 << 16


class FrameSplitter:
    """`add` what was read, then take `next` until it is None. `is_message` tells what the last one was.

    A message is given as its payload, everything else as it came. An incomplete text frame waits here for its rest:
    at most `longest` bytes (and never more than 64 KB); longer ones are passed on.
    """

    __slots__ = ("_at", "_data", "_foreign", "_is_in_head", "_longest", "is_message")

    def __init__(self, longest: int) -> None:
        self._longest = min(longest, 0xFFFF)
        self._data = b""
        self._at = 0
        self._foreign = 0  # so many bytes more of a frame that is not for us
        self._is_in_head = True
        self.is_message = False

    @property
    def is_midway(self) -> bool:
        """A part of a frame is there, and its rest is not."""
        return self._foreign > 0 or self._at < len(self._data)

    def add(self, data: bytes) -> None:
        """Bytes that were read."""
        self._data = self._data[self._at :] + data if self._at < len(self._data) else data
        self._at = 0

    def only(self, data: bytes) -> bytes | None:
        """The message, when `data` is one whole text frame and nothing was left before it; else None: `add` it.

        So almost all come, one by one.
        """
        if self._at < len(self._data) or self._foreign or self._is_in_head or len(data) < 4 or data[0] != _TEXT:
            return None
        size, start = data[1], 2
        if size >= _LONG:
            if size > _LONG:
                return None
            size, start = data[2] << 8 | data[3], 4
        if start + size != len(data) or size > self._longest:
            return None
        return data[start:]

    def next(self) -> bytes | None:
        """The next message, or the next piece of something else; None when more must be read first."""
        self.is_message = False
        data, at = self._data, self._at
        left = len(data) - at
        if self._foreign or self._is_in_head:
            return self._pass_on(left)
        if left < 2:
            return None
        size, start = data[at + 1], at + 2
        if size == _LONG:
            if left < 4:
                return None
            size, start = data[at + 2] << 8 | data[at + 3], at + 4
        if data[at] != _TEXT or size > self._longest or data[at + 1] > _LONG:
            return self._begin_foreign(left)
        end = start + size
        if end > len(data):
            return None
        self._at = end
        self.is_message = True
        return data[start:end]

    def take_rest(self) -> bytes:
        """All that is left, as it came: somebody else goes on from here."""
        rest = self._data[self._at :]
        self._data, self._at = b"", 0
        return rest

    def _begin_foreign(self, left: int) -> bytes | None:
        """A frame of another kind: its length tells how much of it there will be."""
        data, at = self._data, self._at
        size, head = data[at + 1] & 0x7F, 2
        extra = 2 if size == _LONG else 8 if size > _LONG else 0
        if left < head + extra:
            return None
        if extra:
            size = int.from_bytes(data[at + 2 : at + 2 + extra], "big")
        # A server must not mask; where one does all the same, the four bytes of its key are part of the frame.
        self._foreign = head + extra + (4 if data[at + 1] & 0x80 else 0) + size
        return self._pass_on(left)

    def _pass_on(self, left: int) -> bytes | None:
        if not left:
            return None
        at = self._at
        if self._is_in_head:
            end = self._data.find(_HEAD_END, at)
            if end < 0 and left < _MOST_HEAD:
                return None
            self._is_in_head = end < 0
            self._at = len(self._data) if end < 0 else end + len(_HEAD_END)
        else:
            self._at += min(left, self._foreign)
            self._foreign -= self._at - at
        return self._data[at : self._at]
