"""How far a run is: a bar with the time left on a terminal, lines for a program that asks for them, else nothing."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_ASKED_FOR: Final = "TRADELAB_PROGRESS"
"""Set to "json": lines {"done": 1, "total": 2} on stderr, for whoever runs us as a child."""
_EVERY_S: Final = 0.25


@contextmanager
def watched(title: str, total: int) -> Iterator[Callable[[int], None] | None]:
    """Yields what is to be told the number of candles done; None where nobody looks. The bar is on stderr."""
    if os.environ.get(_ASKED_FOR) == "json":
        yield _lines(total)
        return
    if not sys.stderr.isatty():
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=total)
        yield lambda done: progress.update(task, completed=done)


def _lines(total: int) -> Callable[[int], None]:
    next_at = 0.0

    def tell(done: int) -> None:
        nonlocal next_at
        now = time.monotonic()
        if now >= next_at or done >= total:
            next_at = now + _EVERY_S
            sys.stderr.write(f'{{"done": {done}, "total": {total}}}\n')
            sys.stderr.flush()

    tell(0)
    return tell
