"""The practice exchange as a child: real processes."""

import asyncio
import json
import os
import signal
import urllib.request
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.e2e.process import children_of, is_alive
from tradingd.practice_child import PracticeChild, PracticeError, PracticeOptions

pytestmark = pytest.mark.timeout(60)


def options(folder: Path, **changes: object) -> PracticeOptions:
    known: dict[str, object] = {
        "data_dir": folder, "seed": 7, "symbols": ("BTC/USDT",), "port": 0, "volatility": 1.0, "replay": (),
        "speed": 1.0, "not_before_ns": 0,
    }
    return PracticeOptions(**{**known, **changes})  # type: ignore[arg-type]


class Nursery:
    """Children and what was said of their deaths; none is left behind."""

    def __init__(self) -> None:
        self.deaths: list[str] = []
        self._all: list[PracticeChild] = []

    def child(self, given: PracticeOptions) -> PracticeChild:
        self._all.append(PracticeChild(given, self.deaths.append))
        return self._all[-1]

    async def close(self) -> None:
        for child in self._all:
            await child.stop()


@pytest.fixture
async def nursery() -> AsyncIterator[Nursery]:
    made = Nursery()
    yield made
    await made.close()


def practice_pids() -> list[int]:
    return [
        pid for pid in children_of(os.getpid())
        if is_alive(pid) and "exchanges.practice" in Path(f"/proc/{pid}/cmdline").read_text()
    ]


async def until(look: Callable[[], object], what: str, seconds: float = 15) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    while not look():
        assert asyncio.get_running_loop().time() < deadline, f"not in time: {what}"
        await asyncio.sleep(0.02)


def answers(rest_url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{rest_url}/api/v3/time", timeout=2) as answer:
            return "serverTime" in json.load(answer)
    except OSError:
        return False


async def test_it_answers_where_it_says(nursery: Nursery, tmp_path: Path) -> None:
    urls = await nursery.child(options(tmp_path)).start()
    assert await asyncio.to_thread(answers, urls.rest_url)
    assert urls.ws_url.startswith("ws://127.0.0.1:")


async def test_it_ends_in_order_with_us_and_its_death_is_then_no_news(nursery: Nursery, tmp_path: Path) -> None:
    child = nursery.child(options(tmp_path))
    await child.start()
    (pid,) = practice_pids()
    await child.stop()
    assert not is_alive(pid)
    assert nursery.deaths == []
    assert list((tmp_path / "practice").iterdir())


async def test_launched_early_it_is_the_same_process_that_starts(nursery: Nursery, tmp_path: Path) -> None:
    child = nursery.child(options(tmp_path))
    await child.launch()
    await until(practice_pids, "the launched process under its own name")
    (pid,) = practice_pids()
    await child.start()
    assert practice_pids() == [pid]


async def test_launched_and_never_started_it_still_ends(nursery: Nursery, tmp_path: Path) -> None:
    child = nursery.child(options(tmp_path))
    await child.launch()
    await until(practice_pids, "the launched process under its own name")
    (pid,) = practice_pids()
    await child.stop()
    assert not is_alive(pid)


async def test_killed_it_is_told_and_begun_anew_on_the_same_port(nursery: Nursery, tmp_path: Path) -> None:
    urls = await nursery.child(options(tmp_path)).start()
    (first,) = practice_pids()
    os.kill(first, signal.SIGKILL)
    await until(lambda: practice_pids() not in ([], [first]), "a new process")
    while not await asyncio.to_thread(answers, urls.rest_url):
        assert practice_pids()
    assert nursery.deaths == ["the practice exchange ended with code -9"]


async def test_what_it_cannot_do_is_told_in_its_own_words(nursery: Nursery, tmp_path: Path) -> None:
    with pytest.raises(PracticeError, match=r"missing\.tsv: no such file"):
        await nursery.child(options(tmp_path, replay=(tmp_path / "missing.tsv",))).start()
    assert practice_pids() == []
