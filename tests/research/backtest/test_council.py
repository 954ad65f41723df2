"""The whole product in a backtest: agents, runtime, engine, gate, ledger and the paper venue over candles."""

from decimal import Decimal
from pathlib import Path

import pytest

from bus.messages.orders import OrderInitialized, OrderTriggered
from research.backtest import council
from research.backtest.council import CouncilBacktest
from research.backtest.council_fold import CouncilResult
from research.backtest.guard import LookAheadError
from research.backtest.runner import Costs
from tests.research.backtest.candles import walk
from tradingd.message_journal import MessageJournal
from tradingd.replay_check import check_replay
from tradingd.settings import CandleSettings, CouncilSettings, Settings

BARS = walk(500, 3, step=8000)
CASH = Decimal(10_000)
COSTS = Costs(Decimal("0.001"), Decimal("0.0002"), Decimal("0.0005"))
SETTINGS = Settings(council=CouncilSettings(
    weights={
        "momentum": 1.0, "mean_reversion": 1.0, "structure": 0.6, "volatility": 0.4, "volume_profile": 0.4,
        "regime": 0.3, "technical": 0.3,
    },
))


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("council") / "first.journal"


@pytest.fixture(scope="module")
def result(journal: Path) -> CouncilResult:
    return CouncilBacktest(BARS, CASH, COSTS, SETTINGS).run(journal=journal)


def test_it_trades_and_the_money_adds_up(result: CouncilResult) -> None:
    assert len(result.trades) >= 2
    assert not result.open_quantity
    assert result.cash == CASH + sum((each.pnl for each in result.trades), Decimal(0))
    assert result.equity[-1] == pytest.approx(float(result.cash))
    assert len(result.equity) == len(BARS)


def test_every_execution_lies_within_its_candle_but_for_spread_and_slippage(result: CouncilResult) -> None:
    room = Decimal("0.001")
    for trade in result.trades:
        for ts, price in ((trade.entry_ts, trade.entry_price), (trade.exit_ts, trade.exit_price)):
            index = int(BARS.ts.searchsorted(ts, side="right")) - 1
            assert BARS.exact("low", index) * (1 - room) <= price <= BARS.exact("high", index) * (1 + room)


def test_it_tells_how_many_exits_rest_on_the_assumed_path(result: CouncilResult) -> None:
    assert result.path_dependent is not None
    assert 0.0 < result.path_dependent <= 1.0


def test_the_alphas_share_what_was_earned(result: CouncilResult) -> None:
    shared = sum(each["contribution"] for each in result.alphas.values())
    assert shared == pytest.approx(float(sum(each.pnl for each in result.trades)))
    for figures in result.alphas.values():
        assert figures["signals"] == figures["buys"] + figures["sells"]
        assert 0.0 <= figures["confidence"] <= 1.0
    assert {"momentum", "technical"} <= set(result.alphas)


def test_a_first_entry_that_was_made_for_the_fall_alone_is_no_alphas_earning(tmp_path: Path) -> None:
    strategy = SETTINGS.strategy.model_copy(update={"first_entry": "on"})
    settings, journal = SETTINGS.model_copy(update={"strategy": strategy}), tmp_path / "first.journal"
    result = CouncilBacktest(BARS, CASH, COSTS, settings).run(journal=journal)
    opened = MessageJournal.open(journal, read_only=True)
    try:
        first = next(
            message.body.order for message in opened.read()
            if isinstance(message.body, OrderInitialized) and message.body.order.side == "buy"
        )
    finally:
        opened.close()
    assert "below the session start" in first.reason
    assert not [vote for vote in first.votes if vote.action == "trail_buy"]
    shared = sum(each["contribution"] for each in result.alphas.values())
    assert shared == pytest.approx(float(sum(each.pnl for each in result.trades[1:])))


def test_the_council_looks_at_the_longer_configured_intervals_as_it_does_live() -> None:
    candles = CandleSettings(intervals=("1s", "1m", "5m", "7m"), decision="1s")
    settings = SETTINGS.model_copy(update={"candles": candles})
    run = CouncilBacktest(walk(40, 2, interval="5m"), CASH, COSTS, settings)
    assert run.settings.candles.intervals == ("5m",)
    longer = SETTINGS.model_copy(update={"candles": CandleSettings(intervals=("1h", "4h", "5m"), decision="5m")})
    run = CouncilBacktest(walk(40, 2, interval="5m"), CASH, COSTS, longer)
    assert run.settings.candles.intervals == ("5m", "1h", "4h")


def test_the_same_candles_give_the_same_journal_to_the_byte(
    result: CouncilResult, journal: Path, tmp_path: Path
) -> None:
    again = CouncilBacktest(BARS, CASH, COSTS, SETTINGS).run(journal=tmp_path / "again.journal")
    assert again.decisions == result.decisions
    assert (tmp_path / "again.journal").read_bytes() == journal.read_bytes()


def test_the_journal_folded_anew_gives_what_it_says(result: CouncilResult, journal: Path) -> None:
    opened = MessageJournal.open(journal, read_only=True)
    try:
        check = check_replay(opened, "USDT")
    finally:
        opened.close()
    assert check.differences == []
    assert len(result.trades) >= 2


def test_no_agent_knows_the_candles_to_come(result: CouncilResult) -> None:
    assert council.check(BARS, CASH, COSTS, SETTINGS, result.decisions) == 1


def test_orders_that_come_out_otherwise_without_the_future_are_refused(result: CouncilResult) -> None:
    other = [(index, side, f"{what}1") for index, side, what in result.decisions]
    assert any(index < len(BARS) // 2 for index, _, _ in other)
    with pytest.raises(LookAheadError):
        council.check(BARS, CASH, COSTS, SETTINGS, other)


def test_a_trigger_inside_a_candle_is_met_where_it_stands_not_at_the_candles_end(journal: Path) -> None:
    opened = MessageJournal.open(journal, read_only=True)
    try:
        fired = [message.body for message in opened.read() if isinstance(message.body, OrderTriggered)]
    finally:
        opened.close()
    digits = max(getattr(BARS.columns, name).digits or 0 for name in ("open", "high", "low", "close"))
    tick = Decimal(1).scaleb(-digits)
    assert len(fired) >= 4
    # A gap between two candles may jump over a trigger; the walk has none.
    assert all(abs(each.price - each.trigger) <= tick for each in fired)
