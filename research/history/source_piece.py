"""A stretch of a file's rows as raw columns, before anybody judged them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


class SourceError(ValueError):
    """A file that holds no candles we can read: the text names it and says what to do."""


@dataclass(frozen=True, slots=True, eq=False)
class SourcePiece:
    """Columns under our names (ts, symbol, open, high, low, close, volume, trades), as the file has them.

    `row_word` and `lines` say where a row is found: "line 17", counted from 1 within this piece, which is `span` lines
    of the file. `broken` are lines that are no rows at all.
    """

    columns: Mapping[str, Any]
    rows: int
    row_word: str
    lines: Any
    span: int
    broken: Sequence[tuple[int, str]] = ()


MakePiece = Callable[[], SourcePiece]
