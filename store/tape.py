"""The tape: what came from outside, as it came, beside the journal, so that a session can be replayed.

Lines of `<time ns>\\t<mark>\\t<text>` in files of 16 MiB, oldest deleted first; the mark of a received market frame is
`<`. Buffered and never synced: losing its tail loses no money. A disk that takes nothing more costs lines, counted as
`lost`, and never an exception: whoever writes here is on the way of an order. So a line is only kept at first, and made
with its neighbours: one by one, off a cold cache, each would cost several times as much.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Final

_FILE_BYTES: Final = 16 * 1024 * 1024
_BUFFER_BYTES: Final = 256 * 1024
_REST_NS: Final = 5_000_000_000
"""After a failure nothing is tried for so long."""
_TOGETHER: Final = 32
"""Lines that are written at once; a tick that comes meanwhile waits for them, so they must not be many."""
_LONG_BYTES: Final = 4096
"""A frame like this does not wait for neighbours: memory must not hold many of them."""


class Tape:
    """`write` per frame."""

    def __init__(self, folder: Path, max_mb: int, file_bytes: int = _FILE_BYTES) -> None:
        self._folder = folder
        self._file_bytes = file_bytes
        self._max_files = max(1, max_mb * 1024 * 1024 // file_bytes)
        self._waiting: list[tuple[int, Any, bytes, Callable[[Any], bytes] | None]] = []
        self._file: BinaryIO | None = None
        self._written = 0
        self._rests_until = 0
        self.lost = 0
        """Lines that could not be written."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def write(
        self, received_ns: int, frame: Any, mark: bytes = b"<", encode: Callable[[Any], bytes] | None = None,
    ) -> None:
        """One line; line ends inside a frame (JSON needs none) become blanks.

        `frame` is text in bytes, or something unchangeable that `encode` makes so when it is written.
        """
        waiting = self._waiting
        waiting.append((received_ns, frame, mark, encode))
        if len(waiting) >= _TOGETHER or (encode is None and len(frame) > _LONG_BYTES):
            self._write_out()

    def _write_out(self) -> None:
        """All lines that wait. What the disk does not take is lost, and for a while nothing more is tried."""
        waiting, self._waiting = self._waiting, []
        lines = [each for each in waiting if each[0] >= self._rests_until]
        self.lost += len(waiting) - len(lines)
        if not lines:
            return
        file = self._file
        try:
            if file is None or self._written >= self._file_bytes:
                file = self._rotate(lines[0][0])
            self._written += file.write(b"".join([_line(*each) for each in lines]))
        except OSError:
            self.lost += len(lines)
            self._rests_until = lines[-1][0] + _REST_NS
            self._close_file()

    def _rotate(self, received_ns: int) -> BinaryIO:
        self._close_file()
        old = sorted(self._folder.glob("*.tsv"))
        for path in old[: max(0, len(old) - self._max_files + 1)]:
            path.unlink(missing_ok=True)
        self._file = (self._folder / f"{received_ns:020d}.tsv").open("ab", buffering=_BUFFER_BYTES)
        self._written = self._file.tell()
        return self._file

    def close(self) -> None:
        """Write out what waits and what is buffered, if the disk takes it."""
        self._write_out()
        self._close_file()

    def _close_file(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):
                file.close()


def _line(received_ns: int, frame: Any, mark: bytes, encode: Callable[[Any], bytes] | None) -> bytes:
    text = frame if encode is None else encode(frame)
    return b"%d\t%b\t%b\n" % (received_ns, mark, text.replace(b"\n", b" "))
