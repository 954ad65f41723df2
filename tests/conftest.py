"""What holds for every test."""

import pytest


@pytest.fixture(autouse=True)
def _no_terminal_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables are as wide as in a pipe, whatever the terminal or a parallel run of the tests says."""
    monkeypatch.delenv("COLUMNS", raising=False)
