"""Backtests asked for over the API: real `tradelab` processes, bounded, watched and ended."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.e2e.process import is_alive, running, until
from tests.tradingd.small_daemon import SmallDaemon, served, settings_in
from tradingd.auth import Auth, mint_token
from tradingd.client import AnswerError, Client
from tradingd.research_jobs import JobView, ResearchJobs, TooManyJobsError, UnknownJobError
from tradingd.settings import Settings
from tradingd.settings_research import ResearchSettings

WISH = {"strategy": "sma_cross", "symbol": "BTC/USDT", "timeframe": "1h", "param": {"fast": "3", "slow": "8"}}
OPTIONS = {"strategy": "council", "symbol": "BTC/USDT", "timeframe": "1h"}
HOUR_MS = 3_600_000


def history(data_dir: Path, candles: int) -> None:
    """A random walk of hours in the history, brought there as a person would."""
    closes = np.round(100 * np.exp(np.cumsum(np.random.default_rng(5).normal(0, 0.01, candles))), 2)
    rows = [
        f"BTC/USDT,{1_700_000_000_000 // HOUR_MS * HOUR_MS + index * HOUR_MS},{close},{close + 1},{close - 1},{close},5"
        for index, close in enumerate(closes.tolist())
    ]
    file = data_dir.parent / "walk.csv"
    file.write_text("symbol,date,open,high,low,close,volume\n" + "\n".join(rows) + "\n")
    told = subprocess.run(
        [sys.executable, "-m", "research", "data", "import", file, "--timeframe", "1h", "--data-dir", data_dir],
        capture_output=True, text=True, timeout=100, check=False,
    )
    assert told.returncode == 0, told.stderr


def settings(data_dir: Path, **research: int) -> Settings:
    return settings_in(data_dir).model_copy(update={"research": ResearchSettings(**research)})


def state_of(client: Client, job_id: str) -> dict[str, Any] | None:
    view: dict[str, Any] = client.get(f"/api/backtest/{job_id}/status")
    return view if view["state"] not in ("pending", "running") else None


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    data_dir = tmp_path / "state"
    data_dir.mkdir()
    with served(SmallDaemon(settings_in(data_dir)), Auth.open(data_dir)) as url:
        yield url, data_dir


def refused(call: Any) -> AnswerError:
    with pytest.raises(AnswerError) as caught:
        call()
    return caught.value


def test_a_backtest_runs_apart_and_its_results_outlive_the_daemon(stand: tuple[str, Path]) -> None:
    url, data_dir = stand
    history(data_dir, 400)
    operator = Client(url, mint_token(data_dir))
    job = operator.post("/api/backtest/run", WISH)
    assert job["state"] == "running"
    assert refused(lambda: operator.get(f"/api/backtest/{job['id']}/results")).code == "NOT_COMPLETED"
    view = until(lambda: state_of(operator, job["id"]), "the end of the backtest", 60)
    assert (view["state"], view["error"]) == ("completed", "")
    assert view["progress"]["done"] == view["progress"]["total"] == 400
    document = operator.get(f"/api/backtest/{job['id']}/results")
    assert document["about"]["param"] == {"fast": "3", "slow": "8"}
    assert document["stats"]["trades"] == len(document["trades"]) > 0
    [row] = operator.get("/api/research/sessions")
    assert (row["name"], row["trades"]) == (job["id"], document["stats"]["trades"])
    assert operator.get(f"/api/research/sessions/{job['id']}") == document
    assert operator.get(f"/api/research/compare?names={job['id']}")["trades"] == {job["id"]: row["trades"]}
    [series] = operator.get("/api/data/coverage")
    assert (series["symbol"], series["candles"]) == ("BTC/USDT", 400)

    async def asked_later() -> tuple[JobView, bytes]:
        later = ResearchJobs(settings_in(data_dir), lambda: "s2", lambda _: None)
        return await later.view(job["id"]), await later.results(job["id"])

    view_later, text = asyncio.run(asked_later())
    assert view_later.state == "completed"
    assert json.loads(text) == document


def test_what_cannot_run_says_why(stand: tuple[str, Path]) -> None:
    url, data_dir = stand
    operator, viewer = Client(url, mint_token(data_dir)), Client(url, mint_token(data_dir, "eve", "viewer"))
    job = operator.post("/api/backtest/run", WISH)
    view = until(lambda: state_of(operator, job["id"]), "the end of the backtest", 60)
    assert view["state"] == "failed"
    assert "0 candles of BTC/USDT 1h" in view["error"]
    assert view["error"] in refused(lambda: operator.get(f"/api/backtest/{job['id']}/results")).message
    assert operator.get("/api/data/coverage") == []
    assert refused(lambda: viewer.post("/api/backtest/run", WISH)).status == 403
    assert refused(lambda: viewer.get("/api/backtest/bt-x-1/status")).code == "UNKNOWN_BACKTEST"
    assert refused(lambda: viewer.get("/api/research/sessions/none")).code == "UNKNOWN_SESSION"


@pytest.mark.parametrize(("change", "field"), [
    ({"strategy": "/etc/evil.py:Rule"}, "strategy"), ({"strategy": "--data=x"}, "strategy"),
    ({"symbol": "../x"}, "symbol"), ({"timeframe": "2h"}, "timeframe"), ({"data": "/etc/passwd"}, "data"),
    ({"fee": 0.1}, "fee"), ({"fee": "2"}, "fee"), ({"param": {"a;b": "1"}}, "param"),
    ({"param": {"fast": "$(id)"}}, "param"), ({"start": "yesterday"}, "start"),
])
def test_only_names_and_numbers_reach_the_laboratory(
    stand: tuple[str, Path], change: dict[str, Any], field: str
) -> None:
    url, data_dir = stand
    operator = Client(url, mint_token(data_dir))
    error = refused(lambda: operator.post("/api/backtest/run", {**WISH, **change}))
    assert error.status == 422
    assert error.body["field"].startswith(field)
    assert operator.get("/api/backtest") == []


async def test_as_many_wait_as_may_and_a_cancelled_one_never_begins(tmp_path: Path) -> None:
    told: list[tuple[str, str]] = []
    jobs = ResearchJobs(settings(tmp_path, waiting=1), lambda: "s1", lambda view: told.append((view.id, view.state)))
    first, second = (jobs.start(OPTIONS, {}, "ann") for _ in range(2))
    assert (first.state, second.state) == ("running", "pending")
    with pytest.raises(TooManyJobsError, match=r"research\.waiting"):
        jobs.start(OPTIONS, {}, "ann")
    assert (await jobs.cancel(second.id)).state == "cancelled"
    assert jobs.start(OPTIONS, {}, "ann").id == "bt-s1-3"
    await jobs.stop()
    assert (second.id, "running") not in told
    assert told[-1] == (first.id, "cancelled")
    with pytest.raises(UnknownJobError):
        await jobs.view("bt-s1-9")


async def test_a_backtest_out_of_time_is_ended(tmp_path: Path) -> None:
    data_dir = tmp_path / "state"
    data_dir.mkdir()
    await asyncio.to_thread(history, data_dir, 20_000)
    ended = asyncio.Event()
    jobs = ResearchJobs(settings(data_dir, time_limit_s=1), lambda: "s1", lambda view: view.ended and ended.set())
    job = jobs.start(OPTIONS, {}, "ann")
    await asyncio.wait_for(ended.wait(), 60)
    view = await jobs.view(job.id)
    assert (view.state, view.error) == ("failed", "it took longer than 1 s")


def laboratory_of(daemon_pid: int) -> int | None:
    """The process of its backtest."""
    for task in Path(f"/proc/{daemon_pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            if b"backtest" in Path(f"/proc/{child}/cmdline").read_bytes():
                return int(child)
    return None


@pytest.mark.e2e
def test_a_killed_daemon_takes_its_backtest_along(tmp_path: Path) -> None:
    data_dir = tmp_path / "state"
    data_dir.mkdir()
    history(data_dir, 20_000)
    with running(data_dir) as daemon:
        daemon.client.post("/api/backtest/run", WISH | {"strategy": "council", "param": {}})
        child = until(lambda: laboratory_of(daemon.pid), "the backtest's process", 20)
        daemon.kill()
        until(lambda: not is_alive(child), "the end of the backtest's process", 10)
