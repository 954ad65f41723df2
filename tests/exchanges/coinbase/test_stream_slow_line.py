"""A whole book is megabytes: on a slow line it takes longer to come than a connection may be mute."""

import asyncio
from collections.abc import Awaitable, Callable

import orjson
import pytest

from exchanges.venue import FeedDown
from market.ticks import BookSnapshot
from tests.exchanges.coinbase.exchange import CREATED, Exchange, Feed, until
from tests.exchanges.coinbase.watching import HEARTBEAT, Watcher, book, plays

MUTE_S = 0.2
PIECES = 16


def in_pieces(share: float = 1.0) -> Callable[[Feed], Awaitable[None]]:
    """A heartbeat, and so much of a book of 2,000 levels over four times as long as a connection may be mute."""
    async def script(feed: Feed) -> None:
        await plays(HEARTBEAT)(feed)
        _, event = book("snapshot", *(("bid", str(10_000 + n), "1") for n in range(2_000)))
        frame = {"channel": "l2_data", "timestamp": CREATED, "sequence_num": feed.sequence, "events": [event]}
        body = orjson.dumps(frame)
        message = b"\x81\x7f" + len(body).to_bytes(8, "big") + body
        size = -(-len(message) // PIECES)
        transport = feed.socket._req.transport  # type: ignore[union-attr]
        assert transport is not None
        for start in range(0, int(len(message) * share), size):
            transport.write(message[start : start + size])
            await asyncio.sleep(4 * MUTE_S / PIECES)
    return script


async def test_a_message_that_is_on_its_way_is_no_silence(exchange: Exchange, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("exchanges.coinbase.silence.MUTE_S", MUTE_S)
    exchange.on_subscribed.append(in_pieces())
    async with Watcher(exchange) as watcher:
        await until(lambda: watcher.of(BookSnapshot, FeedDown))
    assert watcher.of(FeedDown) == []
    assert len(watcher.of(BookSnapshot)[0].bids) == 2_000


async def test_one_that_stops_on_its_way_is(exchange: Exchange, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("exchanges.coinbase.silence.MUTE_S", MUTE_S)
    exchange.on_subscribed.append(in_pieces(0.5))
    async with Watcher(exchange) as watcher:
        await until(lambda: watcher.of(FeedDown))
    assert watcher.of(FeedDown)[0].reason.startswith("mute")


async def test_the_first_answer_may_take_as_long_as_it_comes(exchange: Exchange, monkeypatch: pytest.MonkeyPatch):
    """Where the books come before the word that they were asked for."""
    monkeypatch.setattr("exchanges.coinbase.stream.ANSWER_TIMEOUT_S", MUTE_S)
    monkeypatch.setattr("exchanges.coinbase.silence.MUTE_S", 10.0)
    exchange.books_first = True
    exchange.on_subscribed.append(in_pieces())
    async with Watcher(exchange) as watcher:
        await until(lambda: watcher.of(BookSnapshot, FeedDown))
    assert watcher.of(FeedDown) == []
