"""The council's conversation: candidates, signals, proposals, verdicts, mandates."""

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Literal, NamedTuple

from bus.ids import ProposalId
from bus.messages.header import PRIORITY_CONTROL
from bus.messages.orders import Protection, Side, TrailSpec
from bus.messages.votes import Action as Action
from bus.messages.votes import Vote as Vote
from market.record import fast_init

Urgency = Literal["low", "medium", "high"]
Regime = Literal["trending", "ranging", "volatile", "calm", "unknown"]
Mandate = Literal["risk_on", "neutral", "risk_off"]


@fast_init
@dataclass(frozen=True, slots=True)
class StartAgent:
    """Command of the CEO: this agent may work now."""

    agent: str


@fast_init
@dataclass(frozen=True, slots=True)
class RestartAgent:
    """Command of the CEO: this agent is silent or failed, begin again."""

    agent: str
    reason: str


@fast_init
@dataclass(frozen=True, slots=True)
class MandateIssued:
    """The CEO's word on how much risk is wanted, until `valid_until` (UTC ns); after it: risk_off."""

    mandate: Mandate
    reason: str
    valid_until: int


@fast_init
@dataclass(frozen=True, slots=True)
class Candidate:
    """A symbol the scanner finds worth a look: score 0-100 and why."""

    symbol: str
    score: float
    reasons: tuple[str, ...]


@fast_init
@dataclass(frozen=True, slots=True)
class LeftOut:
    """A symbol the scanner's quality filters leave out, and why."""

    symbol: str
    reason: str


@fast_init
@dataclass(frozen=True, slots=True)
class CandidatesRanked:
    """The scanner's watch list, best first; the next best, who are not on it; and who was not ranked at all."""

    candidates: tuple[Candidate, ...]
    runners_up: tuple[Candidate, ...] = ()
    left_out: tuple[LeftOut, ...] = ()


@fast_init
@dataclass(frozen=True, slots=True)
class SampledQuote:
    """The best bid and ask of one symbol, in quote."""

    symbol: str
    bid: Decimal
    ask: Decimal


@fast_init
@dataclass(frozen=True, slots=True)
class QuotesSampled:
    """The quotes of all symbols, every few seconds: raw ones do not travel to the council, and it asks for spreads."""

    quotes: tuple[SampledQuote, ...]


@fast_init
@dataclass(frozen=True, slots=True)
class AlphaSignal:
    """One model's opinion on one closed candle. Confidence 0-1, trail distance as a ratio of price."""

    alpha: str
    version: str
    symbol: str
    interval: str
    ts_open: int
    action: Action
    confidence: float
    weight: float
    trail_ratio: float
    urgency: Urgency
    reasoning: str
    regimes: tuple[Regime, ...] = ()
    """Where the model says it is at home; empty: what `agents.disputes.REGIME_FIT` says of its name."""


@fast_init
@dataclass(frozen=True, slots=True)
class AlphaSkipped:
    """A model of weight above 0 gave no opinion (family E005): `code` says why for programs, `reason` for people."""

    alpha: str
    weight: float
    code: str
    reason: str


@fast_init
@dataclass(frozen=True, slots=True)
class OpinionsGathered:
    """What the models that think elsewhere had to say about one candle; the weights are the analyst's to add."""

    symbol: str
    interval: str
    ts_open: int
    signals: tuple[AlphaSignal, ...]
    skipped: tuple[AlphaSkipped, ...] = ()


class Feature(NamedTuple):
    """A named indicator value (float64). A named tuple: seventy are born with each analysed candle."""

    name: str
    value: float


@fast_init
@dataclass(frozen=True, slots=True)
class AnalysisCompleted:
    """All the analyst has to say about one closed candle: its features and every alpha's signal."""

    symbol: str
    interval: str
    ts_open: int
    close: Decimal
    regime: Regime
    features: tuple[Feature, ...]
    signals: tuple[AlphaSignal, ...]
    skipped: tuple[AlphaSkipped, ...] = ()


@fast_init
@dataclass(frozen=True, slots=True)
class TradeProposed:
    """The strategy's wish: one entry (side "buy") or exit (side "sell"), with its protection.

    `reference_price` in quote, `quantity` in base; `trail` None = enter at once. The order itself dies
    at `order_expires` (UTC ns); the proposal dies at the header's `expires`.
    """

    proposal_id: ProposalId
    symbol: str
    side: Side
    quantity: Decimal
    reference_price: Decimal
    confidence: float
    votes: tuple[Vote, ...]
    lead_alpha: str
    trail: TrailSpec | None
    protection: Protection
    order_expires: int
    reduce_only: bool
    reason: str


@fast_init
@dataclass(frozen=True, slots=True)
class ProposalWithheld:
    """The council decided on a closed candle and proposed nothing.

    `outcome`: hold (no side won), unsure (`confidence` below `threshold`), blocked (something forbids it now), no_plan
    (the rule makes no trade of it). `action`, `confidence` and `lead_alpha` are the consensus's.
    """

    symbol: str
    interval: str
    ts_open: int
    close: Decimal
    regime: Regime
    outcome: Literal["hold", "unsure", "blocked", "no_plan"]
    action: Action
    confidence: float
    threshold: float
    lead_alpha: str
    reason: str
    votes: tuple[Vote, ...]
    skipped: tuple[AlphaSkipped, ...] = ()


@fast_init
@dataclass(frozen=True, slots=True)
class Check:
    """One line of a verdict: rule, measured value, limit, and whether it holds. `code` when it fails."""

    rule: str
    value: str
    limit: str
    passed: bool
    message: str
    code: str = ""


@fast_init
@dataclass(frozen=True, slots=True)
class ProposalApproved:
    """The risk officer's yes: never larger than proposed, perhaps smaller.

    As urgent as a command: it must be with the engine before the order that rests on it. It is good for the one order
    that the proposal can become, until `valid_until` (UTC ns, 0 = always) and with a stop of `stop_ratio` (None: the
    proposal had none). `side` "", no time and no stop are verdicts of journals from before these fields.
    """

    PRIORITY: ClassVar[int] = PRIORITY_CONTROL

    proposal_id: ProposalId
    symbol: str
    quantity: Decimal
    shrunk_from: Decimal | None
    checks: tuple[Check, ...]
    reason: str
    side: Literal["buy", "sell", ""] = ""
    stop_ratio: Decimal | None = None
    valid_until: int = 0


@fast_init
@dataclass(frozen=True, slots=True)
class ProposalVetoed:
    """The risk officer's no, with the failing rule's code and every check."""

    PRIORITY: ClassVar[int] = PRIORITY_CONTROL

    proposal_id: ProposalId
    symbol: str
    code: str
    checks: tuple[Check, ...]
    reason: str


@fast_init
@dataclass(frozen=True, slots=True)
class ProposalExpired:
    """Nobody answered in time: silence is no."""

    proposal_id: ProposalId
    symbol: str
    reason: str


@fast_init
@dataclass(frozen=True, slots=True)
class WeightChanged:
    """The weight (0-1) of an alpha is another one. `by` a person, who `is_pinned` says holds it until released; or by
    what was learnt from outcomes. `version` counts the changes of this alpha.
    """

    alpha: str
    weight: float
    by: str
    reason: str = ""
    is_pinned: bool = True
    version: int = 0


@fast_init
@dataclass(frozen=True, slots=True)
class AlphaLoaded:
    """An alpha that thinks elsewhere is ready; `weight` is what it wishes for, `source` its file or package."""

    alpha: str
    version: str
    weight: float
    regimes: tuple[Regime, ...]
    source: str


@fast_init
@dataclass(frozen=True, slots=True)
class Parameter:
    """One of the parameters that are derived and tuned, by its name in `agents.parameters`."""

    name: str
    value: Decimal


@fast_init
@dataclass(frozen=True, slots=True)
class ParametersChanged:
    """From now on these hold. `version` counts up from 1 and names this set for ever; `parent` is the version it was
    made from (0 = as configured). `is_tuning`: whether they may be tuned on. `judged`: whose outcomes were used up by
    it. The version that holds, said again, tells of a day's tuning that changed nothing, with the reason.
    """

    version: int
    parent: int
    parameters: tuple[Parameter, ...]
    is_tuning: bool
    by: str
    reason: str
    judged: tuple[str, ...] = ()
