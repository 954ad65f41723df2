"""The real daemon, which notes each flush beside its event loop: `python -m tests.e2e.flush_noting_daemon run ...`.

A line for each in the file FLUSHES; where the file FAIL is there, the flush is an error of the disk instead. Both are
named by the environment.
"""

import os
import sys
import threading
from pathlib import Path
from typing import Any, Final

from tradingd.cli import main

FLUSHES: Final = Path(os.environ["FLUSHES"])
FAIL: Final = Path(os.environ["FAIL"])
_real = os.fdatasync


def noting(fd: Any) -> None:
    """As fdatasync(2), but for the thread that is watched."""
    if threading.current_thread().name.startswith("journal-flush"):
        if FAIL.exists():
            raise OSError(5, "Input/output error")
        with FLUSHES.open("a") as file:
            file.write(f"{os.readlink(f'/proc/self/fd/{fd}')}\n")
    _real(fd)


if __name__ == "__main__":
    os.fdatasync = noting
    main()
    sys.exit(0)
