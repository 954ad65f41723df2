"""What silence on a market connection means: quiet, or mute. Pure: looks in, a verdict out.

The venue sends a heartbeat a second, so a connection on which one was ever heard is mute after four seconds without
any frame. Where none was heard, REST must say that the market is quiet. And where only heartbeats come for long, REST
is asked too: a channel can die on a connection that lives.
"""

from typing import Final, Literal

from exchanges.binance.market_state import FeedCounters

QUIET_S: Final = 3.0
"""Without any frame, on a connection without heartbeats: ask over REST."""
MUTE_S: Final = 4.0
"""Without any frame: nothing explains the silence."""
DEAD_CHANNEL_S: Final = 15.0
"""With heartbeats only: ask over REST whether the market moves."""
_CONTROL: Final = frozenset({"heartbeats", "subscriptions"})


class Silence:
    """Looks are counted, not seconds: a blocked loop is not the venue's silence."""

    def __init__(self, counters: FeedCounters) -> None:
        self._counters = counters
        self.begin()

    def begin(self) -> None:
        """A new connection."""
        self._has_heartbeats = False
        self._market_frames = 0
        self._differences = 0
        self._seen_market_frames = 0
        self._without_market_s = 0.0
        self.begin_look()

    def begin_look(self) -> None:
        """Frames wait to be handled: whatever silence there was is over."""
        self._seen_frames = self._counters.frames
        self.quiet_s = 0.0

    def on_frame(self, channel: str) -> None:
        """A good frame came."""
        if channel == "heartbeats":
            self._has_heartbeats = True
        elif channel not in _CONTROL:
            self._market_frames += 1

    def look(self, passed_s: float) -> Literal["", "ask", "mute"]:
        """What to do after another `passed_s` seconds: nothing, ask over REST, or give the connection up."""
        if self._market_frames != self._seen_market_frames:
            self._seen_market_frames = self._market_frames
            self._without_market_s = 0.0
            self._differences = 0
        else:
            self._without_market_s += passed_s
        if self._counters.frames != self._seen_frames:
            self.begin_look()
        else:
            self.quiet_s += passed_s
        if self.quiet_s >= MUTE_S:
            return "mute"
        if self.quiet_s >= QUIET_S and not self._has_heartbeats:
            return "ask"
        if self._without_market_s >= DEAD_CHANNEL_S:
            self._without_market_s = DEAD_CHANNEL_S - QUIET_S  # and again a little later
            return "ask"
        return ""

    def on_answer(self, *, is_quiet: bool | None) -> Literal["", "alive", "mute"]:
        """REST said that the market is quiet, or that it moved, or (None) nothing."""
        if is_quiet:
            self._counters.quiet_checks += 1
            self._differences = 0
            self._without_market_s = 0.0
            self.begin_look()
            return "alive"
        if is_quiet is None or self._market_frames != self._seen_market_frames:
            return ""
        self._differences += 1  # one difference may be a frame on its way; a second one is not
        return "mute" if self._differences >= 2 else ""
