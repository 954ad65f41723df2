"""PostgreSQL stopped under a trading daemon: entries, exits and the kill switch go on, and nothing is missing later."""

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.process import Process, journal_of, running, tradingd, until
from tests.e2e.test_store_and_lease import SOL, stored
from tests.postgres_server import PostgresServer
from tradingd.data_dir import current_journal
from tradingd.projection import Projection

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


def store_problems(daemon: Process) -> list[str]:
    status: dict[str, Any] = daemon.client.get("/api/status")
    return [each["text"] for each in status["problems"] if "SQL store is away" in each["text"]]


def test_exits_go_on_while_postgresql_is_down_and_the_tables_equal_a_rebuild_afterwards(tmp_path: Path) -> None:
    server, data_dir = PostgresServer(), tmp_path / "data"
    env = {"TRADINGD__STORE__URL": server.url, "TRADINGD__COUNCIL__THRESHOLD": "1"}
    try:
        server.start()
        with running(data_dir, env=env) as daemon:
            daemon.buy(SOL, "0.5")
            until(lambda: stored_rows(data_dir, env).get("fills", 0) >= 1, "the first fill in PostgreSQL", 60)
            server.stop()
            until(lambda: store_problems(daemon), "a word of the lost store in status", 60)
            fills = fills_in(data_dir)
            daemon.client.post("/api/positions/close-all", {})
            until(lambda: fills_in(data_dir) > fills, "the exit's fill while PostgreSQL is down", 30)
            assert not any(each["symbol"] == SOL for each in daemon.client.get("/api/positions"))
            daemon.buy(SOL, "0.3")
            server.start()
            until(lambda: not store_problems(daemon), "the store's return in status", 60)
            daemon.stop()
        told = stored(data_dir, env)
        assert told["stored"] == told["records"]
        path = current_journal(data_dir)
        kept = Projection(path, server.url, "practice-paper", "USDT", is_own=False)
        contents = kept.store.contents()
        assert len(contents["fills"]) == fills_in(data_dir) >= 3
        rebuilt = tradingd("store", "rebuild", "--data-dir", str(data_dir), env=env)
        assert rebuilt.returncode == 0, rebuilt.stderr
        assert kept.store.contents() == contents
        kept.close()
    finally:
        server.remove()


def stored_rows(data_dir: Path, env: dict[str, str]) -> dict[str, int]:
    rows: dict[str, int] = stored(data_dir, env)["rows"]
    return rows


def fills_in(data_dir: Path) -> int:
    return sum(1 for message in journal_of(data_dir) if type(message.body).__name__ == "OrderFilled")
