"""Around each agent: turns what it emits into numbered messages, notices when it fails, begins it anew."""

from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Final, Protocol

from agents.agent import Agent, AgentStatus
from agents.supervision import FAILURE_WINDOW_NS, FAILURES_TOLERATED
from bus.clock import Clock
from bus.codec import why_unsayable
from bus.ids import SessionId
from bus.messages.council import TradeProposed
from bus.messages.header import Message, MessageMaker
from bus.messages.orders import SubmitOrder
from bus.messages.system import AgentFailed, AgentStarted, Heartbeat, TimerFired
from market.interval import SECOND_NS
from tradingd.agent_watch import AgentStuckError, AgentWatch
from tradingd.control import AgentReport
from tradingd.profile import Timing

MOST_WISHES_PER_SECOND: Final = 200
"""Of proposals and orders of one agent; one that says more is cut off as failed, and begun anew by the CEO."""

_COUNTED: Final = frozenset({TradeProposed, SubmitOrder})


class OutputSink(Protocol):
    """Takes each message of an agent, in order."""

    def __call__(self, message: Message) -> None: ...


class AgentRunner:
    """An agent that raises, does not come back, says what cannot be said, or says it far too often is failed until
    `restart`; meanwhile it hears nothing and shows no heartbeat.

    `make` builds a fresh agent; `on_restart` lets the runtime give it its history back.
    """

    def __init__(
        self, name: str, make: Callable[[], Agent], session: SessionId, clock: Clock, sink: OutputSink,
        on_restart: Callable[["AgentRunner"], None], watch: AgentWatch | None = None,
    ) -> None:
        self.name = name
        self._make = make
        self._clock = clock
        self._sink = sink
        self._on_restart = on_restart
        self._watch = watch or AgentWatch()
        self._maker = MessageMaker(name, session)
        self._agent: Agent = make()
        self.timing = Timing()
        self._error = ""
        self._has_failed = False
        self._failures: deque[tuple[int, str]] = deque(maxlen=FAILURES_TOLERATED)
        self._started_ns = 0
        self._heartbeat_ns = 0
        self._restarts = 0
        self._handled = 0
        self._emitted = 0
        self._second = 0
        self._in_second = 0

    @property
    def agent(self) -> Agent:
        """As it is now; a restart makes another one. For people who look at it."""
        return self._agent

    @property
    def has_failed(self) -> bool:
        """It raised, and hears nothing until `restart`."""
        return self._has_failed

    def recent_failures(self) -> list[AgentFailed]:
        """Those that still count for the CEO, at most as many as it tolerates."""
        since = self._clock.now() - FAILURE_WINDOW_NS
        return [AgentFailed(self.name, error) for failed_ns, error in self._failures if failed_ns > since]

    @property
    def subscriptions(self) -> frozenset[type]:
        """What this agent wants to hear."""
        return self._agent.subscriptions

    def start(self) -> None:
        """Say that it is there."""
        self._started_ns = self._clock.now()
        self._say(AgentStarted(self.name, self._restarts), "")

    def deliver(self, message: Message) -> None:
        """Let the agent react; its failure ends here."""
        if self._has_failed:
            return
        begin = perf_counter()
        try:
            self._watch.begin()
            emits = self._agent.handle(message)
            self._watch.end()
        except (Exception, AgentStuckError) as error:  # noqa: BLE001 - whatever an agent raises must not reach the engine
            self.timing.failures += 1
            self._fail(error, message)
            return
        self.timing.add(perf_counter() - begin)
        self._handled += 1
        for emit in emits:
            wrong = why_unsayable(emit.body) or self._why_too_much(emit.body)
            if wrong:
                self._cut_off(wrong, message)
                return
            self._emitted += 1
            self._sink(
                self._maker.make(
                    emit.body, self._clock.now(), cause=emit.cause or message.id, expires=emit.expires,
                    target=emit.target,
                )
            )

    def _why_too_much(self, body: object) -> str:
        """A runaway: more proposals or orders within a second than any strategy has reason for."""
        if type(body) not in _COUNTED:
            return ""
        second = self._clock.now() // SECOND_NS
        if second != self._second:
            self._second, self._in_second = second, 0
        self._in_second += 1
        if self._in_second <= MOST_WISHES_PER_SECOND:
            return ""
        return f"it said more than {MOST_WISHES_PER_SECOND} proposals or orders within a second"

    def tick(self, timer: Message) -> None:
        """A second has passed: the timer for the agent, a heartbeat for the CEO."""
        assert isinstance(timer.body, TimerFired)  # noqa: S101 - narrows the contract for readers
        self.deliver(timer)
        if not self._has_failed:
            self._heartbeat_ns = timer.header.ts
            self._say(Heartbeat(self.name), timer.id)

    def restart(self, reason: str) -> None:
        """A fresh agent takes its place."""
        self._agent = self._make()
        self._has_failed = False
        self._restarts += 1
        self._error = self._error or reason
        self.start()
        self._on_restart(self)

    def _fail(self, error: BaseException, message: Message) -> None:
        self._cut_off(f"{type(error).__name__} on {type(message.body).__name__}: {error}", message)

    def _cut_off(self, why: str, message: Message) -> None:
        self._watch.end()
        self._has_failed = True
        self._error = why[:500]
        self._failures.append((self._clock.now(), self._error))
        self._say(AgentFailed(self.name, self._error), message.id)

    def _say(self, body: object, cause: str) -> None:
        self._sink(self._maker.make(body, self._clock.now(), cause=cause))

    def report(self) -> AgentReport:
        """For people."""
        own = AgentStatus("failed", self._error) if self._has_failed else self._agent.status()
        return AgentReport(
            name=self.name, state="failed" if self._has_failed else "running", status=own.status, message=own.message,
            current=own.current, total=own.total, restarts=self._restarts, handled=self._handled,
            emitted=self._emitted, started_ns=self._started_ns, heartbeat_ns=self._heartbeat_ns, error=self._error,
        )
