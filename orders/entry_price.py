"""What an entry of the council may pay when it leaves for the venue (T9). Exits are never limited: they must get out.

- The spread is wide (above `WIDE_SPREAD`), or it is a busy hour: a limit in the middle of the quote, which rests
  until its order's expiry.
- Else it takes at once what is offered at no more than `max_slippage` beyond the touch: a limit with IOC, so
  that a thin book costs a fill and not money. Rounding goes down, never beyond.

With no fresh word about the market (no quote) the last print serves as the touch.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from bus.messages.orders import SubmitOrder, TimeInForce
from market.busy_hours import is_busy
from market.money import ONE, ZERO
from orders.market_state import MarketState

WIDE_SPREAD: Final = Decimal("0.002")
"""Spread as a ratio of the middle, above which nothing is taken from the other side."""


@dataclass(frozen=True, slots=True)
class EntryRule:
    """`max_slippage` is a ratio of the touch; `busy_hours`: limits only while the day's busy hours last."""

    max_slippage: Decimal = Decimal("0.001")
    busy_hours: bool = True

    def __post_init__(self) -> None:
        if not ZERO < self.max_slippage < ONE:
            raise ValueError(f"max_slippage {self.max_slippage} is not a ratio between 0 and 1")


def price_entry(
    rule: EntryRule | None, spec: SubmitOrder, market: MarketState, now: int,
) -> tuple[Decimal | None, TimeInForce]:
    """Limit price and time in force of an entry that would leave at market; (None, as asked) when nothing limits it."""
    touch = market.touch("buy")
    if rule is None or spec.side != "buy" or spec.origin != "council" or touch is None:
        return None, spec.time_in_force
    instrument = market.instrument
    if market.bid is not None and market.ask is not None:
        middle = (market.bid + market.ask) / 2
        is_wide = market.ask - market.bid > WIDE_SPREAD * middle
        if is_wide or (rule.busy_hours and is_busy(now)):
            return max(instrument.round_price(middle, "buy"), market.bid), "GTC"
    return instrument.round_price(touch * (ONE + rule.max_slippage), "buy"), "IOC"
