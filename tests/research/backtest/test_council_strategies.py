"""Every strategy of the library through the whole council: proposed, judged, executed, and without a look ahead."""

from decimal import Decimal
from pathlib import Path

import pytest

from agents.strategies.candle_rule import CandleContext
from agents.strategies.library import STRATEGIES
from bus.messages.council import ProposalApproved, TradeProposed
from bus.messages.orders import OrderInitialized
from research.backtest import council
from research.backtest.council import CouncilBacktest
from research.backtest.runner import Costs
from tests.research.backtest.candles import of_rows, run, walk
from tradingd.message_journal import MessageJournal
from tradingd.settings import Settings
from tradingd.settings_loading import load_settings

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


class Once:
    """Buys at some candles, with a stop and a target as far away."""

    def on_candle(self, context: CandleContext) -> None:
        if context.index in (80, 90, 100):
            context.buy(0.5, stop=0.02, target=0.02)


def test_an_entry_at_the_open_meets_the_worse_extreme_of_its_candle_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.strategies.library.STRATEGIES", {"breakout": Once})
    rows = [["30000", "30060", "29940", "30000"] for _ in range(140)]
    for number in (81, 91, 101):
        rows[number][1:3] = "30900", "29100"
    bars = of_rows([(each[0], each[1], each[2], each[3]) for each in rows], "1h")
    chosen = load_settings(environ={"TRADINGD__STRATEGY__RULE": "breakout"})
    for result in (CouncilBacktest(bars, CASH, COSTS, chosen).run(), run(bars, Once(), fee="0.001", spread="0.0002")):
        assert [each.exit_reason for each in result.trades] == ["stop"] * 3
