"""The process ends within its bound, although a thread of its loop does not; with the code its end deserves."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import asyncio, sys, time
from tradingd import process
from tradingd.life import Life

class Daemon:
    def __init__(self):
        self.life = Life()

    async def run(self):
        asyncio.get_running_loop().run_in_executor(None, time.sleep, {busy_s})
        {before}
        self.life.end("told to")
        return 0

sys.exit(process._run_loop(Daemon(), end_within_s={within_s}))
"""


def ended(*, busy_s: float, within_s: float, before: str = "pass") -> tuple[int, str, float]:
    """Exit code, what was said, and seconds."""
    script = SCRIPT.format(busy_s=busy_s, within_s=within_s, before=before)
    begin = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )
    return done.returncode, done.stderr, time.monotonic() - begin


@pytest.mark.parametrize(("before", "code"), [
    ("pass", 0), ("self.life.failure = RuntimeError('engine')", 1), ("self.life.is_to_start_again = True", 1),
])
def test_a_thread_that_goes_on_keeps_no_process_from_ending(before: str, code: int) -> None:
    found, said, took_s = ended(busy_s=50, within_s=0.5, before=before)
    assert (found, "the end took longer than 0.5 s" in said) == (code, True)
    assert took_s < 25


def test_an_end_in_time_is_not_cut_off() -> None:
    code, said, _ = ended(busy_s=0.1, within_s=15)
    assert (code, said) == (0, "")
