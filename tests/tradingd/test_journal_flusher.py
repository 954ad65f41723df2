"""The journal is flushed beside the event loop: once a second, one at a time, and an error of it is the end."""

import asyncio
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bus.ids import SessionId
from bus.messages.header import MessageMaker
from bus.messages.system import AlertRaised
from store.journal_format import JournalError
from tradingd import journal_flusher
from tradingd.background_tasks import BackgroundTasks
from tradingd.journal_flusher import FLUSH_EVERY_S, JournalFlusher
from tradingd.message_journal import MessageJournal

MAKER = MessageMaker("daemon", SessionId("s1"))


def append(journal: MessageJournal, *, sync: bool = False) -> None:
    journal.append([MAKER.make(AlertRaised("info", "a", "b"), 1)], sync=sync)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[MessageJournal]:
    opened = MessageJournal.open(tmp_path / "j.journal")
    yield opened
    opened.close()


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


def flushed_by(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The threads that flush, as they do."""
    noted: list[int] = []
    real = os.fdatasync

    def noting(descriptor: int) -> None:
        noted.append(threading.get_ident())
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", noting)
    return noted


async def test_it_flushes_what_was_written_in_another_thread_and_nothing_when_nothing_was(
    journal: MessageJournal, thread: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch,
) -> None:
    flusher, noted = JournalFlusher(journal), flushed_by(monkeypatch)
    await flusher.flush(thread)
    assert noted == []
    append(journal)
    await flusher.flush(thread)
    assert len(noted) == 1
    assert noted[0] != threading.get_ident()
    assert journal.synced == journal.size
    await flusher.flush(thread)
    append(journal, sync=True)
    await flusher.flush(thread)
    assert noted[1:] == [threading.get_ident()]


async def test_it_goes_on_once_a_second_and_never_two_at_once(
    journal: MessageJournal, monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert FLUSH_EVERY_S <= 1
    monkeypatch.setattr(journal_flusher, "FLUSH_EVERY_S", 0.0)
    begun, may_end = threading.Semaphore(0), threading.Semaphore(0)
    at_once: list[int] = []
    real, running = os.fdatasync, 0

    def slow(descriptor: int) -> None:
        nonlocal running
        running += 1
        at_once.append(running)
        begun.release()
        assert may_end.acquire(timeout=30)
        real(descriptor)
        running -= 1

    monkeypatch.setattr(os, "fdatasync", slow)
    task = asyncio.create_task(JournalFlusher(journal).run())
    for _ in range(3):
        append(journal)
        assert await asyncio.to_thread(begun.acquire, timeout=30)
        append(journal)  # the event loop goes on meanwhile, and the flush that runs does not count for this one
        for _ in range(5):
            await asyncio.sleep(0)
        may_end.release()
    may_end.release(4)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert at_once[:3] == [1, 1, 1]
    assert max(at_once) == 1


async def test_an_error_of_the_disk_ends_the_process_as_one_of_an_urgent_flush_does(
    journal: MessageJournal, monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(journal_flusher, "FLUSH_EVERY_S", 0.0)
    monkeypatch.setattr(os, "fdatasync", fails)
    failed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
    tasks = BackgroundTasks(failed.set_result)
    append(journal)
    tasks.spawn("journal flush", JournalFlusher(journal).run())
    error = await asyncio.wait_for(failed, 30)
    monkeypatch.undo()
    await tasks.cancel()
    assert isinstance(error, JournalError)
    assert "Input/output error" in str(error)
    with pytest.raises(JournalError, match="a write failed before"):
        append(journal, sync=True)


async def test_one_that_is_on_its_way_when_the_daemon_ends_disturbs_nobody(
    journal: MessageJournal, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(journal_flusher, "FLUSH_EVERY_S", 0.0)
    has_begun, may_end, has_ended = threading.Event(), threading.Event(), threading.Event()
    real, main = os.fdatasync, threading.get_ident()

    def slow(descriptor: int) -> None:
        if threading.get_ident() != main:
            has_begun.set()
            assert may_end.wait(30)
        real(descriptor)  # of a file that is closed by now: a bad descriptor would be an error
        if threading.get_ident() != main:
            has_ended.set()

    monkeypatch.setattr(os, "fdatasync", slow)
    tasks = BackgroundTasks(lambda error: pytest.fail(str(error)))
    append(journal)
    tasks.spawn("journal flush", JournalFlusher(journal).run())
    assert await asyncio.to_thread(has_begun.wait, 30)
    await tasks.cancel()
    append(journal)
    journal.flush()
    assert journal.rotate()
    journal.close()
    may_end.set()
    assert await asyncio.to_thread(has_ended.wait, 30)


async def test_a_file_that_cannot_be_opened_is_said_once_and_tried_again(
    journal: MessageJournal, thread: ThreadPoolExecutor, caplog: pytest.LogCaptureFixture,
) -> None:
    flusher, away = JournalFlusher(journal), journal.path.with_name("away")
    append(journal)
    journal.path.rename(away)
    for _ in range(3):
        await flusher.flush(thread)
    assert [line.levelname for line in caplog.records] == ["WARNING"]
    assert journal.synced < journal.size
    away.rename(journal.path)
    await flusher.flush(thread)
    assert journal.synced == journal.size
