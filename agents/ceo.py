"""The CEO: starts the others, notices who is silent or keeps failing, and says how much risk is wanted.

It trades nothing. Its means are `StartAgent`, `RestartAgent`, its vote on the trading state, and a mandate
that expires: should the CEO die, its last mandate runs out and no new risk is proposed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agents.agent import HISTORY, AgentStatus, Emit
from agents.mandate import choose_mandate
from agents.parameters import Parameters, parameters_of
from agents.state_vote import StateVote
from agents.supervision import OUTER_BOUND_NS, Charge
from bus.messages.council import (
    AnalysisCompleted,
    Mandate,
    MandateIssued,
    ParametersChanged,
    Regime,
    RestartAgent,
    StartAgent,
)
from bus.messages.header import Message
from bus.messages.ledger import PortfolioSnapshot
from bus.messages.system import AgentFailed, AgentStarted, AlertRaised, Heartbeat, TimerFired, TradingStateChanged
from market.interval import SECOND_NS
from risk.limits import RiskLimits


@dataclass(frozen=True, slots=True)
class CeoConfig:
    """Who is started, in this order, and the CEO's patience (ns)."""

    agents: tuple[str, ...] = ("scanner", "analyst", "strategy", "risk", "trader")
    risk_silence_ns: int = 5 * SECOND_NS
    silence_ns: int = 60 * SECOND_NS
    mandate_every_ns: int = 60 * SECOND_NS
    mandate_valid_ns: int = 180 * SECOND_NS
    mandate_settle_ns: int = 10 * SECOND_NS
    regime_fresh_ns: int = 180 * SECOND_NS


class Ceo:
    """Supervision and mandate. `limits` says which drawdowns are allowed."""

    name = "ceo"

    def __init__(
        self, limits: RiskLimits, config: CeoConfig | None = None, parameters: Parameters | None = None,
    ) -> None:
        """`parameters`: the tuned ones; they only tighten `limits`."""
        self._configured = limits
        self._limits = limits if parameters is None else parameters.tighten(limits)
        self._config = config or CeoConfig()
        self._charges: dict[str, Charge] = {}
        self._vote = StateVote("ceo")
        self._problems: tuple[str, ...] = ()
        self._portfolio: PortfolioSnapshot | None = None
        self._regimes: dict[str, tuple[int, Regime]] = {}
        self._mandate: Mandate = "neutral"
        self._chosen: tuple[tuple[object, ...], tuple[Mandate, str]] = ((), ("neutral", ""))
        self._issued_ns: int | None = None
        self._differs_since_ns: int | None = None
        self._handlers: dict[type, Callable[[Message], list[Emit]]] = {
            Heartbeat: self._on_heartbeat,
            AgentStarted: self._on_started,
            AgentFailed: self._on_failed,
            PortfolioSnapshot: self._on_portfolio,
            AnalysisCompleted: self._on_analysis,
            TradingStateChanged: self._on_state,
            ParametersChanged: self._on_parameters,
        }
        self.subscriptions: frozenset[type] = frozenset(self._handlers)

    def handle(self, message: Message) -> Sequence[Emit]:
        if isinstance(message.body, TimerFired):
            return self._on_timer(message.header.ts)
        handler = self._handlers.get(type(message.body))
        return handler(message) if handler else ()

    def status(self) -> AgentStatus:
        heard = sum(charge.is_proven for charge in self._charges.values())
        word = "starting" if not self._charges else "in trouble" if self._problems else "supervising"
        story = "; ".join(self._problems) or f"{heard} of {len(self._config.agents)} agents work"
        return AgentStatus(word, f"{story}; mandate {self._mandate}", heard, len(self._config.agents))

    # ---- supervision -------------------------------------------------------------------------------

    def _on_timer(self, now: int) -> list[Emit]:
        emits = [] if self._charges else self._start_all(now)
        for charge in self._charges.values():
            emits += self._restart_if_needed(charge, now) + self._tell_if_lost(charge, now)
        return emits + self._supervise(now) + self._review_mandate(now)

    def _start_all(self, now: int) -> list[Emit]:
        config = self._config
        for agent in config.agents:
            patience = config.risk_silence_ns if agent == "risk" else config.silence_ns
            self._charges[agent] = Charge(agent, patience, now)
        return [Emit(StartAgent(agent)) for agent in config.agents]

    def _restart_if_needed(self, charge: Charge, now: int) -> list[Emit]:
        reason = charge.restart_reason(now)
        if not reason:
            return []
        charge.on_restarted(now)
        return [Emit(RestartAgent(charge.agent, reason))]

    def _tell_if_lost(self, charge: Charge, now: int) -> list[Emit]:
        """After five minutes without a sign of life a person is told, once; and once more when it is back."""
        is_lost = charge.is_lost(now)
        if is_lost == charge.is_told_lost:
            return []
        charge.is_told_lost = is_lost
        if not is_lost:
            return [Emit(AlertRaised("info", f"agent {charge.agent} is back", "it is heard again"))]
        minutes = OUTER_BOUND_NS // (60 * SECOND_NS)
        told = (
            f"not heard for {minutes} minutes, {charge.restarts} restarts did not help: no entries, exits go on. Look "
            "at `tradingd agents` and the log, then start the daemon anew"
        )
        return [Emit(AlertRaised("critical", f"agent {charge.agent} is lost", told))]

    def _supervise(self, now: int) -> list[Emit]:
        """Entries stop while somebody is missing; they may go on when everybody has been heard."""
        charges = self._charges.values()
        self._problems = tuple(trouble for charge in charges if (trouble := charge.trouble(now)))
        if self._problems:
            return self._vote.want("REDUCING", "; ".join(self._problems), now)
        if self._vote.wanted == "ACTIVE" or all(charge.is_proven for charge in charges):
            return self._vote.want("ACTIVE", "all agents work", now)
        if self._vote.wanted == "REDUCING":
            return self._vote.want("REDUCING", self._vote.reason, now)
        return []

    def _on_heartbeat(self, message: Message) -> list[Emit]:
        charge = self._charges.get(message.body.agent)
        if charge is not None:
            charge.on_heartbeat(message.header.ts)
        return []

    def _on_started(self, message: Message) -> list[Emit]:
        charge = self._charges.get(message.body.agent)
        if charge is not None:
            charge.on_started(message.header.ts)
        return []

    def _on_failed(self, message: Message) -> list[Emit]:
        now = message.header.ts
        # An agent may fail before the first timer, while it learns from history.
        emits = [] if self._charges else self._start_all(now)
        charge = self._charges.get(message.body.agent)
        if charge is None:
            return emits
        if message.header.source == HISTORY:
            charge.remember_failure(now)
            return emits + self._supervise(now)
        charge.on_failed(now, message.body.error)
        return emits + self._restart_if_needed(charge, now) + self._supervise(now)

    def _on_state(self, message: Message) -> list[Emit]:
        self._vote.on_changed(message.body)
        return []

    def _on_parameters(self, message: Message) -> list[Emit]:
        """Tuned limits may be stricter than the configured ones, never looser."""
        parameters = parameters_of(message.body.parameters)
        if parameters is not None:
            self._limits = parameters.tighten(self._configured)
        return []

    # ---- mandate -----------------------------------------------------------------------------------

    def _on_portfolio(self, message: Message) -> list[Emit]:
        self._portfolio = message.body
        return self._review_mandate(message.header.ts) if self._charges else []

    def _on_analysis(self, message: Message) -> list[Emit]:
        analysis: AnalysisCompleted = message.body
        self._regimes[analysis.symbol] = (message.header.ts, analysis.regime)
        return []

    def _review_mandate(self, now: int) -> list[Emit]:
        """Issue when due or changed. To and from risk_off at once; a mere mood must last for a while."""
        fresh = self._config.regime_fresh_ns
        self._regimes = {symbol: seen for symbol, seen in self._regimes.items() if now - seen[0] < fresh}
        regimes = {symbol: regime for symbol, (_, regime) in self._regimes.items()}
        mandate, reason = self._choose(regimes)
        if mandate == self._mandate:
            self._differs_since_ns = None
        elif self._differs_since_ns is None:
            self._differs_since_ns = now
        is_due = self._issued_ns is None or now - self._issued_ns >= self._config.mandate_every_ns
        is_grave = "risk_off" in (mandate, self._mandate) and mandate != self._mandate
        has_settled = (
            self._differs_since_ns is not None and now - self._differs_since_ns >= self._config.mandate_settle_ns
        )
        if not (is_due or is_grave or has_settled):
            return []
        self._mandate, self._issued_ns, self._differs_since_ns = mandate, now, None
        until = now + self._config.mandate_valid_ns
        return [Emit(MandateIssued(mandate, reason, until), expires=until)]

    def _choose(self, regimes: dict[str, Regime]) -> tuple[Mandate, str]:
        """Asked with each portfolio and on each timer: every second time about the very same."""
        question = (self._mandate, self._portfolio, self._limits, regimes)
        if question != self._chosen[0]:
            self._chosen = question, choose_mandate(self._mandate, self._portfolio, self._limits, regimes)
        return self._chosen[1]
