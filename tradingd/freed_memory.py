"""Memory that was freed goes back to the system now and then.

The C library keeps what lies between things in use, and takes more from the system when no such place fits: a daemon
that holds the same for days grows by a megabyte or two an hour. glibc only; elsewhere nothing is done.
"""

import asyncio
import ctypes
from typing import Final

EVERY_S: Final = 300.0


def return_freed_memory() -> bool:
    """Return all pages that hold nothing (a quarter of a millisecond for 40 MB); False where there were none, or the
    system's C library has no `malloc_trim`."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return False
    trim.argtypes, trim.restype = [ctypes.c_size_t], ctypes.c_int
    return bool(trim(0))


async def keep_returning(every_s: float = EVERY_S) -> None:
    """The same again and again, beside the event loop."""
    while True:
        await asyncio.sleep(every_s)
        await asyncio.to_thread(return_freed_memory)
