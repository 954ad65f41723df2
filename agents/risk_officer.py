"""The risk officer: one answer to every proposal, yes (perhaps smaller) or no, with every check that was made.

It judges by the portfolio it knows; one that is older than a few seconds is no ground for new risk. What it
approved a moment ago and the portfolio does not show yet counts as taken, so that two proposals in one
instant cannot both have the last slot. When a loss limit is reached it votes REDUCING, and says so once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from agents.agent import AgentStatus, Emit
from agents.mandate import Drawdown, drawdowns_of
from agents.parameters import Parameters, parameters_of
from agents.state_vote import StateVote
from bus.ids import CLIENT_ID_PREFIX, ProposalId
from bus.messages.council import (
    Check,
    Mandate,
    MandateIssued,
    ParametersChanged,
    ProposalApproved,
    ProposalExpired,
    ProposalVetoed,
    TradeProposed,
)
from bus.messages.header import Message
from bus.messages.ledger import PortfolioSnapshot
from bus.messages.orders import OrderCancelled, OrderDenied, OrderExpired, OrderInitialized, OrderRejected
from bus.messages.system import (
    InstrumentChanged,
    LimitBreached,
    LockLifted,
    LockPlaced,
    TimerFired,
    TradingState,
    TradingStateChanged,
)
from market.instrument import Instrument
from market.interval import SECOND_NS
from risk.limits import RiskLimits
from risk.locks import ALL_SYMBOLS, LockBook
from risk.proposal import ProposalVerdict, highest_entry_price, review_proposal
from risk.wording import percent

PORTFOLIO_FRESH_NS: Final = 5 * SECOND_NS
RELEASE_SHARE: Final = Decimal("0.95")
"""A reached limit counts as left below this share of it: a value at the brink must not make the state flicker."""
KEEP_ANSWERS: Final = 50
"""Answers kept of proposals that are dead: who asks once more gets the same one."""
MAX_ANSWERS: Final = 5000
"""Answers kept in all."""
# The engine may take a command at its last moment; its facts then need a moment to come back.
_GRACE_NS: Final = 5 * SECOND_NS
_NEVER: Final = 0


@dataclass(slots=True)
class _Reservation:
    """An approved entry that the portfolio does not show yet: value in quote; `ordered_ns` once it is an order."""

    symbol: str
    notional: Decimal
    until_ns: int
    ordered_ns: int = _NEVER


class RiskOfficer:
    """Veto, shrinking, and the risk vote. `portfolio_fresh_ns`: how old a portfolio may be for an entry."""

    name = "risk"

    def __init__(
        self, limits: RiskLimits, instruments: Sequence[Instrument], portfolio_fresh_ns: int = PORTFOLIO_FRESH_NS,
        parameters: Parameters | None = None,
    ) -> None:
        """`parameters`: the tuned ones; they only tighten `limits`."""
        self._configured = limits
        self._limits = limits if parameters is None else parameters.tighten(limits)
        self._instruments = {instrument.symbol: instrument for instrument in instruments}
        self._fresh_ns = portfolio_fresh_ns
        self._now = 0
        self._portfolio: PortfolioSnapshot | None = None
        self._portfolio_ns = 0
        self._trading_state: TradingState = "ACTIVE"  # the gate's word is final
        self._mandate: MandateIssued | None = None
        self._answers: dict[ProposalId, tuple[int, ProposalApproved | ProposalVetoed]] = {}  # with the end of it
        self._judged = 0
        self._reservations: dict[ProposalId, _Reservation] = {}
        self._breached: dict[str, Drawdown] = {}
        self._locks = LockBook()  # as far as it was heard of; the gate's word is final
        self._vote = StateVote("risk")
        self._approved = 0
        self._last = "no proposal yet"
        self._handlers: dict[type, Callable[[Message], list[Emit]]] = {
            TradeProposed: self._on_proposed,
            PortfolioSnapshot: self._on_portfolio,
            TradingStateChanged: self._on_state,
            MandateIssued: self._on_mandate,
            OrderInitialized: self._on_order_begun,
            OrderDenied: self._on_order_over,
            OrderRejected: self._on_order_over,
            OrderCancelled: self._on_order_over,
            OrderExpired: self._on_order_over,
            ProposalExpired: self._on_proposal_expired,
            LockPlaced: self._on_lock,
            LockLifted: self._on_lock,
            InstrumentChanged: self._on_instrument,
            ParametersChanged: self._on_parameters,
        }
        self.subscriptions: frozenset[type] = frozenset(self._handlers)

    def handle(self, message: Message) -> Sequence[Emit]:
        self._now = max(self._now, message.header.ts)
        if isinstance(message.body, TimerFired):
            return self._on_timer()
        handler = self._handlers.get(type(message.body))
        return handler(message) if handler else ()

    def status(self) -> AgentStatus:
        word = "limit reached" if self._breached else "guarding"
        return AgentStatus(word, self._last, self._approved, self._judged)

    # ---- verdicts ----------------------------------------------------------------------------------

    def _on_proposed(self, message: Message) -> list[Emit]:
        proposal: TradeProposed = message.body
        expires = message.header.expires
        _, answer = self._answers.get(proposal.proposal_id, (0, None))
        if answer is None:
            if 0 < expires <= self._now:
                return []  # it is dead already, and silence is no
            answer = self._judge(proposal, expires)
            self._answers[proposal.proposal_id] = expires, answer
            self._judged += 1
            self._forget_answers()
            self._last = f"{proposal.symbol}: {answer.reason}"
        return [Emit(answer, expires=expires)]

    def _forget_answers(self) -> None:
        """Two looks for each new one: those that may be asked for again stay, as long as there is room."""
        for _ in range(2):
            oldest = next(iter(self._answers))
            is_dead = self._answers[oldest][0] <= self._now
            if len(self._answers) <= KEEP_ANSWERS or not (is_dead or len(self._answers) > MAX_ANSWERS):
                return
            del self._answers[oldest]

    def _judge(self, proposal: TradeProposed, expires: int) -> ProposalApproved | ProposalVetoed:
        instrument = self._instruments.get(proposal.symbol)
        if instrument is None:
            return _veto(proposal, _unknown_symbol(proposal.symbol))
        if self._portfolio is None or (self._is_entry(proposal) and self._portfolio_age() > self._fresh_ns):
            return _veto(proposal, self._stale_portfolio())
        lock = self._lock_on(proposal.symbol) if self._is_entry(proposal) else None
        if lock is not None:
            return _veto(proposal, lock)
        verdict = review_proposal(
            proposal, self._portfolio, self._limits, instrument, self._trading_state, self._valid_mandate(),
            reserved=self._reserved(),
        )
        if verdict.approved and self._is_entry(proposal):
            self._reserve(proposal, verdict, expires)
        self._approved += verdict.approved
        return _to_answer(proposal, verdict, expires)

    @staticmethod
    def _is_entry(proposal: TradeProposed) -> bool:
        """Everything but a sell that only reduces: whatever is mislabelled is judged as new risk."""
        return not (proposal.side == "sell" and proposal.reduce_only)

    def _portfolio_age(self) -> int:
        return self._now - self._portfolio_ns

    def _stale_portfolio(self) -> Check:
        limit = f"{self._fresh_ns / SECOND_NS:g} s"
        value, told = "none", "the portfolio is not known yet"
        if self._portfolio is not None:
            value = f"{self._portfolio_age() / SECOND_NS:.1f} s"
            told = f"the portfolio is {value} old, at most {limit} are allowed"
        return Check("portfolio_fresh", value, limit, False, f"Vetoed: {told}.", "PORTFOLIO_STALE")

    def _lock_on(self, symbol: str) -> Check | None:
        """The failed check of a protection's lock on the symbol or on everything."""
        for place, code in ((symbol, "SYMBOL_LOCKED"), (ALL_SYMBOLS, "ALL_LOCKED")):
            lock = self._locks.holding(place, self._now)
            if lock is not None:
                left = f"{(lock.until_ns - self._now) / SECOND_NS:.0f} s"
                told = f"Vetoed: {lock.rule} locks new entries for {left} more: {lock.reason}."
                return Check("lock", lock.lock_id, "open", False, told, code)
        return None

    def _valid_mandate(self) -> Mandate:
        """An expired mandate, or none at all, wants no new risk."""
        is_valid = self._mandate is not None and self._now < self._mandate.valid_until
        return self._mandate.mandate if self._mandate is not None and is_valid else "risk_off"

    # ---- what was approved and is not in the portfolio yet --------------------------------------------

    def _reserve(self, proposal: TradeProposed, verdict: ProposalVerdict, expires: int) -> None:
        notional = verdict.quantity * highest_entry_price(proposal)
        until = max(expires, self._now) + _GRACE_NS
        self._reservations[proposal.proposal_id] = _Reservation(proposal.symbol, notional, until)

    def _reserved(self) -> tuple[tuple[str, Decimal], ...]:
        self._reservations = {
            proposal: kept for proposal, kept in self._reservations.items()
            if kept.ordered_ns != _NEVER or self._now < kept.until_ns
        }
        return tuple((kept.symbol, kept.notional) for kept in self._reservations.values())

    def _on_order_begun(self, message: Message) -> list[Emit]:
        if kept := self._reservations.get(message.body.order.proposal_id):
            kept.ordered_ns = message.header.ts
        return []

    def _on_order_over(self, message: Message) -> list[Emit]:
        body: Any = message.body
        self._reservations.pop(ProposalId(str(body.client_order_id).removeprefix(CLIENT_ID_PREFIX)), None)
        return []

    def _on_proposal_expired(self, message: Message) -> list[Emit]:
        kept = self._reservations.get(message.body.proposal_id)
        if kept is not None and kept.ordered_ns == _NEVER:
            # A command that was sent may still be in the engine's inbox: keep the place until the grace is over.
            kept.until_ns = min(kept.until_ns, message.header.ts + _GRACE_NS)
        return []

    # ---- the account and its limits ------------------------------------------------------------------

    def _on_portfolio(self, message: Message) -> list[Emit]:
        if message.header.ts < self._portfolio_ns:
            return []
        self._portfolio, self._portfolio_ns = message.body, message.header.ts
        # An order that began before this snapshot is among its working entries, or over.
        self._reservations = {
            proposal: kept for proposal, kept in self._reservations.items()
            if kept.ordered_ns == _NEVER or kept.ordered_ns > self._portfolio_ns
        }
        return self._watch_limits(message.body) + self._cast_vote()

    def _watch_limits(self, portfolio: PortfolioSnapshot) -> list[Emit]:
        emits = []
        for drawdown in drawdowns_of(portfolio, self._limits):
            if drawdown.rule not in self._breached and drawdown.value >= drawdown.limit:
                self._breached[drawdown.rule] = drawdown
                self._last = _breach_story(drawdown)
                value, limit = percent(drawdown.value), percent(drawdown.limit)
                emits.append(Emit(LimitBreached(drawdown.rule, value, limit, self._last)))
            elif drawdown.rule in self._breached and drawdown.value < RELEASE_SHARE * drawdown.limit:
                del self._breached[drawdown.rule]
        return emits

    def _cast_vote(self) -> list[Emit]:
        if not self._breached:
            return self._vote.want("ACTIVE", "no loss limit is reached", self._now)
        reason = "; ".join(f"{d.title} limit of {percent(d.limit)} reached" for d in self._breached.values())
        return self._vote.want("REDUCING", reason, self._now)

    def _on_timer(self) -> list[Emit]:
        return self._cast_vote() if self._portfolio is not None else []

    def _on_state(self, message: Message) -> list[Emit]:
        self._trading_state = message.body.state
        self._vote.on_changed(message.body)
        return []

    def _on_lock(self, message: Message) -> list[Emit]:
        if isinstance(message.body, LockPlaced):
            self._locks.place(message.body)
        else:
            self._locks.lift(message.body.lock_id)
        return []

    def _on_instrument(self, message: Message) -> list[Emit]:
        change: InstrumentChanged = message.body
        if change.symbol in self._instruments:
            self._instruments[change.symbol] = change.applied_to(self._instruments[change.symbol])
        return []

    def _on_parameters(self, message: Message) -> list[Emit]:
        """Tuned limits may be stricter than the configured ones, never looser."""
        parameters = parameters_of(message.body.parameters)
        if parameters is not None:
            self._limits = parameters.tighten(self._configured)
        return []

    def _on_mandate(self, message: Message) -> list[Emit]:
        self._mandate = message.body
        return []


def _to_answer(
    proposal: TradeProposed, verdict: ProposalVerdict, expires: int,
) -> ProposalApproved | ProposalVetoed:
    if not verdict.approved:
        return ProposalVetoed(proposal.proposal_id, proposal.symbol, verdict.code, verdict.checks, verdict.reason)
    return ProposalApproved(
        proposal.proposal_id, proposal.symbol, verdict.quantity, verdict.shrunk_from, verdict.checks, verdict.reason,
        proposal.side, proposal.protection.stop_ratio, expires,
    )


def _veto(proposal: TradeProposed, check: Check) -> ProposalVetoed:
    return ProposalVetoed(proposal.proposal_id, proposal.symbol, check.code, (check,), check.message)


def _unknown_symbol(symbol: str) -> Check:
    message = f"Vetoed: {symbol} is not an instrument the venue told us about."
    return Check("instrument", symbol, "a known symbol", False, message, "UNKNOWN_INSTRUMENT")


def _breach_story(drawdown: Drawdown) -> str:
    return (
        f"The {drawdown.title} is {percent(drawdown.value)}; the limit is {percent(drawdown.limit)}: "
        f"no new risk until it is below {percent(RELEASE_SHARE * drawdown.limit)}."
    )
