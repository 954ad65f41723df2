"""What was freed is the system's again, and what is held stays."""

import asyncio
import contextlib
import ctypes
import subprocess
import sys

import pytest

from tradingd import freed_memory

SCRIPT = """
import re
from pathlib import Path
from tradingd.freed_memory import return_freed_memory

def kilobytes():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text()).group(1))

parts = [bytes([number % 256]) * 2_000 for number in range(50_000)]
held = parts[::50]
full = kilobytes()
del parts
freed = kilobytes()
print(return_freed_memory(), full - freed, freed - kilobytes())
assert held == [bytes([number % 256]) * 2_000 for number in range(0, 50_000, 50)]
"""


def test_what_lies_free_between_things_in_use_goes_back() -> None:
    if not hasattr(ctypes.CDLL(None), "malloc_trim"):
        pytest.skip("this system's C library has no malloc_trim")
    run = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=60)
    returned, freed_by_itself, freed = run.stdout.split()
    assert returned == "True"
    assert int(freed) > 50_000, f"{freed} kB of some 98,000; {freed_by_itself} had gone back by themselves"


def test_a_system_without_it_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tradingd.freed_memory.ctypes.CDLL", lambda _: object())
    assert freed_memory.return_freed_memory() is False


async def test_it_is_done_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, was_done, left = asyncio.get_running_loop(), asyncio.Event(), [1, 2, 3]

    def note() -> None:
        left.pop()
        if not left:
            loop.call_soon_threadsafe(was_done.set)
            left.append(0)

    monkeypatch.setattr(freed_memory, "return_freed_memory", note)
    keeping = asyncio.create_task(freed_memory.keep_returning(0.001))
    await asyncio.wait_for(was_done.wait(), 10)
    keeping.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await keeping
