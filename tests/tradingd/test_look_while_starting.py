"""Belongs to tests/tradingd/test_data_dir.py."""

import fcntl
import os
import threading
import time
from pathlib import Path

from tradingd.data_dir import DataDir


def test_a_look_at_who_holds_it_is_not_taken_for_another_daemon(tmp_path: Path) -> None:
    """`is_held` (tradingd status, doctor) takes the lock for a moment: a start that met it ended with code 8, after
    which systemd starts nothing again."""
    DataDir.open(tmp_path).close()
    looking = threading.Event()

    def look() -> None:
        lock = os.open(tmp_path / "lock", os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        looking.set()
        time.sleep(0.1)
        os.close(lock)

    thread = threading.Thread(target=look)
    thread.start()
    looking.wait()
    try:
        DataDir.open(tmp_path).close()
    finally:
        thread.join()
