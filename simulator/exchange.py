"""The model exchange: it knows the truth. Written apart from the product's own paper venue, so that both can be wrong
only by themselves."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from market.instrument import Instrument

ZERO = Decimal(0)
OURS = "td-"
"""How the client ids of the daemon's own orders begin."""

State = Literal["working", "filled", "cancelled", "expired", "rejected"]


@dataclass(frozen=True, slots=True)
class Execution:
    """One fill."""

    trade_id: str
    quantity: Decimal
    price: Decimal
    fee: Decimal
    ts: int


@dataclass(slots=True)
class TrueOrder:
    """An order as the exchange has it."""

    client_id: str
    venue_id: str
    symbol: str
    side: str
    kind: str
    quantity: Decimal
    price: Decimal | None
    stop_price: Decimal | None
    immediate: bool
    ts: int
    state: State = "working"
    is_triggered: bool = True
    executions: list[Execution] = field(default_factory=list)

    @property
    def filled(self) -> Decimal:
        return sum((each.quantity for each in self.executions), ZERO)

    @property
    def remaining(self) -> Decimal:
        return self.quantity - self.filled


@dataclass(slots=True)
class Quote:
    bid: Decimal
    ask: Decimal


class Exchange:
    """Balances, orders and prices. `news` holds (order, what happened) since it was last emptied."""

    def __init__(self, instruments: list[Instrument], quote_asset: str, cash: Decimal, fee: Decimal) -> None:
        self.instruments = {each.symbol: each for each in instruments}
        self.quote_asset = quote_asset
        self.balances: dict[str, Decimal] = {quote_asset: cash}
        self.fee = fee
        self.quotes: dict[str, Quote] = {}
        self.orders: dict[str, TrueOrder] = {}
        self.bought: dict[str, int] = dict.fromkeys(self.instruments, 0)
        """Executions of our own buys, by symbol."""
        self.doubled: list[str] = []
        """Ids of ours that were created a second time, once for each time."""
        self.news: list[tuple[TrueOrder, str]] = []
        self.fill_in_parts = False
        self.overfills_of: list[str] = []
        """Symbols ("" = any) of which the next purchase of ours exceeds its order; each entry is one."""
        self.halted: set[str] = set()
        self._count = 0
        self._working: dict[str, dict[str, TrueOrder]] = {symbol: {} for symbol in self.instruments}

    # ---- what clients ask ----------------------------------------------------------------------

    def create(
        self, client_id: str, symbol: str, side: str, kind: str, quantity: Decimal, price: Decimal | None,
        stop_price: Decimal | None, ts: int, *, immediate: bool = False,
    ) -> tuple[TrueOrder | None, str]:
        """The order, or None and the refusal."""
        instrument = self.instruments[symbol]
        quote = self.quotes.get(symbol)
        if quote is None:
            return None, "no market"
        if client_id in self.orders and self.orders[client_id].state == "working":
            self._note_double(client_id)
            return None, "-2010: Duplicate order sent."
        if symbol in self.halted:
            return None, "-1013: Market is closed."
        is_off_tick = price is not None and price % instrument.price_tick
        if quantity <= 0 or quantity % instrument.quantity_step or is_off_tick:
            return None, "-1013: Filter failure: LOT_SIZE"
        if quantity * (price or quote.bid) < instrument.min_notional:
            return None, "-1013: Filter failure: NOTIONAL"
        if side == "sell" and quantity > self.free(instrument.base, symbol):
            return None, "-2010: Account has insufficient balance for requested action."
        if side == "buy" and quantity * (price or quote.ask) > self.free_cash():
            return None, "-2010: Account has insufficient balance for requested action."
        if kind == "stop_limit" and stop_price is not None and quote.bid <= stop_price and side == "sell":
            return None, "-2010: Stop price would trigger immediately."
        if client_id in self.orders:
            self._note_double(client_id)
        self._count += 1
        order = TrueOrder(
            client_id, f"x{self._count}", symbol, side, kind, quantity, price, stop_price, immediate, ts,
            is_triggered=kind != "stop_limit",
        )
        self.orders[client_id] = self._working[symbol][client_id] = order
        self.news.append((order, "accepted"))
        self._match(order, ts)
        if order.state == "working" and (kind == "market" or immediate):
            self._end(order, "expired")
        return order, ""

    def cancel(self, client_id: str, ts: int = 0, *, after_a_fill: bool = False) -> bool:
        """True when it was working still. `after_a_fill`: it executes at the last moment, if it could at any price."""
        order = self.orders.get(client_id)
        if order is None or order.state != "working":
            return False
        if after_a_fill and order.is_triggered and order.price is not None and order.symbol not in self.halted:
            self._fill(order, order.remaining, order.price, ts)
            return False
        self._end(order, "cancelled")
        return True

    def free(self, asset: str, symbol: str) -> Decimal:
        """What no working sell has locked."""
        locked = sum((each.remaining for each in self.working(symbol) if each.side == "sell"), ZERO)
        return self.balances.get(asset, ZERO) - locked

    def free_cash(self) -> Decimal:
        locked = sum(
            (each.remaining * each.price for each in self.working() if each.side == "buy" and each.price is not None),
            ZERO,
        )
        return self.balances[self.quote_asset] - locked

    def working(self, symbol: str = "") -> list[TrueOrder]:
        if symbol:
            return list(self._working[symbol].values())
        return [each for orders in self._working.values() for each in orders.values()]

    def _note_double(self, client_id: str) -> None:
        if client_id.startswith(OURS):
            self.doubled.append(client_id)

    # ---- the market moves -------------------------------------------------------------------------

    def move(self, symbol: str, bid: Decimal, ask: Decimal, ts: int) -> None:
        """New best prices: stops trigger, resting orders that are reached fill."""
        self.quotes[symbol] = Quote(bid, ask)
        if not self._working[symbol] or symbol in self.halted:
            return
        for order in self.working(symbol):
            if not order.is_triggered and order.stop_price is not None and bid <= order.stop_price:
                order.is_triggered = True
            self._match(order, ts)

    def _match(self, order: TrueOrder, ts: int) -> None:
        if order.state != "working" or not order.is_triggered:
            return
        quote = self.quotes[order.symbol]
        touch = quote.ask if order.side == "buy" else quote.bid
        if order.price is not None and (touch > order.price if order.side == "buy" else touch < order.price):
            return
        step = self.instruments[order.symbol].quantity_step
        quantity = order.remaining
        aim = next((each for each in self.overfills_of if each in ("", order.symbol)), None)
        if aim is not None and order.side == "buy" and order.client_id.startswith(OURS):
            self.overfills_of.remove(aim)
            order.quantity += step
            quantity += step
        if self.fill_in_parts and quantity >= step * 2:
            half = (quantity / 2 / step).to_integral_value(rounding="ROUND_FLOOR") * step
            self._fill(order, half, touch, ts)
            if order.kind == "limit" and not order.immediate:
                return
            quantity = order.remaining
        self._fill(order, quantity, touch, ts)

    def _fill(self, order: TrueOrder, quantity: Decimal, price: Decimal, ts: int) -> None:
        base = self.instruments[order.symbol].base
        worth, sign = quantity * price, 1 if order.side == "buy" else -1
        fee = worth * self.fee
        self.balances[base] = self.balances.get(base, ZERO) + sign * quantity
        self.balances[self.quote_asset] -= sign * worth + fee
        self._count += 1
        order.executions.append(Execution(f"t{self._count}", quantity, price, fee, ts))
        self.news.append((order, f"fill {len(order.executions) - 1}"))
        if order.side == "buy" and order.client_id.startswith(OURS):
            self.bought[order.symbol] += 1
        if not order.remaining:
            order.state = "filled"
            del self._working[order.symbol][order.client_id]

    def _end(self, order: TrueOrder, state: State) -> None:
        order.state = state
        del self._working[order.symbol][order.client_id]
        self.news.append((order, state))
