"""`tradingd limits` for a newcomer: every number has a unit, a meaning, and who set it, on a narrow screen, too."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tradingd.cli import app
from tradingd.cli_limits import MEANINGS
from tradingd.parameters import number_views
from tradingd.settings import Settings


def shown(tmp_path: Path, columns: int, **environ: str) -> Any:
    told = CliRunner().invoke(app, ["limits", "--data-dir", str(tmp_path)], env={"COLUMNS": str(columns), **environ})
    assert told.exit_code == 0, told.stderr
    return told.stdout


def test_every_number_has_a_meaning_and_none_is_invented() -> None:
    assert {view.key for view in number_views(Settings(), None)} == set(MEANINGS)


@pytest.mark.parametrize("columns", [80, 120])
def test_a_limit_is_one_line_with_unit_source_and_meaning(tmp_path: Path, columns: int) -> None:
    lines = [" ".join(line.split()) for line in shown(tmp_path, columns, TRADINGD__RISK__COLLAR="0.075").splitlines()]
    assert "collar 7.5 % you from the market to an order's price" in lines
    assert "stale_after_s 3 s default older prices: no entries" in lines
    assert "max_drawdown 15 % default below the highest equity ever" in lines or (
        "max_drawdown 15 % tolerance below the highest equity ever" in lines
    )
    assert "account.capital 10,000 USDT (you)" in lines
    assert max(map(len, shown(tmp_path, columns).splitlines())) <= columns
