"""A session is one run of the process: its id, and what the journal says of the earlier ones."""

from dataclasses import dataclass, field
from typing import Final

from bus.clock import Clock, FeedClock, LiveClock
from bus.ids import SessionId
from bus.messages.header import Message
from bus.messages.system import DaemonStarted, DaemonStopping
from market.interval import SECOND_NS

_EPOCH_2024_S: Final = 1_704_067_200
_LIVE: Final = "s"
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
CRASH_WINDOW_NS: Final = 600 * SECOND_NS
CRASH_STARTS: Final = 3


@dataclass(slots=True)
class PastSessions:
    """A fold over the journal: how many sessions there were, and how they ended."""

    count: int = 0
    last_ts: int = 0
    last_id: SessionId | None = None
    unclean_starts: list[int] = field(default_factory=list)
    _is_open: bool = False
    _started: int = 0

    def apply(self, message: Message) -> None:
        """One journalled message, in order."""
        self.last_ts = max(self.last_ts, message.header.ts)
        if isinstance(message.body, DaemonStarted):
            if self._is_open:
                self.unclean_starts.append(self._started)
            self.count += 1
            self._is_open = True
            self._started = message.header.ts
            self.last_id = message.body.session
        elif isinstance(message.body, DaemonStopping):
            self._is_open = False
            self.unclean_starts.clear()

    @property
    def ended_unclean(self) -> bool:
        """The last session left no word of farewell."""
        return self._is_open

    def is_crash_loop(self, now: int) -> bool:
        """This would be the third start within ten minutes after unclean ends (F40)."""
        starts = [*self.unclean_starts, self._started] if self._is_open else []
        return sum(1 for ts in starts if now - ts <= CRASH_WINDOW_NS) >= CRASH_STARTS - 1


def begin_session(past: PastSessions, first_ns: int | None, seed: int) -> tuple[Clock, SessionId]:
    """A session's clock and id. `first_ns`: where a replay's recording begins (UTC ns), None of a live session."""
    if first_ns is not None:
        return FeedClock(max(past.last_ts, first_ns)), replay_session_id(seed, past.count)
    clock = LiveClock(past.last_ts)
    return clock, live_session_id(clock.now(), past.last_id)


def live_session_id(now_ns: int, last: SessionId | None = None) -> SessionId:
    """Short: seconds since 2024 in base 36, or one more than in the `last` session's id, so that none comes twice."""
    number = max(0, now_ns // SECOND_NS - _EPOCH_2024_S)
    if last is not None and last[:1] == _LIVE and last[1:].isalnum() and last.isascii():
        number = max(number, int(last[1:], 36) + 1)
    text = ""
    while True:
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
        if number == 0:
            return SessionId(_LIVE + text)


def replay_session_id(seed: int, earlier_sessions: int) -> SessionId:
    """From the seed alone on a fresh data directory, so that two replays give the same ids."""
    return SessionId(f"r{seed}" if not earlier_sessions else f"r{seed}x{earlier_sessions}")
