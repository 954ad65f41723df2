"""What a run prepares before it reaches its market."""

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from bus.clock import LiveClock
from exchanges import long_bans
from tradingd.market_access import MarketAccess
from tradingd.run_options import RunOptions
from tradingd.settings import Settings

ADDRESS = "http://127.0.0.1:9"


@pytest.fixture
def forgetting() -> Iterator[None]:
    """What the test's process knows of bans ends with it."""
    yield
    long_bans.of_this_process.keep_in(None)


@pytest.mark.usefixtures("forgetting")
async def test_a_run_knows_the_bans_of_the_one_before_it_in_its_data_directory(tmp_path: Path) -> None:
    now = LiveClock().now()
    (tmp_path / long_bans.FILE).write_bytes(orjson.dumps({ADDRESS: now + 60 * 10**9}))
    urls = {"rest_url": ADDRESS, "ws_url": "ws://127.0.0.1:9"}
    settings = Settings.model_validate({"mode": "paper", "venue": "binance", "venues": {"binance": urls}})
    access = MarketAccess(settings, RunOptions(), lambda _: None)
    await access.launch(tmp_path, not_before_ns=0)
    assert long_bans.of_this_process.left_s(ADDRESS, now) == pytest.approx(60)
    await access.close()
