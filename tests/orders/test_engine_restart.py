"""The state is a fold over the facts: after any sequence of inputs, and after a stop at any moment."""

from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bus.messages.header import Message
from bus.messages.orders import (
    CancelAllOrders,
    CancelOrder,
    ClosePosition,
    EngageKillSwitch,
    ModifyOrder,
    OrderInitialized,
    OrderSubmitted,
    Protection,
    ReleaseKillSwitch,
    TrailingArmed,
    TrailSpec,
)
from bus.messages.system import VoteTradingState
from orders import account
from orders.effects import SubmitToVenue
from orders.engine import Engine
from tests.orders.trading import BTC, ETH, Bench, bodies, cancels, of_type, queries, sent

D = Decimal
PROTECTION = Protection(stop_ratio=D("0.02"), trail=TrailSpec("percent", D("0.03")), take_profit_ratio=D("0.05"))


def picture(engine: Engine) -> dict[str, Any]:
    """Everything that must be the same after a restart."""
    state = engine._desk.state
    return {
        "orders": {order.client_order_id: order for order in state.orders},
        "working": [order.client_order_id for order in state.orders.working()],
        "accounts": state.ledger.accounts(),
        "positions": state.ledger.positions,
        "profit": (state.ledger.realized_pnl, state.ledger.fees, state.ledger.fees_by_asset, state.ledger.funds_in),
        "watched": {
            order.client_order_id: (
                engine.trigger_of(order.client_order_id), engine.best_of(order.client_order_id),
                state.watch.is_active(order.client_order_id), state.watch.distance_of(order.client_order_id),
            )
            for order in state.orders
        },
        "permission": (state.trading_state, state.kill, state.kill_ns, state.votes.votes, state.halted_symbols),
        "stakes": (
            tuple(state.orders.commitments.by_symbol()), tuple(state.orders.commitments.each()),
            [order.client_order_id for order in state.orders.exits()],
        ),
        "memory": (state.born, list(state.sent_ns), list(state.recent), state.verdicts, list(state._trade_ids)),
    }


trails = st.builds(
    TrailSpec, st.just("percent"), st.sampled_from([D("0.005"), D("0.02"), D("0.05")]),
    activation_price=st.sampled_from([None, None, D(101), D(99)]),
    limit_offset=st.sampled_from([None, None, D("0.001")]),
    price_source=st.sampled_from(["last", "last", "mid", "bid_ask"]),
    break_even_ratio=st.sampled_from([None, D("0.01")]),
) | st.builds(TrailSpec, st.just("absolute"), st.sampled_from([D("0.5"), D(3)]))

prices = st.integers(9000, 11000).map(lambda cents: Decimal(cents) / 100)
choice = st.integers(0, 10**6)

steps = st.one_of(
    st.tuples(st.just("trade"), prices),
    st.tuples(st.just("trade"), prices),
    st.tuples(st.just("quote"), prices),
    st.tuples(st.just("second"), st.integers(1, 20)),
    st.tuples(st.just("buy"), st.sampled_from(["0.5", "1", "3"]), st.booleans()),
    st.tuples(st.just("sell"), st.sampled_from(["0.5", "1", "9"]), st.sampled_from(["market", "limit"])),
    st.tuples(st.just("trail"), st.sampled_from(["buy", "sell"]), trails),
    st.tuples(st.just("stop"), st.sampled_from(["buy", "sell"]), prices),
    st.tuples(st.just("fill"), choice, st.sampled_from(["0.3", "1", "5"]), st.sampled_from(["USDT", "BTC"])),
    st.tuples(st.just("fill"), choice, st.sampled_from(["0.3", "1", "5"]), st.sampled_from(["USDT", "BTC"])),
    st.tuples(st.just("word"), choice, st.sampled_from(
        ["accepted", "accepted", "rejected", "cancelled", "expired", "unknown", "cancel_rejected", "not_found"])),
    st.tuples(st.just("cancel"), choice),
    st.tuples(st.just("modify"), choice, trails),
    st.tuples(st.just("close")),
    st.tuples(st.just("cancel_all"), st.sampled_from(["entries", "all"])),
    st.tuples(
        st.just("vote"), st.sampled_from(["operator", "health"]),
        st.sampled_from(["ACTIVE", "ACTIVE", "REDUCING", "HALTED"]),
    ),
    st.tuples(st.just("kill"), st.sampled_from(["halt", "cancel", "flatten"])),
    st.tuples(st.just("release")),
    st.tuples(st.just("release")),
)


class Story:
    """Plays random steps against an engine."""

    def __init__(self) -> None:
        self.bench = Bench()
        self.number = 0
        self.bench.trade("100")
        self.bench.quote("99.9", "100.1")

    def pick(self, choice: int, *, at_venue: bool = False) -> str:
        orders = [order for order in self.bench.engine.orders if order.submitted_ns or not at_venue]
        return orders[choice % len(orders)].client_order_id if orders else "td-nobody"

    def new_id(self) -> str:
        self.number += 1
        return f"td-{self.number}"

    def play(self, step: tuple[Any, ...]) -> None:
        bench, kind = self.bench, step[0]
        if kind == "trade":
            bench.trade(step[1])
        elif kind == "quote":
            bench.quote(str(step[1] - D("0.1")), str(step[1] + D("0.1")))
        elif kind == "second":
            bench.second(step[1])
        elif kind == "buy":
            bench.submit(self.new_id(), "buy", "market", step[1], protection=PROTECTION if step[2] else None)
        elif kind == "sell":
            bench.submit(self.new_id(), "sell", step[2], step[1], price="101" if step[2] == "limit" else None)
        elif kind == "trail":
            bench.submit(self.new_id(), step[1], "trailing", "0.7", trail=step[2])
        elif kind == "stop":
            bench.submit(self.new_id(), step[1], "stop", "0.7", stop_price=step[2])
        elif kind == "fill":
            bench.fill(self.pick(step[1], at_venue=True), step[2], "100.5", fee="0.001", fee_asset=step[3])
        elif kind == "word":
            bench.report(self.pick(step[1]), step[2], venue_order_id="v1")
        elif kind == "cancel":
            bench.say(CancelOrder(self.pick(step[1])))
        elif kind == "modify":
            bench.say(ModifyOrder(self.pick(step[1]), quantity=D("0.4"), trail=step[2]))
        else:
            self.command(step)

    def command(self, step: tuple[Any, ...]) -> None:
        bench, kind = self.bench, step[0]
        if kind == "close":
            bench.say(ClosePosition(BTC))
        elif kind == "cancel_all":
            bench.say(CancelAllOrders(step[1]))
        elif kind == "vote":
            bench.say(VoteTradingState(step[1], step[2], "story"))
        elif kind == "kill":
            bench.say(EngageKillSwitch(step[1], "story", "me"))
        elif kind == "release":
            bench.say(ReleaseKillSwitch("me", "story"))


@settings(max_examples=250, deadline=None)
@given(st.lists(steps, max_size=40))
def test_folding_the_facts_gives_the_same_state(story_steps):
    story = Story()
    for step in story_steps:
        story.play(step)
    story.bench.engine.ledger.check()
    again = story.bench.restarted()
    assert picture(again.engine) == picture(story.bench.engine)


@settings(max_examples=60, deadline=None)
@given(st.lists(steps, min_size=10, max_size=30), st.integers(0, 10**6))
def test_a_stop_at_any_fact_sends_no_order_twice_and_leaves_nothing_unprotected(story_steps, cut):
    story = Story()
    for step in story_steps:
        story.play(step)
    journal = story.bench.journal[: cut % len(story.bench.journal) + 1]
    submitted = {message.body.client_order_id for message in journal if isinstance(message.body, OrderSubmitted)}
    again = story.bench.restarted()
    again.engine = again.new_engine("s3")
    for message in journal:
        again.engine.restore(message)
    effects = list(again.engine.finish_restore(again.now))
    Bench.check_order_of(effects)
    new = [effect.approved.order.client_order_id for effect in effects if isinstance(effect, SubmitToVenue)]
    assert not submitted & set(new)
    assert len(new) == len(set(new))
    state = again.engine._desk.state
    asked = {call.client_order_id for call in queries(effects)}
    assert asked >= {order.client_order_id for order in state.orders.working() if order.client_order_id in submitted}
    if state.kill is not None and state.kill.action == "flatten":
        again.second()  # protection ends first, the sale is given with it or a second later
    held = account.held_quantity(state, again.engine._desk.markets[BTC])
    for order in state.orders:
        if order.spec.protection is None or not order.filled or held <= 0:
            continue
        children = [child for child in state.orders if child.spec.parent_id == order.client_order_id]
        if any(child.reason in ("all orders cancelled", "cancelled on request") for child in children):
            continue  # a person ended its protection
        sold = sum(child.filled for child in children)
        left = min(order.filled - order.fees.get("BTC", D(0)) - sold, held)
        exits = [child for child in state.orders.working(BTC) if child.is_exit]
        assert left < D("0.0001") or exits


@settings(max_examples=60, deadline=None)
@given(st.lists(steps, max_size=40))
def test_the_same_inputs_give_the_same_effects(story_steps):
    first, second = Story(), Story()
    for step in story_steps:
        first.play(step)
        second.play(step)
    assert first.bench.journal == second.bench.journal


@settings(max_examples=150, deadline=None)
@given(st.lists(steps, max_size=50))
def test_exits_at_the_venue_never_exceed_what_is_held(story_steps):
    """As long as the venue itself does not overfill; a story's fills are cut to what was sent."""
    story = Story()
    for step in story_steps:
        if step[0] == "fill":
            order = story.bench.engine.orders.get(story.pick(step[1], at_venue=True))
            if order is None or not order.is_at_venue:
                continue
            quantity = min(order.remaining, D(step[2]))
            story.bench.fill(order.client_order_id, quantity, "100.5")
        else:
            story.play(step)
        state = story.bench.engine._desk.state
        selling = sum(order.remaining for order in state.orders if order.is_exit and order.is_at_venue)
        assert account.selling_quantity(state, BTC) == selling
        assert selling <= state.ledger.quantity(BTC)
        assert state.ledger.quantity(BTC) >= 0


def test_a_restart_in_the_middle_goes_on_where_it_was():
    bench = Bench()
    bench.trade("100")
    bench.submit("td-e", "buy", "market", "2", protection=PROTECTION)
    bench.accept("td-e")
    bench.fill("td-e", "1", "100", trade_id="x")
    bench.trade("104")
    bench.submit("td-l", "buy", "limit", "1", price="90")
    bench.accept("td-l")
    bench.say(CancelOrder("td-l"))
    again = bench.restarted()
    effects = again.engine.finish_restore(again.now)
    assert {call.client_order_id for call in queries(effects)} == {"td-e", "td-l"}
    assert {call.client_order_id for call in cancels(effects)} == {"td-l"}
    assert sent(effects) == []
    assert again.engine.best_of("td-e-x") == 104
    assert bodies(again.fill("td-e", "1", "100", trade_id="x")) == []  # seen before the restart
    again.fill("td-e", "1", "100")
    assert again.order("td-e-x").spec.quantity == 2
    (call,) = sent(again.trade("100.8"))  # 104 less 3 % is 100.88
    assert (call.approved.order.client_order_id, call.approved.order.quantity) == ("td-e-x", 2)


def test_a_fill_that_was_journalled_without_its_protection_is_protected_at_once():
    bench = Bench()
    bench.trade("100")
    bench.submit("td-e", "buy", "market", "2", protection=PROTECTION)
    bench.fill("td-e", "2", "100")
    filled = next(n for n, message in enumerate(bench.journal) if type(message.body).__name__ == "OrderFilled")
    again = Bench(capital="", session="s2")
    for message in bench.journal[: filled + 1]:
        again.engine.restore(message)
    effects = again.engine.finish_restore(bench.now)
    assert len(of_type(effects, OrderInitialized)) == len(of_type(effects, TrailingArmed)) == 3
    assert {order.client_order_id for order in again.engine.orders.working()} == {"td-e-s", "td-e-x", "td-e-t"}
    assert again.engine.trigger_of("td-e-s") == 98


def test_an_exit_that_fired_but_was_not_sent_is_sent_at_once_even_without_a_price():
    bench = Bench()
    bench.hold("1", "100", protection=PROTECTION)
    bench.trade("97.5")
    journal: list[Message] = []
    for message in bench.journal:
        journal.append(message)
        if type(message.body).__name__ == "OrderTriggered":
            break
    again = Bench(capital="", session="s2")
    for message in journal:
        again.engine.restore(message)
    (call,) = sent(again.engine.finish_restore(bench.now))
    assert call.approved.order.client_order_id == "td-entry-s"


def test_a_symbol_that_is_no_longer_configured_stays_in_the_books():
    bench = Bench()
    bench.trade("50", ETH)
    bench.submit("td-eth", "buy", "market", "2", symbol=ETH)
    bench.fill("td-eth", "2", "50")
    from bus.ids import SessionId
    from bus.messages.header import MessageMaker
    from tests.orders.trading import instrument

    engine = Engine(bench.config, [instrument(BTC)], MessageMaker("engine", SessionId("s2")))
    for message in bench.journal:
        engine.restore(message)
    engine.finish_restore(bench.now)
    assert engine.ledger.quantity(ETH) == 2
    assert engine.portfolio(bench.now).equity == 10000
