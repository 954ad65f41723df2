"""Prices that needed a look (`orders.print_guard`): the believed ones are taken, the far ones told of."""

from collections.abc import Sequence
from typing import Final

from market.interval import SECOND_NS
from market.money import to_text
from market.ticks import QuoteTick, TradeTick
from orders import placing
from orders.chores import emit_candle
from orders.desk import Desk
from orders.market_state import MarketState

WARN_PAUSE_NS: Final = 60 * SECOND_NS
"""People are told of a far price at most so often per symbol; the guard counts them all."""


def take_judged(desk: Desk, market: MarketState, item: TradeTick | QuoteTick) -> None:
    """Judge a price outside the guard's limits and take what is believed by it."""
    guard = market.guard
    before = guard.held_back
    believed: Sequence[TradeTick | QuoteTick] = (
        guard.judge_print(item, market) if isinstance(item, TradeTick) else guard.judge_quote(item, market)
    )
    market.fence_prints()
    for each in believed:
        if isinstance(each, TradeTick):
            take_print(desk, market, each)
        else:
            take_quote(desk, market, each)
    if guard.held_back > before:
        _warn(desk, market, item)


def take_print(desk: Desk, market: MarketState, tick: TradeTick) -> None:
    """Held orders first, candles after them."""
    market.last = tick.price
    placing.on_trail_events(desk, market, "last", market.on_last(tick.price))
    for candle in market.on_trade(tick.price, tick.quantity, tick.ts_event, tick.ts_init, tick.aggressor):
        emit_candle(desk, market, candle)


def take_quote(desk: Desk, market: MarketState, quote: QuoteTick) -> None:
    """The quote is in force, and looked at by the triggers of mid, bid and ask."""
    market.bid, market.ask, market.quote_ts = quote.bid, quote.ask, quote.ts_init
    by_mid = market.mids.on_price((quote.bid + quote.ask) / 2)
    by_bid = market.bids.on_price(quote.bid)
    by_ask = market.asks.on_price(quote.ask)
    placing.on_trail_events(desk, market, "mid", by_mid)
    placing.on_trail_events(desk, market, "bid_ask", by_bid)
    placing.on_trail_events(desk, market, "bid_ask", by_ask)


def _warn(desk: Desk, market: MarketState, item: TradeTick | QuoteTick) -> None:
    if market.warned_ns and desk.now - market.warned_ns < WARN_PAUSE_NS:
        return
    market.warned_ns = desk.now
    what = (
        f"A print at {to_text(item.price)}" if isinstance(item, TradeTick)
        else f"A quote of {to_text(item.bid)}/{to_text(item.ask)}"
    )
    base = market.last if market.last is not None else market.mark
    known = "" if base is None else f" from the last believed price {to_text(base)}"
    desk.alert(
        "warning", f"{market.symbol}: far price held back",
        f"{what} is more than {desk.config.limits.collar * 100:f} % away{known}: it moves no trigger and no candle "
        f"until a quote or a second print confirms it. Held back so far: {market.guard.held_back}.",
    )
