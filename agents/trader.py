"""The trader: turns an approved proposal into one order, and repeats that very order until it is answered.

A proposal and its verdict may come in either order. The client order id follows from the proposal id, so a
command that is repeated, or that two traders send, brings one order to life. Silence is no: without a
verdict, or without an answer to the command, a proposal dies at its expiry and is never sent again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from agents.agent import AgentStatus, Emit
from bus.ids import CLIENT_ID_PREFIX, ProposalId, client_order_id_of
from bus.messages.council import ProposalApproved, ProposalExpired, ProposalVetoed, TradeProposed
from bus.messages.header import Message
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
    Protection,
    SubmitOrder,
    TrailingArmed,
)
from bus.messages.system import TimerFired
from market.interval import SECOND_NS
from market.money import ZERO

MAX_CLIENT_ID: Final = 36
MAX_OPEN: Final = 500
MAX_SETTLED: Final = 5000
# Timers come once a second: a command sent just before one is not repeated by it.
RESEND_AFTER_NS: Final = SECOND_NS // 2

# Any of these about our id proves that the engine has the command (the first is heard in nearly all cases).
ORDER_FACTS: Final[tuple[type, ...]] = (
    OrderInitialized, OrderDenied, OrderSubmitted, OrderAccepted, OrderRejected, OrderTriggered, OrderUpdated,
    OrderPendingCancel, OrderCancelled, OrderExpired, OrderFilled, OrderUnknown, TrailingArmed,
)


@dataclass(slots=True)
class _Case:
    """One proposal on its way. `expires` 0 until the proposal itself has come."""

    proposal_id: ProposalId
    symbol: str
    expires: int
    proposal: TradeProposed | None = None
    approval: ProposalApproved | None = None
    approval_message: str = ""
    command: SubmitOrder | None = None
    sent_ns: int = 0
    times_sent: int = 0


class Trader:
    """Joins `TradeProposed` with `ProposalApproved` into `SubmitOrder`."""

    name = "trader"

    def __init__(self) -> None:
        self._cases: dict[ProposalId, _Case] = {}
        self._settled: dict[ProposalId, None] = {}
        self._submitted = 0
        self._last = "no proposal yet"
        self._handlers: dict[type, Callable[[Message], list[Emit]]] = {
            TradeProposed: self._on_proposed,
            ProposalApproved: self._on_approved,
            ProposalVetoed: self._on_vetoed,
        }
        self._handlers.update(dict.fromkeys(ORDER_FACTS, self._on_order_fact))
        self.subscriptions: frozenset[type] = frozenset(self._handlers)

    def handle(self, message: Message) -> Sequence[Emit]:
        if isinstance(message.body, TimerFired):
            return self._on_timer(message.header.ts)
        handler = self._handlers.get(type(message.body))
        return handler(message) if handler else ()

    def status(self) -> AgentStatus:
        waiting = sum(case.command is not None for case in self._cases.values())
        word = "waiting for the engine" if waiting else "waiting for a verdict" if self._cases else "idle"
        return AgentStatus(word, self._last, self._submitted, self._submitted + len(self._cases))

    # ---- what comes in -----------------------------------------------------------------------------

    def _on_proposed(self, message: Message) -> list[Emit]:
        proposal: TradeProposed = message.body
        case = self._case(proposal.proposal_id, proposal.symbol)
        if case is None or case.proposal is not None:
            return []
        case.proposal, case.expires = proposal, message.header.expires
        if problem := _unfit(proposal, message.header.expires):
            return [self._expire(case, problem)]
        return self._join(case, message.header.ts) + self._bound()

    def _on_approved(self, message: Message) -> list[Emit]:
        approval: ProposalApproved = message.body
        case = self._case(approval.proposal_id, approval.symbol)
        if case is None or case.approval is not None:
            return []
        case.approval, case.approval_message = approval, message.id
        if case.proposal is None:
            # The proposal is still under way; if it never comes, this is forgotten as well.
            case.expires = message.header.expires or message.header.ts + 10 * SECOND_NS
        return self._join(case, message.header.ts) + self._bound()

    def _on_vetoed(self, message: Message) -> list[Emit]:
        veto: ProposalVetoed = message.body
        self._settle(veto.proposal_id)
        self._last = f"{veto.symbol}: {veto.reason}"
        return []

    def _on_order_fact(self, message: Message) -> list[Emit]:
        body: Any = message.body
        order_id = body.order.client_order_id if isinstance(body, OrderInitialized) else body.client_order_id
        proposal_id = ProposalId(str(order_id).removeprefix(CLIENT_ID_PREFIX))
        if proposal_id in self._cases:
            self._settle(proposal_id)
            denied = isinstance(body, OrderDenied)
            self._last = f"{order_id} was denied: {body.message}" if denied else f"{order_id} is with the engine"
        return []

    def _on_timer(self, now: int) -> list[Emit]:
        emits: list[Emit] = []
        for case in list(self._cases.values()):
            if case.expires <= now:
                emits += self._end(case)
            elif case.command is not None and now - case.sent_ns >= RESEND_AFTER_NS:
                emits.append(self._send(case, case.command, now))
        return emits

    # ---- what is made of it ------------------------------------------------------------------------

    def _join(self, case: _Case, now: int) -> list[Emit]:
        """The command, once proposal and approval are both here and in time."""
        if case.proposal is None or case.approval is None:
            return []
        if case.expires <= now:
            return self._end(case)
        if case.approval.symbol != case.proposal.symbol:
            return [self._expire(case, f"the verdict speaks of {case.approval.symbol}")]
        command = _to_command(case.proposal, case.approval)
        if command.quantity <= ZERO:
            return [self._expire(case, "nothing was left of it")]
        case.command = command
        self._submitted += 1
        return [self._send(case, command, now)]

    def _send(self, case: _Case, command: SubmitOrder, now: int) -> Emit:
        case.sent_ns = now
        case.times_sent += 1
        times = "" if case.times_sent == 1 else f" (repeated, {case.times_sent} times by now)"
        self._last = f"{command.client_order_id}: {command.side} {command.quantity:f} {command.symbol}{times}"
        return Emit(command, expires=case.expires, cause=case.approval_message)

    def _end(self, case: _Case) -> list[Emit]:
        """Its time is over. An approval without a proposal is no one's loss: forgotten without a word."""
        if case.proposal is None:
            self._settle(case.proposal_id)
            return []
        if case.approval is None:
            return [self._expire(case, "no verdict came in time, and silence is no")]
        if case.command is None:
            return [self._expire(case, "the verdict came too late")]
        return [self._expire(case, f"the engine did not answer {case.times_sent} commands in time")]

    def _expire(self, case: _Case, reason: str) -> Emit:
        self._settle(case.proposal_id)
        self._last = f"{case.symbol}: proposal {case.proposal_id} expired: {reason}"
        return Emit(ProposalExpired(case.proposal_id, case.symbol, reason))

    def _case(self, proposal_id: ProposalId, symbol: str) -> _Case | None:
        """The open case of this proposal, begun if new; None when it is settled for good."""
        if proposal_id in self._settled:
            return None
        return self._cases.setdefault(proposal_id, _Case(proposal_id, symbol, 0))

    def _settle(self, proposal_id: ProposalId) -> None:
        self._cases.pop(proposal_id, None)
        self._settled[proposal_id] = None
        if len(self._settled) > MAX_SETTLED:
            del self._settled[next(iter(self._settled))]

    def _bound(self) -> list[Emit]:
        """A flood of proposals pushes out the oldest: no trade is better than no memory."""
        if len(self._cases) <= MAX_OPEN:
            return []
        case = next(iter(self._cases.values()))
        if case.proposal is None:
            self._settle(case.proposal_id)
            return []
        return [self._expire(case, f"more than {MAX_OPEN} proposals are open")]


def _unfit(proposal: TradeProposed, expires: int) -> str:
    """Why this proposal can never become an order; "" if it can."""
    if expires == 0:
        return "it carries no expiry, and what may lead to an order must"
    length = len(client_order_id_of(proposal.proposal_id))
    if length > MAX_CLIENT_ID:
        return f"its order id would have {length} characters, venues take {MAX_CLIENT_ID}"
    return ""


def _to_command(proposal: TradeProposed, approval: ProposalApproved) -> SubmitOrder:
    # The verdict can only be smaller; should it ever be larger, what was proposed is the most that is bought.
    is_entry = proposal.side == "buy"
    return SubmitOrder(
        client_order_id=client_order_id_of(proposal.proposal_id),
        symbol=proposal.symbol,
        side=proposal.side,
        order_type="market" if proposal.trail is None else "trailing",
        quantity=min(proposal.quantity, approval.quantity),
        origin="council",
        trail=proposal.trail,
        reduce_only=proposal.reduce_only or not is_entry,
        expire_at=proposal.order_expires,
        proposal_id=proposal.proposal_id,
        protection=proposal.protection if is_entry and proposal.protection != Protection() else None,
        confidence=proposal.confidence,
        lead_alpha=proposal.lead_alpha,
        votes=proposal.votes,
        reason=proposal.reason,
    )
