"""The kill switch pressed during each step of an order's life, with a venue that is away first and answers later."""

from collections.abc import Callable, Sequence
from decimal import Decimal

import pytest

from bus.ids import ClientOrderId, SessionId
from bus.messages.header import MessageMaker
from bus.messages.orders import (
    CancelOrder,
    EngageKillSwitch,
    ModifyOrder,
    OrderFilled,
    Protection,
    ReleaseKillSwitch,
    TrailSpec,
)
from bus.messages.system import TimerFired
from market.ticks import TradeTick
from orders.effects import CancelAtVenue, Effect, SubmitToVenue
from orders.engine import Engine
from tests.orders.trading import BTC, Bench, cancels, sent, wish

D = Decimal
STOP = Protection(stop_ratio=D("0.02"))
SECOND = 1_000_000_000


def nothing(_: Bench) -> None:
    pass


def armed_entry(bench: Bench) -> None:
    bench.submit("td-e", "buy", "stop", "1", stop_price="110")


def trailing_entry_about_to_fire(bench: Bench) -> None:
    bench.submit("td-e", "buy", "trailing", "1", trail=TrailSpec("percent", D("0.001")))


def sent_without_an_answer(bench: Bench) -> None:
    bench.submit("td-e", "buy", "limit", "1", price="99")


def accepted(bench: Bench) -> None:
    sent_without_an_answer(bench)
    bench.accept("td-e")


def partly_filled(bench: Bench) -> None:
    bench.submit("td-e", "buy", "limit", "2", price="99", protection=STOP)
    bench.accept("td-e")
    bench.fill("td-e", "0.5", "99")


def pending_cancel(bench: Bench) -> None:
    accepted(bench)
    bench.say(CancelOrder(ClientOrderId("td-e"), "test"))


def unknown(bench: Bench) -> None:
    sent_without_an_answer(bench)
    bench.report("td-e", "unknown")


def changed_at_the_venue(bench: Bench) -> None:
    accepted(bench)
    bench.say(ModifyOrder(bench.order("td-e").client_order_id, price=D(98)))


def exit_at_the_venue(bench: Bench) -> None:
    bench.submit("td-out", "sell", "limit", "1", price="130")
    bench.accept("td-out")


def exit_partly_filled(bench: Bench) -> None:
    exit_at_the_venue(bench)
    bench.fill("td-out", "0.4", "130")


def fired_exit_that_waits(bench: Bench) -> None:
    """The stop has fired and waits for the limit exit at the venue to end."""
    exit_at_the_venue(bench)
    bench.trade("97")
    assert bench.order("td-hold-s").is_waiting


def fired_exit_on_its_way(bench: Bench) -> None:
    bench.trade("97")
    assert bench.order("td-hold-s").is_at_venue


STEPS: tuple[Callable[[Bench], None], ...] = (
    nothing, armed_entry, trailing_entry_about_to_fire, sent_without_an_answer, accepted, partly_filled,
    pending_cancel, unknown, changed_at_the_venue, exit_at_the_venue, exit_partly_filled, fired_exit_that_waits,
    fired_exit_on_its_way,
)
ACTIONS = ("halt", "cancel", "flatten")


def conserved(engine: Engine, bench: Bench) -> bool:
    """Cash is the capital, less what was bought, plus what was sold: from the fills alone (fees are 0 here)."""
    engine.ledger.check()
    cash = D(10_000)
    for message in bench.journal:
        if isinstance(message.body, OrderFilled):
            value = message.body.quantity * message.body.price
            cash += value if message.body.side == "sell" else -value
    return engine.ledger.cash == cash


class AfterTheLatch:
    """Everything that leaves after the kill switch was pressed, and what a venue answers when it is back."""

    def __init__(self, bench: Bench, action: str) -> None:
        self.bench = bench
        self.action = action
        self.sent: list[SubmitToVenue] = []
        self.cancels: list[CancelAtVenue] = []
        self.note(bench.say(EngageKillSwitch(action, "test", "me")))  # type: ignore[arg-type]

    def note(self, effects: Sequence[Effect]) -> None:
        self.sent += sent(effects)
        self.cancels += cancels(effects)

    def market_moves(self) -> None:
        for price in ("111", "96", "130", "90", "100"):
            self.note(self.bench.trade(price))
            self.note(self.bench.trade(price))

    def seconds(self, number: int) -> None:
        for _ in range(number):
            self.note(self.bench.second())

    def venue_answers(self) -> None:
        """Cancels are obeyed, sales are filled, an order of unknown outcome never arrived."""
        for order in self.bench.engine.orders.working():
            if not order.is_at_venue:
                continue
            if order.detail == "unknown":
                self.note(self.bench.report(order.client_order_id, "not_found"))
            elif order.detail == "pending_cancel":
                self.note(self.bench.report(order.client_order_id, "cancelled"))
            elif order.is_exit and order.wire_type == "market":
                self.note(self.bench.fill(order.client_order_id, order.remaining, "100"))

    def check(self) -> None:
        for call in self.sent:
            order = call.approved.order
            assert self.action == "flatten"
            assert (order.origin, order.side, order.reduce_only) == ("kill", "sell", True)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
def test_after_the_latch_only_cancels_and_flattens_own_sales_leave(step: Callable[[Bench], None], action: str) -> None:
    bench = Bench()
    bench.hold("1", "100", client_order_id="td-hold", protection=STOP)
    step(bench)
    after = AfterTheLatch(bench, action)
    after.market_moves()
    after.seconds(40)
    after.market_moves()
    after.check()
    asked = [order for order in bench.engine.orders.working() if order.detail == "pending_cancel"]
    for order in asked:
        times = sum(call.client_order_id == order.client_order_id for call in after.cancels)
        assert times >= 3, f"{order.client_order_id} was asked to end {times} times in 40 s"

    for _ in range(6):
        after.venue_answers()
        after.seconds(1)
    after.check()
    assert bench.engine.trading_state == "HALTED"
    assert conserved(bench.engine, bench)
    working = bench.engine.orders.working()
    if action == "flatten":
        assert not working
        assert bench.engine.ledger.quantity(BTC) == 0
    if action == "cancel":
        assert not [order for order in working if not order.is_exit]


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
def test_a_crash_right_after_the_latch_changes_nothing_of_that(step: Callable[[Bench], None], action: str) -> None:
    bench = Bench()
    bench.hold("1", "100", client_order_id="td-hold", protection=STOP)
    step(bench)
    AfterTheLatch(bench, action)
    again = bench.restarted()
    effects = again.engine.finish_restore(again.now)
    assert [call for call in sent(effects) if call.approved.order.origin != "kill"] == []
    again.trade("100")
    after = AfterTheLatch.__new__(AfterTheLatch)
    after.bench, after.action, after.sent, after.cancels = again, action, [], []
    after.market_moves()
    for _ in range(8):
        after.seconds(2)
        after.venue_answers()
    after.check()
    assert conserved(again.engine, again)
    assert again.engine.trading_state == "HALTED"
    if action == "flatten":
        assert not again.engine.orders.working()
        assert again.engine.ledger.quantity(BTC) == 0
    if action == "cancel":
        assert not [order for order in again.engine.orders.working() if not order.is_exit]


@pytest.mark.parametrize("action", ["halt", "cancel"])
def test_held_protection_is_left_alone_and_goes_on_after_the_unlock(action: str) -> None:
    bench = Bench()
    bench.hold("1", "100", client_order_id="td-hold", protection=STOP)
    after = AfterTheLatch(bench, action)
    assert bench.order("td-hold-s").is_armed
    after.note(bench.trade("97"))
    after.note(bench.trade("97"))
    after.seconds(3)
    after.check()
    assert bench.order("td-hold-s").is_waiting
    (call,) = sent(bench.say(ReleaseKillSwitch("me", "over")))
    assert call.approved.order.client_order_id == "td-hold-s"


def test_a_venue_that_refuses_every_sale_is_asked_for_ever_but_ever_more_slowly() -> None:
    bench = Bench()
    bench.hold("1", "100", client_order_id="td-hold")
    after = AfterTheLatch(bench, "flatten")
    times = []
    for second in range(900):
        for order in bench.engine.orders.working():
            if order.is_at_venue:
                times.append(second)
                after.note(bench.report(order.client_order_id, "rejected", reason="maintenance"))
        after.note(bench.second())
    assert len(times) <= 15 * 4, "more than one sale and its three replacements a minute"
    assert times[-1] > 830, "it was given up"
    after.check()


def test_with_very_many_orders_the_first_step_is_short_and_the_rest_follows_each_second() -> None:
    bench = Bench(capital="1000000")
    bench.trade("100")
    maker = MessageMaker("many", SessionId("s9"))
    for number in range(2_500):  # past `Bench`, whose own book-keeping is slow with so many
        bench.engine.process(TradeTick(BTC, D(100), D(1), "buy", f"x{number}", bench.now, bench.now))
        bench.engine.process(maker.make(wish(f"td-{number}", "buy", "stop", "0.2", stop_price="200"), bench.now))
        bench.now += 70_000_000
    before = len(bench.engine.orders.working())
    assert before == 2_500
    bench.engine.process(maker.make(EngageKillSwitch("cancel", "test", "me"), bench.now))
    left = [len(bench.engine.orders.working())]
    for _ in range(3):
        bench.now += SECOND
        bench.engine.process(maker.make(TimerFired("second"), bench.now))
        left.append(len(bench.engine.orders.working()))
    assert left == [2_300, 300, 0, 0]


def test_dust_is_not_sold_over_and_over() -> None:
    bench = Bench()
    bench.trade("100")
    bench.submit("td-e", "buy", "market", "1", symbol=BTC)
    bench.fill("td-e", "0.01", "100")
    after = AfterTheLatch(bench, "flatten")
    bench.report("td-e", "cancelled")
    born = bench.engine.orders
    after.seconds(1_000)
    own = [order for order in born if order.spec.origin == "kill"]
    assert 1 <= len(own) <= 10, "each time after twice the pause"
    assert {order.detail for order in own} == {"denied"}


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(
    "step", [nothing, accepted, partly_filled, pending_cancel, unknown], ids=lambda step: step.__name__,
)
def test_the_stop_that_rests_at_the_venue_is_taken_back_by_flatten_only(
    step: Callable[[Bench], None], action: str
) -> None:
    bench = Bench(disaster_stop=True)
    bench.hold("1", "100", client_order_id="td-hold", protection=STOP)
    bench.second()
    (resting,) = [order for order in bench.engine.orders.at_venue(BTC) if order.is_disaster_stop]
    bench.accept(resting.client_order_id)
    step(bench)
    after = AfterTheLatch(bench, action)
    after.seconds(10)
    after.market_moves()
    after.seconds(10)
    asked = {call.client_order_id for call in after.cancels}
    assert (resting.client_order_id in asked) == (action == "flatten")
    assert resting.is_at_venue
    free = bench.engine.ledger.quantity(BTC) - resting.remaining
    assert sum(call.approved.order.quantity for call in after.sent) <= free, "the stop at the venue holds the rest"
    for _ in range(6):
        after.venue_answers()
        after.seconds(1)
    after.check()
    assert conserved(bench.engine, bench)
    assert resting.is_at_venue == (action != "flatten")
    if action == "flatten":
        assert bench.engine.ledger.quantity(BTC) == 0
        assert not bench.engine.orders.working()
