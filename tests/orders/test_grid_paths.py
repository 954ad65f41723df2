"""Whatever the price does: money is conserved, capital is a bound, and a killed engine goes on as if it had lived."""

from collections import defaultdict
from decimal import Decimal
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from bus.messages.grid import GridInventoryReleased, StartGrid, StopGrid
from bus.messages.orders import ClosePosition, EngageKillSwitch, OrderFilled, ReleaseKillSwitch
from bus.messages.system import VoteTradingState
from orders.grid_state import Grid
from tests.orders.grid_world import GridWorld
from tests.orders.trading import BTC

D = Decimal
CAPITAL = D(2000)

moves = st.integers(-400, 400).map(lambda bps: 1 + D(bps) / 10_000)
small_moves = st.integers(-120, 120).map(lambda bps: 1 + D(bps) / 10_000)
steps = st.one_of(
    st.tuples(st.just("price"), small_moves),
    st.tuples(st.just("price"), small_moves),
    st.tuples(st.just("price"), moves),
    st.tuples(st.just("tick"), small_moves),
    st.tuples(st.just("vote"), st.sampled_from(["ACTIVE", "ACTIVE", "REDUCING"])),
    st.tuples(st.just("refuse"), st.booleans()),
)
rare_steps = st.one_of(
    steps, steps, steps,
    st.tuples(st.just("kill"), st.sampled_from(["halt", "cancel", "flatten"])),
    st.tuples(st.just("release"), st.just("")),
    st.tuples(st.just("close"), st.just("")),
    st.tuples(st.just("stop"), st.booleans()),
    st.tuples(st.just("start"), st.just("")),
)
grids = st.builds(
    StartGrid, st.just(BTC), st.just(CAPITAL), st.sampled_from([1, 3, 10]),
    st.sampled_from([None, D("0.005"), D("0.02")]), trail=st.sampled_from([None, D("0.002"), D("0.01")]),
    entry=st.sampled_from(["now", "now", "first"]),
)


class Path:
    """Plays steps; the price never leaves what a tick can say."""

    def __init__(self, command: StartGrid, is_fee_in_base: bool) -> None:
        self.command = command
        self.world = GridWorld(is_fee_in_base=is_fee_in_base)
        self.price = D(100)
        self.world.price(self.price)
        self.world.give(command)

    def play(self, step: tuple[str, Any]) -> None:
        kind, what = step
        world = self.world
        if kind in ("price", "tick"):
            self.price = max((self.price * what).quantize(D("0.01")), D(1))
            world.price(self.price)
            if kind == "price":
                world.second()
        elif kind == "vote":
            world.give(VoteTradingState("operator", what, "test"))
        elif kind == "refuse":
            world.at_once.refuses_limits = what
        elif kind == "kill":
            world.give(EngageKillSwitch(what, "test", "me"))
        elif kind == "release":
            world.give(ReleaseKillSwitch("me", "test"))
        elif kind == "close":
            world.give(ClosePosition(BTC, "test"))
        elif kind == "stop":
            world.give(StopGrid(world.grid.grid_id, what))
        else:
            world.give(self.command)


def check_money(world: GridWorld) -> None:
    """Cash that left is inventory at cost less what was earned, to the last digit; nobody overspends.

    Dust that a stopped grid let go of is the account's from then on, with its cost.
    """
    grids, ledger = list(world.engine.grids), world.engine.ledger
    released = [message.body for message in world.journal if isinstance(message.body, GridInventoryReleased)]
    assert all(fact.quantity < world.instrument.quantity_step for fact in released)
    for grid in grids:
        check_levels(grid)
    spent = sum((grid.cost - grid.profit for grid in grids), sum((fact.cost for fact in released), D(0)))
    assert ledger.funds_in - ledger.cash == spent
    held = sum((grid.quantity for grid in grids), sum((fact.quantity for fact in released), D(0)))
    assert held == ledger.quantity(BTC)


def check_levels(grid: Grid) -> None:
    assert grid.cost <= grid.command.capital
    for level in grid.levels.values():
        assert D(0) <= level.cost <= grid.share
        assert level.quantity >= 0
        assert level.quantity or not level.cost
    assert grid.phase != "STOPPED" or not grid.quantity


def profits_of_round_trips(world: GridWorld) -> dict[str, dict[int, Decimal]]:
    """Per grid and level, from the fills alone: what every sale brought less what its purchases had cost."""
    book = world.engine.grids
    held: dict[tuple[str, int], list[Decimal]] = defaultdict(lambda: [D(0), D(0), D(0)])
    for message in world.journal:
        fill = message.body
        leg = book.leg(fill.client_order_id) if isinstance(fill, OrderFilled) else None
        if leg is None or leg.level is None:
            continue
        state = held[(leg.grid_id, leg.level)]
        fee_in_base = fill.fee if fill.fee_asset == "BTC" else D(0)
        fee = D(0) if fee_in_base else fill.fee
        if fill.side == "buy":
            state[0] += fill.quantity - fee_in_base
            state[1] += fill.quantity * fill.price + fee
        else:
            part = min(fill.quantity / state[0], D(1))
            state[2] += fill.quantity * fill.price - fee - state[1] * part
            state[0] -= fill.quantity
            state[1] *= 1 - part
    found: dict[str, dict[int, Decimal]] = defaultdict(dict)
    for (grid_id, level), (_, _, profit) in held.items():
        found[grid_id][level] = profit
    return found


@settings(max_examples=60, deadline=None)
@example(StartGrid(BTC, CAPITAL, 1), True, [("price", D("1.0075")), ("price", D("0.9674")), ("price", D("0.96"))])
@given(grids, st.booleans(), st.lists(steps, max_size=60))
def test_money_is_conserved_and_capital_is_a_bound(command: StartGrid, in_base: bool, path: list[Any]) -> None:
    played = Path(command, in_base)
    for step in path:
        played.play(step)
        check_money(played.world)
    world = played.world
    if not world.grid.is_floor_reached and world.grid.phase != "STOPPED":
        for level, profit in profits_of_round_trips(world)[world.grid.grid_id].items():
            assert abs(world.grid.levels[level].profit - profit) < D("1e-9")


@settings(max_examples=60, deadline=None)
@given(grids, st.lists(rare_steps, max_size=50))
def test_nothing_working_is_left_behind_and_no_inventory_is_bare(command: StartGrid, path: list[Any]) -> None:
    """Kill switch, closing by hand, stopping and starting anew, in any order."""
    played = Path(command, is_fee_in_base=False)
    for step in path:
        played.play(step)
    world = played.world
    for grid in world.engine.grids:
        check_levels(grid)
    world.give(ReleaseKillSwitch("me", "test"))
    world.give(VoteTradingState("operator", "ACTIVE", "test"))
    world.second()
    world.second()
    grid = world.grid
    live = world.engine.grids.of_symbol(BTC)
    assert (live.quantity if live is not None else D(0)) <= max(world.engine.ledger.quantity(BTC), D(0))
    for order in world.engine.orders.working(BTC):
        leg = world.engine.grids.leg(order.client_order_id)
        assert leg is not None
        assert live is not None
        assert leg.grid_id == live.grid_id
    if grid.phase in ("RUNNING", "STOPPING"):
        for level in grid.levels.values():
            sell = world.engine.orders.get(level.sell_id)
            assert level.quantity * played.price < 5 or (sell is not None and sell.is_working)
        floor = world.engine.orders.get(grid.floor_id)
        least = grid.quantity - D("1e-5")
        assert grid.quantity * played.price < 5 or (floor is not None and floor.spec.quantity >= least)


@settings(max_examples=25, deadline=None)
@given(grids, st.lists(rare_steps, min_size=5, max_size=40), st.data())
def test_a_kill_at_any_moment_changes_nothing(command: StartGrid, path: list[Any], data: st.DataObject) -> None:
    """The fold of the journal is the state, and the orders that follow are those of an engine that lived on."""
    lived, killed = Path(command, False), Path(command, False)
    cuts = data.draw(st.sets(st.integers(0, len(path) - 1), max_size=6))
    for number, step in enumerate(path):
        lived.play(step)
        killed.play(step)
        if number in cuts:
            before = killed.world.picture()
            killed.world.restart()
            assert killed.world.picture() == before
            killed.world.price(killed.price, 1)  # the market is heard again
            lived.world.price(lived.price, 1)
    assert killed.world.picture() == lived.world.picture()
    assert killed.world.sent == lived.world.sent


@settings(max_examples=15, deadline=None)
@given(grids, st.lists(rare_steps, min_size=5, max_size=30))
def test_the_journal_up_to_any_fact_can_be_folded_and_gone_on_from(command: StartGrid, path: list[Any]) -> None:
    played = Path(command, False)
    for step in path:
        played.play(step)
    journal = list(played.world.journal)
    for length in range(2, len(journal), max(len(journal) // 12, 1)):
        world = GridWorld()
        world.now, world.journal, world.at_once = played.world.now, journal[:length], played.world.at_once
        world.restart()
        world.give(ReleaseKillSwitch("me", "test"))
        world.price(played.price)
        for _ in range(3):
            world.second()
        for grid in world.engine.grids:
            check_levels(grid)
            for level in grid.levels.values() if grid.phase == "RUNNING" else ():
                found = [world.engine.orders.get(each) for each in (level.buy_id, level.sell_id)]
                is_covered = any(order is not None and order.is_working for order in found)
                assert level.quantity * played.price < 5 or is_covered
