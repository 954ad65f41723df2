"""One voter's wish for the trading state, repeated until the engine shows that it was heard."""

from dataclasses import dataclass
from typing import Final

from agents.agent import Emit
from bus.messages.system import TradingState, TradingStateChanged, Voter, VoteTradingState
from market.interval import SECOND_NS

_LONGEST_PAUSE_NS: Final = 60 * SECOND_NS


@dataclass(slots=True)
class StateVote:
    """Says a changed wish at once, and again after 1, 2, 4 ... 60 s as long as no `TradingStateChanged`
    lists it: the bus may lose a command. Reasons are stable words, without counters or ages in them.
    """

    voter: Voter
    wanted: TradingState | None = None
    reason: str = ""
    _heard: tuple[str, str] = ("", "")
    _pause_ns: int = SECOND_NS
    _next_ns: int = 0

    def want(self, state: TradingState, reason: str, ts: int) -> list[Emit]:
        """What to say now (nothing or one vote) so that the engine's book shows this wish."""
        if (state, reason) != (self.wanted, self.reason):
            self.wanted, self.reason = state, reason
            self._pause_ns, self._next_ns = SECOND_NS, ts
        elif self._heard == (state, reason) or ts < self._next_ns:
            return []
        else:
            self._pause_ns = min(2 * self._pause_ns, _LONGEST_PAUSE_NS)
        self._next_ns = ts + self._pause_ns
        return [Emit(VoteTradingState(self.voter, state, reason))]

    def on_changed(self, fact: TradingStateChanged) -> None:
        """Read our own line in the engine's book of votes."""
        for voter, state, reason in fact.votes:
            if voter == self.voter:
                self._heard = (state, reason)
