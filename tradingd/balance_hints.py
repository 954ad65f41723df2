"""What a venue tells of its balances unasked, held against our books: it is not believed, but says where to look.

Coins that differ from the books while no order is on its way are, mostly, a fill whose report was lost: the symbol's
working orders are asked for at once, and not only when the account is compared next (F24). Coins that others had locked
and that are free again let refused exits be tried at once. Both a moment after the balances came: reports of the same
event may come behind them.
"""

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from exchanges.venue import AssetBalance, Venue
from market.interval import SECOND_NS
from market.money import ZERO
from orders.order_table import Order
from tradingd.runtime import Runtime

SETTLE_S: Final = 1.0
CANCEL_SETTLES_NS: Final = 10 * SECOND_NS
"""Within this time what raced with a cancel is told."""
MOST_QUESTIONS: Final = 20
"""So many orders of a symbol are asked for at one hint; the next comparison of the account asks for all."""
RETRY_PAUSE_S: Final = 5.0
"""Exits are not tried more often than this for coins that are free again."""


class BalanceHints:
    """`symbols` and `steps` by base asset: what is traded here, and the smallest amount that counts."""

    def __init__(
        self, runtime: Runtime, venue: Venue, symbols: Mapping[str, str], steps: Mapping[str, Decimal],
    ) -> None:
        self._runtime = runtime
        self._venue = venue
        self._symbols = symbols
        self._steps = steps
        self._new: dict[str, AssetBalance] = {}
        self._is_new = asyncio.Event()
        self._asked: dict[str, Decimal] = {}
        self._withheld: dict[str, Decimal] = {}
        self._retried_s = -RETRY_PAUSE_S

    def on_balances(self, balances: Mapping[str, AssetBalance]) -> None:
        """New ones by asset; the latest counts."""
        self._new.update({asset: balance for asset, balance in balances.items() if asset in self._symbols})
        if self._new:
            self._is_new.set()

    async def run(self) -> None:
        """For ever: a moment after each news."""
        while True:
            await self._is_new.wait()
            await asyncio.sleep(SETTLE_S)
            self._is_new.clear()
            self.consider(asyncio.get_running_loop().time())

    def consider(self, now_s: float) -> None:
        """What the latest balances hint at; while an order is on its way they wait. `now_s`: seconds of any clock."""
        if is_any_on_its_way(self._runtime):
            self._is_new.set()
            return
        new, self._new = self._new, {}
        held_by_asset = holdings(self._runtime)
        is_freed = False
        for asset, balance in new.items():
            held = held_by_asset.get(asset, ZERO)
            self._look_for_fills(asset, balance.free + balance.locked - held)
            is_freed |= self._is_freed(asset, held, balance.free)
        if is_freed and now_s - self._retried_s >= RETRY_PAUSE_S:
            self._retried_s = now_s
            self._runtime.try_exits_at_once()

    def _look_for_fills(self, asset: str, difference: Decimal) -> None:
        if abs(difference) < self._steps[asset]:
            self._asked.pop(asset, None)
        elif self._asked.get(asset) != difference:
            self._asked[asset] = difference
            for order in orders_at_venue(self._runtime, self._symbols[asset])[:MOST_QUESTIONS]:
                self._venue.query(order.client_order_id, order.spec.symbol)

    def _is_freed(self, asset: str, held: Decimal, free: Decimal) -> bool:
        """Whether less of what we hold is withheld from our sales than before, or than nobody knows."""
        withheld = max(ZERO, held - free - self._runtime.engine.orders.selling(self._symbols[asset]))
        before = self._withheld.get(asset)
        self._withheld[asset] = withheld
        return held > ZERO and (before is None or withheld < before)


def holdings(runtime: Runtime) -> dict[str, Decimal]:
    """What our books hold, by asset."""
    return {asset: amount for account, asset, amount in runtime.engine.ledger.accounts() if account == "holdings"}


def is_any_on_its_way(runtime: Runtime) -> bool:
    """Whether what the venue's balances show may be the work of an order whose report is not here yet."""
    now = runtime.clock.now()
    return any(is_on_its_way(order, now) for order in orders_at_venue(runtime))


def is_on_its_way(order: Order, now: int) -> bool:
    """Whether the venue may have done something with it that it has not told yet.

    A cancel without an answer is no reason to wait for ever: it moves no coins, and what it executed is asked for.
    """
    if order.detail == "pending_cancel" and not order.is_unknown:
        return now - order.history[-1].ts < CANCEL_SETTLES_NS
    return order.detail in ("sent", "unknown", "pending_cancel")


def orders_at_venue(runtime: Runtime, symbol: str = "") -> list[Order]:
    """The orders that may be working there, of one symbol, or of all with ""."""
    return [order for order in runtime.engine.orders.working(symbol) if order.is_at_venue]
