"""The tape: raw market frames as received, beside the journal, so that a session can be replayed.

Lines of `<receive time ns>\\t<direction>\\t<frame>` in files of 16 MiB, oldest deleted first. Buffered and
never synced: losing its tail loses no money.
"""

from pathlib import Path
from typing import Final, TextIO

_FILE_BYTES: Final = 16 * 1024 * 1024
_BUFFER_BYTES: Final = 256 * 1024


class Tape:
    """`write` per frame; `position` names where the next one will lie."""

    def __init__(self, folder: Path, max_mb: int) -> None:
        self._folder = folder
        self._max_files = max(1, max_mb * 1024 * 1024 // _FILE_BYTES)
        self._file: TextIO | None = None
        self._name = ""
        self._written = 0
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def position(self) -> tuple[str, int]:
        """File name and offset in bytes."""
        return self._name, self._written

    def write(self, received_ns: int, direction: str, text: str) -> None:
        """One line; frames with tabs or line ends inside (never JSON's) are refused by dropping them."""
        if "\n" in text:
            text = text.replace("\n", " ")
        if self._file is None or self._written >= _FILE_BYTES:
            self._rotate(received_ns)
        assert self._file is not None  # noqa: S101 - _rotate has just opened it
        line = f"{received_ns}\t{direction}\t{text}\n"
        self._file.write(line)
        self._written += len(line)

    def _rotate(self, received_ns: int) -> None:
        self.close()
        old = sorted(self._folder.glob("*.tsv"))
        for path in old[: max(0, len(old) - self._max_files + 1)]:
            path.unlink(missing_ok=True)
        self._name = f"{received_ns:020d}.tsv"
        self._file = (self._folder / self._name).open("a", encoding="utf-8", buffering=_BUFFER_BYTES)
        self._written = self._file.tell()

    def close(self) -> None:
        """Write out what is buffered."""
        if self._file is not None:
            self._file.close()
            self._file = None
