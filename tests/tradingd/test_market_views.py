"""What the council sees, over REST and from the command line."""

import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agents.scanner import HALTED
from bus.ids import SessionId
from bus.messages.council import AlphaSignal, AnalysisCompleted, Candidate, CandidatesRanked, Feature, LeftOut
from bus.messages.header import MessageMaker
from bus.messages.system import InstrumentChanged
from market.interval import SECOND_NS
from market.ticks import Candle
from store.candle_columns import CandleColumns
from store.candles import CandleStore
from tests.tradingd.small_daemon import START, SmallDaemon, served, settings_in
from tradingd.auth import Auth, mint_token
from tradingd.cli import app
from tradingd.client import AnswerError, Client
from tradingd.data_dir import DataDir, RunInfo
from tradingd.market_views import MonthProfiles

HOUR = 3600 * SECOND_NS
RANKING = CandidatesRanked(
    (Candidate("BTC/USDT", 71.25, ("moved +2.00 % in an hour", "spread 0.010 %")),),
    (Candidate("ETH/USDT", 40.0, ("moved +0.10 % in an hour",)),),
    (LeftOut("DOGE/USDT", "the venue has halted it"),),
)
ANALYSIS = AnalysisCompleted(
    "BTC/USDT", "1m", START - START % (60 * SECOND_NS), Decimal("100.5"), "trending",
    (
        Feature("rsi_14", 61.5), Feature("candle_hammer", 1.0), Feature("chart_double", -1.0),
        Feature("candle_doji", 0.0),
    ),
    (AlphaSignal("momentum", "2", "BTC/USDT", "1m", 1, "trail_buy", 0.71, 1.0, 0.004, "medium", "RSI 62 and rising"),),
)


def keep_hours(folder: Path, count: int) -> None:
    """Hourly candles that end with the daemon's time."""
    kept = []
    first = START - START % HOUR - count * HOUR
    for number in range(count):
        price = Decimal(100 + number % 5)
        ts = first + number * HOUR
        kept.append(Candle("BTC/USDT", "1h", ts, price, price + 1, price - 1, price, Decimal(3), 7, ts + HOUR))
    CandleStore(folder / "history", "practice").write("BTC/USDT", "1h", CandleColumns.of_candles(kept))


class Room:
    def __init__(self, folder: Path, daemon: SmallDaemon, url: str) -> None:
        self.daemon = daemon
        self.client = Client(url, mint_token(folder))
        self._maker = MessageMaker("scanner", SessionId("s1"))

    def hear(self, body: object) -> None:
        self.daemon.read_model.apply(self._maker.make(body, START))


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    settings = settings_in(tmp_path)
    daemon = SmallDaemon(settings)
    daemon.touch = {"BTC/USDT": (None, None, None), "ETH/USDT": (None, None, None)}
    keep_hours(settings.data_dir, 100)
    data_dir = DataDir.open(settings.data_dir)
    with served(daemon, Auth.open(settings.data_dir)) as url:
        data_dir.announce(RunInfo(4242, url, 1))
        yield Room(settings.data_dir, daemon, url)
    data_dir.close()


def test_before_the_first_ranking_there_is_none(room: Room) -> None:
    assert room.client.get("/api/scanner") == {"time": None, "ranked": [], "left_out": []}


def test_the_ranking_is_told_with_reasons_the_watch_list_first(room: Room) -> None:
    room.hear(RANKING)
    answer = room.client.get("/api/scanner")
    assert answer["ranked"] == [
        {"rank": 1, "symbol": "BTC/USDT", "score": 71.25, "is_watched": True,
         "reasons": ["moved +2.00 % in an hour", "spread 0.010 %"]},
        {"rank": 2, "symbol": "ETH/USDT", "score": 40.0, "is_watched": False,
         "reasons": ["moved +0.10 % in an hour"]},
    ]
    assert answer["left_out"] == [{"symbol": "DOGE/USDT", "reason": "the venue has halted it"}]


def test_a_symbol_is_told_as_the_analyst_saw_it_with_thirty_days(room: Room) -> None:
    room.hear(ANALYSIS)
    answer = room.client.get("/api/market?symbol=btc-usdt")
    analysis, month = answer["analysis"], answer["month"]
    assert (analysis["regime"], analysis["close"], analysis["features"]["rsi_14"]) == ("trending", "100.5", 61.5)
    assert analysis["opinions"][0]["reasoning"] == "RSI 62 and rising"
    assert (month["interval"], month["candles"], month["lowest"], month["highest"]) == ("1h", 100, 99.0, 105.0)
    assert month["turnover_per_day"] == pytest.approx(24 * 3 * 102.0)


def test_a_symbol_that_was_not_analysed_has_no_analysis_and_one_without_history_no_month(room: Room) -> None:
    assert room.client.get("/api/market?symbol=ETH/USDT") == {
        "symbol": "ETH/USDT", "analysis": None, "month": None,
        "fundamentals": {"venue_status": "trading", "known_since": None, "age_days": None},
    }


def test_fundamentals_tell_what_the_venue_says_and_how_old_the_symbol_is_at_least(room: Room) -> None:
    def told() -> dict[str, object]:
        return dict(room.client.get("/api/market?symbol=BTC/USDT")["fundamentals"])

    assert told()["venue_status"] == "trading"
    assert told()["age_days"] == pytest.approx(100 / 24, abs=0.05)
    step, fee = Decimal("0.001"), Decimal(0)
    halted = InstrumentChanged("BTC/USDT", step, step, step, Decimal(100), Decimal(10), fee, fee, False, "halted")
    room.hear(halted)
    assert told()["venue_status"] == "halted"
    room.hear(replace(halted, is_trading=True, reason="trading again"))
    assert told()["venue_status"] == "trading"
    room.hear(replace(RANKING, left_out=(LeftOut("BTC/USDT", HALTED),)))  # halted before the start
    assert told()["venue_status"] == "halted"


def test_a_symbol_that_is_not_traded_is_named(room: Room) -> None:
    with pytest.raises(AnswerError, match="'NOPE' is not traded here") as caught:
        room.client.get("/api/market?symbol=NOPE")
    assert (caught.value.status, caught.value.code) == (422, "UNKNOWN_SYMBOL")


def test_a_month_is_made_once_a_minute(tmp_path: Path) -> None:
    now = START
    profiles = MonthProfiles(tmp_path / "history", "practice", lambda: now)
    keep_hours(tmp_path, 50)
    first = profiles.profile("BTC/USDT")
    keep_hours(tmp_path, 60)
    assert profiles.profile("BTC/USDT") is first
    now += 60 * SECOND_NS
    fresh = profiles.profile("BTC/USDT")
    assert fresh is not None
    assert fresh.candles == 60


def test_the_commands_tell_it_in_tables_and_as_json(room: Room) -> None:
    room.hear(RANKING)
    room.hear(ANALYSIS)
    where = ["--data-dir", str(room.daemon.settings.data_dir)]
    runner = CliRunner()
    ranking = runner.invoke(app, ["scanner", *where])
    assert ranking.exit_code == 0, ranking.output
    assert "BTC/USDT" in ranking.output
    assert "watched" in ranking.output
    assert "the venue has halted it" in ranking.output
    market = runner.invoke(app, ["market", "BTC/USDT", *where])
    assert market.exit_code == 0, market.output
    for text in (
        "1m candle of", "trending", "61.5", "hammer", "double (bearish)", "RSI 62 and rising", "4.2 days of 1h",
    ):
        assert text in market.output
    assert "doji" not in market.output
    told = json.loads(runner.invoke(app, ["market", "BTC/USDT", "--json", *where]).output)
    assert told["month"]["candles"] == 100
