"""A stranger who can write to the bus knows every proposal's id: what the real council approved is of no use to him."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from bus.ids import ClientOrderId, client_order_id_of
from bus.messages.council import AlphaSignal, AnalysisCompleted, Feature, ProposalApproved
from bus.messages.orders import OrderDenied, OrderFilled, OrderInitialized, OrderSubmitted, Side, SubmitOrder
from tests.orders.trading import BTC, ETH
from tests.tradingd.live_runtime import Scene

D = Decimal


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """The real council has approved an entry in BTC, and the trader has given the order."""
    scene = Scene(tmp_path).with_council().open()
    for _ in range(3):
        prices(scene)
    now = scene.clock.now()
    signals = tuple(
        AlphaSignal(alpha, "1", BTC, "1s", now, "trail_buy", confidence, 1.0, 0.002, "high", "it rises")
        for alpha, confidence in (("momentum", 0.8), ("structure", 0.8))
    )
    features = (Feature("atr_14", 0.1), Feature("atr_average", 0.1))
    scene.bus.publish(scene.runtime.make(
        "analyst", AnalysisCompleted(BTC, "1s", now, D(100), "trending", features, signals),
    ))
    scene.runtime.settle()
    scene.settle_venue()
    return scene


def prices(scene: Scene) -> None:
    scene.second()
    scene.price(BTC, "100")
    scene.price(ETH, "10")


def verdict(scene: Scene) -> ProposalApproved:
    approved: ProposalApproved
    (approved,) = scene.told(ProposalApproved)
    return approved


def given(scene: Scene, yes: ProposalApproved) -> SubmitOrder:
    order: SubmitOrder
    (order,) = [each.order for each in scene.told(OrderInitialized) if each.order.proposal_id == yes.proposal_id]
    return order


def test_the_verdict_says_for_what_it_is_good_and_the_traders_order_is_that(scene: Scene) -> None:
    yes = verdict(scene)
    order = given(scene, yes)
    assert order.client_order_id == client_order_id_of(yes.proposal_id)
    assert (yes.symbol, yes.side) == (order.symbol, order.side) == (BTC, "buy")
    assert order.protection is not None
    assert yes.stop_ratio == order.protection.stop_ratio is not None
    assert 0 < yes.valid_until <= scene.clock.now() + 60_000_000_000
    assert not scene.told(OrderDenied)


def test_orders_of_any_symbol_side_and_number_on_one_verdict_do_nothing(scene: Scene) -> None:
    order = given(scene, verdict(scene))
    wishes: list[tuple[str, Side]] = [(ETH, "buy"), (BTC, "buy"), (BTC, "sell"), (ETH, "sell")]
    for _ in range(3):
        for number, (symbol, side) in enumerate(wishes):
            forged = ClientOrderId(f"td-forged{number}-{scene.clock.now()}")
            scene.over_the_bus(replace(
                order, client_order_id=forged, symbol=symbol, side=side, order_type="market", trail=None,
                reduce_only=side == "sell", expire_at=0, protection=order.protection if side == "buy" else None,
            ))
            scene.settle_venue()
        prices(scene)
    assert {each.code for each in scene.told(OrderDenied)} == {"VERDICT_MISMATCH"}
    assert not [each for each in scene.told(OrderSubmitted) if "forged" in each.client_order_id]
    assert not scene.told(OrderFilled)


def test_the_traders_order_in_a_strangers_words_is_the_one_that_was_given(scene: Scene) -> None:
    order = given(scene, verdict(scene))
    scene.over_the_bus(replace(order, order_type="market", trail=None, protection=None))
    scene.settle_venue()
    assert scene.runtime.engine.orders.working(BTC)[0].spec == order
    assert not scene.told(OrderSubmitted)


def test_without_its_stop_not_even_the_first_one_is_taken(tmp_path: Path, scene: Scene) -> None:
    """As one who is quicker than the trader."""
    order, yes = given(scene, verdict(scene)), verdict(scene)
    quick = Scene(tmp_path / "quick").open()
    quick.runtime.take(quick.runtime.make("risk", replace(yes, valid_until=quick.clock.now() + 1_000_000_000)))
    quick.over_the_bus(replace(order, order_type="market", trail=None, protection=None, expire_at=0))
    assert [each.code for each in quick.told(OrderDenied)] == ["VERDICT_MISMATCH"]
    assert not quick.told(OrderSubmitted)
