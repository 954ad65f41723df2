"""The tape: what came from outside, as it came, beside the journal, so that a session can be replayed.

Lines of `<time ns>\\t<mark>\\t<text>` in files of 16 MiB, oldest deleted first; the mark of a received market frame is
`<`. Buffered and never synced: losing its tail loses no money. A disk that takes nothing more costs lines, counted as
`lost`, and never an exception: whoever writes here is on the way of an order.
"""

import contextlib
from pathlib import Path
from typing import BinaryIO, Final

_FILE_BYTES: Final = 16 * 1024 * 1024
_BUFFER_BYTES: Final = 256 * 1024
_REST_NS: Final = 5_000_000_000
"""After a failure nothing is tried for so long."""


class Tape:
    """`write` per frame; `position` names where the next one will lie."""

    def __init__(self, folder: Path, max_mb: int, file_bytes: int = _FILE_BYTES) -> None:
        self._folder = folder
        self._file_bytes = file_bytes
        self._max_files = max(1, max_mb * 1024 * 1024 // file_bytes)
        self._file: BinaryIO | None = None
        self._name = ""
        self._written = 0
        self._rests_until = 0
        self.lost = 0
        """Lines that could not be written."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    @property
    def position(self) -> tuple[str, int]:
        """File name and offset in bytes."""
        return self._name, self._written

    def write(self, received_ns: int, frame: bytes, mark: bytes = b"<") -> None:
        """One line; line ends inside a frame (JSON needs none) become blanks."""
        if received_ns < self._rests_until:
            self.lost += 1
            return
        file = self._file
        try:
            if file is None or self._written >= self._file_bytes:
                file = self._rotate(received_ns)
            if b"\n" in frame:
                frame = frame.replace(b"\n", b" ")
            self._written += file.write(b"%d\t%b\t%b\n" % (received_ns, mark, frame))
        except OSError:
            self.lost += 1
            self._rests_until = received_ns + _REST_NS
            self.close()

    def _rotate(self, received_ns: int) -> BinaryIO:
        self.close()
        old = sorted(self._folder.glob("*.tsv"))
        for path in old[: max(0, len(old) - self._max_files + 1)]:
            path.unlink(missing_ok=True)
        self._name = f"{received_ns:020d}.tsv"
        self._file = (self._folder / self._name).open("ab", buffering=_BUFFER_BYTES)
        self._written = self._file.tell()
        return self._file

    def close(self) -> None:
        """Write out what is buffered, if the disk takes it."""
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):
                file.close()
