"""A whole daemon in this process, on paper, whose exchange lists what a test says and never trades."""

import asyncio
import shutil
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from market.instrument import Instrument
from tests.tradingd.live_runtime import Scene
from tests.tradingd.test_venue_wait import with_a_position_and_an_order
from tradingd import venue_access
from tradingd.daemon import Daemon
from tradingd.data_dir import DataDir
from tradingd.message_journal import MessageJournal
from tradingd.run_options import RunOptions
from tradingd.settings import Settings

JOURNAL = "journal-binance-paper.journal"
LIVE_JOURNAL = "journal-binance-live.journal"
RESTING = "td-t2"
NOWHERE = {"rest_url": "http://127.0.0.1:9", "ws_url": "ws://127.0.0.1:9", "ws_api_url": "ws://127.0.0.1:9"}


class QuietMarket:
    """In the place of the exchange's feed. Candles wait until `is_open` is set; `was_asked`: somebody wants them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, listed: Sequence[Instrument]) -> None:
        self.is_open, self.was_asked = asyncio.Event(), asyncio.Event()
        self.is_open.set()
        self.is_away = False
        """Its list of symbols never comes."""
        real = venue_access.make_feed

        async def instruments() -> Sequence[Instrument]:
            if self.is_away:
                self.was_asked.set()
                await asyncio.Event().wait()
            return listed

        self.known_prices: dict[str, Decimal] = {}
        """What the feed knew when its stream began."""

        async def candles(*_: object) -> Sequence[Any]:
            self.was_asked.set()
            await self.is_open.wait()
            return ()

        def make(*args: Any, **named: Any) -> Any:
            feed: Any = real(*args, **named)

            async def run(*_: object) -> None:
                self.known_prices = dict(feed._known_prices)
                await asyncio.Event().wait()

            feed.instruments, feed.run, feed.candles = instruments, run, candles
            return feed

        monkeypatch.setattr(venue_access, "make_feed", make)


def settings_of(folder: Path, **changes: Any) -> Settings:
    """Paper on Binance with nothing else around."""
    return Settings.model_validate({
        "data_dir": folder, "venue": "binance", "mode": "paper", "symbols": ["BTC/USDT"], "api": {"port": 0},
        "log": {"format": "json"}, "store": {"url": "off"}, "venues": {"binance": NOWHERE}, **changes,
    })


def data_dir_with_a_position(tmp_path: Path, journal: str = JOURNAL) -> Path:
    """One BTC and a resting order (`RESTING`), left by an earlier session."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    scene = with_a_position_and_an_order(Scene(tmp_path / "earlier").open())
    scene.journal.close()
    shutil.copy(scene.path, folder / journal)
    return folder


class QuietRun:
    """One run of a daemon; `daemon` and what it left in its journal."""

    def __init__(self, settings: Settings, options: RunOptions | None = None) -> None:
        self.settings = settings
        self._data_dir = DataDir.open(settings.data_dir)
        self.daemon = Daemon(settings, options or RunOptions(), self._data_dir)

    async def until(self, is_so: Callable[[], bool], then: Callable[[], None]) -> int:
        """Run until `is_so`, which is looked at after each step of the loop; then do that. The exit code."""
        async def watch() -> None:
            while not is_so():  # noqa: ASYNC110 - the product sets no event for tests
                await asyncio.sleep(0)
            then()

        watching = asyncio.create_task(watch())
        try:
            return await self.daemon.run()
        finally:
            watching.cancel()
            self._data_dir.close()

    async def until_ready(self) -> int:
        """A start that succeeds, and its orderly end."""
        return await self.until(lambda: self.daemon.life.is_up, lambda: self.daemon.life.end("the test is over"))

    def problems(self) -> list[str]:
        return [each.text for each in self.daemon._runtime.health.problems]

    def told(self, kind: type) -> list[Any]:
        """Bodies of this kind in the journal, read from disk."""
        name = LIVE_JOURNAL if self.settings.mode == "live" else JOURNAL
        journal = MessageJournal.open(self.settings.data_dir / name, read_only=True)
        try:
            return [message.body for message in journal.read() if type(message.body) is kind]
        finally:
            journal.close()
