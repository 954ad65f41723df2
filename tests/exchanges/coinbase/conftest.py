"""A Coinbase on this machine, for each test that asks."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.exchanges.coinbase.exchange import Exchange


@pytest_asyncio.fixture
async def exchange() -> AsyncIterator[Exchange]:
    server = Exchange()
    await server.start()
    yield server
    await server.stop()
