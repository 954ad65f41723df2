"""An entry that was open too long is decided on anew: the same opinion gives the same order."""

from decimal import Decimal
from pathlib import Path

import pytest

from bus.messages.council import AlphaSignal, AnalysisCompleted, Feature
from bus.messages.orders import OrderInitialized, ReassessmentDue
from tests.orders.trading import BTC
from tests.tradingd.live_runtime import Scene

D = Decimal


def decide(scene: Scene) -> None:
    """A candle on which two models say to buy, with a confidence of 0.8."""
    now, runtime = scene.clock.now(), scene.runtime
    signals = tuple(
        AlphaSignal(alpha, "1", BTC, "1s", now, "trail_buy", 0.8, 1.0, 0.002, "high", "it rises")
        for alpha in ("momentum", "structure")
    )
    features = (Feature("atr_14", 0.1), Feature("atr_average", 0.1))
    scene.bus.publish(runtime.make("analyst", AnalysisCompleted(BTC, "1s", now, D(100), "trending", features, signals)))
    runtime.settle()


@pytest.mark.parametrize("capital", ["10000", "1000"])
def test_a_reassessed_entry_keeps_its_size(tmp_path: Path, capital: str) -> None:
    scene = Scene(tmp_path, capital=capital).with_council().open()
    for _ in range(3):
        scene.second()
        scene.price(BTC, "100")
    decide(scene)
    while not scene.told(ReassessmentDue):
        scene.second()
        scene.price(BTC, "100")
    decide(scene)
    first, second = (told.order for told in scene.told(OrderInitialized))
    assert second.replaces == first.client_order_id
    assert second.quantity == first.quantity == D(capital) / D(2500)
