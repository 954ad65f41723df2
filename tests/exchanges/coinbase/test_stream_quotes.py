"""Which of the two that tell best prices is believed: the book, or the ticker, which may be seconds late; and trades
that stay away.
"""

import asyncio
from typing import Any

import pytest

from exchanges.venue import FeedDown
from market.ticks import QuoteInvalid, QuoteTick, TradeTick
from tests.exchanges.coinbase.exchange import Exchange, Feed, until
from tests.exchanges.coinbase.watching import (
    HEARTBEAT,
    SNAPSHOT,
    Watcher,
    book,
    plays,
    ticker,
    trade,
    trade_row,
)


def bids(watcher: Watcher) -> list[Any]:
    return [quote.bid for quote in watcher.of(QuoteTick)]


async def test_a_late_ticker_does_not_take_a_price_back_that_the_book_has_told(exchange: Exchange):
    exchange.on_subscribed.append(plays(
        SNAPSHOT, book("update", ("bid", "100", "1")), ticker("99", "101"), book("update", ("bid", "90", "7")),
        trade(6), trade(7),
    ))
    async with Watcher(exchange) as watcher:
        await until(lambda: len(watcher.of(TradeTick)) == 2)
    assert bids(watcher) == [99, 100]


async def test_a_ticker_is_believed_where_the_book_is_lost_or_says_nothing_and_the_book_again_when_it_speaks(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("exchanges.coinbase.market_state.BOOK_SPEAKS_NS", 0)
    exchange.on_subscribed.append(plays(
        ticker("97", "101"), SNAPSHOT, ticker("98", "101"), book("update", ("bid", "90", "7")), trade(6), trade(7),
    ))
    async with Watcher(exchange) as watcher:
        await until(lambda: len(watcher.of(TradeTick)) == 2)
    assert bids(watcher) == [97, 99, 98, 99]


async def test_behind_a_crossed_ticker_the_book_tells_its_sound_prices_again(exchange: Exchange):
    exchange.on_subscribed.append(plays(
        SNAPSHOT, ticker("102", "101"), book("update", ("bid", "90", "7")), trade(6), trade(7),
    ))
    async with Watcher(exchange) as watcher:
        await until(lambda: len(watcher.of(TradeTick)) == 2)
    kinds = [type(item) for item in watcher.of(QuoteTick, QuoteInvalid)]
    assert kinds == [QuoteTick, QuoteInvalid, QuoteTick]


async def test_a_new_connection_tells_its_books_best_prices_although_they_are_those_of_before(exchange: Exchange):
    """Others were told over REST, or by a late ticker, since."""
    exchange.on_subscribed += [
        plays(SNAPSHOT, trade(6), trade(7)), plays(ticker("90", "91"), SNAPSHOT, trade(8), trade(9)),
    ]
    async with Watcher(exchange, poll_every_s=600.0) as watcher:
        await until(lambda: len(watcher.of(TradeTick)) == 2)
        await exchange.drop()
        await until(lambda: len(watcher.of(TradeTick)) == 4)
    assert bids(watcher)[-2:] == [90, 99]
    assert len(watcher.of(FeedDown)) == 1


async def test_two_changes_of_a_book_in_one_frame_count_both(exchange: Exchange):
    async def script(feed: Feed) -> None:
        await plays(SNAPSHOT)(feed)
        await feed.send("l2_data", [
            book("update", ("bid", "100", "1"))[1], book("update", ("bid", "100", "0"), ("bid", "99", "0"),
                                                         ("bid", "95", "1"))[1],
        ])
        await plays(trade(6), trade(7))(feed)

    exchange.on_subscribed.append(script)
    async with Watcher(exchange) as watcher:
        await until(lambda: len(watcher.of(TradeTick)) == 2)
    assert bids(watcher)[-1] == 95


async def test_trades_that_stay_away_while_the_books_flow_are_noticed_where_something_is_at_stake(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch,
):
    """A stop that waits for a last price would wait for ever."""
    for name in ("QUIET_S", "EVERY_S", "ON_ITS_WAY_S"):
        monkeypatch.setattr(f"exchanges.trade_check.{name}", 0.05)
    exchange.bodies["/market/products/BTC-USD/ticker"] = {
        "trades": [trade_row(number) for number in (8, 7, 6)], "best_bid": "", "best_ask": "",
    }

    async def books_alone(feed: Feed) -> None:
        await plays(SNAPSHOT, trade(6))(feed)
        while True:
            await plays(book("update", ("bid", "90", "1")), HEARTBEAT)(feed)
            await asyncio.sleep(0.01)

    exchange.on_subscribed += [books_alone, plays(SNAPSHOT, trade(9))]
    async with Watcher(exchange, urgent=lambda: {"BTC/USD"}) as watcher:
        await until(lambda: len(watcher.of(TradeTick)) == 4)
    assert [tick.trade_id for tick in watcher.of(TradeTick)] == ["6", "7", "8", "9"]
    assert watcher.of(FeedDown)[0].reason.startswith("mute: BTC/USD is traded over REST")
