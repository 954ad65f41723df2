"""Self-tuning as people get it: REST and command line, with and without a daemon."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from bus.messages.council import ParametersChanged
from tests.tradingd.small_daemon import SmallDaemon, served, settings_in
from tradingd import exit_codes
from tradingd.auth import Auth, mint_token
from tradingd.cli import app as command_line
from tradingd.client import AnswerError, Client
from tradingd.data_dir import DataDir, RunInfo
from tradingd.parameters import configured_parameters


class Site:
    """A served daemon that tuned itself once."""

    def __init__(self, daemon: SmallDaemon, url: str, data_dir: Path) -> None:
        self.daemon = daemon
        self.data_dir = data_dir
        self.operator = Client(url, mint_token(data_dir))
        self.viewer = Client(url, mint_token(data_dir, "viewer", "viewer"))

    def say(self, *words: str) -> Result:
        return CliRunner().invoke(command_line, [*words, "--data-dir", str(self.data_dir)])


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    data_dir = DataDir.open(tmp_path / "state")
    daemon = SmallDaemon(settings_in(data_dir.path))
    configured = configured_parameters(daemon.settings)
    tuned = configured.with_value("size", configured.size / 2)
    daemon.fact(ParametersChanged(1, 0, tuned.told(), True, "tuning", "size 0.05 -> 0.025: it lost"))
    with served(daemon, Auth.open(data_dir.path)) as url:
        data_dir.announce(RunInfo(4242, url, 1))
        yield Site(daemon, url, data_dir.path)
    data_dir.close()


def test_the_view_tells_what_holds_and_why(site: Site) -> None:
    view = site.viewer.get("/api/tuning")
    assert (view["is_on"], view["version"]) == (True, 1)
    size = next(each for each in view["parameters"] if each["name"] == "size")
    assert (size["value"], size["configured"], size["lowest"], size["highest"]) == ("0.025", "0.05", "0.01", "0.1")
    assert view["versions"][0]["reason"] == "size 0.05 -> 0.025: it lost"


def test_the_limits_name_the_version_that_set_a_number(site: Site) -> None:
    told = {each["key"]: each for each in site.viewer.get("/api/limits")}
    assert told["strategy.position_size"] == {
        "key": "strategy.position_size", "value": "0.025", "source": "tuning (version 1)",
    }


def test_a_person_puts_the_configured_values_back(site: Site) -> None:
    view = site.operator.post("/api/tuning/revert", {"version": 0})
    assert (view["version"], view["versions"][0]["parent"]) == (2, 0)
    assert all(each["value"] == each["configured"] for each in view["parameters"])


def test_off_and_on(site: Site) -> None:
    assert site.operator.post("/api/tuning/switch", {"on": False})["is_on"] is False
    with pytest.raises(AnswerError, match="tuning is off already"):
        site.operator.post("/api/tuning/switch", {"on": False})
    assert site.operator.post("/api/tuning/switch", {"on": True})["is_on"] is True


@pytest.mark.parametrize(("path", "body"), [("run", {}), ("revert", {"version": 0}), ("switch", {"on": False})])
def test_a_viewer_changes_nothing(site: Site, path: str, body: dict[str, object]) -> None:
    with pytest.raises(AnswerError, match="may only look"):
        site.viewer.post(f"/api/tuning/{path}", body)


def test_twice_a_day_is_refused(site: Site) -> None:
    with pytest.raises(AnswerError, match="at most once a day"):
        site.operator.post("/api/tuning/run", {})


def test_the_command_shows_it_and_takes_it_back(site: Site) -> None:
    shown = site.say("tuning")
    assert shown.exit_code == 0, shown.output
    assert "tuning: on, at 00:10 UTC; what holds: version 1" in shown.output
    assert "size 0.05 -> 0.025: it lost" in " ".join(shown.output.split())
    reverted = site.say("tuning", "revert", "--json")
    assert json.loads(reverted.stdout)["version"] == 2
    assert "what holds: version 3" in site.say("tuning", "off").output
    wrong = site.say("tuning", "revert", "99")
    assert wrong.exit_code != 0
    assert "there is no version 99" in wrong.output


def test_limits_are_told_without_a_daemon_and_without_a_journal(tmp_path: Path) -> None:
    told = CliRunner().invoke(command_line, ["limits", "--json", "--data-dir", str(tmp_path)])
    assert told.exit_code == exit_codes.OK, told.output
    found = {each["key"]: (each["value"], each["source"]) for each in json.loads(told.stdout)}
    assert found["council.threshold"] == ("0.6", "default")
    assert found["max_positions"] == ("3", "tolerance")
