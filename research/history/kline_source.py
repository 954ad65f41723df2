"""A venue's REST klines as a source of history (Binance, Binance US, the practice exchange)."""

from collections.abc import Callable, Sequence
from typing import Final

from bus.clock import Clock
from exchanges.answers import TransportError, VenueError
from exchanges.binance.market_rest import parse_candles
from exchanges.binance.parser import FrameError
from exchanges.binance.rest import LIMITS, RestClient
from exchanges.binance.weight_budget import FOR_HISTORY
from market.ticks import Candle
from research.history.rest_source import RestSource
from research.history.symbol_names import wire_symbol

_INVALID_INTERVAL: Final = -1120
_INVALID_SYMBOL: Final = -1121
_WEIGHT: Final = 2
_LIMITS_WEIGHT: Final = 20


class IntervalNotOfferedError(VenueError):
    """The venue has no candles of this length: make them of shorter ones."""


class KlineSource(RestSource):
    """`async with KlineSource(...) as source`; every trouble of the venue is a `VenueError` with the remedy.

    It gives way to a daemon of this machine: the venue tells with each answer what both have used.
    """

    def __init__(self, name: str, rest_url: str, clock: Clock, jitter: Callable[[], float]) -> None:
        super().__init__(name, RestClient(rest_url, clock, jitter=jitter))
        self._clock = clock
        self._knows_limits = False

    async def candles(self, symbol: str, interval: str, start_ns: int, limit: int) -> Sequence[Candle]:
        """The first closed candles at or after `start_ns`."""
        if self._rest.clock_offset_ns == 0:
            try:
                await self._rest.synchronise_clock()
            except TransportError as error:
                raise VenueError(f"{self.name}: {error}. Check the network and --rest-url.") from error
        if not self._knows_limits:
            # The client reads what is granted there; one that says nothing of it grants the usual.
            told = await self._rest.read(
                LIMITS, {"symbol": wire_symbol(symbol)}, weight=_LIMITS_WEIGHT, reserve=FOR_HISTORY
            )
            self._knows_limits = told.code != _INVALID_SYMBOL  # then the next symbol's answer tells
        closed_ns = self._clock.now() + self._rest.clock_offset_ns  # what ends from here on is open in the answer
        answer = await self._rest.read(
            "/api/v3/klines",
            {"symbol": wire_symbol(symbol), "interval": interval, "startTime": -(-start_ns // 1_000_000),
             "limit": limit},
            weight=_WEIGHT, reserve=FOR_HISTORY,
        )
        if answer.code == _INVALID_INTERVAL:
            raise IntervalNotOfferedError(f"{self.name} has no {interval} candles")
        if answer.code == _INVALID_SYMBOL:
            raise VenueError(f"{self.name} does not know {symbol}: write it as BASE/QUOTE, such as BTC/USDT.")
        if not answer.is_ok:
            raise VenueError(
                f"{self.name}: klines of {symbol}: HTTP {answer.status} {answer.message}. Check --rest-url "
                f"({self._rest.rest_url})."
            )
        try:
            return parse_candles(answer.body, symbol, interval, closed_ns)
        except FrameError as error:
            raise VenueError(
                f"{self.name}: klines of {symbol}: {error}. Is {self._rest.rest_url} a Binance REST address?"
            ) from error
