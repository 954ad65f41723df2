"""Differences of balances that are the work of orders of ours of which the venue has not told yet."""

from decimal import Decimal
from pathlib import Path

import pytest

from bus.ids import ClientOrderId, TradeId
from bus.messages.ledger import FundsChanged
from bus.messages.orders import CancelOrder, ExecutionReport
from bus.messages.system import AlertRaised
from tests.orders.trading import BTC, ETH
from tests.tradingd.live_runtime import Scene
from tests.tradingd.test_account_watch import Account, funds, held
from tradingd.account_watch import MOST_MISSED, AccountWatch
from tradingd.balance_hints import CANCEL_SETTLES_NS

D = Decimal


class SlowAccount(Account):
    """Balances come at once, what became of an order does not."""

    questions = 0

    def query(self, client_order_id: str, symbol: str) -> None:
        super().query(client_order_id, symbol)
        self.questions = 1


def watching(scene: Scene, account: Account) -> AccountWatch:
    def change(fact: FundsChanged) -> None:
        account.by_hand[fact.asset] -= fact.delta
        scene.runtime.take(scene.runtime.record("daemon", fact))

    return AccountWatch(scene.runtime, account, "USDT", scene.instruments, change)  # type: ignore[arg-type]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path).open()


def fill(scene: Scene, name: str, quantity: str, price: str, symbol: str = BTC, **more: object) -> None:
    scene.runtime.on_report(ExecutionReport(
        ClientOrderId(name), symbol, "fill", scene.clock.now(), trade_id=TradeId("x1"), quantity=D(quantity),
        price=D(price), **more,  # type: ignore[arg-type]
    ))


async def test_a_sale_is_not_taken_for_one_by_hand_before_a_slow_venue_has_told_of_its_order(scene: Scene) -> None:
    held(scene, "2")
    order = scene.order(quantity="1", side="sell", order_type="limit", price=D(104), reduce_only=True)
    scene.runtime.command(order, by="ann")
    scene.settle_venue()
    account = SlowAccount(scene)
    watch = watching(scene, account)
    account.by_hand |= {"BTC": D(-1), "USDT": D(104)}  # it was executed, and the report was lost
    await watch.look()
    await watch.look()
    account.questions, account.by_hand = 0, {}
    fill(scene, order.client_order_id, "1", "104")  # the answer
    await watch.look()
    await watch.look()
    assert scene.runtime.engine.ledger.quantity(BTC) == D(1)
    assert funds(scene) == []


async def test_questions_that_never_run_out_do_not_keep_a_sale_by_hand_from_being_followed(scene: Scene) -> None:
    held(scene, "2")
    scene.runtime.command(
        scene.order(quantity="1", side="sell", order_type="limit", price=D(104), reduce_only=True), by="ann",
    )
    scene.settle_venue()
    account = SlowAccount(scene)
    account.questions = 1
    watch = watching(scene, account)
    account.by_hand["BTC"] = D("-0.5")
    for _ in range(2 + MOST_MISSED):
        await watch.look()
    assert scene.runtime.engine.ledger.quantity(BTC) == D("1.5")


async def test_a_fee_in_a_third_coin_of_an_order_on_its_way_is_not_missing(scene: Scene) -> None:
    scene.runtime.command(scene.order(ETH, quantity="2"), by="ann")
    scene.settle_venue()
    scene.settle_venue()
    first = scene.order(quantity="1")
    scene.runtime.command(first, by="ann")
    fill(scene, first.client_order_id, "1", "100", fee=D("0.01"), fee_asset="ETH")
    before = scene.runtime.engine.ledger.quantity(ETH)
    scene.runtime.command(scene.order(quantity="1.1"), by="ann")  # sent, and without an answer from here on
    account = Account(scene)
    watch = watching(scene, account)
    account.by_hand |= {"BTC": D("1.1"), "USDT": D(-110), "ETH": D("-0.01")}  # it was executed
    await watch.look()
    await watch.look()
    assert [alert.title for alert in scene.told(AlertRaised) if alert.title == "ETH is missing"] == []
    assert scene.runtime.engine.ledger.quantity(ETH) == before


async def test_a_cancel_that_nobody_answers_does_not_keep_a_sale_by_hand_from_being_followed(scene: Scene) -> None:
    held(scene, "2")
    order = scene.order(quantity="1", side="sell", order_type="limit", price=D(104), reduce_only=True)
    scene.runtime.command(order, by="ann")
    scene.settle_venue()
    scene.runtime.command(CancelOrder(order.client_order_id, "changed my mind"), by="ann")
    assert [each.detail for each in scene.runtime.engine.orders.working()] == ["pending_cancel"]
    account = Account(scene)
    watch = watching(scene, account)
    account.by_hand["BTC"] = D("-0.5")
    await watch.look()
    await watch.look()
    assert scene.runtime.engine.ledger.quantity(BTC) == D(2), "what raced with the cancel may not be told yet"
    scene.clock.advance(scene.clock.now() + CANCEL_SETTLES_NS)
    await watch.look()
    await watch.look()
    assert scene.runtime.engine.ledger.quantity(BTC) == D("1.5")
