"""Grids: buying, selling, the first entry, refusals."""

from decimal import Decimal
from typing import Any

import pytest

from bus.messages.council import AlphaSignal
from bus.messages.grid import (
    GridEntered,
    GridShifted,
    GridStarted,
    GridStopped,
    GridStopping,
    StartGrid,
    StopGrid,
)
from bus.messages.orders import (
    OrderFilled,
    OrderInitialized,
)
from orders.grid_legs import sell_activation
from tests.orders.grid_scenes import armed, denied, found, kinds, opened, world
from tests.orders.grid_world import FEE
from tests.orders.trading import BTC

D = Decimal


def signal(confidence: float, action: str = "trail_buy") -> AlphaSignal:
    return AlphaSignal("momentum", "1", BTC, "1m", 0, action, confidence, 1.0, 0.01, "normal", "up")  # type: ignore[arg-type]


def test_a_buy_trails_the_low_below_its_level() -> None:
    made = opened()
    made.walk(["98.4", "98"])
    assert not made.sent
    assert made.grid.levels[-1].is_ready
    assert not made.grid.levels[-2].is_ready
    made.walk(["98.8"])  # 98 * 1.0075 = 98.735
    assert not made.grid.levels[-1].is_ready
    assert [(request.side, request.wire_type, request.time_in_force) for request in made.sent] == [
        ("buy", "limit", "IOC")] * 2
    assert armed(made, "sell") == [-1, 0]


def test_what_a_level_bought_is_sold_one_level_up() -> None:
    made = opened()
    made.walk(["98.4", "98", "98.8"])
    sells = {
        made.grid.levels[level].index: made.engine.orders.get(made.grid.levels[level].sell_id) for level in (-1, 0)
    }
    assert {level: order.spec.trail.activation_price for level, order in sells.items()} == {  # type: ignore[union-attr]
        -1: D(100), 0: D("101.5")}
    made.walk(["100.2", "99.4"])  # the first one: 100.2 * 0.9925 = 99.4485
    level = made.grid.levels[-1]
    assert level.round_trips == 1
    assert level.quantity == 0
    assert level.profit > 0
    assert armed(made, "sell") == [0]
    assert -1 in armed(made, "buy")
    bought, sold = [fill for fill in found(made, OrderFilled) if "m1-" in fill.client_order_id]
    assert level.profit == sold.quantity * sold.price - sold.fee - bought.quantity * bought.price - bought.fee


def test_a_sell_never_activates_where_it_would_not_pay_purchase_and_fees() -> None:
    made = opened(spacing=D("0.002"), trail=D("0.01"))
    made.walk(["99.5", "100.6"])
    level = next(level for level in made.grid.levels.values() if level.quantity)
    activation = sell_activation(made.grid, made.instrument, level)
    assert activation > made.grid.price_of(level.index + 1)
    proceeds = activation * (1 - made.grid.trail) * level.quantity * (1 - FEE)
    assert level.cost <= proceeds < level.cost * D("1.001")


def test_a_buy_that_cannot_be_filled_near_its_trigger_ends_and_is_armed_again() -> None:
    made = opened()
    made.walk(["98.4", "98"])
    made.at_once.refuses_limits = True
    made.walk(["98.8"])
    assert len(made.sent) == 2
    assert made.grid.quantity == 0
    assert "no depth" in made.grid.levels[0].error
    assert armed(made, "buy") == [-4, -3, -2, -1, 0]
    made.at_once.refuses_limits = False
    made.walk(["99.6"])
    assert made.grid.levels[0].quantity > 0


def test_the_floor_covers_everything_and_ends_the_grid() -> None:
    made = opened()
    made.walk(["98.4", "98", "98.8", "95", "92", "88", "84"])
    floor = made.engine.orders.get(made.grid.floor_id)
    assert floor is not None
    assert (floor.spec.order_type, floor.spec.stop_price) == ("stop", made.grid.floor)
    assert floor.spec.quantity == made.grid.quantity > 0
    made.walk(["80.7", "80.6"])
    assert made.grid.phase == "STOPPED"
    assert "floor" in made.grid.reason
    assert made.engine.ledger.quantity(BTC) == 0
    assert not made.engine.orders.working(BTC)
    assert made.grid.profit == made.engine.ledger.realized_pnl < 0


def test_a_grid_that_holds_nothing_also_ends_at_the_floor() -> None:
    made = opened()
    made.walk(["95", "90", "85", "80.7"])
    assert made.grid.phase == "STOPPED"
    assert made.sent == []


def test_above_its_highest_level_the_grid_moves_up_once_all_is_sold() -> None:
    made = opened()
    made.walk(["98.4", "98", "98.8"])
    made.walk(["104", "108", "112", "116"])  # its sells follow the price
    assert found(made, GridShifted) == []
    made.walk(["115.1"])
    assert made.grid.quantity == 0
    made.walk(["115.2"])
    (shifted,) = found(made, GridShifted)
    assert (shifted.centre_before, shifted.centre) == (D(100), D("115.1"))
    assert made.grid.profit > 0
    assert made.grid.floor > D(92)
    assert 0 in armed(made, "buy")


def test_the_grid_never_moves_down() -> None:
    made = opened()
    made.walk(["95", "90", "85.5", "84"])
    assert found(made, GridShifted) == []
    assert made.grid.centre == 100


def test_a_first_entry_waits_for_a_fall_of_two_percent() -> None:
    made = opened(entry="first")
    assert made.grid.phase == "WAITING"
    made.walk(["101", "98.1"])
    assert made.grid.phase == "WAITING"
    made.walk(["98"])
    assert made.grid.phase == "RUNNING"
    assert made.grid.centre == D(98)
    assert 0 in armed(made, "buy")


def test_a_first_entry_begins_at_a_confident_signal() -> None:
    made = opened(entry="first")
    for weak in (signal(0.70), signal(0.9, "trail_sell")):
        made.give(weak)
        assert made.grid.phase == "WAITING"
    made.give(signal(0.71))
    (entered,) = found(made, GridEntered)
    assert entered.centre == 100
    assert "0.71" in entered.reason


@pytest.mark.parametrize(
    ("command", "code", "word"),
    [
        (StartGrid("XXX/USDT", D(2000)), "UNKNOWN_INSTRUMENT", "instrument"),
        (StartGrid(BTC, D(2000), levels=0), "INVALID_GRID", "levels"),
        (StartGrid(BTC, D(2000), levels=51), "INVALID_GRID", "levels"),
        (StartGrid(BTC, D(0)), "INVALID_GRID", "capital"),
        (StartGrid(BTC, D("NaN")), "INVALID_GRID", "capital"),
        (StartGrid(BTC, D(2000), spacing=D("0.5")), "INVALID_GRID", "spacing"),
        (StartGrid(BTC, D(2000), spacing=D("0.1")), "INVALID_GRID", "spacing"),
        (StartGrid(BTC, D(2000), spacing=D("0.01"), min_spacing=D("0.01")), "INVALID_GRID", "spacing"),
        (StartGrid(BTC, D(2000), min_spacing=D("0.02"), max_spacing=D("0.01")), "INVALID_GRID", "min_spacing"),
        (StartGrid(BTC, D(2000), trail=D("0.5")), "INVALID_GRID", "trail"),
        (StartGrid(BTC, D(2000), floor=D(90)), "INVALID_GRID", "floor"),
        (StartGrid(BTC, D(2000), centre=D(130)), "INVALID_GRID", "floor"),
        (StartGrid(BTC, D(2000), centre=D(200)), "INVALID_GRID", "centre"),
        (StartGrid(BTC, D(2000), centre=D("1e-18")), "INVALID_GRID", "centre"),
        (StartGrid(BTC, D(2000), entry="first", centre=D(100)), "INVALID_GRID", "centre"),
        (StartGrid(BTC, D(2000), history=(D(0),)), "INVALID_GRID", "history"),
        (StartGrid(BTC, D(20_000)), "INSUFFICIENT_FUNDS", "capital"),
        (StartGrid(BTC, D(2000), origin="council"), "NO_VERDICT", "verdict"),
        (StopGrid("g7"), "UNKNOWN_GRID", "grid_id"),
    ],
)
def test_what_cannot_be_is_refused_by_name(command: Any, code: str, word: str) -> None:
    made = world()
    refusal = denied(made.give(command))
    assert (refusal.code, refusal.rule) == (code, word)
    assert list(made.engine.grids) == []


def test_too_little_money_is_refused_with_the_sum_that_is_needed() -> None:
    made = world()
    refusal = denied(made.give(StartGrid(BTC, D(100))))
    assert refusal.code == "GRID_TOO_SMALL"
    needed = D(refusal.limit)
    assert str(refusal.limit) in refusal.message
    assert denied(made.give(StartGrid(BTC, needed - D("0.5")))).code == "GRID_TOO_SMALL"
    assert kinds(made.give(StartGrid(BTC, needed)))[0] == "GridStarted"
    made.second()
    orders = [order for order in made.engine.orders if order.spec.side == "buy"]
    assert orders
    assert all(order.spec.quantity * order.spec.trail.activation_price >= 10 for order in orders)  # type: ignore[union-attr, operator]


def test_the_stop_is_told_before_the_end() -> None:
    made = opened()
    made.give(StopGrid("g1", reason="enough"))
    stopping, stopped = found(made, GridStopping)[0], found(made, GridStopped)[0]
    assert stopping.reason == stopped.reason == "enough"
    assert isinstance(found(made, GridStarted)[0], GridStarted)
    assert not [body for body in found(made, OrderInitialized) if body.order.side == "sell"]


def test_a_first_entry_where_the_floor_no_longer_fits_ends_the_grid_with_the_reason() -> None:
    made = opened(entry="first", floor=D("84.5"))
    made.walk(["97.9"])
    assert made.grid.phase == "STOPPED"
    assert "floor" in made.grid.reason
