"""A file dropped into DATA_DIR/alphas trades after a restart; terrible ones beside it are named and cost nothing."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.alphas.registry import BUILT_IN_NAMES
from tests.e2e.process import Process, children_of, is_alive, tradingd, until
from tests.tradingd.plugins.alpha_files import bad, written

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200)]
ALWAYS = """
from agents.alphas.alpha import MarketView, Opinion


class Always:
    name = "always"
    version = "1"
    weight = 1.0

    def opinion(self, view: MarketView) -> Opinion:
        return Opinion("trail_buy", 0.95, 0.01, "high", f"always buy {view.symbol}")
"""
ONLY_THIS = {f"TRADINGD__COUNCIL__WEIGHTS__{name.upper()}": "0" for name in BUILT_IN_NAMES}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    data_dir = tmp_path_factory.mktemp("alphas") / "data"
    written(data_dir, "always", ALWAYS)
    bad(data_dir, "while True: pass", "loops")
    written(data_dir, "broken", "class Broken\n")
    process = Process(data_dir, env=ONLY_THIS)
    try:
        yield process.ready()
    finally:
        process.kill()


def led_by_always(process: Process) -> dict[str, object] | None:
    return next((order for order in process.orders() if order["lead_alpha"] == "always"), None)


def test_it_leads_an_order_while_another_loops_for_ever(daemon: Process) -> None:
    order = until(lambda: led_by_always(daemon), "an order of the user's alpha", 60)
    votes = {vote["alpha"]: vote["weight"] for vote in order["votes"]}  # type: ignore[attr-defined]
    assert votes == {"always": 1.0}
    told = tradingd("explain", str(order["id"]), "--data-dir", str(daemon.data_dir))
    assert "always buy" in told.stdout
    assert "loops" in told.stdout
    assert "E005" in told.stdout


def test_what_is_wrong_is_named_with_line_and_remedy_in_status_and_doctor(daemon: Process) -> None:
    problems = " ".join(problem["text"] for problem in daemon.status()["problems"])
    assert "broken.py, line 1: SyntaxError" in problems
    assert "mend the file" in problems
    doctor = json.loads(tradingd("doctor", "--data-dir", str(daemon.data_dir), "--json").stdout)
    (found,) = [check for check in doctor if check["name"] == "alphas"]
    assert found["level"] == "warn"
    assert "broken.py, line 1" in found["text"]


def test_when_the_daemon_is_killed_its_workers_are_gone_too(daemon: Process) -> None:
    workers = [pid for pid in children_of(daemon.pid) if b"plugins.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert workers
    daemon.kill()
    until(lambda: not any(is_alive(pid) for pid in workers), "the end of the workers", 10)
