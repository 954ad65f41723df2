"""Once a second: what becomes of working orders that nobody touches. Asks each subject's own module."""

from bus.ids import ClientOrderId
from bus.messages.orders import SubmitOrder
from market.interval import SECOND_NS
from market.money import ZERO
from orders import account, exits, grid_inventory, rebalance
from orders.cancelling import request_cancel
from orders.desk import Desk
from orders.improvement import improve
from orders.ledger import Position
from orders.order_table import Order
from orders.reassess import reassess
from orders.replacing import go_on
from orders.time_rules import MARGIN_S, TimeRules

CLOSE_AGAIN_NS = 30 * SECOND_NS
MOST_LATE_TRIES = MARGIN_S * SECOND_NS // CLOSE_AGAIN_NS
"""So often, as in the last minutes of a day, what a missed one should have sold is tried per symbol."""

DAY_END_TAG = "day-end"


class Upkeep:
    """Its own memory is when a sale at the end of the day was last tried: lost in a restart, it is tried once more.

    And the end of a day whose last minutes nobody was there for (the process was down, the machine asleep): what should
    have ended then ends now. Positions of all kinds only when it is sure that the rule was in force, and missed.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._closed_ns: dict[str, int] = {}
        self._run_ns = 0
        self._missed_end_ns = 0
        self._is_all_missed = False
        self._late_tries: dict[str, int] = {}

    def run(self) -> None:
        """All that is due at `desk.now`."""
        desk, rules = self._desk, self._desk.config.time_rules
        is_ending = rules.is_day_ending(desk.now)
        self._look_back(rules)
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
            if self._missed_end_ns:  # all that it was about ends now, and without a pause
                self._missed_end_ns = 0
                self._closed_ns.clear()
            self._close_for_the_day(is_all=rules.closes_with_day)
        elif self._missed_end_ns:
            self._close_late()
        elif self._closed_ns:
            self._closed_ns.clear()
        rebalance.go_on(desk)

    # ---- hours -------------------------------------------------------------------------------------

    def _look_back(self, rules: TimeRules) -> None:
        """Did a day end since the last look? What is for a day alone says so itself, whenever it was missed."""
        now, before = self._desk.now, self._run_ns or self._desk.left_ns
        is_first, self._run_ns = not self._run_ns, now
        end = rules.last_end(now)
        is_missed = 0 < before < end - MARGIN_S * SECOND_NS
        if is_missed or (is_first and before):
            self._missed_end_ns, self._is_all_missed = end, is_missed and rules.closes_with_day
            self._late_tries.clear()

    def _keep_hours(self, order: Order, rules: TimeRules, *, is_ending: bool) -> None:
        """Entries that could be filled inside closed hours are ended; those the engine holds only when the day ends."""
        is_late = order.created_ns < self._missed_end_ns
        if (
            (is_ending and (rules.closes_with_day or order.spec.ends_with_day))
            or (is_late and (self._is_all_missed or order.spec.ends_with_day))
        ):
            request_cancel(self._desk, order, "the trading day ends")
        elif order.is_at_venue and order.wire_type == "limit":
            blackout = rules.blackout(self._desk.now)
            if blackout is not None:
                request_cancel(self._desk, order, f"no entries during the blackout {blackout.text} (UTC)")

    def _close_for_the_day(self, *, is_all: bool) -> None:
        desk = self._desk
        for symbol in sorted(desk.state.ledger.positions):
            if account.held_quantity(desk.state, desk.markets[symbol]) > ZERO and self._is_due(symbol):
                self._close(symbol, is_all=is_all)

    def _close_late(self) -> None:
        """What a day that is over should have sold, where there is a price for it. What came later is of another."""
        desk = self._desk
        for symbol, position in sorted(desk.state.ledger.positions.items()):
            market, tries = desk.markets[symbol], self._late_tries.get(symbol, 0)
            if tries >= MOST_LATE_TRIES or market.mark is None or not account.takes_place(position, market):
                continue
            if self._is_all_missed and not self._is_late(symbol, position):
                continue
            if self._is_due(symbol):
                said = len(desk.out)
                self._close(symbol, is_all=self._is_all_missed, until=self._missed_end_ns)
                self._late_tries[symbol] = tries + (len(desk.out) > said)

    def _is_late(self, symbol: str, position: Position) -> bool:
        """Was it bought before the day ended, or by an entry of before that, of which nobody heard until now?"""
        return position.opened_ns < self._missed_end_ns or any(
            order.created_ns < self._missed_end_ns and order.filled and not order.is_exit
            and order.spec.symbol == symbol and not 0 < order.ended_ns < position.opened_ns
            for order in self._desk.state.orders
        )

    def _close(self, symbol: str, *, is_all: bool, until: int = 0) -> None:
        desk = self._desk
        if not is_all:
            self._close_day_entries(symbol, until)
        elif not any(exits.is_closing(order) for order in desk.state.orders.exits(symbol)):
            exits.close_position(
                desk, symbol, origin="protective", tag=exits.CLOSE_TAG, reason="the trading day ends",
            )

    def _close_day_entries(self, symbol: str, until: int) -> None:
        """Sell what entries that were given for the day have brought: nothing else of it, nothing of a grid."""
        desk = self._desk
        market = desk.markets[symbol]
        position = desk.state.ledger.position(symbol)
        for entry in tuple(desk.state.orders):
            spec = entry.spec
            if spec.symbol != symbol or not spec.ends_with_day or not entry.filled or position is None:
                continue
            if until and entry.created_ns >= until:
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
