"""Which facts become alerts, how often, and the daily sign of life."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bus.ids import ClientOrderId, SessionId
from bus.messages import ledger, orders, system
from bus.messages.header import MessageMaker
from tests.tradingd.small_daemon import SmallDaemon, settings_in
from tradingd.alerts.alert import Alert
from tradingd.alerts.alert_rules import AlertRules
from tradingd.alerts.digest import DigestClock, make_digest
from tradingd.alerts.problem_watch import ProblemWatch
from tradingd.alerts.repeats import Repeats
from tradingd.control import Problem

SECOND, DAY = 1_000_000_000, 86_400_000_000_000
D = Decimal
MAKER = MessageMaker("engine", SessionId("s1"))
VOTES = (("operator", "ACTIVE", "x"),)


def alert_of(rules: AlertRules, body: object) -> Alert | None:
    return rules.of(MAKER.make(body, 5))


@pytest.mark.parametrize(("body", "level", "says"), [
    (system.KillSwitchEngaged("flatten", "panic", "ann"), "critical", "engaged by ann (flatten): panic"),
    (system.KillSwitchReleased("ann", "calm"), "critical", "by ann: calm"),
    (system.AlertRaised("critical", "venue binance", "keys refused"), "critical", "keys refused"),
    (system.LimitBreached("daily_loss", "3 %", "2 %", "lost 3 %"), "warning", "lost 3 %"),
    (system.AgentFailed("scanner", "boom"), "warning", "boom"),
    (orders.OrderUnknown(ClientOrderId("td-1"), "BTC/USDT", "timeout"), "warning", "td-1"),
    (orders.OrderRejected(ClientOrderId("td-1"), "BTC/USDT", "no money"), "warning", "no money"),
    (ledger.PositionClosed("BTC/USDT", D(1), D(100), D(90), D(-10), D(1), 1, 2, ClientOrderId("a")), "info", "loss"),
    (ledger.FundsChanged("USDT", D(5), D(10), "deposit"), "info", "deposit"),
    (system.ReconciliationCompleted(("USDT: ours 1, the venue's 2",)), "warning", "ours 1"),
    (system.LockPlaced("l1", "stop_guard", "*", "four stops", 0, 60 * SECOND), "warning", "four stops"),
])
def test_what_a_person_should_know_becomes_an_alert(body: Any, level: str, says: str) -> None:
    alert = alert_of(AlertRules("USDT"), body)
    assert alert is not None
    assert alert.level == level
    assert says in alert.line


@pytest.mark.parametrize("body", [
    system.Heartbeat("ceo"), system.ReconciliationCompleted(()),
    system.LockPlaced("l1", "cooldown", "BTC/USDT", "rest", 0, SECOND),
    system.ExposureCut(1, "daily_drawdown", D(0), D(1), "the engine raises an alert of its own"),
])
def test_what_is_ordinary_does_not(body: Any) -> None:
    assert alert_of(AlertRules("USDT"), body) is None


def test_the_trading_state_is_told_when_it_changes() -> None:
    rules = AlertRules("USDT")
    states = ("REDUCING", "REDUCING", "ACTIVE", "ACTIVE", "HALTED")
    told = [alert_of(rules, system.TradingStateChanged(each, VOTES, "why")) for each in states]  # type: ignore[arg-type]
    assert [alert.title if alert else None for alert in told] == [
        None, None, "trading is ACTIVE", None, "trading is HALTED",
    ]


def test_the_same_again_is_counted_and_told_with_the_next() -> None:
    repeats = Repeats(300)
    first = repeats.admit(Alert("warning", "t", "x", 0, "k"))
    assert first is not None
    assert [repeats.admit(Alert("warning", "t", "x", second * SECOND, "k")) for second in (1, 299)] == [None, None]
    assert repeats.admit(Alert("critical", "t", "x", 2 * SECOND, "k")) is not None
    later = repeats.admit(Alert("warning", "t", "x", 301 * SECOND, "k"))
    assert later is not None
    assert "2 times more" in later.text
    assert repeats.suppressed == 2


def test_an_alert_without_a_key_is_always_told() -> None:
    repeats = Repeats(300)
    assert all(repeats.admit(Alert("critical", "KILL SWITCH", "x", 0)) for _ in range(5))


def test_repeats_are_forgotten_beyond_a_thousand() -> None:
    repeats = Repeats(300)
    for number in range(1500):
        repeats.admit(Alert("info", "t", "x", 0, f"k{number}"))
    assert len(repeats._told) == 1000


def test_a_problem_is_told_after_some_seconds_and_again_when_it_is_over() -> None:
    watch = ProblemWatch()
    problem = Problem("market data of x is cut off: reset", 0)
    assert watch.look([problem], 4 * SECOND) == []
    (told,) = watch.look([problem], 5 * SECOND)
    assert (told.level, told.text) == ("warning", problem.text)
    assert watch.look([Problem("market data of x is cut off: refused", 0)], 6 * SECOND) == []
    (over,) = watch.look([], 65 * SECOND)
    assert (over.level, over.text) == ("info", "market data of x is cut off (it lasted 65 s)")


def test_a_problem_whose_number_changes_is_told_once() -> None:
    watch = ProblemWatch()
    told = []
    for second in range(5, 65):
        told += watch.look([Problem(f"the event loop was {1 + second / 10:.1f} s late", 0)], second * SECOND)
    told += watch.look([], 65 * SECOND)
    assert [alert.text for alert in told] == [
        "the event loop was 1.5 s late", "the event loop was 1.5 s late (it lasted 65 s)",
    ]
    both = [Problem("entries on 1INCH/USDT are halted", 0), Problem("entries on 2INCH/USDT are halted", 0)]
    assert len(watch.look(both, 70 * SECOND)) == 2


def test_a_digest_is_due_once_a_day_and_not_at_the_start() -> None:
    eight = 8 * 3600
    clock = DigestClock(eight, 9 * 3600 * SECOND)
    hours = [hour for hour in range(9, 9 + 72) if clock.is_due(hour * 3600 * SECOND)]
    assert hours == [32, 56, 80]
    assert not clock.is_due(80 * 3600 * SECOND + DAY - SECOND)
    assert clock.is_due(80 * 3600 * SECOND + 5 * DAY)
    assert not clock.is_due(80 * 3600 * SECOND + 5 * DAY)


def test_the_digest_says_how_it_stands(tmp_path: Path) -> None:
    daemon = SmallDaemon(settings_in(tmp_path))
    daemon.fact(ledger.PositionOpened("BTC/USDT", D(2), D(100), ClientOrderId("td-1")))
    text = make_digest(daemon, ("secret x is old",)).text
    for part in ("trading is ACTIVE", "equity 10,000.00 USDT", "holding 2 BTC/USDT", "wrong now: the moon is full",
                 "secret x is old"):
        assert part in text
