"""One HTTP request to a service: bounded in time and size, never redirected, and failures that name no secret."""

import json
from typing import Any, Final

import aiohttp

from tradingd.alerts.alert import DeliveryError
from tradingd.plain_text import one_line
from tradingd.redaction import redact
from tradingd.version import VERSION

MAX_ANSWER: Final = 2 * 1024 * 1024
_CHUNK: Final = 65_536
_LONGEST_WISH_S: Final = 86_400.0
_RETRY_STATUS: Final = frozenset({408, 425, 429})


class Answer:
    """Status and body; `json` is None when it is no JSON object."""

    __slots__ = ("body", "json", "retry_after_s", "status")

    def __init__(self, status: int, body: bytes, retry_after: str) -> None:
        self.status = status
        self.body = body
        self.json: dict[str, Any] | None = _object(body)
        self.retry_after_s = pause_in(retry_after)

    @property
    def is_ok(self) -> bool:
        return 200 <= self.status < 300

    def failure(self, who: str, said: str = "") -> DeliveryError:
        """Of an answer that is no yes: final unless the service is only busy or broken."""
        is_final = not (self.status in _RETRY_STATUS or self.status >= 500)
        words = one_line(said or self.body[:200].decode(errors="replace").strip())
        text = redact(f"{who} answered {self.status}{f': {words}' if words else ''}")
        return DeliveryError(text, is_final=is_final, retry_after_s=self.retry_after_s)


class HttpDelivery:
    """A session of its own, made at the first request and closed with `close`. `who` names the service in errors."""

    def __init__(self, who: str, timeout_s: float) -> None:
        self._who = who
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def post(self, url: str, *, timeout_s: float | None = None, **more: Any) -> Answer:
        """POST; raises `DeliveryError` when no answer came."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=4), headers={"User-Agent": f"tradingd/{VERSION}"},
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        limit = aiohttp.ClientTimeout(total=timeout_s or self._timeout_s)
        try:
            # A redirect would carry the token to whoever it names.
            async with self._session.post(url, timeout=limit, allow_redirects=False, **more) as response:
                body = await _bounded(response)
                return Answer(response.status, body, response.headers.get("Retry-After", ""))
        except TimeoutError as error:
            raise DeliveryError(f"{self._who} did not answer in time") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise DeliveryError(redact(f"{self._who} cannot be reached ({type(error).__name__}: {error})")) from None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        body += chunk
        if len(body) > MAX_ANSWER:
            raise ValueError("the answer is too large")
    return bytes(body)


def pause_in(value: object) -> float:
    """Seconds that a service asks us to wait, at most a day; 0 for what is no such number, such as a date."""
    try:
        seconds = float(value) if isinstance(value, str | int | float) else 0.0
    except (ValueError, OverflowError):
        return 0.0
    return min(seconds, _LONGEST_WISH_S) if seconds > 0 else 0.0


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None
