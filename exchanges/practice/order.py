"""A client's order and its fills, as the venue keeps them."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, NamedTuple

OPEN: Final = ("NEW", "PARTIALLY_FILLED")
TRIGGERED: Final = ("STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT")
LIMITS: Final = ("LIMIT", "LIMIT_MAKER", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT")
ZERO: Final = Decimal(0)


@dataclass(slots=True)
class Order:
    """`quantity` is base (0 while a market order is by `quote_quantity`); times are venue ms.

    `hold_price`: what one unit still open keeps locked: quote for a buy, 1 for a sell, 0 = nothing is locked.
    `is_working` is false while a stop waits for its price. `fee_in_quote`: fees are taken in the quote currency on
    both sides, as Coinbase does, instead of out of what is received.
    """

    order_id: int
    client_id: str
    name: str
    side: str
    kind: str
    time_in_force: str
    price: Decimal
    quantity: Decimal
    quote_quantity: Decimal
    stop_price: Decimal
    created_ms: int
    updated_ms: int
    hold_price: Decimal = ZERO
    status: str = "NEW"
    executed: Decimal = ZERO
    turnover: Decimal = ZERO
    is_working: bool = True
    working_ms: int = 0
    fee_in_quote: bool = False

    @property
    def is_buy(self) -> bool:
        return self.side == "BUY"

    @property
    def is_open(self) -> bool:
        return self.status in OPEN

    @property
    def is_limit(self) -> bool:
        return self.kind in LIMITS

    @property
    def left(self) -> Decimal:
        return self.quantity - self.executed

    def is_triggered_by(self, last: Decimal) -> bool:
        """Whether the stop price is reached at a last price."""
        falls_to = (self.kind.startswith("STOP_LOSS")) != self.is_buy
        return last <= self.stop_price if falls_to else last >= self.stop_price

    def to_row(self) -> list[Any]:
        """For the account's log: exact, JSON-friendly."""
        return [str(v) if isinstance(v := getattr(self, name), Decimal) else v for name in _ROW]


class Fill(NamedTuple):
    """One execution of a client's order. `turnover` is price times quantity."""

    trade_id: int
    order_id: int
    name: str
    price: Decimal
    quantity: Decimal
    turnover: Decimal
    fee: Decimal
    fee_asset: str
    time_ms: int
    is_buyer: bool
    is_maker: bool

    def to_row(self) -> list[Any]:
        return [str(value) if isinstance(value, Decimal) else value for value in self]


_ROW: Final = tuple(Order.__dataclass_fields__)
_ORDER_MONEY: Final = tuple(
    name in ("price", "quantity", "quote_quantity", "stop_price", "hold_price", "executed", "turnover") for name in _ROW
)
_FILL_MONEY: Final = tuple(name in ("price", "quantity", "turnover", "fee") for name in Fill._fields)


def order_from_row(row: list[Any]) -> Order:
    """What `Order.to_row` wrote; rows of earlier versions lack the last fields."""
    values: list[Any] = [Decimal(v) if is_money else v for v, is_money in zip(row, _ORDER_MONEY, strict=False)]
    return Order(*values)


def fill_from_row(row: list[Any]) -> Fill:
    """What `Fill.to_row` wrote."""
    values: list[Any] = [Decimal(v) if is_money else v for v, is_money in zip(row, _FILL_MONEY, strict=True)]
    return Fill(*values)
