"""One thing a person should know, and what can go wrong when telling it."""

from dataclasses import dataclass
from typing import Final, Protocol

from tradingd.settings_alerts import Level

RANK: Final[dict[Level, int]] = {"info": 0, "warning": 1, "critical": 2}


@dataclass(frozen=True, slots=True)
class Alert:
    """`ts` UTC ns. Alerts of one `key` and level within `alerts.repeat_s` are told once; "" is told each time.

    `is_digest`: the daily sign of life, which goes to every channel that wants it, whatever its level.
    """

    level: Level
    title: str
    text: str
    ts: int
    key: str = ""
    is_digest: bool = False

    @property
    def line(self) -> str:
        """For people, one line or a few."""
        mark = "" if self.level == "info" else f"{self.level.upper()}: "
        return f"{mark}{self.title}: {self.text}" if self.text else f"{mark}{self.title}"


class DeliveryError(Exception):
    """A service did not take an alert. `is_final`: trying again is of no use; `retry_after_s`: its own wish."""

    def __init__(self, text: str, *, is_final: bool = False, retry_after_s: float = 0.0) -> None:
        super().__init__(text)
        self.is_final = is_final
        self.retry_after_s = retry_after_s


class Service(Protocol):
    """One way to reach people. `max_text`: longest text in one message."""

    max_text: int

    async def send(self, subject: str, text: str, level: Level) -> None:
        """Deliver it; raises `DeliveryError` (whose text holds no secret) when nobody confirmed it."""
        ...

    async def close(self) -> None: ...
