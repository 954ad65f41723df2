"""Tables that fit the screen: what does not fit beside the others goes under its row, whole. No figure is ever cut."""

import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

PROSE: Final = frozenset(
    {"message", "says", "reasons", "reason", "reasoning", "why", "last error", "finding", "meaning"}
)
"""Columns of sentences: they may be broken into lines. Ids, words and numbers stay whole."""

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_PIPE_WIDTH: Final = 200
_GAP: Final = "  "
_LEAST_PROSE: Final = 44
"""A sentence in a narrower column than this is a tower of words: then it goes under its row."""
_INDENT: Final = "    "

Style = Callable[[str], str]


def console() -> Console:
    """Of stdout as it is now; wide enough for a pipe when nobody says how wide."""
    is_terminal = sys.stdout.isatty()
    width = None if is_terminal or "COLUMNS" in os.environ else _PIPE_WIDTH
    return Console(file=sys.stdout, width=width, highlight=False, markup=False, emoji=False)


def clean(text: object) -> str:
    """Without control characters: symbols and reasons come from outside."""
    return _CONTROL.sub("", "" if text is None else str(text))


class Table:
    """Rows under headings. `numbers` are aligned to the right; `later` are the columns that leave the line first when
    the screen is narrow, then those on the right, and then stand under their row with their names.
    """

    def __init__(
        self, columns: Sequence[str], rows: Iterable[Sequence[object]], numbers: Collection[str] = (), *,
        later: Sequence[str] = (), style: Style = lambda text: "",
    ) -> None:
        self._columns = list(columns)
        self._rows = [[_one_line(value) for value in row] for row in rows]
        self._numbers = frozenset(numbers)
        self._later = list(later)
        self._style = style

    def lines(self, width: int) -> list[Text]:
        """For a screen of `width` characters."""
        facts = [at for at, name in enumerate(self._columns) if name not in PROSE]
        prose = [at for at, name in enumerate(self._columns) if name in PROSE]
        width_by_column = {at: self._width(at) for at in range(len(self._columns))}
        shown = self._that_fit(facts, width_by_column, width)
        beside = prose if len(shown) == len(facts) and self._is_room(prose, shown, width_by_column, width) else []
        made = [self._line([self._columns[at] for at in (*shown, *beside)], shown, width_by_column, is_heading=True)]
        for row in self._rows:
            line = self._line([row[at] for at in shown], shown, width_by_column)
            used = sum(width_by_column[at] for at in shown) + len(_GAP) * len(shown)
            made += _with_prose(line, row[beside[0]], used, width) if beside else [line]
            folded = [at for at in facts if at not in shown and row[at] not in ("", "-")]
            told = [f"{self._columns[at]} {row[at]}" for at in folded]
            told += [] if beside else [row[at] for at in prose if row[at]]
            made += _under(told, folded, width)
        return made

    def _width(self, at: int) -> int:
        return max(cell_len(text) for text in (self._columns[at], *(row[at] for row in self._rows)))

    def _that_fit(self, facts: list[int], width_by_column: dict[int, int], width: int) -> list[int]:
        """The first always, of the others as many as have room."""
        shown = list(facts)
        leaving = [self._columns.index(name) for name in self._later if name in self._columns]
        leaving += [at for at in reversed(facts) if at not in leaving]
        for at in leaving:
            if sum(width_by_column[each] for each in shown) + len(_GAP) * (len(shown) - 1) <= width or len(shown) == 1:
                break
            if at != facts[0]:
                shown.remove(at)
        return shown

    def _is_room(self, prose: list[int], shown: list[int], width_by_column: dict[int, int], width: int) -> bool:
        if len(prose) != 1:
            return False
        left = width - sum(width_by_column[at] for at in shown) - len(_GAP) * len(shown)
        return left >= min(_LEAST_PROSE, width_by_column[prose[0]])

    def _line(
        self, cells: Sequence[str], shown: list[int], width_by_column: dict[int, int], *, is_heading: bool = False,
    ) -> Text:
        line = Text()
        for place, text in enumerate(cells):
            at = shown[place] if place < len(shown) else None
            padding = " " * (width_by_column[at] - cell_len(text)) if at is not None else ""
            line.append(_GAP if place else "")
            is_number = at is not None and self._columns[at] in self._numbers
            line.append(padding if is_number else "")
            line.append(text, "bold" if is_heading else self._style(text))
            line.append("" if is_number else padding)
        line.rstrip()
        return line


def _one_line(value: object) -> str:
    return " ".join(clean(value).split("\n"))


def _with_prose(line: Text, prose: str, used: int, width: int) -> list[Text]:
    """The sentence behind the facts, its further lines under its beginning."""
    first, *rest = wrapped(prose, width - used) or [""]
    line.append(" " * (used - cell_len(line.plain)) + first if first else "")
    return [line, *(Text(" " * used + text) for text in rest)]


def _under(told: Sequence[str], folded: Sequence[int], width: int) -> list[Text]:
    """Facts with their names first, as many on a line as fit, then each sentence from a new line."""
    facts, lines = told[:len(folded)], []
    line = ""
    for fact in facts:
        if line and cell_len(line) + len(", ") + cell_len(fact) > width - len(_INDENT):
            lines.append(line + ",")
            line = fact
        else:
            line = f"{line}, {fact}" if line else fact
    lines += [line] if line else []
    for sentence in told[len(folded):]:
        lines += wrapped(sentence, width - len(_INDENT))
    return [Text(_INDENT + text) for text in lines]


def wrapped(text: str, width: int) -> list[str]:
    """Broken between words; a word longer than the line stays whole, so that ids and paths can be copied."""
    lines: list[str] = []
    for word in text.split():
        if lines and cell_len(lines[-1]) + 1 + cell_len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def show(table: Table) -> None:
    """Print it at the width of the screen."""
    out = console()
    for line in table.lines(out.width):
        out.print(line, soft_wrap=True)
