"""Round trips as a fold over the engine's facts, and what each of their executions cost."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from bus.messages.ledger import PositionClosed
from bus.messages.orders import OrderDenied, OrderFilled
from market.money import ZERO
from market.record import fast_init

_EXIT_TAGS: Final = {"s": "stop", "x": "trail", "t": "target"}


@fast_init
@dataclass(frozen=True, slots=True)
class Trade:
    """One round trip. Times are UTC ns: the candle's open, or a moment inside it; prices are averages; money in quote.

    `fees` of all its executions; `pnl` after them. `exit_reason`: rule, stop, trail or target.
    """

    symbol: str
    side: str
    entry_ts: int
    entry_price: Decimal
    exit_ts: int
    exit_price: Decimal
    quantity: Decimal
    fees: Decimal
    pnl: Decimal
    exit_reason: str = "rule"
    lead: str = ""
    confidence: float | None = None


@dataclass(slots=True)
class _Open:
    entry_ts: int
    bought: Decimal = ZERO
    paid: Decimal = ZERO
    sold: Decimal = ZERO
    received: Decimal = ZERO
    fees: Decimal = ZERO


@dataclass(slots=True)
class TradeFold:
    """Feed it every fact; read the rest. Money in quote; several symbols at once are kept apart."""

    trades: list[Trade] = field(default_factory=list)
    denials: dict[str, int] = field(default_factory=dict)
    fills: int = 0
    _open: dict[str, _Open] = field(default_factory=dict)

    def apply(self, body: object, ts: int) -> None:
        """Facts that say nothing about round trips are passed over."""
        kind = type(body)
        if kind is OrderFilled:
            self._on_fill(body, ts)  # type: ignore[arg-type]
        elif kind is PositionClosed:
            self._on_closed(body, ts)  # type: ignore[arg-type]
        elif kind is OrderDenied:
            code = body.code  # type: ignore[attr-defined]
            self.denials[code] = self.denials.get(code, 0) + 1

    def _on_fill(self, fill: OrderFilled, ts: int) -> None:
        self.fills += 1
        trip = self._open.get(fill.symbol)
        if trip is None:
            trip = self._open[fill.symbol] = _Open(ts)
        worth = fill.quantity * fill.price
        if fill.side == "buy":
            trip.bought += fill.quantity
            trip.paid += worth
        else:
            trip.sold += fill.quantity
            trip.received += worth
        base = fill.symbol.partition("/")[0]
        trip.fees += fill.fee * fill.price if fill.fee_asset == base else fill.fee

    def _on_closed(self, body: PositionClosed, ts: int) -> None:
        trip = self._open.pop(body.symbol, None)
        if trip is None or not trip.bought or not trip.sold:
            return
        self.trades.append(Trade(
            body.symbol, "long", trip.entry_ts, trip.paid / trip.bought, ts, trip.received / trip.sold, trip.bought,
            trip.fees, trip.received - trip.paid - trip.fees, exit_reason(str(body.client_order_id)),
        ))


def exit_reason(client_order_id: str) -> str:
    """Protective orders carry their kind at the end of their id: parent-s, parent-x2, parent-t."""
    last = client_order_id.rpartition("-")[2].rstrip("0123456789")
    return _EXIT_TAGS.get(last, "rule")
