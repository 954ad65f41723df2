"""An agent that does not come back: interrupted, so that the engine lives on and the agent counts as failed.

The agents react inside the engine's own loop, so one that never returns would hold up every stop and trail. A
timer signal looks once a second whether an agent has been at the same message for too long, and raises inside
its code. It only ever raises there: the time is noted while an agent has the word, and at no other moment.
"""

import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, Final

LIMIT_S: Final = 3.0
PERIOD_S: Final = 0.5


class AgentStuckError(BaseException):
    """Raised inside an agent that has been at one message for too long.

    No `Exception`: an agent that catches whatever its models raise would take it for a model's failure, and go on.
    """


class AgentWatch:
    """`begin` and `end` around each reaction of an agent; `install` starts the timer (main thread only)."""

    def __init__(self, limit_s: float = LIMIT_S) -> None:
        self._limit_s = limit_s
        self._since: float | None = None
        self._before: Callable[[int, FrameType | None], Any] | int | None = None

    def begin(self) -> None:
        """An agent has the word."""
        self._since = time.monotonic()

    def end(self) -> None:
        """It has come back."""
        self._since = None

    def install(self, period_s: float = PERIOD_S) -> None:
        """Look every so often; takes over SIGALRM."""
        self._before = signal.signal(signal.SIGALRM, self._look)
        signal.setitimer(signal.ITIMER_REAL, period_s, period_s)

    def remove(self) -> None:
        """Give SIGALRM back."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._before if self._before is not None else signal.SIG_DFL)

    def _look(self, _number: int, frame: FrameType | None) -> None:
        since = self._since
        if since is not None and time.monotonic() - since > self._limit_s:
            self._since = None
            place = "" if frame is None else f" at {Path(frame.f_code.co_filename).name}, line {frame.f_lineno}"
            raise AgentStuckError(f"it did not come back within {self._limit_s:g} s and was interrupted{place}")
