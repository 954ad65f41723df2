"""P9: from a journal of 100,000 records to an engine that protects again (no checkpoint: the whole journal is folded).

What is measured is what a start does with the journal: open and verify it, fold the read model, fold the engine,
protect. The projection's figure is the SQLite store built anew from the same journal, in its own process normally.
"""

import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.result import Result
from benchmarks.trading_journal import START, new_engine, write_journal
from tradingd.message_journal import MessageJournal, no_collection
from tradingd.projection import Projection
from tradingd.read_model import ReadModel
from tradingd.session import PastSessions

RECORDS = 100_000
RUNS = 3


def run() -> list[Result]:
    with tempfile.TemporaryDirectory(prefix="tradingd-bench-") as folder:
        path = Path(folder) / "journal-practice-paper.journal"
        records = write_journal(path, RECORDS)
        seconds = [_recover(path) for _ in range(RUNS)]
        begin = time.perf_counter()
        projection = Projection(path, f"sqlite:///{folder}/store.sqlite", "practice-paper", "USDT", is_own=True)
        projection.rebuild()
        rebuilt = time.perf_counter() - begin
        projection.close()
    params: dict[str, str | int | float | bool] = {"records": records, "checkpoint": False, "runs": RUNS}
    return [
        Result("recovery", statistics.median(seconds), "s", params),
        Result("recovery_worst", max(seconds), "s", params),
        Result("store_rebuild", rebuilt, "s", {"records": records, "database": "sqlite"}),
    ]


def _recover(path: Path) -> float:
    begin = time.perf_counter()
    journal = MessageJournal.open(path)
    model, past, engine = ReadModel("USDT"), PastSessions(), new_engine("s2")
    with no_collection():
        for message in journal.read():
            past.apply(message)
            model.apply(message)
        for message in journal.read():
            engine.restore(message)
    engine.finish_restore(START * 2)
    seconds = time.perf_counter() - begin
    journal.close()
    return seconds
