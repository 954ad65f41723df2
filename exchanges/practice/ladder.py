"""The synthetic pair's order book in whole ticks and lots, and the step that moves it to a new price.

Integers keep it exact and quick. A step first trades (sweeping what the price moved through, plus small
orders at the best prices), then re-quotes around the new price. Every change of a level takes one update
id, so differences chain from any snapshot.
"""

from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, NamedTuple

LEVELS: Final = 20
_MOST_LEVELS: Final = 26
_MOST_SWEPT: Final = 2
_SWEEP_CHANCE: Final = 0.4  # that a level the price moved through was traded and not withdrawn
_TRIES: Final = 4


class Print(NamedTuple):
    """A public trade. `maker_is_buyer`: the taker sold."""

    trade_id: int
    price: int
    lots: int
    time_ms: int
    maker_is_buyer: bool


class Best(NamedTuple):
    """The best bid and ask after update `update_id`."""

    update_id: int
    bid: int
    bid_lots: int
    ask: int
    ask_lots: int


class Diff(NamedTuple):
    """Levels that changed in updates `first_id`..`last_id`, ascending; lots 0 removes."""

    first_id: int
    last_id: int
    bids: list[tuple[int, int]]
    asks: list[tuple[int, int]]


@dataclass(slots=True)
class Ladder:
    """`lots_per_level`: typical size of a level; `gap`: typical distance of levels in ticks."""

    lots_per_level: float
    gap: float
    trade_chance: float
    bids: dict[int, int] = field(default_factory=dict)
    asks: dict[int, int] = field(default_factory=dict)
    update_id: int = 1
    trade_id: int = 0
    bid: int = 0
    ask: int = 0
    _changed_bids: dict[int, int] = field(default_factory=dict)
    _changed_asks: dict[int, int] = field(default_factory=dict)

    def step(self, rng: Random, bid: int, ask: int, start_ms: int) -> tuple[list[Print | Best], Diff | None]:
        """Move to best prices `bid` < `ask` within the 100 ms that begin at `start_ms`."""
        first = self.update_id + 1
        self._changed_bids.clear()
        self._changed_asks.clear()
        events: list[Print | Best] = []
        if self.bids and self.asks:
            self._trade(rng, bid, ask, start_ms, events)
        self._requote(rng, bid, ask)
        last = events[-1] if events else None
        best = self.best()
        if not (isinstance(last, Best) and last[1:] == best[1:]) and self.update_id >= first:
            events.append(best)
        if self.update_id < first:
            return events, None
        diff = Diff(first, self.update_id, sorted(self._changed_bids.items(), reverse=True),
                    sorted(self._changed_asks.items()))
        return events, diff

    def best(self) -> Best:
        """The top of the book."""
        return Best(self.update_id, self.bid, self.bids[self.bid], self.ask, self.asks[self.ask])

    def _trade(self, rng: Random, bid: int, ask: int, start_ms: int, events: list[Print | Best]) -> None:
        orders: list[tuple[bool, int]] = []  # taker sells, lots (0 = the whole level)
        swept_asks = sorted(p for p in self.asks if p < ask)[:_MOST_SWEPT]
        swept_bids = sorted((p for p in self.bids if p > bid), reverse=True)[:_MOST_SWEPT]
        orders.extend((False, 0) for _ in swept_asks if rng.random() < _SWEEP_CHANCE)
        orders.extend((True, 0) for _ in swept_bids if rng.random() < _SWEEP_CHANCE)
        for _ in range(_TRIES):
            if rng.random() < self.trade_chance:
                sells = rng.random() < (0.3 if swept_asks else 0.7 if swept_bids else 0.5)
                orders.append((sells, max(1, int(self.lots_per_level * rng.lognormvariate(-3.2, 1.1)))))
        for number, (sells, lots) in enumerate(orders):
            time_ms = start_ms + 99 * (number + 1) // (len(orders) + 1)
            self._take(sells, lots, time_ms, events)

    def _take(self, sells: bool, lots: int, time_ms: int, events: list[Print | Best]) -> None:
        price = self.bid if sells else self.ask
        side = self.bids if sells else self.asks
        there = side[price]
        taken = there if lots == 0 else min(lots, (there + 1) // 2)
        if taken == there and len(side) == 1:
            return
        self.trade_id += 1
        events.append(Print(self.trade_id, price, taken, time_ms, sells))
        self._set(sells, price, there - taken)
        if taken == there:
            if sells:
                self.bid = max(self.bids)
            else:
                self.ask = min(self.asks)
        events.append(self.best())

    def _requote(self, rng: Random, bid: int, ask: int) -> None:
        for price in [p for p in self.bids if p > bid]:
            self._set(True, price, 0)
        for price in [p for p in self.asks if p < ask]:
            self._set(False, price, 0)
        self.bid, self.ask = bid, ask
        self._fill(rng, True, bid, -1)
        self._fill(rng, False, ask, 1)
        for is_bid, side in ((True, self.bids), (False, self.asks)):
            if rng.random() < 0.7:
                price = sorted(side, reverse=is_bid)[rng.randrange(min(len(side), 8))]
                self._set(is_bid, price, self._lots(rng, abs(price - (bid if is_bid else ask))))

    def _fill(self, rng: Random, is_bid: bool, best: int, away: int) -> None:
        """Exactly one side: a level at `best`, no hole wider than a few gaps, LEVELS deep, bounded."""
        side = self.bids if is_bid else self.asks
        there = sorted(side, reverse=is_bid)
        price, index, count = best, 0, 0
        if best not in side:
            self._set(is_bid, best, self._lots(rng, 0))
        else:
            index = 1
        count = 1
        while count < LEVELS:
            step = max(1, round(self.gap * rng.uniform(0.4, 1.6)))
            following = there[index] if index < len(there) else None
            if following is not None and abs(following - price) <= 3 * self.gap + 1:
                price = following
                index += 1
            else:
                price += away * step
                if price <= 0:
                    break
                self._set(is_bid, price, self._lots(rng, abs(price - best)))
            count += 1
        if len(side) > _MOST_LEVELS:
            for price in sorted(side, reverse=is_bid)[_MOST_LEVELS - 4 :]:
                self._set(is_bid, price, 0)

    def _lots(self, rng: Random, distance: int) -> int:
        deeper = 1 + min(2.0, distance / (10 * self.gap))
        return max(1, int(self.lots_per_level * deeper * rng.lognormvariate(0.0, 0.6)))

    def _set(self, is_bid: bool, price: int, lots: int) -> None:
        side = self.bids if is_bid else self.asks
        if side.get(price, 0) == lots:
            return
        if lots:
            side[price] = lots
        else:
            del side[price]
        self.update_id += 1
        (self._changed_bids if is_bid else self._changed_asks)[price] = lots

    def to_state(self) -> list[Any]:
        """All that the next step depends on."""
        return [sorted(self.bids.items()), sorted(self.asks.items()), self.update_id, self.trade_id, self.bid, self.ask]

    def load_state(self, state: list[Any]) -> None:
        """What `to_state` gave."""
        bids, asks, self.update_id, self.trade_id, self.bid, self.ask = state
        self.bids = {int(price): int(lots) for price, lots in bids}
        self.asks = {int(price): int(lots) for price, lots in asks}
