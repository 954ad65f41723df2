"""Which of the files a person names hold ticks or frames, and not candles."""

from collections.abc import Sequence
from pathlib import Path

from exchanges.practice.recording_parquet import is_tick_table
from research.backtest.data import DataError


def tick_files(named: Sequence[Path]) -> list[Path]:
    """All of them, when they are recordings; none, when they are candles. Raises `DataError` for a mixture."""
    found = [path for path in named if _holds_ticks(path)]
    if found and len(found) < len(named):
        other = next(path for path in named if path not in found)
        raise DataError(f"{other} holds no ticks, {found[0]} does: name one kind")
    return found


def _holds_ticks(path: Path) -> bool:
    if path.name.endswith((".tsv", ".tsv.gz")):
        with path.open("rb") as stream:
            head = stream.read(2)
        return head == b"\x1f\x8b" or head[:1].isdigit()
    if path.is_dir():
        return any(path.glob("*.tsv")) or any(path.glob("*.tsv.gz"))
    return path.suffix == ".parquet" and path.is_file() and is_tick_table(path)
