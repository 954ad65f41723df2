"""asyncpg for synchronous code: the projection is a process of its own and waits for its database, nothing else.

A DB-API 2.0 module (PEP 249) as far as SQLAlchemy's Core asks for one, on an event loop per connection, and the
dialect that uses it. SQLAlchemy's own way to asyncpg needs greenlets, which buy nothing where nobody else is running.
"""

import asyncio
import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, Final

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.engine import URL

from store.sql.postgres_url import asyncpg_url

NAME: Final = "postgresql.asyncpg_waiting"
_CONNECT_S: Final = 5.0
_COMMAND_S: Final = 60.0
_EMPTYING_S: Final = 1_800.0
"""For DELETE: what has been collected for months goes in one statement, and one that is broken off is never done."""

_ROW_COUNT: Final = ("INSERT", "UPDATE", "DELETE")


class Error(Exception):
    """Anything the database or the way to it said. `is_gone`: the connection is of no more use."""

    is_gone = False


class InterfaceError(Error):
    """Wrong use, or a connection that is no more."""

    is_gone = True


class DatabaseError(Error):
    """The database refused."""


class OperationalError(DatabaseError):
    """The database cannot be reached, or went away."""

    is_gone = True


class IntegrityError(DatabaseError):
    """A constraint was broken."""


class ProgrammingError(DatabaseError):
    """The statement is wrong."""


class SchemaChangedError(DatabaseError):
    """Never raised: SQLAlchemy asks of each error whether what it has cached of the schema was the reason, and nothing
    is cached here."""


def _translated(error: BaseException) -> Error:
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, asyncpg.IntegrityConstraintViolationError):
        return IntegrityError(text)
    gone = (
        OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.PostgresConnectionError,
        asyncpg.OperatorInterventionError, asyncpg.CannotConnectNowError,
    )
    if isinstance(error, gone):
        return OperationalError(text)
    if isinstance(error, asyncpg.SyntaxOrAccessError):
        return ProgrammingError(text)
    return DatabaseError(text)


class Cursor:
    """Executes one statement at a time; every row is in memory when `execute` returns."""

    arraysize = 1

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self._rows: list[Any] = []
        self.description: list[tuple[Any, ...]] | None = None
        self.rowcount = -1

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> None:
        """Run it inside the connection's transaction, begun when there is none."""
        self._rows, self.description, self.rowcount = [], None, -1
        self._connection.wait(self._execute(statement, parameters))

    async def _execute(self, statement: str, parameters: Sequence[Any]) -> None:
        raw = await self._connection.in_transaction()
        if not parameters and ";" in statement.rstrip().rstrip(";"):
            await raw.execute(statement)
            return
        prepared = await raw.prepare(statement)
        timeout = _EMPTYING_S if statement.startswith("DELETE") else None
        self._rows = [tuple(row) for row in await prepared.fetch(*parameters, timeout=timeout)]
        columns = prepared.get_attributes()
        if columns:
            self.description = [(each.name, each.type.oid, None, None, None, None, None) for each in columns]
        words = (prepared.get_statusmsg() or "").split()
        if words and words[0] in _ROW_COUNT:
            self.rowcount = int(words[-1])
        elif columns:
            self.rowcount = len(self._rows)

    def executemany(self, statement: str, parameters: Sequence[Sequence[Any]]) -> None:
        """Run it once for each set of parameters, in one round trip."""
        self._rows, self.description, self.rowcount = [], None, -1
        self._connection.wait(self._executemany(statement, parameters))

    async def _executemany(self, statement: str, parameters: Sequence[Sequence[Any]]) -> None:
        raw = await self._connection.in_transaction()
        await raw.executemany(statement, parameters)

    def fetchone(self) -> Any:
        return self._rows.pop(0) if self._rows else None

    def fetchmany(self, size: int | None = None) -> list[Any]:
        count = size or self.arraysize
        taken, self._rows = self._rows[:count], self._rows[count:]
        return taken

    def fetchall(self) -> list[Any]:
        taken, self._rows = self._rows, []
        return taken

    def setinputsizes(self, *_sizes: Any) -> None:
        """The statement's own casts say what its parameters are."""

    def close(self) -> None:
        self._rows = []


class Connection:
    """One connection with its own loop; a transaction begins with the first statement."""

    def __init__(self, runner: asyncio.Runner, raw: Any) -> None:
        self._runner = runner
        self._raw = raw
        self._transaction: Any = None

    def wait(self, work: Any) -> Any:
        """Run a coroutine to its end; raises this module's errors."""
        if self._raw is None:
            work.close()
            raise InterfaceError("the connection is closed")
        try:
            return self._runner.run(work)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            raise _translated(error) from error

    async def in_transaction(self) -> Any:
        """The asyncpg connection, inside a transaction."""
        if self._transaction is None:
            transaction = self._raw.transaction()
            await transaction.start()
            self._transaction = transaction
        return self._raw

    def cursor(self) -> Cursor:
        return Cursor(self)

    def commit(self) -> None:
        transaction, self._transaction = self._transaction, None
        if transaction is not None:
            self.wait(transaction.commit())

    def rollback(self) -> None:
        transaction, self._transaction = self._transaction, None
        if transaction is not None and not self._raw.is_closed():
            self.wait(transaction.rollback())

    def close(self) -> None:
        """Say goodbye, or hang up when nobody answers."""
        raw, self._raw = self._raw, None
        if raw is None:
            return
        try:
            self._runner.run(raw.close(timeout=_CONNECT_S))
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            raw.terminate()
        self._runner.close()


async def _open(arguments: dict[str, Any]) -> Any:
    raw = await asyncpg.connect(timeout=_CONNECT_S, command_timeout=_COMMAND_S, statement_cache_size=0, **arguments)
    for kind in ("json", "jsonb"):
        await raw.set_type_codec(kind, schema="pg_catalog", encoder=str, decoder=json.loads)
    return raw


def connect(**arguments: Any) -> Connection:
    """A connection; raises `OperationalError` when the database cannot be reached."""
    runner = asyncio.Runner()
    try:
        return Connection(runner, runner.run(_open(arguments)))
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        runner.close()
        raise _translated(error) from error


MODULE: Final = SimpleNamespace(
    apilevel="2.0", threadsafety=0, paramstyle="numeric_dollar", connect=connect, Error=Error,
    InterfaceError=InterfaceError, DatabaseError=DatabaseError, OperationalError=OperationalError,
    IntegrityError=IntegrityError, ProgrammingError=ProgrammingError, DataError=DatabaseError,
    InternalError=DatabaseError, NotSupportedError=DatabaseError, InvalidCachedStatementError=SchemaChangedError,
    InternalServerError=SchemaChangedError, Binary=bytes,
)


class WaitingDialect(PGDialect_asyncpg):
    """PostgreSQL by asyncpg, synchronously."""

    driver = "asyncpg_waiting"
    is_async = False
    supports_statement_cache = True

    @classmethod
    def import_dbapi(cls) -> Any:
        return MODULE

    @classmethod
    def get_pool_class(cls, url: Any) -> Any:
        from sqlalchemy.pool import QueuePool

        return QueuePool

    def create_connect_args(self, url: URL) -> tuple[list[Any], dict[str, Any]]:
        """As asyncpg reads it, and the account's lease with it: SQLAlchemy's own way knows few options of libpq."""
        return [], {"dsn": asyncpg_url(url.set(drivername="postgresql").render_as_string(False))}

    def on_connect(self) -> None:
        """Nothing: what has to be set up is set up by `connect`."""

    def do_ping(self, dbapi_connection: Any) -> bool:
        cursor = dbapi_connection.cursor()
        cursor.execute("SELECT 1")
        dbapi_connection.rollback()
        return True

    def do_terminate(self, dbapi_connection: Any) -> None:
        dbapi_connection.close()

    def set_isolation_level(self, dbapi_connection: Any, level: Any) -> None:
        """The database's own level is what is used."""

    def is_disconnect(self, e: Any, connection: Any, cursor: Any) -> bool:
        return bool(getattr(e, "is_gone", False))


def register() -> None:
    """Make `postgresql+asyncpg_waiting://` known to SQLAlchemy."""
    registry.register(NAME, "store.sql.asyncpg_driver", "WaitingDialect")
