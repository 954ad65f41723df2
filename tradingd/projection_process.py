"""The process that fills the SQL store: told what to do by one JSON line on stdin, ends when stdin does."""

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from store.journal_format import JournalError
from store.sql.database import StoreUrlError, StoreVersionError
from store.sql.projection_store import PlaceMovedError
from tradingd.projection import ForeignStoreError, Projection

_NICENESS: Final = 10
_LAST_WORDS_S: Final = 3.0
CANNOT: Final = 3
"""Exit code when no waiting and no restart helps: the URL, or a store of another journal or version."""


def main() -> int:
    """Follow the journal until the daemon lets go of our stdin."""
    os.nice(_NICENESS)
    task = json.loads(sys.stdin.readline())
    ended = threading.Event()
    threading.Thread(target=_watch_stdin, args=(ended,), daemon=True).start()
    try:
        projection = Projection(
            Path(task["journal"]), task["url"], task["account"], task["quote"], is_own=task["is_own"],
        )
    except (StoreUrlError, JournalError) as error:
        _tell(False, str(error))
        return CANNOT
    try:
        projection.run(ended.wait, _tell)
        _take_last_words(projection)
    except (ForeignStoreError, JournalError, StoreVersionError) as error:
        _tell(False, str(error))
        return CANNOT
    finally:
        projection.close()
    return 0


def _watch_stdin(ended: threading.Event) -> None:
    while sys.stdin.readline():
        pass
    ended.set()


def _take_last_words(projection: Projection) -> None:
    """What the daemon wrote down at its end, if there is time and a database for it; the next session has the rest."""
    deadline = time.monotonic() + _LAST_WORDS_S
    try:
        while time.monotonic() < deadline and projection.step():
            pass
    except (SQLAlchemyError, OSError, PlaceMovedError):
        return


def _tell(is_up: bool, why: str) -> None:
    try:
        sys.stdout.write(json.dumps({"is_up": is_up, "why": why}) + "\n")
        sys.stdout.flush()
    except OSError:
        return  # nobody listens any more: stdin ends, too


if __name__ == "__main__":
    sys.exit(main())
