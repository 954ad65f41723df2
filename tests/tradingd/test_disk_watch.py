"""A disk that fills up stops entries early, once, and lets them go on when there is room again."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from tradingd import disk_watch
from tradingd.disk_watch import BACK_AT_BYTES, BACK_AT_FILES, LEAST_BYTES, LEAST_FILES, DiskWatch


def test_entries_stop_below_the_mark_and_go_on_well_above_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = iter((BACK_AT_BYTES, LEAST_BYTES, LEAST_BYTES - 512, LEAST_BYTES, BACK_AT_BYTES - 512, BACK_AT_BYTES))
    monkeypatch.setattr(
        disk_watch.os, "statvfs",
        lambda _: SimpleNamespace(f_bavail=next(free) // 512, f_frsize=512, f_files=0, f_favail=0),
    )
    watch = DiskWatch(tmp_path)
    told = [watch.look() for _ in range(6)]
    assert [bool(each) for each in told] == [False, False, True, True, True, False]
    assert len({each for each in told if each}) == 1


def test_a_disk_without_room_for_more_files_counts_as_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = iter((BACK_AT_FILES, LEAST_FILES, LEAST_FILES - 1, BACK_AT_FILES - 1, BACK_AT_FILES))
    monkeypatch.setattr(disk_watch.os, "statvfs", lambda _: SimpleNamespace(
        f_bavail=BACK_AT_BYTES, f_frsize=512, f_files=10_000, f_favail=next(free),
    ))
    watch = DiskWatch(tmp_path)
    told = [watch.look() for _ in range(5)]
    assert [bool(each) for each in told] == [False, False, True, True, False]
    assert "inodes" in told[2]
    assert len({each for each in told if each}) == 1


def test_a_folder_that_has_gone_counts_as_full(tmp_path: Path) -> None:
    assert "cannot be asked" in DiskWatch(tmp_path / "gone").look()
