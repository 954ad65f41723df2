"""All that the engine knows of its own doing, as a fold over facts: live and after a restart the same code."""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from bus.ids import ClientOrderId, ProposalId, TradeId
from bus.messages.council import ProposalApproved
from bus.messages.grid import GridStarted
from bus.messages.header import Message
from bus.messages.ledger import FundsChanged, PositionClosed
from bus.messages.orders import (
    OrderAccepted,
    OrderCancelled,
    OrderDenied,
    OrderExpired,
    OrderFilled,
    OrderInitialized,
    OrderPendingCancel,
    OrderRejected,
    OrderSubmitted,
    OrderTriggered,
    OrderUnknown,
    OrderUpdated,
    Origin,
    ReassessmentDue,
    RebalanceEnded,
    RebalanceStarted,
    Side,
    SubmitOrder,
    TrailingAdvanced,
    TrailingArmed,
    TrailingDisarmed,
    VerdictScaled,
)
from bus.messages.system import (
    BY_RULE,
    ExposureCut,
    KillSwitchEngaged,
    KillSwitchReleased,
    LimitBreached,
    LockLifted,
    LockPlaced,
    SymbolReleased,
    TradingState,
    TradingStateChanged,
)
from market.instrument import Instrument
from market.interval import SECOND_NS
from market.money import EXACT, ZERO, to_text
from orders.grid_book import GridBook
from orders.ledger import Booking, Ledger
from orders.order_table import FireRecord, Order, OrderStateError, OrderTable
from orders.watch import Watch
from risk.limits import LONGEST_DUPLICATE_WINDOW_NS
from risk.locks import LockBook, Trip
from risk.trading_state import TradingStateVotes

KEEP_TRADE_IDS: Final = 200_000
KEEP_VERDICTS: Final = 10_000
"""What the risk officer allowed is kept until its order is forgotten; of proposals that became none, so many."""

KEEP_RECENT: Final = 10_000
REBALANCE_TAG: Final = "rebalance"
REBALANCE_TRIES: Final = 10
"""Orders per symbol that one rebalancing may give; a refused one is the last of its symbol."""

SENT_WINDOW_NS: Final = 60 * SECOND_NS
SYMBOL_HALT: Final = "symbol_halt"
"""`LimitBreached.rule` that stops entries on the symbol named by `value` until it is flat or the kill is released."""

CUT_TAG: Final = "cut"
"""Of orders that cut exposure beyond a drawdown limit."""

Content = tuple[object, ...]


def content_of(order: SubmitOrder) -> Content:
    """What makes two orders "the same order", whatever their ids."""
    return (
        order.symbol, order.side, order.order_type, order.quantity, order.price, order.stop_price, order.trail,
        order.origin,
    )


class EngineState:
    """Orders, books, watches, votes and latches. Only `apply` changes them."""

    def __init__(self, quote: str, instruments: dict[str, Instrument]) -> None:
        self._instruments = instruments
        self._symbols_by_base = {each.base: each.symbol for each in instruments.values() if each.quote == quote}
        self.orders = OrderTable(self._is_in_position, self._on_forgotten)
        self.ledger = Ledger(quote)
        self.watch = Watch()
        self.votes = TradingStateVotes()
        self.kill: KillSwitchEngaged | None = None
        self.kill_ns = 0
        self.released_ns = 0
        self.is_loss_accepted = False
        """A person released the switch after a rule engaged it; forgotten when the loss is below the limit again."""
        self.halted_symbols: set[str] = set()
        self.locks = LockBook()
        self.grids = GridBook()
        self.last_trip: Trip | None = None
        self.exposure_cut_step = 0
        self.verdicts: dict[ProposalId, ProposalApproved] = {}
        """What the risk officer said yes to; without his checks and words, which are many."""
        self.sent_ns: deque[int] = deque(maxlen=KEEP_RECENT)
        self._sent_money: deque[tuple[int, Decimal]] = deque()
        self._sent_total = ZERO
        self.recent: deque[tuple[int, Content, ClientOrderId]] = deque(maxlen=KEEP_RECENT)
        self.born = 0
        self.last_booking = Booking(ZERO, ZERO)
        self.rebalance: RebalanceStarted | None = None
        self.rebalance_ns = 0
        self.rebalance_tries: dict[str, int] = {}
        self._trade_ids: dict[tuple[str, TradeId], None] = {}

    def know(self, instrument: Instrument) -> None:
        """A symbol that only the journal names: what came or went of its base is its position's, as it was then."""
        if instrument.quote == self.ledger.quote:
            self._symbols_by_base.setdefault(instrument.base, instrument.symbol)

    @property
    def trading_state(self) -> TradingState:
        """The lowest of the four votes; HALTED while the kill switch is engaged."""
        return self.votes.state

    @property
    def is_latched_by_rule_alone(self) -> bool:
        """No person chose it and nobody votes HALTED: exits but the council's go on, for nobody may be there."""
        return self.kill is not None and self.kill.by == BY_RULE and self.votes.voted != "HALTED"

    def lets_exit_leave(self, origin: Origin) -> bool:
        """May an exit that is ready be tried? Under HALTED the kill switch's own; under a rule's latch most."""
        if self.trading_state != "HALTED" or origin == "kill":
            return True
        return self.is_latched_by_rule_alone and origin != "council"

    def approved_quantity(self, proposal_id: ProposalId, symbol: str, side: Side) -> Decimal | None:
        """What the risk officer allowed for this proposal, in base; None where he allowed nothing of the kind."""
        verdict = self.verdicts.get(proposal_id)
        if verdict is None or verdict.symbol != symbol or verdict.side not in ("", side):
            return None
        return verdict.quantity

    def has_trade(self, symbol: str, trade_id: TradeId) -> bool:
        """Was this execution booked already?"""
        return (symbol, trade_id) in self._trade_ids

    def apply(self, message: Message) -> None:
        """Fold one fact; a message that is no fact of ours changes nothing. Raises on an impossible move."""
        handler = _FOLDS.get(type(message.body))
        if handler is not None:
            handler(self, message.body, message.header.ts)
        grids = self.grids
        if grids.started or type(message.body) is GridStarted:
            grids.apply(message)

    # ---- orders ------------------------------------------------------------------------------------

    def _is_in_position(self, order: Order) -> bool:
        """Was it executed in the position that is open now? Then its share is still to be protected, or closed."""
        position = self.ledger.position(order.spec.symbol)
        return bool(position and position.opened_ns and order.filled and order.ended_ns >= position.opened_ns)

    def _order(self, client_order_id: ClientOrderId) -> Order:
        order = self.orders.get(client_order_id)
        if order is None:
            raise OrderStateError(f"a fact names the order {client_order_id}, which does not exist")
        return order

    def _on_initialized(self, fact: OrderInitialized, ts: int) -> None:
        order = Order(fact.order, ts)
        order.note("initialized", ts, fact.order.reason)
        self.orders.add(order)
        self.born += 1
        self._note_rebalancing(fact.order, 1)
        if fact.order.origin in ("council", "manual"):
            self._note_recent(ts, fact.order)

    def _note_recent(self, ts: int, order: SubmitOrder) -> None:
        """Older than the longest window of duplicates counts for nothing."""
        recent = self.recent
        recent.append((ts, content_of(order), order.client_order_id))
        while recent[0][0] <= ts - LONGEST_DUPLICATE_WINDOW_NS:
            recent.popleft()

    def _on_denied(self, fact: OrderDenied, ts: int) -> None:
        if fact.order is None:
            return
        self._note_rebalancing(fact.order, REBALANCE_TRIES)
        known = self.orders.get(fact.client_order_id)
        order = Order(fact.order, ts) if known is None else known
        order.denial = fact
        self.watch.disarm(fact.client_order_id)
        order.move("REJECTED", "denied", ts, fact.message, "us")
        # One that is refused at birth has ended before it is added: nothing of it is ever counted, it may be nonsense.
        if known is None:
            self.orders.add(order)
        else:
            self.orders.settle(order)

    def _on_submitted(self, fact: OrderSubmitted, ts: int) -> None:
        order = self._order(fact.client_order_id)
        order.wire_type, order.wire_quantity, order.wire_price = fact.wire_type, fact.quantity, fact.price
        order.reference_price = fact.reference_price
        order.submitted_ns = ts
        order.move("SUBMITTED", "sent", ts, "")
        self.orders.settle(order)
        if order.spec.origin in ("council", "manual"):
            self._note_sent(ts)
            if order.spec.side == "buy":
                self._note_money(ts, fact.quantity * (fact.price or fact.reference_price))

    def _note_sent(self, ts: int) -> None:
        """Kept in order of time, which the search in `sent_lately` needs; what is a minute old counts for nothing."""
        sent = self.sent_ns
        sent.append(max(ts, sent[-1]) if sent else ts)
        while sent[0] <= sent[-1] - SENT_WINDOW_NS:
            sent.popleft()

    def sent_lately(self, now: int) -> tuple[int, int, Decimal]:
        """Orders of the council and of people that left within the last second and the last minute, and the quote
        value of the buys among them within the minute."""
        sent = self.sent_ns
        count = len(sent)
        within_second = count - bisect_right(sent, now - SECOND_NS)
        return within_second, count - bisect_right(sent, now - SENT_WINDOW_NS), self.sent_notional(now)

    def _note_money(self, ts: int, money: Decimal) -> None:
        self._sent_money.append((ts, money))
        self._sent_total = EXACT.add(self._sent_total, money)
        if len(self._sent_money) > KEEP_RECENT:
            self._forget_money()

    def sent_notional(self, now: int) -> Decimal:
        """Quote value of the buys that the council and people sent within the minute before `now`."""
        sent = self._sent_money
        while sent and now - sent[0][0] >= SENT_WINDOW_NS:
            self._forget_money()
        return +self._sent_total

    def _forget_money(self) -> None:
        self._sent_total = EXACT.subtract(self._sent_total, self._sent_money.popleft()[1])

    def _on_accepted(self, fact: OrderAccepted, ts: int) -> None:
        order = self._order(fact.client_order_id)
        order.venue_order_id = fact.venue_order_id or order.venue_order_id
        order.note("pending_cancel" if order.detail == "pending_cancel" else "accepted", ts, "")

    def _on_rejected(self, fact: OrderRejected, ts: int) -> None:
        order = self._order(fact.client_order_id)
        order.move("REJECTED", "", ts, fact.reason, "venue")
        self.orders.settle(order)

    def _on_triggered(self, fact: OrderTriggered, ts: int) -> None:
        order = self._order(fact.client_order_id)
        self.watch.disarm(fact.client_order_id)
        order.fires = (*order.fires, FireRecord(ts, fact.trigger, fact.price))
        order.note("triggered", ts, "the price reached the trigger")  # the numbers are in `fires`

    def _on_updated(self, fact: OrderUpdated, ts: int) -> None:
        order = self._order(fact.client_order_id)
        order.spec = replace(
            order.spec, quantity=fact.quantity, price=fact.price, stop_price=fact.stop_price, trail=fact.trail,
        )
        order.is_changed = order.is_changed or fact.by_person
        order.note(order.detail, ts, fact.reason)
        self.orders.settle(order)

    def _on_pending_cancel(self, fact: OrderPendingCancel, ts: int) -> None:
        order = self._order(fact.client_order_id)
        order.cancel_reason = fact.reason
        order.note("pending_cancel", ts, fact.reason)

    def _on_ended(self, fact: OrderCancelled | OrderExpired, ts: int) -> None:
        order = self._order(fact.client_order_id)
        self.watch.disarm(fact.client_order_id)
        order.move("EXPIRED" if isinstance(fact, OrderExpired) else "CANCELLED", "", ts, fact.reason, fact.by)
        self.orders.settle(order)

    def _on_unknown(self, fact: OrderUnknown, ts: int) -> None:
        self._order(fact.client_order_id).note("unknown", ts, fact.reason)

    def _on_filled(self, fact: OrderFilled, ts: int) -> None:
        if not self.orders.is_forgotten(fact.client_order_id):  # else journalled by one who remembered longer
            self._fill_order(fact, ts)
        self._trade_ids[(fact.symbol, fact.trade_id)] = None
        while len(self._trade_ids) > KEEP_TRADE_IDS:
            del self._trade_ids[next(iter(self._trade_ids))]
        base = self._instruments[fact.symbol].base
        self.last_booking = self.ledger.book_fill(
            fact.symbol, base, fact.side, fact.quantity, fact.price, fact.fee, fact.fee_asset or self.ledger.quote, ts,
        )

    def _fill_order(self, fact: OrderFilled, ts: int) -> None:
        order = self._order(fact.client_order_id)
        before = order.filled
        order.filled = before + fact.quantity
        order.average_price = (order.average_price * before + fact.price * fact.quantity) / order.filled
        if fact.fee:
            order.fees[fact.fee_asset] = order.fees.get(fact.fee_asset, ZERO) + fact.fee
        why = f"{fact.quantity} at {fact.price}"
        if fact.is_complete:
            order.move("FILLED", "", ts, why)
        elif order.state in ("CANCELLED", "EXPIRED"):
            order.move(order.state, "late_fill", ts, why, order.by)
        else:
            detail = "pending_cancel" if order.detail == "pending_cancel" else "accepted"
            order.move("PARTIAL", detail, ts, why)
        self.orders.settle(order)

    def _on_reassessment(self, fact: ReassessmentDue, ts: int) -> None:
        order = self._order(fact.client_order_id)
        order.reassess_by_ns = fact.cancel_at
        order.note(order.detail, ts, fact.reason)

    # ---- trailing ----------------------------------------------------------------------------------

    def _on_armed(self, fact: TrailingArmed, ts: int) -> None:
        order = self._order(fact.client_order_id)
        if not order.arming_price or order.spec.trail is None:
            order.arming_price = fact.best
        self.watch.arm(fact, order.spec, order.arming_price, ts)
        if order.detail != "armed":
            order.note("armed", ts, f"trigger {to_text(fact.trigger)}, best price {to_text(fact.best)}")

    def _on_advanced(self, fact: TrailingAdvanced, _ts: int) -> None:
        self.watch.advance(fact)

    def _on_disarmed(self, fact: TrailingDisarmed, _ts: int) -> None:
        self.watch.disarm(fact.client_order_id)

    # ---- rebalancing ------------------------------------------------------------------------------

    def _on_rebalance(self, fact: RebalanceStarted, ts: int) -> None:
        self.rebalance = fact
        self.rebalance_ns = ts
        self.rebalance_tries = {}

    def _on_rebalance_ended(self, _fact: RebalanceEnded, _ts: int) -> None:
        self.rebalance = None

    def _note_rebalancing(self, order: SubmitOrder, tries: int) -> None:
        if order.tag == REBALANCE_TAG:
            self.rebalance_tries[order.symbol] = self.rebalance_tries.get(order.symbol, 0) + tries

    # ---- money, permission -------------------------------------------------------------------------

    def _on_position_closed(self, fact: PositionClosed, ts: int) -> None:
        self.last_trip = self._trip_of(fact, ts)
        self.locks.note_trip(self.last_trip)
        self.ledger.end_round_trip(fact.symbol)
        self.halted_symbols.discard(fact.symbol)

    def _trip_of(self, fact: PositionClosed, ts: int) -> Trip:
        """A stop is a sale at a loss by the position's own protection (a cut of exposure is none of it)."""
        order = self.orders.get(fact.client_order_id)
        is_protection = order is not None and order.spec.origin == "protective" and order.spec.tag != CUT_TAG
        cost = fact.entry_price * fact.quantity
        return Trip(fact.symbol, ts, fact.realized_pnl, cost, is_protection and fact.realized_pnl < ZERO)

    def _on_lock(self, fact: LockPlaced, _ts: int) -> None:
        self.locks.place(fact)

    def _on_lock_lifted(self, fact: LockLifted, _ts: int) -> None:
        self.locks.lift(fact.lock_id)

    def _on_cut(self, fact: ExposureCut, _ts: int) -> None:
        self.exposure_cut_step = fact.step

    def _on_funds(self, fact: FundsChanged, _ts: int) -> None:
        self.ledger.change_funds(fact.asset, fact.delta, self._symbols_by_base.get(fact.asset, ""))

    def _on_scaled(self, fact: VerdictScaled, _ts: int) -> None:
        known = self.verdicts.get(fact.proposal_id)
        if known is not None:
            self.verdicts[fact.proposal_id] = replace(known, quantity=fact.quantity)

    def _on_verdict(self, fact: ProposalApproved, _ts: int) -> None:
        self.verdicts[fact.proposal_id] = replace(fact, checks=(), reason="")
        while len(self.verdicts) > KEEP_VERDICTS:
            del self.verdicts[next(iter(self.verdicts))]

    def _on_forgotten(self, order: Order) -> None:
        """By the order's end and not by the verdict's coming: a verdict is on disk before the engine hears of it, and a
        restart must fold to the same."""
        proposal_id = order.spec.proposal_id
        if proposal_id and not any(
            later.is_working and later.spec.proposal_id == proposal_id
            for later in self.orders.successors(order.client_order_id)
        ):
            self.verdicts.pop(proposal_id, None)

    def _on_trading_state(self, fact: TradingStateChanged, _ts: int) -> None:
        self.votes.restore(fact.votes)

    def _on_kill(self, fact: KillSwitchEngaged, ts: int) -> None:
        self.kill = fact
        self.kill_ns = ts
        self.is_loss_accepted = False
        self.votes.engage_kill(fact.reason)

    def _on_release(self, _fact: KillSwitchReleased, ts: int) -> None:
        self.is_loss_accepted = self.kill is not None and self.kill.by == BY_RULE
        self.released_ns = ts
        self.kill = None
        self.votes.release_kill()
        self.halted_symbols.clear()

    def _on_breach(self, fact: LimitBreached, _ts: int) -> None:
        if fact.rule == SYMBOL_HALT:
            self.halted_symbols.add(fact.value)

    def _on_symbol_released(self, fact: SymbolReleased, _ts: int) -> None:
        self.halted_symbols.discard(fact.symbol)


_FOLDS: Final[dict[type, Callable[[EngineState, Any, int], None]]] = {
    OrderInitialized: EngineState._on_initialized,
    OrderDenied: EngineState._on_denied,
    OrderSubmitted: EngineState._on_submitted,
    OrderAccepted: EngineState._on_accepted,
    OrderRejected: EngineState._on_rejected,
    OrderTriggered: EngineState._on_triggered,
    OrderUpdated: EngineState._on_updated,
    OrderPendingCancel: EngineState._on_pending_cancel,
    OrderCancelled: EngineState._on_ended,
    OrderExpired: EngineState._on_ended,
    OrderUnknown: EngineState._on_unknown,
    ReassessmentDue: EngineState._on_reassessment,
    VerdictScaled: EngineState._on_scaled,
    RebalanceStarted: EngineState._on_rebalance,
    RebalanceEnded: EngineState._on_rebalance_ended,
    OrderFilled: EngineState._on_filled,
    TrailingArmed: EngineState._on_armed,
    TrailingAdvanced: EngineState._on_advanced,
    TrailingDisarmed: EngineState._on_disarmed,
    PositionClosed: EngineState._on_position_closed,
    FundsChanged: EngineState._on_funds,
    ProposalApproved: EngineState._on_verdict,
    TradingStateChanged: EngineState._on_trading_state,
    KillSwitchEngaged: EngineState._on_kill,
    KillSwitchReleased: EngineState._on_release,
    LimitBreached: EngineState._on_breach,
    SymbolReleased: EngineState._on_symbol_released,
    LockPlaced: EngineState._on_lock,
    LockLifted: EngineState._on_lock_lifted,
    ExposureCut: EngineState._on_cut,
}
