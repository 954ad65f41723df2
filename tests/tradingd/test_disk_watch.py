"""A disk that fills up stops entries early, once, and lets them go on when there is room again."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from tradingd import disk_watch
from tradingd.disk_watch import BACK_AT_BYTES, LEAST_BYTES, DiskWatch


def test_entries_stop_below_the_mark_and_go_on_well_above_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = iter((BACK_AT_BYTES, LEAST_BYTES, LEAST_BYTES - 512, LEAST_BYTES, BACK_AT_BYTES - 512, BACK_AT_BYTES))
    monkeypatch.setattr(
        disk_watch.os, "statvfs", lambda _: SimpleNamespace(f_bavail=next(free) // 512, f_frsize=512)
    )
    watch = DiskWatch(tmp_path)
    told = [watch.look() for _ in range(6)]
    assert [bool(each) for each in told] == [False, False, True, True, True, False]
    assert len({each for each in told if each}) == 1


def test_a_folder_that_has_gone_counts_as_full(tmp_path: Path) -> None:
    assert "cannot be asked" in DiskWatch(tmp_path / "gone").look()
