"""Market data as typed facts. Times are UTC nanoseconds: `ts_event` the venue's, `ts_init` ours.

`TradeTick` and `QuoteTick` are named tuples, not dataclasses: they are born on the hot path by the
thousand, and a tuple is made three times faster than a frozen dataclass.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from market.record import fast_init


class TradeTick(NamedTuple):
    """One public trade. `aggressor` is the taker's side, "buy" or "sell"."""

    symbol: str
    price: Decimal
    quantity: Decimal
    aggressor: str
    trade_id: str
    ts_event: int
    ts_init: int


class QuoteTick(NamedTuple):
    """Best bid and ask, never crossed (checked by the stream module before it is born)."""

    symbol: str
    bid: Decimal
    bid_quantity: Decimal
    ask: Decimal
    ask_quantity: Decimal
    ts_event: int
    ts_init: int


@fast_init
@dataclass(frozen=True, slots=True)
class BookSnapshot:
    """A whole book: levels as (price, quantity), best first. `sequence` is the venue's last update id."""

    symbol: str
    bids: tuple[tuple[Decimal, Decimal], ...]
    asks: tuple[tuple[Decimal, Decimal], ...]
    sequence: int
    ts_event: int
    ts_init: int


@fast_init
@dataclass(frozen=True, slots=True)
class BookDelta:
    """Absolute quantities for changed levels; quantity 0 removes the level. In sequence, gaps excluded."""

    symbol: str
    bids: tuple[tuple[Decimal, Decimal], ...]
    asks: tuple[tuple[Decimal, Decimal], ...]
    first_sequence: int
    last_sequence: int
    ts_event: int
    ts_init: int


@fast_init
@dataclass(frozen=True, slots=True)
class BookInvalid:
    """The stream lost the thread of this symbol's book (a gap, a crossed book, a new connection).

    Until the next `BookSnapshot` nobody may use the book.
    """

    symbol: str
    reason: str
    ts_init: int


@fast_init
@dataclass(frozen=True, slots=True)
class QuoteInvalid:
    """The symbol's best prices cannot be (a bid at or above the ask): no entry rests on them until the next quote."""

    symbol: str
    reason: str
    ts_init: int


@fast_init
@dataclass(frozen=True, slots=True)
class Candle:
    """A closed candle over [ts_open, ts_open + interval): prices in quote, volume in base.

    `is_warmup` marks history fetched over REST, and what was heard only in part: learnt from, never traded on.
    `taker_buy_volume`: what of the
    volume takers bought, in base; None where the source does not tell (stored history, some venues).
    """

    symbol: str
    interval: str
    ts_open: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    trades: int
    ts_init: int
    is_warmup: bool = False
    taker_buy_volume: Decimal | None = None


@fast_init
@dataclass(frozen=True, slots=True)
class FeedAlive:
    """An application frame of the connection arrived that carries nothing else: data age starts anew.

    Data age is the connection's, by receive time: silence of one symbol is no fault while others speak.
    Sent at most every 100 ms.
    """

    ts_init: int


MarketItem = TradeTick | QuoteTick | QuoteInvalid | BookSnapshot | BookDelta | BookInvalid | FeedAlive
