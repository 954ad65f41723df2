"""How one agent fares, seen from the CEO: is it silent, does it keep failing, may it be restarted now?"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from market.interval import SECOND_NS

FAILURE_WINDOW_NS: Final = 300 * SECOND_NS
FAILURES_TOLERATED: Final = 3
OUTER_BOUND_NS: Final = 300 * SECOND_NS
"""Whoever was not heard for so long in spite of all restarts is lost: a person is told."""
_LONGEST_PAUSE_NS: Final = 60 * SECOND_NS


@dataclass(slots=True)
class Charge:
    """One supervised agent. `silence_ns` is how long it may be silent; times are UTC ns of the session.

    `is_proven`: it was heard since it was last started, failed or lost.
    """

    agent: str
    silence_ns: int
    heard_ns: int
    is_proven: bool = False
    restarts: int = 0
    error: str = ""
    is_told_lost: bool = False
    _proven_ns: int = -1
    _failures: deque[int] = field(default_factory=lambda: deque(maxlen=FAILURES_TOLERATED))
    _pause_ns: int = SECOND_NS
    _may_restart_ns: int = 0
    _restarted_ns: int = 0

    def on_heartbeat(self, now: int) -> None:
        """It lives: only this proves that a silence or a failure is over."""
        self.heard_ns = self._proven_ns = max(self.heard_ns, now)
        self.is_proven = True
        self.error = ""

    def on_started(self, now: int) -> None:
        """It was begun (again): its silence counts anew, but it has still to prove that it lives."""
        self.heard_ns = max(self.heard_ns, now)
        self.error = ""

    def on_failed(self, now: int, error: str) -> None:
        self.error = error or "no reason given"
        self.is_proven = False
        self._failures.append(now)

    def remember_failure(self, now: int) -> None:
        """It failed before the one who supervises it was begun: counted as of now, and mended already."""
        self._failures.append(now)

    def restart_reason(self, now: int) -> str:
        """Why it should be restarted at this moment; "" if it should not, or not yet."""
        reason = self._silence(now) or (f"it failed: {self.error}" if self.error else "")
        return reason if now >= self._may_restart_ns else ""

    def on_restarted(self, now: int) -> None:
        """A restart was ordered: the next may follow 1, 2, 4 ... 60 s later; 5 quiet minutes forget that."""
        if now - self._restarted_ns >= FAILURE_WINDOW_NS:
            self._pause_ns = SECOND_NS
        self._may_restart_ns = now + self._pause_ns
        self._pause_ns = min(2 * self._pause_ns, _LONGEST_PAUSE_NS)
        self._restarted_ns = now
        self.is_proven = False
        self.restarts += 1

    def is_lost(self, now: int) -> bool:
        """No sign of life for five minutes; a restart alone is none."""
        if self._proven_ns < 0:
            self._proven_ns = now  # never heard yet: the time counts from the first question
        return now - self._proven_ns >= OUTER_BOUND_NS

    def trouble(self, now: int) -> str:
        """Why entries should stop because of it; "" if they need not."""
        if silence := self._silence(now):
            return f"{self.agent}: {silence}"
        if len(self._failures) == FAILURES_TOLERATED and now - self._failures[0] < FAILURE_WINDOW_NS:
            return f"{self.agent}: failed {FAILURES_TOLERATED} times within {FAILURE_WINDOW_NS // (60 * SECOND_NS)} min"
        return ""

    def _silence(self, now: int) -> str:
        # The words stay the same while it lasts: they become the reason of a vote.
        return f"silent for {self.silence_ns // SECOND_NS} s" if now - self.heard_ns >= self.silence_ns else ""
