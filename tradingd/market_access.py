"""How this run reaches its market: a venue, or a practice exchange of our own, live or playing a recording."""

import random
from collections.abc import Callable, Collection
from pathlib import Path

from bus.clock import LiveClock
from exchanges import long_bans
from exchanges.binance.market_client import MarketClient, RecordingInfo
from tradingd import composition
from tradingd.live_gate import check_live
from tradingd.practice_child import PracticeChild, PracticeOptions
from tradingd.run_options import RunOptions
from tradingd.settings import Settings, VenueSettings
from tradingd.settings_errors import ConfigError
from tradingd.venue_access import check_addresses

_NO_RECORDING = RecordingInfo(is_replay=False, first_ns=0, has_candles=False)


class MarketAccess:
    """Ask `is_replay`, then `launch`, then `urls` (waits until the practice exchange listens), then `recording`."""

    def __init__(self, settings: Settings, options: RunOptions, on_death: Callable[[str], None]) -> None:
        self._settings = settings
        self._options = options
        self._on_death = on_death
        self._venue = settings.venues.get(settings.venue, VenueSettings())
        self._child: PracticeChild | None = None
        self.no_kill_file = ""
        """Why a kill file cannot be made, found by `launch` over what is at stake."""

    async def is_replay(self) -> bool:
        """Asked for by --replay, or played by a practice exchange that somebody else started."""
        if self._options.replay:
            return True
        if self._settings.venue != "practice" or not self._venue.rest_url:
            return False
        return (await self._ask(self._venue)).is_replay

    async def launch(
        self, data_dir: Path, *, not_before_ns: int, held: Collection[str] = (), shift_days: int | None = None,
        fast_until_ns: int = 0, stake: str = "",
    ) -> None:
        """Start the practice exchange, when one is needed; it boots beside us.

        `stake`: what is open in the account. `held`: symbols it must list, too. `shift_days`, `fast_until_ns`: of a cut
        replay, which is played again up to where it was cut.
        """
        settings, options = self._settings, self._options
        if settings.venue != "practice" and not options.replay:
            check_addresses(settings, self._venue)
            long_bans.of_this_process.keep_in(data_dir)
            if settings.mode == "live":
                limits = composition.make_limits(settings)
                self.no_kill_file = check_live(settings, self._venue, limits, data_dir, stake=stake)
        if not options.replay and (settings.venue != "practice" or self._venue.rest_url):
            if settings.practice.faults:
                raise ConfigError(
                    f"{settings.where('practice', 'faults')}: "
                    f"a script goes to a practice exchange that the daemon starts "
                    f"itself, and this run trades on another ({settings.venue}). Leave it out."
                )
            return
        self._child = PracticeChild(
            PracticeOptions(
                data_dir=data_dir, seed=settings.seed,
                symbols=composition.practice_symbols(settings, is_replay=bool(options.replay), held=held),
                port=settings.practice.port, volatility=settings.practice.volatility, replay=options.replay,
                speed=options.speed, not_before_ns=not_before_ns, faults=settings.practice.faults,
                shift_days=shift_days, fast_until_ns=fast_until_ns,
            ),
            self._on_death,
        )
        await self._child.launch()

    @property
    def has_child(self) -> bool:
        """Is a practice exchange of our own booting beside us?"""
        return self._child is not None

    async def urls(self) -> VenueSettings:
        """Where the market is reached."""
        if self._child is None:
            return self._venue
        urls = await self._child.start()
        # Whatever venue is configured: a recording is played in Binance's formats.
        return VenueSettings(
            rest_url=urls.rest_url, ws_url=urls.ws_url, ws_api_url=urls.ws_api_url, protocol="binance"
        )

    async def recording(self, urls: VenueSettings) -> RecordingInfo:
        """What is played there, if anything."""
        if self._child is None and self._settings.venue != "practice":
            return _NO_RECORDING
        return await self._ask(urls)

    async def _ask(self, urls: VenueSettings) -> RecordingInfo:
        client = MarketClient("practice", urls.rest_url, LiveClock(), random.random, is_replay=True)
        try:
            return await client.recording()
        finally:
            await client.close()

    async def close(self) -> None:
        """End the practice exchange, if it is ours."""
        if self._child is not None:
            await self._child.stop()
