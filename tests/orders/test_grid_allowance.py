"""How much of a grid's capital the limits allow is said when it starts, and it is what they allow then."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bus.ids import ClientOrderId
from bus.messages.grid import GridStarted, StartGrid
from bus.messages.orders import OrderDenied, SubmitOrder
from risk.limits import RiskLimits
from tests.orders.grid_world import GridWorld
from tests.orders.trading import BTC, WIDE

D = Decimal
USUAL = replace(WIDE, exposure_per_asset=D("0.05"), exposure_total=D("0.25"))


def world(limits: RiskLimits = USUAL) -> GridWorld:
    made = GridWorld(limits=limits)
    made.price("100")
    return made


def started(made: GridWorld, command: StartGrid) -> GridStarted:
    (fact,) = [fact for fact in bodies(made.give(command)) if isinstance(fact, GridStarted)]
    return fact


def bodies(facts: list[Any]) -> list[Any]:
    return [getattr(fact, "body", fact) for fact in facts]


def armed(made: GridWorld) -> int:
    made.second()
    return sum(order.is_armed and order.spec.side == "buy" for order in made.engine.orders)


def test_a_grid_that_the_limits_leave_room_for_starts_without_a_warning() -> None:
    assert started(world(), StartGrid(BTC, D(480), 3)).warning == ""


def test_a_grid_too_large_for_the_limits_starts_with_a_sentence_that_says_so_and_keeps_it_over_a_restart() -> None:
    made = world()
    warning = started(made, StartGrid(BTC, D(1200), 3)).warning
    assert warning.startswith(
        "2 of 6 buy levels may be armed or held at once, 4 wait for room, the nearest to the price first: all 6 "
        "together would be worth 1,205.36 USDT, "
    )
    assert "and risk.exposure_per_asset leaves 499.91 USDT; raise that limit, or start with at most " in warning
    assert armed(made) == 2
    most = D(warning.rsplit(" ", 2)[1])
    assert started(world(), StartGrid(BTC, most, 3)).warning == ""
    made.restart()
    (grid,) = made.engine.grids
    assert grid.warning == warning


def test_a_grid_of_which_no_level_fits_is_refused() -> None:
    made = world()
    (refusal,) = [fact for fact in bodies(made.give(StartGrid(BTC, D(6000), 3))) if isinstance(fact, OrderDenied)]
    assert (refusal.code, refusal.rule, refusal.value) == ("GRID_TOO_LARGE", "exposure_per_asset", "1000")
    assert "Raise risk.exposure_per_asset" in refusal.message
    assert list(made.engine.grids) == []


def test_what_is_held_already_takes_its_room_from_the_grid() -> None:
    made = world()
    made.give(SubmitOrder(ClientOrderId("td-1"), BTC, "buy", "market", D(3), "manual"))
    assert "leaves 199.95 USDT" in started(made, StartGrid(BTC, D(480), 3)).warning


def test_the_limit_on_one_order_is_asked_of_each_level() -> None:
    made = world(replace(WIDE, max_order_notional=D("0.05")))
    (refusal,) = [fact for fact in bodies(made.give(StartGrid(BTC, D(6000), 3))) if isinstance(fact, OrderDenied)]
    assert (refusal.code, refusal.rule) == ("GRID_TOO_LARGE", "max_order_notional")


@settings(max_examples=40, deadline=None)
@given(
    levels=st.integers(1, 6), capital=st.integers(150, 9000), per_asset=st.integers(2, 100), total=st.integers(2, 100),
    spacing=st.sampled_from(["0.002", "0.005"]),
)
def test_never_are_more_levels_armed_than_were_said_to_fit_and_none_waits_unsaid(
    levels: int, capital: int, per_asset: int, total: int, spacing: str,
) -> None:
    made = world(replace(WIDE, exposure_per_asset=D(per_asset) / 100, exposure_total=D(total) / 100))
    facts = bodies(made.give(StartGrid(BTC, D(capital), levels, D(spacing), centre=D(95))))
    fact = next((each for each in facts if isinstance(each, GridStarted)), None)
    if fact is None:
        return
    made.price("100")
    made.second()
    (grid,) = made.engine.grids
    waiting = [level for level in grid.levels.values() if level.blocked_code]
    if not fact.warning:
        assert waiting == []
