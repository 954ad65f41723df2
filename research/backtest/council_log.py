"""What the council did in a backtest, agent by agent, counted from the messages they sent each other."""

import re
from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from agents.consensus import Consensus, decide
from bus.messages import council, orders, system
from bus.messages.header import Message

MOST_EVENTS: Final = 200
_PAUSE: Final = re.compile(r"[:;.(]| \d")
_ROUNDING: Final = "the venue's step is no finer"
_COOLDOWN: Final = "cooldown"
NO_REASON: Final = "no reason was given"


@dataclass(frozen=True, slots=True)
class Event:
    """Something worth a line of its own: a mandate, a trading state, a limit, a lock. `ts` UTC ns."""

    ts: int
    kind: str
    text: str


@dataclass(slots=True)
class CouncilLog:
    """Feed it every message and every close; read the rest. `threshold` and `quorum` are the council's."""

    threshold: float
    quorum: float
    regimes: Counter[str] = field(default_factory=Counter)
    decisions: Counter[str] = field(default_factory=Counter)
    """What the models together said of each candle: hold, tie, quorum, dispute, weak buy, weak sell, buy, sell."""
    unproposed: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(buy or sell, why) of decisions that came to no proposal."""
    signals: Counter[str] = field(default_factory=Counter)
    rankings: int = 0
    proposals: Counter[str] = field(default_factory=Counter)
    approvals: int = 0
    shrunk: Counter[str] = field(default_factory=Counter)
    vetoes: Counter[str] = field(default_factory=Counter)
    denials: Counter[str] = field(default_factory=Counter)
    entries: int = 0
    filled: int = 0
    unfilled: Counter[str] = field(default_factory=Counter)
    mandates: Counter[str] = field(default_factory=Counter)
    """Of each candle's close: which mandate held."""
    events: list[Event] = field(default_factory=list)
    forgotten_events: int = 0
    restarts: int = 0
    entry_times: list[int] = field(default_factory=list)
    veto_times: list[int] = field(default_factory=list)
    stops: list[float] = field(default_factory=list)
    """Of each entry: the stop-loss's distance below it, a ratio."""
    exposure: "array[float]" = field(default_factory=lambda: array("d"))
    """Share of equity in the market at each close."""
    _mandate: str = ""
    _pending: str = ""
    _waiting: set[str] = field(default_factory=set)

    def apply(self, message: Message) -> None:
        """Messages that say nothing about the agents' work are passed over."""
        handler = _HANDLERS.get(type(message.body))
        if handler is not None:
            handler(self, message)

    def on_close(self, exposure: float) -> None:
        """A candle closed; so much of equity was in the market."""
        self.exposure.append(exposure)
        self.mandates[self._mandate or "none yet"] += 1

    def on_decided(self, strategy_says: str) -> None:
        """The council has dealt with the candle before. `strategy_says`: the strategy's words on its last decision."""
        if self._pending:
            self.unproposed[self._pending, short_reason(strategy_says)] += 1
            self._pending = ""

    # ---- by message --------------------------------------------------------------------------------

    def _on_analysis(self, message: Message) -> None:
        analysis: council.AnalysisCompleted = message.body
        self.regimes[analysis.regime] += 1
        for signal in analysis.signals:
            self.signals[signal.action] += 1
        made = decide(analysis.signals, threshold=self.threshold, quorum=self.quorum, regime=analysis.regime)
        outcome = _outcome(made, self.threshold)
        self.decisions[outcome] += 1
        self._pending = outcome if outcome in ("buy", "sell") else ""

    def _on_ranked(self, message: Message) -> None:
        self.rankings += bool(message.body.candidates)

    def _on_proposed(self, message: Message) -> None:
        self.proposals[message.body.side] += 1
        self._pending = ""

    def _on_approved(self, message: Message) -> None:
        self.approvals += 1
        if message.body.shrunk_from is not None:
            why = short_reason(message.body.reason.partition(": ")[2]).removesuffix(" leaves")
            if why.endswith("would exceed"):
                why += " its limit"
            if why != _ROUNDING:
                self.shrunk[why] += 1

    def _on_vetoed(self, message: Message) -> None:
        self.vetoes[message.body.code] += 1
        self.veto_times.append(message.header.ts)

    def _on_denied(self, message: Message) -> None:
        self.denials[message.body.code] += 1

    def _on_order(self, message: Message) -> None:
        order: orders.SubmitOrder = message.body.order
        if order.side == "buy":
            self.entries += 1
            self.entry_times.append(message.header.ts)
            self._waiting.add(order.client_order_id)
            if order.protection is not None and order.protection.stop_ratio is not None:
                self.stops.append(float(order.protection.stop_ratio))

    def _on_filled(self, message: Message) -> None:
        if message.body.client_order_id in self._waiting:
            self._waiting.discard(message.body.client_order_id)
            self.filled += 1

    def _on_ended(self, message: Message) -> None:
        if message.body.client_order_id in self._waiting:
            self._waiting.discard(message.body.client_order_id)
            self.unfilled[_ending(message.body.reason)] += 1

    def _on_mandate(self, message: Message) -> None:
        body: council.MandateIssued = message.body
        if body.mandate != self._mandate:
            self._mandate = body.mandate
            self._note(message.header.ts, "mandate", f"{body.mandate}: {body.reason}")

    def _on_state(self, message: Message) -> None:
        self._note(message.header.ts, "state", f"{message.body.state}: {message.body.reason}")

    def _on_breach(self, message: Message) -> None:
        self._note(message.header.ts, "limit", message.body.message)

    def _on_lock(self, message: Message) -> None:
        if message.body.rule != _COOLDOWN:  # the short rest after every exit is no event
            self._note(message.header.ts, "lock", message.body.reason)

    def _on_kill(self, message: Message) -> None:
        self._note(message.header.ts, "kill", f"{message.body.action}: {message.body.reason}")

    def _on_restart(self, message: Message) -> None:
        self.restarts += 1

    def _note(self, ts: int, kind: str, text: str) -> None:
        if len(self.events) >= MOST_EVENTS:
            self.forgotten_events += 1
        else:
            self.events.append(Event(ts, kind, text))


_HANDLERS: Final = {
    council.AnalysisCompleted: CouncilLog._on_analysis,
    council.CandidatesRanked: CouncilLog._on_ranked,
    council.TradeProposed: CouncilLog._on_proposed,
    council.ProposalApproved: CouncilLog._on_approved,
    council.ProposalVetoed: CouncilLog._on_vetoed,
    council.MandateIssued: CouncilLog._on_mandate,
    council.RestartAgent: CouncilLog._on_restart,
    orders.OrderDenied: CouncilLog._on_denied,
    orders.OrderInitialized: CouncilLog._on_order,
    orders.OrderFilled: CouncilLog._on_filled,
    orders.OrderCancelled: CouncilLog._on_ended,
    orders.OrderExpired: CouncilLog._on_ended,
    orders.OrderRejected: CouncilLog._on_ended,
    system.TradingStateChanged: CouncilLog._on_state,
    system.LimitBreached: CouncilLog._on_breach,
    system.LockPlaced: CouncilLog._on_lock,
    system.KillSwitchEngaged: CouncilLog._on_kill,
}


def _outcome(made: Consensus, threshold: float) -> str:
    """One word for what the models said together."""
    if made.action == "hold":
        if "a tie" in made.reason:
            return "tie"
        if made.is_disputed:
            return "dispute"
        return "quorum" if "is needed" in made.reason else "hold"
    side = "buy" if made.action == "trail_buy" else "sell"
    return side if made.confidence >= threshold else f"weak {side}"


def short_reason(text: str) -> str:
    """The part of a reason that is the same for many: without numbers and details."""
    kept = text.rpartition(", but ")[2] or text
    return _PAUSE.split(kept.strip(), maxsplit=1)[0].strip() or NO_REASON


def _ending(reason: str) -> str:
    if "has not decided for it again" in reason:
        return "the price did not turn up in time, and the council did not ask again"
    if reason.startswith("changed"):
        return "a newer entry took its place"
    return short_reason(reason)
