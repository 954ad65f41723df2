"""What happens by itself at a moment: sockets are cut, money comes and goes, somebody trades by hand."""

import asyncio
import contextlib
from collections.abc import Callable
from decimal import ROUND_FLOOR, Decimal
from itertools import count
from typing import Final

from exchanges.practice.account import Account
from exchanges.practice.fault_script import Fault
from exchanges.practice.faults import Faults, plain
from exchanges.practice.market_view import MarketView
from exchanges.practice.matching import Matching
from exchanges.practice.order import ZERO
from exchanges.practice.order_rules import NewOrder
from exchanges.practice.pairs import Pair
from exchanges.practice.rest_market import VenueRefusal

_EVERY_S: Final = 0.05
_NAMES: Final = ("feed_down", "stream_down", "deposit", "withdrawal", "foreign_order", "sold_by_hand", "crash")
_DEPOSIT: Final = Decimal(500)
_WITHDRAWAL: Final = Decimal(300)
_SPENT_BY_HAND: Final = Decimal(50)
_CRASH: Final = 0.97


class FaultHand:
    """Lets the faults that need no request or frame happen. `cut_*` end all sockets of a kind."""

    def __init__(
        self, faults: Faults, view: MarketView, account: Account, matching: Matching, *,
        cut_market: Callable[[], None], cut_user: Callable[[], None],
    ) -> None:
        self._faults = faults
        self._view = view
        self._account = account
        self._matching = matching
        self._cut_market = cut_market
        self._cut_user = cut_user
        self._numbers = count(1)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_S)
            if not self._faults.is_empty:
                self.act()

    def act(self) -> None:
        """Do what has become due."""
        for fault in self._faults.begun(_NAMES):
            with contextlib.suppress(VenueRefusal):  # somebody's own order may be refused, as anybody's
                self._do(fault)

    def _do(self, fault: Fault) -> None:
        match fault.name:
            case "feed_down":
                self._cut_market()
            case "stream_down":
                self._cut_user()
            case "deposit":
                self._matching.move(self._asset(fault), _DEPOSIT)
            case "withdrawal":
                asset = self._asset(fault)
                self._matching.move(asset, -min(_WITHDRAWAL, self._account.balance(asset)[0]))
            case "foreign_order":
                self._matching.place(self._by_hand(self._pair(fault), "BUY", quote=_SPENT_BY_HAND))
            case "sold_by_hand":
                self._sell(self._pair(fault))
            case "crash":
                self._view.shock(self._pair(fault).name, _CRASH)

    def _sell(self, pair: Pair) -> None:
        step = pair.step or Decimal("1e-8")
        half = self._account.balance(pair.base)[0] / 2
        quantity = (half / step).to_integral_value(rounding=ROUND_FLOOR) * step
        if quantity > ZERO:
            self._matching.place(self._by_hand(pair, "SELL", quantity=quantity))

    def _by_hand(self, pair: Pair, side: str, *, quantity: Decimal = ZERO, quote: Decimal = ZERO) -> NewOrder:
        client_id = f"web_{self._view.now_ms()}_{next(self._numbers)}"
        return NewOrder(pair, side, "MARKET", "GTC", ZERO, quantity, quote, ZERO, client_id, "ACK")

    def _pair(self, fault: Fault) -> Pair:
        pairs = list(self._view.pairs.values())
        return next((pair for pair in pairs if plain(pair.name) == plain(fault.target)), pairs[0])

    def _asset(self, fault: Fault) -> str:
        return fault.target.upper() or next(iter(self._view.pairs.values())).quote
