"""A restart that fails is told to people: what the daemon watched over is watched by nobody now."""

import contextlib
import json
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

from store.journal import JournalError
from store.journal_format import FILE_HEAD
from tradingd.audience import Audience
from tradingd.lease import AccountTakenError
from tradingd.redaction import redact
from tradingd.session import PastSessions

FILE: Final = "failed-start.json"
LONG_START_FILE: Final = "long-start.json"
AGAIN_AFTER_S: Final = 600.0


def before_reading(folder: Path) -> PastSessions:
    """What is known of earlier sessions on a data directory until the journal is read: whether there were any."""
    journals = [path for path in folder.glob("*.journal") if "-replay" not in path.name]
    return PastSessions(count=int(any(map(_has_records, journals))))


def _has_records(path: Path) -> bool:
    """False where that cannot be seen: whoever opens the journal says why."""
    try:
        return path.stat().st_size > FILE_HEAD.size
    except OSError:
        return False


def after_start(
    error: BaseException | None, past: PastSessions, audience: Audience, folder: Path, stack: AsyncExitStack
) -> None:
    """As `tell_failed_start`; without an error the start was a good one, and the next failure is news again."""
    if error is not None:
        tell_failed_start(error, past, audience, folder, stack)
        return
    for name in (FILE, LONG_START_FILE):
        with contextlib.suppress(OSError):
            (folder / name).unlink(missing_ok=True)


def tell_failed_start(
    error: BaseException, past: PastSessions, audience: Audience, folder: Path, stack: AsyncExitStack
) -> None:
    """A critical alert that still leaves while `stack` is unwound. A first start tells its terminal only.

    `folder`: the data directory, where it is noted: a service manager that starts us every two seconds must not make an
    alert each time.
    """
    if not past.count and not isinstance(error, JournalError):  # a journal that cannot be read is of an earlier start
        return
    text = redact(str(error)) or type(error).__name__
    if not is_news(folder / FILE, text):
        return
    audience.open()
    if not isinstance(error, AccountTakenError):  # the other daemon does
        text = f"{text} Nobody watches over what is open until it succeeds."
    audience.tell("critical", "the start failed", text)
    stack.push_async_callback(audience.close)


def is_news(path: Path, text: str) -> bool:
    """Not told with the same words within the last ten minutes; noted as told now.

    Where a full disk takes no words, the note is empty, and its time serves for any.
    """
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        noted = path.stat()
        if not noted.st_size and 0 <= time.time() - noted.st_mtime < AGAIN_AFTER_S:
            return False
        told: Any = json.loads(path.read_text())
        if told["text"] == text and 0 <= time.time() - float(told["at"]) < AGAIN_AFTER_S:
            return False
    with contextlib.suppress(OSError):
        path.write_text(json.dumps({"at": time.time(), "text": text}) + "\n")
    return True
