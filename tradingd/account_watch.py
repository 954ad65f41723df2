"""Our books against the venue's balances while trading live: money that comes or goes, and what hands did there.

A difference is believed when two looks in a row find the same one, and no order of that symbol, for money no order at
all, is on its way: its fill would look like a deposit for a moment. One whose report was lost looks like it for ever
(F24): so at the first sight the venue is asked about every order that may be working. Quote currency then becomes a
deposit or a withdrawal (T13). A surplus of a base asset is foreign, never ours: it is told once and never touched. A
deficit means that what we hold was sold or moved by hand: the position shrinks to what is left (F32), for the venue
would refuse every stop and exit that sells more. Not while our own sells rest there for more than it says to have: such
a page of balances contradicts itself, and a person must look. Two looks fit into half a minute (F72).
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from bus.messages.header import Message
from bus.messages.ledger import FundsChanged
from bus.messages.orders import OrderFilled
from bus.messages.system import AlertRaised
from exchanges.answers import VenueError
from exchanges.venue import CountsQuestions, TellsBalances, Venue, WatchesOrders
from market.instrument import Instrument
from market.money import ZERO, to_text
from tradingd.balance_hints import BalanceHints, holdings, is_on_its_way, orders_at_venue
from tradingd.runtime import Runtime
from tradingd.stranger_watch import StrangerWatch

PAUSE_S: Final = 12.0
MOST_MISSED: Final = 2
"""Looks that may be missed between the two that find the same."""
_FILLS_READ: Final = 500


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
        self._seen: dict[str, _Sight] = {}
        self._told: dict[str, Decimal] = {}
        self._parts: list[asyncio.Task[None]] = []
        self._pay_fees: set[str] = set()
        """Coins that paid fees for orders of other symbols."""
        for record in runtime.read_model.results.fills.newest(_FILLS_READ):
            self._note_fee(record.fill)
        runtime.listeners.append(self._hear)

    def _hear(self, message: Message) -> None:
        if type(message.body) is OrderFilled:
            self._note_fee(message.body)

    def _note_fee(self, fill: OrderFilled) -> None:
        if fill.fee and fill.fee_asset in self._symbols and fill.fee_asset != fill.symbol.partition("/")[0]:
            self._pay_fees.add(fill.fee_asset)

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
            self._seen = self._passed_over(self._seen)
            return
        if ours != holdings(self._runtime):
            self._seen = self._passed_over(self._seen)
            return
        waiting = self._waiting()
        found = {
            asset: difference for asset in sorted({self._quote, *self._steps} - waiting)
            if abs(difference := theirs.get(asset, ZERO) - ours.get(asset, ZERO)) >= self._steps.get(asset, ZERO)
            and difference
        }
        if any(asset not in self._seen or self._seen[asset].difference != each for asset, each in found.items()):
            query_working(self._runtime, self._venue)
        seen = self._passed_over(waiting)
        for asset, difference in found.items():
            held = ours.get(asset, ZERO)
            sure = self._sure(asset, difference, held)
            is_booked = bool(sure) and self._believe(asset, sure, held + sure)
            if not is_booked:
                seen[asset] = _Sight(difference, held)
            elif difference != sure:
                seen[asset] = _Sight(difference - sure, held + sure)
        self._seen = seen
        self._told = {asset: told for asset, told in self._told.items() if asset in found or asset in waiting}

    def _waiting(self) -> set[str]:
        """Assets whose balance may show the work of an order that has not told of it; money is everybody's, and what
        pays the fees. Answers are waited for as long as a look may be missed.
        """
        there, now = orders_at_venue(self._runtime), self._runtime.clock.now()
        moving = {order.spec.symbol for order in there if is_on_its_way(order, now)}
        assets = {base for base, symbol in self._symbols.items() if symbol in moving}
        if moving:
            assets |= self._pay_fees
        if moving or self._runtime.health.is_raised("reconciliation"):
            assets.add(self._quote)
        if isinstance(self._venue, CountsQuestions) and self._venue.questions:
            asked = {order.spec.symbol for order in there}
            bases = {base for base, symbol in self._symbols.items() if symbol in asked}
            assets |= {each for each in (*bases, self._quote) if self._is_patient(each)}
        return assets

    def _is_patient(self, asset: str) -> bool:
        seen = self._seen.get(asset)
        return seen is not None and seen.missed < MOST_MISSED

    def _passed_over(self, assets: Iterable[str]) -> dict[str, "_Sight"]:
        """What was seen of these, for another look: but what is too old proves nothing of now."""
        return {
            asset: replace(self._seen[asset], missed=self._seen[asset].missed + 1)
            for asset in assets if asset in self._seen and self._seen[asset].missed < MOST_MISSED
        }

    def _sure(self, asset: str, difference: Decimal, held: Decimal) -> Decimal:
        """So much of it is believed: what the look before found, too.

        Who sells a little every ten seconds leaves another difference at each look: while our own books stand still,
        the smaller of two is there twice. A surplus of coins is only told, and not at each of its steps.
        """
        before = self._seen.get(asset)
        if before is None:
            return ZERO
        if before.difference == difference:
            return difference
        has_stood = before.ours == held and before.difference * difference > ZERO
        if not has_stood or (difference > ZERO and asset != self._quote):
            return ZERO
        return min(before.difference, difference, key=abs)

    def _believe(self, asset: str, difference: Decimal, balance: Decimal) -> bool:
        """Whether our books follow; `balance` is what they say then."""
        if asset == self._quote:
            word = "deposit" if difference > ZERO else "withdrawal"
            self._change_funds(FundsChanged(asset, difference, balance, f"{word} found at the venue"))
            return True
        is_gone = difference < ZERO and self._runtime.engine.orders.selling(self._symbols[asset]) <= balance
        if self._told.get(asset) != difference or is_gone:
            self._told[asset] = difference
            self._runtime.record("daemon", _alert(asset, difference, balance if is_gone else None))
        if is_gone:
            self._change_funds(FundsChanged(asset, difference, balance, "sold or moved by hand"))
        return is_gone


@dataclass(frozen=True, slots=True)
class _Sight:
    """A difference as a look found it, and what our books said then; `missed` looks have not seen to it since."""

    difference: Decimal
    ours: Decimal
    missed: int = 0


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
