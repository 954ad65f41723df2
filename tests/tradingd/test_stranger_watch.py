"""Orders with our mark that our books do not know."""

from decimal import Decimal
from pathlib import Path

from bus.ids import ClientOrderId
from bus.messages.orders import ExecutionReport
from tests.orders.trading import BTC
from tests.tradingd.live_runtime import Scene
from tradingd.stranger_watch import MOST_NAMED, StrangerWatch


class Working(set[str]):
    """The orders a venue still has."""

    def is_watching(self, client_order_id: ClientOrderId) -> bool:
        return client_order_id in self


def strangers(scene: Scene, *names: str) -> Working:
    for name in names:
        scene.runtime.on_report(ExecutionReport(ClientOrderId(name), BTC, "accepted", scene.clock.now()))
    return Working(names)


def told(scene: Scene) -> str:
    return scene.runtime.health.text_of("strangers")


def test_they_are_named_while_they_work_at_the_exchange_and_stop_nothing(tmp_path: Path) -> None:
    scene = Scene(tmp_path).open()
    working = strangers(scene, "td-x1", "td-x2")
    watch = StrangerWatch(scene.runtime, working)
    watch.look()
    assert "td-x1, td-x2; cancel them there" in told(scene)
    assert scene.runtime.health.reasons_to_reduce == ()
    working.remove("td-x1")
    watch.look()
    assert "td-x1" not in told(scene)
    working.clear()
    watch.look()
    assert not told(scene)


def test_very_many_are_counted(tmp_path: Path) -> None:
    scene = Scene(tmp_path).open()
    StrangerWatch(scene.runtime, strangers(scene, *(f"td-x{number}" for number in range(MOST_NAMED + 2)))).look()
    assert "and 2 more" in told(scene)


def test_an_order_of_our_own_is_no_stranger(tmp_path: Path) -> None:
    scene = Scene(tmp_path).open()
    scene.runtime.command(scene.order(order_type="limit", price=Decimal(99)), by="ann")
    scene.settle_venue()
    StrangerWatch(scene.runtime, Working(["td-t1"])).look()
    assert not told(scene)
