"""A restart whose control API cannot be opened: over a position it protects all the same, over nothing it ends."""

import socket
from pathlib import Path

import pytest

from bus.messages.system import AlertRaised
from tests.e2e.process import Process, journal_of, tradingd, until
from tests.strangers.sessions import cancel_all, running_there, strange_binance
from tests.strangers.test_start_in_outage import TOLD_WITHIN_S, phone_at
from tests.strangers.truth import agree, protected
from tradingd.exit_codes import ALREADY_RUNNING, CONFIGURATION, NOT_REACHABLE

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.mark.parametrize("reason", ["another program has the port", "the credentials can be read by others"])
def test_over_a_position_the_stop_is_placed_people_are_told_and_the_api_comes_when_it_can(
    tmp_path: Path, reason: str
) -> None:
    data = tmp_path / "data"
    with strange_binance() as stranger, phone_at(stranger, "telegram") as phone:
        symbol = stranger.env["TRADINGD__SYMBOLS"].split(",")[0]
        with running_there(stranger, data) as daemon:
            daemon.buy(symbol, "0.5")
            until(lambda: protected(daemon, stranger.exchange, symbol), "a protected position", 5)
            daemon.kill()
        stranger.served.do(lambda: cancel_all(stranger))
        assert not protected(daemon, stranger.exchange, symbol)
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            if "port" not in reason:
                other.close()
                (data / "credentials.json").chmod(0o644)
            again = Process(data, "--no-safe", "--port", str(port), env=stranger.env)
            try:
                (told,) = until(lambda: phone.heard("control API: "), "the word on the phone", TOLD_WITHIN_S)
                assert "CRITICAL: " in told
                assert str(data / "KILL") in told
                assert ("taken by another program" if "port" in reason else "chmod 600") in told
                until(lambda: protected(again, stranger.exchange, symbol), "a new stop at the exchange", 10)
                asked = tradingd("status", "--data-dir", str(data))
                assert asked.returncode == 0  # from the journal
                assert "tries again to open its control API" in asked.stderr
                other.close()
                (data / "credentials.json").chmod(0o600)
                again.ready()
                until(lambda: again.status()["state"] == "ACTIVE", "entries again", 30)
                assert not [each for each in again.status()["problems"] if "control API" in each["text"]]
                assert protected(again, stranger.exchange, symbol)
                agree(again, stranger.exchange)
                assert again.stop() == 0
            finally:
                again.kill()
        alerts = [each.body for each in journal_of(data) if isinstance(each.body, AlertRaised)]
        assert [each.level for each in alerts if each.title == "control API"] == ["critical", "critical"]
        assert until(lambda: phone.heard("it listens"), "the word that it is there", 5)


def test_without_its_api_a_kill_reaches_the_daemon_by_file(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with strange_binance() as stranger, socket.create_server(("127.0.0.1", 0)) as other:
        symbol = stranger.env["TRADINGD__SYMBOLS"].split(",")[0]
        with running_there(stranger, data) as daemon:
            daemon.buy(symbol, "0.5")
            daemon.kill()
        again = Process(data, "--no-safe", "--port", str(other.getsockname()[1]), env=stranger.env)
        try:
            until(lambda: "goes on without it" in again.out, "the word in the story", 60)
            done = tradingd("kill", "--action", "flatten", "--reason", "news", "--yes", "--data-dir", str(data))
            assert (done.returncode, "Left the kill file" in done.stderr) == (NOT_REACHABLE, True)
            market = next(each for each in stranger.exchange.markets if f"{each.base}/{each.quote}" == symbol)
            until(lambda: stranger.exchange.account.total(market.base) < market.step, "all of it sold", 20)
        finally:
            again.kill()


def test_over_nothing_the_start_ends_with_its_code_and_one_alert(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with strange_binance() as stranger, phone_at(stranger, "telegram") as phone:
        with running_there(stranger, data) as daemon:
            assert daemon.stop() == 0
        with socket.create_server(("127.0.0.1", 0)) as other:
            for _ in range(2):  # a service manager tries more than once
                again = Process(data, "--no-safe", "--port", str(other.getsockname()[1]), env=stranger.env)
                assert again.wait(60) == ALREADY_RUNNING
        (told,) = phone.heard("the start failed")
        assert "CRITICAL: " in told
        assert "taken by another program" in told
        (data / "credentials.json").write_text("")
        assert Process(data, "--no-safe", env=stranger.env).wait(60) == CONFIGURATION
        assert len(phone.heard("the start failed")) == 2
