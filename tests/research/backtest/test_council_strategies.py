"""Every strategy of the library through the whole council: proposed, judged, executed, and without a look ahead."""

from decimal import Decimal
from pathlib import Path

import pytest

from agents.strategies.library import STRATEGIES
from bus.messages.council import ProposalApproved, TradeProposed
from bus.messages.orders import OrderInitialized
from research.backtest import council
from research.backtest.council import CouncilBacktest
from research.backtest.runner import Costs
from tests.research.backtest.candles import walk
from tradingd.message_journal import MessageJournal
from tradingd.settings import Settings, load_settings

CASH, COSTS = Decimal(10_000), Costs(Decimal("0.001"), Decimal("0.0002"))
QUICK = {
    "momentum": "LOOKBACK=12", "mean_reversion": "TREND=0", "breakout": "ENTRY=10", "trend_following": "SLOW=40",
    "tjr": "SWING=2",
}


def settings(name: str) -> Settings:
    key, _, value = QUICK[name].partition("=")
    return load_settings(environ={"TRADINGD__STRATEGY__RULE": name, f"TRADINGD__STRATEGY__PARAM__{key}": value})


@pytest.mark.parametrize("name", [name for name in STRATEGIES if name != "trailing_grid"])
def test_a_strategys_trades_are_proposed_approved_and_its_own(name: str, tmp_path: Path) -> None:
    bars, chosen = walk(350, 4, step=8000), settings(name)
    path = tmp_path / "run.journal"
    result = CouncilBacktest(bars, CASH, COSTS, chosen).run(journal=path)
    journal = MessageJournal.open(path, read_only=True)
    heard = [message.body for message in journal.read()]
    journal.close()
    proposals = [body for body in heard if isinstance(body, TradeProposed)]
    approved = {body.proposal_id for body in heard if isinstance(body, ProposalApproved)}
    entries = [body.order for body in heard if isinstance(body, OrderInitialized) and body.order.side == "buy"]
    assert result.trades
    assert {each.lead_alpha for each in proposals} == {name}
    assert entries
    assert all(each.proposal_id in approved for each in entries)
    assert all(each.protection is not None and each.protection.stop_ratio for each in entries)
    assert council.check(bars, CASH, COSTS, chosen, result.decisions) == 1
