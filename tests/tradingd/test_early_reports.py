"""Reports that come before the engine knows its past."""

import pytest

from bus.ids import ClientOrderId
from bus.messages.orders import ExecutionReport
from tradingd import early_reports
from tradingd.early_reports import EarlyReports


def report(number: int) -> ExecutionReport:
    return ExecutionReport(ClientOrderId(f"td-{number}"), "BTC/USDT", "accepted", number)


def test_they_wait_and_come_in_order_before_what_comes_later() -> None:
    early, heard = EarlyReports(), []
    for number in range(3):
        early.take(report(number))
    assert heard == []
    early.give_to(heard.append)
    early.take(report(3))
    assert heard == [report(number) for number in range(4)]


def test_what_is_too_many_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early_reports, "MOST", 2)
    early, heard = EarlyReports(), []
    for number in range(3):
        early.take(report(number))
    early.give_to(heard.append)
    assert heard == [report(0), report(1)]
