"""`tradingd agents` and `tradingd decisions` as people read them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.tradingd.small_daemon import SmallDaemon, served, settings_in
from tradingd.auth import Auth
from tradingd.cli import app
from tradingd.cli_tables import span
from tradingd.data_dir import DataDir, RunInfo
from tradingd.plugins.host import HostState
from tradingd.plugins.panel import PluginReport
from tradingd.profile import Timing

Run = Callable[..., Any]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[tuple[SmallDaemon, Run]]:
    path = tmp_path / "state"
    data_dir = DataDir.open(path)
    daemon = SmallDaemon(settings_in(path))
    with served(daemon, Auth.open(path)) as url:
        data_dir.announce(RunInfo(4242, url, 1))

        def run(*arguments: str, columns: str = "80") -> Any:
            told = CliRunner().invoke(app, [*arguments, "--data-dir", str(path)], env={"COLUMNS": columns})
            assert "Traceback" not in told.stderr
            return told

        yield daemon, run
    data_dir.close()


def report(name: str, file: str, state: HostState, problem: str = "") -> PluginReport:
    version = "1" if state == "ready" else ""
    return PluginReport(name, f"/data/alphas/{file}", state, version, problem, 0, 0, 0, 0, None, Timing())


def test_the_alpha_that_runs_is_not_shown_as_broken_because_another_file_wants_its_name(
    small: tuple[SmallDaemon, Run],
) -> None:
    daemon, run = small
    daemon.plugins = [
        report("breakout", "breakout.py", "ready"),
        report("other.py", "other.py", "refused", "the name breakout is taken by breakout.py, which runs"),
    ]
    lines = run("agents").stdout.splitlines()
    running = next(line for line in lines if line.startswith("breakout "))
    assert "waiting" in running
    refused = next(at for at, line in enumerate(lines) if line.startswith("other.py "))
    assert "refused" in lines[refused]
    assert any("taken by breakout.py" in line for line in lines[refused:refused + 3])


@pytest.mark.parametrize("command", ["agents", "status"])
def test_agents_and_status_fit_eighty_columns(small: tuple[SmallDaemon, Run], command: str) -> None:
    told = small[1](command)
    assert max(map(len, told.stdout.splitlines())) <= 80
    assert "all well" in told.stdout


@pytest.mark.parametrize(("seconds", "text"), [
    (0.2, "0 s"), (42.4, "42 s"), (725, "12 min 5 s"), (12_000, "3 h 20 min"), (370_800, "4 d 7 h"),
    (86_400, "1 d 0 h"),
])
def test_how_long_it_is_up_is_told_in_parts_that_people_count_in(seconds: float, text: str) -> None:
    assert span(seconds) == text
