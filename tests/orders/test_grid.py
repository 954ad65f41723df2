"""A grid's life, one rule at a time, against a venue that fills at once."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from bus.ids import ClientOrderId, ProposalId
from bus.messages.council import AlphaSignal, ProposalApproved
from bus.messages.grid import (
    GridEntered,
    GridInventoryReleased,
    GridLevelBlocked,
    GridSessionBased,
    GridShifted,
    GridStarted,
    GridStopped,
    GridStopping,
    GridTuned,
    StartGrid,
    StopGrid,
)
from bus.messages.orders import (
    CancelOrder,
    ClosePosition,
    EngageKillSwitch,
    OrderDenied,
    OrderFilled,
    OrderInitialized,
    ReleaseKillSwitch,
    SubmitOrder,
    TrailSpec,
)
from bus.messages.system import BY_RULE, VoteTradingState
from exchanges.simulated import PaperConfig
from market.interval import SECOND_NS
from orders import grid_book
from orders.grid_legs import sell_activation
from orders.grid_spacing import NEEDED_SAMPLES, SAMPLES_A_DAY, Swings, measure, trail_for, tuned_spacing
from orders.kill import engage_kill
from tests.orders.grid_world import FEE, GridWorld, spot
from tests.orders.trading import BTC, WIDE

D = Decimal
DAY_NS = 86_400 * SECOND_NS


def world(**more: Any) -> GridWorld:
    made = GridWorld(**more)
    made.price("100")
    return made


def opened(**more: Any) -> GridWorld:
    """A grid of 1.5 % around 100, with 2,000 of money."""
    made = world()
    made.give(StartGrid(BTC, D(2000), **more))
    made.second()
    return made


def engage_by_rule(made: GridWorld) -> None:
    """As the runaway guard does."""
    desk = made.engine.desk
    desk.out = []
    engage_kill(desk, "cancel", "runaway guard", BY_RULE)
    made.journal.extend(desk.out)


def denied(bodies: list[Any]) -> OrderDenied:
    (found,) = [body for body in bodies if isinstance(body, OrderDenied)]
    return found


def kinds(bodies: list[Any]) -> list[str]:
    return [type(body).__name__ for body in bodies]


def found(made: GridWorld, kind: type) -> list[Any]:
    return [message.body for message in made.journal if isinstance(message.body, kind)]


def armed(made: GridWorld, side: str) -> list[int]:
    """Levels with a held order of this side."""
    book, levels = made.engine.grids, []
    for order in made.engine.orders.working(BTC):
        leg = book.leg(order.client_order_id)
        if leg is not None and leg.level is not None and order.is_armed and order.spec.side == side:
            levels.append(leg.level)
    return sorted(levels)


# ---- where the levels lie ----------------------------------------------------------------------------


def test_levels_lie_at_centre_times_one_plus_i_spacing() -> None:
    grid = opened().grid
    assert len(grid.levels) == 21
    assert [grid.price_of(index) for index in (-10, -1, 0, 1, 10)] == [D(85), D("98.5"), D(100), D("101.5"), D(115)]
    assert grid.floor == D("80.75")
    assert grid.trail == D("0.0075")


def test_only_levels_within_five_percent_and_not_above_the_price_are_armed() -> None:
    made = opened()
    assert armed(made, "buy") == [-3, -2, -1, 0]
    made.walk(["98", "97.6"])
    assert armed(made, "buy") == [-4, -3, -2, -1, 0]


def test_a_level_left_far_below_is_taken_back() -> None:
    made = opened()
    made.walk(["100.7", "101.4", "101.7"])
    assert -3 not in armed(made, "buy")
    assert made.grid.levels[-3].error == ""


def test_spacing_is_a_share_of_the_swing_that_follows_the_volatility() -> None:
    assert tuned_spacing(Swings()) == D("0.015")
    assert tuned_spacing(Swings(0.06, 0.01, 0.01)) == D("0.018")  # 0.06 * 0.3
    assert tuned_spacing(Swings(0.06, 0.001, 0.01)) == D("0.012")  # never less than 0.2 of the swing
    assert tuned_spacing(Swings(0.06, 0.1, 0.01)) == D("0.024")  # never more than 0.4 of it
    assert tuned_spacing(Swings(0.001, 0.01, 0.01)) == D("0.005")
    assert tuned_spacing(Swings(0.9, 0.01, 0.01)) == D("0.05")
    assert tuned_spacing(Swings(0.9, 0.01, 0.01), highest=D("0.02")) == D("0.02")
    assert tuned_spacing(Swings(), lowest=D("0.03")) == D("0.03")


def test_measures_of_a_known_history() -> None:
    day = [D(100), D(110)] * (SAMPLES_A_DAY // 2)
    assert measure(day) == Swings()
    swings = measure(day * 2)
    assert swings.average_swing_ratio == pytest.approx(0.1)
    assert swings.recent_volatility == pytest.approx(swings.month_volatility, rel=1e-3)
    assert swings.recent_volatility == pytest.approx(0.09531, rel=1e-3)


def test_the_trail_is_half_the_spacing_within_its_bounds() -> None:
    assert [trail_for(D(each)) for each in ("0.001", "0.01", "0.05")] == [D("0.002"), D("0.005"), D("0.01")]


def test_a_given_history_sets_the_spacing_at_once_and_is_a_fact() -> None:
    made = world()
    history = (D(100), D(106)) * SAMPLES_A_DAY
    bodies = made.give(StartGrid(BTC, D(2000), history=history))
    (tuned,) = [body for body in bodies if isinstance(body, GridTuned)]
    assert tuned.spacing == made.grid.spacing == D("0.018")
    assert tuned.samples == len(history)
    assert "given" in tuned.source


def test_the_grid_tunes_itself_from_its_own_prices_while_it_holds_nothing() -> None:
    made = opened()
    for number in range(NEEDED_SAMPLES + 2):
        made.price("100" if number % 2 else "100.2", 300 * SECOND_NS)
        made.second()
    tuned = found(made, GridTuned)
    assert tuned
    assert tuned[-1].source == "own prices, every 5 minutes"
    assert made.grid.spacing == D("0.005")  # a swing of 0.2 % a day: the lower bound


def test_a_fixed_spacing_is_never_tuned() -> None:
    made = opened(spacing=D("0.01"))
    for number in range(NEEDED_SAMPLES + 2):
        made.price("100" if number % 2 else "100.2", 300 * SECOND_NS)
        made.second()
    assert not found(made, GridTuned)
    assert made.grid.spacing == D("0.01")


# ---- buying and selling ------------------------------------------------------------------------------


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


# ---- permission --------------------------------------------------------------------------------------


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


# ---- stopping ----------------------------------------------------------------------------------------


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


# ---- first entry -------------------------------------------------------------------------------------


def signal(confidence: float, action: str = "trail_buy") -> AlphaSignal:
    return AlphaSignal("momentum", "1", BTC, "1m", 0, action, confidence, 1.0, 0.01, "normal", "up")  # type: ignore[arg-type]


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


def test_the_session_starts_anew_at_midnight_while_nothing_is_bought() -> None:
    made = opened(entry="first")
    made.price("99", DAY_NS)
    made.second()
    (based,) = found(made, GridSessionBased)
    assert based.price == made.grid.session_price == 99
    made.walk(["97.5"])
    assert made.grid.phase == "WAITING"
    made.walk(["97"])
    assert made.grid.phase == "RUNNING"


# ---- refusals ----------------------------------------------------------------------------------------


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


def test_without_a_price_there_is_no_grid() -> None:
    made = GridWorld()
    assert denied(made.give(StartGrid(BTC, D(2000)))).code == "PRICE_UNKNOWN"


def test_time_spent_is_the_time_the_price_was_in_the_band() -> None:
    made = opened()
    made.price("100", 60 * SECOND_NS)
    made.second()
    made.price("98.4", 30 * SECOND_NS)
    made.second()
    made.price("100", 10 * SECOND_NS)
    made.second()
    assert made.grid.levels[-1].spent_ns == 10 * SECOND_NS
    assert made.grid.levels[0].spent_ns == 90 * SECOND_NS


def test_a_price_that_flickers_at_a_bands_edge_changes_no_band() -> None:
    made = opened()
    before = len(made.journal)
    made.walk(["99.2", "99.3", "99.2", "99.3"])  # the edge is 99.25
    assert [kind for kind in kinds([m.body for m in made.journal[before:]]) if kind == "GridBandEntered"] == []


def test_the_stop_is_told_before_the_end() -> None:
    made = opened()
    made.give(StopGrid("g1", reason="enough"))
    stopping, stopped = found(made, GridStopping)[0], found(made, GridStopped)[0]
    assert stopping.reason == stopped.reason == "enough"
    assert isinstance(found(made, GridStarted)[0], GridStarted)
    assert not [body for body in found(made, OrderInitialized) if body.order.side == "sell"]


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


def council_sells(made: GridWorld, name: str, quantity: str, **more: Any) -> list[Any]:
    made.give(ProposalApproved(ProposalId(name), BTC, D(9), None, (), "fine"))
    return made.give(SubmitOrder(
        ClientOrderId(f"td-{name}"), BTC, "sell", more.pop("order_type", "market"), D(quantity), "council",
        reduce_only=True, proposal_id=ProposalId(name), **more,
    ))


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


def test_levels_closer_than_the_ticks_are_refused() -> None:
    made = GridWorld(instrument=spot(tick="0.1"))
    made.price("100")
    refusal = denied(made.give(StartGrid(BTC, D(2000), spacing=D("0.001"))))
    assert refusal.code == "INVALID_GRID"
    assert "ticks" in refusal.message


def test_a_wild_history_gives_the_widest_spacing_and_no_error() -> None:
    made = world()
    made.give(StartGrid(BTC, D(2000), history=(D("1e-18"), D("9e17")) * SAMPLES_A_DAY))
    assert made.grid.spacing == D("0.05")


def test_a_first_entry_where_the_floor_no_longer_fits_ends_the_grid_with_the_reason() -> None:
    made = opened(entry="first", floor=D("84.5"))
    made.walk(["97.9"])
    assert made.grid.phase == "STOPPED"
    assert "floor" in made.grid.reason
