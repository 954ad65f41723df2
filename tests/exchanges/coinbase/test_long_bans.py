"""A long wish for silence outlasts the process that heard it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bus.clock import LiveClock
from exchanges import long_bans
from exchanges.answers import NoAnswerError
from exchanges.binance.rest import RestClient
from exchanges.coinbase.keys import read_keys
from exchanges.coinbase.market_client import MarketClient
from tests.exchanges.coinbase.desk import Desk
from tests.exchanges.coinbase.exchange import KEY_NAME, PEM, Exchange, answers

BAN = answers({"error": "rate limit exceeded"}, 429, {"Retry-After": "120"})


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Path]:
    """Where this process keeps long bans."""
    long_bans.of_this_process.keep_in(tmp_path)
    yield tmp_path
    long_bans.of_this_process.keep_in(None)


async def test_the_order_client_of_the_next_process_asks_nothing_before_a_long_ban_is_over(
    exchange: Exchange, kept: Path
) -> None:
    exchange.fail("POST", "/orders", BAN)
    async with Desk(exchange) as desk:
        desk.submit()
        await desk.heard("rejected")
    long_bans.of_this_process.keep_in(kept)
    asked = len(exchange.requests)
    async with Desk(exchange) as after:
        assert 100 < after.venue.silent_for_s() <= 120
        with pytest.raises(NoAnswerError, match="no requests for another"):
            await after.venue.balances()
        after.submit()
        await after.heard("rejected")
        assert "not sent" in after.reports[0].reason
    assert len(exchange.requests) == asked


@pytest.mark.usefixtures("kept")
async def test_what_the_question_for_the_accounts_fees_was_told_is_obeyed_by_its_orders(exchange: Exchange) -> None:
    exchange.fail("GET", "/transaction_summary", BAN)
    market = MarketClient("coinbase", exchange.rest_url, LiveClock(), lambda: 0.5, read_keys("x", KEY_NAME, PEM))
    async with Desk(exchange) as desk:
        with pytest.raises(NoAnswerError):
            await market.instruments()
        asked = len(exchange.requests)
        with pytest.raises(NoAnswerError):
            await desk.venue.balances()
        desk.submit()
        await desk.heard("rejected")
        assert "not sent" in desk.reports[0].reason
    async with Desk(exchange) as desk:
        desk.venue._rest._banned_until = 0.0
        assert await desk.venue._rest.probe() == ""
        assert desk.venue.silent_for_s() > 100
        assert len(exchange.requests) == asked
    await market.close()


@pytest.mark.usefixtures("kept")
async def test_an_accounts_silence_is_not_the_markets(exchange: Exchange) -> None:
    exchange.fail("GET", "/time", BAN)
    async with Desk(exchange) as desk:
        assert await desk.venue._rest.probe() == ""
        asked = len(exchange.requests)
        with pytest.raises(NoAnswerError):
            await desk.venue.balances()
        assert len(exchange.requests) == asked
    market = RestClient(exchange.rest_url, LiveClock(), jitter=lambda: 0.5)
    assert market.banned_for_s() == 0
    await market.close()


async def test_a_short_one_is_not_kept(exchange: Exchange, kept: Path) -> None:
    exchange.fail("POST", "/orders", answers({"error": "rate limit exceeded"}, 429, {"Retry-After": "5"}))
    async with Desk(exchange) as desk:
        desk.submit()
        await desk.heard("rejected")
    assert not (kept / long_bans.FILE).exists()
