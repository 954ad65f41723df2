"""Binance's REST door: paced, timed out, retried where that is safe, silent while banned."""

import asyncio
import contextlib
import random
import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlencode
from weakref import WeakValueDictionary

import aiohttp
import orjson
from yarl import URL

from bus.clock import Clock
from exchanges import long_bans
from exchanges.answers import Answer, NoAnswerError, TransportError, VenueError
from exchanges.backoff import Backoff
from exchanges.ban_wait import wait_out_ban
from exchanges.binance.granted_weight import (
    MINUTE_S,
    USED_WEIGHT,
    MinuteFigure,
    granted_a_minute,
    granted_orders,
    used_weight,
)
from exchanges.binance.order_count import OrderCount
from exchanges.binance.signing import PreparedPost, Signer
from exchanges.binance.weight_budget import BURST, FOR_ORDERS, Reserve, WeightBudget
from exchanges.http_line import HttpLine, LineAnswer, LineError, SentRequest
from exchanges.retry_after import retry_after_s

READ_ATTEMPTS: Final = 5
TIMEOUT_S: Final = 10.0
CONNECT_TIMEOUT_S: Final = 5.0
POST_TIMEOUT_S: Final = 2.5
"""An order that was not answered by then is asked for; whatever else is sent may take longer."""
RECEIVE_WINDOW_MS: Final = 5_000
POST_WINDOW_MS: Final = 4_000
"""Of an order. The venue refuses an older one, and one whose stamp is more than a second ahead: five seconds after it
was sent none is accepted any more, and then its absence is believed."""
TIMESTAMP_REFUSED: Final = -1021
LIMITS: Final = "/api/v3/exchangeInfo"
"""Where the venue says what it grants."""
_BANNED_UNTIL: Final = re.compile(r"banned until (?P<ms>\d{13})\b")
"""As Binance words it: "Way too many requests; IP banned until 1659146400000. Please use ..."."""
_LEAST_BAN_S: Final = 30.0
"""Who is asked during a ban lengthens it."""
_UNREAD: Final = frozenset({-1102, -1022})
"""MANDATORY_PARAM_EMPTY_OR_MALFORMED, INVALID_SIGNATURE: what a server says that does not read a POST's address."""
_NAME: Final = {"User-Agent": "tradingd"}
"""Firewalls refuse requests of nobody (403), which the venue means for a rejection of the order."""
_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}
_RETRIED_STATUS: Final = frozenset({418, 429, 500, 502, 503, 504})
_MAX_BODY: Final = 64_000_000
_PLAIN_QUERY: Final = re.compile(r"[A-Za-z0-9_.~=&-]+")


class _Address:
    """What the clients of one address share. `silent_until`: when it wants to hear again, on the event loop's clock."""

    __slots__ = ("__weakref__", "budget", "figure", "orders", "silent_until")

    def __init__(self, weight_burst: float) -> None:
        self.silent_until = 0.0
        self.budget = WeightBudget(weight_burst)
        self.orders = OrderCount()
        self.figure = MinuteFigure()

    def grant(self, exchange_info: Any) -> None:
        """What the venue says that it grants."""
        if (weight := granted_a_minute(exchange_info)) is not None:
            self.budget.grant(weight)
        if (orders := granted_orders(exchange_info)) is not None:
            self.orders.grant(*orders)


_addresses: Final[WeakValueDictionary[str, _Address]] = WeakValueDictionary()
"""The venue counts what comes from this machine, and bans it, whichever of its clients is to blame."""


class RestClient:
    """One venue's REST API. Make it inside a running event loop; `close` it.

    `api_key` and `api_secret` are needed for signed requests only. `weight_burst`: so much may leave at once,
    of all the clients of the address together.
    """

    def __init__(
        self, rest_url: str, clock: Clock, *, api_key: str = "", api_secret: str = "",
        jitter: Callable[[], float] | None = None, timeout_s: float = TIMEOUT_S, first_pause_s: float = 0.5,
        weight_burst: float = BURST,
    ) -> None:
        self.rest_url = rest_url.rstrip("/")
        self._clock = clock
        self._api_key = api_key
        self._api_secret = api_secret.encode()
        self._signer = Signer(self._api_secret)
        # Waits are no part of what is replayed, but tests want them repeatable.
        self._jitter = jitter if jitter is not None else random.Random(0).random  # noqa: S311
        self._timeout_s = timeout_s
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, connect=min(CONNECT_TIMEOUT_S, timeout_s))
        self._first_pause_s = first_pause_s
        self._session: aiohttp.ClientSession | None = None
        try:
            self._line = HttpLine(self.rest_url, min(timeout_s, POST_TIMEOUT_S), min(CONNECT_TIMEOUT_S, timeout_s))
        except ValueError as error:
            raise VenueError(f"rest_url {error}: write https://host in [venues] of config.toml.") from error
        self._address = _addresses.setdefault(self.rest_url, _Address(weight_burst))
        self._turns: dict[Reserve, asyncio.Lock] = {}
        self._posts_form = False
        self._has_posted = False
        self.clock_offset_ns = 0
        self._heed_kept_ban()

    @property
    def has_keys(self) -> bool:
        return bool(self._api_key and self._api_secret)

    @property
    def order_count(self) -> OrderCount:
        """Of all new orders of this process at the address."""
        return self._address.orders

    def banned_for_s(self) -> float:
        """Seconds for which the venue wants to hear nothing (429 or 418 with Retry-After)."""
        if not self._address.silent_until:
            return 0.0
        return max(0.0, self._address.silent_until - asyncio.get_running_loop().time())

    async def read(
        self, path: str, parameters: Mapping[str, str | int] | None = None, *,
        weight: int = 1, reserve: Reserve = FOR_ORDERS, signed: bool = False, method: str = "GET",
    ) -> Answer:
        """A request that may be repeated: up to five times on network errors, 429, 418 and 5xx.

        One of no `weight` is urgent: it does not wait behind others. One of a `reserve` gives way to those of less.
        Returns the venue's answer, good or a refusal with its code; raises `VenueError` when there is none.
        """
        backoff = Backoff(self._jitter, self._first_pause_s, 8.0)
        problem, is_clock_set = "", False
        for attempt in range(READ_ATTEMPTS):
            await self._take_leave(path, weight, reserve)
            try:
                answer = await self.once(method, path, parameters, signed=signed)
            except TransportError as error:
                problem = str(error)
            else:
                if path == LIMITS and answer.is_ok:
                    self._address.grant(answer.body)
                is_clock_doubted = answer.code == TIMESTAMP_REFUSED and not is_clock_set
                is_answer = answer.status not in _RETRIED_STATUS and (answer.is_ok or answer.status >= 400)
                if is_answer and not is_clock_doubted:
                    return answer
                problem = f"HTTP {answer.status} {answer.message}".strip()
                if answer.status in (418, 429):
                    continue  # the ban's own length is waited out above
                if is_clock_doubted:
                    trouble = await self.clock_trouble()
                    if not trouble:
                        is_clock_set = True
                        continue
                    problem = trouble
            if attempt + 1 < READ_ATTEMPTS:
                await asyncio.sleep(backoff.next_s())
        raise NoAnswerError(
            f"{self.rest_url}{path}: no answer after {READ_ATTEMPTS} attempts, last: {problem}. "
            "Check the network and the rest_url of this venue in config.toml."
        )

    async def once(
        self, method: str, path: str, parameters: Mapping[str, str | int] | None = None, *, signed: bool = False,
    ) -> Answer:
        """Exactly one request, however it ends; raises `TransportError` when there is no readable answer.

        What is posted takes the bare line, whose connections are kept open: an order is in a hurry.
        """
        query = dict(parameters or {})
        headers = {"X-MBX-APIKEY": self._api_key} if self._api_key else {}
        window_ms = POST_WINDOW_MS if method == "POST" else RECEIVE_WINDOW_MS
        text = self.sign(query, window_ms) if signed else _query(query)
        target = f"{path}?{text}" if text else path
        try:
            if method == "POST":
                target, headers, body = self._posted(path, text)
                return self._from_line(await self._line.request(method, target, headers, body))
            answer = await self._in_session(method, target, headers)
        except (aiohttp.ClientError, LineError, TimeoutError, OSError) as error:
            raise _lost(method, path, error) from error
        return self._noted(answer)

    def post_now(self, path: str, parameters: Mapping[str, str | int]) -> SentRequest | None:
        """A signed POST, written to an open connection before this returns; None when none is open (use `once`).

        Raises `ValueError` before anything is sent. `answer_to` waits for the answer.
        """
        target, headers, body = self._posted(path, self.sign(parameters, POST_WINDOW_MS))
        return self._line.send_now("POST", target, headers, body)

    def prepare_post(self, path: str, parameters: Mapping[str, str | int]) -> PreparedPost | None:
        """What `post_now` would send, but for the time; None where posts go as forms.

        Raises `ValueError` for what could not be sent.
        """
        if self._posts_form:
            return None
        text = f"{_query(parameters)}&recvWindow={POST_WINDOW_MS}&timestamp="
        before, behind = self._line.around("POST", f"{path}?{text}", {"X-MBX-APIKEY": self._api_key, **_NAME})
        return PreparedPost(self._line, self._signer, self.timestamp_ms, before, self._signer.begin(text), behind)

    def _posted(self, path: str, text: str) -> tuple[str, dict[str, str], str]:
        """Target, headers and body of a POST."""
        key = {"X-MBX-APIKEY": self._api_key, **_NAME}
        return (path, {**key, **_FORM}, text) if self._posts_form else (f"{path}?{text}", key, "")

    def wants_form(self, answer: Answer) -> bool:
        """Whether a POST that was so refused should come again as a form; from then on all of them do.

        Binance reads both, but one that speaks its protocol may read the body only. Asked of the first order alone.
        """
        is_first, self._has_posted = not self._has_posted, True
        if not is_first or self._posts_form or answer.code not in _UNREAD:
            return False
        self._posts_form = True
        return True

    async def answer_to(self, sent: SentRequest, path: str) -> Answer:
        """The answer to what `post_now` sent; raises `TransportError` as `once` does."""
        try:
            return self._from_line(await sent.answer())
        except (LineError, OSError) as error:
            raise _lost("POST", path, error) from error

    def _noted(self, answer: Answer) -> Answer:
        """Remembers for how long the venue wants to hear nothing."""
        if answer.status in (418, 429):
            self.keep_silent(answer.retry_after_s or self._silence_told(answer))
        return answer

    def _silence_told(self, answer: Answer) -> float:
        """Seconds until what the words of a ban without Retry-After say, or what such a ban lasts at least."""
        told = _BANNED_UNTIL.search(answer.message)
        left_s = (int(told["ms"]) - self.timestamp_ms()) / 1_000 if told else 0.0
        least_s = _LEAST_BAN_S if answer.status == 418 else 1.0
        return max(left_s, least_s) if left_s <= long_bans.LONGEST_S else least_s

    def keep_silent(self, pause_s: float) -> None:
        """Ask nothing of this address for so long; a long ban holds for the next process, too."""
        long_bans.of_this_process.note(self.rest_url, pause_s, self._clock.now())
        until = asyncio.get_running_loop().time() + pause_s
        self._address.silent_until = max(self._address.silent_until, until)

    def _heed_kept_ban(self) -> None:
        """One that an earlier process was told of, or another one of this machine that keeps its bans in our folder."""
        if (left_s := long_bans.of_this_process.left_s(self.rest_url, self._clock.now())) > 0:
            until = asyncio.get_running_loop().time() + left_s
            self._address.silent_until = max(self._address.silent_until, until)

    async def keep_warm(self) -> None:
        """Use the orders' line once, so that an order need not wait for a TLS handshake."""
        with contextlib.suppress(LineError):
            self._from_line(await self._line.request("GET", "/api/v3/ping", _NAME))

    async def probe(self) -> str:
        """Why requests are not answered; "" when they are, or are not wanted for a while (429, 418)."""
        self._heed_kept_ban()
        if self.banned_for_s() > 0:
            return ""
        try:
            answer = await self.once("GET", "/api/v3/ping")
        except TransportError as error:
            return str(error)
        return f"HTTP {answer.status}" if answer.status >= 500 else ""

    def _heed_used_weight(self, text: str) -> None:
        """What this machine has used of the venue's minute, other processes included.

        Not at the beginning of a minute: it may be told of the one before, for an answer takes up to its time limit.
        """
        now_s = self.timestamp_ms() / 1_000
        passed_s = now_s % MINUTE_S
        if passed_s < self._timeout_s or (used := used_weight(text)) is None:
            return
        if self._address.figure.is_sound(now_s, used):
            self._address.budget.note_used(asyncio.get_running_loop().time(), used, MINUTE_S - passed_s)

    def _from_line(self, answer: LineAnswer) -> Answer:
        self._address.budget.spend(1)  # an order does not ask for its leave there
        self._heed_used_weight(answer.headers.get(USED_WEIGHT.lower(), ""))
        pause_s = retry_after_s(answer.headers.get("retry-after", ""), self._clock.now())
        return self._noted(_to_answer(answer.status, bytes(answer.body), pause_s))

    async def _in_session(self, method: str, target: str, headers: dict[str, str]) -> Answer:
        # The text was encoded once, for the signature: letting the client encode again would break it.
        url = URL(self.rest_url + target, encoded=True)
        async with self._open().request(method, url, headers=headers, allow_redirects=False) as response:
            raw = await _body(response, target)
            self._heed_used_weight(response.headers.get(USED_WEIGHT, ""))
            pause_s = retry_after_s(response.headers.get("Retry-After", ""), self._clock.now())
            return _to_answer(response.status, raw, pause_s)

    def sign(self, parameters: Mapping[str, str | int], window_ms: int = RECEIVE_WINDOW_MS) -> str:
        """The query with timestamp, window and HMAC-SHA256 signature ("Signed endpoint security")."""
        given = f"{_query(parameters)}&" if parameters else ""
        text = f"{given}recvWindow={window_ms}&timestamp={self.timestamp_ms()}"
        return f"{text}&signature={self._signer.sign(text)}"

    def signature_parameters(self, parameters: Mapping[str, str | int]) -> dict[str, str | int]:
        """The same for the WebSocket API, which signs its parameters in alphabetic order."""
        full = {**parameters, "apiKey": self._api_key, "timestamp": self.timestamp_ms()}
        text = "&".join(f"{key}={full[key]}" for key in sorted(full))
        return {**full, "signature": self._signer.sign(text)}

    def timestamp_ms(self) -> int:
        """Our time as the venue's clock would show it."""
        return (self._clock.now() + self.clock_offset_ns) // 1_000_000

    async def synchronise_clock(self) -> None:
        """Measure how far the venue's clock is from ours, halving the round trip.

        A server that tells no time (404) is taken to have ours. Raises `TransportError`, also while it wants silence.
        """
        if self.banned_for_s() > 0:
            raise TransportError(f"the venue wants no requests for another {self.banned_for_s():.0f} s (rate limit)")
        before = self._clock.now()
        answer = await self.once("GET", "/api/v3/time")
        after = self._clock.now()
        if answer.status == 404:
            self.clock_offset_ns = 0
            return
        server_ms = answer.body.get("serverTime") if answer.is_ok and isinstance(answer.body, dict) else None
        if type(server_ms) is not int:
            raise TransportError(f"GET /api/v3/time: HTTP {answer.status} without serverTime")
        self.clock_offset_ns = server_ms * 1_000_000 - (before + after) // 2

    async def clock_trouble(self) -> str:
        """Why the clock cannot be set; "" when it was."""
        try:
            await self.synchronise_clock()
        except TransportError as error:
            return str(error)
        return ""

    async def close(self) -> None:
        """Close the connections; the client may be used again after."""
        self._line.close()
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout)
        return self._session

    async def _wait_out_ban(self, path: str) -> None:
        await wait_out_ban(self.banned_for_s, self.rest_url + path, "one daemon per address")

    async def _take_leave(self, path: str, weight: int, reserve: Reserve) -> None:
        """Until the request may be sent; it must be at once, before the venue can say that it wants none."""
        if not weight:
            await self._wait_out_ban(path)
            self._address.budget.spend(1)
            return
        budget, loop = self._address.budget, asyncio.get_running_loop()
        async with self._turns.setdefault(reserve, asyncio.Lock()):
            while True:
                self._heed_kept_ban()
                await self._wait_out_ban(path)
                if budget.take_now(loop.time(), weight, reserve):
                    return
                await asyncio.sleep(budget.wait_s(loop.time(), weight, reserve))


def _query(parameters: Mapping[str, str | int]) -> str:
    """As `urlencode`, ten times faster for what needs no quoting, which an order never does."""
    try:
        text = "&".join(map("=".join, parameters.items()))  # type: ignore[arg-type]  # an int raises TypeError
    except TypeError:
        text = "&".join([f"{name}={value}" for name, value in parameters.items()])
    if _PLAIN_QUERY.fullmatch(text) and text.count("=") == len(parameters) == text.count("&") + 1:
        return text
    return urlencode(parameters)


def _lost(method: str, path: str, error: Exception) -> TransportError:
    return TransportError(f"{method} {path}: {(str(error) or type(error).__name__)[:200]}")


async def _body(response: aiohttp.ClientResponse, path: str) -> bytes:
    """The whole body, but no more than is sane."""
    raw = bytearray()
    async for chunk in response.content.iter_chunked(1 << 16):
        raw += chunk
        if len(raw) > _MAX_BODY:
            raise TransportError(f"{path.partition('?')[0]}: an answer of more than {_MAX_BODY} bytes")
    return bytes(raw)


def _to_answer(status: int, raw: bytes, pause_s: float) -> Answer:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        words = " ".join(raw[:100].decode("utf-8", "replace").split())
        return Answer(status, None, message=words, retry_after_s=pause_s)
    code, message = 0, ""
    if status >= 400 and isinstance(body, dict) and type(body.get("code")) is int:
        code, message = body["code"], str(body.get("msg", ""))[:200]
    return Answer(status, body, code, message, pause_s)
