"""What people are told while an engaged kill switch is not done yet."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from bus.messages.orders import EngageKillSwitch, ExecutionReport, ReleaseKillSwitch
from exchanges.simulated import SimulatedVenue
from tests.orders.trading import BTC, ETH
from tests.tradingd.live_runtime import Scene
from tradingd.message_journal import MessageJournal
from tradingd.read_model import ReadModel


class Line:
    """Between the runtime and the paper venue. Cut, it takes calls and nothing comes of them."""

    def __init__(self, venue: SimulatedVenue, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_cut = False
        self.calls: list[str] = []
        for name in ("submit", "cancel", "query"):
            monkeypatch.setattr(venue, name, self._through(name, getattr(venue, name)))

    def _through(self, name: str, call: Callable[..., None]) -> Callable[..., None]:
        def through(*order: object) -> None:
            self.calls.append(name)
            if not self.is_cut:
                call(*order)

        return through


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """One BTC held, an entry for ETH resting."""
    scene = Scene(tmp_path).open()
    scene.runtime.command(scene.order(BTC, "1"), by="me")
    scene.settle_venue()
    scene.runtime.command(scene.order(ETH, "5", order_type="limit", price=Decimal("9.8")), by="me")
    scene.settle_venue()
    assert scene.runtime.engine.ledger.quantity(BTC) == 1
    return scene


@pytest.fixture
def line(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Line:
    line = Line(scene.paper, monkeypatch)
    line.is_cut = True
    return line


def passes(scene: Scene, seconds: int) -> None:
    for _ in range(seconds):
        scene.second()
        scene.price(BTC, "100")
        scene.price(ETH, "10")


def test_with_the_venue_away_it_says_how_much_is_left_and_goes_on_trying(scene: Scene, line: Line) -> None:
    scene.runtime.command(EngageKillSwitch("flatten", "test", "me"), by="me")
    view = scene.runtime.read_model.kill_view()
    assert view is not None
    assert (view.not_cancelled, view.not_sold, view.waiting[-1]) == (1, 1, BTC)
    assert view.progress == "not yet cancelled: 1, not yet sold: 1; still trying"
    assert line.calls == ["cancel", "submit"]
    passes(scene, 30)
    assert line.calls.count("cancel") >= 4
    assert line.calls.count("submit") == 1
    assert scene.runtime.read_model.kill_view().since == view.since  # type: ignore[union-attr]


def test_when_the_venue_is_back_nothing_is_left_and_nothing_more_is_said(scene: Scene, line: Line) -> None:
    scene.runtime.command(EngageKillSwitch("flatten", "test", "me"), by="me")
    passes(scene, 5)
    line.is_cut = False
    for order in scene.runtime.engine.orders.working():  # the sale was swallowed by the cut line: never arrived
        if order.is_exit:
            scene.runtime.on_report(ExecutionReport(
                order.client_order_id, BTC, "rejected", scene.clock.now(), reason="never arrived"))
    passes(scene, 40)
    view = scene.runtime.read_model.kill_view()
    assert view is not None
    assert (view.not_cancelled, view.not_sold, view.waiting, view.progress) == (0, 0, (), "")
    assert not scene.runtime.engine.orders.working()
    assert scene.runtime.engine.ledger.quantity(BTC) == 0


def test_cancel_counts_entries_only_and_names_what_nothing_protects(scene: Scene, line: Line) -> None:
    scene.runtime.command(EngageKillSwitch("cancel", "test", "me"), by="me")
    view = scene.runtime.read_model.kill_view()
    assert view is not None
    assert (view.not_cancelled, view.not_sold, view.unprotected) == (1, 0, (BTC,))
    assert BTC in view.progress
    assert "without a stop at the exchange" in view.progress


def test_the_journal_of_a_dead_daemon_says_the_same(scene: Scene, line: Line) -> None:
    scene.runtime.command(EngageKillSwitch("flatten", "test", "me"), by="me")
    model = ReadModel("USDT")
    journal = MessageJournal.open(scene.path, read_only=True)
    for message in journal.read():
        model.apply(message)
    journal.close()
    assert model.kill_view() == scene.runtime.read_model.kill_view()


def test_after_the_release_nothing_is_said(scene: Scene, line: Line) -> None:
    scene.runtime.command(EngageKillSwitch("flatten", "test", "me"), by="me")
    scene.runtime.command(ReleaseKillSwitch("me", "over"), by="me")
    assert scene.runtime.read_model.kill_view() is None
