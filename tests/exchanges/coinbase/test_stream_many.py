"""More products than the venue gives books of on one connection (30): the others are heard without theirs."""

from dataclasses import replace

from exchanges.coinbase.book_seats import BookSeats
from exchanges.venue import FeedDown, FeedUp
from market.ticks import BookInvalid, QuoteTick, TradeTick
from tests.exchanges.coinbase.exchange import Exchange, until
from tests.exchanges.coinbase.watching import BTC, SNAPSHOT, Watcher, plays, ticker, trade

COINS = [replace(BTC, symbol=f"C{n}/USD", venue_symbol=f"C{n}-USD", base=f"C{n}") for n in range(39)]
NAMES = [f"C{n}-USD" for n in range(39)]


def quoted(product: str, bid: str) -> tuple[str, dict]:
    channel, event = ticker(bid, "101")
    return channel, {**event, "tickers": [{**event["tickers"][0], "product_id": product}]}


async def test_the_line_is_up_and_a_product_without_a_book_has_its_prices_from_the_ticker(exchange: Exchange):
    exchange.on_subscribed.append(plays(quoted("C38-USD", "97"), SNAPSHOT, trade(6), trade(7, product="C38-USD")))
    async with Watcher(exchange, [*COINS, BTC], urgent=lambda: {"BTC/USD"}) as watcher:
        await until(lambda: len(watcher.of(TradeTick)) == 2)
    told = {quote.symbol: quote.bid for quote in watcher.of(QuoteTick)}
    assert told == {"C38/USD": 97, "BTC/USD": 99}
    assert len(watcher.of(FeedUp)) == 1
    asked = {wish["channel"]: wish["product_ids"] for wish in exchange.subscriptions}
    assert asked["level2"] == ["BTC-USD", *NAMES[:29]]
    assert asked["market_trades"] == asked["ticker"] == [*NAMES, "BTC-USD"]


async def test_a_product_that_comes_to_be_at_stake_takes_the_book_of_one_that_is_not(exchange: Exchange):
    at_stake: set[str] = {"C0/USD"}
    exchange.on_subscribed.append(plays(trade(6)))
    async with Watcher(exchange, [*COINS, BTC], urgent=lambda: at_stake) as watcher:
        await until(lambda: watcher.of(TradeTick))
        at_stake.add("BTC/USD")
        exchange.on_subscribed.append(plays(SNAPSHOT))
        await until(lambda: watcher.served().is_valid)
    books = [(wish["type"], wish["product_ids"]) for wish in exchange.subscriptions if wish["channel"] == "level2"]
    assert books[1:3] == [("unsubscribe", ["C29-USD"]), ("subscribe", ["BTC-USD"])]
    assert watcher.of(FeedDown) == []


async def test_the_book_of_one_that_is_listed_no_more_goes_to_another(exchange: Exchange):
    exchange.on_subscribed.append(plays(trade(6)))
    async with Watcher(exchange, [*COINS, BTC]) as watcher:
        await until(lambda: watcher.of(TradeTick))
        watcher.feed.leave_out({"C3/USD"})
        await until(lambda: len(exchange.feeds[0].books ^ {*NAMES[:30]}) == 2)
    books = [(wish["type"], wish["product_ids"]) for wish in exchange.subscriptions if wish["channel"] == "level2"]
    assert books[1:3] == [("unsubscribe", ["C3-USD"]), ("subscribe", ["C30-USD"])]
    assert watcher.of(FeedDown) == []


async def test_a_venue_that_grants_fewer_is_asked_for_half_at_once(exchange: Exchange):
    exchange.most_books = 8
    exchange.on_subscribed.append(plays(trade(6, product="C0-USD")))
    async with Watcher(exchange, COINS, first_backoff_s=0.01) as watcher:
        await until(lambda: watcher.of(TradeTick))
    books = [len(wish["product_ids"]) for wish in exchange.subscriptions if wish["channel"] == "level2"]
    assert books[:3] == [30, 15, 7]
    assert watcher.of(BookInvalid) == []


def test_seats_are_kept_while_nobody_at_stake_lacks_one() -> None:
    seats = BookSeats(2)
    assert seats.begin(["a", "b", "c"], {"c"}) == ["c", "a"]
    assert seats.change(["a", "b", "c"], {"a"}) == ([], [])
    assert seats.change(["a", "b", "c"], {"a", "b"}) == (["c"], ["b"])
    assert seats.change(["b", "c"], ()) == (["a"], ["c"])
    assert seats.change(["b", "c", "d"], {"b", "c", "d"}) == ([], [])
    assert seats.taken == ["b", "c"]
