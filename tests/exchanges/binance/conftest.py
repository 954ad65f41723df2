"""A misbehaving exchange on this machine, for each test that asks."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.exchanges.binance.loopback import Loopback


@pytest_asyncio.fixture
async def loopback() -> AsyncIterator[Loopback]:
    server = Loopback()
    await server.start()
    yield server
    await server.stop()
