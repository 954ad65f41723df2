"""What self-tuning judges the grid by is the grid that the engine would run."""

from decimal import Decimal

import pytest

from agents.parameters import Parameters
from agents.strategies.trailing_grid import TrailingGrid
from orders.grid_spacing import trail_for
from research.backtest.runner import Backtest, Costs
from research.tuning import replay
from tests.research.backtest.candles import walk
from tradingd.settings import Settings

D = Decimal
CAPITAL = D(10_000)
MODERATE = Parameters(D("0.015"), D("0.015"), D("0.6"), D("0.15"), D("0.05"), D(3))


@pytest.mark.parametrize("spacing", ["0.006", "0.015", "0.03"])
def test_the_replayed_grid_trails_as_the_engine_does(spacing: str) -> None:
    bars = walk(800, 3, step=6_000)
    settings = Settings()
    costs = Costs(settings.paper.fee, D(0), settings.paper.slippage)
    wanted = Backtest(bars, CAPITAL, D(1), costs).run(
        TrailingGrid(10, float(spacing), float(trail_for(D(spacing)))),
    )
    assert wanted.fees > 0
    parameters = MODERATE.with_value("spacing", D(spacing))
    other = MODERATE.with_value("spacing", D("0.05"))
    judged = replay.judge((parameters, other), [bars], settings.model_copy(
        update={"account": settings.account.model_copy(update={"capital": CAPITAL})},
    ))
    assert judged.grid[0] == replay.score(wanted.equity, CAPITAL)
