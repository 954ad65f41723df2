"""A restart that reads its journal for long is told to people: nothing is watched until it is done.

While a journal is folded the event loop stands still, so the alert leaves from a thread with a loop of its own.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tradingd.audience import Audience
from tradingd.reading_progress import ReadingProgress
from tradingd.start_failure import LONG_START_FILE, is_news

ALERT_AFTER_S: Final = 30.0
_LOOK_S: Final = 0.05
_TITLE: Final = "the start takes long"
_log = logging.getLogger(__name__)


class LongReading:
    """One start's: told once when its readings have taken 30 s together. `folder`: the data directory."""

    def __init__(self, audience: Audience, folder: Path, *, is_live: bool) -> None:
        self._audience = audience
        self._folder = folder
        self._is_live = is_live
        self._left_s = ALERT_AFTER_S
        self._is_told = False
        self.progress = ReadingProgress()

    @contextmanager
    def watching(self, *, is_replay: bool = False) -> Iterator[None]:
        """Around one reading. Nobody waits for a replay but who has started it."""
        if self._is_told or is_replay:
            yield
            return
        began, is_over = time.monotonic(), threading.Event()
        threading.Thread(target=self._wait, args=(is_over,), name="long reading", daemon=True).start()
        try:
            yield
        finally:
            is_over.set()
            self._left_s -= time.monotonic() - began

    def _wait(self, is_over: threading.Event) -> None:
        if is_over.wait(max(0.0, self._left_s)):
            return
        self._is_told = True
        guard = (
            "open positions are protected only by the stops that rest at the exchange" if self._is_live
            else "nobody watches over what is open"
        )
        text = f"it has read its journal for {ALERT_AFTER_S:g} s: {self.progress}. Until it is done {guard}."
        _log.warning("%s: %s", _TITLE, text)
        if is_news(self._folder / LONG_START_FILE, _TITLE):
            try:
                asyncio.run(self._send(text, is_over))
            except Exception:  # noqa: BLE001 - whatever it is, the start goes on
                _log.exception("that the start takes long could not be told")

    async def _send(self, text: str, is_over: threading.Event) -> None:
        """Try until it is told, or until the reading is over and a moment longer."""
        alerts = self._audience.alerts_apart()
        if alerts is None:
            return
        alerts.open()
        alerts.tell(self._audience.alert("warning", _TITLE, text))
        while any(not channel.is_idle for channel in alerts.channels) and not is_over.is_set():  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_S)
        await alerts.close()
