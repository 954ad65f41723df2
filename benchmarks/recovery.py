"""P9: from a journal of 100,000 records to an engine that protects again, from a checkpoint and without one.

What is measured is what a start does with the journal: open and verify it, fold the read model, fold the engine,
protect. With a checkpoint: one that lies 10,000 records before the end, as a killed process leaves it on average. The
projection's figure is the SQLite store built anew from the same journal, in its own process normally.
"""

import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.result import Result
from benchmarks.trading_journal import START, instruments, new_engine, write_journal
from tradingd.checkpoint import Recovery, make_checkpoint, note_scope
from tradingd.checkpoint_parts import Scope
from tradingd.message_journal import MessageJournal
from tradingd.projection import Projection
from tradingd.read_model import ReadModel
from tradingd.session import PastSessions

RECORDS = 100_000
BEHIND = 10_000
RUNS = 3


def run() -> list[Result]:
    with tempfile.TemporaryDirectory(prefix="tradingd-bench-") as folder:
        path = Path(folder) / "journal-practice-paper.journal"
        records = write_journal(path, RECORDS)
        _checkpoint_before_the_end(path, records - BEHIND)
        quick = [_recover(path, use_checkpoints=True) for _ in range(RUNS)]
        full = [_recover(path, use_checkpoints=False) for _ in range(RUNS)]
        begin = time.perf_counter()
        projection = Projection(path, f"sqlite:///{folder}/store.sqlite", "practice-paper", "USDT", is_own=True)
        projection.rebuild()
        rebuilt = time.perf_counter() - begin
        projection.close()
    params: dict[str, str | int | float | bool] = {"records": records, "checkpoint": False, "runs": RUNS}
    checked: dict[str, str | int | float | bool] = {**params, "checkpoint": True, "behind": BEHIND}
    return [
        Result("recovery", statistics.median(full), "s", params),
        Result("recovery_worst", max(full), "s", params),
        Result("recovery_checkpointed", statistics.median(quick), "s", checked),
        Result("recovery_checkpointed_worst", max(quick), "s", checked),
        Result("store_rebuild", rebuilt, "s", {"records": records, "database": "sqlite"}),
    ]


def _checkpoint_before_the_end(path: Path, records: int) -> None:
    """Made when the journal was so long; the rest of it was written later."""
    whole = path.read_bytes()
    journal = MessageJournal.open(path)
    end = next(position.end for position, _ in journal.read_from() if position.records >= records)
    journal.close()
    note_scope(path, Scope.of("USDT", instruments()))
    path.write_bytes(whole[:end])
    make_checkpoint(path, "auto")
    path.write_bytes(whole)


def _recover(path: Path, *, use_checkpoints: bool) -> float:
    begin = time.perf_counter()
    if not use_checkpoints:
        for checkpoint in (path.parent / "checkpoints").rglob("*.checkpoint"):
            checkpoint.unlink()
    journal = MessageJournal.open(path)
    recovery = Recovery(journal, PastSessions(), ReadModel("USDT"))
    engine = new_engine("s2")
    recovery.fold_engine(engine, Scope.of("USDT", instruments()))
    engine.finish_restore(START * 2)
    seconds = time.perf_counter() - begin
    journal.close()
    assert recovery.is_engine_restored == use_checkpoints, recovery.problems
    return seconds
