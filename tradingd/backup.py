"""A data directory in one file, taken while the daemon runs, and put back again.

A backup holds the journals, all their files up to the last whole append, credentials, the name of the current account
and the practice market's state; with `with_tape` recorded frames, downloaded candles and logs, too. The SQL store is
not in it: it is built anew from the journal. Each file's SHA-256 stands in the manifest, and what was written is read
back before it counts.
"""

import gzip
import hashlib
import io
import json
import os
import re
import shutil
import tarfile
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from bus.ids import SessionId
from bus.messages.header import MessageMaker
from bus.messages.system import BY_RULE, KillSwitchEngaged
from store.journal_check import Examination, examine, examine_journal
from store.journal_files import PACKED_SUFFIX, RAW_SUFFIX, segments_folder
from store.journal_format import JournalError
from store.journal_pack import sync_folder
from tradingd.data_dir import UNFINISHED_RESTORE, DataDir, write_durably
from tradingd.kill_file import KILL_NAMES
from tradingd.message_journal import MessageJournal
from tradingd.read_model_views import to_iso
from tradingd.version import VERSION

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
_NOT_TAKEN: Final = ("lock", "run.json", "starting.json", UNFINISHED_RESTORE, "checkpoints")
_PASSING: Final = re.compile(r"\.(new|part|mended|lock|sqlite(-\w+)?|tgz|tar(\.(gz|xz|bz2|zst))?)\Z")
"""Ends of names: half made, made anew from the journal, or a backup itself."""
_BULKY: Final = ("tape", "inputs", "history", "logs")
_JOURNALS: Final = (".journal", RAW_SUFFIX, PACKED_SUFFIX)
_SEGMENTS: Final = ".segments"
_LIVE: Final = "-live"
_STAYING: Final = ("lock", UNFINISHED_RESTORE, *KILL_NAMES)
"""What a restore leaves where it is: a person who locked trading has not unlocked it by that."""
_ASIDE: Final = "before-restore-"
_INCOMING: Final = "restore-"
_TRIES: Final = 3
_MOST_FILES: Final = 300_000
_MOST_MANIFEST: Final = 100_000_000


class BackupError(RuntimeError):
    """The backup cannot be written, read or put back; the text says which file and what to do."""


@dataclass(frozen=True, slots=True)
class SavedFile:
    """One file: its name below the data directory, its bytes, their SHA-256, and a journal's records (else 0)."""

    name: str
    size: int
    sha256: str
    records: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is in a backup. `made_ns` is UTC ns."""

    format: int
    version: str
    made_ns: int
    files: tuple[SavedFile, ...]

    @property
    def records(self) -> int:
        """Of all journals."""
        return sum(each.records for each in self.files)


# ---- taking it ---------------------------------------------------------------------------------------


def back_up(data_dir: Path, target: Path, *, with_tape: bool = False) -> Manifest:
    """Write the backup, read it back, and only then give it its name. Raises `BackupError` and `JournalError`."""
    if target.exists():
        raise BackupError(f"{target} exists: name a new file.")
    if (data_dir / UNFINISHED_RESTORE).exists():
        raise BackupError(f"{data_dir}: a restore was cut off in it, so it is not whole. Run `tradingd restore` again.")
    temporary = target.with_name(f"{target.name}.part")
    try:
        manifest, gap = _write(data_dir, temporary, with_tape=with_tape)
        for _ in range(_TRIES):
            if not gap:
                break
            manifest, gap = _write(data_dir, temporary, with_tape=with_tape)
        if gap:
            raise JournalError(f"{gap}, so a backup would be worth nothing. See `tradingd journal verify`.")
        if read_back(temporary) != manifest:
            raise BackupError(f"{target}: what was read back is not what was written. Try another disk.")
        os.replace(temporary, target)
        sync_folder(target.parent)
    except OSError as error:
        raise BackupError(f"{target}: cannot be written ({error}). Free disk space or name another folder.") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return manifest


def _write(data_dir: Path, target: Path, *, with_tape: bool) -> tuple[Manifest, str]:
    """Also what is missing of a journal, "" when nothing is: a file may be closed or packed while others are copied."""
    saved: list[SavedFile] = []
    examined: dict[Path, Examination] = {}
    with open(target, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        with tarfile.open(fileobj=file, mode="w:gz", compresslevel=3) as archive:
            for path in _files_of(data_dir, target, with_tape=with_tape):
                one = _add(archive, path, path.relative_to(data_dir).as_posix(), examined)
                if one is not None:
                    saved.append(one)
            if not any(each.records for each in saved):
                raise BackupError(f"{data_dir}: there is no journal in it, so nothing to back up. Name --data-dir.")
            manifest = Manifest(FORMAT, VERSION, time.time_ns(), tuple(saved))
            text = json.dumps(asdict(manifest), indent=1).encode()
            archive.addfile(_entry(MANIFEST, len(text)), io.BytesIO(text))
        file.flush()
        os.fsync(file.fileno())
    return manifest, _gap_in(examined)


def _gap_in(examined: Mapping[Path, Examination]) -> str:
    for journal, current in examined.items():
        if journal.suffix != ".journal":
            continue
        expected = 1
        for path in sorted(path for path in examined if path.parent == segments_folder(journal)):
            segment = examined[path]
            if segment.first == expected:  # else it is twice there: as it was, and packed
                expected = segment.kept_last + 1
        if expected < current.first:
            return f"{journal}: records {expected} to {current.first - 1} are missing"
    return ""


def links_in(data_dir: Path, *, with_tape: bool = False) -> list[str]:
    """Names of what is in no backup because it lies elsewhere: symbolic links are not followed."""
    return [
        path.relative_to(data_dir).as_posix() for path in _entries_of(data_dir, with_tape=with_tape)
        if path.is_symlink() and not _PASSING.search(path.name)
    ]


def _files_of(data_dir: Path, target: Path, *, with_tape: bool) -> Iterator[Path]:
    entries = _entries_of(data_dir, with_tape=with_tape)
    for entry in entries:
        packed = entry.with_suffix(PACKED_SUFFIX)
        is_packed_meanwhile = entry.suffix == RAW_SUFFIX and packed not in entries and not os.path.lexists(entry)
        path = packed if is_packed_meanwhile else entry
        if path.is_symlink():
            if path.suffix in (*_JOURNALS, _SEGMENTS):
                raise BackupError(
                    f"{path} is a symbolic link, and a backup follows none: a journal would be missing. Put the file "
                    "itself in its place; the whole data directory may be behind a link."
                )
            continue
        if path.is_file() and path.resolve() != target.resolve() and not _PASSING.search(path.name):
            yield path


def _entries_of(data_dir: Path, *, with_tape: bool) -> list[Path]:
    """Files, and links to anything, without what is made anew or has been set aside; sorted."""
    found: list[Path] = []
    for at, folders, names in os.walk(data_dir, onerror=_refuse):
        here = Path(at)
        if here == data_dir:
            passed = (*_NOT_TAKEN, *(() if with_tape else _BULKY))
            names = [name for name in names if name not in passed]
            folders[:] = [name for name in folders if name not in passed and not _is_of_a_restore(name)]
        folders[:] = [name for name in folders if ".damaged-" not in name]  # what a repair set aside, with the damage
        found += [here / name for name in names]
        found += [here / name for name in folders if (here / name).is_symlink()]
    return sorted(found)


def _is_of_a_restore(name: str) -> bool:
    """What one set aside, or did not finish; a person may call a folder of his restore-plan."""
    return any(name.startswith(begin) and name.removeprefix(begin).isdigit() for begin in (_ASIDE, _INCOMING))


def _refuse(error: OSError) -> None:
    """A folder that cannot be looked into: what is in it would be missing without a word."""
    if not isinstance(error, FileNotFoundError):
        raise _unreadable(Path(str(error.filename)), error)


def _unreadable(path: Path, error: OSError) -> BackupError:
    return BackupError(
        f"{path}: cannot be read ({error.strerror}), and a backup would be without it. Mend its rights or its disk, or "
        "move it away."
    )


def _add(
    archive: tarfile.TarFile, path: Path, name: str, examined: dict[Path, Examination],
) -> SavedFile | None:
    """A file as it is now, a journal up to its last whole append; None when it has gone meanwhile."""
    if path.suffix not in _JOURNALS:
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreadable(path, error) from error
        archive.addfile(_entry(name, len(data)), io.BytesIO(data))
        return SavedFile(name, len(data), hashlib.sha256(data).hexdigest(), 0)
    try:
        source = path.open("rb")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(path, error) from error
    with source:  # what is behind the whole batches may grow, what is before them never changes
        found = examined[path] = examine(path, source.fileno())
        if not found.is_whole:
            raise JournalError(f"{path}: damaged, so a backup would be worth nothing. See `tradingd journal verify`.")
        counting = _Hashing(path, source)
        archive.addfile(_entry(name, found.kept_bytes), counting)
    return SavedFile(name, found.kept_bytes, counting.sha256.hexdigest(), found.kept_records)


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o600
    entry.mtime = int(time.time())
    return entry


class _Hashing:
    """A file that is hashed while it is read."""

    def __init__(self, path: Path, file: Any) -> None:
        self._path = path
        self._file = file
        self.sha256 = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        try:
            data: bytes = self._file.read(size)
        except OSError as error:
            raise _unreadable(self._path, error) from error
        self.sha256.update(data)
        return data


# ---- reading it --------------------------------------------------------------------------------------


def read_back(source: Path) -> Manifest:
    """The manifest, after every file was compared with it; raises `BackupError`."""
    return _unpack(source, None)


def _unpack(source: Path, folder: Path | None) -> Manifest:
    found: dict[str, tuple[int, str]] = {}
    manifest: Manifest | None = None
    room = shutil.disk_usage(folder).free if folder is not None else None
    try:
        with gzip.open(source) as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
            for entry in archive:
                file = archive.extractfile(entry)
                if not entry.isfile() or file is None:
                    raise BackupError(f"{source}: {entry.name!r} does not belong into a backup of tradingd.")
                if len(found) > _MOST_FILES:
                    raise BackupError(f"{source}: more than {_MOST_FILES} files, which no backup of tradingd has.")
                if room is not None:
                    room -= entry.size
                    if room < 0:  # before a byte of it is written: zeros pack a thousandfold
                        raise BackupError(f"{source}: needs more disk space than is free. Free some first.")
                if entry.name == MANIFEST:
                    manifest = _parse(file.read(_MOST_MANIFEST))
                else:
                    found[entry.name] = (entry.size, _take(file, entry.name, folder))
            while stream.read(1 << 20):  # to the end, where gzip compares its checksum
                pass
    except (OSError, EOFError, zlib.error, tarfile.TarError, ValueError, KeyError, TypeError) as error:
        raise BackupError(f"{source}: not a whole backup ({error}). Use another one.") from error
    if manifest is None:
        raise BackupError(f"{source}: no {MANIFEST} in it: not a whole backup. Use another one.")
    if found != {each.name: (each.size, each.sha256) for each in manifest.files}:
        raise BackupError(f"{source}: its files are not those its manifest names. Use another one.")
    return manifest


def _parse(text: bytes) -> Manifest:
    data = json.loads(text)
    if data["format"] != FORMAT:
        raise BackupError(f"a backup of format {data['format']}: this program reads {FORMAT}. Use another version.")
    files = tuple(SavedFile(**each) for each in data["files"])
    return Manifest(data["format"], data["version"], data["made_ns"], files)


def _take(file: Any, name: str, folder: Path | None) -> str:
    """Hash one file, and write it below `folder` when there is one."""
    parts = PurePosixPath(name).parts
    if not parts or PurePosixPath(name).is_absolute() or ".." in parts:
        raise BackupError(f"{name!r} would leave the data directory: this is no backup of tradingd.")
    sha256 = hashlib.sha256()
    target = None
    if folder is not None:
        path = folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        target = open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600))  # noqa: SIM115
    try:
        while block := file.read(1 << 20):
            sha256.update(block)
            if target is not None:
                target.write(block)
        if target is not None:
            target.flush()
            os.fsync(target.fileno())
    finally:
        if target is not None:
            target.close()
    return sha256.hexdigest()


# ---- putting it back ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put back; `set_aside` holds what was there before (None: nothing was)."""

    manifest: Manifest
    set_aside: Path | None


def restore(source: Path, data_dir: Path) -> Restored:
    """Put a backup into a data directory on which no daemon runs.

    Everything is unpacked and verified beside it first; then what is there is set aside, and nothing is deleted.
    The live journals get the kill switch: what happened at the venue since the backup is not known. One that is there
    and not in the backup begins anew with nothing but the switch. One that is cut off has to be run again.
    Raises `BackupError`, `JournalError`, and what opening the data directory raises.
    """
    locked = DataDir.open(data_dir, to_restore=True)
    incoming = data_dir / f"{_INCOMING}{time.time_ns()}"
    try:
        for left in data_dir.glob(f"{_INCOMING}*"):
            if left.name.removeprefix(_INCOMING).isdigit():
                _remove(left)  # of a restore that was killed: the backup has it
        incoming.mkdir(mode=0o700)
        manifest = _unpack(source, incoming)
        for path in sorted(incoming.rglob("*.journal")):
            if not examine_journal(path).is_whole:
                raise BackupError(f"{source}: {path.name} in it is damaged. Use another one.")
            if path.stem.endswith(_LIVE):
                _latch(path, manifest)
        for name in _live_journals(data_dir):
            if not (incoming / name).exists():
                _latch(incoming / name, manifest)
        for made in (incoming, *(path for path in incoming.rglob("*") if path.is_dir())):
            sync_folder(made)
        aside = _set_aside(data_dir, incoming, source)
        for path in sorted(incoming.iterdir()):
            path.rename(data_dir / path.name)
        incoming.rmdir()
        _give_to_owner(data_dir)
        if aside is not None:
            sync_folder(aside)
        sync_folder(data_dir)
        (data_dir / UNFINISHED_RESTORE).unlink()
        sync_folder(data_dir)
    except OSError as error:
        raise BackupError(
            f"{data_dir}: cannot be restored to ({error}). Free disk space, mend rights, unmount what is mounted in it."
        ) from error
    finally:
        _remove(incoming)
        locked.close()
    return Restored(manifest, aside)


def _live_journals(data_dir: Path) -> list[str]:
    """Names of those that are there, or were when a restore that was cut off began."""
    was_cut = (data_dir / UNFINISHED_RESTORE).exists()
    folders = [data_dir, *(data_dir.glob(f"{_ASIDE}*") if was_cut else ())]
    return sorted({path.name for folder in folders for path in folder.glob(f"*{_LIVE}.journal")})


def _latch(path: Path, manifest: Manifest) -> None:
    now = time.time_ns()
    reason = f"restored from a backup of {to_iso(manifest.made_ns)}: compare positions and orders with the venue"
    journal = MessageJournal.open(path)
    try:
        maker = MessageMaker("restore", SessionId(f"restore-{now}"))
        journal.append([maker.make(KillSwitchEngaged("halt", reason, BY_RULE), now)], sync=True)
    finally:
        journal.close()


def _set_aside(data_dir: Path, incoming: Path, source: Path) -> Path | None:
    """All or nothing: where one thing cannot be moved (something is mounted there), the others come back."""
    there = [path for path in sorted(data_dir.iterdir()) if path != incoming and path.name not in _STAYING
             and not path.name.startswith(_ASIDE)]
    mark = data_dir / UNFINISHED_RESTORE
    was_cut = mark.exists()
    # From here on a process that is killed would leave a folder without its accounts: no daemon starts on that.
    write_durably(mark, f"{source}\n")
    aside = data_dir / f"{_ASIDE}{time.time_ns()}"
    moved: list[Path] = []
    try:
        if there:
            aside.mkdir(mode=0o700)
        for path in there:
            path.rename(aside / path.name)
            moved.append(path)
    except OSError:
        for path in reversed(moved):
            (aside / path.name).rename(path)
        with suppress(FileNotFoundError):
            aside.rmdir()
        if not was_cut:
            mark.unlink()
        raise
    return aside if there else None


def _give_to_owner(data_dir: Path) -> None:
    """Put back by root for a service of another user: everything is for whoever owns the folder."""
    owner = data_dir.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        for path in (data_dir, *data_dir.rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _remove(folder: Path) -> None:
    """What a restore that failed has unpacked so far."""
    if not folder.exists():
        return
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink()
    folder.rmdir()
