"""Held orders fire at prices that the market truly had: a lone print far away moves nothing (F09)."""

from collections import deque
from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

from bus.ids import ClientOrderId
from orders.order_table import FireRecord
from risk.approved import OrderRequest
from simulator.faults import HINDER_PROCESS
from simulator.schedule import SECOND

if TYPE_CHECKING:
    from simulator.world import World

_WITHIN_NS: Final = 5 * SECOND
_LATE_S: Final = 60.0
"""After a process that had no time, prices are older than they seem."""
_KEPT: Final = 60


class _Price(NamedTuple):
    ts: int
    bid: Decimal
    ask: Decimal


class Triggers:
    """`note_price` at each move of the market, `note_sent` as orders leave, `observe` once a second."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._sent: list[tuple[str, ClientOrderId]] = []
        self._far: dict[str, Decimal] = {}
        self._prices: dict[str, deque[_Price]] = {symbol: deque(maxlen=_KEPT) for symbol in world.markets}

    def note_price(self, symbol: str, bid: Decimal, ask: Decimal) -> None:
        self._prices[symbol].append(_Price(self._world.schedule.now, bid, ask))

    def note_print(self, symbol: str) -> None:
        """An ordinary print: a far one before it was alone."""
        self._far.pop(symbol, None)

    def note_far_print(self, symbol: str, price: Decimal) -> None:
        """One far from the market: the second in a row confirms the first, so the market had been there (F09)."""
        before, self._far[symbol] = self._far.get(symbol), price
        if before is not None:
            self.note_price(symbol, min(before, price), max(before, price))

    def note_sent(self, order: OrderRequest) -> None:
        if order.has_fired:
            self._sent.append((order.symbol, order.client_order_id))

    def observe(self) -> None:
        process = self._world.process
        if process is None or not self._sent:
            return
        sent, self._sent = self._sent, []
        if any(self._world.had(name, "", _LATE_S) for name in HINDER_PROCESS):
            return
        for symbol, client_id in sent:
            order = process.engine.orders.get(client_id)
            if order is not None and order.fires:
                self._judge(symbol, client_id, order.fires[-1])

    def _judge(self, symbol: str, client_id: ClientOrderId, fire: FireRecord) -> None:
        prices = self._prices[symbol]
        since = fire.ts - _WITHIN_NS
        if not prices or prices[0].ts > since:
            return
        before = max(price.ts for price in prices if price.ts <= since)
        true = [price for price in prices if price.ts >= before]
        low, high = min(price.bid for price in true), max(price.ask for price in true)
        if not low <= fire.price <= high:
            self._world.violate(f"{client_id}: fired at {fire.price}, and the market was between {low} and {high}")
