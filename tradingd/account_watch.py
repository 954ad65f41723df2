"""Our books against the venue's balances while trading live: money that comes or goes, and what hands did there.

A difference is believed when two looks in a row find the same one, while our books stood still and no order's fate was
unknown: a fill that is on its way looks like a deposit for a moment. One whose report was lost looks like it for ever
(F24): so at the first sight the venue is asked about every order that may be working. Quote currency then becomes a
deposit or a withdrawal (T13). A surplus of a base asset is foreign, never ours: it is told once and never touched. A
deficit means that what we hold was sold or moved by hand: the position shrinks to what is left (F32), for the venue
would refuse every stop and exit that sells more. Not while our own sells rest there for more than it says to have: such
a page of balances contradicts itself, and a person must look. Two looks fit into half a minute (F72).
"""

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final

from bus.messages.ledger import FundsChanged
from bus.messages.system import AlertRaised
from exchanges.answers import VenueError
from exchanges.venue import TellsBalances, Venue, WatchesOrders
from market.instrument import Instrument
from market.money import ZERO, to_text
from tradingd.balance_hints import BalanceHints, holdings, is_any_on_its_way, orders_at_venue
from tradingd.runtime import Runtime
from tradingd.stranger_watch import StrangerWatch

PAUSE_S: Final = 12.0


class AccountWatch:
    """`change_funds` journals the fact and gives it to the engine."""

    def __init__(
        self, runtime: Runtime, venue: Venue, quote: str, instruments: Sequence[Instrument],
        change_funds: Callable[[FundsChanged], None],
    ) -> None:
        self._runtime = runtime
        self._venue = venue
        self._quote = quote
        self._steps = {each.base: each.quantity_step for each in instruments if each.quote == quote}
        self._symbols = {each.base: each.symbol for each in instruments if each.quote == quote}
        self._change_funds = change_funds
        self._seen: dict[str, Decimal] = {}
        self._told: dict[str, Decimal] = {}
        self._parts: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """For ever: look, and look again; and where the venue tells of balances, follow its hints."""
        parts = [self._look_on()]
        if isinstance(self._venue, TellsBalances):
            hints = BalanceHints(self._runtime, self._venue, self._symbols, self._steps)
            self._venue.listen_to_balances(hints.on_balances)
            parts.append(hints.run())
        if isinstance(self._venue, WatchesOrders):
            parts.append(StrangerWatch(self._runtime, self._venue).run())
        async with asyncio.TaskGroup() as tasks:
            self._parts = [tasks.create_task(part) for part in parts]

    async def _look_on(self) -> None:
        while True:
            await asyncio.sleep(PAUSE_S)
            await self.look()

    async def look(self) -> None:
        """One comparison. A venue that does not answer is told of by its adapter; here it only means: not now."""
        ours = holdings(self._runtime)
        try:
            theirs = await self._venue.balances()
        except VenueError:
            self._seen = {}
            return
        if ours != holdings(self._runtime) or is_any_on_its_way(self._runtime):
            self._seen = {}
            return
        found = {
            asset: difference for asset in sorted({self._quote, *self._steps})
            if abs(difference := theirs.get(asset, ZERO) - ours.get(asset, ZERO)) >= self._steps.get(asset, ZERO)
            and difference
        }
        is_news = any(self._seen.get(asset) != difference for asset, difference in found.items())
        if is_news:
            query_working(self._runtime, self._venue)
        for asset, difference in found.items():
            if not is_news:
                self._believe(asset, difference, theirs.get(asset, ZERO))
        self._seen = found
        self._told = {asset: told for asset, told in self._told.items() if asset in found}

    def _believe(self, asset: str, difference: Decimal, balance: Decimal) -> None:
        if asset == self._quote:
            word = "deposit" if difference > ZERO else "withdrawal"
            self._change_funds(FundsChanged(asset, difference, balance, f"{word} found at the venue"))
            return
        is_gone = difference < ZERO and self._runtime.engine.orders.selling(self._symbols[asset]) <= balance
        if self._told.get(asset) != difference or is_gone:
            self._told[asset] = difference
            self._runtime.record("daemon", _alert(asset, difference, balance if is_gone else None))
        if is_gone:
            self._change_funds(FundsChanged(asset, difference, balance, "sold or moved by hand"))


def query_working(runtime: Runtime, venue: Venue) -> None:
    """Ask the venue about every order that may be working there."""
    for order in orders_at_venue(runtime):
        venue.query(order.client_order_id, order.spec.symbol)


def _alert(asset: str, difference: Decimal, left: Decimal | None) -> AlertRaised:
    amount = to_text(abs(difference))
    if difference > ZERO:
        return AlertRaised(
            "info", f"{asset} that is not ours",
            f"The account holds {amount} {asset} more than our books. It is foreign: it is never sold and counts for "
            "nothing here.",
        )
    follows = (
        f"Our books follow: {to_text(left)} {asset} are left. What is brought back counts as foreign."
        if left is not None else
        "Yet more than it holds is for sale there by orders of ours: look at the exchange."
    )
    return AlertRaised(
        "critical", f"{asset} is missing",
        f"The account holds {amount} {asset} less than our books: it was sold or moved by hand. {follows}",
    )
