"""Logging of the process itself (the story has its own writer): structlog, readable or JSON, on stderr; and two files.

Every line passes the redactor last, after everything else has been put into it. Under systemd each line says its own
priority (sd-daemon(3)), so `journalctl -p warning` works. DATA_DIR/logs/errors.log has warnings, alerts and worse,
DATA_DIR/logs/trades.log orders, fills, positions and money; both JSON lines, written by a thread of its own.
"""

import contextlib
import json
import logging
import os
import queue
import sys
import threading
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, Final, TextIO

import structlog

from bus.messages import ledger, orders, system
from bus.messages.header import Message
from tradingd.plain_text import one_line, some_lines
from tradingd.read_model_views import plain, to_iso
from tradingd.redaction import redact
from tradingd.settings import LogSettings

FOLDER: Final = "logs"
ERRORS: Final = "errors.log"
TRADES: Final = "trades.log"
_MAX_BYTES: Final = 10_000_000
_KEPT: Final = 4
_MAX_WAITING: Final = 10_000
_PRIORITIES: Final = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_DEBUG: Final = 7
_TRACE_LINE: Final = "  | "
_TRADE_FACTS: Final = frozenset({
    orders.OrderSubmitted, orders.OrderFilled, orders.OrderRejected, orders.OrderCancelled, orders.OrderExpired,
    orders.OrderUnknown, ledger.PositionOpened, ledger.PositionChanged, ledger.PositionClosed, ledger.FundsChanged,
    system.KillSwitchEngaged, system.KillSwitchReleased,
})


class RedactingFormatter(logging.Formatter):
    """Whatever `inner` makes of a record, without secrets; `is_journal` puts the priority in front of each line."""

    def __init__(self, inner: logging.Formatter, *, is_journal: bool = False) -> None:
        super().__init__()
        self._inner = inner
        self._is_journal = is_journal

    def format(self, record: logging.LogRecord) -> str:
        text = redact(self._inner.format(record))
        if not self._is_journal:
            return text
        mark = f"<{_priority(record.levelno)}>"
        return "\n".join(mark + line for line in text.split("\n"))


def configure_logging(settings: LogSettings) -> None:
    """Everything that logs, ours and the libraries', in one format on stderr."""
    handler = logging.StreamHandler(sys.stderr)
    formatter = _formatter(is_json=settings.format == "json")
    handler.setFormatter(RedactingFormatter(formatter, is_journal=is_journal(sys.stderr)))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    for noisy in ("websockets", "aiohttp", "uvicorn", "uvicorn.error", "uvicorn.access", "asyncio", "apprise"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
    # It warns of every line that is no HTTP: strangers would fill the log.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)


def is_journal(stream: TextIO) -> bool:
    """Does this stream go to systemd's journal? It names device and inode of its socket in JOURNAL_STREAM."""
    named = os.environ.get("JOURNAL_STREAM", "")
    with contextlib.suppress(OSError, ValueError):
        found = os.fstat(stream.fileno())
        return named == f"{found.st_dev}:{found.st_ino}"
    return False


def _priority(level: int) -> int:
    return next((priority for least, priority in _PRIORITIES if level >= least), _DEBUG)


def _formatter(*, is_json: bool) -> logging.Formatter:
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    rendering: list[structlog.typing.Processor]
    if is_json:
        rendering = [structlog.processors.JSONRenderer()]
    else:
        rendering = [_harmless, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
    )


def _harmless(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """What a service or a request said can begin no line of its own; a trace's lines are marked as such."""
    for key, value in event.items():
        if isinstance(value, str) and not value.isprintable():
            event[key] = _TRACE_LINE + some_lines(value).replace("\n", f"\n{_TRACE_LINE}") if key == "exception" else (
                one_line(value)
            )
    return event


# ---- files ------------------------------------------------------------------------------------------


class _QuietFile(RotatingFileHandler):
    """The library tells of each failed write on stderr; a full disk would fill the log with that."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Nothing: the line is lost."""


class RotatingLines:
    """Appends lines to a file from a bounded queue in a thread: a slow or full disk costs lines, never time."""

    def __init__(self, path: Path, max_bytes: int = _MAX_BYTES) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = _QuietFile(path, maxBytes=max_bytes, backupCount=_KEPT, encoding="utf-8", delay=True)
        self._queue: queue.Queue[str | None] = queue.Queue(_MAX_WAITING)
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name=f"log {path.name}", daemon=True)
        self._thread.start()

    def __call__(self, line: str) -> None:
        try:
            self._queue.put_nowait(line)
        except queue.Full:
            self.dropped += 1

    def _run(self) -> None:
        while (line := self._queue.get()) is not None:
            self._file.handle(logging.LogRecord("file", logging.INFO, "", 0, line, None, None))

    def close(self, timeout_s: float = 1.0) -> None:
        """Write what waits, for at most this long."""
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(None)
        self._thread.join(timeout_s)
        self._file.close()


class LogFiles:
    """Both files of one data directory. `hear` every fact; `close` at the end. Nothing when `log.files` is false."""

    def __init__(self, settings: LogSettings, data_dir: Path) -> None:
        """Raises OSError when the folder cannot be made."""
        self._errors: RotatingLines | None = None
        self._trades: RotatingLines | None = None
        self._handler: logging.Handler | None = None
        if settings.files:
            folder = data_dir / FOLDER
            self._errors = RotatingLines(folder / ERRORS)
            self._trades = RotatingLines(folder / TRADES)
            self._handler = _LineHandler(self._errors)
            logging.getLogger().addHandler(self._handler)

    def hear(self, message: Message) -> None:
        """Orders, fills, positions, money and the kill switch; what a person should know of beside what went wrong."""
        body = message.body
        if type(body) is system.AlertRaised and self._errors is not None and body.level != "info":
            told = {
                "event": f"{body.title}: {body.message}", "level": body.level, "logger": "alert",
                "timestamp": to_iso(message.header.ts), "id": message.id,
            }
            self._errors(redact(json.dumps(told)))
        if self._trades is None or type(body) not in _TRADE_FACTS:
            return
        line = {"ts": to_iso(message.header.ts), "kind": type(body).__name__, "id": message.id, **plain(body)}
        self._trades(redact(json.dumps(line)))

    def close(self) -> None:
        """Write what waits."""
        if self._handler is not None:
            logging.getLogger().removeHandler(self._handler)
        for lines in (self._errors, self._trades):
            if lines is not None:
                lines.close()


class _LineHandler(logging.Handler):
    """Warnings and worse as JSON lines."""

    def __init__(self, write: RotatingLines) -> None:
        super().__init__(logging.WARNING)
        self._write = write
        self.setFormatter(RedactingFormatter(_formatter(is_json=True)))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._write(self.format(record))
        except Exception:  # noqa: BLE001 - a log line that cannot be made must not fail what it tells of
            self.handleError(record)
