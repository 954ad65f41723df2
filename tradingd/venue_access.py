"""Which adapter speaks to which venue.

Each is imported only where it is used: Coinbase's brings ccxt and the signing of tokens along.
"""

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace as with_other
from typing import Final, Literal, Protocol
from urllib.parse import urlsplit

from bus.clock import Clock
from exchanges.binance.market_state import FeedCounters
from exchanges.binance.private_budget import PRIVATE_PER_S
from exchanges.venue import Feed, ReportSink, Venue
from market.instrument import Instrument
from tradingd import composition
from tradingd.settings import LOOPBACK, Settings, VenueSettings
from tradingd.settings_errors import ConfigError

PRACTICE: Final = "practice"
_BY_NAME: Final[dict[str, "Dialect"]] = {
    PRACTICE: "binance", "binance": "binance", "binanceus": "binance", "coinbase": "coinbase",
}
Dialect = Literal["binance", "coinbase", "ccxt"]
_USER_STREAM: Final[dict["Dialect", str]] = {"binance": "ws_api_url", "coinbase": "ws_user_url"}


class MarketFeed(Feed, Protocol):
    """A feed that counts what it hears."""

    name: str
    counters: FeedCounters

    async def clock_offset_ns(self) -> int:
        """How far the venue's clock is ahead of ours; raises `VenueError`."""
        ...

    async def rules(self, instruments: Sequence[Instrument]) -> Sequence[Instrument]:
        """These instruments as the venue has them now, without those it lists no more; raises `VenueError`."""
        ...

    def leave_out(self, symbols: Collection[str]) -> None:
        """All that the venue lists no more: nothing is asked about them until a call without them."""
        ...


class LiveVenue(Venue, Protocol):
    """A real account. `notes`: what a person should know of it although it may trade; filled by `start`."""

    notes: tuple[str, ...]

    def begin(self) -> None:
        """Open the streams and watch the orders; `start` does it once the account was proven."""
        ...

    async def prove_account(self) -> None:
        """That the venue takes the key, and the key may trade; raises `VenueError` with the remedy."""
        ...

    def update_instruments(self, instruments: Sequence[Instrument]) -> None:
        """New rules of known symbols, for the orders that follow."""
        ...


def dialect_of(name: str, venue: VenueSettings) -> Dialect:
    """What is spoken there: said by `protocol`, or known by the venue's name."""
    if venue.protocol != "auto":
        return venue.protocol
    return _BY_NAME.get(name, "ccxt")


def is_loopback(url: str) -> bool:
    """Is the address on this machine?"""
    return urlsplit(url).hostname in LOOPBACK


def check_addresses(settings: Settings, urls: VenueSettings) -> None:
    """Raises `ConfigError` for a venue whose addresses are missing or lead where no order may go in the clear."""
    name = settings.venue
    dialect = dialect_of(name, urls)
    if dialect == "ccxt":
        return
    for key in ("rest_url", "ws_url"):
        if not getattr(urls, key):
            where = settings.where("venues", name, key)
            raise ConfigError(f"{where}: the address is missing. config.toml as shipped has it.")
    for key, secure in (("rest_url", "https"), ("ws_url", "wss"), ("ws_api_url", "wss"), ("ws_user_url", "wss")):
        url = getattr(urls, key)
        parts = urlsplit(url)
        if not url or parts.scheme == secure or (is_loopback(url) and parts.scheme == secure.removesuffix("s")):
            continue
        raise ConfigError(
            f"{settings.where('venues', name, key)}: "
            f"{url!r} is not a {secure}:// address. Only a server on this machine may "
            "be spoken to unencrypted."
        )


def own_addresses(urls: VenueSettings, dialect: Dialect) -> VenueSettings:
    """With the user stream that belongs to a venue on this machine: beside the market's stream, as documented.

    One that the settings name is kept, an empty one too; but not one of the real exchange, which knows none of these
    orders. Beside an address elsewhere nothing is looked for.
    """
    if not is_loopback(urls.rest_url):
        return urls
    parts = urlsplit(urls.ws_url)
    here = f"{parts.scheme}://{parts.netloc}" if is_loopback(urls.ws_url) else ""
    beside = {"ws_api_url": f"{here}/ws-api/v3" if here else "", "ws_user_url": urls.ws_url if here else ""}
    strays = {key for key in beside if getattr(urls, key) and not is_loopback(getattr(urls, key))}
    unsaid = {_USER_STREAM[dialect]} - urls.model_fields_set if dialect in _USER_STREAM else set()
    return urls.model_copy(update={key: beside[key] for key in sorted(strays | unsaid)})


def make_feed(
    settings: Settings, urls: VenueSettings, clock: Clock, *, is_replay: bool,
    on_frame: Callable[[int, bytes], None] | None, urgent: Callable[[], Collection[str]] = lambda: (),
) -> MarketFeed:
    """The market data of the settings' venue. `urgent`: the symbols that are looked after first."""
    jitter = random.Random(settings.seed).random  # noqa: S311 - spreads reconnects, guards nothing
    dialect = dialect_of(settings.venue, urls)
    if dialect == "coinbase":
        from exchanges.coinbase.stream import CoinbaseFeed

        keys = _keys(settings)
        return CoinbaseFeed(
            settings.venue, urls.rest_url, urls.ws_url, clock=clock, jitter=jitter, api_key=keys[0],
            api_secret=keys[1], on_frame=on_frame, is_live=settings.mode == "live", urgent=urgent,
        )
    if dialect == "ccxt":
        from exchanges.ccxt_any.feed import CcxtFeed

        return CcxtFeed(settings.venue, clock=clock, jitter=jitter)
    from exchanges.binance.stream import BinanceFeed

    return BinanceFeed(
        settings.venue, urls.rest_url, urls.ws_url, clock=clock, is_replay=is_replay, jitter=jitter, on_frame=on_frame,
        urgent=urgent,
    )


def make_live_venue(
    settings: Settings, urls: VenueSettings, clock: Clock, instruments: Sequence[Instrument], *,
    on_report: ReportSink, on_problem: Callable[[str], None], on_line: Callable[[str], None] = lambda _: None,
    on_refused: Callable[[str], None] = lambda _: None,
) -> LiveVenue:
    """The account of the settings' venue, not started. `on_line`: whether its orders can be sent (F55), `on_refused`:
    why the venue refuses the account (F19)."""
    jitter = random.Random(settings.seed + 1).random  # noqa: S311 - spreads retries
    own = settings.venues.get(settings.venue, VenueSettings())
    api_key, api_secret = _keys(settings)
    dialect = dialect_of(settings.venue, urls)
    urls = own_addresses(urls, dialect)
    if dialect == "coinbase":
        from exchanges.coinbase.orders import CoinbaseConfig, CoinbaseVenue

        return CoinbaseVenue(
            CoinbaseConfig(
                settings.venue, urls.rest_url, urls.ws_user_url, api_key, api_secret,
                allow_withdrawals=own.allow_withdrawal_key, allow_unverified=own.allow_unverified_key,
            ),
            on_report, clock, instruments, jitter=jitter, on_problem=on_problem, on_line=on_line, on_refused=on_refused,
        )
    from exchanges.binance.orders import BinanceConfig, BinanceVenue

    config = BinanceConfig(
        settings.venue, urls.rest_url, urls.ws_api_url, api_key, api_secret,
        allow_withdrawals=own.allow_withdrawal_key, allow_unverified=own.allow_unverified_key,
        private_per_s=own.private_per_s or _private_pace(settings),
    )
    if settings.venue == PRACTICE:  # any key opens it
        config = with_other(
            config, api_key=api_key or PRACTICE, api_secret=api_secret or PRACTICE, checks_key=False
        )
    return BinanceVenue(
        config, on_report, clock, instruments, jitter=jitter, on_problem=on_problem, on_line=on_line,
        on_refused=on_refused,
    )


def _private_pace(settings: Settings) -> float:
    """Who allows more orders a second than usual wants them to leave, too; each may need a question as well."""
    return max(PRIVATE_PER_S, 1.5 * composition.make_limits(settings).orders_per_second)


def _keys(settings: Settings) -> tuple[str, str]:
    own = settings.venues.get(settings.venue, VenueSettings())
    return own.api_key.get_secret_value(), own.api_secret.get_secret_value()
