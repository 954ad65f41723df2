"""What a grid holds is the grid's: nobody's exit but a person's own word reaches into it."""

from decimal import Decimal
from typing import Any

from bus.ids import ClientOrderId, ProposalId
from bus.messages.council import ProposalApproved
from bus.messages.orders import (
    EngageKillSwitch,
    Protection,
    ReleaseKillSwitch,
    SubmitOrder,
    TrailSpec,
)
from market.interval import SECOND_NS
from orders.order_table import Order
from tests.orders.grid_scenes import armed, denied, opened
from tests.orders.grid_world import GridWorld
from tests.orders.trading import BTC

D = Decimal
DAY_NS = 86_400 * SECOND_NS
STOP_AND_TRAIL = Protection(stop_ratio=D("0.04"), trail=TrailSpec("percent", D("0.05")))


def council_sells(made: GridWorld, name: str, quantity: str, **more: Any) -> list[Any]:
    made.give(ProposalApproved(ProposalId(name), BTC, D(99), None, (), "fine"))
    return made.give(SubmitOrder(
        ClientOrderId(f"td-{name}"), BTC, "sell", more.pop("order_type", "market"), D(quantity), "council",
        reduce_only=True, proposal_id=ProposalId(name), **more,
    ))


def council_buys(made: GridWorld, name: str, quantity: str, **more: Any) -> list[Any]:
    made.give(ProposalApproved(ProposalId(name), BTC, D(quantity), None, (), "fine"))
    return made.give(SubmitOrder(
        ClientOrderId(f"td-{name}"), BTC, "buy", "market", D(quantity), "council", proposal_id=ProposalId(name), **more,
    ))


def person_sells(made: GridWorld, name: str, quantity: str) -> list[Any]:
    return made.give(SubmitOrder(
        ClientOrderId(f"td-{name}"), BTC, "sell", "market", D(quantity), "manual", reduce_only=True,
    ))


def order(made: GridWorld, name: str) -> Order:
    known = made.engine.orders.get(ClientOrderId(f"td-{name}"))
    assert known is not None
    return known


def armed_around(made: GridWorld, name: str) -> list[tuple[str, Decimal]]:
    """Tag and quantity of what is armed around an entry."""
    return [
        (child.spec.tag, child.spec.quantity)
        for child in made.engine.orders.children(ClientOrderId(f"td-{name}")) if child.is_armed
    ]


def stocked(made: GridWorld) -> Decimal:
    """The grid has bought, and nothing of it is being sold."""
    made.walk(["98.4", "98", "98.8"])
    assert made.grid.quantity > 0
    return made.grid.quantity


def test_the_council_does_not_sell_what_the_grid_holds() -> None:
    made = opened()
    made.walk(["98.4", "98", "98.8"])
    held = made.grid.quantity
    assert denied(council_sells(made, "p1", "1")).code == "GRID_HOLDS"
    made.give(SubmitOrder(ClientOrderId("td-m1"), BTC, "buy", "market", D("0.5"), "manual"))
    council_sells(made, "p2", "2")
    assert made.sent[-1].quantity == D("0.5")
    assert made.engine.ledger.quantity(BTC) == made.grid.quantity == held


def test_the_councils_armed_exit_shrinks_when_its_own_share_is_gone() -> None:
    made = opened()
    made.give(SubmitOrder(ClientOrderId("td-m1"), BTC, "buy", "market", D("0.5"), "manual"))
    council_sells(made, "p1", "0.5", order_type="trailing", trail=TrailSpec("percent", D("0.2")))
    made.walk(["98.4", "98", "98.8"])
    made.give(SubmitOrder(ClientOrderId("td-m2"), BTC, "sell", "market", D("0.3"), "manual", reduce_only=True))
    made.second()
    exit_ = made.engine.orders.get(ClientOrderId("td-p1"))
    assert exit_ is not None
    assert exit_.spec.quantity == D("0.2")
    made.give(SubmitOrder(ClientOrderId("td-m3"), BTC, "sell", "market", D("0.2"), "manual", reduce_only=True))
    made.second()
    assert not exit_.is_working
    assert made.grid.quantity == made.engine.ledger.quantity(BTC) > 0


def test_the_exits_of_an_entry_that_the_council_has_sold_end_and_leave_the_grid_alone() -> None:
    made = opened()
    council_buys(made, "p1", "10", protection=STOP_AND_TRAIL)
    held = stocked(made)
    council_sells(made, "p2", "30")
    assert made.sent[-1].quantity == 10
    assert armed_around(made, "p1") == []
    made.walk(["97.5", "96.5", "95.95"])
    assert made.grid.quantity == made.engine.ledger.quantity(BTC) >= held
    assert made.grid.released_cost == 0


def test_what_is_left_of_an_entry_beside_the_grid_stays_protected_to_the_last_step() -> None:
    made = opened()
    council_buys(made, "p1", "10", protection=STOP_AND_TRAIL)
    stocked(made)
    assert armed_around(made, "p1") == [("stop", D(10)), ("trail", D(10))]
    council_sells(made, "p2", "4")
    assert armed_around(made, "p1") == [("stop", D(6)), ("trail", D(6))]


def test_fees_that_the_grid_pays_in_base_take_nothing_from_the_exits_beside_it() -> None:
    made = opened({"is_fee_in_base": True})
    made.give(SubmitOrder(
        ClientOrderId("td-m1"), BTC, "buy", "market", D("0.5"), "manual", protection=STOP_AND_TRAIL,
    ))
    before = armed_around(made, "m1")
    stocked(made)
    made.second()
    assert armed_around(made, "m1") == before


def test_the_stops_of_two_entries_together_sell_no_more_than_is_beside_the_grid() -> None:
    made = opened()
    council_buys(made, "p1", "5", protection=Protection(stop_ratio=D("0.04")))
    council_buys(made, "p2", "5", protection=Protection(stop_ratio=D("0.04")))
    stocked(made)
    council_sells(made, "p3", "4")
    made.walk(["95.95", "95.95"])
    assert sum(sale.quantity for sale in made.sent if sale.side == "sell") == 10
    assert made.grid.quantity == made.engine.ledger.quantity(BTC)
    assert made.grid.released_cost == 0


def test_an_exit_that_fired_under_a_halt_sells_only_what_is_beside_the_grid_then() -> None:
    made = opened()
    council_buys(made, "p1", "10", protection=Protection(stop_ratio=D("0.04")))
    stocked(made)
    made.give(EngageKillSwitch("halt", "look first", "me"))
    made.walk(["95.95"])
    assert order(made, "p1-s").is_waiting
    made.give(ReleaseKillSwitch("me", "seen"))
    (sale,) = [each for each in made.sent if each.side == "sell"]
    assert sale.quantity == 10
    assert made.grid.quantity == made.engine.ledger.quantity(BTC)


def test_a_sale_by_hand_of_more_than_is_beside_the_grid_is_taken_from_the_grid_in_the_same_step() -> None:
    made = opened()
    council_buys(made, "p1", "10", protection=STOP_AND_TRAIL)
    held = stocked(made)
    person_sells(made, "m1", "11")
    assert made.grid.quantity == made.engine.ledger.quantity(BTC) == held - 1
    assert armed_around(made, "p1") == []


def test_the_days_end_sells_what_is_left_of_the_days_entry_and_not_the_grids_stock() -> None:
    start = 19_700 * DAY_NS - 900 * SECOND_NS
    for by_hand, sold in (("10", []), ("4", [D(6)])):
        made = opened({"start_ns": start})
        made.give(SubmitOrder(ClientOrderId("td-m1"), BTC, "buy", "market", D(10), "manual", ends_with_day=True))
        held = stocked(made)
        person_sells(made, "m2", by_hand)
        before = len(made.sent)
        while made.now < start + 700 * SECOND_NS:
            made.walk(["98.4"])
        assert [sale.quantity for sale in made.sent[before:]] == sold
        assert made.grid.quantity == made.engine.ledger.quantity(BTC) == held


def test_a_market_order_in_place_of_a_grids_failed_sale_still_sells_the_grids_coins() -> None:
    made = opened()
    stocked(made)
    made.at_once.refuses_sales = True
    made.walk(["102", "101.2"])
    made.at_once.refuses_sales = False
    made.walk(["101.2"] * 3)
    assert made.grid.quantity == made.engine.ledger.quantity(BTC) == 0
    assert made.grid.released_cost == 0


def test_the_sell_of_a_level_whose_stock_a_person_has_sold_ends_and_leaves_later_coins_alone() -> None:
    made = opened()
    stocked(made)
    index, level = max(each for each in made.grid.levels.items() if each[1].quantity)
    person_sells(made, "m1", str(level.quantity))
    made.second()
    assert index not in armed(made, "sell")
    made.give(SubmitOrder(ClientOrderId("td-m2"), BTC, "buy", "market", D(5), "manual"))
    made.walk(["99.5", "101", "102", "103", "102", "101", "100"])
    assert made.engine.ledger.quantity(BTC) - made.grid.quantity == 5
