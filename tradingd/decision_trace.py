"""Why the council decided as it did: the candle, every vote, the proposal or why there was none, and the verdict.

An order's trace begins with the same links (`tradingd.order_trace`).
"""

from collections.abc import Iterator
from typing import Any, Final

from bus.messages.council import (
    AlphaSignal,
    AlphaSkipped,
    AnalysisCompleted,
    Check,
    ProposalApproved,
    ProposalVetoed,
    ProposalWithheld,
    TradeProposed,
    Vote,
)
from bus.messages.header import Message
from bus.messages.orders import TrailSpec
from market.money import to_text
from market.ticks import Candle
from risk.codes import AGENT_TIMEOUT
from tradingd.read_model_council import Chain, CouncilFold
from tradingd.read_model_views import TraceEntry, plain, to_iso

Entry = tuple[int, int, TraceEntry]
"""Time, rank of the stage (links of one instant keep the order of cause), entry."""

_STAGE: Final = {"candle": 0, "analysis": 1, "signal": 2, "proposal": 3, "verdict": 4, "command": 5, "order": 6,
                 "child": 7, "result": 8}

_ACTS: Final = {"trail_buy": "says buy", "trail_sell": "says sell", "hold": "holds"}
_NOTHING: Final = {
    "hold": "no side won", "unsure": "it was not sure enough", "blocked": "something forbade it",
    "no_plan": "the rule made no trade of it",
}


def entry_at(stage: str, ts: int, kind: str, text: str, data: dict[str, Any]) -> Entry:
    """A link; `ts` in UTC ns."""
    return ts, _STAGE[stage], TraceEntry(to_iso(ts), kind, text, data)


def entry_of(stage: str, message: Message, text: str) -> Entry:
    """A message as a link."""
    return entry_at(stage, message.header.ts, type(message.body).__name__, text, plain(message.body))


def trace_decision(council: CouncilFold, wanted: str) -> tuple[TraceEntry, ...] | None:
    """Of a proposal, by its own id or its decision's, or of a decision that proposed nothing; None when not known."""
    chain = council.chains.get(wanted)
    message = chain.proposal if chain is not None else council.decision(wanted)
    if message is None:
        return None
    if chain is None and isinstance(message.body, TradeProposed):
        chain = council.chains.get(message.body.proposal_id) or Chain(message, None, None)
    entries = list(_withheld_entries(message, council) if chain is None else chain_entries(chain))
    if chain is not None and chain.order_id:
        ts = max(ts for ts, _, _ in entries)
        text = f"The trader made an order of it: `tradingd explain {chain.order_id}` goes on from here."
        entries.append(entry_at("command", ts, "SubmitOrder", text, {"client_order_id": chain.order_id}))
    entries.sort(key=lambda entry: entry[:2])
    return tuple(entry for _, _, entry in entries)


def chain_entries(chain: Chain) -> Iterator[Entry]:
    """What led to a proposal, the proposal, and the verdict on it."""
    if chain.candle is not None:
        yield entry_of("candle", chain.candle, _candle_text(chain.candle.body))
    if chain.analysis is not None:
        yield from _analysis_entries(chain.analysis)
    else:
        yield from _vote_entries(chain.proposal, chain.proposal.body.votes)
    yield entry_of("proposal", chain.proposal, _proposal_text(chain.proposal.body))
    if chain.verdict is not None:
        yield entry_of("verdict", chain.verdict, _verdict_text(chain.verdict.body))


def _withheld_entries(message: Message, council: CouncilFold) -> Iterator[Entry]:
    body: ProposalWithheld = message.body
    candle, analysis = council.candle(body.symbol, body.interval, body.ts_open), council.analysis_message(message)
    if candle is not None:
        yield entry_of("candle", candle, _candle_text(candle.body))
    if analysis is not None:
        yield from _analysis_entries(analysis)
    else:
        yield from _vote_entries(message, body.votes)
        for skipped in body.skipped:
            yield entry_at("signal", message.header.ts, "AlphaSkipped", skipped_text(skipped), plain(skipped))
    yield entry_of("proposal", message, _withheld_text(body))


def _analysis_entries(message: Message) -> Iterator[Entry]:
    analysis: AnalysisCompleted = message.body
    yield entry_of("analysis", message, _analysis_text(analysis))
    for signal in analysis.signals:
        yield entry_at("signal", message.header.ts, "AlphaSignal", _signal_text(signal), plain(signal))
    for skipped in analysis.skipped:
        yield entry_at("signal", message.header.ts, "AlphaSkipped", skipped_text(skipped), plain(skipped))


def _vote_entries(message: Message, votes: tuple[Vote, ...]) -> Iterator[Entry]:
    """The votes as the decision holds them: what each alpha reasoned is kept for the newest analyses only."""
    for vote in votes:
        yield entry_at("signal", message.header.ts, "Vote", f"{vote.alpha} {_sure(vote)}.", plain(vote))


def _withheld_text(body: ProposalWithheld) -> str:
    sure = ""
    if body.action != "hold":
        sure = f" The consensus {_ACTS[body.action]} with confidence {body.confidence:.2f}, led by {body.lead_alpha}; "
        sure += f"a proposal needs {body.threshold:.2f}."
    return f"The strategy proposed nothing ({body.outcome}: {_NOTHING[body.outcome]}): {body.reason}.{sure}"


def _failed(checks: tuple[Check, ...]) -> str:
    """The rules that failed, with their numbers."""
    rules = "; ".join(f"{check.rule} is {check.value}, limit {check.limit}" for check in checks if not check.passed)
    passed = sum(check.passed for check in checks)
    return f" Failed: {rules} ({passed} of {len(checks)} checks passed)." if rules else ""


def _candle_text(candle: Candle) -> str:
    return (
        f"The {candle.interval} candle of {candle.symbol} closed at {to_text(candle.close)} "
        f"(open {to_text(candle.open)}, high {to_text(candle.high)}, low {to_text(candle.low)}, "
        f"{candle.trades} trades)."
    )


_REGIMES: Final = {
    "trending": "a trending market", "ranging": "a ranging market", "volatile": "a volatile market",
    "calm": "a calm market", "unknown": "a market of unknown regime",
}


def _analysis_text(analysis: AnalysisCompleted) -> str:
    return (
        f"The analyst saw {_REGIMES[analysis.regime]} in {analysis.symbol} at {to_text(analysis.close)} and asked "
        f"{len(analysis.signals) + len(analysis.skipped)} alphas."
    )


def _signal_text(signal: AlphaSignal) -> str:
    return f"{signal.alpha} {_sure(signal)}: {signal.reasoning}"


def _sure(said: AlphaSignal | Vote) -> str:
    return f"{_ACTS[said.action]} with confidence {said.confidence:.2f}, weight {said.weight:g}"


def skipped_text(skipped: AlphaSkipped) -> str:
    """One sentence for an alpha that gave no opinion."""
    return f"{skipped.alpha} was skipped ({skipped.code}, {AGENT_TIMEOUT}), weight {skipped.weight:g}: {skipped.reason}"


def _proposal_text(proposal: TradeProposed) -> str:
    trail = f", trailing {trail_text(proposal.trail)}" if proposal.trail is not None else ""
    return (
        f"The strategy proposed to {proposal.side} {to_text(proposal.quantity)} {proposal.symbol} near "
        f"{to_text(proposal.reference_price)}{trail}, confidence {proposal.confidence:.2f}, led by "
        f"{proposal.lead_alpha or 'no alpha'}: {proposal.reason}"
    )


def _verdict_text(verdict: object) -> str:
    if isinstance(verdict, ProposalApproved):
        shrunk = f", shrunk from {to_text(verdict.shrunk_from)}" if verdict.shrunk_from is not None else ""
        return (
            f"The risk officer approved {to_text(verdict.quantity)} {verdict.symbol}{shrunk} "
            f"after {len(verdict.checks)} checks. {verdict.reason}".rstrip()
        )
    if isinstance(verdict, ProposalVetoed):
        return f"The risk officer vetoed it ({verdict.code}): {verdict.reason}{_failed(verdict.checks)}"
    return f"The proposal expired: {getattr(verdict, 'reason', '')}"


def trail_text(trail: TrailSpec) -> str:
    """How far a trail keeps from the best price."""
    if trail.kind == "percent":
        return f"{trail.distance * 100:.4g} %"
    if trail.kind == "absolute":
        return f"by {to_text(trail.distance)}"
    return f"by {to_text(trail.distance)} ATR"
