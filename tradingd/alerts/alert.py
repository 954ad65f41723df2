"""One thing a person should know, the letter that tells it, and what can go wrong on the way."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Protocol

from tradingd.plain_text import one_line, some_lines
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
        # Reasons come from people and venues: only the digest, which is ours, has lines of its own.
        text = some_lines(self.text) if self.is_digest else one_line(self.text)
        return f"{mark}{self.title}: {text}" if text else f"{mark}{self.title}"


@dataclass(slots=True)
class Letter:
    """What a service delivers. `done`: those of its recipients who have it, so that a further try is for the others."""

    subject: str
    text: str
    level: Level
    done: set[str] = field(default_factory=set)


class DeliveryError(Exception):
    """A service did not take an alert. `is_final`: trying again is of no use; `retry_after_s`: its own wish."""

    def __init__(self, text: str, *, is_final: bool = False, retry_after_s: float = 0.0) -> None:
        super().__init__(text)
        self.is_final = is_final
        self.retry_after_s = retry_after_s


async def send_to_each(letter: Letter, recipients: Iterable[str], send: Callable[[str], Awaitable[None]]) -> None:
    """To all who have not got it, at the same time: one who does not answer keeps no other waiting.

    Raises the `DeliveryError` of one who may yet get it, else of one who will not.
    """
    async def try_one(recipient: str) -> DeliveryError | None:
        try:
            await send(recipient)
        except DeliveryError as error:
            return error
        except Exception as error:  # noqa: BLE001 - a bug met with one recipient must not keep the others from hearing
            return DeliveryError(f"{type(error).__name__}: {error}")
        letter.done.add(recipient)
        return None

    waiting = [each for each in recipients if each not in letter.done]
    failures = [each for each in await asyncio.gather(*(try_one(each) for each in waiting)) if each is not None]
    if failures:
        raise next((each for each in failures if not each.is_final), failures[0])


class Service(Protocol):
    """One way to reach people. `max_text`: longest text in one message."""

    max_text: int

    async def send(self, letter: Letter) -> None:
        """Deliver it; raises `DeliveryError` (whose text holds no secret) when nobody confirmed it."""
        ...

    async def close(self) -> None: ...
