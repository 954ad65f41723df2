"""Backup and restore: while the daemon writes, by one command each, and what comes back is what was saved."""

import errno
import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from bus.messages.header import Message
from bus.messages.system import KillSwitchEngaged
from store.journal import JournalError
from store.journal_files import segment_path
from tests.tradingd.stored_journal import alerts
from tests.tradingd.test_journal_tools import run
from tradingd import backup as backup_module
from tradingd.backup import MANIFEST, BackupError, back_up, links_in, read_back, restore
from tradingd.data_dir import AlreadyRunningError, DataDir, DataDirError
from tradingd.message_journal import MessageJournal

PAPER, LIVE = "journal-practice-paper.journal", "journal-binance-live.journal"


def data_in(folder: Path, name: str = PAPER, count: int = 20) -> tuple[Path, MessageJournal]:
    """A data directory whose daemon still writes."""
    (folder / "practice").mkdir(parents=True)
    (folder / "tape").mkdir()
    (folder / "tape" / "1.tsv").write_text("frames")
    (folder / "practice" / "market-7.json").write_text("{}")
    (folder / "account.json").write_text(json.dumps({"journal": name}))
    (folder / "credentials.json").write_text("secret")
    (folder / "store.sqlite").write_text("a projection")
    (folder / "run.json").write_text("{}")
    (folder / "lock").touch()
    journal = MessageJournal.open(folder / name)
    journal.append(alerts(count), sync=True)
    return folder, journal


def messages_in(path: Path) -> list[Message]:
    journal = MessageJournal.open(path, read_only=True)
    try:
        return list(journal.read())
    finally:
        journal.close()


def test_what_is_restored_is_what_was_saved_while_the_daemon_wrote(tmp_path: Path) -> None:
    data, journal = data_in(tmp_path / "data")
    manifest = back_up(data, tmp_path / "b.tar.gz")
    journal.append(alerts(5, first=100), sync=True)  # after the backup
    journal.close()
    assert (tmp_path / "b.tar.gz").stat().st_mode & 0o777 == 0o600
    names = {each.name for each in manifest.files}
    assert names == {PAPER, "account.json", "credentials.json", "practice/market-7.json"}
    done = restore(tmp_path / "b.tar.gz", tmp_path / "new")
    assert done.manifest == manifest
    assert done.set_aside is None
    assert messages_in(tmp_path / "new" / PAPER) == alerts(20)
    assert (tmp_path / "new" / "practice" / "market-7.json").read_text() == "{}"
    going_on = MessageJournal.open(tmp_path / "new" / PAPER)
    going_on.append(alerts(1, first=7), sync=True)
    assert len(going_on) == 21
    going_on.close()


def test_an_append_that_is_under_way_is_not_in_the_backup(tmp_path: Path) -> None:
    data, journal = data_in(tmp_path / "data")
    journal.append(alerts(1, first=50), sync=True)
    size = journal.size
    journal.close()
    path = data / PAPER
    path.write_bytes(path.read_bytes()[: size - 3])
    assert back_up(data, tmp_path / "b.tar.gz").records == 20
    restore(tmp_path / "b.tar.gz", tmp_path / "new")
    assert messages_in(tmp_path / "new" / PAPER) == alerts(20)


def test_frames_and_candles_come_along_when_asked_for(tmp_path: Path) -> None:
    data, journal = data_in(tmp_path / "data")
    names = {each.name for each in back_up(data, tmp_path / "b.tar.gz", with_tape=True).files}
    assert "tape/1.tsv" in names
    journal.close()


def test_a_history_of_sixty_symbols_is_not_too_much_and_what_is_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    data, journal = data_in(tmp_path / "data")
    journal.close()
    (data / "history").mkdir()
    for number in range(10_500):
        (data / "history" / f"{number}.parquet").touch()
    assert len(back_up(data, tmp_path / "b.tar.gz", with_tape=True).files) > 10_500
    monkeypatch.setattr(backup_module, "_MOST_FILES", 100)
    with pytest.raises(BackupError, match="more than 100 files"):
        read_back(tmp_path / "b.tar.gz")


def test_what_was_there_is_set_aside_and_not_deleted(tmp_path: Path) -> None:
    data, journal = data_in(tmp_path / "data")
    back_up(data, tmp_path / "b.tar.gz")
    journal.append(alerts(5, first=100), sync=True)
    journal.close()
    done = restore(tmp_path / "b.tar.gz", data)
    assert done.set_aside is not None
    assert len(messages_in(done.set_aside / PAPER)) == 25
    assert messages_in(data / PAPER) == alerts(20)
    assert not list(data.glob("restore-*"))


def test_a_live_account_comes_back_with_the_kill_switch_engaged(tmp_path: Path) -> None:
    data, journal = data_in(tmp_path / "data", LIVE)
    journal.close()
    back_up(data, tmp_path / "b.tar.gz")
    restore(tmp_path / "b.tar.gz", tmp_path / "new")
    last = messages_in(tmp_path / "new" / LIVE)[-1].body
    assert isinstance(last, KillSwitchEngaged)
    assert (last.action, last.by) == ("halt", "rule")
    assert "compare positions and orders with the venue" in last.reason


def test_a_backup_taken_in_the_middle_of_a_rotation_is_put_back(tmp_path: Path) -> None:
    data, journal = data_in(tmp_path / "data", LIVE)
    segment = segment_path(data / LIVE, 1)
    segment.parent.mkdir()
    os.link(data / LIVE, segment)
    journal.abandon()
    back_up(data, tmp_path / "b.tar.gz")
    restore(tmp_path / "b.tar.gz", tmp_path / "new")
    *before, last = messages_in(tmp_path / "new" / LIVE)
    assert before == alerts(20)
    assert isinstance(last.body, KillSwitchEngaged)


def test_a_live_account_that_the_backup_does_not_know_begins_locked(tmp_path: Path) -> None:
    data, journal = data_in(tmp_path / "data")
    journal.close()
    back_up(data, tmp_path / "b.tar.gz")
    live = MessageJournal.open(data / LIVE)  # it was traded live later
    live.append(alerts(3), sync=True)
    live.close()
    done = restore(tmp_path / "b.tar.gz", data)
    assert done.set_aside is not None
    assert messages_in(done.set_aside / LIVE) == alerts(3)
    (only,) = messages_in(data / LIVE)
    assert isinstance(only.body, KillSwitchEngaged)
    assert messages_in(data / PAPER) == alerts(20)


def test_a_kill_file_stays_in_force_through_a_restore(tmp_path: Path) -> None:
    data, journal = data_in(tmp_path / "data")
    journal.close()
    back_up(data, tmp_path / "b.tar.gz")
    (data / "KILL").write_text("halt: look first")
    restore(tmp_path / "b.tar.gz", data)
    assert (data / "KILL").read_text() == "halt: look first"


KILLED_BETWEEN = """
import os, sys
from pathlib import Path
from tradingd.backup import restore
rename = Path.rename
Path.rename = lambda self, to: os._exit(9) if self.parent.name.startswith("restore-") else rename(self, to)
restore(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def test_after_a_restore_that_was_killed_no_daemon_starts_until_it_is_run_again(tmp_path: Path) -> None:
    paper, journal = data_in(tmp_path / "paper")
    journal.close()
    back_up(paper, tmp_path / "b.tar.gz")
    data, journal = data_in(tmp_path / "data", LIVE)
    journal.close()
    killed = subprocess.run([sys.executable, "-c", KILLED_BETWEEN, tmp_path / "b.tar.gz", data], check=False)
    assert killed.returncode == 9
    assert not (data / LIVE).exists()
    for _ in range(2):  # the refusal changes nothing
        with pytest.raises(DataDirError, match=r"a restore was cut off .*tradingd restore"):
            DataDir.open(data)
    with pytest.raises(BackupError, match="not whole"):
        back_up(data, tmp_path / "of-half.tar.gz")
    restore(tmp_path / "b.tar.gz", data)
    DataDir.open(data).close()
    assert messages_in(data / PAPER) == alerts(20)
    (latch,) = messages_in(data / LIVE)  # the account that the backup does not know is locked all the same
    assert isinstance(latch.body, KillSwitchEngaged)
    kept = [path for path in data.glob(f"before-restore-*/{LIVE}")]
    assert messages_in(kept[0]) == alerts(20)


def test_a_restore_that_cannot_move_one_thing_leaves_everything_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A folder on which another disk is mounted; half a data directory would keep the daemon from starting for good."""
    data, journal = data_in(tmp_path / "data", LIVE)
    journal.close()
    (data / "run.json").unlink()
    back_up(data, tmp_path / "b.tar.gz")
    before = {path.relative_to(data): path.stat().st_ino for path in data.rglob("*")}
    rename = Path.rename

    def busy(source: Path, target: Path) -> Path:
        if source.name == "tape":
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(source))
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", busy)
    with pytest.raises(BackupError, match=r"busy: .*tape'.* unmount what is mounted in it"):
        restore(tmp_path / "b.tar.gz", data)
    assert {path.relative_to(data): path.stat().st_ino for path in data.rglob("*")} == before
    DataDir.open(data).close()


def test_a_running_daemons_directory_is_not_restored_to(tmp_path: Path) -> None:
    data, journal = data_in(tmp_path / "data")
    back_up(data, tmp_path / "b.tar.gz")
    locked = DataDir.open(data)
    with pytest.raises(AlreadyRunningError):
        restore(tmp_path / "b.tar.gz", data)
    locked.close()
    journal.close()
    assert messages_in(data / PAPER) == alerts(20)


def test_any_damaged_byte_is_found_before_anything_is_touched(tmp_path: Path) -> None:
    data, journal = data_in(tmp_path / "data")
    journal.close()
    source = tmp_path / "b.tar.gz"
    manifest = back_up(data, source)
    whole = source.read_bytes()
    found = 0
    for position in range(0, len(whole), max(1, len(whole) // 80)):
        source.write_bytes(whole[:position] + bytes([whole[position] ^ 16]) + whole[position + 1 :])
        try:
            assert read_back(source) == manifest  # gzip's own head, or another way to write the same zeros
        except BackupError:
            found += 1
            with pytest.raises(BackupError):
                restore(source, data)
        assert messages_in(data / PAPER) == alerts(20)
    assert found > 60
    source.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BackupError, match="not a whole backup"):
        read_back(source)
    assert not list(data.glob("*restore-*"))


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil"])
def test_a_backup_cannot_write_outside_the_data_directory(tmp_path: Path, name: str) -> None:
    source = tmp_path / "b.tar.gz"
    with tarfile.open(source, "w:gz") as archive:
        for each, text in ((name, b"x"), (MANIFEST, b"{}")):
            entry = tarfile.TarInfo(each)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text))
    with pytest.raises(BackupError, match="would leave the data directory"):
        restore(source, tmp_path / "deep" / "data")
    assert not list(tmp_path.rglob("evil"))


def test_a_damaged_journal_or_an_empty_directory_is_not_backed_up(tmp_path: Path) -> None:
    data, journal = data_in(tmp_path / "data")
    journal.append(alerts(1), sync=True)
    journal.close()
    path = data / PAPER
    path.write_bytes(path.read_bytes()[:40] + b"\xff" + path.read_bytes()[41:])
    with pytest.raises(JournalError, match="damaged"):
        back_up(data, tmp_path / "b.tar.gz")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BackupError, match="no journal in it"):
        back_up(tmp_path / "empty", tmp_path / "c.tar.gz")
    assert [each.name for each in tmp_path.iterdir() if "tar" in each.name] == []


def test_a_backup_never_overwrites_another(tmp_path: Path) -> None:
    data, journal = data_in(tmp_path / "data")
    (tmp_path / "b.tar.gz").write_text("precious")
    with pytest.raises(BackupError, match="exists"):
        back_up(data, tmp_path / "b.tar.gz")
    assert (tmp_path / "b.tar.gz").read_text() == "precious"
    journal.close()


def test_what_a_restore_set_aside_is_in_no_later_backup(tmp_path: Path) -> None:
    data, journal = data_in(tmp_path / "data")
    journal.close()
    first = back_up(data, tmp_path / "1.tar.gz")
    assert restore(tmp_path / "1.tar.gz", data).set_aside is not None
    second = back_up(data, tmp_path / "2.tar.gz")
    assert [each.name for each in second.files] == [each.name for each in first.files]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_puts_back_belongs_to_the_owner_of_the_folder(tmp_path: Path) -> None:
    data, journal = data_in(tmp_path / "data")
    journal.close()
    back_up(data, tmp_path / "1.tar.gz")
    os.chown(data, 12_345, 12_345)
    restore(tmp_path / "1.tar.gz", data)
    assert {path.stat().st_uid for path in data.rglob("*")} == {12_345}


def test_a_backup_that_would_fill_the_disk_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    bomb = tmp_path / "b.tar.gz"
    with gzip.open(bomb, "wb") as file:
        entry = tarfile.TarInfo("account.json")
        entry.size = 10**15
        file.write(entry.tobuf(tarfile.GNU_FORMAT) + bytes(1_000_000))
    with pytest.raises(BackupError, match="more disk space than is free"):
        restore(bomb, tmp_path / "new")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["lock"]


def test_a_persons_own_files_are_in_it_whatever_they_are_called(tmp_path: Path) -> None:
    """Only what tradingd makes itself and can make again is left out."""
    folder, journal = data_in(tmp_path / "data")
    journal.close()
    own = [
        "alphas/checkpoint_breakout.py", "alphas/moving.target.py", "alphas/my.sqlite.py", "alphas/lock",
        "notes.tar.md",
    ]
    passing = [
        "checkpoints/journal-practice-paper/000000000000020.checkpoint", "trading.sqlite", "trading.sqlite-wal",
        "earlier.tar.gz", "account.json.new", "journal-practice-paper.segments/packing.lock",
    ]
    for name in (*own, *passing):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine")
    taken = {each.name for each in back_up(folder, tmp_path / "b.tar.gz").files}
    assert set(own) <= taken
    assert taken.isdisjoint(passing)


def test_a_journal_that_lies_behind_a_link_is_not_left_out_without_a_word(tmp_path: Path) -> None:
    """The backup would be read back and whole, and the live account not in it."""
    folder, journal = data_in(tmp_path / "data")
    journal.close()
    elsewhere, journal = data_in(tmp_path / "fast", LIVE)
    journal.close()
    (folder / LIVE).symlink_to(elsewhere / LIVE)
    with pytest.raises(BackupError, match=rf"{LIVE} is a symbolic link, .* Put the file itself in its place"):
        back_up(folder, tmp_path / "b.tar.gz")
    (folder / LIVE).unlink()
    (tmp_path / "link").symlink_to(folder)
    back_up(tmp_path / "link", tmp_path / "b.tar.gz")


def test_what_lies_behind_links_is_told_to_be_missing(tmp_path: Path) -> None:
    folder, journal = data_in(tmp_path / "data")
    journal.close()
    (tmp_path / "alphas").mkdir()
    (folder / "alphas").symlink_to(tmp_path / "alphas")
    (folder / "notes.txt").symlink_to(tmp_path / "nowhere")
    back_up(folder, tmp_path / "b.tar.gz")
    assert links_in(folder) == ["alphas", "notes.txt"]
    code, output = run("backup", str(tmp_path / "c.tar.gz"), data_dir=folder)
    assert code == 0
    assert "links are not followed: alphas, notes.txt" in output


def test_what_cannot_be_read_is_named_and_not_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, journal = data_in(tmp_path / "data")
    journal.close()
    for refused in (folder / "credentials.json", folder / PAPER, folder / "practice"):
        refuse(monkeypatch, refused)
        with pytest.raises(BackupError, match=rf"^{refused}: cannot be read \(Permission denied\).* Mend its rights"):
            back_up(folder, tmp_path / "b.tar.gz")
        monkeypatch.undo()


def refuse(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """As the kernel refuses what is another user's; root is refused nothing."""
    opened, scanned = io.open, os.scandir

    def open_but_one(name: Any, *others: Any, **options: Any) -> Any:
        if str(name) == str(path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return opened(name, *others, **options)

    def scan_but_one(name: Any) -> Any:
        if str(name) == str(path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scanned(name)

    monkeypatch.setattr(io, "open", open_but_one)
    monkeypatch.setattr(os, "scandir", scan_but_one)


def acts_on_folders(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What is done to names from here on, in order: what is flushed, and what is moved to which name."""
    done: list[tuple[str, str]] = []
    fsync, replace, rename = os.fsync, os.replace, Path.rename

    def watched_fsync(descriptor: int) -> None:
        done.append(("flush", os.readlink(f"/proc/self/fd/{descriptor}")))
        fsync(descriptor)

    def watched_replace(source: Path, target: Path) -> None:
        done.append(("move", str(target)))
        replace(source, target)

    def watched_rename(source: Path, target: Path) -> Path:
        done.append(("move", str(target)))
        return rename(source, target)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "replace", watched_replace)
    monkeypatch.setattr(Path, "rename", watched_rename)
    return done


def test_a_backup_has_its_name_through_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, journal = data_in(tmp_path / "data")
    journal.close()
    target = tmp_path / "elsewhere" / "b.tar.gz"
    target.parent.mkdir()
    done = acts_on_folders(monkeypatch)
    back_up(folder, target)
    assert done[-2:] == [("move", str(target)), ("flush", str(target.parent))]


def test_a_restore_leaves_every_name_on_disk_before_it_counts_as_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, journal = data_in(tmp_path / "data")
    assert journal._journal.rotate()
    journal.append(alerts(3, 20), sync=True)
    journal.close()
    source = tmp_path / "b.tar.gz"
    back_up(folder, source)
    done = acts_on_folders(monkeypatch)
    aside = restore(source, folder).set_aside
    moved = [number for number, (act, _) in enumerate(done) if act == "move"]
    last_aside = max(number for number in moved if done[number][1].startswith(str(aside)))
    flushed_behind = {name for act, name in done[last_aside:] if act == "flush"}
    assert {str(aside), str(folder)} <= flushed_behind
    made = {name for act, name in done if act == "flush"}
    assert any(name.endswith("/journal-practice-paper.segments") for name in made)


def test_a_target_below_a_file_is_told_in_words(tmp_path: Path) -> None:
    folder, journal = data_in(tmp_path / "data")
    journal.close()
    (tmp_path / "file").touch()
    with pytest.raises(BackupError, match=r"b\.tar\.gz: cannot be written .* name another folder"):
        back_up(folder, tmp_path / "file" / "b.tar.gz")


def test_what_a_killed_restore_had_unpacked_is_not_kept_for_ever(tmp_path: Path) -> None:
    """It holds credentials, and as much as the backup itself."""
    folder, journal = data_in(tmp_path / "data")
    journal.close()
    source = tmp_path / "b.tar.gz"
    back_up(folder, source)
    script = (
        "import os, sys; from pathlib import Path; from tradingd import backup; "
        "backup.write_durably = lambda *a: os._exit(9); backup.restore(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    assert subprocess.run([sys.executable, "-c", script, source, folder], check=False).returncode == 9
    assert len(list(folder.glob("restore-*"))) == 1
    (folder / "restore-plan").mkdir()  # a person's
    aside = restore(source, folder).set_aside
    assert aside is not None
    assert [path.name for path in folder.rglob("restore-*")] == ["restore-plan"]
    assert (aside / PAPER).exists()
