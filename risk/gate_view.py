"""What the gate is told about the world for one order: built by the engine, at the moment of the decision."""

from dataclasses import fields
from decimal import Decimal
from operator import attrgetter

from bus.messages.system import LockPlaced
from market.instrument import Instrument
from market.money import ZERO
from market.record import record
from risk.approved import OrderRequest


@record
class GateView:
    """Everything the gate needs and the order does not carry. Money in quote, ratios 0-1, times UTC ns.

    Nothing here counts the order under review itself: an order that fires or is modified is left out of its
    own exposure, rates and duplicates.
    """

    now: int
    trading_state: str
    """ACTIVE, REDUCING or HALTED; any other word counts as HALTED."""
    kill_engaged: bool
    instrument: Instrument | None
    bid: Decimal | None
    ask: Decimal | None
    last: Decimal | None
    feed_age_ns: int | None
    """Since anything was received on the feed's connection; None = never."""
    equity: Decimal
    """Marked to bid."""
    available: Decimal
    """Cash not held by other entries."""
    position_quantity: Decimal
    """Base held of the symbol."""
    sellable_quantity: Decimal
    """Base held, less what other sells hold at the venue. Exits held by the engine hold nothing back: of a
    stop, a trail and a target around one position only one is ever sent."""
    open_positions: int
    """Other symbols that are held or have an entry pending; this order's own symbol is not counted."""
    asset_exposure: Decimal
    """Value of this symbol's asset held, and of other entries for it that are pending."""
    total_exposure: Decimal
    """The same over all assets."""
    daily_drawdown: Decimal
    weekly_drawdown: Decimal
    max_drawdown: Decimal
    daily_loss: Decimal
    runaway_loss: Decimal
    orders_last_second: int
    """Orders sent within the last second, protective ones and those of the kill switch not counted."""
    orders_last_minute: int
    sent_notional_last_minute: Decimal = ZERO
    """Quote value of the entries sent within the last minute."""
    is_latched_by_rule: bool = False
    """The kill switch was engaged by a rule, not by a person: exits but the council's go on."""
    duplicate_of: str = ""
    """Client id of an order of equal content inside the duplicate window, "" if there is none."""
    unknown_on_symbol: bool = False
    """An order of this symbol was sent and nobody knows what became of it."""
    symbol_halted: bool = False
    approved_quantity: Decimal | None = None
    """What the risk officer allowed for the order's proposal; None = no verdict."""
    taker_fee_ratio: Decimal = ZERO
    """Worst-case cost of an entry beyond its price: taker fee and slippage."""
    symbol_lock: LockPlaced | None = None
    """The protection's lock on this symbol that lasts longest."""
    all_lock: LockPlaced | None = None
    """The same for the locks on all symbols."""
    capital_loss: Decimal = ZERO
    """Share of the initial capital that is lost."""


_NUMBERS_OF_ORDER = ("quantity", "price", "reference_price", "stop_price")
_NUMBERS_OF_VIEW = tuple(
    field.name for field in fields(GateView) if field.type in (Decimal, Decimal | None)
)
_of_order = attrgetter(*_NUMBERS_OF_ORDER)
_of_view = attrgetter(*_NUMBERS_OF_VIEW)


def first_not_finite(order: OrderRequest, view: GateView) -> str:
    """The name of a NaN or infinite number in the order or the view, "" when all are numbers.

    NaN compares false with every limit (or raises): it must be caught before any limit is looked at.
    """
    for value in (*_of_order(order), *_of_view(view)):
        if value is not None and not value.is_finite():
            return _name_of(value, order, view)
    return ""


def _name_of(wrong: Decimal, order: OrderRequest, view: GateView) -> str:
    """Of the first that is this very object."""
    for name in _NUMBERS_OF_ORDER:
        if getattr(order, name) is wrong:
            return f"order.{name}"
    return next(name for name in _NUMBERS_OF_VIEW if getattr(view, name) is wrong)
