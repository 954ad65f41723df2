"""An entry that was open too long may be decided on once more."""

from decimal import Decimal

from agents.symbol_desk import SymbolDesk
from bus.ids import ClientOrderId, ProposalId
from bus.messages.orders import SubmitOrder
from market.interval import SECOND_NS
from tests.orders.trading import BTC, instrument

NOW = 1_700_000_000 * SECOND_NS


def with_entry() -> SymbolDesk:
    desk = SymbolDesk(instrument(BTC))
    desk.on_proposed(ProposalId("p1"), NOW + 5 * SECOND_NS, NOW, 10 * SECOND_NS, is_entry=True)
    order = SubmitOrder(
        ClientOrderId("td-p1"), BTC, "buy", "trailing", Decimal(1), "council", proposal_id=ProposalId("p1"),
    )
    desk.on_order_begun(order, NOW)
    return desk


def test_while_an_entry_works_none_is_proposed() -> None:
    assert with_entry().obstacle_to_entry(NOW + 20 * SECOND_NS) == "an entry is working"


def test_when_it_is_reassessed_one_proposal_may_change_it_until_the_answer_is_due() -> None:
    desk = with_entry()
    asked = NOW + 20 * SECOND_NS
    desk.on_reassessment(asked + 30 * SECOND_NS)
    assert desk.obstacle_to_entry(asked) == ""
    assert desk.obstacle_to_entry(asked + 30 * SECOND_NS) == "an entry is working"


def test_after_that_one_proposal_the_entry_stands_in_the_way_again() -> None:
    desk = with_entry()
    asked = NOW + 20 * SECOND_NS
    desk.on_reassessment(asked + 30 * SECOND_NS)
    desk.on_proposed(ProposalId("p2"), asked + 5 * SECOND_NS, asked, 10 * SECOND_NS, is_entry=True)
    desk.on_proposal_over(ProposalId("p2"))
    assert desk.obstacle_to_entry(asked + SECOND_NS) == "an entry is working"
