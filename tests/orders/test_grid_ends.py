"""Grids: permission, stopping, and what else sells the same coins."""

from dataclasses import replace
from decimal import Decimal

import pytest

from bus.ids import ClientOrderId
from bus.messages.grid import (
    GridInventoryReleased,
    GridLevelBlocked,
    GridStopped,
    StartGrid,
    StopGrid,
)
from bus.messages.orders import (
    CancelOrder,
    ClosePosition,
    EngageKillSwitch,
    OrderDenied,
    OrderInitialized,
    ReleaseKillSwitch,
    SubmitOrder,
)
from bus.messages.system import BY_RULE, VoteTradingState
from exchanges.simulated import PaperConfig
from orders import grid_book
from orders.kill import engage_kill
from tests.orders.grid_scenes import armed, denied, found, kinds, opened
from tests.orders.grid_world import GridWorld
from tests.orders.trading import BTC, WIDE

D = Decimal


def engage_by_rule(made: GridWorld) -> None:
    """As the runaway guard does."""
    desk = made.engine.desk
    desk.out = []
    engage_kill(desk, "cancel", "runaway guard", BY_RULE)
    made.journal.extend(desk.out)


def test_under_reducing_nothing_is_bought_and_sells_go_on() -> None:
    made = opened()
    made.walk(["98.4", "98", "98.8"])
    held = made.grid.quantity
    made.give(VoteTradingState("operator", "REDUCING", "pause"))
    made.walk(["97", "96", "95.4", "98"])
    assert made.grid.quantity == held
    assert any("TRADING_REDUCING" in level.error for level in made.grid.levels.values())
    made.walk(["102.5", "101.5"])
    assert made.grid.quantity == 0
    assert armed(made, "buy") == []


def test_a_killed_grid_buys_nothing_and_goes_on_after_the_release() -> None:
    made = opened()
    made.give(EngageKillSwitch("cancel", "test", "me"))
    made.second()
    assert armed(made, "buy") == []
    made.give(ReleaseKillSwitch("me", "go on"))
    made.second()
    assert armed(made, "buy") == [-3, -2, -1, 0]


def test_a_grid_that_is_closed_under_a_rules_latch_sells() -> None:
    made = opened()
    made.walk(["98.4", "98", "98.8"])
    assert made.grid.quantity > 0
    engage_by_rule(made)
    made.give(StopGrid(made.grid.grid_id, close=True, reason="enough"))
    made.second()
    assert made.grid.quantity == 0
    assert made.grid.phase == "STOPPED"


def test_a_grid_that_waits_to_be_closed_keeps_its_sells_and_its_floor() -> None:
    made = opened()
    made.walk(["98.4", "98", "98.8"])
    made.give(EngageKillSwitch("halt", "test", "me"))
    made.give(StopGrid(made.grid.grid_id, close=True, reason="enough"))
    orders = len(found(made, OrderInitialized))
    for _ in range(5):
        made.second()
    assert armed(made, "sell")
    assert made.engine.orders.get(made.grid.floor_id).is_armed
    assert len(found(made, OrderInitialized)) == orders
    made.give(ReleaseKillSwitch("me", "go on"))
    made.second()
    assert made.engine.ledger.quantity(BTC) == 0
    assert made.grid.phase == "STOPPED"


def test_what_only_the_last_print_makes_worth_an_order_is_not_offered_each_second() -> None:
    made = opened()
    made.walk(["98.4", "98", "98.8"])
    made.give(VoteTradingState("operator", "REDUCING", "pause"))
    made.give(SubmitOrder(
        ClientOrderId("td-m"), BTC, "sell", "market", made.grid.quantity - D("0.0506"), "manual", reduce_only=True,
    ))
    made.price("98.85")  # 5.002 at the last price, 4.999 in the middle of the quote; the venue takes 5
    made.quote(D("98.7"), D("98.9"))
    made.give(StopGrid(made.grid.grid_id, close=True, reason="enough"))
    for _ in range(5):
        made.second()
    assert made.grid.phase == "STOPPED"
    assert found(made, OrderDenied) == []


def test_a_kill_that_sells_everything_ends_the_grid() -> None:
    made = opened()
    made.walk(["98.4", "98", "98.8"])
    made.give(EngageKillSwitch("flatten", "test", "me"))
    made.second()
    made.second()
    assert made.engine.ledger.quantity(BTC) == 0
    assert made.grid.phase == "STOPPED"


def test_a_refused_level_says_why_once_and_keeps_saying_it() -> None:
    made = GridWorld(limits=replace(WIDE, exposure_per_asset=D("0.02")))
    made.price("100")
    made.give(StartGrid(BTC, D(2000)))
    for _ in range(5):
        made.second()
    blocked = found(made, GridLevelBlocked)
    assert blocked
    assert len(blocked) == len({fact.level for fact in blocked})
    assert all(fact.code == "EXPOSURE_PER_ASSET" for fact in blocked)
    assert "EXPOSURE_PER_ASSET" in made.grid.levels[blocked[0].level].error
    assert armed(made, "buy") == [-1, 0]


def test_stopping_ends_the_buys_and_lets_the_sells_go_on() -> None:
    made = opened()
    made.walk(["98.4", "98", "98.8"])
    made.give(StopGrid("g1"))
    assert made.grid.phase == "STOPPING"
    assert armed(made, "buy") == []
    assert armed(made, "sell") == [-1, 0]
    made.walk(["99", "102.5", "101.5"])
    assert made.grid.phase == "STOPPED"
    assert made.grid.profit > 0
    assert found(made, GridStopped)[-1].profit == made.grid.profit


def test_stopping_with_close_sells_at_once() -> None:
    made = opened()
    made.walk(["98.4", "98", "98.8"])
    made.give(StopGrid("g1"))
    made.give(StopGrid("g1", close=True))
    assert made.engine.ledger.quantity(BTC) == 0
    made.second()
    assert made.grid.phase == "STOPPED"
    assert made.engine.orders.working(BTC) == ()
    assert made.grid.profit == made.engine.ledger.realized_pnl


def test_a_stopped_grid_makes_room_for_another_one() -> None:
    made = opened()
    assert denied(made.give(StartGrid(BTC, D(2000)))).code == "GRID_EXISTS"
    made.give(StopGrid("g1"))
    assert made.grid.phase == "STOPPED"
    assert kinds(made.give(StartGrid(BTC, D(2000))))[0] == "GridStarted"
    assert made.grid.grid_id == "g2"


def test_what_a_person_sold_is_the_grids_no_more() -> None:
    made = opened()
    made.walk(["98.4", "98", "98.8"])
    cost = made.grid.cost
    made.give(ClosePosition(BTC, "mine"))
    made.second()
    assert made.grid.quantity == 0
    assert made.grid.released_cost == cost
    assert {fact.reason for fact in found(made, GridInventoryReleased)} == {"another order sold it"}
    assert made.grid.profit == 0


def test_an_order_cancelled_by_hand_is_armed_again() -> None:
    made = opened()
    made.give(CancelOrder(made.grid.levels[-1].buy_id, "by hand"))
    made.second()
    assert armed(made, "buy") == [-3, -2, -1, 0]


def test_an_order_that_a_person_tagged_like_the_grids_is_none_of_it() -> None:
    made = opened()
    made.give(SubmitOrder(ClientOrderId("td-m1"), BTC, "buy", "market", D(1), "manual", tag="grid-g1-L-1"))
    assert made.engine.ledger.quantity(BTC) == 1
    assert made.grid.quantity == 0
    assert made.grid.levels[-1].buy_id.startswith("td-g1-")


def test_the_oldest_ended_orders_are_forgotten_but_never_one_that_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grid_book, "KEEP_LEGS", 12)
    made = opened()
    made.walk(["98.4", "98", "98.8"])  # two exits that will wait
    for _ in range(6):
        made.give(CancelOrder(made.grid.levels[-3].buy_id, "again"))
        made.second()
    book = made.engine.grids
    waiting = [order.client_order_id for order in made.engine.orders.working(BTC)]
    assert all(book.leg(each) is not None for each in waiting)
    assert sum(book.leg(order.client_order_id) is not None for order in made.engine.orders) == 12


def test_a_disaster_stop_at_the_venue_makes_way_for_the_grids_sells() -> None:
    made = GridWorld(paper=PaperConfig(slippage=D(0), use_book=False), disaster_stop=True)
    made.walk(["100", "100"])
    made.give(StartGrid(BTC, D(2000)))
    made.walk(["98.4", "98", "98.8", "98.8", "98.8", "98.8"])
    resting = [order for order in made.engine.orders.at_venue(BTC) if order.is_disaster_stop]
    assert len(resting) == 1
    assert resting[0].spec.quantity == made.grid.quantity
    assert resting[0].spec.stop_price < made.grid.floor  # type: ignore[operator]
    made.walk(["100.2", "102", "101.2", "101.2", "101.2", "101.2", "101.2"])
    assert made.grid.quantity == made.engine.ledger.quantity(BTC) == 0
    assert made.grid.profit == made.engine.ledger.realized_pnl > 0
    assert made.engine.orders.at_venue(BTC) == ()


# ---- the first price after a restart


@pytest.mark.parametrize("price", ["80", "130"])
def test_a_lone_first_price_after_a_short_stop_neither_ends_nor_moves_a_grid(price: str) -> None:
    made = opened(account={"limits": replace(WIDE, collar=D("0.05"))})
    assert made.grid.quantity == 0
    made.restart()
    made.price(price)
    made.second()
    assert (made.grid.phase, made.grid.centre) == ("RUNNING", 100)
    made.walk(["100", "100"])
    assert (made.grid.phase, made.grid.centre) == ("RUNNING", 100)
