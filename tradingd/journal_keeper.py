"""The journal's files while the daemon runs: closed when they are long, packed when they are old."""

import asyncio
import logging
import sys
import time
from contextlib import suppress
from typing import Final

from store.journal import JournalError
from tradingd.checkpoint_keeper import CheckpointKeeper
from tradingd.journal_packing import due
from tradingd.message_journal import MessageJournal
from tradingd.settings import JournalSettings

LOOK_EVERY_S: Final = 30.0
PACK_EVERY_S: Final = 3_600.0
PACK_LIMIT_S: Final = 1_800.0
_MB: Final = 1_000_000

_log = logging.getLogger(__name__)


class JournalKeeper:
    """A failure is logged and tried again later: the journal grows, nothing else happens."""

    def __init__(
        self, journal: MessageJournal, settings: JournalSettings, checkpoints: CheckpointKeeper | None,
    ) -> None:
        self._journal = journal
        self._settings = settings
        self._checkpoints = checkpoints
        self._packed_at = -PACK_EVERY_S

    async def run(self) -> None:
        """Look now and then, for ever."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self.look()

    async def look(self) -> None:
        """Close the file when it is long enough; pack what is due, once an hour at most."""
        if self._journal.size >= self._settings.segment_mb * _MB:
            if self._journal.rotate():
                # A checkpoint in the new file, so that the old one may be packed.
                if self._checkpoints is not None:
                    await self._checkpoints.make_now()
            else:
                _log.warning("%s: no new file could be begun, so the journal goes on in this one", self._journal.path)
        if time.monotonic() - self._packed_at >= PACK_EVERY_S:
            self._packed_at = time.monotonic()
            await self._pack()

    async def _pack(self) -> None:
        settings, path = self._settings, self._journal.path
        try:
            if not due(path, time.time_ns(), settings.pack_after_hours, settings.keep_days):
                return
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tradingd.journal_packing", str(path), str(settings.pack_after_hours),
                str(settings.keep_days), stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL, start_new_session=True,
            )
        except (OSError, JournalError) as error:
            _log.warning("the journal is not packed: %s", error)
            return
        try:
            async with asyncio.timeout(PACK_LIMIT_S):
                said, _ = await process.communicate()
        except TimeoutError:
            _log.warning("the journal is not packed: it was not done within %d s", PACK_LIMIT_S)
            return
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
        if process.returncode != 0:
            _log.warning("the journal is not packed: %s", said.decode(errors="replace").strip() or process.returncode)
