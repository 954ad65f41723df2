"""How far the process is in its life: starting, waiting for data, ready, stopping; and why it ends."""

import asyncio
from collections.abc import Callable
from typing import Final

STARTING: Final = "starting"
WAITING: Final = "waiting for market data"
BEHIND: Final = "the replay that was cut off is played again up to the cut"
READY: Final = ""
STOPPING: Final = "stopping"


class Life:
    """One of a process. `phase` is what status gives as the reason for not being ready (READY: it is)."""

    def __init__(self) -> None:
        self.phase = STARTING
        self.end_asked = asyncio.Event()
        self.end_reason = ""
        self.failure: BaseException | None = None
        """What must not be survived: the process ends, and a new one reads the journal."""
        self.is_to_start_again = False
        """Told to switch the mode: the process begins anew after the orderly end."""

        self.on_end: Callable[[], None] = lambda: None
        """Called once, when the end is asked for."""

    @property
    def is_up(self) -> bool:
        """Neither starting nor stopping."""
        return self.phase not in (STARTING, STOPPING) and not self.end_asked.is_set()

    def end(self, reason: str) -> None:
        """Begin an orderly end; the first reason stays."""
        if not self.end_asked.is_set():
            self.end_reason = reason
            self.end_asked.set()
            self.on_end()
