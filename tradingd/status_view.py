"""The daemon at a glance: the process's own state joined with the read model, live or from the journal."""

from dataclasses import dataclass
from typing import Literal

from market.money import to_text
from tradingd.control import AgentReport, Control, FeedStatus
from tradingd.data_dir import whereabouts
from tradingd.read_model import ReadModel
from tradingd.read_model_risk import LockView
from tradingd.read_model_views import CountsView, KillView, VoteView, iso_or_none, to_iso
from tradingd.scorecard import TargetView, scorecard
from tradingd.settings import Settings


@dataclass(frozen=True, slots=True)
class ProgressView:
    """`percent` to two decimals, 0 when the total is 0."""

    current: int
    total: int
    percent: float
    message: str


@dataclass(frozen=True, slots=True)
class AgentView:
    """One agent: its lifecycle state, its own words, its counters. `id` is what paths and commands call it."""

    name: str
    id: str
    state: str
    status: str
    progress: ProgressView
    restarts: int
    handled: int
    emitted: int
    queued: int
    dropped: int
    started_at: str | None
    completed_at: str | None
    duration_s: float | None
    last_heartbeat: str | None
    error: str


@dataclass(frozen=True, slots=True)
class FeedView:
    """One market data connection."""

    name: str
    state: str
    messages: int
    reconnects: int
    gaps: int
    age_s: float | None
    detail: str


@dataclass(frozen=True, slots=True)
class BusView:
    """The carrier of the council."""

    url: str
    is_connected: bool
    published: int
    dropped: int
    gaps: int


@dataclass(frozen=True, slots=True)
class ProblemView:
    """What is wrong right now, and since when."""

    text: str
    since: str


@dataclass(frozen=True, slots=True)
class StatusView:
    """Everything a person looks at first. `state` is STOPPED when it was read from the journal of a daemon
    that does not run. Money in `quote`, None before the first portfolio.
    """

    state: Literal["ACTIVE", "REDUCING", "HALTED", "STOPPED"]
    is_ready: bool
    not_ready_reason: str
    mode: str
    venue: str
    symbols: tuple[str, ...]
    session: str
    version: str
    is_replay: bool
    pid: int | None
    time: str | None
    started: str | None
    uptime_s: float
    quote: str
    equity: str | None
    available: str | None
    realized_pnl: str | None
    unrealized_pnl: str | None
    daily_drawdown: float | None
    open_positions: int
    working_orders: int
    unknown_orders: int
    fills: int
    votes: tuple[VoteView, ...]
    kill: KillView | None
    agents: tuple[AgentView, ...]
    feeds: tuple[FeedView, ...]
    feed_age_s: float | None
    bus: BusView | None
    counts: CountsView
    problems: tuple[ProblemView, ...]
    locks: tuple[LockView, ...]
    loop_lag_ms: float
    memory_mb: float
    scorecard: tuple[TargetView, ...]


def live_status(control: Control) -> StatusView:
    """Of the running daemon."""
    now, model, settings = control.status(), control.read_model, control.settings
    portfolio, counts, trading = model.results.portfolio, model.counts(), model.trading()
    session = model.session
    bus = now.bus
    return StatusView(
        state=trading.state,
        is_ready=now.is_ready,
        not_ready_reason=now.not_ready_reason,
        mode=settings.mode,
        venue=settings.venue,
        symbols=settings.symbols,
        session=now.session,
        version=session.version if session is not None else "",
        is_replay=now.is_replay,
        pid=now.pid,
        time=iso_or_none(control.now()),
        started=iso_or_none(now.started_ns),
        uptime_s=round(now.uptime_s, 3),
        quote=model.quote,
        equity=to_text(portfolio.equity) if portfolio else None,
        available=to_text(portfolio.available) if portfolio else None,
        realized_pnl=to_text(portfolio.realized_pnl) if portfolio else None,
        unrealized_pnl=to_text(portfolio.unrealized_pnl) if portfolio else None,
        daily_drawdown=portfolio.daily_drawdown if portfolio else None,
        open_positions=len(model.results.holdings),
        working_orders=counts.working,
        unknown_orders=counts.unknown,
        fills=counts.fills,
        votes=trading.votes,
        kill=model.kill_view(),
        agents=tuple(agent_view(agent, control.now()) for agent in now.agents),
        feeds=tuple(feed_view(feed) for feed in now.feeds),
        feed_age_s=now.feed_age_s,
        bus=BusView(bus.url, bus.is_connected, bus.published, bus.dropped, bus.gaps),
        counts=counts,
        problems=tuple(ProblemView(problem.text, to_iso(problem.since_ns)) for problem in now.problems),
        locks=tuple(model.risk.lock_views(control.now())),
        loop_lag_ms=now.loop_lag_ms,
        memory_mb=now.memory_mb,
        scorecard=scorecard(model),
    )


def offline_status(model: ReadModel, settings: Settings) -> StatusView:
    """Of a daemon that does not run, as its journal left it."""
    portfolio, counts, session = model.results.portfolio, model.counts(), model.session
    trading = model.trading()
    return StatusView(
        state="STOPPED",
        is_ready=False,
        not_ready_reason=whereabouts(settings.data_dir),
        mode=session.mode if session is not None else settings.mode,
        venue=session.venue if session is not None else settings.venue,
        symbols=session.symbols if session is not None else settings.symbols,
        session=session.session if session is not None else "",
        version=session.version if session is not None else "",
        is_replay=session.is_replay if session is not None else False,
        pid=None,
        time=iso_or_none(model.last_ts),
        started=iso_or_none(model.session_started_ns),
        uptime_s=0.0,
        quote=model.quote,
        equity=to_text(portfolio.equity) if portfolio else None,
        available=to_text(portfolio.available) if portfolio else None,
        realized_pnl=to_text(portfolio.realized_pnl) if portfolio else None,
        unrealized_pnl=to_text(portfolio.unrealized_pnl) if portfolio else None,
        daily_drawdown=portfolio.daily_drawdown if portfolio else None,
        open_positions=len(model.results.holdings),
        working_orders=counts.working,
        unknown_orders=counts.unknown,
        fills=counts.fills,
        votes=trading.votes,
        kill=model.kill_view(),
        agents=offline_agents(model),
        feeds=(),
        feed_age_s=None,
        bus=None,
        counts=counts,
        problems=(),
        locks=tuple(model.risk.lock_views(model.last_ts)),
        loop_lag_ms=0.0,
        memory_mb=0.0,
        scorecard=scorecard(model),
    )


def offline_agents(model: ReadModel) -> tuple[AgentView, ...]:
    """What the journal says of the agents of its last session."""
    return tuple(
        AgentView(
            seen.name, seen.name, "completed" if seen.state == "running" else seen.state, "",
            ProgressView(0, 0, 0.0, ""), seen.restarts, 0, 0, 0, 0, None, None, None, seen.last_heard, seen.error,
        )
        for seen in model.agents()
    )


def agent_view(agent: AgentReport, now_ns: int) -> AgentView:
    """One agent for people; `now_ns` closes the duration of one that still runs."""
    percent = round(100.0 * agent.current / agent.total, 2) if agent.total else 0.0
    end = agent.completed_ns or now_ns
    return AgentView(
        name=agent.name,
        id=agent.name,
        state=agent.state,
        status=agent.status,
        progress=ProgressView(agent.current, agent.total, percent, agent.message),
        restarts=agent.restarts,
        handled=agent.handled,
        emitted=agent.emitted,
        queued=agent.queued,
        dropped=agent.dropped,
        started_at=iso_or_none(agent.started_ns),
        completed_at=iso_or_none(agent.completed_ns),
        duration_s=round(max(0, end - agent.started_ns) / 1e9, 3) if agent.started_ns else None,
        last_heartbeat=iso_or_none(agent.heartbeat_ns),
        error=agent.error,
    )


def feed_view(feed: FeedStatus) -> FeedView:
    """One connection for people."""
    return FeedView(feed.name, feed.state, feed.messages, feed.reconnects, feed.gaps, feed.age_s, feed.detail)
