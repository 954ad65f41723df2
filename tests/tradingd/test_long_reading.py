"""A restart that reads its journal for long is told while it reads, once, and how far it is."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack, closing, contextmanager
from pathlib import Path

import pytest
from aiohttp import web

from bus.clock import LiveClock
from bus.ids import SessionId
from bus.messages.header import Message, MessageMaker
from bus.messages.system import AlertRaised
from orders.engine import Engine
from tests.tradingd.alerts.loopback import CHAT, TOKEN, Telegram, http_server
from tests.tradingd.live_runtime import Scene
from tests.tradingd.small_daemon import SmallDaemon
from tradingd import daemon, long_reading
from tradingd.audience import Audience
from tradingd.checkpoint import Recovery
from tradingd.checkpoint_parts import Scope
from tradingd.data_dir import DataDir
from tradingd.long_reading import ALERT_AFTER_S, LongReading
from tradingd.message_journal import MessageJournal
from tradingd.read_model import ReadModel
from tradingd.reading_progress import ReadingProgress
from tradingd.run_options import RunOptions
from tradingd.session import PastSessions
from tradingd.settings import Settings
from tradingd.start_failure import LONG_START_FILE, after_start

WITHIN_S = 30


class Phone:
    """Telegram in a thread of its own: the loop of a start that reads stands still. `rang` when it was sent one."""

    def __init__(self) -> None:
        self.telegram = Telegram()
        self.rang = threading.Event()
        self.address = ""
        self._loop: asyncio.AbstractEventLoop
        self._is_up, self._end = threading.Event(), asyncio.Event()

    def settings(self, folder: Path) -> Settings:
        channel = {"service": "telegram", "token": TOKEN, "to": [CHAT], "api_url": self.address}
        return Settings.model_validate({"data_dir": folder, "alerts": {"phone": channel}})

    @property
    def told(self) -> list[str]:
        return [sent["text"] for sent in self.telegram.sent]

    @contextmanager
    def on(self) -> Iterator["Phone"]:
        thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        thread.start()
        assert self._is_up.wait(WITHIN_S)
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._end.set)
            thread.join()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with http_server(self._answer) as self.address:
            self._is_up.set()
            await self._end.wait()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        answer = await self.telegram(request)
        if self.telegram.sent:
            self.rang.set()
        return answer


@pytest.fixture
def phone() -> Iterator[Phone]:
    with Phone().on() as phone:
        yield phone
        watchers_ended()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_reading, "ALERT_AFTER_S", 0.0)


def reading_of(phone: Phone, folder: Path, *, is_live: bool = True) -> LongReading:
    settings = phone.settings(folder)
    return LongReading(Audience(settings, SmallDaemon(settings), LiveClock().now), folder, is_live=is_live)


def watchers_ended() -> int:
    """So many threads had looked on, and have ended."""
    found = [thread for thread in threading.enumerate() if thread.name == "long reading"]
    for thread in found:
        thread.join(WITHIN_S)
        assert not thread.is_alive()
    return len(found)


@pytest.mark.usefixtures("at_once")
def test_it_leaves_while_the_event_loop_stands_still_and_names_how_far_the_start_is(
    phone: Phone, tmp_path: Path,
) -> None:
    async def start() -> None:  # nothing is awaited in it
        reading = reading_of(phone, tmp_path)
        reading.progress.begin(1, 1_190_000, 3_500_000)
        with reading.watching():
            assert phone.rang.wait(WITHIN_S)
        with reading.watching():  # the second one, long as well
            pass

    asyncio.run(start())
    (told,) = phone.told
    assert "WARNING: the start takes long" in told
    assert "1,190,000 of 3,500,000 records are folded (34 %), in the first of two readings." in told
    assert "open positions are protected only by the stops that rest at the exchange" in told


@pytest.mark.usefixtures("at_once")
def test_on_paper_nobody_watches_meanwhile(phone: Phone, tmp_path: Path) -> None:
    with reading_of(phone, tmp_path, is_live=False).watching():
        assert phone.rang.wait(WITHIN_S)
    assert "it is being checked" in phone.told[0]
    assert "Until it is done nobody watches over what is open." in phone.told[0]


@pytest.mark.usefixtures("at_once")
def test_one_start_after_another_tells_it_once_in_ten_minutes_until_one_was_good(phone: Phone, tmp_path: Path) -> None:
    def start() -> None:
        """That reads until it was told, or until it is known that nobody will be."""
        with reading_of(phone, tmp_path).watching():
            watchers_ended()

    for _ in range(3):
        start()
    assert len(phone.told) == 1
    (tmp_path / LONG_START_FILE).unlink()
    start()
    assert len(phone.told) == 2


async def test_after_a_good_start_a_long_reading_is_news_again(phone: Phone, tmp_path: Path) -> None:
    settings = phone.settings(tmp_path)
    (tmp_path / LONG_START_FILE).write_text("{}")
    async with AsyncExitStack() as stack:
        after_start(
            None, PastSessions(count=3), Audience(settings, SmallDaemon(settings), LiveClock().now), tmp_path, stack,
        )
    assert not (tmp_path / LONG_START_FILE).exists()


def test_a_short_reading_and_a_replay_s_are_told_nobody(
    phone: Phone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert ALERT_AFTER_S == 30
    with reading_of(phone, tmp_path).watching():
        pass
    watchers_ended()
    monkeypatch.setattr(long_reading, "ALERT_AFTER_S", 0.0)
    with reading_of(phone, tmp_path).watching(is_replay=True):
        assert watchers_ended() == 0
    assert phone.told == []


@pytest.mark.usefixtures("at_once")
async def test_the_daemon_tells_it(phone: Phone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def reads(*_: object, progress: ReadingProgress, **__: object) -> None:
        assert progress == ReadingProgress(1, 3, 4)  # the very one that is told of
        assert phone.rang.wait(WITHIN_S)
        raise OSError("the end of this start")

    monkeypatch.setattr(long_reading, "ReadingProgress", lambda: ReadingProgress(1, 3, 4))
    monkeypatch.setattr(daemon, "open_journal", reads)
    with closing(DataDir.open(tmp_path / "data")) as data_dir, pytest.raises(OSError, match="the end of this start"):
        await daemon.Daemon(phone.settings(tmp_path / "data"), RunOptions(), data_dir).run()
    assert "3 of 4 records are folded (75 %)" in phone.told[0]
    assert "nobody watches over what is open" in phone.told[0]


def test_a_reading_notes_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maker, path = MessageMaker("daemon", SessionId("s1")), tmp_path / "j.journal"
    journal = MessageJournal.open(path)
    for _ in range(4):
        journal.append([maker.make(AlertRaised("info", "a", "b"), 1)], sync=False)
    progress = ReadingProgress()
    assert str(progress) == "it is being checked, and nothing is folded yet"
    told: list[str] = []

    class Model(ReadModel):
        def apply(self, message: Message) -> None:
            told.append(str(progress))
            super().apply(message)

    recovery = Recovery(journal, PastSessions(), Model("USDT"), progress=progress)
    assert told[2] == "2 of 4 records are folded (50 %), in the first of two readings"
    told.clear()
    real = Engine.restore

    def restore(self: Engine, message: Message) -> None:
        told.append(str(progress))
        real(self, message)

    monkeypatch.setattr(Engine, "restore", restore)
    scene = Scene(tmp_path / "scene").open()
    scope = Scope.of("USDT", [market.instrument for market in scene.runtime.engine.desk.markets.values()])
    told.clear()
    recovery.fold_engine(scope.engine(), scope)
    assert told[3] == "2 of 4 records are folded (50 %), in the second of two readings"
    journal.close()
