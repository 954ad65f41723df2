"""Which closed candles become history: those whose every trade was heard, and no others."""

from decimal import Decimal
from pathlib import Path

import pytest

from exchanges.binance.market_state import FeedCounters
from market.interval import SECOND_NS
from market.ticks import Candle
from research.history.incoming import absorb
from store.candle_writer import CandleWriter
from store.candles import CandleStore
from tradingd.candle_history import CandleHistory
from tradingd.health import Health

MINUTE = 60 * SECOND_NS
BEGIN = 1_714_521_600 * SECOND_NS


class Line:
    """What the history looks at of a feed's driver."""

    def __init__(self) -> None:
        self.state = "connected"
        self.last_ns = self.market_ns = 0


class Session:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.line, self.counters, self.health = Line(), FeedCounters(), Health(lambda: BEGIN)
        writer = CandleWriter(folder, "binance")
        self.history = CandleHistory(
            writer, self.line, lambda: self.counters, self.health, 3 * SECOND_NS  # type: ignore[arg-type]
        )

    def close_candle(self, minute: int, *, heard_s_ago: float = 0.0, is_market_heard: bool = True) -> None:
        ts, one = BEGIN + minute * MINUTE, Decimal(1)
        if is_market_heard:
            self.line.market_ns = ts + MINUTE
        self.line.last_ns = ts + MINUTE - int(heard_s_ago * SECOND_NS)
        self.history.keep(Candle("BTC/USDT", "1m", ts, one, one, one, one, one, 1, ts + MINUTE))

    def minutes(self) -> list[int]:
        self.history.on_second(BEGIN)
        absorb(self.folder)
        return [int(ts - BEGIN) // MINUTE for ts in CandleStore(self.folder).open_times("BTC/USDT", "1m")]


@pytest.fixture
def session(tmp_path: Path) -> Session:
    made = Session(tmp_path)
    made.history.on_up(BEGIN - SECOND_NS)
    return made


def test_whole_candles_are_kept(session: Session) -> None:
    for minute in range(3):
        session.close_candle(minute)
    assert session.minutes() == [0, 1, 2]


def test_nothing_is_kept_before_the_feed_is_up(tmp_path: Path) -> None:
    session = Session(tmp_path)
    session.close_candle(0)
    assert (session.minutes(), session.history.left_out) == ([], 1)


def test_the_candle_in_which_the_feed_came_up_is_left_out(session: Session) -> None:
    session.history.on_up(BEGIN + 30 * SECOND_NS)
    for minute in range(2):
        session.close_candle(minute)
    assert session.minutes() == [1]


def test_a_candle_that_closes_while_the_line_is_down_is_left_out(session: Session) -> None:
    session.line.state = "lost"
    session.close_candle(0)
    session.line.state = "connected"
    session.history.on_up(BEGIN + 70 * SECOND_NS)
    session.close_candle(1)
    session.close_candle(2)
    assert session.minutes() == [2]


def test_a_candle_that_ends_in_silence_is_left_out(session: Session) -> None:
    session.close_candle(0, heard_s_ago=3.5)
    session.close_candle(1, heard_s_ago=2.5)
    assert session.minutes() == [1]


def test_a_candle_with_a_gap_in_its_trade_ids_is_left_out(session: Session) -> None:
    session.counters.trade_gaps += 1
    session.history.on_second(BEGIN + 20 * SECOND_NS)
    session.close_candle(0)
    session.close_candle(1)
    session.counters.trade_gaps += 1  # noticed as the candle closes: the trade that skipped came in this very second
    session.close_candle(2)
    session.close_candle(3)
    assert session.minutes() == [1, 3]


def test_a_disk_that_refuses_is_shown_and_stops_nothing(session: Session) -> None:
    (session.folder / "incoming").write_text("in the way")
    session.close_candle(0)
    session.history.on_second(BEGIN)
    assert session.health.is_raised("history")
    assert session.health.reasons_to_reduce == ()
    (session.folder / "incoming").unlink()
    assert session.minutes() == [0]
    assert not session.health.is_raised("history")


def test_the_rest_is_written_at_the_end(session: Session) -> None:
    session.close_candle(0)
    session.history.close()
    assert absorb(session.folder).written.added == 1


def test_a_candle_is_kept_when_the_market_was_heard_after_its_end(session: Session) -> None:
    session.close_candle(0, is_market_heard=False)
    assert session.minutes() == []
    session.line.market_ns = BEGIN + MINUTE
    assert session.minutes() == [0]


def test_a_candle_after_whose_end_nothing_came_before_the_loss_is_left_out(session: Session) -> None:
    session.close_candle(0, is_market_heard=False)
    session.line.state = "lost"
    session.line.market_ns = BEGIN + 2 * MINUTE  # missed trades are told before the line is up
    assert session.minutes() == []
    session.line.state = "connected"
    session.history.on_up(BEGIN + 2 * MINUTE)
    assert (session.minutes(), session.history.left_out) == ([], 1)
    session.close_candle(2)
    assert session.minutes() == [2]


def test_what_closes_with_the_end_of_a_recording_is_kept(session: Session) -> None:
    session.close_candle(0, is_market_heard=False)
    session.line.state = "ended"
    session.history.close()
    assert session.minutes() == [0]
