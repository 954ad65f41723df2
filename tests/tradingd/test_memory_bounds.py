"""What is kept in memory has bounds that are soon reached: an analysis weighs as much as a hundred other facts."""

from decimal import Decimal

from bus.ids import SessionId
from bus.messages.council import AnalysisCompleted, Feature
from bus.messages.header import Message, MessageMaker
from bus.messages.system import AgentStarted
from market.ticks import Candle
from tradingd.read_model_council import RECENT, RECENT_OF_SYMBOL, CouncilFold
from tradingd.recent_events import RecentEvents

MAKER = MessageMaker("analyst", SessionId("s1"))


def analysis(symbol: str) -> Message:
    features = (Feature("close", 1.0),)
    return MAKER.make(AnalysisCompleted(symbol, "1m", 0, Decimal(1), "unknown", features, (), ()), 1)


def folded(messages: list[Message]) -> CouncilFold:
    fold = CouncilFold(10)
    for message in messages:
        fold.handlers[AnalysisCompleted](message, message.body)
    return fold


def test_of_each_symbol_the_newest_analyses_are_kept() -> None:
    busy, quiet = [analysis("BTC/USDT") for _ in range(RECENT_OF_SYMBOL + 5)], [analysis("ETH/USDT")]
    fold = folded([*quiet, *busy])
    kept = [fold.analysis(message.id) is not None for message in busy]
    assert kept == [False] * 5 + [True] * RECENT_OF_SYMBOL
    assert fold.analysis(quiet[0].id) is not None


def test_of_each_symbol_the_newest_candles_are_kept_and_the_others_are_not_found_any_more() -> None:
    fold = CouncilFold(10)
    for minute in range(RECENT_OF_SYMBOL + 5):
        for symbol in ("BTC/USDT", "ETH/USDT"):
            one = Decimal(1)
            candle = Candle(symbol, "1m", minute, one, one, one, one, one, 1, minute + 60)
            fold.handlers[Candle](MAKER.make(candle, 1), candle)
    for symbol in ("BTC/USDT", "ETH/USDT"):
        found = [fold.candle(symbol, "1m", minute) is not None for minute in range(RECENT_OF_SYMBOL + 5)]
        assert found == [False] * 5 + [True] * RECENT_OF_SYMBOL


def test_of_many_symbols_no_more_analyses_are_kept_than_of_a_few_busy_ones() -> None:
    messages = [analysis(f"C{number % 100}/USDT") for number in range(RECENT + 40)]
    fold = folded(messages)
    assert sum(fold.analysis(message.id) is not None for message in messages) == RECENT


def test_analyses_do_not_crowd_other_events_out_and_all_are_told_in_their_order() -> None:
    events = RecentEvents(most=3, most_of_the_council=2)
    for number in range(5):
        events.note(MAKER.make(AgentStarted(f"agent{number}", 0), number))
        events.note(analysis("BTC/USDT"))
    told = [view.kind for view in events.replay()]
    assert told == ["AgentStarted", "AgentStarted", "AnalysisCompleted", "AgentStarted", "AnalysisCompleted"]
    assert [view.data["agent"] for view in events.replay(kind="AgentStarted")] == ["agent2", "agent3", "agent4"]
