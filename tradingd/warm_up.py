"""Past candles over REST, told before the first live one: indicators, ATR and alphas learn from them, silently."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from exchanges.answers import VenueError
from market.instrument import Instrument
from market.ticks import Candle
from tradingd.runtime import Runtime
from tradingd.settings import CandleSettings
from tradingd.venue_access import MarketFeed

_log = logging.getLogger(__name__)
_FETCHES_AT_ONCE: Final = 8
_LIMIT_S: Final = 20.0
_NAMED: Final = 6


async def warm_up(
    runtime: Runtime, feed: MarketFeed, instruments: Sequence[Instrument], settings: CandleSettings,
) -> None:
    """Asked for together, taken in a fixed order (symbol, then interval); what the venue lacks is a problem to see."""
    if not settings.warmup:
        return
    at_once = asyncio.Semaphore(_FETCHES_AT_ONCE)
    missing: list[str] = []

    async def fetch(instrument: Instrument, interval: str) -> Sequence[Candle]:
        async with at_once:
            try:
                async with asyncio.timeout(_LIMIT_S):
                    return await feed.candles(instrument, interval, settings.warmup)
            except (VenueError, TimeoutError) as error:
                _log.warning("no history for %s %s: %s", instrument.symbol, interval, error)
                missing.append(f"{instrument.symbol} {interval}")
                return ()

    fetches = [fetch(instrument, interval) for instrument in instruments for interval in settings.intervals]
    for history in await asyncio.gather(*fetches):
        runtime.warm_up(history)
        await asyncio.sleep(0)  # prices are watched meanwhile
    if missing:
        named = ", ".join(sorted(missing)[:_NAMED]) + (" and others" if len(missing) > _NAMED else "")
        runtime.health.raise_condition(
            "past candles", f"the venue gave no past candles of {named}: decisions wait until enough have closed",
            reduces=False,
        )
