"""Text from outside on a console: it forges no line and drives no terminal."""

import io
import logging
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradingd.logs import RedactingFormatter, configure_logging
from tradingd.plain_text import one_line, some_lines
from tradingd.settings import LogSettings

HOSTILE = "no\r\n2026-11-28T10:00:00Z [info] FILLED\x1b[31m\u202eevil\x9b1m\u2028end"


@given(st.text())
def test_one_line_is_one_line_that_can_be_shown(text: str) -> None:
    shown = one_line(text)
    assert shown.isprintable()
    assert len(shown.splitlines()) <= 1
    assert one_line(shown) == shown


@given(st.text(alphabet=st.characters(codec="utf-8", categories=["L", "N", "P"])))
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert one_line(text) == some_lines(text) == text


def test_some_lines_keep_their_lines_and_nothing_that_drives_a_terminal() -> None:
    assert some_lines("a\n\tb\x1b[2J\r\u2066") == "a\n\tb?[2J??"


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """The log's stream, readable format."""
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    configure_logging(LogSettings(format="console"))
    yield written
    root.handlers[:] = before
    root.setLevel(level)


def test_a_logged_text_from_outside_stays_on_its_line(console: io.StringIO) -> None:
    logging.getLogger("tradingd.x").warning("the service said: %s", HOSTILE)
    (line,) = console.getvalue().splitlines()
    assert "the service said: no 2026-11-28T10:00:00Z [info] FILLED?[31m?evil?1m end" in line


def test_a_trace_is_marked_line_by_line(console: io.StringIO) -> None:
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        logging.getLogger("tradingd.x").exception("it failed")
    first, *trace = console.getvalue().splitlines()
    assert "it failed" in first
    assert "  | Traceback (most recent call last):" in trace
    assert "  | 2026-11-28T10:00:00Z [info] FILLED?[31m?evil?1m?end" in trace
    assert all(line.startswith("  | ") for line in trace if line)


def test_a_json_line_of_the_log_is_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        configure_logging(LogSettings(format="json"))
        (handler,) = root.handlers
        assert isinstance(handler.formatter, RedactingFormatter)
        line = handler.format(logging.LogRecord("x", logging.WARNING, "", 0, HOSTILE, None, None))
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    assert line.isascii()
    assert line.isprintable()
