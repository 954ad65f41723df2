"""The one place where ccxt is touched: it builds requests and carries them; what they mean is decided by us.

None of ccxt's order methods are used: they drop our client order id, read partial fills wrongly and turn a
`triggerPrice` into a take-profit. What is used is `request`, the door under all of them. ccxt is imported when the
first bridge opens (a second, 70 MB): a daemon that never trades at Coinbase does not pay for it.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import localcontext
from typing import Any, Final

from exchanges.answers import TransportError
from exchanges.coinbase.keys import KeyPair

Parameters = Mapping[str, str | int | bool | Sequence[str] | Mapping[str, Any]]
_MAX_BODY: Final = 64_000_000


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """What came back, whatever it says; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    text: str


class _Answered(Exception):  # not an error: how an answer leaves ccxt before ccxt interprets it
    def __init__(self, answer: RawAnswer) -> None:
        super().__init__("answered")
        self.answer = answer


class CcxtBridge:
    """One ccxt instance with its connections. `seconds` is the venue's time, for signatures.

    `signs_old_form`: tokens are made in the form of `KeyPair.token` that is older.
    """

    def __init__(self, rest_url: str, keys: KeyPair, timeout_s: float, seconds: Callable[[], int]) -> None:
        self.signs_old_form = False
        self._rest_url = rest_url.rstrip("/")
        self._keys = keys
        self._timeout_s = timeout_s
        self._seconds = seconds
        self._exchange: Any = None
        self._opening = asyncio.Lock()

    async def open(self) -> None:
        """Import ccxt beside the event loop and make the instance."""
        async with self._opening:
            if self._exchange is None:
                self._exchange = self._make(await asyncio.to_thread(_exchange_class))

    async def send(self, method: str, path: str, parameters: Parameters, *, signed: bool) -> RawAnswer:
        """Exactly one request to /api/v3/`path`; raises `TransportError` when there is no whole answer."""
        await self.open()
        access = "private" if signed else "public"
        # ccxt's number formatting sets the rounding of the whole process's decimal context: not of ours.
        with localcontext():
            try:
                await self._exchange.request(path, ["v3", access], method, dict(parameters))
            except _Answered as answered:
                return answered.answer
            except Exception as error:  # ccxt and aiohttp raise many kinds; each leaves the fate open
                said = (str(error) or type(error).__name__)[:200]
                raise TransportError(f"{method} {path}: {type(error).__name__} {said}") from error
        raise TransportError(f"{method} {path}: no answer")

    def stream_token(self) -> str:
        """A JWT for one message of the websocket, good for two minutes."""
        return self._keys.token(self._seconds(), is_old_form=self.signs_old_form)

    async def close(self) -> None:
        """Close the connections; `send` opens new ones."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            await exchange.close()

    def _make(self, exchange_class: Any) -> Any:
        exchange = exchange_class({
            "apiKey": self._keys.name, "secret": self._keys.pem, "enableRateLimit": False,
            "timeout": int(self._timeout_s * 1_000),
        })
        exchange.urls["api"] = {"rest": self._rest_url}
        exchange.handle_errors = _on_answer
        exchange.seconds = self._seconds

        def create_auth_token(
            seconds: int, method: str | None = None, url: str | None = None, *_use_eddsa: bool
        ) -> str:
            return self._keys.token(seconds, method or "", url or "", is_old_form=self.signs_old_form)

        exchange.create_auth_token = create_auth_token
        return exchange


def _exchange_class() -> Any:
    from ccxt.async_support.coinbase import coinbase  # see above: only who needs it pays

    return coinbase


def _on_answer(status: int, _reason: str, _url: str, _method: str, headers: Any, body: str, *_more: Any) -> None:
    """ccxt's hook for every answer: none gets past it, so that ours is the only reading."""
    if len(body) > _MAX_BODY:
        raise TransportError(f"an answer of more than {_MAX_BODY} characters")
    raise _Answered(RawAnswer(status, {str(name).lower(): str(value) for name, value in headers.items()}, body))
