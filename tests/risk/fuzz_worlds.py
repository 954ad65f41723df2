"""Random accounts, markets and orders in whole numbers, near the limits as often as anywhere (see `fuzz_gate`)."""

import random
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from bus.ids import ClientOrderId
from bus.messages.system import LockPlaced
from market.instrument import Instrument
from risk.approved import OrderRequest
from risk.gate import GateView
from risk.limits import RiskLimits

UNIT: Final = 10**8
PPM: Final = 10**6
SECOND: Final = 10**9
NOW: Final = 1_700_000_000 * SECOND
SYMBOLS: Final = ("BTC/USDT", "ETH/USDT", "SOL/USDT", "XRP/USDT", "DOGE/USDT", "ADA/USDT")


@dataclass(slots=True)
class Limits:
    """The limits as whole numbers: ratios in millionths, money in 1e-8."""

    asset: int
    total: int
    order: int
    collar: int
    positions: int
    daily: int
    weekly: int
    maximum: int
    loss: int
    runaway: int
    kill: int
    per_second: int
    per_minute: int
    money_per_minute: int
    least: int
    stale_ns: int

    def as_limits(self) -> RiskLimits:
        return RiskLimits(
            exposure_per_asset=ratio(self.asset), exposure_total=ratio(self.total),
            max_order_notional=ratio(self.order), collar=ratio(self.collar), max_positions=self.positions,
            daily_drawdown=ratio(self.daily), weekly_drawdown=ratio(self.weekly), max_drawdown=ratio(self.maximum),
            daily_loss=ratio(self.loss), runaway_loss=ratio(self.runaway), kill_loss=ratio(self.kill),
            orders_per_second=self.per_second, orders_per_minute=self.per_minute,
            notional_per_minute=ratio(self.money_per_minute), min_notional=money(self.least),
            stale_after_ns=self.stale_ns,
        )


@dataclass(slots=True)
class World:
    """An account and its market in whole numbers: money and quantities in 1e-8, prices in cents, ratios in millionths.

    `held` and `pending` are values in quote by symbol; the order's own symbol is the first of `SYMBOLS`.
    """

    cash: int
    held: dict[str, int]
    pending: dict[str, int]
    sellable: int
    bid: int | None
    ask: int | None
    last: int | None
    age_ns: int | None
    daily: int
    weekly: int
    maximum: int
    loss: int
    runaway: int
    kill: int
    last_second: int
    last_minute: int
    sent_money: int
    fee: int
    step: int
    min_quantity: int
    max_quantity: int
    venue_least: int
    approved: int | None
    state: str = "ACTIVE"
    killed: bool = False
    latched_by_rule: bool = False
    trading: bool = True
    halted: bool = False
    unknown: bool = False
    twin: str = ""
    symbol_lock_ns: int = 0
    all_lock_ns: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def equity(self) -> int:
        return self.cash + sum(self.held.values())

    def held_back(self) -> int:
        """Cash that pending entries keep, with their fees, in 1e-14: exact."""
        return sum(value * (PPM + self.fee) for value in self.pending.values())


@dataclass(slots=True)
class Wish:
    """An order in whole numbers: quantity in 1e-8, prices in cents."""

    side: str
    quantity: int
    price: int | None
    reference: int
    reduce_only: bool
    origin: str
    proposal: str
    arming: bool


def ratio(millionths: int) -> Decimal:
    return Decimal(millionths) / PPM


def money(value: int) -> Decimal:
    return Decimal(value) / UNIT


def cents(price: int | None) -> Decimal | None:
    return None if price is None else Decimal(price) / 100


def lock_until(symbol: str, end_ns: int) -> LockPlaced | None:
    return LockPlaced("lock-1", "cooldown", symbol, "fuzz", NOW - SECOND, NOW + end_ns) if end_ns else None


# ---- drawing ---------------------------------------------------------------------------------------


def draw_limits(chance: random.Random) -> Limits:
    share = chance.choice
    return Limits(
        asset=share((10_000, 50_000, 250_000, 1_000_000)), total=share((50_000, 250_000, 500_000, 1_000_000)),
        order=share((10_000, 100_000, 250_000, 1_000_000)), collar=share((5_000, 50_000, 200_000)),
        positions=share((1, 2, 3, 5)), daily=share((20_000, 50_000)), weekly=share((50_000, 100_000)),
        maximum=share((100_000, 150_000, 250_000)), loss=share((50_000, 150_000)), runaway=share((10_000, 20_000)),
        kill=share((200_000, 500_000)), per_second=share((1, 10)), per_minute=share((1, 60)),
        money_per_minute=share((100_000, 1_000_000, 3_000_000)), least=share((0, 10, 100)) * UNIT,
        stale_ns=share((1, 3)) * SECOND,
    )


def near(chance: random.Random, limit: int, width: int = 2) -> int:
    """At the limit, a hair beside it, or anywhere below."""
    if chance.random() < 0.3:
        return chance.randint(max(limit - width, 0), limit + width)
    return chance.randrange(limit + 1)


def draw_world(chance: random.Random, limits: Limits) -> World:
    price = chance.choice((2, 1_000, 12_345, 5_000_000))
    equity = chance.choice((500, 10_000, 123_456)) * UNIT
    own = SYMBOLS[0]
    held = {own: 0}
    pending: dict[str, int] = {}
    for symbol in SYMBOLS:
        if chance.random() < 0.15:
            held[symbol] = chance.randrange(equity // 10)
        if chance.random() < 0.12:
            pending[symbol] = chance.randrange(1, equity // 20)
    if chance.random() < 0.2:
        held[own] = max(limits.asset * equity // PPM - pending.get(own, 0) - chance.randrange(equity // 50), 0)
    spread = max(price // chance.choice((400, 4_000)), 1)
    world = World(
        cash=equity - sum(held.values()), held=held, pending=pending, sellable=chance.randrange(10 * UNIT),
        bid=price - spread, ask=price + spread, last=price + chance.randint(-spread, spread), age_ns=0,
        daily=0, weekly=0, maximum=0, loss=0, runaway=0, kill=0, last_second=0, last_minute=0, sent_money=0,
        fee=chance.choice((0, 1_000, 2_000, 10_000)), step=chance.choice((1, 1_000, UNIT // 1000)),
        min_quantity=chance.choice((1, UNIT // 1000)), max_quantity=chance.choice((0, 0, 0, 9_000 * UNIT)),
        venue_least=chance.choice((0, 5)) * UNIT, approved=10**15,
    )
    for _ in range(chance.choice((0, 0, 1, 1, 2))):
        spoil(chance, world, limits)
    return world


def spoil(chance: random.Random, world: World, limits: Limits) -> None:
    """One thing of the world at, near or beyond its limit."""
    spoilers: tuple[tuple[str, Any], ...] = (
        ("daily", lambda: near(chance, limits.daily)), ("weekly", lambda: near(chance, limits.weekly)),
        ("maximum", lambda: near(chance, limits.maximum)), ("loss", lambda: near(chance, limits.loss)),
        ("runaway", lambda: near(chance, limits.runaway)), ("kill", lambda: near(chance, limits.kill)),
        ("last_second", lambda: near(chance, limits.per_second)),
        ("last_minute", lambda: near(chance, limits.per_minute)),
        ("sent_money", lambda: near(chance, limits.money_per_minute * max(world.equity, 0) // PPM)),
        ("age_ns", lambda: chance.choice((None, -1, near(chance, limits.stale_ns)))),
        ("state", lambda: chance.choice(("REDUCING", "HALTED", "ODD"))), ("killed", lambda: True),
        ("trading", lambda: False), ("halted", lambda: True), ("unknown", lambda: True), ("twin", lambda: "td-0"),
        ("symbol_lock_ns", lambda: chance.choice((-1, 1, SECOND))),
        ("all_lock_ns", lambda: chance.choice((-1, 1, SECOND))),
        ("bid", lambda: chance.choice((None, world.ask, (world.ask or 1) + 1))), ("ask", lambda: None),
        ("last", lambda: None), ("cash", lambda: chance.choice((0, -UNIT, world.cash // 10))),
        ("approved", lambda: chance.choice((None, 1, UNIT))), ("sellable", lambda: chance.choice((-1, 0, 1))),
        ("latched_by_rule", lambda: True),
    )
    name, value = chance.choice(spoilers)
    setattr(world, name, value())


def draw_wish(chance: random.Random, world: World, limits: Limits) -> Wish:
    price = world.last or world.ask or world.bid or 1
    equity, own = max(world.equity, 0), SYMBOLS[0]
    rooms = (
        equity * limits.order // PPM, equity * limits.asset // PPM - world.held[own] - world.pending.get(own, 0),
        equity * limits.total // PPM - sum(world.held.values()) - sum(world.pending.values()),
        world.cash - sum(world.pending.values()),
    )
    value = min(rooms) if chance.random() < 0.8 else chance.choice(rooms)
    if value <= 0:
        value = equity // 50
    quantity = value * 100 // price + chance.randint(-2, 2) * world.step
    if chance.random() < 0.6:
        quantity = chance.randrange(max(quantity, 1) + 1)
    quantity -= quantity % world.step if chance.random() < 0.95 else 0
    is_exit = chance.random() < 0.2
    if is_exit:
        quantity = chance.choice((world.sellable - world.sellable % world.step, world.sellable + world.step, UNIT))
    limit_price: int | None = None
    if chance.random() < 0.6:
        away = price * limits.collar // PPM
        edges = (away, away - 1, away + 1, -away, 1 - away)
        limit_price = price + (chance.choice(edges) if chance.random() < 0.2 else chance.randint(-away // 2, away // 2))
    side = "sell" if is_exit else "buy"
    if chance.random() < 0.01:
        side = "sell" if side == "buy" else "buy"
    return Wish(
        side=side, quantity=quantity, price=limit_price, reference=price, reduce_only=is_exit,
        origin=chance.choice(("council", "manual", "protective", "kill")) if is_exit or chance.random() < 0.05
        else chance.choice(("council", "manual")),
        proposal="p-1" if chance.random() < 0.98 else "", arming=chance.random() < 0.1,
    )


# ---- asking the gate -------------------------------------------------------------------------------


def instrument_of(world: World) -> Instrument:
    return Instrument(
        SYMBOLS[0], "BTCUSDT", "BTC", "USDT", Decimal("0.01"), money(world.step), money(world.min_quantity),
        money(world.max_quantity), money(world.venue_least), Decimal(0), ratio(world.fee), world.trading,
    )


def order_of(wish: Wish) -> OrderRequest:
    return OrderRequest(
        ClientOrderId("td-1"), SYMBOLS[0], wish.side, "market" if wish.price is None else "limit",  # type: ignore[arg-type]
        money(wish.quantity), cents(wish.price), "GTC", Decimal(wish.reference) / 100, wish.reduce_only,
        wish.origin, wish.proposal, wish.arming,  # type: ignore[arg-type]
    )


def view_of(world: World) -> GateView:
    own = SYMBOLS[0]
    open_others = {symbol for symbol, value in world.held.items() if value > 0} | set(world.pending)
    open_others.discard(own)
    return GateView(
        now=NOW, trading_state=world.state, kill_engaged=world.killed, instrument=instrument_of(world),
        bid=cents(world.bid), ask=cents(world.ask), last=cents(world.last), feed_age_ns=world.age_ns,
        equity=money(world.equity), available=money(world.cash) - Decimal(world.held_back()) / PPM / UNIT,
        position_quantity=money(world.sellable), sellable_quantity=money(world.sellable),
        open_positions=len(open_others),
        asset_exposure=money(world.held[own] + world.pending.get(own, 0)),
        total_exposure=money(sum(world.held.values()) + sum(world.pending.values())),
        daily_drawdown=ratio(world.daily), weekly_drawdown=ratio(world.weekly), max_drawdown=ratio(world.maximum),
        daily_loss=ratio(world.loss), runaway_loss=ratio(world.runaway), orders_last_second=world.last_second,
        orders_last_minute=world.last_minute, sent_notional_last_minute=money(world.sent_money),
        is_latched_by_rule=world.latched_by_rule, duplicate_of=world.twin, unknown_on_symbol=world.unknown,
        symbol_halted=world.halted, approved_quantity=None if world.approved is None else money(world.approved),
        taker_fee_ratio=ratio(world.fee), symbol_lock=lock_until(own, world.symbol_lock_ns),
        all_lock=lock_until("*", world.all_lock_ns), capital_loss=ratio(world.kill),
    )
