"""Alphas of the user's folder in a backtest of the council: they trade, the same each time; bad ones cost nothing."""

from decimal import Decimal
from pathlib import Path

from bus.messages.council import AnalysisCompleted
from bus.messages.orders import OrderInitialized
from research.backtest.council import CouncilBacktest
from research.backtest.council_fold import CouncilResult
from tests.research.backtest.candles import walk
from tests.research.backtest.test_council import COSTS
from tests.tradingd.plugins.alpha_files import bad, written
from tradingd.message_journal import MessageJournal
from tradingd.settings import CouncilSettings, Settings

BARS = walk(300, 2, step=8000)
EAGER = """
from agents.alphas.alpha import Opinion


class Eager:
    name = "eager"
    version = "1"
    weight = 1.0

    def __init__(self):
        self.views = 0

    def opinion(self, view):
        self.views += 1
        action = "trail_buy" if view.closes[-1] >= view.closes[-2:][0] else "trail_sell"
        return Opinion(action, 0.9, 0.01, "high", f"view {self.views}")
"""


def run(data_dir: Path, journal: Path, **council: object) -> CouncilResult:
    settings = Settings(data_dir=data_dir, council=CouncilSettings(**council))  # type: ignore[arg-type]
    return CouncilBacktest(BARS, Decimal(10_000), COSTS, settings).run(journal=journal)


def bodies(path: Path, kind: type) -> list[object]:
    journal = MessageJournal.open(path, read_only=True)
    try:
        return [message.body for message in journal.read() if isinstance(message.body, kind)]
    finally:
        journal.close()


def test_a_file_in_the_folder_trades_alone_and_twice_the_same(tmp_path: Path) -> None:
    written(tmp_path, "eager", EAGER)
    first = run(tmp_path, tmp_path / "first.journal")
    assert first.trades
    entries = [body.order for body in bodies(tmp_path / "first.journal", OrderInitialized)]  # type: ignore[attr-defined]
    assert {order.lead_alpha for order in entries if order.side == "buy"} == {"eager"}
    run(tmp_path, tmp_path / "second.journal")
    assert (tmp_path / "first.journal").read_bytes() == (tmp_path / "second.journal").read_bytes()


def test_a_weight_of_nought_in_the_settings_silences_it(tmp_path: Path) -> None:
    written(tmp_path, "eager", EAGER)
    assert run(tmp_path, tmp_path / "off.journal", weights={"eager": 0.0}).decisions == []


def test_one_that_crashes_in_the_middle_changes_nothing_for_the_others_and_the_end_is_the_same(tmp_path: Path) -> None:
    written(tmp_path, "eager", EAGER)
    alone = run(tmp_path, tmp_path / "alone.journal")
    bad(tmp_path, "if view.ts_open % 3 == 0: os._exit(1)\nreturn Opinion('hold', 0.0, 0, 'low', '')")
    journals = [tmp_path / name for name in ("first.journal", "second.journal")]
    results = [run(tmp_path, journal) for journal in journals]
    assert results[0].decisions == results[1].decisions == alone.decisions
    skipped = [
        each.code for body in bodies(journals[0], AnalysisCompleted) for each in body.skipped  # type: ignore[attr-defined]
    ]
    assert {"ALPHA_CRASHED", "ALPHA_AWAY"} >= set(skipped)
    assert journals[0].read_bytes() == journals[1].read_bytes()
