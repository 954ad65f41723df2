"""From the paths a person names to one checked recording."""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from exchanges.practice.config import PracticeError
from exchanges.practice.pairs import Pair, plain_pair, recorded_pair, split_name
from exchanges.practice.recording import Facts, Frame, LineRecording, Recording, SymbolFacts
from exchanges.practice.recording_parquet import ParquetRecording


@dataclass(frozen=True, slots=True)
class Session:
    """All recordings of one replay, merged by receive time (equal times: in the order of the files)."""

    recordings: Sequence[Recording]
    facts: Facts
    pairs: dict[str, Pair]

    def frames(self) -> Iterator[Frame]:
        return heapq.merge(*(recording.frames() for recording in self.recordings), key=lambda frame: frame.ns)


def open_session(paths: Sequence[Path]) -> Session:
    """Check all files; raises `PracticeError` naming file and line."""
    recordings = [_recording(path) for named in paths for path in files_of(named)]
    facts = Facts()
    for recording in recordings:
        recording.scan(facts)
    if facts.frames == 0:
        names = ", ".join(str(path) for path in paths)
        raise PracticeError(f"{names}: no Binance market frame in it: name a recording of frames, ticks or candles")
    pairs = {name: _pair(name, known, facts) for name, known in sorted(facts.symbols.items())}
    return Session(recordings, facts, pairs)


def files_of(named: Path) -> list[Path]:
    """The files of a path that a person named, in order; raises `PracticeError`."""
    if named.is_dir():
        found = sorted(p for p in named.iterdir() if p.name.endswith((".tsv", ".tsv.gz", ".parquet")))
        if not found:
            raise PracticeError(f"{named}: the folder holds no .tsv, .tsv.gz or .parquet file")
        return found
    if not named.is_file():
        raise PracticeError(f"{named}: no such file: name a recording (.tsv, .tsv.gz, .parquet) or a folder of them")
    return [named]


def _recording(path: Path) -> Recording:
    if path.name.endswith((".tsv", ".tsv.gz")):
        return LineRecording(path)
    if path.suffix == ".parquet":
        return ParquetRecording(path)
    raise PracticeError(f"{path}: cannot be replayed: a recording ends in .tsv, .tsv.gz or .parquet")


def _pair(name: str, known: SymbolFacts, facts: Facts) -> Pair:
    entry = facts.listed.get(name)
    if entry is not None:
        return recorded_pair(entry)
    base, quote = split_name(name)
    return plain_pair(base, quote, known.price_digits, known.quantity_digits)
