"""A start may last longer than the account's lease: it is renewed meanwhile, and asked for before the first order."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import orjson
import pytest
from aiohttp import web

from bus.messages.orders import OrderFilled
from bus.messages.system import DaemonStarted
from tests.exchanges.binance.desk import ready, user_event
from tests.exchanges.binance.loopback import Loopback
from tests.orders.trading import instrument
from tests.tradingd.quiet_market import (
    LIVE_JOURNAL,
    RESTING,
    QuietMarket,
    QuietRun,
    data_dir_with_a_position,
    settings_of,
)
from tradingd import lease_choice, restore
from tradingd.lease import AccountTakenError, LeaseKeeper


class Server:
    """Grants the lease until somebody else `has_taken` it, and counts."""

    def __init__(self) -> None:
        self.has_taken = False
        self.grants = 0
        self.given_back = ""
        self.before_verifying: Callable[[], bool] = lambda: True

    async def take(self, holder: str, ttl_s: float) -> tuple[int, str]:
        if self.has_taken:
            return 0, "machine 2"
        self.grants += 1
        while self.grants > 1 and not self.before_verifying():  # noqa: ASYNC110 - the product sets no event for tests
            await asyncio.sleep(0)
        return 1, holder

    async def give_back(self, holder: str) -> None:
        self.given_back = holder

    async def close(self) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    """Asked for the lease of a paper account, which has none of its own, at every turn of the loop."""
    made = Server()

    def take_account(settings: object, urls: object, holder: str, stack: AsyncExitStack) -> Server:
        return made

    def keeper(lease: Server, holder: str, doubt: Callable[[str], None], lost: Callable[[BaseException], None]) \
            -> LeaseKeeper:
        return LeaseKeeper(lease, holder, doubt, lost, renew_s=0.0)

    monkeypatch.setattr(lease_choice, "take_account", take_account)
    monkeypatch.setattr(lease_choice, "LeaseKeeper", keeper)
    return made


async def test_it_is_renewed_while_the_start_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server,
) -> None:
    market = QuietMarket(monkeypatch, [instrument("BTC/USDT")])
    market.is_open.clear()
    run = QuietRun(settings_of(tmp_path / "data"))
    begun: list[int] = []

    def has_renewed() -> bool:
        if market.was_asked.is_set() and not begun:
            begun.append(server.grants)
        return bool(begun) and server.grants > begun[0] + 2

    assert await run.until(has_renewed, lambda: run.daemon.life.end("the test is over")) == 0
    assert server.given_back


async def test_one_that_was_lost_while_the_start_waits_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server,
) -> None:
    market = QuietMarket(monkeypatch, [instrument("BTC/USDT")])
    market.is_open.clear()
    run = QuietRun(settings_of(tmp_path / "data"))
    with pytest.raises(AccountTakenError, match="machine 2"):
        await run.until(market.was_asked.is_set, lambda: setattr(server, "has_taken", True))


async def test_one_that_was_lost_during_the_fold_ends_the_start_before_anything_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server,
) -> None:
    QuietMarket(monkeypatch, [instrument("BTC/USDT")])
    fold = restore.fold_engine

    def long_fold(*parts: object) -> object:
        server.has_taken = True
        return fold(*parts)  # type: ignore[arg-type]

    monkeypatch.setattr(restore, "fold_engine", long_fold)
    run = QuietRun(settings_of(data_dir_with_a_position(tmp_path)))
    with pytest.raises(AccountTakenError, match="machine 2"):
        await run.until_ready()
    assert run.told(DaemonStarted) == []


async def test_a_fill_that_is_told_before_the_engine_knows_its_past_is_booked_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server,
) -> None:
    monkeypatch.setenv("TRADINGD_ALLOW_LIVE", "yes")
    QuietMarket(monkeypatch, [instrument("BTC/USDT")])
    exchange = Loopback()
    await exchange.start()
    ready(exchange)

    async def fill(socket: web.WebSocketResponse) -> None:
        await socket.send_str(orjson.dumps(user_event(RESTING)).decode())

    exchange.scripts.append(fill)
    ws_url = f"ws://{exchange.base}/ws-api/v3"
    keys = {"rest_url": exchange.rest_url, "ws_url": ws_url, "ws_api_url": ws_url, "api_key": "k", "api_secret": "s"}
    folder = data_dir_with_a_position(tmp_path, LIVE_JOURNAL)
    run = QuietRun(settings_of(folder, mode="live", venues={"binance": keys}))
    early = run.daemon._early
    server.before_verifying = lambda: bool(early._waiting) or early._sink is not None
    try:
        assert await run.until_ready() == 0
    finally:
        await exchange.stop()
    assert [each.client_order_id for each in run.told(OrderFilled)][-1] == RESTING
