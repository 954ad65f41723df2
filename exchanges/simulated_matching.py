"""At what prices a paper order would have been filled: pure arithmetic over one symbol's market.

We pessimistically assume: no price better than the quote, slippage where the depth is not known, and a
resting order behind everything that stood at its price before it. A quote that later trades contradict (the line
was away, and what was missed is told before the next quote) gives no better price than they do.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from bus.messages.orders import Side
from market.book import OrderBook
from market.instrument import Instrument
from market.interval import SECOND_NS
from market.money import ONE, ZERO
from market.ticks import BookDelta, BookInvalid, BookSnapshot, QuoteTick, TradeTick

AGREE_TICKS: Final = 5
AGREE_RATIO: Final = Decimal("0.0005")
"""How far the book's best may lie from the quote's and still be believed: some ticks, or this share of price.

Depth comes every 100 ms and quotes at once, so in a quick market the two are honestly apart; fills are
never better than the quote all the same.
"""

QUOTE_OUTLIVED_NS: Final = SECOND_NS
"""A trade heard so much later than the quote says more of the price than it."""

_PRINTS_BELIEVED: Final = 2
Level = tuple[Decimal, Decimal]


@dataclass(slots=True)
class SymbolMarket:
    """The last that is known of one symbol: quote, trade, and the book while it is in step."""

    instrument: Instrument
    book: OrderBook
    quote: QuoteTick | None = None
    last_price: Decimal | None = None
    outlived_by: tuple[Decimal, ...] = ()
    """The last two trades heard so much later than the quote that they say more than it."""

    def on_item(self, item: TradeTick | QuoteTick | BookSnapshot | BookDelta | BookInvalid) -> None:
        """Take in one market fact."""
        if isinstance(item, QuoteTick):
            self.quote, self.outlived_by = item, ()
        elif isinstance(item, TradeTick):
            self.last_price = item.price
            if self.quote is not None and item.ts_init - self.quote.ts_init > QUOTE_OUTLIVED_NS:
                self.outlived_by = (*self.outlived_by[-1:], item.price)
        elif isinstance(item, BookDelta):
            if self.book.is_valid:
                self.book.apply_delta(item)
        elif isinstance(item, BookSnapshot):
            self.book.apply_snapshot(item)
        else:
            self.book.invalidate(item.reason)

    def forget(self) -> None:
        """The line was lost: what was the price before is none any more."""
        self.quote, self.last_price, self.outlived_by = None, None, ()

    def is_known(self) -> bool:
        """Whether there is any price to fill at."""
        return self.quote is not None or self.last_price is not None

    def best(self, side: Side) -> Decimal | None:
        """What a taker of this side meets: the ask for a buy; the last trade where nobody quotes.

        A quote that two trades have outlived gives no better price than the less extreme of them: one alone may be a
        false print.
        """
        quote, last = self.quote, self.last_price
        if quote is None:
            return last
        best = quote.ask if side == "buy" else quote.bid
        if len(self.outlived_by) < _PRINTS_BELIEVED:
            return best
        return self._not_better(min(self.outlived_by) if side == "buy" else max(self.outlived_by), best, side)

    def takes(
        self, side: Side, quantity: Decimal, limit: Decimal | None, slippage: Decimal, *, use_book: bool
    ) -> list[Level]:
        """The (price, quantity) executions of a taker now, best first, never beyond `limit`.

        They add up to less than `quantity` where the depth or the limit ends first.
        """
        best = self.best(side)
        if best is None or (limit is not None and _is_beyond(best, limit, side)):
            return []
        if use_book and self._is_book_in_agreement():
            return _merged(
                (self._not_better(price, best, side), size) for price, size in self.book.take(side, quantity, limit)
            )
        price = self._slipped(best, slippage, side)
        if limit is not None and _is_beyond(price, limit, side):
            price = limit
        return [(price, quantity)]

    def queue_ahead(self, side: Side, price: Decimal) -> Decimal:
        """What already rests at our price on our side of the book (0 where the book is not known)."""
        if not self.book.is_valid:
            return ZERO
        opposite: Side = "sell" if side == "buy" else "buy"
        everything = Decimal(10) ** 18
        return sum(
            (size for level, size in self.book.take(opposite, everything, price) if level == price), start=ZERO
        )

    def _slipped(self, best: Decimal, slippage: Decimal, side: Side) -> Decimal:
        """Worse than the quote by the ratio, then to the tick against us: a buy pays up, a sell gets less."""
        if side == "buy":
            return self.instrument.round_price(best * (ONE + slippage), "sell")
        lowered = self.instrument.round_price(best * (ONE - slippage), "buy")
        return lowered if lowered > ZERO else self.instrument.price_tick

    def _not_better(self, price: Decimal, best: Decimal, side: Side) -> Decimal:
        return max(price, best) if side == "buy" else min(price, best)

    def _is_book_in_agreement(self) -> bool:
        if not self.book.is_valid or self.quote is None:
            return False
        bid, ask = self.book.best_bid, self.book.best_ask
        if bid is None or ask is None:
            return False
        slack = max(AGREE_TICKS * self.instrument.price_tick, AGREE_RATIO * self.quote.bid)
        return abs(bid[0] - self.quote.bid) <= slack and abs(ask[0] - self.quote.ask) <= slack


def _is_beyond(price: Decimal, limit: Decimal, side: Side) -> bool:
    return price > limit if side == "buy" else price < limit


def _merged(levels: Iterable[Level]) -> list[Level]:
    """Neighbouring executions at one price become one."""
    merged: list[Level] = []
    for price, quantity in levels:
        if merged and merged[-1][0] == price:
            merged[-1] = (price, merged[-1][1] + quantity)
        else:
            merged.append((price, quantity))
    return merged
