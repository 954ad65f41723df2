"""Permission to trade: the lowest of four votes, with the kill latch above them all."""

from collections.abc import Iterable
from typing import Final, get_args

from bus.messages.system import TradingState, Voter

_RANK: Final[dict[TradingState, int]] = {"HALTED": 0, "REDUCING": 1, "ACTIVE": 2}
VOTERS: Final[tuple[Voter, ...]] = get_args(Voter)
"""In the order they are listed to people: operator, ceo, risk, health."""


class TradingStateVotes:
    """Who says what, and the state that follows. Everybody begins ACTIVE; the kill latch overrides the votes.

    HALTED is meant for the kill switch and for an untrusted ledger, journal or account (voter "health").
    """

    __slots__ = ("_kill_reason", "_votes", "state", "voted")

    def __init__(self) -> None:
        self._votes: dict[Voter, tuple[TradingState, str]] = dict.fromkeys(VOTERS, ("ACTIVE", ""))
        self._kill_reason: str | None = None
        self.voted: TradingState = "ACTIVE"
        """The lowest vote, whatever the kill switch says."""
        self.state: TradingState = "ACTIVE"
        """The lowest vote, or HALTED while the kill switch is engaged."""

    def vote(self, voter: Voter, state: TradingState, reason: str) -> tuple[TradingState, bool]:
        """One voter's word. Returns the state that now rules and whether anything that people see changed.

        A vote that repeats state and reason changes nothing, so it makes no event; hence reasons should be
        stable words without counters or ages in them. Raises ValueError for an unknown voter or state.
        """
        if voter not in self._votes:
            raise ValueError(f"{voter!r} has no vote on the trading state: the voters are {', '.join(VOTERS)}")
        if state not in _RANK:
            raise ValueError(f"{state!r} is no trading state: use {', '.join(_RANK)}")
        changed = self._votes[voter] != (state, reason)
        self._votes[voter] = (state, reason)
        self.voted = min((each for each, _ in self._votes.values()), key=_RANK.__getitem__)
        self._decide()
        return self.state, changed

    def engage_kill(self, reason: str) -> tuple[TradingState, bool]:
        """Latch HALTED. Again while latched: nothing changes, the first reason stands."""
        if self._kill_reason is not None:
            return self.state, False
        self._kill_reason = reason
        self._decide()
        return self.state, True

    def release_kill(self) -> tuple[TradingState, bool]:
        """Unlatch; the four votes rule again."""
        changed = self._kill_reason is not None
        self._kill_reason = None
        self._decide()
        return self.state, changed

    @property
    def is_killed(self) -> bool:
        return self._kill_reason is not None

    def _decide(self) -> None:
        self.state = "HALTED" if self._kill_reason is not None else self.voted

    @property
    def reason(self) -> str:
        """Why the state is what it is, for a person: the kill switch, or whoever votes lowest."""
        if self._kill_reason is not None:
            return f"kill switch: {self._kill_reason}"
        lowest = self.state
        if lowest == "ACTIVE":
            return "all voters say ACTIVE"
        return "; ".join(
            f"{voter}: {reason or 'no reason given'}" for voter, state, reason in self.votes if state == lowest
        )

    @property
    def votes(self) -> tuple[tuple[str, str, str], ...]:
        """(voter, state, reason) in the order of `VOTERS`, as `TradingStateChanged` carries it."""
        return tuple((voter, *self._votes[voter]) for voter in VOTERS)

    def restore(self, votes: Iterable[tuple[str, str, str]]) -> None:
        """The votes of a journalled `TradingStateChanged`. The kill latch is restored by its own facts."""
        for voter, state, reason in votes:
            self.vote(voter, state, reason)  # type: ignore[arg-type]  # vote() refuses unknown words
