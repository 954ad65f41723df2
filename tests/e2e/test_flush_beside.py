"""What is not urgent is flushed by the daemon within a second or so, and an error of that ends it."""

from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.process import Process, until
from tradingd.client import NotReachableError
from tradingd.exit_codes import FAILURE

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


class FlushNoting(Process):
    module = "tests.e2e.flush_noting_daemon"


def test_the_daemon_flushes_what_nobody_waits_for_and_ends_when_the_disk_refuses(tmp_path: Path) -> None:
    flushes, fail = tmp_path / "flushes", tmp_path / "fail"
    env = {"FLUSHES": str(flushes), "FAIL": str(fail), "TRADINGD__COUNCIL__THRESHOLD": "1"}
    daemon = FlushNoting(tmp_path / "data", env=env)
    try:
        daemon.ready()
        # That the feed is there is a fact which sends nothing, so nobody else flushes it.
        until(lambda: flushes.exists() and flushes.read_text(), "a flush of the journal", 30)
        assert {Path(line).name for line in flushes.read_text().splitlines()} == {"journal-practice-paper.journal"}
        fail.touch()
        with suppress(NotReachableError):  # it may be gone before the answer
            daemon.buy("SOL/USDT", "0.2")  # whose fill is no urgent fact
        assert daemon.wait(30) == FAILURE
        assert "cannot be written ([Errno 5] Input/output error)" in daemon.err
    finally:
        daemon.kill()
