"""The council's paper trail: which candle and analysis led to which proposal, verdict and order.

Candles and analyses come many a second, so only the recent ones are kept; a proposal pins the two it
rests on.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Any, Final

from bus.messages.council import (
    AnalysisCompleted,
    ProposalApproved,
    ProposalExpired,
    ProposalVetoed,
    ProposalWithheld,
    TradeProposed,
)
from bus.messages.header import Message
from bus.messages.orders import SubmitOrder
from market.ticks import Candle

RECENT: Final = 500
"""Candles and analyses, of each at most `RECENT_OF_SYMBOL` of one symbol; verdicts without their proposal."""

RECENT_OF_SYMBOL: Final = 20
"""An analysis weighs some ten kilobytes, a candle one: of few symbols hundreds would be hours of memory growing."""

MOST_DECISIONS: Final = 1_000


@dataclass(slots=True)
class Chain:
    """What led to one proposal and what became of it, as messages."""

    proposal: Message
    analysis: Message | None
    candle: Message | None
    verdict: Message | None = None
    order_id: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of a proposal: `word` is approved, vetoed, expired or "" (no answer yet)."""

    word: str = ""
    code: str = ""
    reason: str = ""
    order_id: str = ""

    @classmethod
    def of(cls, chain: Chain) -> "Judged":
        """In short."""
        body = chain.verdict.body if chain.verdict is not None else None
        word = {ProposalApproved: "approved", ProposalVetoed: "vetoed", type(None): ""}.get(type(body), "expired")
        if isinstance(body, ProposalVetoed):
            return cls(word, body.code, body.reason, chain.order_id)
        return cls(word, order_id=chain.order_id)


class CouncilFold:
    """Chains by proposal id; the last `max_chains` are kept."""

    def __init__(self, max_chains: int) -> None:
        self.chains: OrderedDict[str, Chain] = OrderedDict()
        self.proposals = self.approved = self.vetoed = self.expired = 0
        self._max_chains = max_chains
        self._judged: OrderedDict[str, Judged] = OrderedDict()
        self._analyses: OrderedDict[str, Message] = OrderedDict()
        self._analyses_of: dict[str, deque[str]] = {}  # ids by symbol, the newest last
        self._candles: OrderedDict[str, Message] = OrderedDict()
        self._candles_of: dict[str, deque[str]] = {}  # ids by symbol, the newest last
        self._candle_by_key: dict[tuple[str, str, int], str] = {}
        self._early: OrderedDict[str, Message] = OrderedDict()
        self.decisions: deque[Message] = deque(maxlen=MOST_DECISIONS)
        """Proposals, and what was decided without one; the newest last."""
        self.handlers: dict[type, Any] = {
            Candle: self._on_candle,
            AnalysisCompleted: self._on_analysis,
            TradeProposed: self._on_proposed,
            ProposalWithheld: self._on_withheld,
            ProposalApproved: self._on_verdict,
            ProposalVetoed: self._on_verdict,
            ProposalExpired: self._on_verdict,
        }

    def on_command(self, body: SubmitOrder) -> None:
        """The trader turned a proposal into an order."""
        chain = self.chains.get(body.proposal_id)
        if chain is not None:
            chain.order_id = body.client_order_id

    def judged(self, proposal_id: str) -> Judged:
        """Known for longer than the chain itself."""
        chain = self.chains.get(proposal_id)
        return Judged.of(chain) if chain is not None else self._judged.get(proposal_id, Judged())

    def analysis(self, message_id: str) -> AnalysisCompleted | None:
        """A recent one."""
        known = self._analyses.get(message_id)
        return known.body if known is not None else None

    def analysis_message(self, decision: Message) -> Message | None:
        """What the decision rests on, if that is recent."""
        return self._analyses.get(decision.header.cause)

    def candle(self, symbol: str, interval: str, ts_open: int) -> Message | None:
        """A recent one."""
        return self._candles.get(self._candle_by_key.get((symbol, interval, ts_open), ""))

    def decision(self, wanted: str) -> Message | None:
        """One of the kept ones, by its id or its proposal's."""
        found = (
            message for message in reversed(self.decisions)
            if wanted in (message.id, getattr(message.body, "proposal_id", None))
        )
        return next(found, None)

    def _on_candle(self, message: Message, body: Candle) -> None:
        key = (body.symbol, body.interval, body.ts_open)
        self._candles[message.id] = message
        self._candle_by_key[key] = message.id
        of_symbol = self._candles_of.setdefault(body.symbol, deque())
        of_symbol.append(message.id)
        if len(of_symbol) > RECENT_OF_SYMBOL:
            self._forget_candle(of_symbol.popleft())
        if len(self._candles) > RECENT:
            self._forget_candle(next(iter(self._candles)))

    def _forget_candle(self, message_id: str) -> None:
        old = self._candles.pop(message_id, None)
        if old is not None:
            self._candle_by_key.pop((old.body.symbol, old.body.interval, old.body.ts_open), None)

    def _on_analysis(self, message: Message, body: AnalysisCompleted) -> None:
        self._analyses[message.id] = message
        of_symbol = self._analyses_of.setdefault(body.symbol, deque())
        of_symbol.append(message.id)
        if len(of_symbol) > RECENT_OF_SYMBOL:
            self._analyses.pop(of_symbol.popleft(), None)
        if len(self._analyses) > RECENT:
            self._analyses.popitem(last=False)

    def _on_withheld(self, message: Message, _: ProposalWithheld) -> None:
        self.decisions.append(message)

    def _on_proposed(self, message: Message, body: TradeProposed) -> None:
        if body.proposal_id in self.chains:
            return
        self.proposals += 1
        self.decisions.append(message)
        analysis = self._analyses.get(message.header.cause)
        candle = None
        if analysis is not None:
            said = analysis.body
            by_key = self._candle_by_key.get((said.symbol, said.interval, said.ts_open), "")
            candle = self._candles.get(analysis.header.cause) or self._candles.get(by_key)
        chain = Chain(message, analysis, candle)
        self.chains[body.proposal_id] = chain
        early = self._early.pop(body.proposal_id, None)  # a verdict may be journalled before its proposal
        if early is not None:
            chain.verdict = early
        if len(self.chains) > self._max_chains:
            old_id, old = self.chains.popitem(last=False)
            self._judged[old_id] = Judged.of(old)
            if len(self._judged) > MOST_DECISIONS:
                self._judged.popitem(last=False)

    def _on_verdict(self, message: Message, body: ProposalApproved | ProposalVetoed | ProposalExpired) -> None:
        chain = self.chains.get(body.proposal_id)
        known = chain.verdict if chain is not None else self._early.get(body.proposal_id)
        if known is not None and not isinstance(body, ProposalExpired):
            return  # the same answer again
        if known is None or isinstance(known.body, ProposalApproved):
            self._count(body)
        if chain is not None:
            # An expiry after a yes says the order was never sent: the verdict itself stays the one that matters.
            chain.verdict = chain.verdict or message
            return
        self._early[body.proposal_id] = message
        if len(self._early) > RECENT:
            self._early.popitem(last=False)

    def _count(self, body: ProposalApproved | ProposalVetoed | ProposalExpired) -> None:
        if isinstance(body, ProposalApproved):
            self.approved += 1
        elif isinstance(body, ProposalVetoed):
            self.vetoed += 1
        else:
            self.expired += 1
