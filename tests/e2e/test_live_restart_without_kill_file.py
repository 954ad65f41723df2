"""Over a position a live restart goes on where no kill file can be made, takes no entries, and says when one can."""

from pathlib import Path

import pytest

from tests.e2e.process import Process, until
from tests.e2e.test_live_loopback import exchange, held, settings

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(150)]


def test_it_watches_over_the_position_and_waits_for_room(tmp_path: Path) -> None:
    data = tmp_path / "data"
    trial = data / ".KILL.trial"
    with exchange(tmp_path / "exchange", "SOL/USDT") as urls:
        env = settings("binance", urls)
        daemon = Process(data, env=env).ready()
        daemon.buy("SOL/USDT", "0.5")
        daemon.kill()
        trial.mkdir()  # no file can be made there, as on a disk that has room for none
        daemon = Process(data, env=env).ready()
        try:
            problems = until(lambda: [each["text"] for each in daemon.status()["problems"]], "a problem told", 20)
            assert any("kill file could not be made" in text for text in problems)
            assert daemon.status()["state"] == "REDUCING"
            assert held(daemon, "SOL/USDT") > 0
            trial.rmdir()
            until(lambda: daemon.status()["state"] == "ACTIVE", "it could be made", 30)
        finally:
            daemon.kill()
