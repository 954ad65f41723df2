"""The running exchange over real sockets: formats, errors, streams, state."""

import asyncio
import contextlib
import hashlib
import hmac
import os
import signal
import time
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from exchanges.practice.config import PracticeConfig, PracticeError, PracticeUrls
from tests.exchanges.practice.running import Rest, child, receive, running


def config(tmp_path: Path, **changes: Any) -> PracticeConfig:
    return PracticeConfig(tmp_path, **{"symbols": ("BTC/USDT",), **changes})


@contextlib.asynccontextmanager
async def connected(
    tmp_path: Path, path: str = "/stream"
) -> AsyncIterator[tuple[PracticeUrls, aiohttp.ClientSession, aiohttp.ClientWebSocketResponse]]:
    async with (
        running(config(tmp_path)) as urls, aiohttp.ClientSession() as session,
        session.ws_connect(urls.ws_url.replace("/stream", path)) as ws,
    ):
        yield urls, session, ws


async def test_rest_answers_in_the_venues_formats(tmp_path: Path) -> None:
    async with running(config(tmp_path)) as urls, aiohttp.ClientSession() as session:
        rest = Rest(session, urls)
        assert await rest.get("/api/v3/ping") == {}
        assert abs((await rest.get("/api/v3/time"))["serverTime"] - time.time() * 1000) < 5_000
        listed = (await rest.get("/api/v3/exchangeInfo"))["symbols"]
        assert [entry["symbol"] for entry in listed] == ["BTCUSDT"]
        assert {f["filterType"] for f in listed[0]["filters"]} >= {
            "PRICE_FILTER", "LOT_SIZE", "MARKET_LOT_SIZE", "NOTIONAL",
        }
        book = await rest.get("/api/v3/depth", symbol="BTCUSDT", limit=5)
        assert len(book["bids"]) == len(book["asks"]) == 5
        assert float(book["bids"][0][0]) < float(book["asks"][0][0])
        for interval in ("1s", "5s", "1m", "1h"):
            rows = await rest.get("/api/v3/klines", symbol="BTCUSDT", interval=interval, limit=120)
            assert len(rows) == 120
            assert all(len(row) == 12 for row in rows)
        assert (await rest.get("/api/v3/ticker/price", symbol="BTCUSDT"))["symbol"] == "BTCUSDT"
        assert len(await rest.get("/api/v3/ticker/24hr")) == 1
        assert (await rest.get("/practice/v1/info"))["mode"] == "synthetic"


@pytest.mark.parametrize(
    ("path", "params", "code"),
    [
        ("/api/v3/depth", {"symbol": "NOPE"}, -1121), ("/api/v3/depth", {}, -1102),
        ("/api/v3/depth", {"symbol": "BTCUSDT", "limit": "x"}, -1100),
        ("/api/v3/klines", {"symbol": "BTCUSDT", "interval": "1y"}, -1120),
        ("/api/v3/exchangeInfo", {"symbols": "[broken"}, -1100),
        ("/api/v3/account", {}, -1102), ("/api/v3/account", {"timestamp": "1000"}, -1021),
    ],
)
async def test_errors_are_the_venues(tmp_path: Path, path: str, params: dict[str, str], code: int) -> None:
    async with running(config(tmp_path)) as urls, aiohttp.ClientSession() as session:
        status, body = await Rest(session, urls).call("GET", path, **params)
        assert (status, body["code"]) == (400, code)


async def test_streams_chain_from_the_rest_book_by_the_documented_rule(tmp_path: Path) -> None:
    async with connected(tmp_path) as (urls, session, ws):
        await ws.send_json({"method": "SUBSCRIBE", "params": ["btcusdt@depth@100ms"], "id": 1})
        assert await receive(ws) == {"result": None, "id": 1}
        events = [(await receive(ws))["data"]]
        snapshot = await Rest(session, urls).get("/api/v3/depth", symbol="BTCUSDT", limit=1000)
        while len(events) < 6 or events[-1]["u"] <= snapshot["lastUpdateId"]:
            events.append((await receive(ws))["data"])
        later = [event for event in events if event["u"] > snapshot["lastUpdateId"]]
        assert later[0]["U"] <= snapshot["lastUpdateId"] + 1 <= later[0]["u"]
        assert all(after["U"] == before["u"] + 1 for before, after in pairwise(events))


async def test_raw_and_wrapped_paths_send_every_kind_of_frame(tmp_path: Path) -> None:
    kinds = ["trade", "aggTrade", "bookTicker", "depth@100ms", "depth", "depth5", "kline_1s", "kline_5s", "ticker",
             "miniTicker"]
    async with running(config(tmp_path)) as urls, aiohttp.ClientSession() as session:
        wrapped_url = f"{urls.ws_url}?streams=" + "/".join(f"btcusdt@{kind}" for kind in kinds)
        raw_url = urls.ws_url.replace("/stream", "/ws/btcusdt@bookTicker")
        async with session.ws_connect(wrapped_url) as wrapped, session.ws_connect(raw_url) as raw:
            missing = {f"btcusdt@{kind}" for kind in kinds}
            while missing:
                frame = await receive(wrapped)
                assert set(frame) == {"stream", "data"}
                missing.discard(frame["stream"])
            quote = await receive(raw)
            assert set(quote) == {"u", "s", "b", "B", "a", "A"}
            await raw.send_json({"method": "LIST_SUBSCRIPTIONS", "id": "x"})
            while "result" not in (answer := await receive(raw)):
                pass
            assert answer == {"result": ["btcusdt@bookTicker"], "id": "x"}


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("junk{", 3), ("[1]", 3), ("5", 3), ('{"method":"FLY","id":1}', 2), ('{"method":"SUBSCRIBE","id":1}', 2),
        ('{"method":"SUBSCRIBE","params":[5],"id":1}', 2), ('{"method":"SUBSCRIBE","params":{},"id":[]}', 2),
        ('{"method":"SET_PROPERTY","params":["x",1],"id":1}', 0),
        ('{"method":"SET_PROPERTY","params":["combined",1]}', 1),
        ('{"method":"SUBSCRIBE","params":["' + "a" * 101 + '"]}', 2),
    ],
)
async def test_a_malformed_frame_is_answered_and_the_connection_lives_on(tmp_path: Path, frame: str, code: int) -> None:
    async with connected(tmp_path) as (_, _, ws):
        await ws.send_str(frame)
        assert (await receive(ws))["code"] == code
        await ws.send_bytes(b"\xff\xfe")
        assert (await receive(ws))["code"] == 3
        await ws.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 2})
        assert await receive(ws) == {"result": [], "id": 2}


async def test_the_user_stream_tells_what_rest_orders_do(tmp_path: Path) -> None:
    async with running(config(tmp_path)) as urls, aiohttp.ClientSession() as session:
        rest = Rest(session, urls)
        async with session.ws_connect(urls.ws_api_url) as ws:
            now = (await rest.get("/api/v3/time"))["serverTime"]
            params = {"apiKey": "any", "timestamp": now, "signature": "any"}
            await ws.send_json({"id": "s", "method": "userDataStream.subscribe.signature", "params": params})
            answer = await receive(ws)
            assert (answer["id"], answer["status"], answer["result"]) == ("s", 200, {"subscriptionId": 0})
            status, order = await rest.signed(
                "POST", "order", symbol="BTCUSDT", side="BUY", type="MARKET", quoteOrderQty="100", newClientOrderId="me"
            )
            assert (status, order["status"], order["clientOrderId"]) == (200, "FILLED", "me")
            events = [await receive(ws) for _ in range(2 + len(order["fills"]))]
            assert all(event["subscriptionId"] == 0 for event in events)
            assert [e["event"].get("x") for e in events[:-1]] == ["NEW", *["TRADE"] * len(order["fills"])]
            assert [e["event"]["t"] for e in events[1:-1]] == [fill["tradeId"] for fill in order["fills"]]
            assert events[-1]["event"]["e"] == "outboundAccountPosition"


async def test_the_websocket_api_places_queries_and_cancels(tmp_path: Path) -> None:
    async with connected(tmp_path, "/ws-api/v3") as (_, _, ws):
        async def call(method: str, **params: Any) -> dict[str, Any]:
            params = {**params, "timestamp": time.time_ns() // 1_000_000, "apiKey": "k", "signature": "s"}
            await ws.send_json({"id": 1, "method": method, "params": params})
            answer: dict[str, Any] = await receive(ws)
            return answer

        placed = await call("order.place", symbol="BTCUSDT", side="BUY", type="LIMIT", timeInForce="GTC",
                            price="50000.00", quantity="0.01", newClientOrderId="far")
        assert placed["result"]["status"] == "NEW"
        assert (await call("order.status", symbol="BTCUSDT", origClientOrderId="far"))["result"]["status"] == "NEW"
        cancelled = await call("order.cancel", symbol="BTCUSDT", orderId=placed["result"]["orderId"])
        assert cancelled["result"]["status"] == "CANCELED"
        unknown = await call("order.cancel", symbol="BTCUSDT", origClientOrderId="far")
        assert (unknown["status"], unknown["error"]["code"]) == (400, -2011)
        assert (await call("no.such"))["error"]["code"] == -1000
        await ws.send_str("nonsense")
        assert (await receive(ws))["status"] == 400


async def test_configured_keys_are_checked(tmp_path: Path) -> None:
    async with running(config(tmp_path, api_secrets=(("key", "secret"),))) as urls, aiohttp.ClientSession() as session:
        query = f"timestamp={time.time_ns() // 1_000_000}"
        signature = hmac.new(b"secret", query.encode(), hashlib.sha256).hexdigest()
        for key, sign, expected in (("key", signature, 200), ("key", "0" * 64, 400), ("other", signature, 401)):
            url = f"{urls.rest_url}/api/v3/account?{query}&signature={sign}"
            async with session.get(url, headers={"X-MBX-APIKEY": key}) as answer:
                assert answer.status == expected
        async with session.get(f"{urls.rest_url}/api/v3/account?{query}", headers={"X-MBX-APIKEY": "key"}) as answer:
            assert (await answer.json())["code"] == -1102


async def test_a_taken_port_is_refused_with_the_remedy(tmp_path: Path) -> None:
    async with running(config(tmp_path / "a")) as urls:
        port = int(urls.rest_url.rpartition(":")[2])
        with pytest.raises(PracticeError, match=f"port {port} cannot be opened"):
            async with running(config(tmp_path / "b", port=port)):
                pass


async def test_a_killed_exchange_goes_on_where_it_was(tmp_path: Path) -> None:
    process, urls = await child(tmp_path, "--symbols", "BTC/USDT")
    async with aiohttp.ClientSession() as session:
        rest = Rest(session, urls)
        _, order = await rest.signed(
            "POST", "order", symbol="BTCUSDT", side="BUY", type="LIMIT", timeInForce="GTC", price="60000.00",
            quantity="0.01", newClientOrderId="resting",
        )
        _, bought = await rest.signed("POST", "order", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.01")
        async with session.ws_connect(f"{urls.ws_url}?streams=btcusdt@trade/btcusdt@depth@100ms") as ws:
            seen = [await receive(ws) for _ in range(30)]
    last_trade = max(f["data"]["t"] for f in seen if f["stream"].endswith("trade"))
    last_update = max(f["data"]["u"] for f in seen if "depth" in f["stream"])
    last_price = float([f["data"]["p"] for f in seen if f["stream"].endswith("trade")][-1])
    os.kill(process.pid, signal.SIGKILL)
    await process.communicate()
    process, urls = await child(tmp_path, "--symbols", "BTC/USDT")
    async with aiohttp.ClientSession() as session:
        rest = Rest(session, urls)
        trades = await rest.get("/api/v3/trades", symbol="BTCUSDT", limit=1)
        assert last_trade <= trades[-1]["id"] < last_trade + 1_000
        assert abs(float(trades[-1]["price"]) / last_price - 1) < 0.02
        assert last_update <= (await rest.get("/api/v3/depth", symbol="BTCUSDT"))["lastUpdateId"] < last_update + 10_000
        rows = await rest.get("/api/v3/klines", symbol="BTCUSDT", interval="1s", limit=60)
        assert all(b[0] - a[0] == 1_000 for a, b in pairwise(rows))
        _, there = await rest.signed("GET", "openOrders", symbol="BTCUSDT")
        assert [row["orderId"] for row in there] == [order["orderId"]]
        _, account = await rest.signed("GET", "account")
        free = {row["asset"]: row["free"] for row in account["balances"]}
        assert float(free["BTC"]) == pytest.approx(0.00999)
        _, fills = await rest.signed("GET", "myTrades", symbol="BTCUSDT")
        assert [fill["id"] for fill in fills] == [fill["tradeId"] for fill in bought["fills"]]
    process.terminate()
    await process.communicate()
    assert process.returncode == 0


async def test_a_child_ends_when_its_parents_pipe_does(tmp_path: Path) -> None:
    process, _ = await child(tmp_path, "--symbols", "BTC/USDT", "--child")
    await asyncio.wait_for(process.communicate(b""), 10)  # closes its standard input
    assert process.returncode == 0
    assert orjson.loads((tmp_path / "practice" / "market-7.json").read_bytes())["version"] == 1


async def test_a_slow_client_is_dropped_and_others_live_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exchanges.practice.hub.SLOW_LIMIT", 20)
    monkeypatch.setattr("exchanges.practice.hub.PRESSURE_LIMIT", 20)
    streams = "btcusdt@trade/btcusdt@bookTicker/btcusdt@depth@100ms"
    async with running(config(tmp_path, volatility=3.0)) as urls, aiohttp.ClientSession() as session:
        from exchanges.practice.hub import Client

        async def stuck(self: Client) -> None:
            await asyncio.Event().wait()

        with monkeypatch.context() as patch:
            patch.setattr(Client, "_write", stuck)
            slow = await session.ws_connect(f"{urls.ws_url}?streams={streams}")
        async with session.ws_connect(f"{urls.ws_url}?streams={streams}") as quick:
            gone = asyncio.ensure_future(slow.receive())
            while not gone.done():
                await receive(quick)
            assert gone.result().type in (
                aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.ERROR, aiohttp.WSMsgType.CLOSE,
            )
            await receive(quick)
        await slow.close()
