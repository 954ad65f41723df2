"""Candles of Coinbase for the history: its own paths, stretches of time, and no more of its grant than is left over."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from typer.testing import CliRunner

from bus.clock import LiveClock
from exchanges.answers import VenueError
from research.cli import app
from research.history.coinbase_source import CoinbaseSource
from store.candles import CandleStore

BTC = "BTC/USD"
MINUTE, DAY = 60, 86_400
BEGIN = 1_714_521_600  # 2024-05-01
SECONDS = {"ONE_MINUTE": MINUTE, "ONE_HOUR": 3_600, "ONE_DAY": DAY}


@dataclass
class Coinbase:
    """Trades each minute from `first` to `now` (UTC s) but for `absent`; answers as the documents say."""

    first: int = BEGIN
    now: int = BEGIN + 3 * DAY
    absent: set[int] = field(default_factory=set)
    asked: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    async def candles(self, request: web.Request) -> web.Response:
        query = dict(request.query)
        self.asked.append(query)
        if request.match_info["name"] != "BTC-USD":
            return web.json_response({"error": "NOT_FOUND", "message": "valid product_id is required"}, status=404)
        step, start, end = SECONDS[query["granularity"]], int(query["start"]), int(query["end"])
        if (end - start) // step > 350:
            return web.json_response({"error": "INVALID_ARGUMENT"}, status=400)
        opens = range(-(-start // step) * step, min(end, self.now) + 1, step)
        rows = [_row(at) for at in opens if at + step > self.first and at not in self.absent]
        return web.json_response({"candles": rows[::-1]})

    async def time(self, request: web.Request) -> web.Response:
        moment = datetime.fromtimestamp(self.now, UTC)
        return web.json_response({
            "iso": moment.isoformat().replace("+00:00", "Z"), "epochSeconds": str(self.now),
            "epochMillis": str(self.now * 1_000),
        })


def _row(at: int) -> dict[str, Any]:
    return {"start": str(at), "low": "99", "high": "101", "open": "100", "close": "100.5", "volume": "2"}


@pytest.fixture
async def coinbase() -> AsyncIterator[Coinbase]:
    venue = Coinbase()
    web_app = web.Application()
    web_app.add_routes([
        web.get("/api/v3/brokerage/market/products/{name}/candles", venue.candles),
        web.get("/api/v3/brokerage/time", venue.time),
    ])
    runner = web.AppRunner(web_app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    venue.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield venue
    finally:
        await runner.cleanup()


async def first_of(venue: Coinbase, start: int, limit: int, symbol: str = BTC, interval: str = "1m") -> list[int]:
    async with CoinbaseSource("coinbase", venue.url, LiveClock(), lambda: 0.5, pause_s=0.0) as source:
        found = await source.candles(symbol, interval, start * 10**9, limit)
    return [candle.ts_open // 10**9 for candle in found]


async def test_the_first_closed_candles_come_in_order_and_no_more_than_asked(coinbase: Coinbase) -> None:
    assert await first_of(coinbase, BEGIN + 30, 3) == [BEGIN + MINUTE, BEGIN + 2 * MINUTE, BEGIN + 3 * MINUTE]
    # The minute that is under way at the venue is not closed, whatever our own clock says.
    assert await first_of(coinbase, coinbase.now - 2 * MINUTE, 9) == [coinbase.now - 2 * MINUTE, coinbase.now - MINUTE]


async def test_where_nothing_traded_for_years_the_first_candle_is_found_by_days(coinbase: Coinbase) -> None:
    years = BEGIN - 1_000 * DAY
    assert (await first_of(coinbase, years, 1))[0] == BEGIN
    assert len(coinbase.asked) < 12
    assert all(int(each["end"]) - int(each["start"]) < 300 * SECONDS[each["granularity"]] for each in coinbase.asked)


async def test_a_hole_is_passed_over_also_on_the_day_that_is_not_over(coinbase: Coinbase) -> None:
    coinbase.now = BEGIN + 3 * DAY + 15 * 3_600
    hole = range(BEGIN + 3 * DAY, BEGIN + 3 * DAY + 14 * 3_600, MINUTE)
    coinbase.absent.update(hole)
    assert (await first_of(coinbase, hole[0], 1))[0] == hole[-1] + MINUTE
    assert await first_of(coinbase, coinbase.now + DAY, 5) == []


async def test_a_symbol_that_it_does_not_know_is_told_with_the_remedy(coinbase: Coinbase) -> None:
    with pytest.raises(VenueError, match=r"coinbase does not know BTC/USDT.*BTC/USD"):
        await first_of(coinbase, BEGIN, 5, symbol="BTC/USDT")


async def test_requests_keep_their_pace(coinbase: Coinbase) -> None:
    async with CoinbaseSource("coinbase", coinbase.url, LiveClock(), lambda: 0.5, pause_s=0.1) as source:
        begun = time.monotonic()
        for _ in range(3):
            await source.candles(BTC, "1m", BEGIN * 10**9, 1)
        assert time.monotonic() - begun >= 0.2


async def test_the_command_fills_the_history_of_coinbase(tmp_path: Path, coinbase: Coinbase) -> None:
    arguments = [
        "data", "backfill", "--venue", "coinbase", "--rest-url", coinbase.url, "--symbol", BTC, "--timeframe",
        "1h", "--start", "2024-05-01", "--end", "2024-05-03", "--data-dir", str(tmp_path), "--json",
    ]
    result = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    assert result.exit_code == 0, result.output
    (row,) = json.loads(result.stdout)
    assert (row["added"], row["absent"], row["problem"]) == (48, 0, "")
    store = CandleStore(tmp_path / "history", "coinbase")
    assert store.coverage(BTC, "1h").candles == 48
