"""The comparison of books at a start: it waits for the venue as long as it must, and says so."""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from bus.messages.orders import ExecutionReport
from bus.messages.system import AlertRaised, ReconciliationCompleted
from exchanges.simulated import SimulatedVenue
from risk.approved import Approved
from tests.tradingd.live_runtime import SECOND, Scene
from tradingd import account_opening
from tradingd.account_opening import PATIENCE_S, AccountOpening


class SilentVenue(SimulatedVenue):
    """Takes orders and does not say what becomes of them, until told to."""

    answer: Callable[[ExecutionReport], None]
    sent: str = ""

    def submit(self, approved: Approved) -> None:
        self.sent = approved.order.client_order_id
        self.answer(ExecutionReport(
            approved.order.client_order_id, approved.order.symbol, "unknown", 0, reason="no answer",
        ))

    async def balances(self) -> dict[str, Decimal]:
        return {"USDT": Decimal(10_000)}


def test_an_order_of_unknown_fate_holds_up_entries_and_status_names_it_and_since_when(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(account_opening, "_ANSWERS_S", 0.0)
    venue: SilentVenue

    def around(paper: SimulatedVenue, _: Path) -> SimulatedVenue:
        nonlocal venue
        paper.__class__ = SilentVenue
        assert isinstance(paper, SilentVenue)
        venue = paper
        paper.answer = lambda report: scene.runtime.on_report(report)
        return paper

    scene = Scene(tmp_path, around=around).open()
    runtime = scene.runtime
    runtime.command(scene.order(), by="tester")
    since = scene.clock.now()

    async def wait_and_answer() -> None:
        opening = AccountOpening(runtime, venue, "USDT", look_again_s=0.0)
        opening.forbid_entries()
        waiting = asyncio.create_task(opening.compare())
        for _ in range(3):
            await asyncio.sleep(0)
        (problem,) = [each for each in runtime.health.problems if "books" in each.text]
        assert f"not said what became of {venue.sent}" in problem.text
        assert problem.since_ns == since
        assert not scene.told(AlertRaised)
        scene.clock.advance(since + PATIENCE_S * SECOND)
        for _ in range(3):
            await asyncio.sleep(0)
        (alert,) = scene.told(AlertRaised)
        assert venue.sent in alert.message
        assert not waiting.done()
        assert runtime.engine.trading_state == "REDUCING"
        scene.clock.advance(scene.clock.now() + 60 * SECOND)
        runtime.on_report(ExecutionReport(venue.sent, "BTC/USDT", "rejected", 0, reason="never arrived"))
        await waiting

    asyncio.run(wait_and_answer())
    assert len(scene.told(AlertRaised)) == 1
    assert scene.told(ReconciliationCompleted)
    assert runtime.engine.trading_state == "ACTIVE"
