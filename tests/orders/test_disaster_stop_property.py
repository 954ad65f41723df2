"""The engine and a venue that keeps its word, on random paths with kill -9 anywhere: never more for sale than held."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import count
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bus.ids import ClientOrderId, SessionId
from bus.messages.header import Message, MessageMaker
from bus.messages.ledger import FundsChanged
from bus.messages.orders import ClosePosition, EngageKillSwitch, ExecutionReport, Protection, TrailSpec
from bus.messages.system import TimerFired
from exchanges.simulated import PaperConfig, SimulatedVenue
from market.ticks import QuoteTick, TradeTick
from orders import account
from orders.effects import CancelAtVenue, Effect, QueryVenue, SubmitToVenue
from orders.engine import Engine, EngineConfig
from tests.orders.trading import BTC, ETH, START, WIDE, instrument, wish

D = Decimal
MS = 1_000_000


class World:
    """One account: the venue lives on while the engine comes and goes."""

    def __init__(self) -> None:
        self.now = START
        self.sessions = count(1)
        self.orders = count(1)
        self.journal: list[Message] = []
        self.inbox: list[ExecutionReport] = []
        self.traded: dict[str, Decimal] = {}
        self.bought: dict[str, bool] = {}
        self.instruments = [instrument(BTC), instrument(ETH)]
        self.venue = SimulatedVenue(
            PaperConfig(latency_ns=20 * MS, use_book=False), self.instruments, self.hear,
        )
        self.price = D(100)
        self.engine = self.begin()
        self.say(FundsChanged("USDT", D(100_000), D(100_000), "initial capital"))
        self.move(D(0))

    # ---- the engine's life

    def begin(self) -> Engine:
        session = SessionId(f"s{next(self.sessions)}")
        self.maker = MessageMaker("test", session)
        config = EngineConfig("USDT", WIDE, intervals=("1s", "5s"), disaster_stop=True)
        return Engine(config, self.instruments, MessageMaker("engine", session))

    def kill_and_restart(self, away_ms: int) -> None:
        """What the venue says meanwhile is lost; the market goes on."""
        self.now += away_ms * MS
        self.venue.advance(self.now)
        self.inbox.clear()
        self.engine = self.begin()
        for message in self.journal:
            self.engine.restore(message)
        self.perform(self.engine.finish_restore(self.now))

    def say(self, body: Any) -> None:
        message = self.maker.make(body, self.now)
        if isinstance(body, FundsChanged):
            self.journal.append(message)
        self.perform(self.engine.process(message))

    def perform(self, effects: Sequence[Effect]) -> None:
        self.journal += [effect for effect in effects if isinstance(effect, Message)]
        for effect in effects:
            match effect:
                case SubmitToVenue(approved):
                    self.venue.submit(approved)
                case CancelAtVenue(client_order_id, venue_order_id, symbol):
                    self.venue.cancel(client_order_id, venue_order_id, symbol)
                case QueryVenue(client_order_id, symbol):
                    self.venue.query(client_order_id, symbol)

    # ---- the venue's side

    def hear(self, report: ExecutionReport) -> None:
        self.inbox.append(report)

    def pass_on(self) -> None:
        while self.inbox:
            self.say(self.inbox.pop(0))
            self.check()

    def truth(self) -> Decimal:
        """BTC at the venue: what its orders have really bought and sold."""
        return sum((order.filled if order.side == "buy" else -order.filled for order in self.venue._orders.values()),
                   D(0))

    def check(self) -> None:
        for_sale = sum((order.remaining for order in self.venue._orders.values()
                        if order.is_working and order.side == "sell"), D(0))
        assert for_sale <= max(self.truth(), D(0)), f"{for_sale} for sale, {self.truth()} held"

    # ---- what happens

    def move(self, ratio: Decimal) -> None:
        self.price = max(self.price * (1 + ratio), D(1)).quantize(D("0.01"))
        self.now += 5 * MS
        for item in (
            QuoteTick(BTC, self.price - D("0.01"), D(50), self.price + D("0.01"), D(50), self.now, self.now),
            TradeTick(BTC, self.price, D(50), "sell", str(self.now), self.now, self.now),
        ):
            self.venue.on_market(item)
            self.pass_on()
            self.perform(self.engine.process(item))
            self.check()

    def wait(self, ms: int) -> None:
        self.now += ms * MS
        self.venue.advance(self.now)
        self.pass_on()
        self.check()

    def second(self) -> None:
        self.wait(1000)
        self.move(D(0))
        self.say(TimerFired("second"))
        self.check()

    def play(self, step: tuple[Any, ...]) -> None:
        match step:
            case ("move", ratio):
                self.move(ratio)
            case ("wait", ms):
                self.wait(ms)
            case ("second",):
                self.second()
            case ("buy", quantity, protection):
                self.say(wish(f"td-b{next(self.orders)}", "buy", "market", quantity, protection=protection))
            case ("sell", quantity):
                self.say(wish(f"td-q{next(self.orders)}", "sell", "market", quantity))
            case ("offer", quantity):
                above = str((self.price * D("1.02")).quantize(D("0.01")))
                self.say(wish(f"td-o{next(self.orders)}", "sell", "limit", quantity, price=above))
            case ("close",):
                self.say(ClosePosition(BTC))
            case ("flatten",):
                self.say(EngageKillSwitch("flatten", "story", "me"))
            case ("kill -9", away_ms):
                self.kill_and_restart(away_ms)
        self.check()


PROTECTIONS = st.sampled_from([
    None, Protection(stop_ratio=D("0.02")), Protection(stop_ratio=D("0.01"), trail=TrailSpec("percent", D("0.02"))),
    Protection(trail=TrailSpec("percent", D("0.01"))), Protection(stop_ratio=D("0.05"), take_profit_ratio=D("0.02")),
])
QUANTITIES = st.sampled_from(["0.5", "1", "2.3333"])
STEPS = st.one_of(
    st.tuples(st.just("move"), st.sampled_from(["-0.04", "-0.02", "-0.01", "-0.003", "0.003", "0.01", "0.03"]).map(D)),
    st.tuples(st.just("wait"), st.sampled_from([1, 19, 20, 21, 40, 300])),
    st.tuples(st.just("second")),
    st.tuples(st.just("buy"), QUANTITIES, PROTECTIONS),
    st.tuples(st.just("sell"), QUANTITIES),
    st.tuples(st.just("offer"), QUANTITIES),
    st.tuples(st.just("close")),
    st.tuples(st.just("kill -9"), st.sampled_from([0, 10, 25, 5000])),
)


@settings(max_examples=120, deadline=None)
@given(st.lists(STEPS, max_size=30))
def test_no_coin_is_ever_for_sale_twice_and_each_position_ends_up_with_one_stop(steps):
    world = World()
    world.play(("buy", "1", Protection(stop_ratio=D("0.02"))))
    for step in steps:
        world.play(step)
    for _ in range(20):
        world.second()
    engine = world.engine
    assert engine.ledger.quantity(BTC) == world.truth()
    assert engine.ledger.quantity(BTC) >= 0
    held = account.held_quantity(engine._desk.state, engine._desk.markets[BTC])
    resting = [order for order in engine.orders.exits(BTC) if order.is_disaster_stop and order.is_at_venue]
    offered = engine.orders.selling(BTC) - sum((order.remaining for order in resting), D(0))
    if engine._desk.markets[BTC].value(held - offered) >= 6:
        assert [order.remaining for order in resting] == [held - offered]
    else:
        assert held - offered == sum((order.remaining for order in resting), D(0)) or not resting


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, max_size=15), st.lists(STEPS.filter(lambda step: step[0] not in ("buy", "offer")), max_size=8))
def test_flatten_sells_everything_whatever_rests_at_the_venue(steps, after):
    world = World()
    world.play(("buy", "1", Protection(stop_ratio=D("0.02"))))
    for step in [*steps, ("flatten",), *after]:
        world.play(step)
    for _ in range(20):
        world.second()
    assert world.truth() == world.engine.ledger.quantity(BTC) == 0
    assert world.engine.orders.exits(BTC) == ()


def test_a_stop_that_sold_while_nobody_was_here_is_in_the_books_after_the_start():
    world = World()
    world.play(("buy", "1", Protection(stop_ratio=D("0.02"))))
    world.second()
    world.second()
    (stop,) = [order for order in world.engine.orders.exits(BTC) if order.is_disaster_stop]
    world.venue.on_market(TradeTick(BTC, D("97.0"), D(5), "sell", "x", world.now + MS, world.now + MS))
    world.kill_and_restart(5_000)
    assert world.truth() == 0
    assert world.engine.ledger.quantity(BTC) == 1
    world.wait(50)
    assert world.engine.ledger.quantity(BTC) == 0
    assert world.engine.orders.get(ClientOrderId(stop.client_order_id)).state == "FILLED"
    assert world.engine.orders.exits(BTC) == ()
