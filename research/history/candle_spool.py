"""Judged candles beside the history until their whole file is judged: memory for a few pieces, a disk for the rest."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import numpy as np

from store.candle_columns import NUMBERS, CandleColumns
from store.candle_parts import CandlePartError, part_end, part_name
from store.exact_column import ExactColumn

RUN: Final = 65_536
"""Candles given back at a time, more where one file of the history holds more."""
_IN_MEMORY: Final = 8 * 1024**2
_COLUMNS: Final = len(NUMBERS) + 2
_BYTES: Final = 8 * _COLUMNS


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Rows in the file: `_COLUMNS` columns of 8 bytes a row. `digits` of the numbers."""

    offset: int
    rows: int
    digits: tuple[int | None, ...]


class CandleSpool:
    """Add pieces of any symbols in any order; get each symbol's candles back a few months at a time.

    What it holds on disk has no name and dies with the process.
    """

    def __init__(self, root: Path, interval: str) -> None:
        """`root`: the folder of the history, which need not exist."""
        self._folder = next((each for each in (root, *root.parents) if each.is_dir()), Path())
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY, dir=str(self._folder))  # noqa: SIM115
        self._interval = interval
        self._offset = 0
        self._stretches: dict[str, dict[str, list[_Stretch]]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, symbol: str, columns: CandleColumns) -> None:
        """Raises `CandlePartError` for the disk."""
        if (np.diff(columns.ts_ns) < 0).any():
            columns = columns.take(np.argsort(columns.ts_ns, kind="stable"))
        parts, first = self._stretches.setdefault(symbol, {}), 0
        while first < len(columns):
            name = part_name(self._interval, int(columns.ts_ns[first]))
            last = int(np.searchsorted(columns.ts_ns, part_end(name)))
            parts.setdefault(name, []).append(self._put(columns.take(slice(first, last))))
            first = last

    def runs(self, symbol: str) -> Iterator[CandleColumns]:
        """The candles of some files of the history at a time, oldest first, those of one as they were added.

        Raises `CandlePartError`.
        """
        held: list[CandleColumns] = []
        for _, stretches in sorted(self._stretches.get(symbol, {}).items()):
            held += map(self._get, stretches)
            if sum(map(len, held)) >= RUN:
                yield CandleColumns.concat(held)
                held = []
        if held:
            yield CandleColumns.concat(held)

    def _put(self, columns: CandleColumns) -> _Stretch:
        numbers = [getattr(columns, name) for name in NUMBERS]
        made = _Stretch(self._offset, len(columns), tuple(each.digits for each in numbers))
        try:
            for values in (columns.ts_ns, *(each.values for each in numbers), columns.trades):
                self._file.write(np.ascontiguousarray(values).tobytes())
        except OSError as error:
            raise self._trouble(error) from error
        self._offset += made.rows * _BYTES
        return made

    def _get(self, stretch: _Stretch) -> CandleColumns:
        try:
            self._file.seek(stretch.offset)
            whole = np.frombuffer(self._file.read(stretch.rows * _BYTES), np.int64).reshape(_COLUMNS, stretch.rows)
        except OSError as error:
            raise self._trouble(error) from error
        numbers = [
            ExactColumn(values.view(np.float64) if digits is None else values, digits)
            for values, digits in zip(whole[1:-1], stretch.digits, strict=True)
        ]
        return CandleColumns.of(whole[0], numbers, whole[-1])

    def _trouble(self, error: OSError) -> CandlePartError:
        return CandlePartError(
            f"{self._folder}: no room for what is being imported ({error.strerror or error}). Check disk and rights."
        )
