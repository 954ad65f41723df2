"""Order entry and account questions, whichever way they came (REST or the websocket API)."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from exchanges.practice.account import Account
from exchanges.practice.market_view import MarketView
from exchanges.practice.matching import Matching
from exchanges.practice.order import Order
from exchanges.practice.order_formats import account_answer, cancelled_answer, fill_row, order_row, placed_answer
from exchanges.practice.order_rules import read_order
from exchanges.practice.rest_market import VenueRefusal, known_pair, needed, whole

_MOST: Final = 1_000
_DEFAULT: Final = 500
Params = Mapping[str, str]


class Desk:
    """Each method takes the request's parameters and returns the body of the answer."""

    def __init__(
        self, view: MarketView, account: Account, matching: Matching,
        hides: Callable[[Order, int], bool] = lambda _order, _now_ms: False,
    ) -> None:
        self._hides = hides
        self._view = view
        self._account = account
        self._matching = matching

    def place(self, params: Params) -> dict[str, Any]:
        pair = known_pair(self._view, needed(params, "symbol"))
        new = read_order(pair, params)
        order, fills = self._matching.place(new)
        return placed_answer(order, fills, new.response)

    def test(self, params: Params) -> dict[str, Any]:
        pair = known_pair(self._view, needed(params, "symbol"))
        self._matching.check(read_order(pair, params))
        return {}

    def query(self, params: Params) -> dict[str, Any]:
        order = self._named(params)
        if order is None or self._hides(order, self._view.now_ms()):
            raise VenueRefusal(-2013, "Order does not exist.")
        return order_row(order)

    def cancel(self, params: Params) -> dict[str, Any]:
        order = self._named(params)
        if order is None or not order.is_open:
            raise VenueRefusal(-2011, "Unknown order sent.")
        cancel_id = self._matching.cancel(order, params.get("newClientOrderId", ""))
        return cancelled_answer(order, cancel_id)

    def cancel_all(self, params: Params) -> list[dict[str, Any]]:
        name = known_pair(self._view, needed(params, "symbol")).name
        there = [order for order in self._account.open_orders.values() if order.name == name]
        if not there:
            raise VenueRefusal(-2011, "Unknown order sent.")
        return [cancelled_answer(order, self._matching.cancel(order, "")) for order in there]

    def open_orders(self, params: Params) -> list[dict[str, Any]]:
        name = known_pair(self._view, params["symbol"]).name if params.get("symbol") else None
        return [order_row(o) for o in self._account.open_orders.values() if name is None or o.name == name]

    def all_orders(self, params: Params) -> list[dict[str, Any]]:
        name = known_pair(self._view, needed(params, "symbol")).name
        first, since, until = whole(params, "orderId"), whole(params, "startTime"), whole(params, "endTime")
        there = [
            order for order in self._account.orders.values()
            if order.name == name and (first is None or order.order_id >= first)
            and (since is None or order.created_ms >= since) and (until is None or order.created_ms <= until)
        ]
        limit = _limit(params)
        chosen = there[-limit:] if first is None and since is None else there[:limit]
        return [order_row(order) for order in chosen]

    def my_trades(self, params: Params) -> list[dict[str, Any]]:
        name = known_pair(self._view, needed(params, "symbol")).name
        order_id, first = whole(params, "orderId"), whole(params, "fromId")
        since, until = whole(params, "startTime"), whole(params, "endTime")
        there = [
            fill for fill in self._account.fills.values()
            if fill.name == name and (order_id is None or fill.order_id == order_id)
            and (first is None or fill.trade_id >= first)
            and (since is None or fill.time_ms >= since) and (until is None or fill.time_ms <= until)
        ]
        limit = _limit(params)
        return [fill_row(fill) for fill in (there[-limit:] if first is None and since is None else there[:limit])]

    def account(self, params: Params) -> dict[str, Any]:
        balances = dict(self._matching.balances())
        if params.get("omitZeroBalances") == "true":
            balances = {asset: amounts for asset, amounts in balances.items() if any(amounts)}
        return account_answer(balances, self._view.now_ms())

    def _named(self, params: Params) -> Order | None:
        name = known_pair(self._view, needed(params, "symbol")).name
        order_id, client_id = whole(params, "orderId"), params.get("origClientOrderId")
        if order_id is None and not client_id:
            raise VenueRefusal(-1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!")
        return self._account.find(name, order_id, client_id)


def _limit(params: Params) -> int:
    limit = whole(params, "limit")
    return min(limit, _MOST) if limit else _DEFAULT
