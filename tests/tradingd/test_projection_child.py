"""The store's process is kept running, whenever it dies."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tests.e2e.process import children_of
from tradingd import projection_child
from tradingd.projection_child import ProjectionChild, ProjectionTask


async def test_one_that_dies_before_it_is_told_anything_is_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Seen under load: killed between its birth and its first line, where uvloop raises no OSError."""
    monkeypatch.setattr(projection_child, "_FIRST_PAUSE_S", 0.01)
    start = asyncio.create_subprocess_exec
    born: list[int] = []
    again = asyncio.Event()

    async def start_and_lose_the_first(*arguments: str, **options: object) -> asyncio.subprocess.Process:
        process = await start(*arguments, **options)  # type: ignore[arg-type]
        born.append(process.pid)
        if len(born) == 2:
            again.set()
        if len(born) == 1:
            os.kill(process.pid, signal.SIGKILL)
            await process.wait()
            assert process.stdin is not None
            monkeypatch.setattr(process.stdin, "write", refuse)
        return process

    def refuse(data: bytes) -> None:
        raise RuntimeError("unable to perform operation on <WriteUnixTransport closed=True>; the handler is closed")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", start_and_lose_the_first)
    told: list[tuple[bool, str]] = []
    task = ProjectionTask(tmp_path / "j.journal", f"sqlite:///{tmp_path / 's.db'}", "paper", "USDT", is_own=True)
    child = ProjectionChild(task, lambda is_up, why: told.append((is_up, why)), start_after_s=0.0)
    child.start()
    async with asyncio.timeout(20):
        await again.wait()
    assert told[0][0] is False
    assert "handler is closed" in told[0][1]
    await child.stop()
    assert not {*born} & {*children_of(os.getpid())}
