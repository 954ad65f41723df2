"""The kill switch as a file: what it says, when it counts, and when it is left alone."""

import asyncio
import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bus.messages.orders import EngageKillSwitch, KillAction
from bus.messages.system import BY_RULE, KillSwitchEngaged
from tradingd import kill_file
from tradingd.kill_file import KillFile, kill_file_in, read_kill_file, write_kill_file


@pytest.mark.parametrize(("text", "action", "reason"), [
    ("", "cancel", "kill file found"),
    ("halt", "halt", "kill file found"),
    ("flatten: exchange hacked\n", "flatten", "exchange hacked"),
    ("FLATTEN now", "flatten", "now"),
    ("news at three", "cancel", "news at three"),
    ("halting everything", "cancel", "halting everything"),
    ("  cancel\n\nall  of it \n", "cancel", "all of it"),
    ("\x00\xff", "cancel", "?\ufffd"),
    ("halt \x1b[31mred", "halt", "?[31mred"),
])
def test_its_first_word_may_name_the_action(tmp_path: Path, text: str, action: str, reason: str) -> None:
    path = tmp_path / "KILL"
    path.write_bytes(text.encode("latin-1"))
    assert read_kill_file(path) == (action, reason)


@pytest.mark.parametrize("name", ["KILL", "kill"])
def test_both_spellings_count(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("halt x")
    wish = KillFile(tmp_path).look(None)
    assert wish == EngageKillSwitch("halt", "x", "file")


def test_without_a_file_nothing_is_asked(tmp_path: Path) -> None:
    file = KillFile(tmp_path)
    assert not file.exists
    assert file.look(None) is None
    assert file.path == tmp_path / "KILL"


def test_a_folder_a_pipe_and_a_broken_link_count_and_nobody_waits_for_them(tmp_path: Path) -> None:
    for number, make in enumerate((Path.mkdir, os.mkfifo, lambda path: path.symlink_to("nowhere"))):
        folder = tmp_path / str(number)
        folder.mkdir()
        make(folder / "KILL")  # type: ignore[operator]
        assert KillFile(folder).look(None) == EngageKillSwitch("cancel", "kill file found", "file")


@pytest.mark.parametrize("target", ["x" * 300, "closed/reason"])
def test_a_link_that_cannot_be_followed_counts_and_fails_nothing(open_folder: Path, target: str) -> None:
    (open_folder / "closed").mkdir(mode=0)
    file = KillFile(open_folder)
    file.path.symlink_to(target)
    with as_another_user():
        asked = file.look(None)
        assert asked is not None
        assert (asked.action, asked.by) == ("cancel", "file")
        assert "which cannot be read" in asked.reason
        assert file.unreadable
        assert read_kill_file(file.path)[0] == "cancel"


def test_a_file_that_is_being_written_is_looked_at_twice(tmp_path: Path) -> None:
    file = KillFile(tmp_path)
    file.path.touch()
    assert file.look(None) is None
    file.path.write_text("halt only")
    assert file.look(None) == EngageKillSwitch("halt", "only", "file")
    file.path.write_text("")
    assert file.look(None) is not None
    assert KillFile(tmp_path).look(None, is_patient=False) == EngageKillSwitch("cancel", "kill file found", "file")


@pytest.mark.parametrize(("engaged", "by", "text", "asks"), [
    ("cancel", "me", "cancel", False), ("cancel", "me", "halt", False), ("cancel", "me", "flatten", True),
    ("halt", "file", "flatten", True), ("flatten", BY_RULE, "halt", True),
])
def test_an_engaged_switch_is_only_made_stricter_or_taken_over_from_a_rule(
    tmp_path: Path, engaged: KillAction, by: str, text: str, asks: bool
) -> None:
    file = KillFile(tmp_path)
    file.path.write_text(text)
    assert (file.look(KillSwitchEngaged(engaged, "before", by)) is not None) == asks


def test_it_is_noticed_well_within_a_second() -> None:
    assert kill_file.WATCH_S * 2 < 1


async def test_the_watch_engages_once_and_goes_on_watching(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kill_file, "WATCH_S", 0.0)
    engaged: list[EngageKillSwitch] = []

    def latch() -> KillSwitchEngaged | None:
        return KillSwitchEngaged(engaged[-1].action, engaged[-1].reason, "file") if engaged else None

    watch = asyncio.create_task(KillFile(tmp_path).watch(latch, engaged.append))
    for text in ("halt a", "halt b", "flatten c"):
        (tmp_path / "KILL").write_text(text)
        for _ in range(4):
            await asyncio.sleep(0)
    watch.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watch
    assert [(wish.action, wish.reason) for wish in engaged] == [("halt", "a"), ("flatten", "c")]


def test_a_full_disk_leaves_an_empty_one_which_locks_trading_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    path = write_kill_file(tmp_path, "flatten", "get out")
    assert [each.name for each in tmp_path.iterdir()] == ["KILL"]
    assert KillFile(tmp_path).look(None, is_patient=False) == EngageKillSwitch("cancel", "kill file found", "file")
    assert path.read_text() == ""


def test_writing_it_never_makes_it_milder(tmp_path: Path) -> None:
    path = write_kill_file(tmp_path, "flatten", "first\nline")
    assert path.read_text() == "flatten first line\n"
    assert write_kill_file(tmp_path, "halt", "second") == path
    assert read_kill_file(path) == ("flatten", "first line")
    (tmp_path / "KILL").unlink()
    (tmp_path / "kill").write_text("halt")
    write_kill_file(tmp_path, "cancel", "more")
    assert kill_file_in(tmp_path) == tmp_path / "kill"
    assert read_kill_file(tmp_path / "kill") == ("cancel", "more")


# ---- rights ------------------------------------------------------------------------------------------


@contextlib.contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@contextlib.contextmanager
def as_another_user() -> Iterator[None]:
    """As nobody where root runs the tests; else as we are, whom a file without rights keeps out as well."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """That every user may enter."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def rights(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_one_that_a_person_with_a_strict_umask_leaves_is_read_by_the_daemon_s_user(open_folder: Path) -> None:
    with umask(0o077):
        path = write_kill_file(open_folder, "flatten", "news")
    assert rights(path) == 0o644
    with as_another_user():
        assert KillFile(open_folder).look(None) == EngageKillSwitch("flatten", "news", "file")


def test_so_is_an_empty_one_of_a_full_disk_and_one_that_was_there(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with umask(0o077):
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", full)
            path = write_kill_file(open_folder, "cancel", "news")
        assert rights(path) == 0o644
        path.unlink()
        path.write_text("flatten by hand")
        assert rights(path) == 0o600
        write_kill_file(open_folder, "cancel", "milder")
    with as_another_user():
        assert read_kill_file(path) == ("flatten", "by hand")


def test_the_rights_of_a_file_that_is_linked_to_are_left_alone(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("flatten")
    secret.chmod(0o600)
    for number, link in enumerate((Path.symlink_to, Path.hardlink_to)):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name in ("KILL", ".KILL.new"):
            link(folder / name, secret)
        write_kill_file(folder, "cancel", "news")
        (folder / "KILL").unlink()
        assert write_kill_file(folder, "cancel", "news").read_text() == "cancel news\n"
    assert (secret.read_text(), rights(secret)) == ("flatten", 0o600)


def test_one_that_cannot_be_read_counts_as_cancel_and_says_so(open_folder: Path) -> None:
    file = KillFile(open_folder)
    file.path.write_text("flatten: news")
    file.path.chmod(0)
    with as_another_user():
        asked = file.look(None)
        assert asked == EngageKillSwitch("cancel", "kill file found, which cannot be read (Permission denied)", "file")
        assert f"`chmod a+r {file.path}`" in file.unreadable
        assert file.look(KillSwitchEngaged("flatten", "before", "me")) is None
        assert file.unreadable
    file.path.chmod(0o644)
    assert file.look(KillSwitchEngaged("cancel", "before", "file")) == EngageKillSwitch("flatten", "news", "file")
    assert file.unreadable == ""


async def test_the_watch_tells_of_one_that_cannot_be_read_once_each_time_it_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kill_file, "WATCH_S", 0.0)
    told: list[str] = []
    asked: list[EngageKillSwitch] = []
    before = KillSwitchEngaged("flatten", "before", "me")
    watch = asyncio.create_task(KillFile(tmp_path).watch(lambda: before, asked.append, told.append))
    for count in (1, 2):
        (tmp_path / "KILL").symlink_to("/proc/self/mem")  # a plain file whose beginning nobody can read
        for _ in range(4):
            await asyncio.sleep(0)
        assert len(told) == count
        (tmp_path / "KILL").unlink()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    watch.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watch
    assert asked == []
    assert "Input/output error" in told[0]
