"""One grid and its levels: what they hold, what they earned, where they lie. Written by `orders.grid_book` only."""

from collections import deque
from dataclasses import dataclass, field
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from typing import Final, Literal

from bus.ids import CLIENT_ID_PREFIX, ClientOrderId
from bus.messages.grid import GridTuned, StartGrid
from market.interval import SECOND_NS
from market.money import ONE, ZERO

GridPhase = Literal["WAITING", "RUNNING", "STOPPING", "STOPPED"]
LegRole = Literal["buy", "sell", "floor", "close"]

FLOOR_BELOW: Final = Decimal("0.05")
"""How far the floor lies below the lowest level, where no price was given for it (T7, T14)."""

KEEP_SAMPLES: Final = 8_640
"""Prices five minutes apart: thirty days of them."""

NO_ORDER: Final = ClientOrderId("")
_COST_STEP: Final = Decimal("1e-12")


@dataclass(slots=True)
class GridLevel:
    """One level: `quantity` of base held at `cost` (quote, buy fees within), and all it ever did.

    `profit` is what its sales brought beyond their cost, after fees. `is_ready`: a buy of this level began to trail and
    has not succeeded yet, so it may be armed again although the price is below the level. `blocked_code` is why
    nothing can be armed now; `error` the last thing that went wrong, which stays.
    """

    index: int
    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    bought: Decimal = ZERO
    sold: Decimal = ZERO
    profit: Decimal = ZERO
    fees: Decimal = ZERO
    round_trips: int = 0
    orders: int = 0
    spent_ns: int = 0
    buy_id: ClientOrderId = NO_ORDER
    sell_id: ClientOrderId = NO_ORDER
    is_ready: bool = False
    blocked_code: str = ""
    error: str = ""
    error_ns: int = 0

    def cost_of(self, quantity: Decimal) -> Decimal:
        """What so much of it has cost: its share, or all of the cost for all of it."""
        if quantity >= self.quantity:
            return self.cost
        return (self.cost * quantity / self.quantity).quantize(_COST_STEP, ROUND_HALF_EVEN)

    def take(self, quantity: Decimal) -> Decimal:
        """Take so much out of what is held; returns the cost it had. The remainder keeps what rounding leaves."""
        freed = self.cost_of(quantity)
        self.quantity = max(self.quantity - quantity, ZERO)
        self.cost -= freed
        return freed


@dataclass(frozen=True, slots=True)
class Leg:
    """Which grid's order this is, and what for; `level` is None for orders of the whole grid."""

    grid_id: str
    role: LegRole
    level: int | None


@dataclass(slots=True)
class Grid:
    """A grid as its facts tell it. Prices and money in quote, ratios 0-1, times UTC ns."""

    grid_id: str
    symbol: str
    command: StartGrid
    spacing: Decimal
    trail: Decimal
    centre: Decimal
    price_tick: Decimal
    started_ns: int
    phase: GridPhase = "RUNNING"
    session_price: Decimal = ZERO
    session_ns: int = 0
    levels: dict[int, GridLevel] = field(default_factory=dict)
    floor_id: ClientOrderId = NO_ORDER
    close_id: ClientOrderId = NO_ORDER
    is_floor_reached: bool = False
    is_closing: bool = False
    orders_made: int = 0
    samples: deque[Decimal] = field(default_factory=lambda: deque(maxlen=KEEP_SAMPLES))
    sampled_ns: int = 0
    tuning: GridTuned | None = None
    tuned_ns: int = 0
    band: int | None = None
    band_ns: int = 0
    shifts: int = 0
    released_cost: Decimal = ZERO
    reason: str = ""
    stopped_ns: int = 0
    warning: str = ""

    @property
    def is_live(self) -> bool:
        return self.phase != "STOPPED"

    @property
    def id_stem(self) -> str:
        """What the ids of its orders begin with; the start's second makes them unique for ever."""
        return f"{CLIENT_ID_PREFIX}{self.grid_id}-{self.started_ns // SECOND_NS:x}-"

    @property
    def reach(self) -> int:
        """Levels above the centre, and as many below."""
        return self.command.levels

    @property
    def share(self) -> Decimal:
        """Quote money of one buy level: every level but the highest may buy, and all of them may at once."""
        return self.command.capital / (2 * self.reach)

    def price_of(self, index: int) -> Decimal:
        """centre * (1 + index * spacing), down to the tick (T7)."""
        price = self.centre * (ONE + index * self.spacing)
        return (price / self.price_tick).to_integral_value(ROUND_FLOOR) * self.price_tick

    @property
    def floor(self) -> Decimal:
        """Where everything is sold: the price that was asked for, else 5 % below the lowest level."""
        if self.command.floor is not None:
            return self.command.floor
        price = self.price_of(-self.reach) * (ONE - FLOOR_BELOW)
        return (price / self.price_tick).to_integral_value(ROUND_FLOOR) * self.price_tick

    def misfit_at(self, centre: Decimal, spacing: Decimal) -> str:
        """Why the levels cannot lie around this centre ("" when they can): nothing may be armed at a price of zero."""
        lowest = centre * (ONE - self.reach * spacing)
        if lowest * (ONE - FLOOR_BELOW) < 2 * self.price_tick:
            return f"the lowest level would lie at {lowest:.8f}, and the venue's tick is {self.price_tick}"
        if centre * spacing < 2 * self.price_tick:
            return f"levels {spacing} apart would not be two ticks of {self.price_tick} apart"
        if self.command.floor is not None and self.command.floor >= lowest:
            return f"the floor {self.command.floor} is not below the lowest level, {lowest:.8f}"
        return ""

    @property
    def quantity(self) -> Decimal:
        """Base held by all levels."""
        return sum((level.quantity for level in self.levels.values()), ZERO)

    @property
    def cost(self) -> Decimal:
        return sum((level.cost for level in self.levels.values()), ZERO)

    @property
    def profit(self) -> Decimal:
        return sum((level.profit for level in self.levels.values()), ZERO)

    def level_at(self, price: Decimal) -> int:
        """The level nearest to the price, however far it is."""
        return int(((price / self.centre - ONE) / self.spacing).to_integral_value(ROUND_HALF_EVEN))
