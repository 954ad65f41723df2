"""Grids of trailing orders: what may be asked (commands), and what became of them (facts)."""

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Literal

from bus.messages.header import PRIORITY_CONTROL
from market.record import fast_init

GridEntry = Literal["now", "first"]
GridOrigin = Literal["manual", "council"]


@fast_init
@dataclass(frozen=True, slots=True)
class StartGrid:
    """Command: open a grid of `levels` levels above and as many below a centre, on a symbol that has none.

    `capital` in quote. `spacing`, `min_spacing`, `max_spacing` and `trail` are ratios (0.015 = 1.5 %); spacing
    None = tuned by the grid itself, within the bounds; trail None = half the spacing. `floor`: a price; None = 5 %
    below the lowest level. `centre`: a price; None = the market's. `entry` "first" waits for a fall of 2 % from
    the session's start, or for a confident buy signal. `history`: closes of 5-minute candles, oldest first, to
    tune the spacing from at once.
    """

    PRIORITY: ClassVar[int] = PRIORITY_CONTROL

    symbol: str
    capital: Decimal
    levels: int = 10
    spacing: Decimal | None = None
    min_spacing: Decimal | None = None
    max_spacing: Decimal | None = None
    trail: Decimal | None = None
    floor: Decimal | None = None
    centre: Decimal | None = None
    entry: GridEntry = "now"
    origin: GridOrigin = "manual"
    history: tuple[Decimal, ...] = ()
    reason: str = ""


@fast_init
@dataclass(frozen=True, slots=True)
class StopGrid:
    """Command: no more buys. `close` also sells what the grid holds; otherwise its sells go on until all is sold."""

    PRIORITY: ClassVar[int] = PRIORITY_CONTROL

    grid_id: str
    close: bool = False
    reason: str = ""


# ---- facts -----------------------------------------------------------------------------------------


@fast_init
@dataclass(frozen=True, slots=True)
class GridStarted:
    """The grid exists. `command` as understood; prices are rounded down to `price_tick`.

    With entry "now" it begins at `centre`; with "first" `centre` is the session's start price it waits at. `warning`
    says that the limits leave no room for all its levels.
    """

    grid_id: str
    symbol: str
    command: StartGrid
    spacing: Decimal
    trail: Decimal
    centre: Decimal
    price_tick: Decimal
    warning: str = ""


@fast_init
@dataclass(frozen=True, slots=True)
class GridSessionBased:
    """While the grid waits for its first entry: the price its fall is measured from."""

    grid_id: str
    symbol: str
    price: Decimal


@fast_init
@dataclass(frozen=True, slots=True)
class GridEntered:
    """The first entry's moment has come: the grid is centred here."""

    grid_id: str
    symbol: str
    centre: Decimal
    reason: str


@fast_init
@dataclass(frozen=True, slots=True)
class GridTuned:
    """The spacing was computed anew, from `samples` prices five minutes apart (`source` says whose).

    The three measures are those of the formula, 0 while the history is too short for them.
    """

    grid_id: str
    symbol: str
    spacing: Decimal
    trail: Decimal
    average_swing_ratio: float
    recent_volatility: float
    month_volatility: float
    samples: int
    source: str


@fast_init
@dataclass(frozen=True, slots=True)
class GridShifted:
    """The price left the grid upwards with every profit booked: the levels now lie around another centre."""

    grid_id: str
    symbol: str
    centre_before: Decimal
    centre: Decimal
    reason: str


@fast_init
@dataclass(frozen=True, slots=True)
class GridSampled:
    """A price, taken once in five minutes: what the spacing is tuned from."""

    grid_id: str
    symbol: str
    price: Decimal


@fast_init
@dataclass(frozen=True, slots=True)
class GridBandEntered:
    """The price is now nearest to this level (`is_inside` false: beyond the outermost level's band)."""

    grid_id: str
    symbol: str
    level: int
    is_inside: bool


@fast_init
@dataclass(frozen=True, slots=True)
class GridLevelBlocked:
    """A level wanted to arm an order and was refused: why, in the gate's code and words. Said once, not each second."""

    grid_id: str
    symbol: str
    level: int
    code: str
    message: str


@fast_init
@dataclass(frozen=True, slots=True)
class GridInventoryReleased:
    """What a level held is the grid's no more: another order sold it, or it is too small to be sold."""

    grid_id: str
    symbol: str
    level: int
    quantity: Decimal
    cost: Decimal
    reason: str


@fast_init
@dataclass(frozen=True, slots=True)
class GridStopping:
    """No more buys. With `close` the inventory is sold at market, else its exits go on."""

    grid_id: str
    symbol: str
    close: bool
    reason: str


@fast_init
@dataclass(frozen=True, slots=True)
class GridStopped:
    """Nothing is held and nothing is working: the grid has ended. `profit` in quote, after fees."""

    grid_id: str
    symbol: str
    reason: str
    profit: Decimal
