"""Coinbase's REST door: a share of each second for each class of request, retries where safe, silence while banned.

What is read goes through ccxt. What is posted goes over a bare line with a token signed beforehand: an order is in a
hurry, and ccxt with its HTTP client takes several times the whole rest of the way from a tick to it.
"""

import asyncio
import contextlib
import json
import random
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Final, Literal
from urllib.parse import urlsplit

import orjson

from bus.clock import Clock
from exchanges import long_bans
from exchanges.answers import Answer, NoAnswerError, TransportError, VenueError
from exchanges.backoff import Backoff
from exchanges.ban_wait import wait_out_ban
from exchanges.binance.parser import FrameError
from exchanges.coinbase.ccxt_bridge import CcxtBridge, Parameters, RawAnswer
from exchanges.coinbase.keys import NO_KEYS, KeyPair
from exchanges.coinbase.market_rest import parse_time
from exchanges.coinbase.second_budget import SecondBudget
from exchanges.http_line import HttpLine, LineAnswer, LineError, SentRequest
from exchanges.retry_after import retry_after_s
from market.interval import SECOND_NS

READ_ATTEMPTS: Final = 5
TIMEOUT_S: Final = 10.0
SKEW_NS: Final = 2 * SECOND_NS
"""A clock that turns out to be further off than this explains a refused signature."""
CONNECT_TIMEOUT_S: Final = 5.0
TOKEN_FRESH_S: Final = 40
"""A token made beforehand is used so long; the venue takes it for two minutes, and each request wants its own."""
ORDERS: Final = "brokerage/orders"
_NAME: Final = {"User-Agent": "tradingd"}
_RETRIED_STATUS: Final = frozenset({429, 500, 502, 503, 504})
Budget = Literal["cancel", "account"]
"""Whose share of the requests a read uses."""


class OrderShare:
    """What an account's requests leave to its orders: exits before entries."""

    def __init__(self, second: SecondBudget) -> None:
        self._second = second

    def take_now(self, *, is_urgent: bool) -> bool:
        """Take one request if it may leave at once."""
        return self._second.take_now("exit" if is_urgent else "entry", asyncio.get_running_loop().time())

    def wait_s(self, *, is_urgent: bool) -> float:
        """How long until one request may leave, if nobody else takes it."""
        return self._second.wait_s("exit" if is_urgent else "entry", asyncio.get_running_loop().time())


class CoinbaseRest:
    """One account's REST API: every request is signed. Use it inside a running event loop; `close` it.

    Paths are those behind /api/v3/ ("brokerage/orders").
    """

    def __init__(
        self, rest_url: str, clock: Clock, *, keys: KeyPair = NO_KEYS, jitter: Callable[[], float] | None = None,
        timeout_s: float = TIMEOUT_S, first_pause_s: float = 0.5,
    ) -> None:
        parts = urlsplit(rest_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise VenueError(f"rest_url {rest_url!r} is not an http or https address: write https://host.")
        self.rest_url = rest_url.rstrip("/")
        self._account = f"{self.rest_url} (account)"  # the venue counts an account's requests apart from an address's
        self.keys = keys
        self.clock_offset_ns = 0
        self._clock = clock
        # Waits are no part of what is replayed, but tests want them repeatable.
        self._jitter = jitter if jitter is not None else random.Random(0).random  # noqa: S311
        self._first_pause_s = first_pause_s
        self._bridge = CcxtBridge(self.rest_url, keys, timeout_s, self.venue_seconds)
        self._line = HttpLine(self.rest_url, timeout_s, min(CONNECT_TIMEOUT_S, timeout_s))
        self._is_form_settled = self._signs_old_form = False
        self._spare: tuple[int, str] | None = None  # (made at, in the venue's seconds; token) for the next order
        self._second = SecondBudget()
        self._turns: dict[Budget, asyncio.Lock] = {}
        self.order_share = OrderShare(self._second)
        self._banned_until = 0.0
        self._heed_kept_ban()

    def venue_seconds(self) -> int:
        """Our time as the venue's clock would show it, in whole seconds."""
        return (self._clock.now() + self.clock_offset_ns) // SECOND_NS

    def banned_for_s(self) -> float:
        """Seconds for which the venue wants to hear nothing (429)."""
        return max(0.0, self._banned_until - asyncio.get_running_loop().time())

    async def open(self) -> None:
        """Make ready what takes long the first time."""
        await self._bridge.open()

    def stream_token(self) -> str:
        """A fresh JWT for one websocket message."""
        return self._bridge.stream_token()

    async def read(
        self, path: str, parameters: Parameters | None = None, *, budget: Budget = "account", method: str = "GET",
    ) -> Answer:
        """A request that may be repeated: up to five times on network errors, 429 and 5xx; once for a wrong clock.

        Returns the venue's answer, good or a refusal; raises `VenueError` when there is none.
        """
        backoff = Backoff(self._jitter, self._first_pause_s, 8.0)
        problem, is_clock_asked = "", False
        for attempt in range(READ_ATTEMPTS):
            await self._take_leave(path, budget)
            try:
                answer = await self.once(method, path, parameters)
            except TransportError as error:
                problem = str(error)
            else:
                if answer.status == 401 and not is_clock_asked:
                    is_clock_asked = True
                    if await self.was_clock_wrong():
                        problem = "HTTP 401: our clock was wrong"
                        continue
                answer = await self._in_accepted_form(answer, method, path, parameters, budget)
                if answer.status not in _RETRIED_STATUS and (answer.is_ok or answer.status >= 400):
                    return answer
                problem = f"HTTP {answer.status} {answer.message}".strip()
                if answer.status == 429 and attempt + 1 < READ_ATTEMPTS:
                    continue  # the ban's own length is waited out above
            if attempt + 1 < READ_ATTEMPTS:
                await asyncio.sleep(backoff.next_s())
        raise NoAnswerError(
            f"{self.rest_url}/api/v3/{path}: no answer after {READ_ATTEMPTS} attempts, last: {problem}. "
            "Check the network and the rest_url of this venue in config.toml."
        )

    async def _in_accepted_form(
        self, answer: Answer, method: str, path: str, parameters: Parameters | None, budget: Budget
    ) -> Answer:
        """The answer to a read; where the first one since the start is a 401, that to the older form if it is taken."""
        if self._is_form_settled or method != "GET" or answer.status in _RETRIED_STATUS:
            return answer
        self._is_form_settled = True
        if answer.status != 401:
            return answer
        await self._take_leave(path, budget)
        self._bridge.signs_old_form = True
        with contextlib.suppress(TransportError):
            other = await self.once(method, path, parameters)
            if other.status != 401 and other.status not in _RETRIED_STATUS:
                self._signs_old_form, self._spare = True, None
                return other
        self._bridge.signs_old_form = False
        return answer

    async def once(self, method: str, path: str, parameters: Parameters | None = None) -> Answer:
        """Exactly one request, at once and however it ends; raises `TransportError` when there is no whole answer."""
        if method != "POST":
            return self._noted(self._answer(await self._bridge.send(method, path, parameters or {}, signed=True)))
        try:
            return self._from_line(await self._line.request("POST", *self._posted(path, json.dumps(parameters or {}))))
        except (LineError, OSError) as error:
            raise _lost(path, error) from error

    def post_now(self, path: str, body: str) -> SentRequest | None:
        """As `once` for an order (`body` in JSON), but written to an open connection before this returns.

        None when none is open. `answer_to` waits for the answer.
        """
        return self._line.send_now("POST", *self._posted(path, body))

    async def answer_to(self, sent: SentRequest, path: str) -> Answer:
        """The answer to what `post_now` sent; raises `TransportError` as `once` does."""
        try:
            return self._from_line(await sent.answer())
        except (LineError, OSError) as error:
            raise _lost(path, error) from error

    async def keep_warm(self) -> None:
        """Use the orders' line once and sign for the next order, so that it need wait for neither."""
        with contextlib.suppress(LineError):
            await self._line.request("GET", "/api/v3/brokerage/time", _NAME)
        self._sign_ahead()

    async def _take_leave(self, path: str, budget: Budget) -> None:
        """Until the request may be sent; it must be at once, before the venue can say that it wants none."""
        now = asyncio.get_running_loop().time
        async with self._turns.setdefault(budget, asyncio.Lock()):
            while True:
                self._heed_kept_ban()
                await wait_out_ban(self.banned_for_s, f"{self.rest_url}/api/v3/{path}", "one daemon per account")
                if self._second.take_now(budget, now()):
                    return
                await asyncio.sleep(self._second.wait_s(budget, now()))

    def _posted(self, path: str, body: str) -> tuple[str, dict[str, str], str]:
        """Target, headers and body of a POST."""
        headers = {
            "Authorization": f"Bearer {self._token(path)}", "Content-Type": "application/json",
            **_NAME,
        }
        return f"/api/v3/{path}", headers, body

    def _token(self, path: str) -> str:
        now, spare = self.venue_seconds(), self._spare
        if path == ORDERS and spare is not None:
            self._spare = None
            if 0 <= now - spare[0] <= TOKEN_FRESH_S:
                return spare[1]
        return self._sign(now, path)

    def _sign(self, now: int, path: str) -> str:
        url = f"{self.rest_url}/api/v3/{path}"
        return self.keys.token(now, "POST", url, is_old_form=self._signs_old_form)

    def _sign_ahead(self) -> None:
        now = self.venue_seconds()
        self._spare = now, self._sign(now, ORDERS)

    def _from_line(self, answer: LineAnswer) -> Answer:
        if self._spare is None:
            self._sign_ahead()
        return self._noted(self._answer(
            RawAnswer(answer.status, answer.headers, answer.body.decode("utf-8", "replace"))
        ))

    def _answer(self, raw: RawAnswer) -> Answer:
        return to_answer(raw, retry_after_s(raw.headers.get("retry-after", ""), self._clock.now()))

    def _noted(self, answer: Answer) -> Answer:
        """Remembers for how long the venue wants to hear nothing."""
        if answer.status == 429:
            pause = answer.retry_after_s or 1.0
            long_bans.of_this_process.note(self._account, pause, self._clock.now())
            self._banned_until = max(self._banned_until, asyncio.get_running_loop().time() + pause)
        return answer

    def _heed_kept_ban(self) -> None:
        """A long one that an earlier process was told of, or another client of the account."""
        if (left_s := long_bans.of_this_process.left_s(self._account, self._clock.now())) > 0:
            self._banned_until = max(self._banned_until, asyncio.get_running_loop().time() + left_s)

    async def was_clock_wrong(self) -> bool:
        """Set the clock anew after a refused signature; true when that may have been the reason."""
        before = self.clock_offset_ns
        try:
            await self.synchronise_clock()
        except TransportError:
            return False
        return abs(self.clock_offset_ns - before) > SKEW_NS

    async def synchronise_clock(self) -> None:
        """Measure how far the venue's clock is from ours, halving the round trip.

        Raises `TransportError`, also while nothing may be asked.
        """
        if self.banned_for_s() > 0:
            raise TransportError(f"the venue wants no requests for another {self.banned_for_s():.0f} s (rate limit)")
        before = self._clock.now()
        raw = await self._bridge.send("GET", "brokerage/time", {}, signed=False)
        after = self._clock.now()
        if self._noted(self._answer(raw)).status == 429:
            raise TransportError(f"the venue wants no requests for another {self.banned_for_s():.0f} s (rate limit)")
        self.clock_offset_ns = _told_time_ns(raw) - (before + after) // 2
        self._spare = None

    async def probe(self) -> str:
        """Why requests are not answered; "" when they are, or are not wanted for a while (429)."""
        self._heed_kept_ban()
        if self.banned_for_s() > 0:
            return ""
        try:
            raw = await self._bridge.send("GET", "brokerage/time", {}, signed=False)
        except TransportError as error:
            return str(error)
        self._noted(self._answer(raw))
        return f"HTTP {raw.status}" if raw.status >= 500 else ""

    async def close(self) -> None:
        """Close the connections; the client may be used again after."""
        self._line.close()
        await self._bridge.close()


def _lost(path: str, error: Exception) -> TransportError:
    return TransportError(f"POST {path}: {(str(error) or type(error).__name__)[:200]}")


def to_answer(raw: RawAnswer, pause_s: float = 0.0) -> Answer:
    """The body read by us; `message` is the venue's words for a refusal."""
    try:
        body = orjson.loads(raw.text)
    except orjson.JSONDecodeError:
        return Answer(raw.status, None, message=" ".join(raw.text[:200].split())[:100], retry_after_s=pause_s)
    message = ""
    if raw.status >= 400 and isinstance(body, dict):
        words = (body.get(key) for key in ("error", "message", "error_details"))
        message = ": ".join(dict.fromkeys(str(word)[:150] for word in words if word))
    return Answer(raw.status, body, message=message, retry_after_s=pause_s)


def _told_time_ns(raw: RawAnswer) -> int:
    """The time in the body; without one the time in the header, which is told in whole seconds."""
    with contextlib.suppress(FrameError):
        return parse_time(to_answer(raw).body)
    try:
        return int(parsedate_to_datetime(raw.headers.get("date", "")).timestamp()) * SECOND_NS + SECOND_NS // 2
    except (ValueError, TypeError):
        raise TransportError(f"GET brokerage/time: HTTP {raw.status} without a time") from None
