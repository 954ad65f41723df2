"""What is not urgent reaches the disk within a second, too, so a power cut takes no more than that.

An urgent fact is flushed as it is appended, before anything is sent. The rest (a trail that has moved on, a candle, a
vote) waits for the next urgent one, or for this.
"""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from tradingd.message_journal import MessageJournal

FLUSH_EVERY_S: Final = 1.0

_log = logging.getLogger(__name__)


class JournalFlusher:
    """`run` is a task. A flush that fails ends it with `JournalError`, as an urgent one ends the process."""

    def __init__(self, journal: MessageJournal) -> None:
        self._journal = journal
        self._cannot_open = False

    async def run(self) -> None:
        """For ever, one flush at a time. When it is cancelled, one that has begun ends by itself: it needs nothing."""
        # A thread of its own: the loop's others may all wait for a name server.
        with_thread = ThreadPoolExecutor(1, thread_name_prefix="journal-flush")
        try:
            while True:
                await asyncio.sleep(FLUSH_EVERY_S)
                await self.flush(with_thread)
        finally:
            with_thread.shutdown(wait=False)

    async def flush(self, thread: ThreadPoolExecutor) -> None:
        """Once, beside the event loop; nothing where all is on disk. Raises `JournalError`."""
        pending = self._journal.to_flush()
        if pending is None:
            return
        try:
            is_done = await asyncio.get_running_loop().run_in_executor(thread, pending.perform)
        except OSError as error:
            raise self._journal.on_flush_failed(error) from error
        if is_done:
            self._journal.on_flushed(pending)
        elif not self._cannot_open:
            _log.warning("%s cannot be opened to be flushed: until it can, a power cut may take more", pending.path)
        self._cannot_open = not is_done
