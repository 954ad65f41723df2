"""What a venue reports while the engine does not yet know its past: it waits, and comes in order afterwards.

The user stream is open as soon as the account is proven, and a stop may fill just then.
"""

import logging
from collections import deque
from typing import Final

from bus.messages.orders import ExecutionReport
from exchanges.venue import ReportSink

MOST: Final = 10_000
_log = logging.getLogger(__name__)


class EarlyReports:
    """`take` is the venue's sink; `give_to` opens it. What is too many is left out: every order is asked about then."""

    def __init__(self) -> None:
        self._waiting: deque[ExecutionReport] = deque()
        self._sink: ReportSink | None = None

    def take(self, report: ExecutionReport) -> None:
        """At once when it is open."""
        if self._sink is not None:
            self._sink(report)
        elif len(self._waiting) < MOST:
            self._waiting.append(report)
        else:
            _log.warning("a report of %s came too early to be kept; the venue is asked", report.client_order_id)

    def give_to(self, sink: ReportSink) -> None:
        """All that waited, then whatever comes."""
        while self._waiting:
            sink(self._waiting.popleft())
        self._sink = sink
