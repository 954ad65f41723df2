"""What a stranger does wrong when a test asks for it."""

import asyncio
from dataclasses import dataclass, field
from time import monotonic


@dataclass
class Faults:
    """Faults that strike a number of times, and faults that last."""

    left: dict[str, int] = field(default_factory=dict)
    until: dict[str, float] = field(default_factory=dict)
    struck: dict[str, int] = field(default_factory=dict)

    def arm(self, name: str, times: int = 1) -> None:
        """The next `times` occasions are spoiled."""
        self.left[name] = times

    def last(self, name: str, seconds: float) -> None:
        """Every occasion of the next `seconds` is spoiled."""
        self.until[name] = monotonic() + seconds

    def strikes(self, name: str) -> bool:
        """Whether it spoils this occasion."""
        if self.is_on(name):
            return True
        if self.left.get(name, 0) <= 0:
            return False
        self.left[name] -= 1
        self.struck[name] = self.struck.get(name, 0) + 1
        return True

    def is_on(self, name: str) -> bool:
        """Whether a lasting fault is on now."""
        is_on = self.until.get(name, 0.0) > monotonic()
        if is_on:
            self.struck[name] = self.struck.get(name, 0) + 1
        return is_on


HANG_S = 20.0


async def hang() -> None:
    """Longer than any client waits."""
    await asyncio.sleep(HANG_S)
