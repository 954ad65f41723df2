"""What REST and matching need to know of a market, be it synthetic or replayed."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol

from exchanges.practice.pairs import Pair

Level = tuple[Decimal, Decimal]
"""Price and quantity."""


class MarketView(Protocol):
    """Questions about the present; names are the wire's ("BTCUSDT"). The pair is known to exist."""

    @property
    def pairs(self) -> Mapping[str, Pair]: ...

    def now_ms(self) -> int:
        """The venue's clock: the wall's, or in a replay the recording's."""
        ...

    def accepts_stamp(self, stamp_ms: int, window_ms: int) -> bool:
        """Whether a signed request's time is near enough to the venue's."""
        ...

    def offers(self, name: str, *, is_bid: bool) -> Iterable[Level]:
        """One side of the book, best first."""
        ...

    def book_version(self, name: str) -> int:
        """Changes whenever the book does."""
        ...

    def last_price(self, name: str) -> Decimal | None: ...

    def depth(self, name: str, limit: int) -> dict[str, Any]: ...

    def book_ticker(self, name: str) -> dict[str, Any] | None: ...

    def trades(self, name: str, limit: int, from_id: int | None) -> Sequence[dict[str, Any]]:
        """As GET /api/v3/trades, ascending; from a trade id, or the latest."""
        ...

    def klines(
        self, name: str, interval: str, length_ms: int, limit: int, start_ms: int | None, end_ms: int | None
    ) -> list[list[Any]]: ...

    def ticker_24h(self, name: str) -> dict[str, Any] | None: ...

    def shock(self, name: str, ratio: float) -> None:
        """Multiply the price, where it is not a recording's."""
        ...

    def info(self) -> dict[str, Any]:
        """For GET /practice/v1/info."""
        ...


class MarketListener(Protocol):
    """Told what the market did, after its frames went out."""

    def wants(self, name: str) -> bool:
        """Whether anything rests on that pair: nothing else needs to be told."""
        ...

    def on_trade(self, name: str, price: Decimal, quantity: Decimal, *, maker_is_buyer: bool) -> None: ...

    def on_book(self, name: str) -> None: ...
