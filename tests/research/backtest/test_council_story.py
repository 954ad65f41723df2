"""The told story: what kind of market it was, and what each agent did, in words that can be checked."""

from decimal import Decimal

import pytest

from bus.ids import ClientOrderId, ProposalId, TradeId
from bus.messages.council import MandateIssued, ProposalApproved, ProposalVetoed
from bus.messages.orders import OrderCancelled, OrderFilled, OrderInitialized, Protection, SubmitOrder
from bus.messages.system import LockPlaced
from research.backtest import council_story
from research.backtest.bars import Bars
from research.backtest.council import CouncilBacktest
from research.backtest.council_fold import CouncilResult
from research.backtest.council_log import CouncilLog, short_reason
from research.backtest.council_story import CouncilRun, tell
from research.backtest.market_kind import CRASH_FALL, judge_market
from research.backtest.runner import Costs
from research.backtest.trades import Trade
from tests.agents.council_scene import Voice, analysis, buys, proposal, sells, signal
from tests.research.backtest.candles import BEGIN, flat, of_rows, recorded, walk
from tests.shared_data import shared_file
from tradingd.settings import Settings
from tradingd.settings_loading import load_settings

DAY_NS = 86_400_000_000_000
HOURLY = "candles/binance_spot_1h_BTC_2021-06_2026-06.parquet"


def path(*prices: float) -> Bars:
    """A candle a day from one price to the next, without wicks."""
    rows = [
        (str(first), str(max(first, last)), str(min(first, last)), str(last))
        for first, last in zip((prices[0], *prices), prices, strict=False)
    ]
    return of_rows(rows)


def kind(*prices: float) -> str:
    return judge_market(path(*prices).arrays()).kind


# ---- what kind of market


def test_a_fall_of_a_fifth_within_a_week_is_a_crash() -> None:
    assert kind(100, 100, 95, 90, 85, 82, 80, 100) == "crashing"
    assert kind(100, 100, 95, 90, 85, 82, 80.1, 100) == "choppy"


def test_the_same_fall_over_more_than_a_week_is_none() -> None:
    assert kind(100, 98, 96, 94, 92, 90, 88, 86, 84, 82, 80) == "trending"


def test_a_straight_way_of_a_tenth_is_a_trend_and_a_winding_one_is_not() -> None:
    assert kind(100, 103, 106, 108, 110) == "trending"
    assert kind(100, 109.9) == "quiet"
    assert kind(100, 118, 100, 118, 100, 118, 110) == "choppy"


def test_a_narrow_range_is_quiet() -> None:
    assert kind(100, 107, 93.1, 100) == "quiet"
    assert kind(100, 107, 93, 100) == "choppy"


def test_the_fall_is_from_the_highest_close_to_the_lowest_low_after_it_within_seven_days() -> None:
    found = judge_market(path(100, 110, 90, 105, 95).arrays())
    assert found.fall == pytest.approx(1 - 90 / 110)
    assert (found.fall_from_ts - BEGIN, found.fall_to_ts - BEGIN) == (DAY_NS, 2 * DAY_NS)


def test_prices_that_stand_still_are_quiet() -> None:
    found = judge_market(flat(["5"] * 10).arrays())
    assert (found.kind, found.fall, found.change, found.efficiency) == ("quiet", 0.0, 0.0, 0.0)


@pytest.mark.parametrize(("month", "expected"), [
    (("2022-06-01", 8784), "crashing"), (("2023-07-01", 18263), "quiet"), (("2024-02-01", 23423), "trending"),
])
def test_months_of_bitcoin_are_called_what_people_called_them(month: tuple[str, int], expected: str) -> None:
    bars = recorded(shared_file(HOURLY), "BTC/USDT", "1h", 0, 50_000)
    first = int(bars.ts.searchsorted(_ns(month[0])))
    assert judge_market(bars.arrays(), slice(first, first + 720)).kind == expected


def _ns(day: str) -> int:
    import numpy as np

    return int(np.datetime64(day, "ns").astype(np.int64))


# ---- what the agents did


def log_of(*said: tuple[object, str]) -> CouncilLog:
    log, voice = CouncilLog(0.6, 0.25), Voice()
    for second, (body, status) in enumerate(said):
        log.apply(voice.say(second, body))
        if status:
            log.on_decided(status)
        log.on_close(0.0)
    return log


def test_each_decision_of_the_models_is_one_of_the_known_kinds() -> None:
    log = log_of(
        (analysis(signals=buys()), "BTC/USDT: momentum says buy, but a position is open"),
        (analysis(signals=sells()), "BTC/USDT: momentum says sell, but nothing is held"),
        (analysis(signals=(signal("momentum", "hold", 0.5),)), ""),
        (analysis(signals=(signal("momentum", "trail_buy", 0.4),)), ""),
        (analysis(signals=(signal("momentum", "trail_buy", 0.5), signal("structure", "trail_sell", 0.5))), ""),
        (analysis(signals=(signal("momentum", "trail_buy", 0.5), signal("structure", "trail_sell", 0.4))), ""),
        (analysis(signals=(signal("momentum", "trail_buy", 0.9, 0.1), signal("structure", "hold", 0.5))), ""),
    )
    assert log.decisions == {
        "buy": 1, "sell": 1, "hold": 1, "weak buy": 1, "tie": 1, "dispute": 1, "quorum": 1,
    }
    assert log.unproposed == {("buy", "a position is open"): 1, ("sell", "nothing is held"): 1}


def test_a_proposal_leaves_nothing_to_explain() -> None:
    log = log_of((analysis(signals=buys()), ""), (proposal(), "BTC/USDT: proposed to buy"))
    assert log.proposals == {"buy": 1}
    assert not log.unproposed


def test_verdicts_orders_and_their_ends_are_counted_with_reasons() -> None:
    stop = Protection(Decimal("0.03"))
    order = SubmitOrder(ClientOrderId("td-1"), "BTC/USDT", "buy", "market", Decimal(1), "council", protection=stop)
    other = SubmitOrder(ClientOrderId("td-2"), "BTC/USDT", "buy", "market", Decimal(1), "council")
    fill = OrderFilled(
        ClientOrderId("td-1"), "BTC/USDT", "buy", TradeId("t1"), Decimal(1), Decimal(100), Decimal(0), "USDT",
        cumulative=Decimal(1), is_complete=True, is_maker=False, simulated=True,
    )
    why = "open for 3600 s, and the council has not decided for it again"
    log = log_of(
        (ProposalApproved(ProposalId("p1"), "BTC/USDT", Decimal(1), Decimal(2), (), "Approved, shrunk from 2 to 1 BTC: "
                          "a drawdown near its limit leaves 50.00 % of the size."), ""),
        (ProposalVetoed(ProposalId("p2"), "BTC/USDT", "MAX_POSITIONS", (), "Vetoed: 3 of 3 positions are open."), ""),
        (OrderInitialized(order), ""), (OrderInitialized(other), ""), (fill, ""),
        (OrderCancelled(ClientOrderId("td-2"), "BTC/USDT", "us", why), ""),
    )
    assert (log.approvals, log.vetoes, log.entries, log.filled) == (1, {"MAX_POSITIONS": 1}, 2, 1)
    assert log.shrunk == {"a drawdown near its limit": 1}
    assert log.unfilled == {"the price did not turn up in time, and the council did not ask again": 1}
    assert log.stops == [0.03]


def test_mandates_and_locks_are_events_once_each_and_short_rests_are_none() -> None:
    log = log_of(
        (MandateIssued("neutral", "nothing is known", 9), ""), (MandateIssued("neutral", "still", 9), ""),
        (MandateIssued("risk_off", "daily loss 5.00% of 5.00% allowed", 9), ""),
        (LockPlaced("l1", "cooldown", "BTC/USDT", "cooldown of 5 s", 1, 2), ""),
        (LockPlaced("l2", "stop_guard", "BTC/USDT", "4 stops within 600 s", 1, 2), ""),
    )
    assert [event.text for event in log.events] == [
        "neutral: nothing is known", "risk_off: daily loss 5.00% of 5.00% allowed", "4 stops within 600 s",
    ]
    assert log.mandates == {"neutral": 2, "risk_off": 3}


@pytest.mark.parametrize(("text", "short"), [
    ("BTC/USDT: momentum 0.7 says buy, but a position is open", "a position is open"),
    ("the mandate is risk_off: daily loss 5 %", "the mandate is risk_off"),
    ("", "no reason was given"),
])
def test_a_reason_is_told_without_its_numbers(text: str, short: str) -> None:
    assert short_reason(text) == short


# ---- the words


def lines_of(run: CouncilRun) -> dict[str, str]:
    return {section.title: "\n".join(section.lines) for section in tell(run)}


def test_a_fall_tells_what_was_in_the_market_and_what_ended_it() -> None:
    bars = path(100, 100, 90, 80, 70, 70)
    log = CouncilLog(0.6, 0.25, stops=[0.02, 0.03])
    for share in (0.04, 0.04, 0.0, 0.0, 0.0, 0.0):
        log.on_close(share)
    trade = Trade(
        "BTC/USDT", "long", BEGIN, Decimal(100), BEGIN + 2 * DAY_NS, Decimal("97.5"), Decimal(4), Decimal("0.8"),
        Decimal("-10.8"), "stop",
    )
    told = lines_of(CouncilRun(bars, [10_000, 10_000, 9_989.2, 9_989.2, 9_989.2, 9_989.2], 10_000, [trade], {}, log,
                               "consensus"))
    assert "100.00 to 70.00 (-30 %)" in told["The market was crashing"]
    fall = told["What protected it in the fall"]
    assert "the market fell by 30 %; equity changed by -0.11 %" in fall
    assert "At the top 4.0 % of equity was in the market" in fall
    assert "1 position was closed in it, by the stop-loss (1): -10.80." in fall
    assert "lost 2.5 % of its price; stop-losses stood 2.0 % to 3.0 % below the entries" in fall
    assert "1 trade, 0 won: together -10.80 after fees of 0.80." in told["Money"]


def test_vetoes_and_denials_are_told_with_code_and_meaning() -> None:
    log = CouncilLog(0.6, 0.25)
    log.vetoes.update({"MAX_POSITIONS": 3})
    log.denials.update({"STALE_DATA": 1})
    log.on_close(0.0)
    told = lines_of(CouncilRun(path(100, 101), [10_000, 10_000], 10_000, [], {}, log, "consensus"))
    agents = told["What each agent did"]
    assert "Risk officer: vetoed 3 times with MAX_POSITIONS: " in agents
    assert "Gate: denied once with STALE_DATA: Market data is too old" in agents


def test_longer_runs_are_told_month_by_month() -> None:
    log = CouncilLog(0.6, 0.25)
    prices = [100.0 + number / 2 for number in range(60)]
    for _ in prices:
        log.on_close(0.0)
    told = lines_of(CouncilRun(path(*prices), [10_000.0] * 60, 10_000, [], {}, log, "consensus"))
    assert told["Month by month"].splitlines() == [
        "2024-01: trending, +15 %; the council 0 %, no trade.", "2024-02: trending, +13 %; the council 0 %, no trade.",
    ]


# ---- whole runs


@pytest.fixture(scope="module")
def result() -> CouncilResult:
    settings = load_settings(environ={})
    return CouncilBacktest(walk(400, 2, step=8000), Decimal(10_000), Costs(), settings).run()


def test_a_run_of_the_council_tells_its_story(result: CouncilResult) -> None:
    told = {section.title: section.lines for section in result.story}
    assert list(told)[1:] == ["In short", "What each agent did", "Money", "What protected it in the fall", "The models"]
    agents = [line.partition(":")[0] for line in told["What each agent did"]]
    assert set(agents) == {"CEO", "Scanner", "Analyst", "Strategy", "Risk officer", "Gate", "Trader"}


def test_a_strategy_of_the_library_is_named_as_who_decided() -> None:
    settings = load_settings(environ={"TRADINGD__STRATEGY__RULE": "breakout"})
    story = CouncilBacktest(walk(300, 2, step=8000), Decimal(10_000), Costs(), settings).run().story
    told = {section.title: section.lines for section in story}
    assert "Strategy: breakout decided when to trade; the models could only object to a purchase." in told[
        "What each agent did"]


def test_a_council_without_models_has_a_story_too() -> None:
    story = CouncilBacktest(walk(50, 3), Decimal(10_000), Costs(), Settings()).run().story
    assert "no model had an opinion" in " ".join(line for section in story for line in section.lines)


@pytest.mark.parametrize(("ratio", "told"), [
    (0.19976, "19.98 %"), (0.2, "20 %"), (0.201, "20 %"), (0.19999, "19.999 %"), (0.194, "19 %"), (0.38, "38 %"),
])
def test_a_fall_short_of_a_crash_does_not_read_as_one(ratio: float, told: str) -> None:
    assert council_story._percent(ratio, CRASH_FALL) == told
