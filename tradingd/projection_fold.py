"""Journalled messages into rows: a pure fold over a few hundred records at a time, on what the tables hold already.

What the rows say depends on the journal alone, never on where one batch of records ends and the next begins: the
projection of a store that was away for an hour equals one that is built anew.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import localcontext
from typing import Any, Final, TypeVar

from bus.messages import council, ledger, orders, system
from bus.messages.header import Message
from market.money import EXACT, ONE, ZERO
from market.ticks import Candle
from store.sql import rows
from store.sql.projection_store import Loader
from tradingd.read_model_orders import PRICE_PLACES, fee_in_quote
from tradingd.read_model_results import return_ratio
from tradingd.read_model_views import plain

RowKind = TypeVar("RowKind", bound=rows.Row)
_ENGINE: Final = "engine"
_DAY_S: Final = 86_400
_SIDES: Final = {"trail_buy": "buy", "trail_sell": "sell", "hold": ""}
_FEATURES: Final = {"atr_ratio": "volatility", "volume_ratio": "volume_ratio"}
_NONE: Final[Mapping[str, council.AnalysisCompleted]] = {}
Numbered = tuple[int, Message]
"""A record's number and its message."""


class ProjectionFold:
    """Make one for each batch: `load` what it needs, `apply` each message, then take the `changed` rows.

    `quote` is the currency profit is counted in, `analyses` what the batch before left in `analyses`: in a packed
    segment a batch may end between an analysis and the proposal that came of it.
    """

    def __init__(self, quote: str, analyses: Mapping[str, council.AnalysisCompleted] = _NONE) -> None:
        self._quote = quote
        self._earlier = analyses
        self.analyses: dict[str, council.AnalysisCompleted] = {}
        self._rows: dict[type[rows.Row], dict[tuple[Any, ...], Any]] = {kind: {} for kind in rows.ROW_KINDS}
        self._touched: dict[tuple[type[rows.Row], tuple[Any, ...]], rows.Row] = {}
        self._session: rows.SessionRow | None = None

    # ---- what the tables hold ------------------------------------------------------------------------

    def load(self, loader: Loader, messages: Iterable[Numbered]) -> None:
        """Fetch every row these messages may change."""
        order_ids: set[str] = set()
        proposals: set[str] = set()
        days: set[str] = set()
        for _, message in messages:
            body = message.body
            days.add(_day_of(message.header.ts))
            spec = getattr(body, "order", None) or body
            for name, found in (("client_order_id", order_ids), ("parent_id", order_ids), ("proposal_id", proposals)):
                value = getattr(spec, name, "")
                if value:
                    found.add(value)
        self._keep(loader.load(rows.OrderRow, order_ids))
        self._keep(loader.load(rows.DecisionRow, proposals))
        self._keep(loader.load(rows.DayRow, days))
        for kind in (rows.PositionRow, rows.AgentRow, rows.SessionRow):
            self._keep(loader.load(kind, None))
        sessions = self._rows[rows.SessionRow].values()
        self._session = max(sessions, key=lambda row: row.record, default=None)

    def _keep(self, found: Iterable[rows.Row]) -> None:
        for row in found:
            self._rows[type(row)][row.key()] = row

    def changed(self) -> list[rows.Row]:
        """Every row that is new or different, in the order it was first touched."""
        return list(self._touched.values())

    def _find(self, kind: type[RowKind], *key: Any) -> RowKind | None:
        """A known row, marked as changed."""
        row: RowKind | None = self._rows[kind].get(key)
        if row is not None:
            self._touched[(kind, key)] = row
        return row

    def _put(self, row: RowKind) -> RowKind:
        kind, key = type(row), row.key()
        self._rows[kind][key] = row
        self._touched[(kind, key)] = row
        return row

    # ---- the fold ------------------------------------------------------------------------------------

    def apply(self, number: int, message: Message) -> None:
        """One record of the journal; what no table is about changes nothing."""
        handler = _HANDLERS.get(type(message.body))
        if handler is not None:
            with localcontext(EXACT):
                handler(self, number, message, message.body)

    # ---- orders

    def _on_initialized(self, _: int, message: Message, body: orders.OrderInitialized) -> None:
        if (body.order.client_order_id,) not in self._rows[rows.OrderRow]:
            self._add_order(message, body.order)

    def _add_order(self, message: Message, spec: orders.SubmitOrder) -> rows.OrderRow:
        ts, protection = message.header.ts, spec.protection
        row = rows.OrderRow(
            spec.client_order_id, spec.symbol, spec.side, spec.order_type, spec.quantity, ts, ts, ended_by="",
            reason=spec.reason, origin=spec.origin, tag=spec.tag, proposal_id=spec.proposal_id,
            parent_id=spec.parent_id, replaces=spec.replaces, lead_alpha=spec.lead_alpha,
            session=message.header.session, price=spec.price, stop_price=spec.stop_price,
            stop_ratio=protection.stop_ratio if protection else None,
            take_profit_ratio=protection.take_profit_ratio if protection else None, reduce_only=spec.reduce_only,
            confidence=spec.confidence, trail=plain(spec.trail), votes=plain(spec.votes),
        )
        decision = self._rows[rows.DecisionRow].get((spec.proposal_id,))
        if decision is not None:
            _copy(decision, row, "timeframe", "regime", "volatility", "volume_ratio")
        row.strategy_version = self._session.version if self._session else ""
        return self._put(row)

    def _order(self, message: Message, order_id: str, symbol: str) -> rows.OrderRow:
        """The order's row, changed now; a bare one for an order that was adopted."""
        row = self._find(rows.OrderRow, order_id)
        if row is None:
            side = getattr(message.body, "side", "buy")
            row = self._add_order(
                message, orders.SubmitOrder(order_id, symbol, side, "market", ZERO, "manual", reason="adopted")  # type: ignore[arg-type]
            )
        row.updated_ns = message.header.ts
        return row

    def _move(
        self, message: Message, body: Any, state: str | None, detail: str, by: str = "", reason: str = ""
    ) -> rows.OrderRow:
        row = self._order(message, body.client_order_id, body.symbol)
        row.state, row.detail = state or row.state, detail
        row.ended_by, row.reason = by or row.ended_by, reason or row.reason
        return row

    def _on_denied(self, number: int, message: Message, body: orders.OrderDenied) -> None:
        spec = body.order
        self._put(rows.FailedOrderRow(
            number, body.client_order_id, body.symbol, spec.side if spec else "", "us", body.code, body.family,
            body.rule, body.value, body.limit, body.message, spec.quantity if spec else None, message.header.ts,
        ))
        if spec is None:
            return
        if (body.client_order_id,) not in self._rows[rows.OrderRow]:
            self._add_order(message, spec)
        self._move(message, body, "REJECTED", "denied", "us", body.message)

    def _on_submitted(self, _: int, message: Message, body: orders.OrderSubmitted) -> None:
        row = self._move(message, body, None, "sent")
        row.state = "SUBMITTED" if row.state == "PENDING" else row.state
        row.reference_price, row.submitted_ns = body.reference_price, message.header.ts

    def _on_accepted(self, _: int, message: Message, body: orders.OrderAccepted) -> None:
        row = self._order(message, body.client_order_id, body.symbol)
        row.venue_order_id = body.venue_order_id or row.venue_order_id
        if row.detail != "pending_cancel":
            row.detail = "accepted"

    def _on_rejected(self, number: int, message: Message, body: orders.OrderRejected) -> None:
        row = self._move(message, body, "REJECTED", "rejected", "venue", body.reason)
        self._put(rows.FailedOrderRow(
            number, body.client_order_id, body.symbol, row.side, "venue", "", "", "", "", "", body.reason,
            row.quantity, message.header.ts,
        ))

    def _on_triggered(self, _: int, message: Message, body: orders.OrderTriggered) -> None:
        self._move(message, body, None, "triggered")

    def _on_updated(self, _: int, message: Message, body: orders.OrderUpdated) -> None:
        row = self._order(message, body.client_order_id, body.symbol)
        row.quantity, row.price, row.stop_price = body.quantity, body.price, body.stop_price
        row.trail = plain(body.trail)

    def _on_pending_cancel(self, _: int, message: Message, body: orders.OrderPendingCancel) -> None:
        self._move(message, body, None, "pending_cancel", "", body.reason)

    def _on_cancelled(self, _: int, message: Message, body: orders.OrderCancelled) -> None:
        self._move(message, body, "CANCELLED", "cancelled", body.by, body.reason)

    def _on_expired(self, _: int, message: Message, body: orders.OrderExpired) -> None:
        self._move(message, body, "EXPIRED", "expired", body.by, body.reason)

    def _on_unknown(self, _: int, message: Message, body: orders.OrderUnknown) -> None:
        self._move(message, body, None, "unknown", "", body.reason)

    def _on_armed(self, _: int, message: Message, body: orders.TrailingArmed) -> None:
        self._move(message, body, None, "armed" if body.is_active else "awaiting_activation")

    def _on_filled(self, _: int, message: Message, body: orders.OrderFilled) -> None:
        row = self._order(message, body.client_order_id, body.symbol)
        value = body.quantity * body.price
        row.filled += body.quantity
        row.value += value
        row.fees += fee_in_quote(body)
        row.average_price = round(row.value / row.filled, PRICE_PLACES) if row.filled else None
        if body.is_complete:
            row.state, row.detail = "FILLED", "filled"
        elif row.state in ("CANCELLED", "EXPIRED"):
            row.detail = "late_fill"
        else:
            row.state = "PARTIAL"
        self._put(rows.FillRow(
            body.symbol, body.trade_id, body.client_order_id, body.side, body.quantity, body.price, value, body.fee,
            body.fee_asset, row.origin, row.lead_alpha, body.is_maker, body.simulated, message.header.ts,
        ))
        self._day(message).fills += 1

    # ---- positions, results

    def _on_opened(self, _: int, message: Message, body: ledger.PositionOpened) -> None:
        ts, price = message.header.ts, body.average_price
        row = self._put(rows.PositionRow(body.symbol, body.quantity, price, ts, ts, body.client_order_id))
        entry = self._rows[rows.OrderRow].get((body.client_order_id,))
        if entry is not None:
            _copy(entry, row, "timeframe", "regime", "lead_alpha", "strategy_version", "volatility", "volume_ratio",
                  "confidence")
            row.stop_price = None if entry.stop_ratio is None else price * (ONE - entry.stop_ratio)
            row.target_price = None if entry.take_profit_ratio is None else price * (ONE + entry.take_profit_ratio)

    def _on_changed(self, number: int, message: Message, body: ledger.PositionChanged) -> None:
        row = self._find(rows.PositionRow, body.symbol)
        if row is None:
            opened = ledger.PositionOpened(body.symbol, body.quantity, body.average_price, body.client_order_id)
            self._on_opened(number, message, opened)
            return
        row.quantity, row.average_price, row.updated_ns = body.quantity, body.average_price, message.header.ts

    def _on_closed(self, number: int, message: Message, body: ledger.PositionClosed) -> None:
        held = self._find(rows.PositionRow, body.symbol)
        if held is None:
            held = self._put(rows.PositionRow(body.symbol, ZERO, body.entry_price, body.opened_ns, message.header.ts))
        profit = body.realized_pnl
        risk = None if held.stop_price is None else (body.entry_price - held.stop_price) * body.quantity
        self._put(rows.RoundTripRow(
            number, body.symbol, "LONG", "WIN" if profit > ZERO else "LOSS" if profit < ZERO else "BREAKEVEN",
            held.entry_order_id, body.client_order_id, held.timeframe, held.regime, held.lead_alpha,
            held.strategy_version, message.header.session, "", body.quantity, body.entry_price, body.exit_price,
            profit, body.fees, held.stop_price, held.target_price, return_ratio(body),
            float(profit / risk) if risk else None, held.volatility, held.volume_ratio, held.confidence,
            body.opened_ns, body.closed_ns,
        ))
        held.quantity, held.updated_ns = ZERO, message.header.ts
        day = self._day(message)
        day.trades += 1
        day.add_return(return_ratio(body))
        day.wins += profit > ZERO
        day.losses += profit < ZERO
        day.breakevens += profit == ZERO
        day.profit += profit
        day.fees += body.fees

    def _on_funds(self, _: int, message: Message, body: ledger.FundsChanged) -> None:
        if body.asset == self._quote:
            self._day(message).net_flow += body.delta

    def _on_portfolio(self, number: int, message: Message, body: ledger.PortfolioSnapshot) -> None:
        if message.header.source != _ENGINE:
            return
        day = self._day(message)
        day.opening_equity = body.day_open_equity if day.opening_equity is None else day.opening_equity
        day.closing_equity = body.equity
        day.drawdown = max(day.drawdown, body.daily_drawdown)
        self._put(rows.CheckpointRow(
            number, "auto", self._session.mode if self._session else "", message.header.session, message.header.ts,
            body.equity, body.cash, body.exposure, body.realized_pnl, body.unrealized_pnl, plain(body.positions),
        ))

    def _day(self, message: Message) -> rows.DayRow:
        day = _day_of(message.header.ts)
        return self._find(rows.DayRow, day) or self._put(rows.DayRow(day))

    # ---- the council

    def _on_candle(self, _: int, __: Message, body: Candle) -> None:
        self._put(rows.CandleRow(
            body.symbol, body.interval, body.ts_open, body.open, body.high, body.low, body.close, body.volume,
            body.trades,
        ))

    def _on_analysis(self, _: int, message: Message, body: council.AnalysisCompleted) -> None:
        self.analyses[message.id] = body
        for each in body.features:
            self._put(rows.IndicatorRow(body.symbol, body.interval, body.ts_open, each.name, each.value))

    def _on_proposed(self, _: int, message: Message, body: council.TradeProposed) -> None:
        row = rows.DecisionRow(
            body.proposal_id, message.header.source, "TradeProposed", message.header.ts, body.symbol, body.side,
            "OPEN", "", body.reason, body.lead_alpha, quantity=body.quantity, reference_price=body.reference_price,
            confidence=body.confidence, votes=plain(body.votes),
        )
        cause = message.header.cause
        analysis = self.analyses.get(cause) or self._earlier.get(cause)  # journalled just before, in the same append
        if analysis is not None:
            row.timeframe, row.regime, row.skipped = analysis.interval, analysis.regime, plain(analysis.skipped)
            for each in analysis.features:
                if each.name in _FEATURES:
                    setattr(row, _FEATURES[each.name], each.value)
        self._put(row)

    def _on_withheld(self, _: int, message: Message, body: council.ProposalWithheld) -> None:
        ts = message.header.ts
        self._put(rows.DecisionRow(
            message.id, message.header.source, "ProposalWithheld", ts, body.symbol, _SIDES[body.action],
            body.outcome.upper(), "", body.reason, body.lead_alpha, body.interval, body.regime,
            reference_price=body.close, confidence=body.confidence, votes=plain(body.votes),
            skipped=plain(body.skipped), settled_ns=ts,
        ))

    def _settle(self, message: Message, body: Any, outcome: str) -> rows.DecisionRow:
        row = self._find(rows.DecisionRow, body.proposal_id)
        if row is None:
            row = self._put(rows.DecisionRow(body.proposal_id, "", "TradeProposed", message.header.ts, body.symbol))
        row.outcome, row.settled_ns = outcome, message.header.ts
        row.reason = body.reason or row.reason
        return row

    def _on_approved(self, _: int, message: Message, body: council.ProposalApproved) -> None:
        row = self._settle(message, body, "APPROVED")
        row.allowed_quantity, row.checks = body.quantity, plain(body.checks)

    def _on_vetoed(self, _: int, message: Message, body: council.ProposalVetoed) -> None:
        row = self._settle(message, body, "VETOED")
        row.code, row.checks = body.code, plain(body.checks)

    def _on_proposal_expired(self, _: int, message: Message, body: council.ProposalExpired) -> None:
        self._settle(message, body, "EXPIRED")

    def _on_mandate(self, _: int, message: Message, body: council.MandateIssued) -> None:
        self._put(rows.DecisionRow(
            message.id, message.header.source, "MandateIssued", message.header.ts, code=body.mandate,
            reason=body.reason,
        ))

    def _on_parameters(self, _: int, message: Message, body: council.ParametersChanged) -> None:
        self._put(rows.DecisionRow(
            message.id, message.header.source, "ParametersChanged", message.header.ts, code=f"version {body.version}",
            reason=body.reason, checks=plain(body.parameters),
        ))

    # ---- the process

    def _on_started(self, number: int, message: Message, body: system.DaemonStarted) -> None:
        self._session = self._put(rows.SessionRow(
            body.session, number, body.version, body.mode, body.venue, list(body.symbols), body.seed, message.header.ts,
        ))

    def _on_stopping(self, number: int, message: Message, body: system.DaemonStopping) -> None:
        session = self._session
        if session is not None:
            session.stopped_ns, session.end_reason = message.header.ts, body.reason
            self._put(session)
        self._put(rows.CheckpointRow(
            number, "shutdown", session.mode if session else "", message.header.session, message.header.ts,
        ))

    def _agent(self, message: Message, agent: str) -> rows.AgentRow:
        row = self._find(rows.AgentRow, agent) or self._put(rows.AgentRow(agent))
        row.changed_ns = message.header.ts
        return row

    def _on_agent_started(self, _: int, message: Message, body: system.AgentStarted) -> None:
        row = self._agent(message, body.agent)
        row.state, row.error, row.restarts = "running", "", body.restarts

    def _on_agent_failed(self, number: int, message: Message, body: system.AgentFailed) -> None:
        row = self._agent(message, body.agent)
        row.state, row.error = "failed", body.error
        self._log(number, message, "critical", f"agent {body.agent} failed", body.error)

    def _on_agent_stopped(self, _: int, message: Message, body: system.AgentStopped) -> None:
        self._agent(message, body.agent).state = "completed"

    def _on_alert(self, number: int, message: Message, body: system.AlertRaised) -> None:
        self._log(number, message, body.level, body.title, body.message)

    def _on_breach(self, number: int, message: Message, body: system.LimitBreached) -> None:
        self._log(number, message, "critical", f"limit {body.rule} reached", body.message)

    def _on_kill(self, number: int, message: Message, body: system.KillSwitchEngaged) -> None:
        self._log(number, message, "critical", f"kill switch engaged by {body.by} ({body.action})", body.reason)

    def _on_release(self, number: int, message: Message, body: system.KillSwitchReleased) -> None:
        self._log(number, message, "warning", f"kill switch released by {body.by}", body.reason)

    def _on_trading_state(self, number: int, message: Message, body: system.TradingStateChanged) -> None:
        self._log(number, message, "info", f"trading {body.state}", body.reason)

    def _on_lock(self, number: int, message: Message, body: system.LockPlaced) -> None:
        self._log(number, message, "warning", f"{body.rule} locks {body.symbol}", body.reason)

    def _on_cut(self, number: int, message: Message, body: system.ExposureCut) -> None:
        self._log(number, message, "warning", f"exposure cut, step {body.step}", body.message)

    def _on_feed_lost(self, number: int, message: Message, body: system.FeedLost) -> None:
        self._log(number, message, "warning", f"feed {body.feed} lost", body.reason)

    def _log(self, number: int, message: Message, level: str, title: str, text: str) -> None:
        self._put(rows.LogRow(number, level, message.header.source, title, text, message.header.ts))


def _day_of(ts: int) -> str:
    return datetime.fromtimestamp(ts // 1_000_000_000 // _DAY_S * _DAY_S, UTC).date().isoformat()


def _copy(source: Any, target: Any, *names: str) -> None:
    for name in names:
        setattr(target, name, getattr(source, name))


_HANDLERS: Final[dict[type, Any]] = {
    orders.OrderInitialized: ProjectionFold._on_initialized,
    orders.OrderDenied: ProjectionFold._on_denied,
    orders.OrderSubmitted: ProjectionFold._on_submitted,
    orders.OrderAccepted: ProjectionFold._on_accepted,
    orders.OrderRejected: ProjectionFold._on_rejected,
    orders.OrderTriggered: ProjectionFold._on_triggered,
    orders.OrderUpdated: ProjectionFold._on_updated,
    orders.OrderPendingCancel: ProjectionFold._on_pending_cancel,
    orders.OrderCancelled: ProjectionFold._on_cancelled,
    orders.OrderExpired: ProjectionFold._on_expired,
    orders.OrderUnknown: ProjectionFold._on_unknown,
    orders.OrderFilled: ProjectionFold._on_filled,
    orders.TrailingArmed: ProjectionFold._on_armed,
    ledger.PositionOpened: ProjectionFold._on_opened,
    ledger.PositionChanged: ProjectionFold._on_changed,
    ledger.PositionClosed: ProjectionFold._on_closed,
    ledger.FundsChanged: ProjectionFold._on_funds,
    ledger.PortfolioSnapshot: ProjectionFold._on_portfolio,
    Candle: ProjectionFold._on_candle,
    council.AnalysisCompleted: ProjectionFold._on_analysis,
    council.TradeProposed: ProjectionFold._on_proposed,
    council.ProposalWithheld: ProjectionFold._on_withheld,
    council.ProposalApproved: ProjectionFold._on_approved,
    council.ProposalVetoed: ProjectionFold._on_vetoed,
    council.ProposalExpired: ProjectionFold._on_proposal_expired,
    council.MandateIssued: ProjectionFold._on_mandate,
    council.ParametersChanged: ProjectionFold._on_parameters,
    system.DaemonStarted: ProjectionFold._on_started,
    system.DaemonStopping: ProjectionFold._on_stopping,
    system.AgentStarted: ProjectionFold._on_agent_started,
    system.AgentFailed: ProjectionFold._on_agent_failed,
    system.AgentStopped: ProjectionFold._on_agent_stopped,
    system.AlertRaised: ProjectionFold._on_alert,
    system.LimitBreached: ProjectionFold._on_breach,
    system.KillSwitchEngaged: ProjectionFold._on_kill,
    system.KillSwitchReleased: ProjectionFold._on_release,
    system.TradingStateChanged: ProjectionFold._on_trading_state,
    system.LockPlaced: ProjectionFold._on_lock,
    system.ExposureCut: ProjectionFold._on_cut,
    system.FeedLost: ProjectionFold._on_feed_lost,
}
RELEVANT: Final = frozenset(kind.__name__ for kind in _HANDLERS)
"""Kinds of records the fold looks at; the others need not even be decoded."""
