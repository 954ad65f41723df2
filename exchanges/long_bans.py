"""Bans that outlast a process: a venue that wants no requests for a while counts those of a restart, too.

A process that trades, or fetches history, says where its own are kept; others keep none. A daemon and a backfill of one
data directory learn of each other's.
"""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import orjson

from market.interval import SECOND_NS

LONG_S: Final = 5.0
"""What is shorter is over before a restart asks anything."""
LONGEST_S: Final = 3 * 86_400.0
"""No venue bans for longer: what says more was written by a clock that is wrong."""
FILE: Final = "bans.json"


class LongBans:
    """Until when addresses want to hear nothing (UTC ns), in a file of a folder once `keep_in` named one.

    `monotonic`, which nobody sets, says how long a ban lasts that is known: the machine's clock may be set meanwhile.
    """

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._path: Path | None = None
        self._until_ns: dict[str, int] = {}
        self._ends: dict[str, tuple[int, float]] = {}  # of those that were looked at: UTC ns, and the other clock's s
        self._read_of = (0, 0)  # the file's time of change and inode when it was read last

    def keep_in(self, folder: Path | None) -> None:
        """Know those of an earlier process, and keep those to come; None keeps none any more.

        A file that cannot be read holds none.
        """
        self._path = None if folder is None else folder / FILE
        self._until_ns, self._ends, self._read_of = {}, {}, (0, 0)

    def left_s(self, address: str, now_ns: int) -> float:
        """Seconds for which nothing may be asked there, as far as any process knew; 0 for none."""
        self._read()
        left_s = self._end_s(address, now_ns) - self._monotonic()
        return left_s if 0 < left_s <= LONGEST_S else 0.0

    def note(self, address: str, pause_s: float, now_ns: int) -> None:
        """It wants to hear nothing for so long. A disk that takes no file ends nothing: the process itself knows."""
        if self._path is None or pause_s <= LONG_S:
            return
        self._read()
        until_ns, latest_ns = now_ns + int(pause_s * SECOND_NS), now_ns + int(LONGEST_S * SECOND_NS)
        sound = {url: until for url, until in self._until_ns.items() if now_ns < until <= latest_ns}
        if until_ns <= sound.get(address, 0):
            return
        self._until_ns = sound | {address: until_ns}
        self._end_s(address, now_ns)
        temporary = self._path.with_suffix(f".{os.getpid()}.new")
        with contextlib.suppress(OSError):
            temporary.write_bytes(orjson.dumps(self._until_ns))
            os.replace(temporary, self._path)

    def _end_s(self, address: str, now_ns: int) -> float:
        """When it ends on the clock that nobody sets, as that was worked out when this end was first looked at."""
        until_ns = self._until_ns.get(address, 0)
        if (known := self._ends.get(address)) is None or known[0] != until_ns:
            known = self._ends[address] = until_ns, self._monotonic() + (until_ns - now_ns) / SECOND_NS
        return known[1]

    def _read(self) -> None:
        """What the file says since another process changed it; what was known before stays known."""
        if self._path is None:
            return
        with contextlib.suppress(OSError, orjson.JSONDecodeError):
            status = self._path.stat()
            if (found := (status.st_mtime_ns, status.st_ino)) == self._read_of:
                return
            self._read_of = found
            told = orjson.loads(self._path.read_bytes())
            for url, until in told.items() if isinstance(told, dict) else ():
                if type(until) is int:
                    self._until_ns[url] = max(until, self._until_ns.get(url, 0))


of_this_process: Final = LongBans()
"""A ban is on this machine, so all clients of a process share what is known."""
