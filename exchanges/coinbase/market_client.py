"""Public REST of Coinbase as typed facts: asks, checks the answer, and explains what goes wrong.

Nothing here is signed but the question for the account's fees, so that a feed without keys never loads ccxt.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, TypeVar

from bus.clock import Clock
from exchanges.answers import Answer, VenueError
from exchanges.binance.parser import FrameError
from exchanges.binance.rest import RestClient
from exchanges.coinbase.keys import NO_KEYS, KeyPair
from exchanges.coinbase.market_rest import (
    DEFAULT_MAKER_FEE,
    DEFAULT_TAKER_FEE,
    GRANULARITIES,
    parse_aliases,
    parse_candles,
    parse_fees,
    parse_instruments,
    parse_quote,
    parse_time,
    parse_trades,
)
from exchanges.coinbase.rest import CoinbaseRest
from exchanges.venue_time import VenueTime
from market.instrument import Instrument
from market.interval import SECOND_NS, interval_ns
from market.ticks import Candle, QuoteTick, TradeTick

CANDLES_A_CALL: Final = 300
MOST_CANDLES: Final = 1_500
RECENT_TRADES: Final = 1_000
_API: Final = "/api/v3/brokerage/"
_WEIGHT: Final = 10
"""Of the pacer's 80 a second: the venue grants an address ten requests a second, and says 429 to the eleventh."""
_BURST: Final = 10 * _WEIGHT
_Parsed = TypeVar("_Parsed")


class MarketClient:
    """Every method raises `VenueError` with the remedy when the venue gives no answer to be believed.

    `is_live`: the account proves its keys itself, so a refusal is no reason to know no instruments.
    """

    def __init__(
        self, name: str, rest_url: str, clock: Clock, jitter: Callable[[], float], keys: KeyPair = NO_KEYS, *,
        is_live: bool = False,
    ) -> None:
        self._name = name
        self._is_live = is_live
        self._clock = clock
        self._keys = keys
        self._jitter = jitter
        self._rest = RestClient(rest_url, clock, jitter=jitter, weight_burst=_BURST)
        self._time = VenueTime(clock, self._ask_time)
        self.aliases: dict[str, str] = {}

    async def instruments(self) -> list[Instrument]:
        """All spot pairs, with the account's own fees where there are keys."""
        fees = await self._fees()
        answer = await self._read("market/products", {"product_type": "SPOT"})
        self.aliases = parse_aliases(answer.body)
        return self._checked("products", answer, lambda body: parse_instruments(body, fees))

    async def _fees(self) -> tuple[Decimal, Decimal]:
        if not self._keys:
            return DEFAULT_MAKER_FEE, DEFAULT_TAKER_FEE
        signed = CoinbaseRest(self._rest.rest_url, self._clock, keys=self._keys, jitter=self._jitter)
        try:
            answer = await signed.read("brokerage/transaction_summary", {"product_type": "SPOT"})
        finally:
            await signed.close()
        if answer.status == 404 or (self._is_live and answer.status in (401, 403)):
            return DEFAULT_MAKER_FEE, DEFAULT_TAKER_FEE  # the dearest: an estimate that errs so costs nothing
        if answer.status in (401, 403):
            raise VenueError(
                f"{self._name}: the venue refuses our key (HTTP {answer.status} {answer.message.strip()}) where the "
                f"account's fees are asked for. Check TRADINGD__VENUES__{self._name.upper()}__API_KEY and __API_SECRET "
                "and the key's rights, or trade on paper without them."
            )
        return self._checked("transaction_summary", answer, parse_fees)

    async def candles(self, instrument: Instrument, interval: str, limit: int) -> list[Candle]:
        """The latest closed candles, oldest first; none where the venue has no such interval.

        Minutes without a trade have no candle: fewer than `limit` may come.
        """
        granularity = GRANULARITIES.get(interval)
        limit = min(limit, MOST_CANDLES)
        if granularity is None or limit <= 0:
            return []
        length_s = interval_ns(interval) // SECOND_NS
        closed_before = await self._time.now()
        end_s = closed_before // SECOND_NS
        oldest_s = end_s - (limit + 1) * length_s
        found: dict[int, Candle] = {}
        while end_s > oldest_s:
            start_s = max(oldest_s, end_s - CANDLES_A_CALL * length_s)
            answer = await self._read(
                f"market/products/{instrument.venue_symbol}/candles",
                {"start": start_s, "end": end_s, "granularity": granularity, "limit": CANDLES_A_CALL},
            )
            for candle in self._checked(
                f"candles of {instrument.symbol}", answer,
                lambda body: parse_candles(body, instrument.symbol, interval, closed_before),
            ):
                found[candle.ts_open] = candle
            end_s = start_s
        return [found[ts_open] for ts_open in sorted(found)][-limit:]

    async def recent_trades(self, instrument: Instrument) -> list[tuple[int, TradeTick]]:
        """The last thousand trades with their numbers, oldest first."""
        answer = await self._read(f"market/products/{instrument.venue_symbol}/ticker", {"limit": RECENT_TRADES})
        now = self._clock.now()
        return self._checked(
            f"trades of {instrument.symbol}", answer, lambda body: parse_trades(body, instrument.symbol, now)
        )

    async def quote(self, instrument: Instrument) -> QuoteTick | None:
        """Best bid and ask; None when they cannot be believed."""
        answer = await self._read("market/product_book", {"product_id": instrument.venue_symbol, "limit": 1})
        now = self._clock.now()
        return self._checked(
            f"product_book of {instrument.symbol}", answer, lambda body: parse_quote(body, instrument.symbol, now)
        )

    async def clock_offset_ns(self) -> int:
        """How far the venue's clock is ahead of ours; 0 when the server does not tell its time (404)."""
        before = self._clock.now()
        told = await self._ask_time()
        after = self._clock.now()
        return 0 if told is None else told - (before + after) // 2

    async def _ask_time(self) -> int | None:
        answer = await self._read("time", {})
        return None if answer.status == 404 else self._checked("time", answer, parse_time)

    async def close(self) -> None:
        """Close the connections; the client may be used again after."""
        await self._rest.close()

    async def _read(self, path: str, parameters: dict[str, str | int]) -> Answer:
        return await self._rest.read(_API + path, parameters, weight=_WEIGHT)

    def _checked(self, what: str, answer: Answer, parse: Callable[[Any], _Parsed]) -> _Parsed:
        if not answer.is_ok:
            raise VenueError(
                f"{self._name}: {what}: the venue answered HTTP {answer.status} {answer.message}. "
                f"Check symbols and venues.{self._name}.rest_url ({self._rest.rest_url}) in config.toml."
            )
        try:
            return parse(answer.body)
        except FrameError as error:
            raise VenueError(
                f"{self._name}: {what}: {error}. Is {self._rest.rest_url} (rest_url) really Coinbase's REST address?"
            ) from error
