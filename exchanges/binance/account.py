"""What a Binance account holds: balances, the orders that rest there, the trades of one; and whether it is refused."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from bus.ids import ClientOrderId, VenueOrderId
from exchanges.answers import Answer, VenueError
from exchanges.binance.order_answers import KEY_CODES, OrderStatus
from exchanges.binance.private_budget import PrivateBudget
from exchanges.binance.rest import TIMESTAMP_REFUSED, RestClient
from exchanges.binance.weight_budget import FOR_FATES
from exchanges.venue import OpenOrder
from market.money import MoneyError, parse_decimal

TRADES_A_PAGE: Final = 1_000
MOST_TRADE_PAGES: Final = 50


class BinanceAccount:
    """Reads one account, within `private_per_s` signed requests a second.

    `symbol_by_wire`: our symbol of each of the venue's. `on_refused` hears each time why the venue refuses the account.
    """

    def __init__(
        self, name: str, rest: RestClient, symbol_by_wire: Mapping[str, str], private_per_s: float,
        on_refused: Callable[[str], None],
    ) -> None:
        self._name = name
        self._rest = rest
        self._symbol_by_wire = symbol_by_wire
        self._private_per_s = private_per_s
        self._on_refused = on_refused
        self._budget: PrivateBudget | None = None

    def budget(self) -> PrivateBudget:
        """Of the account's signed requests, its orders among them; to be called inside a running loop."""
        if self._budget is None:
            self._budget = PrivateBudget(self._private_per_s, asyncio.get_running_loop().time)
        return self._budget

    async def balances(self) -> dict[str, Decimal]:
        """Free and locked per asset, without the zeros; raises `VenueError`."""
        await self.budget().take(is_urgent=False)
        answer = await self._rest.read("/api/v3/account", weight=20, signed=True)
        body = self.good(answer, "account")
        try:
            totals = {
                str(row["asset"]): parse_decimal(row["free"], "free") + parse_decimal(row["locked"], "locked")
                for row in body["balances"]
            }
        except (KeyError, TypeError, MoneyError) as error:
            raise self._odd("account", error) from error
        return {asset: total for asset, total in sorted(totals.items()) if total}

    async def open_orders(self) -> Sequence[OpenOrder]:
        """All working orders of the account, ours or not; raises `VenueError`."""
        await self.budget().take(is_urgent=False)
        answer = await self._rest.read("/api/v3/openOrders", weight=80, signed=True)
        body = self.good(answer, "openOrders")
        try:
            return [
                OpenOrder(
                    ClientOrderId(str(row["clientOrderId"])), VenueOrderId(str(row["orderId"])),
                    self._symbol_by_wire.get(row["symbol"], str(row["symbol"])),
                    parse_decimal(row["origQty"], "origQty"), parse_decimal(row["executedQty"], "executedQty"),
                )
                for row in body
            ]
        except (KeyError, TypeError, MoneyError) as error:
            raise self._odd("openOrders", error) from error

    async def trades(self, wire: str, status: OrderStatus) -> Sequence[Any]:
        """The order's `myTrades`, which tells the latest page unless it is asked from a trade's number on."""
        found: list[Any] = []
        wish: dict[str, str | int] = {"symbol": wire, "orderId": status.venue_order_id, "limit": TRADES_A_PAGE}
        for _ in range(MOST_TRADE_PAGES):
            await self.budget().take(is_urgent=False)
            answer = await self._rest.read("/api/v3/myTrades", wish, weight=5, reserve=FOR_FATES, signed=True)
            body = self.good(answer, "myTrades")
            rows = body if isinstance(body, list) else []
            if len(rows) < TRADES_A_PAGE:
                return found + rows
            if "fromId" not in wish:
                wish["fromId"] = 0  # there are more: from the first one on
                continue
            last = rows[-1].get("id") if isinstance(rows[-1], dict) else None
            if type(last) is not int or last < int(wish["fromId"]):
                break  # a server that does not turn its pages
            found += rows
            wish["fromId"] = last + 1
        return found

    def watch(self, answer: Answer) -> None:
        """Tell of an answer that refuses the account: its keys, or a clock that cannot be set."""
        if answer.code in KEY_CODES:
            self._on_refused(
                f"{self._name}: the venue refuses our keys ({answer.code}: {answer.message}). Check the key, its "
                "rights and its address list at the exchange."
            )
        elif answer.code == TIMESTAMP_REFUSED:
            self._on_refused(
                f"{self._name}: the venue refuses our clock even after setting it ({answer.message}). "
                "Synchronise this machine's clock (NTP)."
            )

    def good(self, answer: Answer, what: str) -> Any:
        """Its body; raises `VenueError` for a refusal."""
        if answer.is_ok:
            return answer.body
        self.watch(answer)
        raise VenueError(
            f"{self._name}: {what}: HTTP {answer.status} {answer.code} {answer.message.rstrip('.')}. "
            "Check the keys and their rights."
        )

    def _odd(self, what: str, error: Exception) -> VenueError:
        return VenueError(f"{self._name}: {what}: not what Binance documents: {type(error).__name__} {error}. "
                          f"Check rest_url of [venues.{self._name}].")
