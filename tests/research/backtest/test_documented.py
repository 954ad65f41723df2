"""docs/backtest.md against what is there: every figure has its formula, and the rule on the page runs."""

import re
from pathlib import Path

from research.backtest.rules import SmaCross, make_rule
from research.backtest.statistics import statistics
from research.backtest.trade_figures import execution_figures
from tests.research.backtest.candles import run, walk

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "backtest.md").read_text()


def test_every_figure_is_on_the_page_and_every_figure_of_the_page_is_there() -> None:
    bars = walk(300, 1)
    result = run(bars, SmaCross(5, 20))
    figures = statistics(result.equity, bars.ts, bars.close, result.trades, 10_000.0)
    figures |= execution_figures(result.decision_prices, result.rejected, 0)
    table = PAGE.split("## Statistics")[1]
    told = {name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    assert told == set(figures)


def test_the_rule_on_the_page_trades_as_it_stands(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "breakout.py").write_text(code)
    result = run(walk(800, 3), make_rule(f"{tmp_path}/breakout.py:Breakout", {"window": "10"}))
    assert len(result.trades) > 3
    assert len(code.splitlines()) <= 20
