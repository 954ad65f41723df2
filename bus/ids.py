"""A type for each kind of id, in one place. All are short ASCII strings."""

from typing import NewType

MessageId = NewType("MessageId", str)  # source.session.seq
SessionId = NewType("SessionId", str)  # one run of the process
ClientOrderId = NewType("ClientOrderId", str)  # ours, goes over the wire, at most 36 characters
VenueOrderId = NewType("VenueOrderId", str)  # the venue's word for the same order
TradeId = NewType("TradeId", str)  # the venue's id of one execution
ProposalId = NewType("ProposalId", str)  # one proposal of the council

CLIENT_ID_PREFIX = "td-"
"""Each client order id of ours begins so: what begins otherwise at the venue is not ours to touch."""


def client_order_id_of(proposal_id: ProposalId) -> ClientOrderId:
    """The one order a proposal can become. Never random: after a restart it is the same."""
    return ClientOrderId(CLIENT_ID_PREFIX + proposal_id)
