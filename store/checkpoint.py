"""Checkpoint files: what a journal folds to at one place, kept beside it, so that a start need not fold it all again.

A checkpoint is never the truth. It may be deleted at any time; one that is damaged, of another program or of another
journal is passed over for the one before it, and without any the whole journal is folded. This module knows nothing of
what the sections say.

The file: 16 bytes that name format and version, length of the head; the head (JSON: program, kind, place in the
journal, length and SHA-256 of each section), SHA-256 of the head, then the sections.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import Any, Final, Literal

import orjson

from store.journal_format import Position
from store.private_file import open_private

FORMAT: Final = 1
KEEP: Final = 2
"""Files kept per journal: the newest, and the one before it in case the newest is damaged."""

CheckpointKind = Literal["auto", "manual", "shutdown"]
KINDS: Final[tuple[CheckpointKind, ...]] = ("auto", "manual", "shutdown")

_NAME: Final = b"tradingd-ckp"
_START: Final = Struct("<12sII")  # name, format, length of the head
_DIGEST_BYTES: Final = 32
_MOST_HEAD_BYTES: Final = 1 << 20
_SUFFIX: Final = ".checkpoint"


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be used or written; the text names the file and why."""


class ForeignCheckpointError(CheckpointError):
    """Whole, but of another version of the program: nothing is wrong with it."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """`sections` by name, as they lie in the file; `position` is how much of the journal they hold."""

    program: str
    kind: CheckpointKind
    position: Position
    sections: Mapping[str, bytes]


def folder_of(journal: Path) -> Path:
    """Where the checkpoints of a journal lie: `checkpoints/NAME` in its folder."""
    return journal.parent / "checkpoints" / journal.stem


def paths_of(journal: Path) -> list[Path]:
    """The checkpoints there are, newest (the longest stretch of the journal) first."""
    try:
        names = sorted((name for name in os.listdir(folder_of(journal)) if name.endswith(_SUFFIX)), reverse=True)
    except OSError:
        return []
    return [folder_of(journal) / name for name in names]


def write_checkpoint(journal: Path, checkpoint: Checkpoint) -> Path:
    """Whole and on disk on return; older ones beyond `KEEP` are deleted. Raises `CheckpointError`."""
    names = sorted(checkpoint.sections)
    head = orjson.dumps({
        "program": checkpoint.program, "kind": checkpoint.kind, "position": checkpoint.position._asdict(),
        "sections": [
            [name, len(checkpoint.sections[name]), hashlib.sha256(checkpoint.sections[name]).hexdigest()]
            for name in names
        ],
    })
    path = folder_of(journal) / f"{checkpoint.position.records:015d}{_SUFFIX}"
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in path.parent.glob(".*.new"):
            left.unlink(missing_ok=True)  # of a writer that was killed
        with open(temporary, "wb", opener=open_private) as file:
            file.write(_START.pack(_NAME, FORMAT, len(head)) + head + hashlib.sha256(head).digest())
            for name in names:
                file.write(checkpoint.sections[name])
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        for old in paths_of(journal)[KEEP:]:
            old.unlink(missing_ok=True)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise CheckpointError(f"{path}: cannot be written ({error}). Free disk space or mend the rights.") from error
    return path


def read_checkpoint(path: Path, program: str) -> Checkpoint:
    """Checked to the last byte. Raises `ForeignCheckpointError` for another program's, else `CheckpointError`."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: unreadable ({error.strerror})") from error
    head, at = _head_of(path, data)
    try:
        found = str(head["program"])
        if found != program:
            raise ForeignCheckpointError(f"{path}: written by another version of the program")
        sections = dict(_sections(path, data, head["sections"], at))
        kind: CheckpointKind = KINDS[KINDS.index(head["kind"])]
        return Checkpoint(found, kind, Position(**head["position"]), sections)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: its head makes no sense ({error!r})") from error


def _head_of(path: Path, data: bytes) -> tuple[Any, int]:
    """The head as it was written, and where the sections begin."""
    if len(data) < _START.size:
        raise CheckpointError(f"{path}: cut off")
    name, version, length = _START.unpack_from(data)
    if name != _NAME:
        raise CheckpointError(f"{path}: no checkpoint")
    if version != FORMAT:
        raise ForeignCheckpointError(f"{path}: format {version}, this program reads {FORMAT}")
    at = _START.size + length
    head = data[_START.size : at]
    if length > _MOST_HEAD_BYTES or hashlib.sha256(head).digest() != data[at : at + _DIGEST_BYTES]:
        raise CheckpointError(f"{path}: damaged (the head's checksum is wrong)")
    return orjson.loads(head), at + _DIGEST_BYTES


def _sections(path: Path, data: bytes, listed: Any, at: int) -> Iterator[tuple[str, bytes]]:
    for name, length, digest in listed:
        section = data[at : at + length]
        if len(section) != length or hashlib.sha256(section).hexdigest() != digest:
            raise CheckpointError(f"{path}: damaged (the checksum of section {name} is wrong)")
        yield name, section
        at += length
    if at != len(data):
        raise CheckpointError(f"{path}: damaged ({len(data) - at} bytes too many)")
