"""Locks, daily figures and limits as people get them: read model, REST and command line."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bus.ids import ClientOrderId, SessionId
from bus.messages import ledger, system
from bus.messages.header import MessageMaker
from tests.tradingd.small_daemon import SECOND, SmallDaemon, portfolio, served, settings_in
from tradingd import exit_codes
from tradingd.auth import Auth, mint_token
from tradingd.cli import app as command_line
from tradingd.client import AnswerError, Client
from tradingd.read_model_risk import RiskFold
from tradingd.story import Story, StoryLine

D = Decimal
DAY = 86_400 * SECOND
MIDNIGHT = 20_400 * DAY  # 2025-11-08


class Book:
    """A fold, and facts of the engine at given moments."""

    def __init__(self) -> None:
        self.fold = RiskFold("USDT")
        self._engine = MessageMaker("engine", SessionId("s1"))
        self._other = MessageMaker("portfolio", SessionId("s1"))

    def tell(self, ts: int, body: object, *, by_engine: bool = True) -> None:
        self.fold.apply((self._engine if by_engine else self._other).make(body, ts))


def trip(profit: str, closed_ns: int = MIDNIGHT) -> ledger.PositionClosed:
    return ledger.PositionClosed(
        "BTC/USDT", D(1), D(100), D(101), D(profit), D("0.1"), closed_ns - SECOND, closed_ns, ClientOrderId("td-1"),
    )


def lock(number: int, symbol: str, until_ns: int) -> system.LockPlaced:
    return system.LockPlaced(f"lock-{number}", "cooldown", symbol, "a test", MIDNIGHT, until_ns)


def test_the_figures_of_a_day_begin_anew_at_midnight_utc() -> None:
    book = Book()
    book.tell(MIDNIGHT - 2, trip("5"))
    book.tell(MIDNIGHT - 1, trip("-2"))
    book.tell(MIDNIGHT, trip("-1"))
    today, yesterday = book.fold.day_views(10)
    assert (yesterday.day, yesterday.trades, yesterday.wins, yesterday.losses) == ("2025-11-07", 2, 1, 1)
    assert (yesterday.profit, yesterday.fees) == ("3", "0.2")
    assert (today.day, today.trades, today.profit, today.sharpe) == ("2025-11-08", 1, "-1", None)


def test_the_sharpe_of_a_day_is_mean_over_deviation_of_its_round_trips() -> None:
    book = Book()
    for profit in ("1", "3"):
        book.tell(MIDNIGHT, trip(profit))
    (today,) = book.fold.day_views(1)
    assert today.sharpe == pytest.approx(0.02 / 0.0141421356, rel=1e-6)


def test_the_deepest_drawdown_of_the_day_stays_and_flows_are_no_profit() -> None:
    book = Book()
    for drawdown, equity in ((0.01, 9_900), (0.04, 9_600), (0.0, 10_500)):
        book.tell(MIDNIGHT, portfolio(daily_drawdown=drawdown, equity=D(equity)))
    book.tell(MIDNIGHT, ledger.FundsChanged("USDT", D(500), D(10_500), "deposit"))
    book.tell(MIDNIGHT, ledger.FundsChanged("BTC", D(1), D(1), "deposit"))
    (today,) = book.fold.day_views(1)
    assert (today.drawdown, today.opening_equity, today.closing_equity) == (0.04, "10000", "10500")
    assert (today.net_flow, today.profit) == ("500", "0")


def test_portfolios_that_are_not_journalled_do_not_count() -> None:
    book = Book()
    book.tell(MIDNIGHT, portfolio(daily_drawdown=0.5), by_engine=False)
    assert book.fold.day_views(1) == []


def test_only_locks_that_hold_are_shown() -> None:
    book = Book()
    book.tell(MIDNIGHT, lock(1, "BTC/USDT", MIDNIGHT + 10 * SECOND))
    book.tell(MIDNIGHT, lock(2, "*", MIDNIGHT + 20 * SECOND))
    assert [view.id for view in book.fold.lock_views(MIDNIGHT + 9 * SECOND)] == ["lock-1", "lock-2"]
    (left,) = book.fold.lock_views(MIDNIGHT + 10 * SECOND)
    assert (left.id, left.symbol, left.remaining_s) == ("lock-2", "*", 10.0)
    book.tell(MIDNIGHT, system.LockLifted("lock-2", "", "ann", "seen"))
    assert [view.id for view in book.fold.lock_views(MIDNIGHT + 1)] == ["lock-1"]


# ---- REST ----------------------------------------------------------------------------------------------


class Site:
    """A served daemon with one lock on everything."""

    def __init__(self, daemon: SmallDaemon, url: str, data_dir: Path) -> None:
        self.daemon = daemon
        self.operator = Client(url, mint_token(data_dir))
        self.viewer = Client(url, mint_token(data_dir, "viewer", "viewer"))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    daemon = SmallDaemon(settings_in(tmp_path))
    auth = Auth.open(tmp_path)
    now = daemon.now()
    daemon.fact(system.LockPlaced("lock-1", "stop_guard", "*", "4 losing stops within 600 s", now, now + 100 * SECOND))
    daemon.fact(trip("7"))
    with served(daemon, auth) as url:
        yield Site(daemon, url, tmp_path)


def test_a_viewer_sees_the_locks_and_may_not_lift_them(site: Site) -> None:
    (shown,) = site.viewer.get("/api/locks")
    assert (shown["id"], shown["rule"], shown["symbol"]) == ("lock-1", "stop_guard", "*")
    with pytest.raises(AnswerError) as refused:
        site.viewer.delete("/api/locks/lock-1")
    assert refused.value.status == 403
    assert site.viewer.get("/api/status")["locks"] == [shown | {"remaining_s": pytest.approx(98.0, abs=5)}]


def test_an_operator_lifts_a_lock_once(site: Site) -> None:
    answer = site.operator.delete("/api/locks/lock-1?reason=I%20looked")
    assert (answer["state"], answer["lifted"]["id"]) == ("lifted", "lock-1")
    (command,) = site.daemon.commands
    assert command == system.LiftLock("lock-1", "operator", "I looked")
    assert site.viewer.get("/api/locks") == []
    with pytest.raises(AnswerError) as missing:
        site.operator.delete("/api/locks/lock-1")
    assert (missing.value.status, missing.value.code) == (404, "UNKNOWN_LOCK")


def test_the_days_and_the_limits_are_there_to_be_read(site: Site) -> None:
    (day,) = site.viewer.get("/api/stats/daily?days=1")
    assert (day["trades"], day["wins"], day["profit"]) == (1, 1, "7")
    limits = {limit["key"]: limit for limit in site.viewer.get("/api/limits")}
    assert limits["max_positions"] == {"key": "max_positions", "value": "3", "source": "tolerance"}


# ---- command line --------------------------------------------------------------------------------------


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(command_line, list(words))
    return result.exit_code, result.output


def test_limits_need_no_daemon(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[risk]\npreset = "autotrader"\n')
    code, text = run("limits", "--config", str(file))
    assert code == exit_codes.OK
    assert any(line.split()[:4] == ["daily_loss", "15", "%", "preset"] for line in text.splitlines())


@pytest.mark.parametrize("words", [("locks",), ("stats",), ("locks", "lift", "lock-1")])
def test_without_a_daemon_and_a_journal_the_other_commands_say_so(tmp_path: Path, words: tuple[str, ...]) -> None:
    code, text = run(*words, "--data-dir", str(tmp_path / "none"))
    assert code == exit_codes.NOT_REACHABLE
    assert "tradingd run" in text


# ---- the story -----------------------------------------------------------------------------------------


def test_a_lock_is_a_line_of_the_story_and_the_rest_after_an_exit_is_none() -> None:
    lines: list[StoryLine] = []
    story, engine = Story(lines.append, "USDT"), MessageMaker("engine", SessionId("s1"))
    until = MIDNIGHT + 120 * SECOND
    guard = system.LockPlaced("lock-2", "stop_guard", "BTC/USDT", "4 losing stops within 600 s", MIDNIGHT, until)
    for body in (lock(1, "BTC/USDT", until), guard, system.LockLifted("lock-2", "BTC/USDT", "ann", "seen")):
        story.tell(engine.make(body, MIDNIGHT))
    assert [(line.kind, line.symbol, line.text) for line in lines] == [
        ("LOCKED", "BTC/USDT", "no entries for 120 s (lock-2, stop_guard): 4 losing stops within 600 s"),
        ("UNLOCKED", "BTC/USDT", "lock-2 lifted by ann: seen"),
    ]
