"""Paper or live, written down for the next start."""

import os
from pathlib import Path

import pytest

from tests.tradingd.live_runtime import Scene
from tradingd.conditions import Conditions
from tradingd.control import ControlUnavailableError
from tradingd.life import READY, Life
from tradingd.mode_switch import MODE_FILE, as_chosen, write_choice
from tradingd.operations import Operations
from tradingd.replay_run import ReplayRun
from tradingd.run_options import RunOptions
from tradingd.settings import Settings


def live_in(folder: Path) -> Settings:
    return Settings(mode="live", data_dir=folder)


def test_paper_that_was_chosen_holds_until_live_is_chosen(tmp_path: Path) -> None:
    assert as_chosen(live_in(tmp_path)).mode == "live"
    write_choice(tmp_path, "paper", "operator")
    assert as_chosen(live_in(tmp_path)).mode == "paper"
    write_choice(tmp_path, "live", "operator")
    assert as_chosen(live_in(tmp_path)).mode == "live"


def test_the_choice_is_on_disk_before_it_is_obeyed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut behind it must not bring the daemon back with real money."""
    done: list[str] = []
    fsync, replace = os.fsync, os.replace

    def noting(descriptor: int) -> None:
        target = os.readlink(f"/proc/self/fd/{descriptor}")
        done.append("folder" if target == str(tmp_path) else "file")
        fsync(descriptor)

    def renaming(source: str | Path, target: str | Path) -> None:
        done.append(Path(target).name)
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noting)
    monkeypatch.setattr(os, "replace", renaming)
    write_choice(tmp_path, "paper", "operator")
    assert done == ["file", MODE_FILE, "folder"]


@pytest.mark.parametrize("leave", [
    lambda path: path.write_text(""), lambda path: path.write_text("{"), lambda path: path.symlink_to("nowhere"),
])
def test_a_choice_that_cannot_be_read_means_paper(tmp_path: Path, leave: object) -> None:
    leave(tmp_path / MODE_FILE)  # type: ignore[operator]
    assert as_chosen(live_in(tmp_path)).mode == "paper"


def test_a_disk_that_takes_no_choice_leaves_the_mode_and_the_entries_as_they_were(tmp_path: Path) -> None:
    scene = Scene(tmp_path).open()
    settings, options, life = scene.settings, RunOptions(), Life()
    life.phase = READY
    conditions = Conditions(settings, life)
    folder = tmp_path / "gone"
    operations = Operations(settings, options, folder, life, ReplayRun(settings, options, folder), conditions)
    conditions.begin(scene.runtime, listed=[], held=[], notes=[])
    operations.begin(scene.runtime, None, None, None, None)  # type: ignore[arg-type]
    with pytest.raises(ControlUnavailableError, match="the mode stays"):
        operations.switch_mode("paper", confirm="", by="operator")
    assert not scene.runtime.health.is_raised("mode")
    assert not life.end_asked.is_set()
