"""The account's figures beside their targets [C11]."""

from decimal import Decimal
from typing import Any

import pytest

from bus.ids import ClientOrderId, SessionId
from bus.messages.header import MessageMaker
from bus.messages.ledger import PositionClosed
from tests.tradingd.small_daemon import START, portfolio
from tradingd.cli_tables import _targets
from tradingd.read_model import ReadModel
from tradingd.scorecard import scorecard

D = Decimal
DAY = 86_400 * 10**9
PROMISED = {
    "net_annual_return": ">= 0.15", "sharpe": "> 1.5", "max_drawdown": "< 0.15", "win_rate": "> 0.45",
    "win_loss_ratio": ">= 2", "uptime": "> 0.999", "order_success": "> 0.99", "latency_ms": "< 100",
    "recovery_s": "< 300", "fee_share": "< 0.2", "slippage": "< 0.001", "infrastructure_share": "< 0.05",
}


def account(profits: list[str], equity: str, days: int) -> ReadModel:
    model, maker = ReadModel("USDT"), MessageMaker("engine", SessionId("s1"))
    for number, profit in enumerate(profits):
        trip = PositionClosed(
            "BTC/USDT", D(1), D(1000), D(1000) + D(profit) + 2, D(profit), D(2), START, START + number,
            ClientOrderId(f"td-{number}"),
        )
        model.apply(maker.make(trip, START + number))
    won = sum(map(D, profits), D(0))
    for day in (0, days - 1):
        worth = D(equity) if day else D(10_000)
        model.apply(maker.make(
            portfolio(equity=worth, realized_pnl=won, fees=D(2 * len(profits)), max_drawdown=0.15), START + day * DAY,
        ))
    return model


def test_every_target_of_the_promise_is_there_known_or_not() -> None:
    found = scorecard(ReadModel("USDT"))
    assert {each.name: each.target for each in found} == PROMISED
    assert all(each.is_met is None and each.note for each in found if each.value is None)


def test_figures_are_judged_by_their_targets() -> None:
    found = {each.name: each for each in scorecard(account(["40", "30", "-10", "-20"], "10200", 73))}
    assert found["net_annual_return"].value == pytest.approx(1.02 ** 5 - 1)  # 73 days are a fifth of a year
    assert (found["net_annual_return"].is_met, found["win_rate"].value) == (False, 0.5)
    assert found["win_loss_ratio"].value == pytest.approx(35 / 15)
    assert found["win_loss_ratio"].is_met
    assert (found["max_drawdown"].value, found["max_drawdown"].is_met) == (0.15, False)  # at the limit is not below it
    assert found["fee_share"].value == pytest.approx(8 / 48)
    assert found["fee_share"].is_met


def test_a_month_is_the_least_that_says_something_of_a_year() -> None:
    returns = [scorecard(account(["40"], "10200", days))[0].value for days in (29, 30)]
    assert returns[0] is None
    assert returns[1] == pytest.approx(1.02 ** (365 / 30) - 1)


def test_the_command_line_tells_which_are_missed() -> None:
    rows: list[dict[str, Any]] = [
        {"name": "win_rate", "value": 0.4, "target": "> 0.45", "is_met": False},
        {"name": "sharpe", "value": 1.6, "target": "> 1.5", "is_met": True},
        {"name": "uptime", "value": None, "target": "> 0.999", "is_met": None},
    ]
    assert _targets(rows) == "1 of 2 known ones met; not: win_rate 0.4 (target > 0.45)"
