"""The last facts as they happened, for people who look into a running daemon."""

from collections import deque
from dataclasses import dataclass
from heapq import merge
from typing import Any, Final

from bus.messages.council import AnalysisCompleted, ProposalApproved, ProposalVetoed
from bus.messages.header import Message
from tradingd.read_model_views import plain, to_iso

MOST_EVENTS: Final = 2_000
MOST_OF_THE_COUNCIL: Final = 100
"""Analyses and verdicts: with their features and checks one weighs as much as twenty to fifty other facts."""

_OF_THE_COUNCIL: Final = frozenset({AnalysisCompleted, ProposalApproved, ProposalVetoed})


@dataclass(frozen=True, slots=True)
class EventView:
    """One message: `cause` is the id of the one that led to it, `data` its fields."""

    id: str
    time: str
    source: str
    kind: str
    cause: str
    data: dict[str, Any]


class RecentEvents:
    """A ring of messages, and one of what weighs most; the oldest go first."""

    def __init__(self, most: int = MOST_EVENTS, most_of_the_council: int = MOST_OF_THE_COUNCIL) -> None:
        self._noted = 0
        self._ring: deque[tuple[int, Message]] = deque(maxlen=most)
        self._of_the_council: deque[tuple[int, Message]] = deque(maxlen=most_of_the_council)

    def note(self, message: Message) -> None:
        """After each message the read model has folded; answers to questions of people are no events."""
        if message.header.source != "status":
            self._noted += 1
            ring = self._of_the_council if type(message.body) in _OF_THE_COUNCIL else self._ring
            ring.append((self._noted, message))

    def replay(self, *, after: str = "", kind: str = "", source: str = "", limit: int = 200) -> list[EventView]:
        """Oldest first, those that come after the one with the id `after` (all when it is unknown or "")."""
        messages = [message for _, message in merge(self._ring, self._of_the_council, key=lambda noted: noted[0])]
        if after:
            at = next((index for index, message in enumerate(messages) if message.id == after), -1)
            messages = messages[at + 1 :]
        wanted = (
            message for message in messages
            if (not kind or type(message.body).__name__ == kind) and (not source or message.header.source == source)
        )
        views: list[EventView] = []
        for message in wanted:
            if len(views) >= limit:
                break
            header = message.header
            body = plain(message.body)
            views.append(EventView(
                message.id, to_iso(header.ts), header.source, type(message.body).__name__, header.cause,
                body if isinstance(body, dict) else {"value": body},
            ))
        return views
