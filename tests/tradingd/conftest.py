"""What several tests of the store need: servers and databases, and the messages of an hour's trading."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from bus.messages.header import Message
from store.sql.database import open_engine
from tests.postgres_server import PostgresServer
from tests.tradingd.stored_journal import trade_for_an_hour


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'store.sqlite'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    engine = open_engine(server.url)
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()
    yield server.url


@pytest.fixture(scope="module")
def traded(tmp_path_factory: pytest.TempPathFactory) -> list[Message]:
    """What an hour of the real council, engine and paper venue leaves in the journal."""
    return trade_for_an_hour(tmp_path_factory.mktemp("traded"))
