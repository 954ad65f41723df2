"""The two log files of a data directory: what went wrong, and what was traded."""

import json
import logging
from pathlib import Path
from typing import Any

from bus.ids import ClientOrderId, SessionId
from bus.messages.header import MessageMaker
from bus.messages.orders import OrderRejected
from bus.messages.system import AlertRaised
from tradingd.logs import LogFiles
from tradingd.redaction import redact
from tradingd.settings import LogSettings

AT = 1_764_288_000_000_000_000
SECRET = "a-secret-that-an-alert-repeats"


def heard(folder: Path, *bodies: object, settings: LogSettings | None = None) -> None:
    files, maker = LogFiles(settings or LogSettings(), folder), MessageMaker("engine", SessionId("s1"))
    for body in bodies:
        files.hear(maker.make(body, AT))
    logging.getLogger("test").error("the store does not answer")
    files.close()


def lines_of(folder: Path, name: str) -> list[dict[str, Any]]:
    path = folder / "logs" / name
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_alerts_stand_among_what_went_wrong_and_good_news_do_not(tmp_path: Path) -> None:
    redact.learn(SECRET)
    heard(
        tmp_path,
        AlertRaised("critical", "A position cannot be closed", f"BTC/USDT: refused three times ({SECRET})"),
        AlertRaised("warning", "Stop moved", "to 99"),
        AlertRaised("info", "Deposit", "100 USDT came"),
    )
    first, second, logged = lines_of(tmp_path, "errors.log")
    assert first["event"].startswith("A position cannot be closed: BTC/USDT: refused three times")
    assert (first["level"], first["logger"], first["id"]) == ("critical", "alert", "engine.s1.1")
    assert first["timestamp"].startswith("2025-11-28T00:00:00")
    assert (second["level"], second["event"]) == ("warning", "Stop moved: to 99")
    assert (logged["level"], logged["event"]) == ("error", "the store does not answer")
    assert {"event", "level", "logger", "timestamp"} <= first.keys() & logged.keys()
    assert SECRET not in (tmp_path / "logs/errors.log").read_text()
    assert lines_of(tmp_path, "trades.log") == []


def test_what_was_traded_stands_in_its_own_file(tmp_path: Path) -> None:
    heard(tmp_path, OrderRejected(ClientOrderId("o1"), "BTC/USDT", "too small"))
    (line,) = lines_of(tmp_path, "trades.log")
    assert (line["kind"], line["client_order_id"], line["reason"]) == ("OrderRejected", "o1", "too small")
    assert [each["event"] for each in lines_of(tmp_path, "errors.log")] == ["the store does not answer"]


def test_without_files_nothing_is_written(tmp_path: Path) -> None:
    heard(tmp_path, AlertRaised("critical", "A", "b"), settings=LogSettings(files=False))
    assert list(tmp_path.iterdir()) == []
