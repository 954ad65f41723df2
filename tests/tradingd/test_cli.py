"""The command line: against a served daemon, against a journal without one, and without either."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bus.ids import ClientOrderId
from bus.messages import ledger, orders
from tests.tradingd.small_daemon import SmallDaemon, served, settings_in
from tradingd import cli_session, exit_codes
from tradingd import process as daemon_module
from tradingd.auth import Auth, LoginRefusedError, mint_token, reset_password
from tradingd.cli import app, replay_files
from tradingd.cli_orders import parse_trail
from tradingd.cli_session import CliError
from tradingd.cli_tables import clean, money
from tradingd.data_dir import JOURNAL, DataDir, RunInfo
from tradingd.doctor import PACKAGES, PackageOriginError, check_package_origin, check_package_owners
from tradingd.message_journal import MessageJournal
from tradingd.run_options import RunOptions

Run = Callable[..., Any]


class Told:
    """A finished command."""

    def __init__(self, result: Any) -> None:
        self.code = result.exit_code
        self.out = result.stdout
        self.error = result.stderr

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def tradingd(*arguments: object, feed: str | None = None) -> Told:
    told = Told(CliRunner().invoke(app, [str(argument) for argument in arguments], input=feed))
    assert "Traceback" not in told.error
    return told


@pytest.fixture
def empty(tmp_path: Path) -> Run:
    """Commands on a data directory that holds nothing."""
    return lambda *arguments, **more: tradingd(*arguments, "--data-dir", tmp_path / "state", **more)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[tuple[SmallDaemon, Run]]:
    """Commands on a data directory whose daemon is served."""
    path = tmp_path / "state"
    data_dir = DataDir.open(path)
    daemon = SmallDaemon(settings_in(path))
    with served(daemon, Auth.open(path)) as url:
        data_dir.announce(RunInfo(4242, url, 1))
        yield daemon, lambda *arguments, **more: tradingd(*arguments, "--data-dir", path, **more)
    data_dir.close()


@pytest.fixture
def left(tmp_path: Path) -> tuple[SmallDaemon, Run]:
    """Commands on the journal of a daemon that has ended with one filled and one waiting order."""
    path = tmp_path / "state"
    path.mkdir()
    daemon = SmallDaemon(settings_in(path))
    auth = Auth.open(path)
    with served(daemon, auth) as url:
        from tradingd.client import Client

        client = Client(url, mint_token(path))
        order = {"symbol": "BTCUSDT", "side": "buy", "type": "market", "quantity": "0.5"}
        client.post("/api/orders", order)
        client.post("/api/orders", {**order, "type": "trailing", "trail": {"kind": "percent", "value": "2"}})
    journal = MessageJournal.open(path / JOURNAL)
    journal.append(daemon.journal, sync=True)
    journal.close()
    return daemon, lambda *arguments, **more: tradingd(*arguments, "--data-dir", path, **more)


# ---- help and options ---------------------------------------------------------------------------------


def test_help_lists_every_command_and_exit_code() -> None:
    told = tradingd("--help")
    assert told.code == exit_codes.OK
    for command in ("run", "practice", "status", "agents", "positions", "orders", "trades", "performance", "quality",
                    "explain",
                    "start", "stop", "pause", "resume", "kill", "unlock", "order", "cancel", "close", "shutdown",
                    "token", "user", "doctor", "version"):
        assert f"\n  {command} " in told.out
    for code, text in exit_codes.MEANINGS.items():
        assert f"{code}  {text}" in told.out


def test_help_loads_nothing_heavy() -> None:
    script = (
        "import sys; from typer.testing import CliRunner; from tradingd.cli import app; "
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0; "
        "print(sorted({'pydantic', 'fastapi', 'numpy', 'ccxt', 'aiohttp', 'jwt', 'argon2'} & sys.modules.keys()))"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("arguments", [
    ["no-such"], ["status", "--no-such"], ["order", "buy"],
    ["run", "--port", "99999"], ["run", "--speed", "-1"], ["run", "--log", "xml"], ["run", "--replay", "missing.zst"],
    ["token", "--role", "root"], ["kill", "--action", "stop", "--reason", "x", "--yes"],
    ["user", "password", "../x"], ["order", "buy", "BTCUSDT", "1", "--trail", "wide"],
])
def test_wrong_options_are_a_usage_error(arguments: list[str]) -> None:
    told = tradingd(*arguments)
    assert told.code == exit_codes.USAGE
    assert told.error


def test_version_prints_it() -> None:
    assert tradingd("version").out.startswith("tradingd ")


@pytest.mark.parametrize(("text", "kind", "value"), [
    ("2%", "percent", "2"), ("0.5 %", "percent", "0.5"), ("2atr", "atr", "2"), ("150", "absolute", "150"),
])
def test_a_trail_is_percent_atr_or_quote_currency(text: str, kind: str, value: str) -> None:
    assert parse_trail(text) == {"kind": kind, "value": value}


@pytest.mark.parametrize("text", ["", "%", "two", "-1", "1e3", "2%%", "2 %atr"])
def test_any_other_trail_is_refused(text: str) -> None:
    with pytest.raises(CliError):
        parse_trail(text)


def test_replays_can_be_repeated_or_separated_by_commas(tmp_path: Path) -> None:
    names = [tmp_path / name for name in ("a", "b", "c")]
    for name in names:
        name.touch()
    assert replay_files([f"{names[0]},{names[1]}", str(names[2])]) == tuple(names)


def test_run_passes_its_options_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = tmp_path / "day.tsv"
    recording.touch()
    calls: list[tuple[Any, RunOptions]] = []

    def run_daemon(settings: Any, options: RunOptions) -> int:
        calls.append((settings, options))
        return exit_codes.ALREADY_RUNNING

    monkeypatch.setattr(daemon_module, "run_daemon", run_daemon)
    told = tradingd("run", "--data-dir", tmp_path / "d", "--port", 0, "--venue", "practice", "--symbols",
                    "btc/usdt, eth/usdt", "--replay", recording, "--speed", 0, "--seed", 3, "--for", 2, "--log", "json")
    assert told.code == exit_codes.ALREADY_RUNNING
    [(settings, options)] = calls
    assert (settings.symbols, settings.api.port, settings.seed) == (("BTC/USDT", "ETH/USDT"), 0, 3)
    assert (settings.log.format, settings.data_dir) == ("json", tmp_path / "d")
    assert options == RunOptions((recording,), 0, 2, symbols_given=True, patience_s=math.inf)


def test_a_wrong_setting_names_file_and_key(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[api]\nport = 99999\n")
    told = tradingd("status", "--config", config)
    assert told.code == exit_codes.CONFIGURATION
    assert str(config) in told.error
    assert "api.port" in told.error


# ---- nothing runs -------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [
    ["status"], ["orders"], ["positions"], ["trades"], ["performance"], ["quality"], ["explain", "td-1"], ["agents"],
    ["start"], ["shutdown"], ["cancel", "td-1"], ["close", "BTCUSDT"], ["order", "buy", "BTCUSDT", "1"],
    ["kill", "--action", "halt", "--reason", "x", "--yes"],
])
def test_without_daemon_and_journal_nothing_is_reachable(empty: Run, command: list[str]) -> None:
    told = empty(*command)
    assert told.code == exit_codes.NOT_REACHABLE
    assert "tradingd run" in told.error
    assert told.out == ""


def test_a_daemon_that_died_without_a_word_is_not_reachable(tmp_path: Path) -> None:
    data_dir = DataDir.open(tmp_path)
    Auth.open(tmp_path)
    data_dir.announce(RunInfo(1, "http://127.0.0.1:1", 1))
    assert tradingd("pause", "--data-dir", tmp_path).code == exit_codes.NOT_REACHABLE
    data_dir.close()


def test_the_journal_answers_when_no_daemon_runs(left: tuple[SmallDaemon, Run]) -> None:
    daemon, run = left
    status = run("status", "--json")
    assert status.code == exit_codes.OK
    assert "journal" in status.error
    assert (status.json["state"], status.json["open_positions"], status.json["fills"]) == ("STOPPED", 1, 1)
    working = run("orders", "--json").json
    assert [(order["type"], order["state"], order["trigger"]) for order in working] == [("trailing", "PENDING", "102")]
    everything = run("orders", "--all", "--json").json
    assert [order["id"] for order in everything] == [view.id for view in daemon.read_model.orders()]
    assert run("positions", "--json").json[0]["quantity"] == "0.5"
    assert "0, 0 covered" in run("positions").out
    assert run("trades", "--json").json[0]["price"] == "100"
    assert run("performance", "--json").json["fills"] == 1
    assert run("explain", everything[1]["id"], "--json").json[0]["kind"] == "OrderInitialized"
    assert run("explain", "td-nobody").code == exit_codes.NOT_FOUND


def test_the_journal_gives_what_the_daemon_gave(left: tuple[SmallDaemon, Run]) -> None:
    from dataclasses import asdict

    daemon, run = left
    assert run("orders", "--all", "--json").json == json.loads(
        json.dumps([asdict(view) for view in daemon.read_model.orders()])
    )


@pytest.mark.parametrize("command", ["status", "orders", "positions", "trades", "performance", "quality", "agents"])
def test_tables_are_plain_when_nobody_watches(left: tuple[SmallDaemon, Run], command: str) -> None:
    told = left[1](command)
    assert told.code == exit_codes.OK
    assert "\x1b" not in told.out
    assert told.out.strip() or command == "agents"


# ---- a daemon runs ------------------------------------------------------------------------------------


def test_status_has_the_fields_scripts_rely_on(small: tuple[SmallDaemon, Run]) -> None:
    status = small[1]("status", "--json").json
    assert {"state", "mode", "venue", "uptime_s", "equity", "realized_pnl", "unrealized_pnl", "open_positions",
            "working_orders", "unknown_orders", "fills", "agents", "feeds", "kill", "problems"} <= status.keys()
    assert status["state"] == "ACTIVE"
    assert status["problems"] == [{"text": "the moon is full", "since": "2025-10-09T08:53:20.000000Z"}]
    assert "the moon is full" in small[1]("status").out


def test_an_order_can_be_given_watched_explained_and_cancelled(small: tuple[SmallDaemon, Run]) -> None:
    _, run = small
    made = run("order", "buy", "BTC/USDT", "0.5", "--trail", "2%", "--tag", "mine", "--json").json
    assert (made["type"], made["trigger"], made["tag"]) == ("trailing", "102", "mine")
    told = run("order", "buy", "BTC/USDT", "0.5", "--trail", "2").out
    assert "trails by 2 USDT (2.00% of the price)" in told
    assert run("cancel", told.partition(":")[0]).code == exit_codes.OK
    assert made["id"] in run("orders").out
    assert "Armed: best price 100, trigger 102." in run("explain", made["id"]).out
    assert run("cancel", made["id"]).out == f"{made['id']}: CANCELLED (cancelled)\n"
    assert run("orders", "--json").json == []
    assert run("orders", "--all", "--json").json[0]["state"] == "CANCELLED"
    assert run("cancel", made["id"]).code == exit_codes.REFUSED


def test_a_refused_order_says_why_and_ends_with_its_code(small: tuple[SmallDaemon, Run]) -> None:
    told = small[1]("order", "buy", "BTC/USDT", "5")
    assert told.code == exit_codes.REFUSED
    assert told.error == "tradingd: 5 is above the limit of 1: order less [MAX_ORDER]\n"


@pytest.mark.parametrize(("arguments", "code"), [
    (["order", "buy", "GOLD/USDT", "1"], exit_codes.NOT_FOUND), (["cancel", "td-x"], exit_codes.NOT_FOUND),
    (["close", "BTCUSDT"], exit_codes.NOT_FOUND), (["explain", "td/../x"], exit_codes.NOT_FOUND),
    (["order", "buy", "BTCUSDT", "much"], exit_codes.USAGE), (["order", "hold", "BTCUSDT", "1"], exit_codes.USAGE),
    (["order", "buy", "BTCUSDT", "1", "--type", "limit"], exit_codes.USAGE),
])
def test_each_kind_of_no_has_its_exit_code(small: tuple[SmallDaemon, Run], arguments: list[str], code: int) -> None:
    told = small[1](*arguments)
    assert told.code == code
    assert told.error.startswith("tradingd: ")
    assert told.error.count("\n") == 1


def test_pause_and_resume_say_the_state_that_follows(small: tuple[SmallDaemon, Run]) -> None:
    _, run = small
    assert run("pause").out == "trading is REDUCING: operator says REDUCING (paused by operator)\n"
    assert run("resume").out == "trading is ACTIVE\n"
    assert "cancelled 0" not in run("stop").out
    assert run("start").out == "trading is ACTIVE\n"


def test_a_kill_without_a_terminal_needs_yes(small: tuple[SmallDaemon, Run]) -> None:
    daemon, run = small
    told = run("kill", "--action", "halt", "--reason", "test")
    assert (told.code, daemon.commands) == (exit_codes.USAGE, [])
    assert "--yes" in told.error
    told = run("kill", "--action", "halt", "--reason", "test", "--yes")
    assert told.code == exit_codes.OK
    assert told.out == "kill switch engaged: halt by operator (test); trading is HALTED\n"
    assert "kill switch" in run("status").out
    assert run("unlock", "--reason", "over").code == exit_codes.USAGE
    assert run("unlock", "--reason", "over", "--yes").out == "kill switch released; trading is ACTIVE\n"


def test_a_kill_waits_for_its_work_and_says_what_is_left(small: tuple[SmallDaemon, Run]) -> None:
    daemon, run = small
    run("order", "buy", "BTCUSDT", "0.5", "--price", "90")
    run("order", "buy", "BTCUSDT", "0.5")
    daemon.fact(orders.OrderPendingCancel(ClientOrderId("td-m1"), "BTC/USDT", "by hand"))
    told = run("kill", "--action", "flatten", "--reason", "test", "--yes", "--wait", "0.1")
    assert told.code == exit_codes.OK
    assert told.out.splitlines()[1] == "not yet cancelled: 1, not yet sold: 1; still trying"
    answer = run("kill", "--action", "flatten", "--reason", "test", "--yes", "--wait", "0", "--json").json
    assert (answer["changed"], answer["kill"]["not_cancelled"], answer["kill"]["not_sold"]) == (False, 1, 1)
    daemon.fact(orders.OrderCancelled(ClientOrderId("td-m1"), "BTC/USDT", "us", "kill"))
    daemon.fact(ledger.PositionClosed(
        "BTC/USDT", Decimal(1), Decimal(1), Decimal(1), Decimal(0), Decimal(0), 1, 2, ClientOrderId("td-m2")))
    assert len(run("kill", "--action", "flatten", "--reason", "test", "--yes").out.splitlines()) == 1


@pytest.mark.parametrize("away", ["no daemon", "a daemon that does not answer"])
def test_a_kill_that_reaches_nobody_leaves_the_kill_file(small: tuple[SmallDaemon, Run], away: str) -> None:
    daemon, run = small
    folder = daemon.settings.data_dir
    if away == "no daemon":
        (folder / "run.json").unlink()
    else:
        daemon.is_mute = True
    told = run("kill", "--action", "halt", "--reason", "news at three", "--yes")
    assert told.code == exit_codes.NOT_REACHABLE
    assert str(folder / "KILL") in told.error
    assert (folder / "KILL").read_text() == "halt news at three\n"
    assert any("kill file" in line and "halt: news at three" in line for line in run("doctor").out.splitlines())


@pytest.mark.parametrize(("answer", "code", "sent"), [("y", exit_codes.OK, 1), ("n", exit_codes.FAILURE, 0)])
def test_on_a_terminal_a_kill_asks(
    small: tuple[SmallDaemon, Run], monkeypatch: pytest.MonkeyPatch, answer: str, code: int, sent: int
) -> None:
    daemon, run = small
    monkeypatch.setattr("typer.confirm", lambda question: answer == "y")

    class Terminal:
        @staticmethod
        def isatty() -> bool:
            return True

    class System:
        stdin = Terminal()
        stderr = sys.stderr

    monkeypatch.setattr(cli_session, "sys", System)
    told = run("kill", "--action", "halt", "--reason", "test")
    assert (told.code, len(daemon.commands)) == (code, sent)


def test_close_and_shutdown_reach_the_daemon(small: tuple[SmallDaemon, Run]) -> None:
    daemon, run = small
    run("order", "buy", "BTCUSDT", "0.5")
    assert run("close", "btcusdt").out.startswith("closing BTC/USDT with td-m")
    assert run("shutdown").code == exit_codes.OK
    assert daemon.shutdown_reason == "asked by operator"


def test_a_daemon_that_is_not_ready_is_not_reachable_for_commands(small: tuple[SmallDaemon, Run]) -> None:
    daemon, run = small
    daemon.is_mute = True
    assert run("pause").code == exit_codes.NOT_REACHABLE


def test_a_void_token_is_not_authorised(small: tuple[SmallDaemon, Run], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tradingd.auth.mint_token", lambda *_, **__: "void")
    assert small[1]("status").code == exit_codes.NOT_AUTHORISED


# ---- people and machines ------------------------------------------------------------------------------


def test_token_prints_one_that_the_daemon_accepts(tmp_path: Path) -> None:
    auth = Auth.open(tmp_path)
    told = tradingd("token", "--role", "viewer", "--data-dir", tmp_path)
    assert auth.principal(told.out.strip()).role == "viewer"


def test_a_token_needs_credentials(tmp_path: Path) -> None:
    told = tradingd("token", "--data-dir", tmp_path)
    assert told.code == exit_codes.CONFIGURATION
    assert "Start the daemon once" in told.error


def test_user_password_prints_a_new_one_once(tmp_path: Path) -> None:
    auth = Auth.open(tmp_path)
    old = auth.take_new_password()
    told = tradingd("user", "password", "--data-dir", tmp_path)
    assert auth.principal(auth.login("operator", told.out.strip(), "a")).is_operator
    with pytest.raises(LoginRefusedError):
        auth.login("operator", old, "a")


def test_mode_without_an_argument_says_where_orders_go_and_how_to_change_it(
    small: tuple[SmallDaemon, Run], tmp_path: Path,
) -> None:
    told = small[1]("mode")
    assert told.out.startswith("paper on practice: no order leaves this machine; to go live write mode = ")
    assert small[1]("mode", "--json").json == {
        "mode": "paper", "venue": "practice", "configured": "paper", "is_running": True,
    }
    stopped = tradingd("mode", "--data-dir", tmp_path / "other")
    assert stopped.out.startswith("paper on practice")
    assert "how the next start would be" in stopped.error


def test_doctor_finds_this_tree_fit(tmp_path: Path) -> None:
    data_dir = tmp_path / "d"
    config = tmp_path / "config.toml"
    config.write_text("[api]\nport = 0\n")
    told = tradingd("doctor", "--config", config, "--data-dir", data_dir, "--json")
    levels = {row["name"]: row["level"] for row in told.json}
    assert levels["packages"] == levels["config"] == levels["port"] == levels["live"] == "ok"
    assert told.code == exit_codes.OK


@pytest.mark.parametrize(("line", "check", "word"), [
    ("mode = 'lve'", "config", "mode"),
    ("[bus]\nurl = 'redis://127.0.0.1:1/0'", "redis", "does not answer"),
    ("venue = 'x'\n[venues.x]\nrest_url = 'http://127.0.0.1:1'", "venue", "does not answer"),
])
def test_doctor_fails_with_the_reason(tmp_path: Path, line: str, check: str, word: str) -> None:
    config = tmp_path / "config.toml"
    config.write_text(line + "\n")
    told = tradingd("doctor", "--config", config, "--json", "--data-dir", tmp_path / "d")
    assert told.code == exit_codes.FAILURE
    [row] = [row for row in told.json if row["name"] == check]
    assert row["level"] == "fail"
    assert word in row["text"]


@pytest.mark.parametrize(
    ("capital", "level", "word"),
    [
        ("1000", "ok", "1,000 USDT"), ("100000", "ok", "100,000 USDT"),
        ("999", "warn", "meant for 1,000 to 100,000"), ("250000", "warn", "meant for 1,000 to 100,000"),
        ("150", "warn", "less than the smallest order of 10 USDT: nothing would be bought"),
    ],
)
def test_doctor_says_when_the_capital_is_not_what_the_defaults_are_meant_for(
    tmp_path: Path, capital: str, level: str, word: str,
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'[account]\ncapital = "{capital}"\n', encoding="utf-8")
    rows = tradingd("doctor", "--config", config, "--json", "--data-dir", tmp_path / "d").json
    row = next(row for row in rows if row["name"] == "capital")
    assert row["level"] == level
    assert word in row["text"]


def test_doctor_names_the_daemon_that_holds_the_data_directory(
    small: tuple[SmallDaemon, Run], tmp_path: Path,
) -> None:
    row = next(row for row in small[1]("doctor", "--json").json if row["name"] == "daemon")
    assert row["level"] == "ok"
    assert row["text"].startswith("pid 4242, since 1970-01-01 00:00:00 UTC, http://127.0.0.1:")
    free = tradingd("doctor", "--json", "--data-dir", tmp_path / "other").json
    assert next(row["text"] for row in free if row["name"] == "daemon") == f"none runs on {tmp_path / 'other'}"


def test_doctor_tells_a_daemon_that_was_killed_from_one_that_runs(tmp_path: Path) -> None:
    data_dir = DataDir.open(tmp_path)
    data_dir.announce(RunInfo(4242, "http://127.0.0.1:1", 1))
    rows = tradingd("doctor", "--json", "--data-dir", tmp_path).json
    assert next(row["text"] for row in rows if row["name"] == "daemon").endswith("but does not answer")
    os.close(data_dir._lock)  # as the kernel does for a process that is killed
    rows = tradingd("doctor", "--json", "--data-dir", tmp_path).json
    assert "(pid 4242) was killed" in next(row["text"] for row in rows if row["name"] == "daemon")


def test_doctor_says_which_coins_the_practice_market_makes_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADINGD__SYMBOLS", "BTTC/USDT,BTC/USDT")
    row = next(row for row in tradingd("doctor", "--json", "--data-dir", tmp_path).json if row["name"] == "symbols")
    assert row["level"] == "warn"
    assert "knows no BTTC/USDT and makes up a price" in row["text"]
    assert "It knows BTC, ETH" in row["text"]


def test_doctor_warns_of_a_data_directory_others_can_read(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    rows = tradingd("doctor", "--json", "--data-dir", tmp_path).json
    assert next(row for row in rows if row["name"] == "data_dir")["level"] == "warn"


def test_our_package_names_come_from_our_tree_alone() -> None:
    check_package_origin()
    check_package_owners()


def test_a_stranger_package_of_our_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.split(".")[0] == "agents"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(PackageOriginError, match=str(tmp_path)):
        check_package_origin()


def test_the_list_of_our_packages_is_the_wheels() -> None:
    import tomllib

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert sorted(PACKAGES) == sorted(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])


@pytest.mark.parametrize(("text", "shown"), [("1234.5", "1,234.50"), ("-0.001", "-0.00"), (None, "-")])
def test_money_is_rounded_for_reading_only(text: str | None, shown: str) -> None:
    assert money(text) == shown


def test_text_from_outside_cannot_steer_the_terminal() -> None:
    assert clean("\x1b[31mred\x07\u202e") == "[31mred"


def test_a_reset_password_is_written_for_the_next_start(tmp_path: Path) -> None:
    password = reset_password(tmp_path)
    auth = Auth.open(tmp_path)
    assert auth.take_new_password() == ""
    assert auth.principal(auth.login("operator", password, "a")).is_operator
