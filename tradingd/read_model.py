"""The read model: every fact folded into what people ask for. Live it is fed by the engine loop, offline by
reading the journal; both give the same views.
"""

import asyncio
import re
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from bus.messages.header import Message
from bus.messages.orders import OrderFilled, SubmitOrder, TrailSpec
from bus.messages.system import (
    AgentFailed,
    AgentStarted,
    AgentStopped,
    AlertRaised,
    DaemonStarted,
    DaemonStopping,
    Heartbeat,
    KillSwitchEngaged,
    KillSwitchReleased,
    LimitBreached,
    PathDependenceNoted,
    TradingStateChanged,
)
from market.money import to_text
from orders.grid_book import GridBook
from tradingd.alpha_fold import AlphaFold
from tradingd.decision_trace import trace_decision
from tradingd.execution_quality import QualityFold
from tradingd.kill_progress import kill_progress
from tradingd.market_views import MarketFold
from tradingd.order_archive import Archive, read_decision, read_order
from tradingd.order_history import MOST_LISTED, OrderHistory
from tradingd.order_trace import trace_order
from tradingd.path_dependence import PathDependence, PathReport
from tradingd.protected_quantity import protected_quantities
from tradingd.read_model_council import CouncilFold
from tradingd.read_model_grids import GridView, grid_view, grid_views
from tradingd.read_model_orders import OrderFold, OrderRecord
from tradingd.read_model_results import ResultsFold
from tradingd.read_model_risk import RiskFold
from tradingd.read_model_views import (
    AgentSeen,
    AlphaVoteView,
    CountsView,
    DenialView,
    FillView,
    FireView,
    HistoryView,
    KillView,
    OrderView,
    PerformanceView,
    PositionRow,
    ProtectionView,
    RoundTripView,
    TraceEntry,
    TradingView,
    TrailView,
    VoteView,
    iso_or_none,
    text_or_none,
    to_iso,
)
from tradingd.recent_events import RecentEvents
from tradingd.tuning_fold import TuningFold

MAX_ORDERS: Final = 100
MAX_FILLS: Final = 10_000
MAX_ROUND_TRIPS: Final = 5_000
MAX_CHAINS: Final = 40
MAX_ALERTS: Final = 200
_DECISION: Final = re.compile(r"[a-z0-9]{1,40}(-p|\.[a-z0-9]{1,40}\.)[0-9]{1,18}\Z")
"""The id of a proposal (SESSION-pN) or of a message (strategy.SESSION.N)."""


class ReadModel:
    """Views of the account, its orders and their reasons. `apply` takes any message and ignores what it need not know.

    `quote` is the currency results are counted in. Ended orders beyond `max_orders` are forgotten, oldest first;
    working ones never are; of those `past` reads the journal. Single-threaded: apply and read from one event loop.
    """

    def __init__(
        self, quote: str, *, max_orders: int = MAX_ORDERS, max_fills: int = MAX_FILLS,
        max_round_trips: int = MAX_ROUND_TRIPS, max_chains: int = MAX_CHAINS,
    ) -> None:
        self.quote = quote
        self.order_fold = OrderFold(max_orders)
        self.results = ResultsFold(quote, max_fills, max_round_trips)
        self.council = CouncilFold(max_chains)
        self.grids = GridBook()
        self.alphas = AlphaFold(self.order_fold)
        self.market = MarketFold()
        self.tuning = TuningFold(self.order_fold)
        self.events = RecentEvents()
        self.risk = RiskFold(quote)
        self.quality = QualityFold()
        self.journal: Path | None = None  # where `past` looks
        self.past_lock = asyncio.Lock()  # held around `past_orders` and for as long as its records are used
        self._history: OrderHistory | None = None
        self.paths: PathDependence | None = None  # only while a recording of candles is replayed
        self._noted_paths: PathReport | None = None  # what a replay that ended said of them
        self.session: DaemonStarted | None = None
        self.session_started_ns = 0
        self.stopped: DaemonStopping | None = None
        self.kill: KillSwitchEngaged | None = None
        self.last_ts = 0
        self.listeners: list[Callable[[Message], None]] = [self.events.note]  # told after each message is folded
        self.alerts: deque[Message] = deque(maxlen=MAX_ALERTS)
        self._alerts_total = 0
        self._kill_since = 0
        self._trading: TradingStateChanged | None = None
        self._trading_since = 0
        self._agents: OrderedDict[str, AgentSeen] = OrderedDict()
        system: dict[type, Any] = {
            DaemonStarted: self._on_started,
            DaemonStopping: self._on_stopping,
            KillSwitchEngaged: self._on_kill,
            KillSwitchReleased: self._on_release,
            TradingStateChanged: self._on_trading_state,
            AlertRaised: self._on_alert,
            LimitBreached: self._on_alert,
            PathDependenceNoted: self._on_paths,
            AgentStarted: self._on_agent,
            AgentFailed: self._on_agent,
            AgentStopped: self._on_agent,
            Heartbeat: self._on_agent,
        }
        self._handlers: dict[type, Any] = (
            system | self.results.handlers | self.council.handlers | self.order_fold.handlers
        )

    def apply(self, message: Message) -> None:
        """Fold one message. Never raises for a message of the vocabulary, in whatever order."""
        self._fold(message)
        for listener in self.listeners:
            listener(message)

    def _fold(self, message: Message) -> None:
        body = message.body
        if self.paths is not None:
            self.paths.apply(message)
        self.risk.apply(message)
        self.grids.apply(message)
        self.alphas.apply(message)
        self.market.apply(message)
        self.tuning.apply(message)
        handler = self._handlers.get(type(body))
        if handler is None:
            return
        if message.header.ts > self.last_ts:
            self.last_ts = message.header.ts
        handler(message, body)
        self.quality.apply(message)
        if isinstance(body, OrderFilled):
            self.results.on_filled(message, body, self.order_fold.by_id[body.client_order_id])
        elif isinstance(body, SubmitOrder):
            self.council.on_command(body)

    # ---- views -------------------------------------------------------------------------------------

    def orders(
        self, *, state: str = "", symbol: str = "", limit: int = 100, working_only: bool = False
    ) -> list[OrderView]:
        """Newest first. `state` is one of T4's words or "" for all."""
        records = self.order_records(state=state, symbol=symbol, limit=limit, working_only=working_only)
        return [order_view(record) for record in records]

    def order_records(
        self, *, state: str = "", symbol: str = "", limit: int = 100, working_only: bool = False
    ) -> list[OrderRecord]:
        """As `orders`, for whoever makes the views a few at a time."""
        records: list[OrderRecord] = []
        for record in self.order_fold.newest_first():
            if len(records) >= limit:
                break
            if (state and record.state != state) or (symbol and record.spec.symbol != symbol):
                continue
            if not working_only or record.is_working:
                records.append(record)
        return records

    def is_cut(self, limit: int) -> bool:
        """Would a list of `limit` orders, ended ones too, miss what only the journal knows? Then ask `past_orders`."""
        return self.journal is not None and limit > MAX_ORDERS and bool(self.order_fold.forgotten)

    def symbols_at_stake(self) -> set[str]:
        """Those that are held, or have an order working: what matters most when not all can be looked after."""
        return {record.spec.symbol for record in self.order_fold.working()} | set(self.results.holdings)

    def past_orders(self, limit: int = MOST_LISTED) -> list[OrderRecord]:
        """The newest `limit` orders at least, in outline, forgotten ones too; call in a thread, under `past_lock`.

        Of a list that is filtered all may be wanted. Raises `JournalError`.
        """
        if self._history is None and self.journal is not None:
            self._history = OrderHistory(self.journal)
        return [] if self._history is None else self._history.newest(limit)

    def with_past(
        self, past: list[OrderRecord], *, state: str = "", symbol: str = "", limit: int = 100
    ) -> list[OrderRecord]:
        """As `order_records`, together with what `past_orders` found; what is known here, as it is here."""
        known = self.order_fold.by_id
        every = [*known.values(), *(record for record in past if record.id not in known)]
        every.sort(key=lambda record: record.created_ns, reverse=True)
        return [
            record for record in every
            if (not state or record.state == state) and (not symbol or record.spec.symbol == symbol)
        ][:limit]

    def order(self, order_id: str) -> OrderView | None:
        record = self.order_fold.by_id.get(order_id)
        return order_view(record) if record is not None else None

    def trace(self, order_id: str) -> tuple[TraceEntry, ...] | None:
        """The chain from candle to fill and result, in order of time; None for an unknown order."""
        record = self.order_fold.by_id.get(order_id)
        if record is None:
            return None
        return trace_order(record, self.order_fold.by_id, self.council, self.results)

    def is_past(self, order_id: str) -> bool:
        """Is more known of it in the journal than here? Then ask `past`, from a thread."""
        record = self.order_fold.by_id.get(order_id)
        if self.journal is None or record is None:
            fold = self.order_fold
            return self.journal is not None and (order_id in fold.forgotten or order_id in fold.forgotten_manual)
        relatives = [order_id, *record.children, *([record.spec.parent_id] if record.spec.parent_id else [])]
        known = [self.order_fold.by_id.get(each) for each in relatives]
        proposals = {each.spec.proposal_id for each in known if each is not None} - {""}
        return any(each is None or each.is_thin for each in known) or not proposals <= self.council.chains.keys()

    def past(self, order_id: str) -> Archive | None:
        """What the journal says of an order that `is_past`; it takes time and touches nothing else: call in a thread.

        Raises `JournalError`.
        """
        return None if self.journal is None else read_order(self.journal, order_id)

    def past_trace(self, order_id: str, past: Archive | None) -> tuple[TraceEntry, ...] | None:
        """As `trace`, with what `past` found."""
        record = past.orders.by_id.get(order_id) if past is not None else None
        if past is None or record is None:
            return self.trace(order_id)
        return trace_order(record, past.orders.by_id, past.council, self.results)

    def decision_trace(self, wanted: str) -> tuple[TraceEntry, ...] | None:
        """Why the council decided so, in order of time, by a decision's or a proposal's id; None when not kept here."""
        if wanted not in self.council.chains and self.is_past_decision(wanted):
            return None
        return trace_decision(self.council, wanted)

    def is_past_decision(self, wanted: str) -> bool:
        """Might more be known of it in the journal than here? Then ask `past_decision_trace`, from a thread."""
        if self.journal is None or not _DECISION.match(wanted):
            return False
        decision = self.council.decision(wanted)
        proposal_id = getattr(decision.body, "proposal_id", "") if decision is not None else ""
        is_whole = proposal_id in self.council.chains if proposal_id else decision is not None
        return not is_whole

    def past_decision_trace(self, wanted: str) -> tuple[TraceEntry, ...] | None:
        """As `decision_trace`, from the journal; it takes time. Raises `JournalError`."""
        found = read_decision(self.journal, wanted) if self.journal is not None else None
        return None if found is None else trace_decision(found, wanted)

    def fills(self, *, limit: int = 100, since_ns: int = 0) -> list[FillView]:
        """Newest first, not older than `since_ns`."""
        return self.results.fill_views(limit, since_ns)

    def round_trips(self, *, limit: int = 100) -> list[RoundTripView]:
        """Newest first."""
        return self.results.round_trip_views(limit)

    def grid_views(self) -> list[GridView]:
        """Newest first."""
        return grid_views(self.grids, self.order_fold.by_id, self.last_ts)

    def grid_view(self, grid_id: str) -> GridView | None:
        grid = self.grids.get(grid_id)
        return None if grid is None else grid_view(grid, self.order_fold.by_id, self.last_ts)

    def positions(self) -> list[PositionRow]:
        exits: dict[str, list[str]] = {}
        working = tuple(self.order_fold.working())
        for record in working:
            if record.spec.side == "sell":
                exits.setdefault(record.spec.symbol, []).append(record.id)
        return self.results.positions(exits, protected_quantities(working))

    def performance(self) -> PerformanceView:
        view, told = self.results.performance(), self._noted_paths
        if self.paths is not None:
            told = self.paths.report()
        if told is None:
            return view
        return replace(view, path_dependent_trades=told.dependent, path_dependent_share=told.share)

    def trading(self) -> TradingView:
        """The rule of the four votes. Before the first word about it: REDUCING, for nothing is known yet."""
        known = self._trading
        if known is None:
            return TradingView("REDUCING", "no vote has been counted yet", None, ())
        votes = tuple(VoteView(*vote) for vote in known.votes)
        return TradingView(known.state, known.reason, iso_or_none(self._trading_since), votes)

    def kill_view(self) -> KillView | None:
        """The latch, or None when it is released."""
        kill = self.kill
        if kill is None:
            return None
        done = kill_progress(kill, self._kill_since, self.order_fold.by_id.values(), self.results.holdings)
        return KillView(
            kill.action, kill.reason, kill.by, to_iso(self._kill_since), done.not_cancelled_count, done.not_sold_count,
            (*done.not_cancelled, *done.not_sold), done.unprotected, done.text,
        )

    @property
    def kill_since_ns(self) -> int:
        """UTC ns of the latch, meaningless without one."""
        return self._kill_since

    def agents(self) -> list[AgentSeen]:
        return list(self._agents.values())

    def counts(self) -> CountsView:
        working = self.order_fold.working()
        ended, council = self.order_fold.ended_total, self.council
        return CountsView(
            orders=self.order_fold.total,
            working=len(working),
            unknown=sum(1 for record in working if record.detail == "unknown"),
            filled=ended["FILLED"],
            cancelled=ended["CANCELLED"],
            expired=ended["EXPIRED"],
            rejected=ended["REJECTED"] - self.order_fold.denied_total,
            denied=self.order_fold.denied_total,
            denied_unlisted=self.order_fold.denied_unlisted,
            fills=self.results.fills_total,
            proposals=council.proposals,
            approved=council.approved,
            vetoed=council.vetoed,
            alerts=self._alerts_total,
        )

    # ---- system facts ------------------------------------------------------------------------------

    def _on_started(self, message: Message, body: DaemonStarted) -> None:
        self.session, self.session_started_ns, self.stopped = body, message.header.ts, None
        self._agents.clear()

    def _on_paths(self, _: Message, body: PathDependenceNoted) -> None:
        self._noted_paths = PathReport(body.trades, body.dependent)

    def _on_stopping(self, _: Message, body: DaemonStopping) -> None:
        self.stopped = body

    def _on_kill(self, message: Message, body: KillSwitchEngaged) -> None:
        if self.kill is None:
            self._kill_since = message.header.ts
        self.kill = body

    def _on_release(self, _message: Message, _body: KillSwitchReleased) -> None:
        self.kill = None

    def _on_trading_state(self, message: Message, body: TradingStateChanged) -> None:
        if self._trading is None or self._trading.state != body.state:
            self._trading_since = message.header.ts
        self._trading = body

    def _on_alert(self, message: Message, _: AlertRaised | LimitBreached) -> None:
        self._alerts_total += 1
        self.alerts.append(message)

    def _on_agent(self, message: Message, body: AgentStarted | AgentFailed | AgentStopped | Heartbeat) -> None:
        known = self._agents.get(body.agent, AgentSeen(body.agent, "idle", 0, "", None))
        heard = to_iso(message.header.ts)
        state, restarts, error = known.state, known.restarts, known.error
        if isinstance(body, AgentStarted):
            state, restarts, error = "running", body.restarts, ""
        elif isinstance(body, AgentFailed):
            state, error = "failed", body.error
        elif isinstance(body, AgentStopped):
            state = "completed"
        self._agents[body.agent] = AgentSeen(body.agent, state, restarts, error, heard)


def trail_view(trail: TrailSpec | None) -> TrailView | None:
    """A trail's settings for people."""
    if trail is None:
        return None
    return TrailView(
        trail.kind, to_text(trail.distance), text_or_none(trail.activation_price), text_or_none(trail.limit_offset),
        trail.price_source, text_or_none(trail.break_even_ratio), text_or_none(trail.decay_ratio_per_minute),
        text_or_none(trail.decay_floor),
    )


def order_view(record: OrderRecord) -> OrderView:
    """One order for people."""
    spec, denial, protection = record.spec, record.denial, record.spec.protection
    return OrderView(
        id=record.id,
        symbol=spec.symbol,
        side=spec.side,
        type=spec.order_type,
        quantity=to_text(record.quantity),
        price=text_or_none(record.price),
        stop_price=text_or_none(record.stop_price),
        trail=trail_view(record.trail),
        state=record.state,
        detail=record.detail,
        by=record.by,
        reason=record.reason,
        filled=to_text(record.filled),
        average_price=text_or_none(record.average_price),
        reference_price=text_or_none(record.reference_price),
        slippage=record.slippage,
        fees=to_text(record.fees_quote),
        reduce_only=spec.reduce_only,
        tag=spec.tag,
        origin=spec.origin,
        proposal_id=spec.proposal_id,
        parent_id=spec.parent_id,
        venue_order_id=record.venue_order_id,
        confidence=spec.confidence,
        lead_alpha=spec.lead_alpha,
        votes=tuple(AlphaVoteView(vote.alpha, vote.action, vote.confidence, vote.weight) for vote in spec.votes),
        protection=None if protection is None else ProtectionView(
            text_or_none(protection.stop_ratio), text_or_none(protection.take_profit_ratio),
            trail_view(protection.trail),
        ),
        replaces=spec.replaces,
        improve=spec.improve,
        ends_with_day=spec.ends_with_day,
        created=to_iso(record.created_ns),
        updated=to_iso(record.updated_ns),
        expires=iso_or_none(spec.expire_at),
        trigger=text_or_none(record.trigger),
        best=text_or_none(record.best),
        denial=None if denial is None else DenialView(
            denial.code, denial.family, denial.rule, denial.value, denial.limit, denial.message
        ),
        fires=tuple(FireView(to_iso(ts), to_text(trigger), to_text(price)) for ts, trigger, price in record.fires),
        history=tuple(HistoryView(to_iso(ts), state, detail, why) for ts, state, detail, why in record.history),
    )
