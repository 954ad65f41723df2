"""Whether a venue's order side is there: asked every few seconds, so that no entry relies on prices alone (F55)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

PROBE_EVERY_S: Final = 3.0
PROBE_AGAIN_S: Final = 1.0
PROBE_TIMEOUT_S: Final = 3.0
DOWN_AFTER: Final = 2
"""Probes in a row: one that fails may be a single packet."""


class OrderLine:
    """`probe` says what is wrong, "" for nothing; `on_change` hears it when the line goes down, "" when it is back."""

    def __init__(
        self, name: str, probe: Callable[[], Awaitable[str]], on_change: Callable[[str], None], *,
        probe_every_s: float = PROBE_EVERY_S, probe_again_s: float = PROBE_AGAIN_S,
        probe_timeout_s: float = PROBE_TIMEOUT_S,
    ) -> None:
        self._name = name
        self._probe = probe
        self._on_change = on_change
        self._probe_every_s = probe_every_s
        self._probe_again_s = probe_again_s
        self._probe_timeout_s = probe_timeout_s

    async def watch(self) -> None:
        """For ever."""
        failures = 0
        while True:
            await asyncio.sleep(self._probe_again_s if failures else self._probe_every_s)
            why = await self._ask()
            if why:
                failures += 1
                if failures == DOWN_AFTER:
                    self._on_change(f"{self._name}: orders cannot be sent: {why}")
                continue
            if failures >= DOWN_AFTER:
                self._on_change("")
            failures = 0

    async def _ask(self) -> str:
        try:
            async with asyncio.timeout(self._probe_timeout_s):
                return await self._probe()
        except TimeoutError:
            return f"no answer within {self._probe_timeout_s:g} s"
