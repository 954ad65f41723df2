"""Memory that is free is the system's again: a year of minutes is held several times for a moment, never for long."""

import ctypes
from typing import Final

_MMAP_THRESHOLD: Final = -3
"""`M_MMAP_THRESHOLD` of glibc's malloc.h."""
_BYTES: Final = 256 * 1024


def give_back_freed() -> None:
    """From now on for this process, where the C library knows how (glibc; others do so anyway).

    By itself glibc stops giving back blocks of a size that was freed once, up to 32 MB (mallopt(3)).
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_MMAP_THRESHOLD, _BYTES)
