"""What of an old stretch of the journal is kept when it is packed: all that state, orders and tables follow from.

Two things go. A trail's steps between two moments at which anything else happened to any order: the last of them says
what the others said, for a best price only gets better; a fold gives the same with it alone. And, when a stretch is
older than `keep_days`, the council's reasons (candles, analyses, proposals, verdicts, the trader's commands): orders,
executions, money and every id stay for ever. Nothing is packed that was closed less than `pack_after_hours` ago.

`python -m tradingd.journal_packing JOURNAL HOURS DAYS` packs all that is due and ends; a death in the middle leaves
the segments that are not done as they were.
"""

import fcntl
import os
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final

from bus.codec import decode
from bus.messages import council, orders
from bus.messages.grid import GridBandEntered, GridSampled
from bus.messages.ledger import PortfolioSnapshot
from market.ticks import Candle
from store.checkpoint import paths_of
from store.journal_check import examine
from store.journal_files import (
    PACKED_SUFFIX,
    RAW_SUFFIX,
    JournalFile,
    Segment,
    file_with,
    segment_path,
    segments_folder,
    segments_of,
)
from store.journal_format import JournalError, Record
from store.journal_pack import read_packed_head, write_packed
from store.private_file import open_private
from tradingd.exit_codes import FAILURE, OK

STEPS_FOLDED: Final = 1
REASONS_LEFT_OUT: Final = 2
"""Levels of a packed segment, the higher including the lower."""

_STEP: Final = orders.TrailingAdvanced.__name__
_REASONS: Final = frozenset(kind.__name__ for kind in (
    Candle, council.AlphaSignal, council.AnalysisCompleted, council.TradeProposed, council.ProposalApproved,
    council.ProposalVetoed, council.ProposalExpired, council.MandateIssued, orders.SubmitOrder,
))
_BESIDE_TRAILS: Final = _REASONS | frozenset(
    kind.__name__ for kind in (PortfolioSnapshot, GridSampled, GridBandEntered)
)
"""Between two steps of a trail these change nothing of what the steps mean."""

_HOUR_NS: Final = 3_600 * 10**9
_DAY_NS: Final = 24 * _HOUR_NS
_LOCK: Final = "packing.lock"
_LEAST_URGENT: Final = 19


@dataclass(frozen=True, slots=True)
class Packed:
    """One segment that was packed: bytes and records before and after."""

    path: Path
    bytes_before: int
    bytes_after: int
    records_before: int
    records_after: int


def fold_steps(records: Iterable[Record]) -> Iterator[Record]:
    """Without the steps of trails that a later one makes superfluous; everything else as it is, in order."""
    waiting: list[Record | None] = []
    last_step: dict[tuple[str, str, str], tuple[int, Decimal]] = {}
    for record in records:
        if record.kind == _STEP:
            step: orders.TrailingAdvanced = decode(record.data).body
            key = (step.symbol, step.side, step.price_source)
            known = last_step.get(key)
            if known is not None and (step.best >= known[1] if step.side == "sell" else step.best <= known[1]):
                waiting[known[0]] = None
            last_step[key] = len(waiting), step.best
            waiting.append(record)
        elif record.kind in _BESIDE_TRAILS:
            waiting.append(record)
        else:
            yield from (each for each in waiting if each is not None)
            waiting, last_step = [], {}
            yield record
    yield from (each for each in waiting if each is not None)


def leave_out_reasons(records: Iterable[Record]) -> Iterator[Record]:
    """Without what only explains."""
    return (record for record in records if record.kind not in _REASONS)


def due(journal: Path, now_ns: int, pack_after_hours: float, keep_days: int) -> list[tuple[Segment, int]]:
    """Segments to be packed now, each with the level; the last one with a start's checkpoint in it has to wait."""
    found: list[tuple[Segment, int]] = []
    segments = segments_of(journal)
    for number, segment in enumerate(segments):
        following = segments[number + 1].first if number + 1 < len(segments) else _first_of(journal)
        if following <= segment.first:
            continue  # being rotated at this moment: it still is the file that is written to
        ns, level = _age_and_level(segment)
        is_old = keep_days > 0 and now_ns - ns > keep_days * _DAY_NS
        wanted = REASONS_LEFT_OUT if is_old else STEPS_FOLDED
        is_closed_long = segment.is_packed or now_ns - ns >= pack_after_hours * _HOUR_NS
        if level < wanted and is_closed_long and not _has_newest_checkpoint(journal, segment.first, following):
            found.append((segment, wanted))
    return found


def _first_of(journal: Path) -> int:
    try:
        file = JournalFile.open(journal)
    except FileNotFoundError:
        return 0
    file.close()
    return file.first


def _age_and_level(segment: Segment) -> tuple[int, int]:
    """Time of its last record or last write (UTC ns), and how far it is packed already."""
    with segment.path.open("rb") as file:
        head = read_packed_head(file.fileno())
        return (os.fstat(file.fileno()).st_mtime_ns, 0) if head is None else (head.last_ns, head.level)


def _has_newest_checkpoint(journal: Path, first: int, following: int) -> bool:
    newest = next(iter(paths_of(journal)), None)
    return newest is not None and newest.stem.isdigit() and first <= int(newest.stem) < following


def pack(journal: Path, now_ns: int, pack_after_hours: float, keep_days: int) -> Iterator[Packed]:
    """Pack what is due, one after the other; the daemon may be writing. Raises `JournalError`."""
    if not segments_of(journal):
        return
    lock = open_private(str(segments_folder(journal) / _LOCK), os.O_RDWR | os.O_CREAT)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return  # somebody is at it already
        _remove_left_over(journal)
        for segment, level in due(journal, now_ns, pack_after_hours, keep_days):
            yield _pack_one(journal, segment, level)
    finally:
        os.close(lock)


def _pack_one(journal: Path, segment: Segment, level: int) -> Packed:
    before = examine(segment.path)
    if not before.is_whole or before.torn_bytes:
        raise JournalError(f"{segment.path}: damaged, so it is not packed. See `tradingd journal verify`.")
    following = file_with(journal, before.kept_last + 1)  # raises when a file is missing behind it
    following.close()
    records = fold_steps(_records_of(segment))
    if level >= REASONS_LEFT_OUT:
        records = leave_out_reasons(records)
    target = segment_path(journal, segment.first, PACKED_SUFFIX)
    head = write_packed(target, level, before.first, before.kept_last, records)
    after = examine(target)
    if not after.is_whole or after.records != head.kept:
        if not segment.is_packed:
            target.unlink()
        raise JournalError(f"{target}: what was read back is not what was written. Look after the disk.")
    if not segment.is_packed:
        segment.path.unlink()
    return Packed(target, before.size, after.size, before.records, after.records)


def _records_of(segment: Segment) -> Iterator[Record]:
    file = JournalFile.open(segment.path)
    try:
        at = file.begin
        while (batch := file.batch_at(at)) is not None:
            yield from batch.records()
            at = batch.end
    finally:
        file.close()


def _remove_left_over(journal: Path) -> None:
    """Of a packer that was killed: half a file, or the raw form of one that is packed."""
    for path in segments_folder(journal).iterdir():
        if path.suffix == ".new":
            path.unlink()
    for segment in segments_of(journal):
        if segment.is_packed:
            segment_path(journal, segment.first, RAW_SUFFIX).unlink(missing_ok=True)


def main(arguments: list[str]) -> int:
    """0 when all that is due is packed, else 1 and one line that says why not."""
    journal, hours, days = Path(arguments[0]), float(arguments[1]), int(arguments[2])
    os.nice(_LEAST_URGENT)
    try:
        for _ in pack(journal, time.time_ns(), hours, days):
            pass
    except (JournalError, OSError) as error:
        sys.stdout.write(f"{error}\n")
        return FAILURE
    return OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
