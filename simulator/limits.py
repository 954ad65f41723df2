"""The risk limits, with numbers of our own: what is held, how often entries leave, what was lost before they did."""

from collections import deque
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from market.money import ZERO
from risk.approved import OrderRequest
from simulator.schedule import SECOND
from tradingd.settings import RiskSettings

if TYPE_CHECKING:
    from simulator.world import World

D = Decimal


@dataclass(frozen=True, slots=True)
class Rules:
    """As the keys of [risk]; ratios of equity."""

    exposure_per_asset: Decimal
    exposure_total: Decimal
    max_positions: int
    daily_loss: Decimal
    orders_per_second: int
    orders_per_minute: int


USUAL: Final = Rules(D("0.05"), D("0.25"), 3, D("0.05"), 10, 60)
"""What holds when nobody wrote anything, as config.toml promises. Not asked of the product: it may be wrong."""
TIGHT: Final = Rules(D("0.04"), D("0.06"), 1, D("0.006"), 4, 20)
_TIGHT_EVERY: Final = 5
_MOVES: Final = D("1.02")
"""Prices move by so much between an order and its execution."""
_LOST: Final = D("1.5")
"""So many times the day's loss, by the true account, and for so long, nobody can take for less than the limit."""
_LOST_S: Final = 5.0
_NEARLY: Final = D("0.9")
_DAY_NS: Final = 86_400 * SECOND


def rules_of(seed: int) -> Rules:
    """Every fifth seed lives under tight limits."""
    return TIGHT if seed % _TIGHT_EVERY == _TIGHT_EVERY - 1 else USUAL


def settings_of(rules: Rules) -> RiskSettings:
    """The usual ones are not written: then the product's own defaults must be these."""
    if rules is USUAL:
        return RiskSettings(preset="")
    return RiskSettings(
        preset="", exposure_per_asset=rules.exposure_per_asset, exposure_total=rules.exposure_total,
        max_positions=rules.max_positions, daily_loss=rules.daily_loss, orders_per_second=rules.orders_per_second,
        orders_per_minute=rules.orders_per_minute,
    )


class Limits:
    """`judge` each entry as it leaves, `observe` once a second."""

    def __init__(self, world: "World", rules: Rules) -> None:
        self._world = world
        self.rules = rules
        self._entries: deque[int] = deque(maxlen=2 * rules.orders_per_minute)
        self._bought_seen: dict[str, int] = {}
        self._held_before: set[str] = set()
        self._lost_since: float | None = None
        self.was_day_lost = False
        """So much was lost that entries may be over for the day."""
        self._day = 0
        self._exempt_until = 0.0
        self._flow: Decimal | None = None
        self._base = ZERO

    def exempt_exposure(self, seconds: float) -> None:
        """Prices have just leapt, or an execution exceeded its order: what is held is no longer what was bought."""
        self._exempt_until = max(self._exempt_until, self._world.schedule.elapsed_s + seconds)

    # ---- as an entry leaves ------------------------------------------------------------------------

    def judge(self, order: OrderRequest) -> None:
        world, name, rules = self._world, order.client_order_id, self.rules
        now, entries = world.schedule.now, self._entries
        entries.append(now)
        for seconds, most in ((1, rules.orders_per_second), (60, rules.orders_per_minute)):
            number = sum(now - ts < seconds * SECOND for ts in entries)
            if number > most:
                self._violate(f"{name}: entry {number} within {seconds} s, {most} are allowed")
        if self._lost_since is not None and world.schedule.elapsed_s - self._lost_since > _LOST_S:
            self._violate(f"{name}: an entry after more than {rules.daily_loss * _LOST} of the day's capital was lost")

    def _violate(self, text: str) -> None:
        self._world.outcome.limit_breaches += 1
        self._world.violate(text)

    # ---- each second -------------------------------------------------------------------------------

    def observe(self) -> None:
        world = self._world
        values = {symbol: world.held(symbol) * market.bid for symbol, market in world.markets.items()}
        ours = world.exchange.balances["USDT"] + sum(values.values(), ZERO)
        self._look_at_loss(ours)
        instruments = world.exchange.instruments
        held = {symbol for symbol, value in values.items() if value >= 2 * instruments[symbol].min_notional}
        bought = world.exchange.bought
        news = {symbol for symbol, number in bought.items() if number != self._bought_seen.get(symbol, 0)}
        if news:
            self._bought_seen = dict(bought)
            self._look_at_exposure(news, values, ours)
            self._look_at_positions(news, held)
        self._held_before = held

    def _look_at_loss(self, ours: Decimal) -> None:
        """Against what was paid in, and in a seed that lives over a midnight (UTC) against what there was then.

        What comes or goes moves it in the proportion in which it moves what there is: a loss stays the share it was.
        """
        flow = self._world.true_flow - self._world.taken_worth
        came = flow if self._flow is None else flow - self._flow
        before = ours - came
        is_share = self._flow is not None and before > ZERO < ours
        self._base = self._base * ours / before if is_share else max(self._base + came, ZERO)
        day = self._world.schedule.now // _DAY_NS
        if self._day and day != self._day:
            self._base, self.was_day_lost = ours, False
        self._day, self._flow, paid = day, flow, self._base
        if paid - ours >= self.rules.daily_loss * _NEARLY * paid:
            self.was_day_lost = True
        if paid - ours <= self.rules.daily_loss * _LOST * paid:
            self._lost_since = None
        elif self._lost_since is None:
            self._lost_since = self._world.schedule.elapsed_s

    def _look_at_exposure(self, bought: set[str], values: dict[str, Decimal], ours: Decimal) -> None:
        """After a purchase, what is held may not exceed the limits by more than prices move within a second."""
        world = self._world
        if world.schedule.elapsed_s < self._exempt_until:
            return
        foreign = sum(
            (world.foreign.get(world.exchange.instruments[symbol].base, ZERO) * market.bid
             for symbol, market in world.markets.items()), ZERO,
        )
        equity, rules = ours + foreign, self.rules
        for symbol in bought:
            if values[symbol] > rules.exposure_per_asset * equity * _MOVES + 1:
                self._violate(f"{symbol}: {values[symbol]:.2f} held of {equity:.2f}")
        total = sum(values.values(), ZERO)
        if total > rules.exposure_total * equity * _MOVES + 1:
            self._violate(f"{total:.2f} held of {equity:.2f} in all")

    def _look_at_positions(self, bought: set[str], held: set[str]) -> None:
        new = (held & bought) - self._held_before
        if new and len(held) > self.rules.max_positions:
            self._violate(f"{sorted(held)} are open, {self.rules.max_positions} are allowed: {sorted(new)} is new")
