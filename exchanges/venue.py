"""What a venue is to the daemon: a place that takes approved orders, and a stream of market data.

Calls return at once; what comes of them arrives as `ExecutionReport`s through the `Sink` the venue was
made with. A venue never raises for a transport error: it reports "unknown".
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple, Protocol, runtime_checkable

from bus.ids import ClientOrderId, VenueOrderId
from bus.messages.orders import ExecutionReport
from market.instrument import Instrument
from market.ticks import Candle, MarketItem
from risk.approved import Approved, OrderRequest

ReportSink = Callable[[ExecutionReport], None]


@dataclass(frozen=True, slots=True)
class FeedUp:
    """The stream is connected and every subscription confirmed."""

    feed: str
    ts_init: int


@dataclass(frozen=True, slots=True)
class FeedDown:
    """The stream is cut off or mute."""

    feed: str
    reason: str
    ts_init: int


@dataclass(frozen=True, slots=True)
class FeedTime:
    """A replay's clock moves to `ts_init` (the recorded receive time, shifted by whole weeks)."""

    ts_init: int


@dataclass(frozen=True, slots=True)
class FeedEnded:
    """A replay is over."""

    ts_init: int


FeedItem = MarketItem | FeedUp | FeedDown | FeedTime | FeedEnded
FeedSink = Callable[[FeedItem], None]
"""Takes each item in order; awaiting it is the back-pressure (a full inbox makes the feed wait)."""


class Feed(Protocol):
    """Public market data of one venue for a fixed list of instruments."""

    async def instruments(self) -> Sequence[Instrument]:
        """All spot instruments of the venue (REST)."""
        ...

    async def candles(self, instrument: Instrument, interval: str, limit: int) -> Sequence[Candle]:
        """The latest closed candles, oldest first, marked `is_warmup`; empty where the venue has none."""
        ...

    def know_prices(self, prices: Mapping[str, Decimal]) -> None:
        """What a unit of some symbols cost (quote) before the stream begins: a first price ten times away from that is
        refused until two more agree."""
        ...

    async def run(self, instruments: Sequence[Instrument], sink: FeedSink) -> None:
        """Stream until cancelled: connect, subscribe, parse, check, reconnect with backoff."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """An order the venue says is working (ours or foreign: see the prefix of the client id)."""

    client_order_id: ClientOrderId
    venue_order_id: VenueOrderId
    symbol: str
    quantity: Decimal
    filled: Decimal


class AssetBalance(NamedTuple):
    """What an account has of an asset: free, and held for orders or by other locks."""

    free: Decimal
    locked: Decimal


BalanceSink = Callable[[Mapping[str, AssetBalance]], None]
"""Takes new balances by asset, of those that changed."""


class Venue(Protocol):
    """Where approved orders go."""

    name: str
    is_simulated: bool

    def submit(self, approved: Approved) -> None: ...

    def cancel(self, client_order_id: ClientOrderId, venue_order_id: VenueOrderId, symbol: str) -> None: ...

    def query(self, client_order_id: ClientOrderId, symbol: str) -> None: ...

    async def balances(self) -> dict[str, Decimal]:
        """Total per asset (free and held)."""
        ...

    async def open_orders(self) -> Sequence[OpenOrder]: ...

    async def start(self) -> None: ...

    async def close(self) -> None: ...


@runtime_checkable
class CountsQuestions(Protocol):
    """A venue that is far enough away for a question (`Venue.query`) to be under way for a while."""

    @property
    def questions(self) -> int:
        """How many are not answered yet."""
        ...


class PreparedOrder(Protocol):
    """An order whose request is written but for the moment it is sent at."""

    def send(self, approved: Approved) -> None:
        """As `Venue.submit`, for the order that was prepared; raises `ValueError` for any other, unsent."""
        ...


@runtime_checkable
class PreparesOrders(Protocol):
    """A venue that can do most of the work of sending before the order is approved."""

    def prepare(self, order: OrderRequest) -> PreparedOrder | None:
        """None when there is nothing to be gained."""
        ...


@runtime_checkable
class TellsBalances(Protocol):
    """A venue that tells when balances change, unasked; perhaps before the report of the order that changed them."""

    def listen_to_balances(self, sink: BalanceSink) -> None:
        """From now on, in place of whoever listened before."""
        ...


@runtime_checkable
class WatchesOrders(Protocol):
    """A venue that knows which orders it still expects news of."""

    def is_watching(self, client_order_id: ClientOrderId) -> bool:
        """Whether the order works there, as far as is known."""
        ...


@runtime_checkable
class WantsSilence(Protocol):
    """A venue that may want no requests for a while (rate limit, ban)."""

    def silent_for_s(self) -> float:
        """Seconds for which nothing can be sent; 0 when it can."""
        ...
