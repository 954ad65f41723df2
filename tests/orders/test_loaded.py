"""What was made ready before a trigger is what the engine says at the trigger, byte for byte; or it is not approved."""

import random
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from bus.codec import encode
from bus.messages.header import Message
from bus.messages.orders import OrderTriggered, Protection, Side, SubmitOrder, TrailSpec
from market.ticks import TradeTick
from orders.effects import Effect, SubmitToVenue
from orders.loaded import SLACK, LoadedOrder
from risk.limits import RiskLimits
from tests.orders.test_engine_against_plain_loop import CENT, Quick, Twins
from tests.orders.trading import BTC, ETH, WIDE, Bench, D, of_type, sent, wish


class Loader:
    """Loads now and then, and holds each trade's effects against what was made ready for it."""

    def __init__(self, bench: Bench, chance: random.Random, often: float = 0.5) -> None:
        self.bench, self.chance, self.often = bench, chance, often
        self.loaded: list[LoadedOrder] = []
        self.left: list[Side] = []
        self.fired = 0
        self._take = bench._take
        bench._take = self.take  # type: ignore[method-assign]

    def take(self, item: Any) -> Sequence[Effect]:
        if not isinstance(item, TradeTick):
            return self._after(self._take(item))
        ready = [
            (loaded, approved, loaded.facts(item.ts_init, item.price, loaded.reference_price))
            for loaded in self.loaded if loaded.order.symbol == item.symbol and (approved := loaded.approve(item))
        ]
        assert len(ready) <= 1
        effects = self._take(item)
        self.fired += len(of_type(effects, OrderTriggered))
        for loaded, approved, facts in ready:
            said = [encode(each) for each in effects[: len(facts)] if isinstance(each, Message)]
            assert said == [encode(each) for each in facts]
            leaves = effects[len(facts)]
            assert isinstance(leaves, SubmitToVenue)
            order = leaves.approved.order
            assert replace(order, reference_price=D(0)) == replace(approved.order, reference_price=D(0))
            assert loaded.order is approved.order
            assert all(check.passed for check in approved.checks)
            self.left.append(order.side)
        return self._after(effects)

    def _after(self, effects: Sequence[Effect]) -> Sequence[Effect]:
        if self.chance.random() < self.often:
            self.loaded = self.bench.engine.load()
        return effects


def test_on_a_tape_with_every_kind_of_trigger_what_was_ready_is_what_happens() -> None:
    twins = Twins(4)
    loader = Loader(twins.bench, random.Random(4), often=0.8)
    for _ in range(6_000):
        twins.step()
        if len(twins.plain.held) < 25 and twins.random.random() < 0.2:
            twins.submit()
        if twins.plain.held and twins.random.random() < 0.003:
            twins.cancel()
    twins.check()
    assert len(loader.left) > 30, f"{len(loader.left)} of {loader.fired}"


TIGHT = RiskLimits(
    exposure_per_asset=D("0.4"), exposure_total=D("0.6"), daily_drawdown=D("0.06"), weekly_drawdown=D("0.1"),
    max_drawdown=D("0.15"), daily_loss=D("0.06"), max_positions=2, collar=D("0.02"), max_order_notional=D("0.2"),
    runaway_loss=D("0.02"), orders_per_second=3, orders_per_minute=60, duplicate_window_ns=0,
    notional_per_minute=D("0.5"),
)


class World:
    """Two symbols, a small account, stops and trails both ways, protected entries, fills late or in parts."""

    def __init__(self, seed: int, limits: RiskLimits) -> None:
        self.chance = random.Random(seed)
        self.bench = Quick(limits, capital="10000")
        self.prices = {BTC: D(100), ETH: D(10)}
        self.waiting: list[tuple[str, Decimal]] = []
        self.made = 0
        for symbol in self.prices:
            self.quote(symbol)
            self.trade(symbol)

    def quote(self, symbol: str) -> None:
        price, half = self.prices[symbol], self.chance.randint(1, 3) * CENT
        self.bench.quote(str(price - half), str(price + half), symbol)

    def trade(self, symbol: str) -> None:
        self.note(self.bench.trade(self.prices[symbol], symbol, after_ms=self.chance.randint(1, 400)))

    def note(self, effects: Sequence[Effect]) -> None:
        for effect in sent(effects):
            self.waiting.append((effect.approved.order.client_order_id, effect.approved.order.quantity))

    def step(self) -> None:
        chance, symbol = self.chance, self.chance.choice((BTC, BTC, ETH))
        move = chance.randint(-12, 12) * (CENT if symbol == BTC else CENT / 10)
        self.prices[symbol] = max(self.prices[symbol] + move.quantize(CENT), D(5))
        roll = chance.random()
        if roll < 0.4:
            self.quote(symbol)
        elif roll < 0.85:
            self.trade(symbol)
        elif roll < 0.9:
            self.note(self.bench.second())
        elif roll < 0.95:
            self.note(self.bench.say(self.order(symbol)))
        elif self.waiting:
            self.fill(*self.waiting.pop(0))

    def fill(self, client_order_id: str, quantity: Decimal) -> None:
        order = self.bench.order(client_order_id)
        price = self.prices[order.spec.symbol]
        if not order.is_at_venue:
            return
        self.note(self.bench.accept(client_order_id))
        if self.chance.random() < 0.2:
            self.note(self.bench.fill(client_order_id, quantity / 2, price, fee="0.01"))
            quantity -= quantity / 2
        self.note(self.bench.fill(client_order_id, quantity, price, fee="0.01"))

    def order(self, symbol: str) -> SubmitOrder:
        chance, price = self.chance, self.prices[symbol]
        self.made += 1
        name, quantity = f"td-{self.made}", D(chance.randint(1, 30)) / 2 * (1 if symbol == BTC else 10)
        side = chance.choice(("buy", "buy", "sell"))
        away = (price * chance.randint(1, 12) / 1000).quantize(CENT) + CENT
        protection = Protection(D("0.01"), TrailSpec("percent", D("0.006")), D("0.01"))
        more: dict[str, Any] = {"protection": protection} if side == "buy" and chance.random() < 0.6 else {}
        if chance.random() < 0.6:
            stop = price + away if side == "buy" else price - away
            return wish(name, side, "stop", str(quantity), symbol=symbol, stop_price=stop, **more)
        offset = D("0.001") if chance.random() < 0.3 else None
        trail = TrailSpec("percent", D(chance.randint(1, 12)) / 1000, limit_offset=offset)
        return wish(name, side, "trailing", str(quantity), symbol=symbol, trail=trail, **more)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("limits", [WIDE, TIGHT], ids=["wide limits", "tight limits"])
def test_near_every_limit_what_was_ready_is_what_happens(seed: int, limits: RiskLimits) -> None:
    world = World(seed, limits)
    loader = Loader(world.bench, random.Random(seed), often=0.3)
    for _ in range(2_500):
        world.step()
    assert len(loader.left) > 4, f"{len(loader.left)} of {loader.fired}"
    assert set(loader.left) == {"buy", "sell"}


def armed(**more: Any) -> Bench:
    bench = Bench(WIDE, capital="10000")
    bench.quote("99.99", "100.00")
    bench.trade("100")
    bench.submit("td-1", "buy", "stop", "1", stop_price="100.10", **more)
    return bench


def tick(bench: Bench, price: str, symbol: str = BTC) -> TradeTick:
    now = bench.now + 1_000_000
    return TradeTick(symbol, D(price), D("0.1"), "buy", "t", now, now)


def test_a_trade_at_the_trigger_is_approved_and_one_before_it_is_not() -> None:
    bench = armed()
    [loaded] = bench.engine.load()
    assert loaded.approve(tick(bench, "100.09")) is None
    assert loaded.approve(tick(bench, "100.10")) is not None


def test_a_trade_that_reaches_two_orders_is_left_to_the_engine() -> None:
    bench = armed()
    bench.submit("td-2", "buy", "stop", "1", stop_price="100.20")
    [loaded] = bench.engine.load()
    assert loaded.order.client_order_id == "td-1"
    assert loaded.approve(tick(bench, "100.19")) is not None
    assert loaded.approve(tick(bench, "100.20")) is None


def test_whatever_happened_since_it_is_not_approved() -> None:
    for event in (
        lambda bench: bench.second(), lambda bench: bench.submit("td-2", "buy", "stop", "1", stop_price="101"),
        lambda bench: bench.engine.portfolio(bench.now),
    ):
        bench = armed()
        [loaded] = bench.engine.load()
        event(bench)
        assert loaded.approve(tick(bench, "100.10")) is None


def test_a_quote_or_a_price_further_than_was_looked_is_not_approved() -> None:
    bench = armed()
    [loaded] = bench.engine.load()
    bench.quote("99.99", str(D("100.10") * (1 + SLACK) + CENT))
    assert loaded.approve(tick(bench, "100.10")) is None
    bench.quote("99.99", "100.00")
    assert loaded.approve(tick(bench, str(D("100.10") * (1 + SLACK) + CENT))) is None
    assert loaded.approve(tick(bench, "100.10")) is not None


def test_after_a_second_and_a_half_without_a_timer_it_is_not_approved() -> None:
    bench = armed()
    [loaded] = bench.engine.load()
    bench.now += 1_600_000_000
    assert loaded.approve(tick(bench, "100.10")) is None


def test_an_order_that_the_gate_might_refuse_is_not_loaded() -> None:
    bench = Bench(replace(WIDE, max_order_notional=D("0.011")), capital="10000")
    bench.quote("99.99", "100.00")
    bench.trade("100")
    bench.submit("td-1", "buy", "stop", "1.0980", stop_price="100.10")
    assert bench.order("td-1").is_armed
    assert bench.engine.load() == []


def test_a_stop_beside_a_rest_that_it_may_have_to_take_along_is_not_loaded() -> None:
    for sold, is_loaded in (("0.2", True), ("0.41", False), ("0.46", False)):
        bench = Bench()
        bench.quote("99.99", "100.00")
        bench.hold("1", "100", protection=Protection(stop_ratio=D("0.005")))
        bench.hold("0.5", "100", "td-more")
        bench.submit("td-out", "sell", "market", sold)  # the rest: 0.3, 0.09 or 0.04; the venue takes 5 USDT at least
        bench.fill("td-out", sold, "100")
        assert bool(bench.engine.load()) == is_loaded, sold


def test_loading_changes_nothing() -> None:
    bench = armed()
    market = bench.engine.desk.markets[BTC]
    before = (market.bid, market.ask, market.last, bench.engine.desk.now, bench.engine.desk.steps)
    bench.engine.load()
    assert before == (market.bid, market.ask, market.last, bench.engine.desk.now, bench.engine.desk.steps)
