"""How long a rule may take over one candle: a loop without an end must not become a silence without a word.

A timer signal looks once a second where the run is. A rule that stays there for `LIMIT_S` of them is interrupted by an
exception raised inside its code; one that swallows it is given `GRACE_S` more, and then the process ends.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

LIMIT_S: Final = 30
"""For one candle. Seconds in which the process ran: one that was stopped (Ctrl-Z) has not been slow."""
START_LIMIT_S: Final = 300
"""For reading a rule's file, making the rule and its `prepare`, each."""
GRACE_S: Final = 5


class StuckError(BaseException):
    """Raised inside a rule that does not come back: no `except Exception` of it takes this for one of its own."""


@contextmanager
def patience(place: Callable[[], object], tell: Callable[[], str], limit_s: int = LIMIT_S) -> Iterator[None]:
    """Raises `StuckError` with `tell()` where `place()` stays the same for so long; in the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    last, seconds = place(), 0

    def look(*_: object) -> None:
        nonlocal last, seconds
        here = place()
        last, seconds = here, seconds + 1 if here == last else 0
        if seconds >= limit_s + GRACE_S:
            sys.stderr.write(f"tradelab: {tell()}, nor when it was interrupted\n")
            sys.stderr.flush()
            os._exit(1)
        if seconds >= limit_s:
            raise StuckError(tell())

    before = signal.signal(signal.SIGALRM, look)
    timer = signal.setitimer(signal.ITIMER_REAL, 1.0, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *timer)
