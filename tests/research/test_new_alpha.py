"""`tradelab new-alpha`: what it writes loads and trades as it is; bad names and files that are there are refused."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bus.messages.council import TradeProposed
from research.backtest.council import CouncilBacktest
from research.cli import app
from tests.research.backtest.candles import walk
from tests.research.backtest.test_council import COSTS
from tradingd.message_journal import MessageJournal
from tradingd.settings import CouncilSettings, Settings


def tradelab(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def votes_of(path: Path) -> set[str]:
    journal = MessageJournal.open(path, read_only=True)
    try:
        proposals: Sequence[TradeProposed] = [
            message.body for message in journal.read() if isinstance(message.body, TradeProposed)
        ]
        return {vote.alpha for each in proposals for vote in each.votes}
    finally:
        journal.close()


def test_the_template_is_short_commented_and_trades_in_a_backtest_without_another_touch(tmp_path: Path) -> None:
    told = tradelab("new-alpha", "my_break", "--data-dir", tmp_path)
    assert told.exit_code == 0
    path = tmp_path / "alphas" / "my_break.py"
    text = path.read_text(encoding="utf-8")
    assert f"wrote {path}" in told.stdout
    assert "tradingd doctor" in told.stdout
    assert "class MyBreak:" in text
    assert 15 < sum(1 for line in text.splitlines() if line.strip()) <= 25
    assert text.count("#") >= 4
    settings = Settings(data_dir=tmp_path, council=CouncilSettings(weights={}))
    CouncilBacktest(walk(500, 2, step=8000), Decimal(10_000), COSTS, settings).run(journal=tmp_path / "j.journal")
    assert votes_of(tmp_path / "j.journal") == {"my_break"}


@pytest.mark.parametrize("name", ["My", "a-b", "../x", "1a", "class", "momentum", "a" * 41, "ä"])
def test_a_name_that_cannot_be_used_is_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    told = tradelab("new-alpha", name, "--data-dir", tmp_path)
    assert told.exit_code == 2
    assert name[:10] in told.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("precious", encoding="utf-8")
    told = tradelab("new-alpha", "mine", "--dir", tmp_path, "--data-dir", tmp_path / "data")
    assert told.exit_code == 1
    assert "stays as it is" in told.stderr
    assert (tmp_path / "mine.py").read_text(encoding="utf-8") == "precious"


def test_another_folder_is_told_not_to_be_looked_at(tmp_path: Path) -> None:
    told = tradelab("new-alpha", "mine", "--dir", tmp_path / "drafts", "--data-dir", tmp_path / "data")
    assert (tmp_path / "drafts" / "mine.py").exists()
    assert f"only files in {tmp_path / 'data' / 'alphas'} are loaded" in told.stdout
