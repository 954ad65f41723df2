"""What both strangers have behind their doors: prices that move, an account, orders that match."""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal
from itertools import count
from random import Random
from time import time_ns

ZERO = Decimal(0)
LEVELS = 30
WORKING = frozenset({"NEW", "PARTIAL"})


def now_ms() -> int:
    return time_ns() // 1_000_000


@dataclass
class Market:
    """A pair with its rules and the liquidity of others around a moving middle."""

    base: str
    quote: str
    tick: Decimal
    step: Decimal
    middle: Decimal
    minimum: Decimal = Decimal(5)
    """The smallest order, in quote."""
    size: Decimal = Decimal(20)
    """How much others offer on a level, about."""
    status: str = "TRADING"
    is_frozen: bool = False
    """True: the price stays where it is put."""
    last: Decimal = ZERO
    update: int = 1_000_000
    bids: dict[Decimal, Decimal] = field(default_factory=dict)
    asks: dict[Decimal, Decimal] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.last = self.middle

    def rebuild(self, chance: Random) -> tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]]:
        """A new ladder around the middle; what changed, zero where a level is gone."""
        bids, asks = {}, {}
        for number in range(1, LEVELS + 1):
            near = (self.size * Decimal(chance.uniform(0.5, 1.5))).quantize(self.step, ROUND_DOWN)
            bids[self.middle - number * self.tick] = max(near, self.step)
            asks[self.middle + number * self.tick] = max(near, self.step)
        changed = (_difference(self.bids, bids), _difference(self.asks, asks))
        self.bids, self.asks = bids, asks
        return changed

    def move(self, chance: Random) -> None:
        """By a few ticks at most, and never far."""
        if not self.is_frozen:
            self.middle += chance.choice((-2, -1, 0, 0, 1, 2)) * self.tick

    @property
    def best_bid(self) -> Decimal:
        return max(self.bids)

    @property
    def best_ask(self) -> Decimal:
        return min(self.asks)


def _difference(old: dict[Decimal, Decimal], new: dict[Decimal, Decimal]) -> dict[Decimal, Decimal]:
    changed = {price: size for price, size in new.items() if old.get(price) != size}
    return changed | {price: ZERO for price in old if price not in new}


@dataclass
class Execution:
    """One fill of one of the account's orders."""

    number: int
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_asset: str
    at_ms: int
    is_maker: bool


@dataclass
class Order:
    """One order of the account. `status`: NEW, PARTIAL, FILLED, CANCELED, EXPIRED or REJECTED."""

    number: int
    client_id: str
    market: Market
    is_buy: bool
    kind: str
    quantity: Decimal
    price: Decimal = ZERO
    stop: Decimal = ZERO
    time_in_force: str = "GTC"
    stop_is_above: bool = False
    status: str = "NEW"
    filled: Decimal = ZERO
    cost: Decimal = ZERO
    fills: list[Execution] = field(default_factory=list)
    created_ms: int = field(default_factory=now_ms)
    updated_ms: int = field(default_factory=now_ms)
    locked: Decimal = ZERO
    waits_for_stop: bool = False
    wire: dict[str, object] = field(default_factory=dict)
    """What a door keeps of the request that made it."""

    @property
    def remaining(self) -> Decimal:
        return self.quantity - self.filled

    @property
    def is_working(self) -> bool:
        return self.status in WORKING

    @property
    def locked_asset(self) -> str:
        return self.market.quote if self.is_buy else self.market.base


class RefusedError(Exception):
    """The exchange does not take the order: `word` is a key of the door's table of refusals."""

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word


@dataclass
class Account:
    """Free and locked of each asset."""

    free: dict[str, Decimal]
    locked: dict[str, Decimal] = field(default_factory=dict)

    def add(self, asset: str, amount: Decimal) -> None:
        self.free[asset] = self.free.get(asset, ZERO) + amount

    def lock(self, asset: str, amount: Decimal) -> None:
        if self.free.get(asset, ZERO) < amount:
            raise RefusedError("funds")
        self.add(asset, -amount)
        self.locked[asset] = self.locked.get(asset, ZERO) + amount

    def release(self, asset: str, amount: Decimal) -> None:
        self.locked[asset] -= amount
        self.add(asset, amount)

    def total(self, asset: str) -> Decimal:
        return self.free.get(asset, ZERO) + self.locked.get(asset, ZERO)


Listener = Callable[[Order, str, Execution | None], None]


class Exchange:
    """Matches the account's orders against the liquidity of others, and tells a listener of each step.

    `fee_asset`: "received" (Binance without BNB), "quote" (Coinbase) or the name of a third asset.
    """

    def __init__(self, markets: list[Market], funds: dict[str, Decimal], fee_rate: Decimal, fee_asset: str) -> None:
        self.markets = markets
        self.account = Account(dict(funds))
        self.fee_rate, self.fee_asset = fee_rate, fee_asset
        self.orders: list[Order] = []
        self.listener: Listener = lambda *_: None
        self.chance = Random(11)
        self.most_at_once: Decimal | None = None
        """Takers get no more than this share of their size at once."""
        self.overfill = False
        self._numbers = count(7_000_001)
        self._fills = count(90_001)
        for market in markets:
            market.rebuild(self.chance)

    def by_client_id(self, client_id: str) -> list[Order]:
        return [order for order in self.orders if order.client_id == client_id]

    def by_number(self, number: int) -> Order | None:
        return next((order for order in self.orders if order.number == number), None)

    def place(self, order: Order) -> Order:
        """Takes it: locks its funds, matches it, lets it rest; raises RefusedError without a trace otherwise."""
        market = order.market
        if market.status != "TRADING":
            raise RefusedError("halted")
        if order.quantity <= 0 or order.quantity % market.step:
            raise RefusedError("quantity")
        if order.price % market.tick or order.stop % market.tick:
            raise RefusedError("price")
        reference = order.price or market.middle
        if order.quantity * reference < market.minimum:
            raise RefusedError("minimum")
        if order.stop and self._is_through(order):
            raise RefusedError("stop")
        if order.time_in_force == "POST" and self._crosses(order):
            raise RefusedError("post_only")
        locked = order.quantity * (order.price or market.best_ask * Decimal("1.01")) if order.is_buy else order.quantity
        if order.is_buy and self.fee_asset == "quote":
            locked *= 1 + self.fee_rate
        self.account.lock(order.locked_asset, locked)
        order.locked = locked
        order.number = next(self._numbers)
        order.waits_for_stop = bool(order.stop)
        self.orders.append(order)
        self.listener(order, "NEW", None)
        if not order.waits_for_stop:
            self._take(order)
        return order

    def cancel(self, order: Order, word: str = "CANCELED") -> None:
        """Ends a working order."""
        self._end(order, word)
        self.listener(order, word, None)

    def step(self, market: Market) -> None:
        """Stops that were reached, and resting orders that others now want."""
        for order in [each for each in self.orders if each.market is market and each.is_working]:
            if order.waits_for_stop:
                if self._is_through(order):
                    order.waits_for_stop = False
                    self.listener(order, "TRIGGERED", None)
                    self._take(order)
                continue
            if self._crosses(order):
                part = order.remaining
                if self.chance.random() < 0.4:
                    part = max((part / 2).quantize(market.step, ROUND_DOWN), market.step)
                self.execute(order, order.price, min(part, order.remaining), is_maker=True)

    def execute(self, order: Order, price: Decimal, quantity: Decimal, *, is_maker: bool) -> Execution:
        """One fill: funds change hands."""
        market = order.market
        order.filled += quantity
        order.cost += price * quantity
        received, fee_asset = (quantity, market.base) if order.is_buy else (price * quantity, market.quote)
        if self.fee_asset == "quote":
            received, fee_asset = price * quantity, market.quote
        elif self.fee_asset != "received":
            received, fee_asset = price * quantity / 600, self.fee_asset
        fee = (received * self.fee_rate).quantize(Decimal("1e-8"))
        paid = price * quantity if order.is_buy else quantity
        used = min(order.locked, paid)
        order.locked -= used
        self.account.locked[order.locked_asset] -= used
        self.account.add(order.locked_asset, used - paid)
        self.account.add(market.base if order.is_buy else market.quote, quantity if order.is_buy else price * quantity)
        self.account.add(fee_asset, -fee)
        fill = Execution(next(self._fills), price, quantity, fee, fee_asset, now_ms(), is_maker)
        order.fills.append(fill)
        order.updated_ms = fill.at_ms
        order.status = "FILLED" if order.remaining <= 0 else "PARTIAL"
        if order.status == "FILLED":
            self._end(order, "FILLED")
        self.listener(order, "TRADE", fill)
        return fill

    def _take(self, order: Order) -> None:
        market = order.market
        levels = sorted(market.asks.items()) if order.is_buy else sorted(market.bids.items(), reverse=True)
        most = order.quantity
        if self.most_at_once is not None:
            most = max((order.quantity * self.most_at_once).quantize(market.step, ROUND_DOWN), market.step)
        for price, size in levels:
            left = min(order.remaining, most - order.filled, size)
            if left <= 0 or (order.price and (price > order.price if order.is_buy else price < order.price)):
                break
            self.execute(order, price, left, is_maker=False)
        if self.overfill and order.status == "FILLED":
            self.overfill = False
            self.execute(order, order.fills[-1].price, market.step, is_maker=False)
        if order.is_working and (order.kind == "MARKET" or order.time_in_force in ("IOC", "FOK")):
            self._end(order, "EXPIRED")
            self.listener(order, "EXPIRED", None)

    def _end(self, order: Order, word: str) -> None:
        order.status = word
        order.updated_ms = now_ms()
        if order.locked:
            self.account.release(order.locked_asset, order.locked)
            order.locked = ZERO

    @staticmethod
    def _crosses(order: Order) -> bool:
        market = order.market
        return order.price >= market.best_ask if order.is_buy else order.price <= market.best_bid

    @staticmethod
    def _is_through(order: Order) -> bool:
        return order.market.last >= order.stop if order.stop_is_above else order.market.last <= order.stop
