"""Once a second: what becomes of working orders that nobody touches. Asks each subject's own module."""

from bus.ids import ClientOrderId
from bus.messages.orders import SubmitOrder
from market.interval import SECOND_NS
from market.money import ZERO
from orders import account, exits, grid_inventory, rebalance
from orders.cancelling import request_cancel
from orders.desk import Desk
from orders.improvement import improve
from orders.order_table import Order
from orders.reassess import reassess
from orders.replacing import go_on
from orders.time_rules import TimeRules

CLOSE_AGAIN_NS = 30 * SECOND_NS
DAY_END_TAG = "day-end"


class Upkeep:
    """Its own memory is when a sale at the end of the day was last tried: lost in a restart, it is tried once more."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._closed_ns: dict[str, int] = {}

    def run(self) -> None:
        """All that is due at `desk.now`."""
        desk, rules = self._desk, self._desk.config.time_rules
        is_ending = rules.is_day_ending(desk.now)
        for order in desk.state.orders.working():
            if not order.is_working:
                continue  # ended by one before it in this very round
            if not order.is_exit:
                self._keep_hours(order, rules, is_ending=is_ending)
            if order.spec.replaces and order.is_waiting:
                go_on(desk, order)
            elif order.is_working:
                reassess(desk, order)
                improve(desk, order)
        if is_ending:
            self._close_for_the_day(rules)
        elif self._closed_ns:
            self._closed_ns.clear()
        rebalance.go_on(desk)

    # ---- hours -------------------------------------------------------------------------------------

    def _keep_hours(self, order: Order, rules: TimeRules, *, is_ending: bool) -> None:
        """Entries that could be filled inside closed hours are ended; those the engine holds only when the day ends."""
        if is_ending and (rules.closes_with_day or order.spec.ends_with_day):
            request_cancel(self._desk, order, "the trading day ends")
        elif order.is_at_venue and order.wire_type == "limit":
            blackout = rules.blackout(self._desk.now)
            if blackout is not None:
                request_cancel(self._desk, order, f"no entries during the blackout {blackout.text} (UTC)")

    def _close_for_the_day(self, rules: TimeRules) -> None:
        desk = self._desk
        for symbol in sorted(desk.state.ledger.positions):
            if account.held_quantity(desk.state, desk.markets[symbol]) <= ZERO or not self._is_due(symbol):
                continue
            if rules.closes_with_day:
                if not any(exits.is_closing(order) for order in desk.state.orders.exits(symbol)):
                    exits.close_position(
                        desk, symbol, origin="protective", tag=exits.CLOSE_TAG, reason="the trading day ends",
                    )
            else:
                self._close_day_entries(symbol)

    def _close_day_entries(self, symbol: str) -> None:
        """Sell what entries that were given for the day have brought: nothing else of it, nothing of a grid."""
        desk = self._desk
        market = desk.markets[symbol]
        position = desk.state.ledger.position(symbol)
        for entry in tuple(desk.state.orders):
            spec = entry.spec
            if spec.symbol != symbol or not spec.ends_with_day or not entry.filled or position is None:
                continue
            if entry.created_ns < position.opened_ns and entry.ended_ns and entry.ended_ns < position.opened_ns:
                continue
            family = desk.state.orders.family(entry.client_order_id)
            if any(child.is_working and not child.is_armed for child in family):
                continue
            left = entry.filled - entry.fees.get(market.instrument.base, ZERO) - sum(
                (child.filled for child in family), ZERO,
            )
            quantity = min(market.instrument.round_quantity(left), grid_inventory.beside(desk, symbol))
            if quantity > ZERO:
                exits.begin_exit(desk, SubmitOrder(
                    client_order_id=desk.next_id(), symbol=symbol, side="sell", order_type="market", quantity=quantity,
                    origin="protective", reduce_only=True, parent_id=ClientOrderId(entry.client_order_id),
                    tag=DAY_END_TAG, reason="the trading day ends",
                ))

    def _is_due(self, symbol: str) -> bool:
        now, last = self._desk.now, self._closed_ns.get(symbol)
        if last is not None and now - last < CLOSE_AGAIN_NS:
            return False
        self._closed_ns[symbol] = now
        return True
