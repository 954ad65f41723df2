"""What every source of history over REST has: a name, and a connection that is closed behind it."""

from types import TracebackType
from typing import Self

from exchanges.binance.rest import RestClient


class RestSource:
    """`async with` closes the client."""

    def __init__(self, name: str, rest: RestClient) -> None:
        self.name = name
        self._rest = rest

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._rest.close()
