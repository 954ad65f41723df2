"""The end of the process has a bound, whatever it waits for: a thread that reads on, a name server that is dead.

An interpreter waits for every thread of its loop, and each part that ends in order has its own few seconds: together
they may be more than a service manager grants (F57). The journal is flushed early in an end, and is safe in any case.
"""

import logging
import os
import sys
import threading
from collections.abc import Callable
from typing import Final

END_WITHIN_S: Final = 20.0
_SAY_WITHIN_S: Final = 1.0
_log = logging.getLogger(__name__)


class EndGuard:
    """`begin` when the end has been asked for, `over` when it has come; else the process ends with `code()`."""

    def __init__(self, code: Callable[[], int], *, within_s: float = END_WITHIN_S) -> None:
        self._code = code
        self._within_s = within_s
        self._is_over = threading.Event()
        self._has_begun = False

    def begin(self) -> None:
        """From now on; again is no other beginning."""
        if not self._has_begun:
            self._has_begun = True
            threading.Thread(target=self._wait, name="end guard", daemon=True).start()

    def over(self) -> None:
        """It has ended by itself."""
        self._is_over.set()

    def _wait(self) -> None:
        if self._is_over.wait(self._within_s):
            return
        saying = threading.Thread(target=self._say, name="end guard's word", daemon=True)
        saying.start()
        saying.join(_SAY_WITHIN_S)  # a pipe that nobody reads takes no words
        os._exit(self._code())

    def _say(self) -> None:
        names = sorted(thread.name for thread in threading.enumerate() if not thread.daemon)
        _log.warning("the end took longer than %g s and was cut off; threads: %s", self._within_s, ", ".join(names))
        sys.stdout.flush()
