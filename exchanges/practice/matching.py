"""Matches client orders against the market: takers walk the book, resting orders wait for trades and quotes.

The market does not feel the orders: fills are not printed, and quantity taken from a level is only gone until
the book next changes. Fees are 0.1 % of what is received; of an order with `fee_in_quote`, 0.1 % of its turnover.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import ROUND_FLOOR, Decimal
from typing import Any, Final, Protocol

from exchanges.practice.account import Account
from exchanges.practice.market_view import Level, MarketView
from exchanges.practice.order import TRIGGERED, ZERO, Fill, Order
from exchanges.practice.order_formats import account_position, execution_report
from exchanges.practice.order_rules import NewOrder, check_notional
from exchanges.practice.pairs import Pair
from exchanges.practice.rest_market import VenueRefusal

FEE: Final = Decimal("0.001")
_EIGHT: Final = Decimal("1e-8")
_BALANCE: Final = "Account has insufficient balance for requested action."
_STOP_THROUGH: Final = "Stop price would trigger immediately."
_REASONS: Final = {_BALANCE: "INSUFFICIENT_BALANCES", _STOP_THROUGH: "STOP_PRICE_WOULD_TRIGGER_IMMEDIATELY"}
UserSink = Callable[[dict[str, Any]], None]


class Executions(Protocol):
    """Where faults of the matching itself come from."""

    def pieces(self, pair: Pair, order: Order, quantity: Decimal) -> Sequence[Decimal]:
        """What a taker takes from one level, in parts."""
        ...

    def excess(self, pair: Pair, order: Order) -> Decimal:
        """How much more than was ordered a filled order gets."""
        ...

    def refuses_stop(self, order: Order) -> bool: ...

    def refuses_orders(self, pair: Pair) -> bool:
        """Whether the market is closed: nothing is taken and nothing is matched."""
        ...


class _NoFaults:
    def pieces(self, pair: Pair, order: Order, quantity: Decimal) -> Sequence[Decimal]:
        return (quantity,)

    def excess(self, pair: Pair, order: Order) -> Decimal:
        return ZERO

    def refuses_stop(self, order: Order) -> bool:
        return False

    def refuses_orders(self, pair: Pair) -> bool:
        return False


class Matching:
    """All orders of the account. Each public call commits before it returns or tells anybody."""

    def __init__(
        self, view: MarketView, account: Account, sink: UserSink, executions: Executions | None = None
    ) -> None:
        self._view = view
        self._executions: Executions = executions or _NoFaults()
        self._account = account
        self._sink = sink
        self._reports: list[dict[str, Any]] = []
        self._taken: dict[tuple[str, bool], tuple[int, dict[Decimal, Decimal]]] = {}

    # placing -----------------------------------------------------------------------------------------------

    def place(self, new: NewOrder) -> tuple[Order, list[Fill]]:
        """Accept and match an order; raises `VenueRefusal` (-2010, -1013) when it is rejected."""
        order = self._make(new)
        try:
            self._check(new, order)
        except VenueRefusal as refusal:
            if refusal.code == -2010 and "Duplicate" not in str(refusal):
                order.status = "REJECTED"
                reason = _REASONS.get(str(refusal), "WOULD_MATCH_IMMEDIATELY")
                self._reports.append(execution_report(order, "REJECTED", order.created_ms, reason=reason))
                self._commit()
            raise
        self._hold(new.pair, order)
        self._account.touch(order)
        self._reports.append(execution_report(order, "NEW", order.created_ms))
        fills = self._execute(new.pair, order) if order.is_working else []
        self._commit()
        return order, fills

    def check(self, new: NewOrder) -> None:
        """Everything that `place` would check, without placing (POST /order/test)."""
        self._check(new, self._make(new))

    def _make(self, new: NewOrder) -> Order:
        now = self._view.now_ms()
        order_id = self._account.next_order_id()
        is_stop = new.kind in TRIGGERED
        return Order(
            order_id, new.client_id or f"practice-{order_id}", new.pair.name, new.side, new.kind, new.time_in_force,
            new.price, new.quantity, new.quote_quantity, new.stop_price, now, now,
            is_working=not is_stop, working_ms=0 if is_stop else now, fee_in_quote=new.fee_in_quote,
        )

    def _check(self, new: NewOrder, order: Order) -> None:
        pair = new.pair
        if self._executions.refuses_orders(pair):
            raise VenueRefusal(-1013, "Market is closed.")
        standing = self._account.find(pair.name, None, order.client_id)
        if standing is not None and standing.is_open:
            raise VenueRefusal(-2010, "Duplicate order sent.")
        if sum(o.name == pair.name for o in self._account.open_orders.values()) >= pair.max_orders > 0:
            raise VenueRefusal(-1013, "Filter failure: MAX_NUM_ORDERS")
        last = self._view.last_price(pair.name)
        is_through = last is not None and order.stop_price > ZERO and order.is_triggered_by(last)
        if new.kind in TRIGGERED and (is_through or self._executions.refuses_stop(order)):
            raise VenueRefusal(-2010, _STOP_THROUGH)
        if new.kind == "MARKET" and new.quantity and last is not None:
            check_notional(pair, last * new.quantity)
        if new.kind == "LIMIT_MAKER" and next(self._crossing(order), None) is not None:
            raise VenueRefusal(-2010, "Order would immediately match and take.")
        asset, amount = self._cost(pair, order)
        if amount > self._account.balance(asset)[0]:
            raise VenueRefusal(-2010, _BALANCE)

    def _cost(self, pair: Pair, order: Order) -> tuple[str, Decimal]:
        """What the order may need, and of which asset."""
        if not order.is_buy:
            if order.quantity:
                return pair.base, order.quantity
            return pair.base, self._walk_quote(pair, order)[0]
        if order.is_limit:
            return pair.quote, order.price * order.quantity * _with_fee(order)
        if order.stop_price:
            return pair.quote, order.stop_price * order.quantity * _with_fee(order)
        if order.quote_quantity:
            return pair.quote, order.quote_quantity
        left, cost = order.quantity, ZERO
        for price, quantity in self._crossing(order):
            part = min(left, quantity)
            cost, left = cost + part * price, left - part
            if left <= ZERO:
                break
        return pair.quote, cost * _with_fee(order)

    def _hold(self, pair: Pair, order: Order) -> None:
        if order.kind == "MARKET":
            return
        if order.is_buy:
            order.hold_price = (order.price if order.is_limit else order.stop_price) * _with_fee(order)
        else:
            order.hold_price = Decimal(1)
        amount = order.hold_price * order.quantity
        self._account.add(pair.quote if order.is_buy else pair.base, -amount, amount)

    # taking ------------------------------------------------------------------------------------------------

    def _execute(self, pair: Pair, order: Order) -> list[Fill]:
        """Take what crosses, then rest or expire."""
        fills: list[Fill] = []
        if order.quote_quantity:
            order.quantity = self._walk_quote(pair, order)[0]
        if order.time_in_force != "FOK" or self._is_fillable(order):
            for price, quantity in self._crossing(order):
                part = min(order.left, quantity)
                if part <= ZERO or not self._can_pay(pair, order, price, part):
                    break
                self._use(order, price, part)
                for piece in self._executions.pieces(pair, order, part):
                    fills.append(self._fill(pair, order, price, piece, is_maker=False))
        if order.is_open and (not order.is_limit or order.time_in_force != "GTC"):
            self._finish(pair, order, "EXPIRED")
        return fills

    def _crossing(self, order: Order) -> Iterator[Level]:
        """Levels on the other side the order may take, best first, without what was just taken."""
        key = (order.name, not order.is_buy)
        version = self._view.book_version(order.name)
        known = self._taken.get(key)
        taken = known[1] if known is not None and known[0] == version else {}
        for price, quantity in self._view.offers(order.name, is_bid=not order.is_buy):
            if order.is_limit and (price > order.price if order.is_buy else price < order.price):
                return
            there = quantity - taken.get(price, ZERO)
            if there > ZERO:
                yield price, there

    def _use(self, order: Order, price: Decimal, quantity: Decimal) -> None:
        key = (order.name, not order.is_buy)
        version = self._view.book_version(order.name)
        known = self._taken.get(key)
        taken = known[1] if known is not None and known[0] == version else {}
        taken[price] = taken.get(price, ZERO) + quantity
        self._taken[key] = (version, taken)

    def _walk_quote(self, pair: Pair, order: Order) -> tuple[Decimal, Decimal]:
        """Quantity (whole steps) and cost that `quote_quantity` reaches."""
        bought, left = ZERO, order.quote_quantity / _with_fee(order)
        for price, quantity in self._crossing(order):
            part = min(quantity, _floor(left / price, pair.step))
            bought, left = bought + part, left - part * price
            if part < quantity:
                break
        return bought, order.quote_quantity / _with_fee(order) - left

    def _is_fillable(self, order: Order) -> bool:
        return sum((quantity for _, quantity in self._crossing(order)), ZERO) >= order.left

    def _can_pay(self, pair: Pair, order: Order, price: Decimal, quantity: Decimal) -> bool:
        """A triggered stop may cost more than was held for it."""
        if not order.is_buy:
            return order.hold_price > ZERO or self._account.balance(pair.base)[0] >= quantity
        cost = price * quantity * _with_fee(order)
        return self._account.balance(pair.quote)[0] + order.hold_price * quantity >= cost

    def _fill(self, pair: Pair, order: Order, price: Decimal, quantity: Decimal, *, is_maker: bool) -> Fill:
        turnover = price * quantity
        held = order.hold_price * quantity
        if order.is_buy and order.fee_in_quote:
            fee, fee_asset = _fee(turnover), pair.quote
            self._account.add(pair.quote, held - turnover - fee, -held)
            self._account.add(pair.base, quantity)
        elif order.is_buy:
            fee, fee_asset = _fee(quantity), pair.base
            self._account.add(pair.quote, held - turnover, -held)
            self._account.add(pair.base, quantity - fee)
        else:
            fee, fee_asset = _fee(turnover), pair.quote
            self._account.add(pair.base, held - quantity, -held)
            self._account.add(pair.quote, turnover - fee)
        order.executed += quantity
        order.turnover += turnover
        order.updated_ms = self._view.now_ms()
        order.status = "PARTIALLY_FILLED" if order.left > ZERO else "FILLED"
        fill = Fill(
            self._account.next_trade_id(), order.order_id, order.name, price, quantity, turnover, fee, fee_asset,
            order.updated_ms, order.is_buy, is_maker,
        )
        self._account.book_fill(fill)
        self._account.touch(order)
        self._reports.append(execution_report(order, "TRADE", order.updated_ms, fill))
        if order.left == ZERO:
            self._overfill(pair, order, price)
        return fill

    def _overfill(self, pair: Pair, order: Order, price: Decimal) -> None:
        excess = self._executions.excess(pair, order)
        if excess > ZERO:
            order.hold_price = ZERO
            asset, amount = (pair.quote, excess * price * 2) if order.is_buy else (pair.base, excess)
            if self._account.balance(asset)[0] >= amount:
                self._fill(pair, order, price, excess, is_maker=False)

    def _finish(self, pair: Pair, order: Order, status: str, cancel_id: str = "") -> None:
        held = order.hold_price * order.left
        if held:
            self._account.add(pair.quote if order.is_buy else pair.base, held, -held)
        order.status = status
        order.updated_ms = self._view.now_ms()
        self._account.touch(order)
        self._reports.append(execution_report(order, status, order.updated_ms, cancel_id=cancel_id))

    # cancelling --------------------------------------------------------------------------------------------

    def cancel(self, order: Order, cancel_id: str) -> str:
        """End an open order; returns the cancel's id. The caller has checked that it is open."""
        cancel_id = cancel_id or f"practice-cancel-{order.order_id}"
        self._finish(self._view.pairs[order.name], order, "CANCELED", cancel_id)
        self._commit()
        return cancel_id

    # resting -----------------------------------------------------------------------------------------------

    def wants(self, name: str) -> bool:
        return any(order.name == name for order in self._account.open_orders.values())

    def on_trade(self, name: str, price: Decimal, quantity: Decimal, *, maker_is_buyer: bool) -> None:
        """A public trade: triggers stops, and fills resting limits it reached, best priced first."""
        pair = self._view.pairs[name]
        if self._executions.refuses_orders(pair):
            return
        for order in self._resting(name, is_working=False):
            if order.is_triggered_by(price):
                self._trigger(pair, order)
        left = quantity
        for order in self._resting(name, is_working=True):
            if left > ZERO and (price <= order.price if order.is_buy else price >= order.price):
                part = min(left, order.left)
                left -= part
                self._fill(pair, order, order.price, part, is_maker=True)
        self._commit()

    def on_book(self, name: str) -> None:
        """New quotes: a resting limit that they cross is filled with what they offer, at its own price."""
        pair = self._view.pairs[name]
        if self._executions.refuses_orders(pair):
            return
        for order in self._resting(name, is_working=True):
            for price, quantity in self._crossing(order):
                part = min(order.left, quantity)
                self._use(order, price, part)
                self._fill(pair, order, order.price, part, is_maker=True)
                if not order.is_open:
                    break
        self._commit()

    def _resting(self, name: str, *, is_working: bool) -> list[Order]:
        there = [o for o in self._account.open_orders.values() if o.name == name and o.is_working == is_working]
        return sorted(there, key=lambda o: (-o.price if o.is_buy else o.price, o.order_id))

    def _trigger(self, pair: Pair, order: Order) -> None:
        order.is_working = True
        order.working_ms = order.updated_ms = self._view.now_ms()
        self._account.touch(order)
        self._reports.append(execution_report(order, "NEW", order.updated_ms))
        self._execute(pair, order)

    def _commit(self) -> None:
        balances = self._account.commit()
        reports, self._reports = self._reports, []
        if balances:
            reports.append(account_position(balances, self._view.now_ms()))
        for report in reports:
            self._sink(report)

    def move(self, asset: str, amount: Decimal) -> None:
        """Money from outside (negative: to it)."""
        self._account.add(asset, amount)
        self._commit()

    def balances(self) -> Mapping[str, tuple[Decimal, Decimal]]:
        """All balances that are not nothing."""
        return {asset: self._account.balance(asset) for asset in sorted(self._account.free)}


def _floor(value: Decimal, step: Decimal) -> Decimal:
    return (value / step).to_integral_value(rounding=ROUND_FLOOR) * step if step else value


def _with_fee(order: Order) -> Decimal:
    """What a buyer's turnover costs, as a factor."""
    return 1 + FEE if order.fee_in_quote and order.is_buy else Decimal(1)


def _fee(received: Decimal) -> Decimal:
    return (received * FEE).quantize(_EIGHT, rounding=ROUND_FLOOR)
