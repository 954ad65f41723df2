"""The order book of one symbol as a pure fold of snapshots and deltas.

Sequence rules differ by venue and live in the stream modules, which refuse gaps before they get here. This
module guards the content: a book that crossed, or that was never or no longer is complete, is not served.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Literal

from market.money import ZERO
from market.ticks import BookDelta, BookSnapshot

Level = tuple[Decimal, Decimal]


class BookError(ValueError):
    """The book cannot be asked now, or was given what is not its own."""


class OrderBook:
    """Levels as (price in quote, quantity in base). Serves nothing until the first snapshot."""

    __slots__ = ("_asks", "_bids", "invalid_reason", "sequence", "symbol", "ts_event", "ts_init")

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.invalid_reason = "no snapshot yet"
        self.sequence = 0
        self.ts_event = 0
        self.ts_init = 0
        self._bids = _HalfBook(is_bid=True)
        self._asks = _HalfBook(is_bid=False)

    @property
    def is_valid(self) -> bool:
        """Whether the book is complete and not crossed; `invalid_reason` says why not."""
        return not self.invalid_reason

    # ---- the fold ----------------------------------------------------------------------------------

    def apply_snapshot(self, snapshot: BookSnapshot) -> bool:
        """Begin anew from a whole book; returns `is_valid`. Raises `BookError` for another symbol's or bad levels."""
        self._check_own(snapshot.symbol)
        _check_levels(snapshot.symbol, snapshot.bids)
        _check_levels(snapshot.symbol, snapshot.asks)
        self.invalidate("snapshot")
        self._bids.change(snapshot.bids)
        self._asks.change(snapshot.asks)
        self.invalid_reason = ""
        self._stamp(snapshot.sequence, snapshot.ts_event, snapshot.ts_init)
        return self.is_valid

    def apply_delta(self, delta: BookDelta) -> bool:
        """Set the changed levels (quantity 0 removes one); returns `is_valid`.

        While the book is invalid deltas are ignored: only a snapshot heals it. Raises `BookError` for
        another symbol's delta or bad levels; the book is unchanged then.
        """
        self._check_own(delta.symbol)
        if self.invalid_reason:
            return False
        _check_levels(delta.symbol, delta.bids)
        _check_levels(delta.symbol, delta.asks)
        self._bids.change(delta.bids)
        self._asks.change(delta.asks)
        self._stamp(delta.last_sequence, delta.ts_event, delta.ts_init)
        return self.is_valid

    def invalidate(self, reason: str) -> None:
        """Forget everything until the next snapshot; `reason` says why (a gap, a new connection)."""
        self.invalid_reason = reason or "invalidated"
        self._bids.clear()
        self._asks.clear()

    # ---- what is served ----------------------------------------------------------------------------

    @property
    def best_bid(self) -> Level | None:
        """Highest bid, None while the book is invalid or has no bids."""
        return self._bids.best()

    @property
    def best_ask(self) -> Level | None:
        """Lowest ask, None while the book is invalid or has no asks."""
        return self._asks.best()

    def depth(self, side: Literal["bid", "ask"], levels: int) -> list[Level]:
        """The best `levels` of one side, best first; empty while the book is invalid."""
        return self._half(side).top(levels)

    def take(self, side: Literal["buy", "sell"], quantity: Decimal, limit: Decimal | None = None) -> list[Level]:
        """What an order that takes liquidity would get now: (price, quantity) per level, best first.

        A buy takes asks, a sell bids, never beyond `limit`; the sum is under `quantity` where the book is too
        thin. The book is not changed. Raises `BookError` while it is invalid.
        """
        if self.invalid_reason:
            raise BookError(f"{self.symbol}: the book is invalid ({self.invalid_reason}): wait for its next snapshot")
        return self._half("ask" if side == "buy" else "bid").take(quantity, limit)

    # ---- inside ------------------------------------------------------------------------------------

    def _half(self, side: Literal["bid", "ask"]) -> "_HalfBook":
        return self._bids if side == "bid" else self._asks

    def _check_own(self, symbol: str) -> None:
        if symbol != self.symbol:
            raise BookError(f"{self.symbol}: was given a change of {symbol}'s book")

    def _stamp(self, sequence: int, ts_event: int, ts_init: int) -> None:
        self.sequence, self.ts_event, self.ts_init = sequence, ts_event, ts_init
        bid, ask = self._bids.best(), self._asks.best()
        if bid is not None and ask is not None and bid[0] >= ask[0]:
            self.invalidate("crossed")


class _HalfBook:
    """One side: quantities by price, and the keys sorted with the best at the end, where most change happens.

    A key orders the prices: the price itself for bids, the price negated for asks.
    """

    __slots__ = ("_is_bid", "_keys", "_quantities")

    def __init__(self, is_bid: bool) -> None:
        self._is_bid = is_bid
        self._keys: list[Decimal] = []
        self._quantities: dict[Decimal, Decimal] = {}  # by key

    def clear(self) -> None:
        self._keys.clear()
        self._quantities.clear()

    def change(self, levels: Iterable[Level]) -> None:
        keys, quantities, is_bid = self._keys, self._quantities, self._is_bid
        fresh: list[Decimal] = []
        for price, quantity in levels:
            key = price if is_bid else price.copy_negate()
            if quantity:
                if key not in quantities:
                    fresh.append(key)
                quantities[key] = quantity
            elif quantities.pop(key, None) is not None:
                index = bisect_left(keys, key)
                if index < len(keys) and keys[index] == key:
                    del keys[index]
                else:
                    fresh.remove(key)
        if len(fresh) > 8:
            # Runs of sorted keys are merged by the sort in linear time.
            keys.extend(fresh)
            keys.sort()
        else:
            for key in fresh:
                keys.insert(bisect_left(keys, key), key)

    def best(self) -> Level | None:
        if not self._keys:
            return None
        key = self._keys[-1]
        return (key if self._is_bid else key.copy_negate()), self._quantities[key]

    def top(self, levels: int) -> list[Level]:
        keys = self._keys[: -levels - 1 : -1] if levels > 0 else []
        return [(key if self._is_bid else key.copy_negate(), self._quantities[key]) for key in keys]

    def take(self, quantity: Decimal, limit: Decimal | None) -> list[Level]:
        worst = None if limit is None else limit if self._is_bid else limit.copy_negate()
        taken: list[Level] = []
        for key in reversed(self._keys):
            if quantity <= ZERO or (worst is not None and key < worst):
                break
            part = min(quantity, self._quantities[key])
            taken.append((key if self._is_bid else key.copy_negate(), part))
            quantity -= part
        return taken


def _check_levels(symbol: str, levels: Sequence[Level]) -> None:
    for price, quantity in levels:
        if not (price.is_finite() and quantity.is_finite() and price > ZERO and quantity >= ZERO):
            raise BookError(f"{symbol}: book level {price} x {quantity}: needs a price over 0 and a quantity, finite")
