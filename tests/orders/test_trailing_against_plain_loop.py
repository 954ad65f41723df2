"""Random lives of many orders: the same events, order and triggers as a plain loop over all orders."""

import os
import random
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.ids import ClientOrderId
from bus.messages.orders import Side
from orders.trailing import Trails
from tests.orders.trailing_oracle import SECOND_NS, PlainOrder, PlainTrails

CENT = Decimal("0.01")
FUZZ_TICKS = int(os.environ.get("TRADINGD_FUZZ_TICKS", "0"))
"""`make trailing-fuzz` shares so many ticks out among the crowds; 0 = as many as the suite has time for."""


class Pair:
    """The real thing and the plain loop, driven by the same random choices."""

    def __init__(self, random_source: random.Random, price: Decimal) -> None:
        self.random = random_source
        self.price = price
        self.trails = Trails()
        self.plain = PlainTrails()
        self.made = 0
        self.now = 0
        self.events = 0

    def tick(self, price: Decimal) -> None:
        self.price = price
        got = list(self.trails.on_price(price))
        assert got == self.plain.on_price(price)
        self.events += len(got)

    def arm(self) -> None:
        self.made += 1
        name = ClientOrderId(f"td-{self.made}")
        side: Side = self.random.choice(("sell", "buy"))
        if self.random.random() < 0.2:
            self._arm_stop(name, side)
        else:
            self._arm_trail(name, side)

    def _arm_stop(self, name: ClientOrderId, side: Side) -> None:
        when = self.random.choice(("below", "above"))
        # mostly on the far side of the price, sometimes already through
        away = self.random.randint(-20, 400) * CENT
        level = self.price - away if when == "below" else self.price + away
        self.trails.arm_stop(name, side, level, when)  # type: ignore[arg-type]
        self.plain.arm(PlainOrder(name, 0, side, stop=level, when=when))

    def _arm_trail(self, name: ClientOrderId, side: Side) -> None:
        chance = self.random
        is_ratio = chance.random() < 0.6
        distance = Decimal(chance.randint(1, 40)) / 1000 if is_ratio else chance.randint(1, 400) * CENT
        sign = 1 if side == "sell" else -1
        activation = self.price + sign * chance.randint(-5, 200) * CENT if chance.random() < 0.3 else None
        best = self.price + chance.randint(-100, 100) * CENT
        floor = self.price - sign * chance.randint(1, 300) * CENT if chance.random() < 0.1 else None
        break_even = Decimal(chance.randint(1, 30)) / 1000 if chance.random() < 0.4 else None
        decay = Decimal(chance.randint(1, 60)) / 100 if chance.random() < 0.3 else None
        decay_floor = distance / 4 if decay is not None else None
        got = self.trails.arm_trail(
            name, side, best, distance, is_ratio, activation_price=activation, floor=floor,
            break_even_ratio=break_even, decay_ratio_per_minute=decay, decay_floor=decay_floor, now=self.now,
        )
        order = PlainOrder(
            name, 0, side, best=best, distance=distance, is_ratio=is_ratio, activation=activation, floor=floor,
            reference=best, break_even=break_even,
        )
        if decay is not None and decay_floor is not None:
            order.decay = (distance, decay, decay_floor, self.now)
        assert got == self.plain.arm(order)

    def disarm(self) -> None:
        name = self._some_name()
        if name is not None:
            assert self.trails.disarm(name)
            del self.plain.orders[name]
            assert not self.trails.disarm(name)

    def amend(self) -> None:
        name = self._some_name()
        if name is None:
            return
        order = self.plain.orders[name]
        if order.stop is not None:
            order.stop += self.random.randint(-50, 50) * CENT
            self.trails.amend_stop(name, order.stop)
            return
        order.is_ratio = self.random.random() < 0.5
        order.distance = (
            Decimal(self.random.randint(1, 40)) / 1000 if order.is_ratio else self.random.randint(1, 400) * CENT
        )
        order.break_even = Decimal(self.random.randint(1, 30)) / 1000 if self.random.random() < 0.4 else None
        order.decay = None
        order.take_step()
        got = self.trails.amend_trail(name, order.distance, order.is_ratio, break_even_ratio=order.break_even)
        assert got == order.trigger()

    def pass_time(self) -> None:
        self.now += self.random.randint(1, 30) * SECOND_NS // 2
        self.plain.on_time(self.now)
        assert list(self.trails.on_time(self.now, self.price)) == self.plain.on_price(self.price)

    def check(self) -> None:
        assert len(self.trails) == len(self.plain.orders)
        for name, order in self.plain.orders.items():
            assert name in self.trails
            assert self.trails.trigger_of(name) == order.trigger()
            assert self.trails.best_of(name) == (order.best if order.stop is None else None)
            assert self.trails.is_active(name) == (order.activation is None)

    def _some_name(self) -> ClientOrderId | None:
        names = list(self.plain.orders)
        return self.random.choice(names) if names else None


@pytest.mark.parametrize(("seed", "crowd"), [(1, 3), (2, 12), (3, 40), (4, 12), (5, 150)])
def test_a_long_random_life_gives_what_a_plain_loop_over_all_orders_gives(seed: int, crowd: int) -> None:
    chance = random.Random(seed)
    pair = Pair(chance, Decimal("100.00"))
    for step in range(FUZZ_TICKS // 5 or 4_000_000 // (crowd + 20)):
        jump = 300 if chance.random() < 0.01 else 12
        price = pair.price + chance.randint(-jump, jump) * CENT
        pair.tick(min(max(price, Decimal(60)), Decimal(160)))
        if len(pair.trails) < crowd and chance.random() < 0.3:
            pair.arm()
        what = chance.random()
        if what < 0.01:
            pair.disarm()
        elif what < 0.03:
            pair.amend()
        elif what < 0.05:
            pair.pass_time()
        if step % 500 == 0:
            pair.check()
    pair.check()
    assert pair.events > 1_000


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("tick"), st.integers(-150, 150)),
        st.tuples(st.sampled_from(("arm", "arm", "disarm", "amend", "time")), st.just(0)),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(steps=STEPS, seed=st.integers(0, 2**32 - 1))
def test_any_sequence_of_steps_gives_what_a_plain_loop_gives(steps: list[tuple[str, int]], seed: int) -> None:
    pair = Pair(random.Random(seed), Decimal("100.00"))
    for what, move in steps:
        if what == "tick":
            pair.tick(max(pair.price + move * CENT, Decimal(50)))
        elif what == "arm":
            pair.arm()
        elif what == "disarm":
            pair.disarm()
        elif what == "amend":
            pair.amend()
        else:
            pair.pass_time()
        pair.check()
