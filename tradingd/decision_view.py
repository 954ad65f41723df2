"""The council's decisions for people: the proposals, and what was decided without one, with every vote."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, get_args

from bus.messages.council import (
    AlphaSkipped,
    AnalysisCompleted,
    ProposalWithheld,
    TradeProposed,
    Vote,
)
from bus.messages.header import Message
from market.money import to_text
from risk.codes import AGENT_TIMEOUT
from tradingd.read_model_council import CouncilFold
from tradingd.read_model_views import to_iso

Outcome = Literal["proposed", "hold", "unsure", "blocked", "no_plan"]
Wanted = Literal["proposed", "hold", "unsure", "blocked", "no_plan", "approved", "vetoed", "expired"]
"""What may be asked for: an outcome, or the risk officer's verdict on a proposal."""
WANTED: Final[tuple[str, ...]] = get_args(Wanted)
_ACTIONS: Final = {"buy": "trail_buy", "sell": "trail_sell"}


@dataclass(frozen=True, slots=True)
class DecisionVoteView:
    """How one alpha counted; `reasoning` is "" when it is no longer known."""

    alpha: str
    action: str
    confidence: float
    weight: float
    reasoning: str


@dataclass(frozen=True, slots=True)
class SkippedView:
    """An alpha that gave no opinion."""

    alpha: str
    weight: float
    code: str
    family: str
    reason: str


@dataclass(frozen=True, slots=True)
class DecisionView:
    """One decision on one closed candle. `outcome`: proposed, or hold (no side won), unsure (below the threshold),
    blocked (something forbade it), no_plan (the rule made no trade of it). `verdict` is the risk officer's on a
    proposal, `verdict_code` and `verdict_reason` say why not; `order_id` is what came of it. `candle` is its opening
    time; "" and None: not known any more.
    """

    id: str
    time: str
    symbol: str
    interval: str
    candle: str | None
    price: str
    regime: str
    outcome: Outcome
    action: str
    confidence: float
    threshold: float | None
    lead_alpha: str
    reason: str
    votes: tuple[DecisionVoteView, ...]
    skipped: tuple[SkippedView, ...]
    proposal_id: str
    verdict: str
    order_id: str
    verdict_code: str = ""
    verdict_reason: str = ""


def decision_views(
    council: CouncilFold, *, symbol: str = "", outcome: str = "", limit: int = 100,
) -> list[DecisionView]:
    """Newest first; `symbol` "" for all; `outcome` one of `WANTED` or ""."""
    views: list[DecisionView] = []
    for message in reversed(council.decisions):
        if len(views) >= limit:
            break
        body = message.body
        said = "proposed" if isinstance(body, TradeProposed) else body.outcome
        if symbol and body.symbol != symbol:
            continue
        if outcome and outcome != said and (said != "proposed" or outcome != council.judged(body.proposal_id).word):
            continue
        views.append(_proposed(message, body, council) if said == "proposed" else _withheld(message, body, council))
    return views


def _withheld(message: Message, body: ProposalWithheld, council: CouncilFold) -> DecisionView:
    known = council.analysis(message.header.cause)
    return DecisionView(
        message.id, to_iso(message.header.ts), body.symbol, body.interval, to_iso(body.ts_open), to_text(body.close),
        body.regime, body.outcome, body.action, body.confidence, body.threshold, body.lead_alpha, body.reason,
        tuple(_votes(body.votes, known)), tuple(_skipped(body.skipped)), "", "", "",
    )


def _proposed(message: Message, body: TradeProposed, council: CouncilFold) -> DecisionView:
    chain = council.chains.get(body.proposal_id)
    known: AnalysisCompleted | None = chain.analysis.body if chain is not None and chain.analysis is not None else None
    judged = council.judged(body.proposal_id)
    return DecisionView(
        message.id, to_iso(message.header.ts), body.symbol, known.interval if known else "",
        to_iso(known.ts_open) if known else None, to_text(body.reference_price), known.regime if known else "",
        "proposed", _ACTIONS[body.side], body.confidence, None, body.lead_alpha, body.reason,
        tuple(_votes(body.votes, known)), tuple(_skipped(known.skipped if known else ())), body.proposal_id,
        judged.word, judged.order_id, judged.code, judged.reason,
    )


def _votes(votes: Iterable[Vote], analysis: AnalysisCompleted | None) -> Iterator[DecisionVoteView]:
    said = {signal.alpha: signal.reasoning for signal in analysis.signals} if analysis is not None else {}
    for vote in votes:
        why = "" if vote.is_strategy else said.get(vote.alpha, "")
        yield DecisionVoteView(vote.alpha, vote.action, vote.confidence, vote.weight, why)


def _skipped(skipped: Iterable[AlphaSkipped]) -> Iterator[SkippedView]:
    for each in skipped:
        yield SkippedView(each.alpha, each.weight, each.code, AGENT_TIMEOUT, each.reason)
