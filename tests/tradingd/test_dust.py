"""What is left below the venue's step when all that can be sold is sold is no open position: nobody can close it."""

from decimal import Decimal
from pathlib import Path

import pytest

from bus.ids import TradeId
from bus.messages.orders import ExecutionReport, SubmitOrder
from tests.orders.trading import ETH
from tests.tradingd.live_runtime import Scene
from tradingd.announcements import farewell_of
from tradingd.conditions import Conditions
from tradingd.control import ControlConflictError
from tradingd.life import READY, Life
from tradingd.operations import Operations
from tradingd.replay_run import ReplayRun
from tradingd.run_options import RunOptions
from tradingd.settings import RiskSettings

D = Decimal
LOOSE = RiskSettings(exposure_per_asset=D("0.5"), exposure_total=D("0.8"), duplicate_window_s=D(0))


class QuietVenue:
    """Takes every order; the test tells what came of it."""

    name = "quiet"
    is_simulated = False

    def submit(self, approved: object) -> None:
        """Nothing comes of it by itself."""

    def cancel(self, *what: object) -> None:
        """As `submit`."""

    query = cancel


def bought_with_a_fee_in_kind(folder: Path) -> Scene:
    """2 ETH, less the fee of 0.00203 ETH that was taken in kind: 1.9979 of it can be sold."""
    scene = Scene(folder, around=lambda paper, path: QuietVenue(), risk=LOOSE).open()  # type: ignore[arg-type,return-value]
    fill(scene, scene.order(ETH, "2"), fee="0.00203")
    return scene


def fill(scene: Scene, order: SubmitOrder, fee: str = "0") -> None:
    scene.runtime.command(order, by="ann")
    scene.runtime.on_report(ExecutionReport(
        order.client_order_id, ETH, "fill", scene.clock.now(), trade_id=TradeId(order.client_order_id),
        quantity=order.quantity, price=D(10), fee=D(fee), fee_asset="ETH",
    ))


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """Only dust is left."""
    made = bought_with_a_fee_in_kind(tmp_path)
    fill(made, made.order(ETH, "1.9979", side="sell", reduce_only=True))
    (line,) = made.runtime.engine.look().positions
    assert (line.quantity, line.is_dust) == (D("0.00007"), True)
    return made


def operations_of(scene: Scene, folder: Path) -> tuple[Operations, Life]:
    settings, options, life = scene.settings, RunOptions(), Life()
    life.phase = READY
    conditions = Conditions(settings, life)
    operations = Operations(settings, options, folder, life, ReplayRun(settings, options, folder), conditions)
    conditions.begin(scene.runtime, listed=[], held=[], notes=[])
    operations.begin(scene.runtime, None, None, None, None)  # type: ignore[arg-type]
    return operations, life


def test_dust_does_not_stand_in_the_way_of_another_mode(scene: Scene, tmp_path: Path) -> None:
    operations, life = operations_of(scene, tmp_path)
    operations.switch_mode("paper", confirm="", by="ann")
    assert life.end_asked.is_set()


def test_a_position_stands_in_the_way_of_another_mode(tmp_path: Path) -> None:
    operations, life = operations_of(bought_with_a_fee_in_kind(tmp_path), tmp_path)
    with pytest.raises(ControlConflictError, match=r"positions are open \(ETH/USDT\)"):
        operations.switch_mode("paper", confirm="", by="ann")
    assert not life.end_asked.is_set()


def test_the_farewell_does_not_call_dust_a_position_that_nobody_watches(scene: Scene, tmp_path: Path) -> None:
    told = farewell_of(scene.runtime.engine, scene.runtime.venue, "signal SIGTERM", tmp_path)
    assert "stays" not in told


def test_the_farewell_names_a_position_that_nobody_watches(tmp_path: Path) -> None:
    runtime = bought_with_a_fee_in_kind(tmp_path).runtime
    told = farewell_of(runtime.engine, runtime.venue, "signal SIGTERM", tmp_path)
    assert "1 position stays (ETH/USDT) open, watched by nobody" in told
