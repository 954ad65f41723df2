"""Memory that is in use is moved to huge pages, and holds what it held."""

import subprocess
import sys

import pytest

from tradingd.huge_pages import HUGE, use_huge_pages

SCRIPT = """
import re
from pathlib import Path
from tradingd.huge_pages import use_huge_pages

def kilobytes(of):
    return int(re.search(of + r":\\s+(\\d+)", Path("/proc/self/smaps_rollup").read_text()).group(1))

held = [str(number) * 20 for number in range(200_000)]
before, was_huge = kilobytes("Rss"), kilobytes("AnonHugePages")
moved = use_huge_pages()
print(moved, kilobytes("AnonHugePages") - was_huge, kilobytes("Rss") - before)
assert held == [str(number) * 20 for number in range(200_000)]
"""


def test_what_is_held_is_moved_and_nothing_is_added() -> None:
    run = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=60)
    moved, huge_kilobytes, more_kilobytes = map(int, run.stdout.split())
    if not moved:
        pytest.skip("this system does not move memory to huge pages (MADV_COLLAPSE)")
    assert moved >= 4 * HUGE
    assert huge_kilobytes * 1024 == moved
    assert more_kilobytes * 1024 < 0.11 * moved + HUGE


def test_a_system_that_cannot_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tradingd.huge_pages._full_stretches", _refuse)
    assert use_huge_pages() == 0


def _refuse() -> list[int]:
    raise PermissionError("pagemap")
