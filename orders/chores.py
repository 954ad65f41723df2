"""What is due once a second: candles, expiries, unanswered orders, exits that wait, losses, the snapshot."""

from decimal import Decimal
from typing import Final

from bus.ids import ClientOrderId
from bus.messages.orders import ExecutionReport
from bus.messages.system import BY_RULE, LimitBreached
from market.candles import ASKED_FOR_FROM_NS
from market.interval import SECOND_NS, interval_ns
from market.money import to_text
from market.ticks import Candle
from orders import exits, grid_planner, placing, runaway
from orders.cancelling import ESCALATE, expire, request_cancel
from orders.desk import Desk
from orders.disaster_stop import DisasterStops
from orders.drawdown_actions import DrawdownActions
from orders.kill import engage_kill, press_on
from orders.late_arrivals import LateArrivals
from orders.market_state import MarketState
from orders.order_table import Order
from orders.upkeep import Upkeep
from risk.wording import percent

QUERY_FIRST_NS: Final = 2 * SECOND_NS
QUERY_SLOWEST_NS: Final = 30 * SECOND_NS
UNANSWERED_NS: Final = 2 * SECOND_NS
"""An order that was sent so long ago without any word from the venue is asked about: it may be filled already."""

CONFIRM_NS: Final = 30 * SECOND_NS
"""An order that rests at the venue is asked about so often: a lost report must not be believed for ever (F24)."""

MOST_CONFIRMED: Final = 5
"""So many of them within a second: the venue counts requests."""

FATE_TOLD_NS: Final = 60 * SECOND_NS
"""A person is told of an order whose fate the venue does not tell for so long."""

LIMIT_EXIT_NS: Final = 5 * SECOND_NS
"""A fired exit that went out as a limit is taken back after this, and goes at market (F30)."""


class Chores:
    """The timers between which the engine sleeps. Its own memory is about asking again, nothing else."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._ask_again: dict[ClientOrderId, tuple[int, int]] = {}
        self._confirm_at: dict[ClientOrderId, int] = {}
        self._confirmed = 0
        self._unknown_since: dict[ClientOrderId, int | None] = {}
        """None once a person was told."""
        self._last_snapshot_ns = 0
        self._breached: set[str] = set()
        self._drawdowns = DrawdownActions(desk)
        self._stops = DisasterStops(desk)
        self._upkeep = Upkeep(desk)
        self._late_arrivals = LateArrivals(desk)

    def run(self) -> None:
        """All that is due at `desk.now`."""
        desk = self._desk
        for symbol in sorted(desk.markets):
            self._close_candles(desk.markets[symbol])
            desk.markets[symbol].follow_trades(desk.now, desk.config.limits.stale_after_ns)
        self._tighten_trails()
        self._visit_orders()
        self._late_arrivals.keep()
        self._upkeep.run()
        exits.release_waiting(desk)
        press_on(desk)
        grid_planner.run(desk)
        self._watch_losses()
        self._stops.keep()
        runaway.tell_unlisted(desk)
        if desk.now - self._last_snapshot_ns >= desk.config.snapshot_ns and desk.tracker.initial_capital:
            desk.wants_snapshot = True

    def after_restart(self) -> None:
        """Protection at the venue first: it waits neither for prices nor for the first second."""
        self._stops.keep()
        self._late_arrivals.after_restart()

    def after_report(self, report: ExecutionReport) -> None:
        """What follows from a word of the venue without waiting for the second."""
        self._stops.after_report(report)

    def snapshot(self) -> None:
        """Bring the losses up to date, and write the portfolio down."""
        desk = self._desk
        desk.wants_snapshot = False
        self._last_snapshot_ns = desk.now
        desk.mark_equity()
        if desk.config.tells_portfolio:
            desk.emit(desk.snapshot())

    # ---- market ------------------------------------------------------------------------------------

    def _close_candles(self, market: MarketState) -> None:
        for candle in market.builder.on_time(self._desk.now, self._desk.config.candle_grace_ns):
            emit_candle(self._desk, market, candle)

    def _tighten_trails(self) -> None:
        """Time-decay; a trigger that came to the price by it fires now, or at the next price when this one is old."""
        desk = self._desk
        if not desk.is_price_fresh:
            desk.note_silence()
        for symbol in sorted(desk.markets):
            market = desk.markets[symbol]
            bid, ask = (market.bid, market.ask) if desk.has_fresh_quote(market) else (None, None)
            middle = None if bid is None or ask is None else (bid + ask) / 2
            placing.on_trail_events(desk, market, "last", market.lasts.on_time(desk.now, desk.fresh_last(market)))
            placing.on_trail_events(desk, market, "mid", market.mids.on_time(desk.now, middle))
            placing.on_trail_events(desk, market, "bid_ask", market.bids.on_time(desk.now, bid))
            placing.on_trail_events(desk, market, "bid_ask", market.asks.on_time(desk.now, ask))

    # ---- orders ------------------------------------------------------------------------------------

    def _visit_orders(self) -> None:
        desk = self._desk
        alive = set()
        self._confirmed = 0
        for order in desk.state.orders.working():
            alive.add(order.client_order_id)
            if order.spec.expire_at and desk.now >= order.spec.expire_at and _may_expire(order):
                expire(desk, order)
            if order.is_at_venue:
                self._press_venue(order)
        self._ask_again = {each: due for each, due in self._ask_again.items() if each in alive}
        self._confirm_at = {each: due for each, due in self._confirm_at.items() if each in alive}
        self._unknown_since = {each: since for each, since in self._unknown_since.items() if each in alive}
        desk.not_before = {each: due for each, due in desk.not_before.items() if each in alive}
        desk.missed = {each: due for each, due in desk.missed.items() if each in alive}
        desk.blocked = {each: tries for each, tries in desk.blocked.items() if each in alive}
        desk.attempts = {each: tries for each, tries in desk.attempts.items() if each in alive}

    def _press_venue(self, order: Order) -> None:
        """Ask again for what the venue owes us: an answer, an end, a fate."""
        desk = self._desk
        if (
            order.fires and order.is_exit and order.wire_type == "limit" and order.detail == "accepted"
            and desk.now - order.submitted_ns >= LIMIT_EXIT_NS and desk.state.lets_exit_leave("protective")
        ):
            request_cancel(desk, order, ESCALATE)
            return
        if desk.now >= desk.missed.get(order.client_order_id, desk.now + 1):
            del desk.missed[order.client_order_id]
            if order.detail == "pending_cancel":
                desk.ask_cancel(order)
            self._ask_again[order.client_order_id] = (desk.now + QUERY_FIRST_NS, 2 * QUERY_FIRST_NS)
            desk.ask_venue(order)  # the grace is over: now its word is believed
            return
        is_silent = (
            order.detail == "sent" and desk.now - order.submitted_ns >= UNANSWERED_NS
            and order.client_order_id not in desk.missed
        )
        if not (is_silent or order.detail in ("unknown", "pending_cancel")):
            self._ask_again.pop(order.client_order_id, None)
            self._unknown_since.pop(order.client_order_id, None)
            self._confirm(order)
            return
        if order.detail == "unknown":
            self._note_unknown(order)
        first = order.history[-1].ts + QUERY_FIRST_NS if order.detail == "pending_cancel" else desk.now
        due, pause = self._ask_again.get(order.client_order_id, (first, QUERY_FIRST_NS))
        if desk.now < due:
            return
        self._ask_again[order.client_order_id] = (desk.now + pause, min(2 * pause, QUERY_SLOWEST_NS))
        if order.detail == "pending_cancel":
            desk.ask_cancel(order)
        desk.ask_venue(order)

    def _note_unknown(self, order: Order) -> None:
        desk, client_order_id = self._desk, order.client_order_id
        since = self._unknown_since.setdefault(client_order_id, desk.now)
        if since is None or desk.now - since < FATE_TOLD_NS:
            return
        self._unknown_since[client_order_id] = None
        desk.alert(
            "critical", f"{order.spec.symbol}: what became of an order is not known",
            f"{client_order_id}, to {order.spec.side} {to_text(order.total)}, has had no answer for "
            f"{(desk.now - since) // SECOND_NS} s. The venue is asked again and again, and nothing more is bought of "
            "the symbol. Look at the exchange.",
        )

    def _confirm(self, order: Order) -> None:
        """Is what we believe of a resting order still true?"""
        desk, client_order_id = self._desk, order.client_order_id
        due = self._confirm_at.setdefault(client_order_id, desk.now + CONFIRM_NS)
        if desk.now >= due and self._confirmed < MOST_CONFIRMED:
            self._confirmed += 1
            self._confirm_at[client_order_id] = desk.now + CONFIRM_NS
            desk.ask_venue(order)

    # ---- protection of the account -----------------------------------------------------------------

    def _watch_losses(self) -> None:
        desk = self._desk
        if not desk.state.ledger.funds_in and not desk.tracker.initial_capital:
            return
        desk.mark_equity()
        limits, tracker = desk.config.limits, desk.tracker
        self._watch_capital()
        runaway.watch_loss(desk)
        for rule, value, limit in (
            ("daily_drawdown", tracker.daily_drawdown, limits.daily_drawdown),
            ("weekly_drawdown", tracker.weekly_drawdown, limits.weekly_drawdown),
            ("max_drawdown", tracker.max_drawdown, limits.max_drawdown),
            ("daily_loss", tracker.daily_loss, limits.daily_loss),
            ("runaway_loss", tracker.runaway_loss, limits.runaway_loss),
        ):
            self._tell_breach(rule, value, limit)
        self._drawdowns.run()

    def _watch_capital(self) -> None:
        """Once per episode: a person who unlocked knows of the loss, and the gate lets no entry pass anyway."""
        desk = self._desk
        loss, limit = desk.tracker.capital_loss, desk.config.limits.kill_loss
        if loss < limit:
            desk.state.is_loss_accepted = False
        elif desk.state.kill is None and not desk.state.is_loss_accepted:
            told = f"{percent(loss)} of the initial capital is lost; the limit is {percent(limit)}."
            engage_kill(desk, "cancel", told, BY_RULE)

    def _tell_breach(self, rule: str, value: Decimal, limit: Decimal) -> None:
        """Once when a limit is reached, and again only after it was left."""
        if value < limit:
            self._breached.discard(rule)
        elif rule not in self._breached:
            self._breached.add(rule)
            self._desk.emit(LimitBreached(
                rule, str(value), str(limit),
                f"{rule.replace('_', ' ').capitalize()} is {percent(value)}; the limit is {percent(limit)}.",
            ))


def _may_expire(order: Order) -> bool:
    """Not an exit whose trigger was reached in time: it has to get out, however long that takes."""
    is_leaving = order.is_exit and bool(order.fires) and not order.is_armed
    return order.detail != "pending_cancel" and not is_leaving


def emit_candle(desk: Desk, market: MarketState, candle: Candle) -> None:
    """A closed candle: learnt from (ATR), and told to the council; not before the history that it follows.

    One that was heard only in part is learnt from alone if it is short, and not told at all if it is long.
    """
    if desk.held_candles is not None:
        desk.held_candles.append(candle)
        return
    if candle.is_warmup and interval_ns(candle.interval) >= ASKED_FOR_FROM_NS:
        return
    if candle.interval == desk.config.decision_interval:
        market.atr.add(candle.ts_open, candle.high, candle.low, candle.close)
    desk.emit(candle)
