"""Which messages go where in the process, and who may say them."""

from typing import Final

from bus.messages import council, orders, system
from bus.messages.header import Message
from bus.messages.ledger import PortfolioSnapshot
from market.ticks import Candle

ENGINE_COMMANDS: Final = frozenset({orders.SubmitOrder})
"""What the engine takes from the bus: the trader's orders, which the gate matches with the risk officer's verdict.

Nothing that could end a stop or an order may come over a wire that others can write to.
"""

NEVER_OVER_THE_BUS: Final = frozenset({
    council.ParametersChanged, council.WeightChanged, council.OpinionsGathered,
})
"""Given to agents by this process (`set_parameters`, `set_weight`, `hear_opinions`): others can write to a bus."""

JOURNALLED_FROM_AGENTS: Final = frozenset(
    {
        council.TradeProposed, council.ProposalApproved, council.ProposalVetoed, council.ProposalExpired,
        council.ProposalWithheld, council.MandateIssued, system.LimitBreached, system.AgentFailed, system.AgentStarted,
        system.AlertRaised,
    }
)
STRAIGHT_TO_ENGINE: Final = frozenset({council.ProposalApproved, system.VoteTradingState})
STANDING: Final = frozenset({council.MandateIssued, system.TradingStateChanged, PortfolioSnapshot})
"""What holds until it is said anew: told again to an agent that begins anew."""
SUPERVISION: Final = frozenset({system.Heartbeat, system.AgentFailed, system.AgentStarted})
"""What agents say of themselves: the CEO hears it directly, for supervision must not depend on Redis."""
NOT_JOURNALLED: Final = frozenset({Candle})
_RISK_OFFICER: Final = "risk"


def may_say(message: Message) -> bool:
    """Only the risk officer approves and vetoes, and an agent votes for itself alone."""
    kind, source = type(message.body), message.header.source
    if kind in (council.ProposalApproved, council.ProposalVetoed):
        return source == _RISK_OFFICER
    if kind is system.VoteTradingState:
        voter: system.Voter = message.body.voter
        return voter == source
    return True
