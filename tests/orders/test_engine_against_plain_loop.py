"""The whole engine against a plain loop over orders: every option of T3, quotes, spikes, timers, restarts.

`make trailing-fuzz TICKS=5000000` runs it (and the trails alone) for as many ticks as you like.
"""

import os
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from bus.messages.header import Message
from bus.messages.orders import CancelOrder, OrderExpired, OrderTriggered, SubmitOrder, TrailSpec
from market.ticks import QuoteTick, TradeTick
from orders.effects import Effect, SubmitToVenue
from tests.orders.plain_engine import PlainEngine, Told
from tests.orders.trading import BTC, WIDE, Bench, D, wish

TICKS = int(os.environ.get("TRADINGD_FUZZ_TICKS", "45000"))
LIMITS = replace(WIDE, collar=D("0.05"), min_notional=D(0))
CENT = D("0.01")
CROWD = 25


class Quick(Bench):
    """A bench that does not check all sums after every input."""

    def _take(self, item: Any) -> Sequence[Effect]:
        effects = self.engine.process(item)
        self.journal.extend(effect for effect in effects if isinstance(effect, Message))
        return effects


class Twins:
    """The engine and the plain loop on the same tape."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.bench = Quick(LIMITS, capital="1000000000")
        self.plain = PlainEngine(LIMITS.collar, CENT)
        self.price = D("100.00")
        self.made = self.ids = 0
        self.told: list[Told] = []
        self.quote()
        self.trade()
        self.bench.submit("td-stock", "buy", "market", "5000")
        self.bench.accept("td-stock")
        self.bench.fill("td-stock", "5000", "100")

    # ---- the tape

    def trade(self, price: Any = None) -> None:
        self.ids += 1
        self.bench.now += self.random.randint(1, 300) * 1_000_000
        now, at = self.bench.now, self.price if price is None else price
        # now and then the venue repeats itself
        trade_id = str(self.ids if self.random.random() < 0.9 else self.ids - 1)
        tick = TradeTick(BTC, at, D(1), "buy", trade_id, now, now)
        self.note(self.bench._take(tick))
        self.plain.hear(tick, now)

    def quote(self, price: Any = None) -> None:
        self.bench.now += self.random.randint(1, 300) * 1_000_000
        now, at = self.bench.now, self.price if price is None else price
        half = self.random.randint(1, 30) * CENT
        tick = QuoteTick(BTC, at - half, D(1), at + half, D(1), now, now)
        self.note(self.bench._take(tick))
        self.plain.hear(tick, now)

    def second(self) -> None:
        self.note(self.bench.second())
        self.plain.second(self.bench.now)

    def step(self) -> None:
        chance = self.random
        roll = chance.random()
        if roll < 0.005:  # a crash or a jump that stays
            self.price = max(self.price * (1 + D(chance.randint(-150, 150)) / 1000), D(20)).quantize(CENT)
        elif roll < 0.1:
            self.price = min(max(self.price + chance.randint(-150, 150) * CENT, D(20)), D(400))
        else:
            self.price = min(max(self.price + chance.randint(-15, 15) * CENT, D(20)), D(400))
        roll = chance.random()
        spike = (self.price * (1 + D(chance.choice((-300, -80, 80, 300))) / 1000)).quantize(CENT)
        if roll < 0.004:
            self.trade(spike)
        elif roll < 0.008:
            self.quote(spike)
        elif roll < 0.35:
            self.quote()
        elif roll < 0.36:
            self.second()
        else:
            self.trade()

    # ---- the orders

    def submit(self) -> None:
        self.made += 1
        spec = self._stop() if self.random.random() < 0.2 else self._trail()
        if self.random.random() < 0.2:
            spec = replace(spec, expire_at=self.bench.now + self.random.randint(1, 60) * 1_000_000_000)
        self.bench.say(spec)
        order = self.bench.order(spec.client_order_id)
        assert order.is_armed, order.denial
        self.plain.submit(order.spec, self.bench.now)
        assert self.bench.engine.trigger_of(spec.client_order_id) == self._trigger(spec)

    def _trigger(self, spec: SubmitOrder) -> Any:
        held = self.plain.held[spec.client_order_id]
        return self.plain.lanes[held.lane].orders[spec.client_order_id].trigger()

    def _stop(self) -> SubmitOrder:
        side = self.random.choice(("sell", "buy"))
        away = self.random.randint(1, 400) * CENT
        last = self.bench.engine._desk.markets[BTC].last
        assert last is not None
        stop = last - away if side == "sell" else last + away  # one that is reached already fires at once
        return wish(f"td-{self.made}", side, "stop", "0.5", stop_price=stop)

    def _trail(self) -> SubmitOrder:
        chance = self.random
        side = chance.choice(("sell", "buy"))
        is_ratio = chance.random() < 0.6
        distance = D(chance.randint(1, 40)) / 1000 if is_ratio else chance.randint(1, 400) * CENT
        sign = 1 if side == "sell" else -1
        decay = D(chance.randint(1, 60)) / 100 if chance.random() < 0.3 else None
        trail = TrailSpec(
            "percent" if is_ratio else "absolute", distance,
            activation_price=self.price + sign * chance.randint(1, 200) * CENT if chance.random() < 0.3 else None,
            limit_offset=D(chance.randint(0, 10)) / 1000 if chance.random() < 0.4 else None,
            price_source=chance.choice(("last", "last", "mid", "bid_ask")),
            break_even_ratio=D(chance.randint(1, 30)) / 1000 if chance.random() < 0.4 else None,
            decay_ratio_per_minute=decay, decay_floor=None if decay is None else distance / 4,
        )
        return wish(f"td-{self.made}", side, "trailing", "0.5", trail=trail)

    def cancel(self) -> None:
        name = self.random.choice(sorted(self.plain.held))
        self.plain.cancel(name)
        self.note(self.bench.say(CancelOrder(name, "by chance")))

    # ---- what happened

    def note(self, effects: Sequence[Effect]) -> None:
        wires = {
            effect.approved.order.client_order_id: effect.approved.order.price
            for effect in effects if isinstance(effect, SubmitToVenue)
        }
        for effect in effects:
            body = effect.body if isinstance(effect, Message) else None
            if isinstance(body, OrderTriggered):
                name = body.client_order_id
                wire = wires.get(name)
                if wire is None:
                    wire = self._limit_beyond_collar(name, body.trigger, is_sent=name in wires)
                self.told.append(("fired", name, body.trigger, body.price, wire))
            elif isinstance(body, OrderExpired):
                self.told.append(("expired", body.client_order_id))

    def _limit_beyond_collar(self, name: str, trigger: Any, *, is_sent: bool) -> Any:
        """Only one thing may keep what fired from its limit: a gap left that further from the market than the collar.
        A sell goes at market then, a buy is refused. Returns the limit.
        """
        order, market = self.bench.order(name), self.bench.engine._desk.markets[BTC]
        limit = self.plain.wire_price(order.spec, trigger)
        known = [price for price in (market.bid, market.ask, market.last) if price is not None]
        assert is_sent or order.spec.side == "buy", order.denial or order.detail
        if limit is None:
            assert is_sent, order.denial or order.detail
            return None
        assert any(abs(limit - price) > LIMITS.collar * price for price in known), order.denial or order.detail
        return limit

    def check(self) -> None:
        assert self.told == self.plain.told
        for name in self.plain.held:
            spec = self.bench.order(name).spec
            assert self.bench.engine.trigger_of(name) == self._trigger(spec)

    def restart(self) -> None:
        """The engine's process is killed, and a new one goes on from the journal; prices in force are heard again."""
        market = self.bench.engine._desk.markets[BTC]
        again = self.bench.restarted(f"s{self.made}x")
        quick = self.bench
        quick.engine = again.engine
        fresh = quick.engine._desk.markets[BTC]
        fresh.last, fresh.bid, fresh.ask, fresh.quote_ts = market.last, market.bid, market.ask, market.quote_ts
        fresh.guard = market.guard
        fresh.fence_prints()
        again.engine.finish_restore(self.bench.now)
        for trails in self.plain.lanes.values():
            trails.on_time(self.bench.now)


@pytest.mark.parametrize("seed", range(1, 4))
def test_the_engine_does_what_a_plain_loop_over_all_orders_does(seed: int) -> None:
    twins = Twins(seed)
    for number in range(TICKS // 3):
        twins.step()
        if len(twins.plain.held) < CROWD and twins.random.random() < 0.2:
            twins.submit()
        if twins.plain.held and twins.random.random() < 0.003:
            twins.cancel()
        if number % 200 == 0:
            twins.check()
    twins.check()
    assert len(twins.told) > TICKS // 300
    guard = twins.plain.prices.guard
    assert min(guard.held_back, guard.confirmed, guard.dropped) > 0


def test_the_engine_goes_on_as_the_plain_loop_after_any_restart() -> None:
    twins = Twins(9)
    for number in range(1_500):
        twins.step()
        if len(twins.plain.held) < CROWD and twins.random.random() < 0.2:
            twins.submit()
        if number % 150 == 149:
            twins.check()
            twins.restart()
            twins.check()
    twins.check()
    assert len(twins.told) > 20
