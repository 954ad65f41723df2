"""A fresh folder, one command: it shows, trades, explains, and ends in order."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.process import Process, is_alive, journal_of, tradingd, until
from tradingd.client import AnswerError, Client

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200)]

PASSWORD = re.compile(r"user operator, password (\S+)")


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    process = Process(tmp_path_factory.mktemp("first") / "data")
    try:
        yield process.ready(10)
    finally:
        process.kill()


def entry_of(process: Process) -> dict[str, object] | None:
    """A filled order of the council."""
    bought = [o for o in process.orders(state="FILLED") if o["side"] == "buy" and o["origin"] == "council"]
    return bought[-1] if bought else None


def test_health_is_good_within_ten_seconds(first: Process) -> None:
    assert Client(first.client.url).get("/api/health")["status"] == "ready"
    assert time.monotonic() - first.started < 15


def test_the_password_is_shown_once_and_opens_the_api(first: Process) -> None:
    shown = PASSWORD.findall(first.err + first.out)
    assert len(shown) == 1
    open_client = Client(first.client.url)
    token = open_client.post("/api/auth/login", {"username": "operator", "password": shown[0]})["access_token"]
    assert Client(first.client.url, token).get("/api/status")["mode"] == "paper"


def test_a_wrong_password_opens_nothing(first: Process) -> None:
    with pytest.raises(AnswerError) as refused:
        Client(first.client.url).post("/api/auth/login", {"username": "operator", "password": "guess"})
    assert refused.value.status == 401
    with pytest.raises(AnswerError) as without:
        Client(first.client.url).get("/api/status")
    assert without.value.status == 401


def test_it_trades_by_itself_and_explains_the_order_from_candle_to_fill(first: Process) -> None:
    entry = until(lambda: entry_of(first), "a filled entry of the council", 120)
    chain = tradingd("explain", str(entry["id"]), "--data-dir", str(first.data_dir), "--json")
    assert chain.returncode == 0, chain.stderr
    kinds = [link["kind"] for link in json.loads(chain.stdout)]
    wanted = ["Candle", "AnalysisCompleted", "TradeProposed", "ProposalApproved", "OrderInitialized", "TrailingArmed",
              "OrderTriggered", "OrderSubmitted", "OrderFilled"]
    assert [kind for kind in kinds if kind in wanted][: len(wanted)] == wanted
    told = tradingd("explain", str(entry["id"]), "--data-dir", str(first.data_dir)).stdout
    said = ("candle of", "The analyst saw", "The strategy proposed", "The risk officer approved", "Fired", "Filled")
    assert [words for words in said if words not in told] == []


def test_the_story_tells_it_on_stdout(first: Process) -> None:
    until(lambda: "FILL" in first.out, "a line about a fill", 120)
    kinds = {line.split()[2] for line in first.out.splitlines() if re.match(r"\d\d:\d\d:\d\d  ", line)}
    assert {"FEED", "SIGNAL", "PROPOSAL", "APPROVED", "ARMED", "FIRED", "FILL", "POSITION"} <= kinds


def test_sigterm_ends_it_in_order_and_its_practice_exchange_with_it(first: Process) -> None:
    child = first.child()
    assert first.stop(20) == 0
    until(lambda: not is_alive(child), "the end of the practice exchange", 5)
    assert not (first.data_dir / "run.json").exists()
    assert type(journal_of(first.data_dir)[-1].body).__name__ == "DaemonStopping"
    assert "Traceback" not in first.err + first.out


def test_the_password_is_not_shown_again(first: Process, tmp_path: Path) -> None:
    again = Process(first.data_dir)
    try:
        again.ready()
        assert not PASSWORD.search(again.err + again.out)
    finally:
        again.kill()
