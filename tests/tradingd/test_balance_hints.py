"""Balances that a venue tells unasked say where to look, and are not believed."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bus.messages.ledger import FundsChanged
from exchanges.venue import AssetBalance
from market.interval import SECOND_NS
from tests.tradingd.live_runtime import Scene
from tradingd.balance_hints import MOST_QUESTIONS, RETRY_PAUSE_S, BalanceHints

D = Decimal


class Questions:
    """A venue that notes which orders it was asked about."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def query(self, client_order_id: str, _symbol: str) -> None:
        self.asked.append(client_order_id)


class Told:
    """What is told of the account's BTC, and what came of it."""

    def __init__(self, folder: Path) -> None:
        self.scene = Scene(folder).open()
        self.venue = Questions()
        self.hints = BalanceHints(
            self.scene.runtime, self.venue, {"BTC": "BTC/USDT"}, {"BTC": D("0.001")},  # type: ignore[arg-type]
        )
        self.now_s = 1_000.0

    def buy(self, quantity: str, **more: Any) -> None:
        self.scene.runtime.command(self.scene.order(quantity=quantity, **more), by="ann")
        self.scene.settle_venue()
        self.scene.settle_venue()

    def tell(self, free: str, locked: str = "0", after_s: float = 60.0, **others: str) -> list[str]:
        """The orders that were asked for since."""
        self.venue.asked.clear()
        balances = {name: AssetBalance(D(text), D(0)) for name, text in others.items()}
        self.now_s += after_s
        self.hints.on_balances({"BTC": AssetBalance(D(free), D(locked)), **balances})
        self.hints.consider(self.now_s)
        return self.venue.asked

    def was_freed(self) -> bool:
        """Whether exits were freed at the scene's last second."""
        return self.scene.runtime.engine._desk.freed_ns >= self.scene.clock.now() - SECOND_NS


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path)


def test_coins_that_no_fill_told_of_have_the_working_orders_asked_for_once(told: Told) -> None:
    told.buy("1", order_type="limit", price=D(99))
    told.buy("1")
    assert told.tell("1") == []
    assert told.tell("1.4") == ["td-t1"]
    assert told.tell("1.4") == []
    assert told.tell("1.7") == ["td-t1"]
    assert len(told.scene.told(FundsChanged)) == 1  # nothing is believed


def test_coins_that_are_not_traded_here_and_amounts_below_a_step_ask_for_nothing(told: Told) -> None:
    told.buy("1", order_type="limit", price=D(99))
    assert told.tell("0.0001", BNB="4") == []


def test_while_an_order_is_on_its_way_the_balances_wait_for_its_report(told: Told) -> None:
    told.buy("1", order_type="limit", price=D(99))
    told.scene.runtime.command(told.scene.order(quantity="1"), by="ann")
    assert told.tell("1") == []
    told.scene.settle_venue()
    told.scene.settle_venue()
    told.hints.consider(told.now_s)
    assert told.venue.asked == []
    assert told.tell("2") == ["td-t1"]


def test_very_many_working_orders_are_not_all_asked_for_at_a_hint(told: Told) -> None:
    for number in range(MOST_QUESTIONS + 3):
        told.scene.clock.advance(told.scene.clock.now() + 3 * SECOND_NS)
        told.scene.price("BTC/USDT", "100")
        told.buy("0.2", order_type="limit", price=D(97) + number / D(100))
    assert len(told.tell("1.4")) == MOST_QUESTIONS


def test_coins_that_others_give_free_let_exits_be_tried_at_once_but_not_all_the_time(told: Told) -> None:
    told.buy("1")
    told.tell("0.2", "0.8")
    for _ in range(3):
        told.scene.second()
    told.tell("0.2", "0.8")
    assert not told.was_freed()
    told.tell("1")
    assert told.was_freed()
    for _ in range(3):
        told.scene.second()
    told.tell("0.2", "0.8")
    told.tell("1", after_s=0)
    assert told.was_freed()
    for _ in range(3):
        told.scene.second()
    told.tell("0.2", "0.8", after_s=0)
    told.tell("1", after_s=RETRY_PAUSE_S / 2)
    assert not told.was_freed()


def test_coins_that_our_own_sale_held_are_not_taken_for_others(told: Told) -> None:
    told.buy("1")
    told.tell("1")
    told.buy("1", side="sell", order_type="limit", price=D(104), reduce_only=True)
    for _ in range(3):
        told.scene.second()
    told.tell("0", "1")
    told.scene.runtime.command(told.scene.order(quantity="0.01", order_type="limit", price=D(99)), by="ann")
    told.tell("0", "1")
    assert not told.was_freed()
