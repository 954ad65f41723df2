"""What an agent is: a reactor. It hears a message, answers with messages, and never waits or looks away.

Time reaches an agent only as `message.header.ts` (a `TimerFired` comes once a second of the session's
clock). Anything slow or remote is asked for by message and answered by message.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from bus.messages.header import Message

HISTORY: Final = "history"
"""Who tells an agent that begins of what was before: candles, failures, round trips, orders that work."""


@dataclass(frozen=True, slots=True)
class Emit:
    """What an agent wants said. The runner around it adds source, number, time and (by default) cause."""

    body: Any
    expires: int = 0
    target: str = ""
    cause: str = ""


class Agent(Protocol):
    """One of the six. `subscriptions` are the body types it wants to hear (TimerFired comes by itself)."""

    name: str
    subscriptions: frozenset[type]

    def handle(self, message: Message) -> Sequence[Emit]:
        """React to one message. Raising means the agent has failed: it is restarted from scratch."""
        ...

    def status(self) -> "AgentStatus":
        """What it is doing now, for people."""
        ...


@dataclass(frozen=True, slots=True)
class AgentStatus:
    """An agent's own words about itself."""

    status: str
    message: str
    current: int = 0
    total: int = 0

    @property
    def percent(self) -> float:
        """Progress in percent to two decimals, 0 when the total is 0."""
        return round(100.0 * self.current / self.total, 2) if self.total else 0.0
