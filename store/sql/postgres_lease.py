"""A lease in PostgreSQL: one holder at a time, each with a higher number than all before it."""

import asyncio
import contextlib
from typing import Any, Final

import asyncpg  # type: ignore[import-untyped]

from store.sql.postgres_url import asyncpg_url

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS tradingd_lease (
    account text PRIMARY KEY, token bigint NOT NULL, holder text NOT NULL, until timestamptz NOT NULL
)
"""
_TAKE: Final = """
INSERT INTO tradingd_lease AS lease (account, token, holder, until)
VALUES ($1, 1, $2, clock_timestamp() + $3 * interval '1 second')
ON CONFLICT (account) DO UPDATE
SET token = CASE WHEN lease.holder = excluded.holder THEN lease.token ELSE lease.token + 1 END,
    holder = excluded.holder, until = excluded.until
WHERE lease.holder = excluded.holder OR lease.until < clock_timestamp()
RETURNING token
"""
_HOLDER: Final = "SELECT holder FROM tradingd_lease WHERE account = $1"
_GIVE_BACK: Final = "UPDATE tradingd_lease SET until = to_timestamp(0) WHERE account = $1 AND holder = $2"
_TIMEOUT_S: Final = 3.0
_AWAY: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, asyncio.TimeoutError)

_MADE_MEANWHILE: Final = (
    asyncpg.UniqueViolationError, asyncpg.DuplicateTableError, asyncpg.DuplicateObjectError,
)
"""IF NOT EXISTS looks before it makes: of two that come together, one meets the other's table in the catalogue."""


class PostgresLease:
    """Take it again to keep it. Judged by the server's own clock; the number survives the holder (fencing)."""

    def __init__(self, url: str, account: str) -> None:
        self._url = asyncpg_url(url)
        self._account = account

    async def take(self, holder: str, ttl_s: float) -> tuple[int, str]:
        """(number, holder); the number is 0 when somebody else holds it. Raises `OSError` when it is away."""
        try:
            async with asyncio.timeout(_TIMEOUT_S * 2):
                connection = await self._connect()
                try:
                    with contextlib.suppress(*_MADE_MEANWHILE):
                        await connection.execute(_TABLE)
                    token = await connection.fetchval(_TAKE, self._account, holder, ttl_s)
                    if token is not None:
                        return int(token), holder
                    return 0, str(await connection.fetchval(_HOLDER, self._account))
                finally:
                    await connection.close()
        except _AWAY as error:
            raise OSError(f"PostgreSQL: {error}") from error

    async def give_back(self, holder: str) -> None:
        """Somebody else may take it at once. Raises `OSError` when the database is away."""
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                connection = await self._connect()
                try:
                    await connection.execute(_GIVE_BACK, self._account, holder)
                finally:
                    await connection.close()
        except _AWAY as error:
            raise OSError(f"PostgreSQL: {error}") from error

    async def close(self) -> None:
        """Nothing is held open between two calls."""

    async def _connect(self) -> Any:
        return await asyncpg.connect(self._url, timeout=_TIMEOUT_S, command_timeout=_TIMEOUT_S)
