"""A lone spike is not believed: one far print or one far quote moves nothing until something else agrees (F09, F10).

Far is more than the collar (a ratio, `limits.collar`) from the last believed price. A far print is held back until

- a quote has come to it or gone through it: the one in force while fresh, the one held back, or the next one;
- or a second far print with another trade id follows on the same side: the nearer of the two is believed at
  once, and the other one too if it lies within the collar of that.

A print near the believed price drops what is held back: that was a lone spike. What is held back never
times out, so that a real fall in a market without quotes fires with its second print however late that comes.
A far quote (its bid too low or its ask too high) is believed with the second one in a row, or when a print,
believed or held back, lies within the collar of it. While nothing is known, the first print and quote are
believed; history that was heard before them is something known. After a restart so is what a position was worth
last, or an entry waits for: that is old, and only a price that is more than half of it away is far; after a short stop
it is history.

What is held back reaches no trail, no candle and no mark. It need not survive a restart: after one, prices
are heard anew.

The quiet path is one comparison with `print_low` and `print_high` (`quote_low`, `quote_high`): two prices between
the limits are never further apart than the collar, so nothing else need be asked. The limits move only when a
price leaves them.
"""

from decimal import Decimal
from typing import Final, Protocol

from market.interval import SECOND_NS
from market.money import ONE, ZERO
from market.ticks import QuoteTick, TradeTick

FRESH_NS: Final = SECOND_NS
"""A quote in force that is older than this confirms no print."""

OLD_COLLAR: Final = Decimal("0.5")
"""Further than this (a ratio) from what was known long ago no first price is believed alone."""

_ABOVE_ALL: Final = Decimal("Infinity")


class BelievedPrices(Protocol):
    """The prices in force, None until heard; `quote_ts` is when the quote was received (UTC ns)."""

    last: Decimal | None
    bid: Decimal | None
    ask: Decimal | None
    quote_ts: int


Believed = list[QuoteTick | TradeTick]


class PrintGuard:
    """What is held back of one symbol.

    `held_back` counts far prints and quotes that nothing confirmed at once; of these, `confirmed` those that
    something confirmed later, `dropped` those that were lone.
    """

    __slots__ = (
        "_collar", "_far_print", "_far_quote", "_history", "_old", "_old_collar", "_reach", "confirmed", "dropped",
        "held_back", "print_high", "print_low", "quote_high", "quote_low",
    )

    def __init__(self, collar: Decimal) -> None:
        self._collar = collar
        # (1 + reach) / (1 - reach) = 1 + collar: of any two prices within the limits each is near the other.
        self._reach = collar / (2 + collar)
        self._history: Decimal | None = None
        self._old: Decimal | None = None
        self._old_collar = max(collar, OLD_COLLAR)
        self._far_print: TradeTick | None = None
        self._far_quote: QuoteTick | None = None
        self.held_back = self.confirmed = self.dropped = 0
        self.print_low = self.quote_low = _ABOVE_ALL  # nothing lies between: the first ones are looked at
        self.print_high = self.quote_high = ZERO

    def know(self, price: Decimal) -> None:
        """History says that the price was here."""
        self._history = price

    def know_of_old(self, price: Decimal) -> None:
        """What is held was worth this, or is to be bought at it, whenever that was said."""
        self._old = price

    # ---- prints ------------------------------------------------------------------------------------

    def judge_print(self, tick: TradeTick, market: BelievedPrices) -> Believed:
        """A print outside the limits: what is to be believed now, in order; empty while it is held back."""
        base, far = self._base(market)
        if base is None or abs(tick.price - base) <= base * far:
            if self._far_print is not None:
                self._far_print = None
                self.dropped += 1
            return self._believe(tick)
        held = self._far_print
        if self._is_quoted(tick, market, base):
            return self._end_wait(held, tick)
        if held is None or (held.price < base) != (tick.price < base):
            self.dropped += held is not None
            self._hold_print(tick)
            return []
        if tick.trade_id == held.trade_id:
            return []
        nearer, further = (held, tick) if abs(held.price - base) <= abs(tick.price - base) else (tick, held)
        if self._is_near(further.price, nearer.price):
            return self._end_wait(held, tick)
        # Both say "at least so far"; that it went further, one says alone.
        self.confirmed += nearer is held
        self.dropped += nearer is tick
        believed = self._believe(nearer)
        self._far_print = None
        if further is tick:
            self._hold_print(tick)
        return believed

    def _end_wait(self, held: TradeTick | None, tick: TradeTick) -> Believed:
        """The new print is believed, and with it the one held back, if that is near it."""
        self._far_print = None
        if held is None:
            return self._believe(tick)
        if held.trade_id == tick.trade_id or not self._is_near(held.price, tick.price):
            self.dropped += 1
            return self._believe(tick)
        self.confirmed += 1
        return [*self._believe(held), *self._believe(tick)]

    def _is_quoted(self, tick: TradeTick, market: BelievedPrices, base: Decimal) -> bool:
        """Was the market quoted out there, by the quote in force or by the one held back?"""
        far = self._far_quote
        if far is not None and self._reaches(far.bid, far.ask, tick.price, base):
            return True
        if market.bid is None or market.ask is None or tick.ts_init - market.quote_ts > FRESH_NS:
            return False
        return self._reaches(market.bid, market.ask, tick.price, base)

    def _reaches(self, bid: Decimal, ask: Decimal, price: Decimal, base: Decimal) -> bool:
        """A fall is quoted when the bid came to within the collar of it or went through; a rise by the ask."""
        if price < base:
            return bid * (ONE - self._collar) <= price
        return ask * (ONE + self._collar) >= price

    # ---- quotes ------------------------------------------------------------------------------------

    def judge_quote(self, quote: QuoteTick, market: BelievedPrices) -> Believed:
        """A quote outside the limits, or any while something is held back: what is to be believed now, in order."""
        held, far = self._far_print, self._far_quote
        base, _ = self._base(market)
        if held is not None and base is not None and self._reaches(quote.bid, quote.ask, held.price, base):
            self._far_print = None
            self.confirmed += 1
            self._believe_quote(quote)
            return [quote, *self._believe(held)]
        side = self._far_side(quote, market)
        if side and not (base is not None and self._is_around(quote, base)):
            if far is None or self._far_side(far, market) != side:
                self.dropped += far is not None
                self.held_back += 1
                self._far_quote = quote
                self._look_at_everything()
                return []
            self.confirmed += 1
        elif far is not None:
            self.dropped += 1
        self._believe_quote(quote)
        return [quote]

    def _far_side(self, quote: QuoteTick, market: BelievedPrices) -> int:
        """-1: its bid is too low; 1: its ask is too high; 0: near the quote in force, or nothing is known."""
        if market.bid is None or market.ask is None:
            base, far = self._base(market)
            if base is None or (abs(quote.bid - base) <= base * far and abs(quote.ask - base) <= base * far):
                return 0
            return -1 if quote.bid < base else 1
        if quote.bid < market.bid * (ONE - self._collar):
            return -1
        return 1 if quote.ask > market.ask * (ONE + self._collar) else 0

    def _is_around(self, quote: QuoteTick, price: Decimal) -> bool:
        return self._is_near(quote.bid, price) and self._is_near(quote.ask, price)

    # ---- belief ------------------------------------------------------------------------------------

    def _base(self, market: BelievedPrices) -> tuple[Decimal | None, Decimal]:
        """What a price is measured by, and how far from it is far (a ratio): the last print, else history, else the
        middle of the quote, else what was known of old."""
        if market.last is not None:
            return market.last, self._collar
        if self._history is not None:
            return self._history, self._collar
        if market.bid is None or market.ask is None:
            return self._old, self._old_collar
        return (market.bid + market.ask) / 2, self._collar

    def _is_near(self, price: Decimal, base: Decimal) -> bool:
        return abs(price - base) <= base * self._collar

    def _look_at_everything(self) -> None:
        """While something is held back no print and no quote is quiet."""
        self.print_low = self.quote_low = _ABOVE_ALL
        self.print_high = self.quote_high = ZERO

    def _hold_print(self, tick: TradeTick) -> None:
        self.held_back += 1
        self._far_print = tick
        self._look_at_everything()

    def _believe(self, tick: TradeTick) -> Believed:
        """The print, and before it the quote held back, if that agrees with it."""
        far = self._far_quote
        if far is not None and not self._is_around(far, tick.price):
            return [tick]  # and the next print is looked at, too: it may agree with the quote
        self.print_low, self.print_high = tick.price * (ONE - self._reach), tick.price * (ONE + self._reach)
        if far is None:
            return [tick]
        self.confirmed += 1
        self._believe_quote(far)
        return [far, tick]

    def _believe_quote(self, quote: QuoteTick) -> None:
        self._far_quote = None
        if self._far_print is None:
            # Around the middle: then no side of any quote within is far from the same side of any other.
            middle = (quote.bid + quote.ask) / 2
            self.quote_low, self.quote_high = middle * (ONE - self._reach), middle * (ONE + self._reach)
