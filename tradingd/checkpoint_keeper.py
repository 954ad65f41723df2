"""When checkpoints are made while the daemon runs: after so many records, and at an orderly end."""

import asyncio
import logging
import sys
from contextlib import suppress
from typing import Final

from store.checkpoint import CheckpointKind
from tradingd.message_journal import MessageJournal

EVERY_RECORDS: Final = 20_000
"""New records after which a checkpoint is made: about a second of folding."""

AT_END_RECORDS: Final = 5_000
"""Fewer new ones are no reason to keep an orderly end waiting."""

LOOK_EVERY_S: Final = 30.0
AUTO_LIMIT_S: Final = 600.0
END_LIMIT_S: Final = 8.0

_log = logging.getLogger(__name__)


class CheckpointKeeper:
    """`done` is how many records the last checkpoint holds. A failure is logged and costs a slower start, no more."""

    def __init__(self, journal: MessageJournal, done: int) -> None:
        self._journal = journal
        self._done = done

    async def run(self) -> None:
        """Look now and then, for ever."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self.look()

    async def look(self) -> bool:
        """Make a checkpoint when one is due; true when it was made."""
        return len(self._journal) - self._done >= EVERY_RECORDS and await self._make("auto", AUTO_LIMIT_S)

    async def make_now(self) -> bool:
        """Whether due or not; true when it was made."""
        return await self._make("auto", AUTO_LIMIT_S)

    async def at_end(self) -> bool:
        """After the last record was flushed; true when one was made. Takes at most `END_LIMIT_S`."""
        return len(self._journal) - self._done >= AT_END_RECORDS and await self._make("shutdown", END_LIMIT_S)

    async def _make(self, kind: CheckpointKind, limit_s: float) -> bool:
        records = len(self._journal)
        self._done = records  # a failed one is tried again after as many records, not at once
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tradingd.checkpoint_process", str(self._journal.path), kind,
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:  # no process, no memory, no descriptor
            _log.warning("no checkpoint: its process cannot be started (%s)", error)
            return False
        try:
            async with asyncio.timeout(limit_s):
                said, _ = await process.communicate()
        except TimeoutError:
            _log.warning("no checkpoint: it was not made within %d s", limit_s)
            return False
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
        if process.returncode != 0:
            _log.warning("no checkpoint: %s", said.decode(errors="replace").strip() or f"code {process.returncode}")
        return process.returncode == 0
