"""The SQL store's process, seen from the daemon: started late, watched, begun anew, ended with us.

Nothing waits for it. While it or its database is away the daemon trades on; what is missing in the tables comes from
the journal later.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_START_AFTER_S: Final = 2.0
_STOP_TIMEOUT_S: Final = 5.0
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class ProjectionTask:
    """What to project into which database; `is_own` as in `tradingd.projection.Projection`."""

    journal: Path
    url: str
    account: str
    quote: str
    is_own: bool


class ProjectionChild:
    """`start` returns at once; `on_change(is_up, why)` is called when the store comes or goes."""

    def __init__(
        self, task: ProjectionTask, on_change: Callable[[bool, str], None], start_after_s: float = _START_AFTER_S
    ) -> None:
        self._task = task
        self._on_change = on_change
        self._start_after_s = start_after_s
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to keep a process running, a little later: the market comes first."""
        self._keeper = asyncio.create_task(self._keep(), name="sql store")

    async def _keep(self) -> None:
        await asyncio.sleep(self._start_after_s)
        pause = _FIRST_PAUSE_S
        while True:
            try:
                said = await self._run_once()
            except (OSError, RuntimeError) as error:
                # No process, no memory, no descriptor; uvloop's RuntimeError where it died before it was told
                # anything: trading goes on, we try again.
                said = f"its process cannot be started: {error}"
            code = self._process.returncode if self._process is not None else None
            self._on_change(False, said or f"its process ended with code {code}")
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)

    async def _run_once(self) -> str:
        """One life of the process; returns the last reason it gave."""
        self._process = process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tradingd.projection_process",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the store's process has no pipes")
        # The URL may hold a password: a pipe is nobody else's, a command line is everybody's.
        task = self._task
        process.stdin.write(json.dumps({
            "journal": str(task.journal), "url": task.url, "account": task.account, "quote": task.quote,
            "is_own": task.is_own,
        }).encode() + b"\n")
        said = ""
        while line := await process.stdout.readline():
            with suppress(ValueError, KeyError, TypeError):
                news = json.loads(line)
                said = str(news["why"])
                self._on_change(bool(news["is_up"]), said)
        await process.wait()
        return said

    async def stop(self) -> None:
        """Let it take the last records, or end it by force after five seconds."""
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
        process = self._process
        if process is None or process.returncode is not None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), _STOP_TIMEOUT_S)
        except TimeoutError:
            process.kill()
            await process.wait()
