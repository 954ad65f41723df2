"""The strategy: turns a candle's opinions into at most one proposal per symbol, with stop, trail and expiry.

Entries need a buy consensus with enough confidence, an ACTIVE trading state, a mandate that is valid and not
risk_off, a known portfolio, nothing open on the symbol and the cooldown over. Exits need a sell consensus
and something to sell; they are proposed while REDUCING as well, and never while HALTED.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final, Literal

from agents.agent import HISTORY, AgentStatus, Emit
from agents.consensus import Consensus, decide
from agents.disputes import Resolver
from agents.parameters import parameters_of
from agents.strategies.rule import DecisionRule, NoPlan, Plan, Situation
from agents.strategies.rule_book import RuleBook, RuleWish, Standing, decide_with
from agents.symbol_desk import SymbolDesk
from bus.ids import CLIENT_ID_PREFIX, ProposalId
from bus.messages.council import (
    AnalysisCompleted,
    MandateIssued,
    ParametersChanged,
    ProposalApproved,
    ProposalExpired,
    ProposalVetoed,
    ProposalWithheld,
    TradeProposed,
)
from bus.messages.header import Message
from bus.messages.ledger import PortfolioSnapshot, PositionChanged, PositionClosed, PositionOpened
from bus.messages.orders import (
    OrderCancelled,
    OrderDenied,
    OrderExpired,
    OrderFilled,
    OrderInitialized,
    OrderRejected,
    Protection,
    ReassessmentDue,
)
from bus.messages.system import InstrumentChanged, TimerFired, TradingState, TradingStateChanged
from bus.messages.votes import Vote
from market.first_entry import FirstEntry
from market.instrument import Instrument
from market.interval import SECOND_NS, interval_ns
from market.money import ZERO
from market.ticks import Candle

ROUND_TRIPS_REMEMBERED: Final = 100
# "td-" before, "-s" of a protective child behind, and a number in between, all within a venue's 36 characters.
MAX_SESSION: Final = 18


@dataclass(frozen=True, slots=True)
class CouncilConfig:
    """[council] and the decision interval of [candles]: ratios 0-1, times in ns."""

    decision_interval: str = "1s"
    threshold: float = 0.6
    quorum: float = 0.25
    proposal_ttl_ns: int = 5 * SECOND_NS
    cooldown_ns: int = 10 * SECOND_NS
    kelly_memory_ns: int = 0
    """Round trips older than this no longer count for the Kelly cap (0 = all of the last 100 count): without
    forgetting, a losing streak would size every entry to nothing and no new round trip could ever lift it."""
    records_holds: bool = True
    """Decisions in which nobody wanted to act are told, too."""
    first_entry: bool = False
    """The first purchase of a symbol in this session follows `market.first_entry`, and the consensus from then on."""


class Strategy:
    """Consensus and proposals. `restarts` is how often it was begun anew in this session: ids stay unique."""

    name = "strategy"

    def __init__(
        self, session: str, config: CouncilConfig, rule: DecisionRule, instruments: Sequence[Instrument],
        restarts: int = 0, book: RuleBook | None = None, resolver: Resolver | None = None,
    ) -> None:
        """`book`: strategies of the library decide when to trade, the models have a veto; None = the models decide."""
        if not 0 < len(session) <= MAX_SESSION:
            raise ValueError(f"session id {session!r}: 1 to {MAX_SESSION} characters, or order ids become too long")
        self._config = config
        self._rule = rule
        self._book = book
        self._resolver = resolver
        self._desks = {instrument.symbol: SymbolDesk(instrument) for instrument in instruments}
        self._first_entries = {symbol: FirstEntry() for symbol in self._desks} if config.first_entry else {}
        self._id_stem = f"{session}-p" if restarts == 0 else f"{session}-r{restarts}p"
        self._proposals = 0
        self._portfolio: PortfolioSnapshot | None = None
        self._trading_state: TradingState = "ACTIVE"  # the gate's word is final; this one only saves breath
        self._mandate: MandateIssued | None = None
        self._round_trips: deque[PositionClosed] = deque(maxlen=ROUND_TRIPS_REMEMBERED)
        self._trips_told_ns = 0
        self._last = "no decision yet"
        self._handlers: dict[type, Callable[[Message], list[Emit]]] = {
            AnalysisCompleted: self._on_analysis,
            PortfolioSnapshot: self._on_portfolio,
            TradingStateChanged: self._on_state,
            MandateIssued: self._on_mandate,
            ProposalApproved: self._on_approved,
            ProposalVetoed: self._on_refused,
            ProposalExpired: self._on_refused,
            OrderInitialized: self._on_order_begun,
            OrderDenied: self._on_order_over,
            OrderRejected: self._on_order_over,
            OrderCancelled: self._on_order_over,
            OrderExpired: self._on_order_over,
            OrderFilled: self._on_filled,
            ReassessmentDue: self._on_reassessment,
            PositionOpened: self._on_position,
            PositionChanged: self._on_position,
            PositionClosed: self._on_closed,
            InstrumentChanged: self._on_instrument,
            ParametersChanged: self._on_parameters,
        }
        if book is not None:
            self._handlers[Candle] = self._on_candle
        self.subscriptions: frozenset[type] = frozenset(self._handlers)

    def handle(self, message: Message) -> Sequence[Emit]:
        if isinstance(message.body, TimerFired):
            return self._on_timer(message.header.ts)
        handler = self._handlers.get(type(message.body))
        return handler(message) if handler else ()

    def status(self) -> AgentStatus:
        held = sum(desk.is_held for desk in self._desks.values())
        return AgentStatus("running" if self._proposals else "waiting", self._last, held, len(self._desks))

    # ---- decisions ---------------------------------------------------------------------------------

    def _on_analysis(self, message: Message) -> list[Emit]:
        analysis: AnalysisCompleted = message.body
        desk = self._desks.get(analysis.symbol)
        if desk is None or analysis.interval != self._config.decision_interval:
            return []
        if analysis.ts_open <= desk.last_candle_ns:
            return []  # a resync may repeat candles; each is decided on once
        desk.last_candle_ns, desk.last_price = analysis.ts_open, analysis.close
        config = self._config
        consensus = decide(
            analysis.signals, threshold=config.threshold, quorum=config.quorum, regime=analysis.regime,
            resolver=self._resolver,
        )
        now = message.header.ts
        wished = None
        if self._book is not None:
            wished = self._book.entry_wish(analysis.symbol, analysis.ts_open, analysis.regime)
            consensus = decide_with(wished, consensus, config.threshold)
        else:
            consensus = self._with_first_entry(desk, analysis, consensus, now)
        if not consensus.is_enough(config.threshold):
            return self._withhold(analysis, consensus, "hold" if consensus.action == "hold" else "unsure", "")
        is_entry = consensus.action == "trail_buy"
        obstacle = self._obstacle_to_entry(desk, now) if is_entry else self._obstacle_to_exit(desk, now)
        if obstacle or self._portfolio is None:
            self._last = f"{analysis.symbol}: {consensus.reason}, but {obstacle}"
            return self._withhold(analysis, consensus, "blocked", obstacle)
        situation = Situation(
            now, desk.instrument, analysis, consensus, self._portfolio, desk.held, self._remembered_round_trips(now),
            wished,
        )
        plan = self._rule.plan_entry(situation) if is_entry else self._rule.plan_exit(situation)
        if isinstance(plan, NoPlan):
            self._last = f"{analysis.symbol}: {consensus.reason}, but {plan.reason}"
            return self._withhold(analysis, consensus, "no_plan", plan.reason)
        if self._book is not None and wished is not None:
            self._book.on_proposed(analysis.symbol, wished.choice)
        return [self._propose(desk, "buy" if is_entry else "sell", plan, consensus, now)]

    def _withhold(
        self, analysis: AnalysisCompleted, consensus: Consensus,
        outcome: Literal["hold", "unsure", "blocked", "no_plan"], why: str,
    ) -> list[Emit]:
        """A decision that leads to nothing is a decision: it is told with all its votes."""
        threshold = self._config.threshold
        is_quiet = outcome == "hold" and not analysis.skipped and all(v.action == "hold" for v in consensus.votes)
        if is_quiet and not self._config.records_holds:
            return []
        if outcome == "unsure":
            why = f"{consensus.confidence:.3f} is below {threshold:.3f}"
        return [Emit(ProposalWithheld(
            analysis.symbol, analysis.interval, analysis.ts_open, analysis.close, analysis.regime, outcome,
            consensus.action, consensus.confidence, threshold, consensus.lead_alpha,
            f"{consensus.reason}; {why}" if why else consensus.reason, consensus.votes, analysis.skipped,
        ))]

    def _on_candle(self, message: Message) -> list[Emit]:
        """Strategies of the library see every decision candle; a wish to leave is proposed at once."""
        candle: Candle = message.body
        desk, book = self._desks.get(candle.symbol), self._book
        if desk is None or book is None or candle.interval != self._config.decision_interval:
            return []
        now = message.header.ts
        # Of the past, what is held now is shown from its purchase on: a rule counts and trails from there.
        closed_ns = candle.ts_open + interval_ns(candle.interval)
        was_held = desk.is_held and not (candle.is_warmup and closed_ns <= desk.held_since_ns)
        obstacle = self._obstacle_to_exit(desk, now) if was_held else self._obstacle_to_entry(desk, now)
        cash = float(self._portfolio.available) if self._portfolio is not None else 0.0
        held = float(desk.held) if was_held else 0.0
        if not book.on_candle(candle, Standing(held, cash, bool(obstacle))) or candle.is_warmup:
            return []
        wished = book.exit_wish(candle.symbol)
        if wished is None or not desk.is_held or obstacle:
            return []
        desk.last_price = candle.close
        return self._leave(desk, wished, now)

    def _leave(self, desk: SymbolDesk, wished: RuleWish, now: int) -> list[Emit]:
        quantity = desk.held * Decimal(repr(wished.wish.fraction or 1.0))
        plan = Plan(desk.instrument.round_quantity(quantity), None, Protection(), self._config.proposal_ttl_ns)
        if plan.quantity <= ZERO:
            return []
        name = wished.choice.name
        vote = Vote(name, "trail_sell", 1.0, wished.choice.weight, is_strategy=True)
        reason = f"{name}: {wished.wish.why or 'its rule says so'}"
        return [self._propose(desk, "sell", plan, Consensus("trail_sell", 1.0, (vote,), name, reason), now)]

    def _with_first_entry(
        self, desk: SymbolDesk, analysis: AnalysisCompleted, consensus: Consensus, now: int,
    ) -> Consensus:
        """Before the first purchase: a buy as soon as the first-entry rule says so, and none before."""
        first = self._first_entries.get(analysis.symbol)
        if first is None:
            return consensus
        first.on_price(analysis.close, now)
        if desk.is_held:
            first.on_bought()
        if first.is_over:
            return consensus
        buys = [
            signal.confidence for signal in analysis.signals
            if signal.action == "trail_buy" and signal.weight > 0.0 and 0.0 < signal.confidence <= 1.0
        ]
        reason = first.reason_to_buy(analysis.close, max(buys, default=None))
        if reason:
            confidence = max(consensus.confidence if consensus.action == "trail_buy" else 0.0, self._config.threshold)
            return replace(consensus, action="trail_buy", confidence=confidence, reason=reason)
        if consensus.action != "trail_buy":
            return consensus
        waits = f"{consensus.reason}, but the first entry waits for a fall of 2 % or a confidence above 0.70"
        self._last = f"{analysis.symbol}: {waits}"
        return replace(consensus, action="hold", confidence=0.0, reason=waits)

    def _remembered_round_trips(self, now: int) -> tuple[PositionClosed, ...]:
        memory_ns = self._config.kelly_memory_ns
        return tuple(trip for trip in self._round_trips if not memory_ns or now - trip.closed_ns <= memory_ns)

    def _obstacle_to_entry(self, desk: SymbolDesk, now: int) -> str:
        if self._trading_state != "ACTIVE":
            return f"trading is {self._trading_state}"
        if self._mandate is None or now >= self._mandate.valid_until:
            return "no mandate is valid"
        if self._mandate.mandate == "risk_off":
            return f"the mandate is risk_off: {self._mandate.reason}"
        return desk.obstacle_to_entry(now) or ("" if self._portfolio is not None else "the portfolio is not known yet")

    def _obstacle_to_exit(self, desk: SymbolDesk, now: int) -> str:
        if self._trading_state == "HALTED":
            return "trading is HALTED"
        return desk.obstacle_to_exit(now) or ("" if self._portfolio is not None else "the portfolio is not known yet")

    def _propose(
        self, desk: SymbolDesk, side: Literal["buy", "sell"], plan: Plan, consensus: Consensus, now: int,
    ) -> Emit:
        self._proposals += 1
        proposal = TradeProposed(
            proposal_id=ProposalId(f"{self._id_stem}{self._proposals}"),
            symbol=desk.instrument.symbol,
            side=side,
            quantity=plan.quantity,
            reference_price=desk.last_price,
            confidence=consensus.confidence,
            votes=consensus.votes,
            lead_alpha=consensus.lead_alpha,
            trail=plan.trail,
            protection=plan.protection,
            order_expires=now + plan.expires_ns,
            reduce_only=side == "sell",
            reason=consensus.reason,
        )
        expires = now + self._config.proposal_ttl_ns
        desk.on_proposed(proposal.proposal_id, expires, now, self._config.cooldown_ns, is_entry=side == "buy")
        self._last = f"{proposal.symbol}: proposed to {side} {proposal.quantity:f}: {proposal.reason}"
        return Emit(proposal, expires=expires)

    def _on_timer(self, now: int) -> list[Emit]:
        """Positions that were held too long are sold at once, whatever the models say."""
        longest = self._rule.max_hold_ns
        if longest <= 0:
            return []
        emits = []
        for desk in self._desks.values():
            is_overdue = desk.held_since_ns > 0 and now - desk.held_since_ns >= longest and desk.last_price > ZERO
            if is_overdue and not self._obstacle_to_exit(desk, now):
                held_s, longest_s = (now - desk.held_since_ns) // SECOND_NS, longest // SECOND_NS
                reason = f"held for {held_s} s, and {longest_s} s are the longest allowed"
                plan = Plan(desk.instrument.round_quantity(desk.held), None, Protection(), self._config.proposal_ttl_ns)
                emits.append(self._propose(desk, "sell", plan, Consensus("trail_sell", 1.0, (), "", reason), now))
        return emits

    # ---- what is heard of the account, the mandate and our own proposals -----------------------------

    def _on_portfolio(self, message: Message) -> list[Emit]:
        portfolio: PortfolioSnapshot = message.body
        self._portfolio = portfolio
        lines = {line.symbol: line for line in portfolio.positions}
        working = {symbol for symbol, _ in portfolio.working_entries}
        for symbol, desk in self._desks.items():
            line = lines.get(symbol)
            held, mark, opened_ns = (line.quantity, line.mark, line.opened_ns) if line else (ZERO, ZERO, 0)
            desk.on_snapshot(held, mark, symbol in working, message.header.ts, opened_ns)
        return []

    def _on_state(self, message: Message) -> list[Emit]:
        self._trading_state = message.body.state
        return []

    def _on_mandate(self, message: Message) -> list[Emit]:
        self._mandate = message.body
        return []

    def _on_approved(self, message: Message) -> list[Emit]:
        # Still open: it ends with the order's first fact, or by its own expiry.
        self._last = f"{message.body.symbol}: {message.body.reason}"
        return []

    def _on_refused(self, message: Message) -> list[Emit]:
        body: Any = message.body
        if desk := self._desks.get(body.symbol):
            desk.on_proposal_over(body.proposal_id)
            self._last = f"{body.symbol}: {body.reason}"
        return []

    def _on_order_begun(self, message: Message) -> list[Emit]:
        order = message.body.order
        if desk := self._desks.get(order.symbol):
            desk.on_order_begun(order, message.header.ts)
        return []

    def _on_order_over(self, message: Message) -> list[Emit]:
        body: Any = message.body
        if desk := self._desks.get(body.symbol):
            desk.on_proposal_over(ProposalId(str(body.client_order_id).removeprefix(CLIENT_ID_PREFIX)))
            desk.on_order_over(body.client_order_id)
        return []

    def _on_reassessment(self, message: Message) -> list[Emit]:
        """An entry was open too long: the next decision for the symbol may change it. Silence lets it end."""
        due: ReassessmentDue = message.body
        if desk := self._desks.get(due.symbol):
            desk.on_reassessment(due.cancel_at)
            self._last = f"{due.symbol}: {due.client_order_id} was {due.reason}"
        return []

    def _on_filled(self, message: Message) -> list[Emit]:
        fill: OrderFilled = message.body
        desk = self._desks.get(fill.symbol)
        if desk is None:
            return []
        if fill.side == "buy":
            if first := self._first_entries.get(fill.symbol):
                first.on_bought()
            desk.on_bought(fill.cumulative, message.header.ts)
        if fill.is_complete:
            desk.on_order_over(fill.client_order_id)
        return []

    def _on_position(self, message: Message) -> list[Emit]:
        if desk := self._desks.get(message.body.symbol):
            desk.on_position(message.body.quantity, message.header.ts)
        return []

    def _on_parameters(self, message: Message) -> list[Emit]:
        """From now on the least confidence, the size and the base trail are these."""
        parameters = parameters_of(message.body.parameters)
        if parameters is not None:
            self._config = replace(self._config, threshold=float(parameters.confidence))
            self._rule = self._rule.tuned(parameters)
        return []

    def _on_instrument(self, message: Message) -> list[Emit]:
        if desk := self._desks.get(message.body.symbol):
            desk.instrument = message.body.applied_to(desk.instrument)
        return []

    def _on_closed(self, message: Message) -> list[Emit]:
        trip: PositionClosed = message.body
        is_past = message.header.source == HISTORY
        if is_past:
            self._trips_told_ns = max(self._trips_told_ns, trip.closed_ns)
        if is_past or trip.closed_ns > self._trips_told_ns:  # what waits on the bus at a new begin was told already
            self._round_trips.append(trip)
        if not is_past and (desk := self._desks.get(trip.symbol)):
            desk.on_position(ZERO, message.header.ts)
        return []
