"""Live candles on their way into the history: lines appended to small text files, nothing heavy in the daemon.

`<root>/incoming/<venue>-<first second>.csv`, a line a candle: `symbol,interval,open ms,o,h,l,c,volume,trades,check`.
Candles wait in memory until `flush` (once a second), then go out in one append: what has been flushed survives the
death of the process. `research.history.incoming` moves the lines into Parquet; a line that was cut short has no valid
check and is left out. A candle that was lost is a gap, and a backfill mends it.
"""

import contextlib
import fcntl
import os
import zlib
from collections import deque
from pathlib import Path
from typing import Final

from market.interval import interval_ns
from market.ticks import Candle

FOLDER: Final = "incoming"
SHORTEST_NS: Final = 60_000_000_000
"""Candles shorter than a minute are no history."""
_MOST_WAITING: Final = 10_000
_FILE_BYTES: Final = 8 * 1024 * 1024


def to_line(candle: Candle) -> str:
    """One line with its check."""
    prices = f"{candle.open:f},{candle.high:f},{candle.low:f},{candle.close:f},{candle.volume:f}"
    text = f"{candle.symbol},{candle.interval},{candle.ts_open // 1_000_000},{prices},{candle.trades}"
    return f"{text},{zlib.crc32(text.encode()):08x}\n"


class CandleWriter:
    """`add` on the hot path (an append to a list in memory), `flush` beside it, `close` at the end.

    A disk that refuses is no reason to stop trading: `problem` says what is wrong until a flush succeeds, and
    `dropped` counts the candles that found no room meanwhile.
    """

    def __init__(self, root: Path, venue: str, file_bytes: int = _FILE_BYTES) -> None:
        self.problem = ""
        self.dropped = 0
        self._folder = root / FOLDER
        self._venue = venue
        self._file_bytes = file_bytes
        self._waiting: deque[Candle] = deque()
        self._is_kept: dict[str, bool] = {}
        self._file = -1
        self._written = 0

    def add(self, candle: Candle) -> None:
        """A closed candle; history and what is shorter than a minute are not taken."""
        interval = candle.interval
        is_kept = self._is_kept.get(interval)
        if is_kept is None:
            is_kept = self._is_kept[interval] = interval_ns(interval) >= SHORTEST_NS
        if not is_kept or candle.is_warmup:
            return
        if len(self._waiting) >= _MOST_WAITING:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(candle)

    def flush(self) -> None:
        """Append what waits, in one write."""
        if not self._waiting:
            return
        data = "".join(map(to_line, self._waiting)).encode()
        try:
            if self._file < 0 or self._written >= self._file_bytes:
                self._open(self._waiting[0].ts_init // 1_000_000_000)
            if os.write(self._file, data) != len(data):
                raise OSError("the disk took only a part")
        except OSError as error:
            self._let_go()  # what comes next must not be glued to a cut line; lines given twice do no harm
            self.problem = f"no candle can be written to {self._folder} ({error}): make room or check its rights"
            return
        self._written += len(data)
        self._waiting.clear()
        self.problem = ""

    def close(self) -> None:
        """Write what waits and let the file go."""
        self.flush()
        self._let_go()

    def _open(self, second: int) -> None:
        """A new file, locked for as long as it is written: a reader knows that more may come."""
        self._let_go()
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{self._venue}-{second:012d}.csv"
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        with contextlib.suppress(OSError):  # a file system without locks: the reader then keeps files a day
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._written = os.fstat(self._file).st_size
        if self._written:
            os.write(self._file, b"\n")  # behind a line that a killed process may have left unfinished

    def _let_go(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
