"""Faults over real sockets: what a client sees, and what the exchange did all the same."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
import pytest_asyncio

from exchanges.practice.config import PracticeConfig, PracticeUrls
from exchanges.practice.fault_script import Fault
from tests.exchanges.practice.running import ChildFailed, Rest, child, eventually, receive, running

BUY = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}


class Client(Rest):
    """The practice exchange's REST, and its faults."""

    def __init__(self, session: aiohttp.ClientSession, urls: PracticeUrls) -> None:
        super().__init__(session, urls)
        self.session = session
        self.urls = urls

    async def fault(self, name: str, **more: Any) -> None:
        body = orjson.dumps({"fault": name, **more})
        async with self.session.post(f"{self.urls.rest_url}/practice/faults", data=body) as answer:
            assert answer.status == 200, await answer.text()

    async def known(self, client_id: str) -> tuple[int, Any]:
        return await self.signed("GET", "order", symbol="BTCUSDT", origClientOrderId=client_id)

    async def total(self, asset: str) -> Decimal:
        _, body = await self.signed("GET", "account")
        (row,) = [row for row in body["balances"] if row["asset"] == asset] or [{"free": "0", "locked": "0"}]
        return Decimal(row["free"]) + Decimal(row["locked"])


@pytest_asyncio.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    config = PracticeConfig(tmp_path, symbols=("BTC/USDT", "ETH/USDT"))
    async with running(config) as urls, aiohttp.ClientSession() as session:
        yield Client(session, urls)


# ---- requests --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "exists"), [("lost_ack", True), ("timeout_after_accept", True), ("timeout_before", False)]
)
async def test_an_order_without_an_answer_exists_or_not_as_the_fault_says(
    client: Client, fault: str, exists: bool
) -> None:
    await client.fault(fault)
    with pytest.raises((aiohttp.ClientError, TimeoutError)):
        async with asyncio.timeout(0.5):
            await client.signed("POST", "order", **BUY, newClientOrderId="a")
    status, body = await client.known("a")
    assert (status, body.get("code")) == ((200, None) if exists else (400, -2013))
    assert (await client.signed("POST", "order", **BUY, newClientOrderId="b"))[0] == 200


async def test_every_second_order_that_is_answered_with_503_exists(client: Client) -> None:
    await client.fault("http_5xx", target="order", **{"for": 60})
    for name in ("a", "b", "c"):
        now = await client.get("/api/v3/time")
        url = f"{client.urls.rest_url}/api/v3/order"
        query = {**BUY, "newClientOrderId": name, "timestamp": now["serverTime"]}
        async with client.session.post(url, params=query) as answer:
            assert answer.status == 503
    assert [(await client.known(name))[0] for name in ("a", "b", "c")] == [200, 400, 200]


@pytest.mark.parametrize(("fault", "status"), [("rate_limit", 429), ("ban", 418)])
async def test_too_many_requests_say_for_how_long(client: Client, fault: str, status: int) -> None:
    await client.fault(fault, **{"for": 7})
    async with client.session.get(f"{client.urls.rest_url}/api/v3/ping") as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (status, "7")
        assert (await answer.json())["code"] == -1003


async def test_a_clock_that_is_ahead_refuses_our_time_and_tells_its_own(client: Client) -> None:
    before = (await client.get("/api/v3/time"))["serverTime"]
    await client.fault("clock_skew", target="20", **{"for": 60})
    assert (await client.call("GET", "/api/v3/account", timestamp=before))[1]["code"] == -1021
    assert 19_000 < (await client.get("/api/v3/time"))["serverTime"] - before < 25_000
    assert (await client.signed("GET", "account"))[0] == 200


async def test_a_cancel_is_obeyed_and_its_answer_lost(client: Client) -> None:
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01",
             "price": "50000", "newClientOrderId": "a"}
    await client.signed("POST", "order", **order)
    await client.fault("cancel_lost", **{"for": 60})  # a client may repeat what harms nobody twice
    with pytest.raises(aiohttp.ClientError):
        await client.signed("DELETE", "order", symbol="BTCUSDT", origClientOrderId="a")
    assert (await client.known("a"))[1]["status"] == "CANCELED"


async def test_maintenance_takes_cancels_and_no_new_orders(client: Client) -> None:
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01",
             "price": "50000", "newClientOrderId": "a"}
    await client.signed("POST", "order", **order)
    await client.fault("maintenance", **{"for": 60})
    assert (await client.signed("POST", "order", **BUY))[1]["msg"] == "Market is closed."
    assert {row["status"] for row in (await client.get("/api/v3/exchangeInfo"))["symbols"]} == {"BREAK"}
    assert (await client.signed("DELETE", "order", symbol="BTCUSDT", origClientOrderId="a"))[0] == 200


async def test_a_young_order_is_not_found(client: Client) -> None:
    await client.signed("POST", "order", **BUY, newClientOrderId="a")
    await client.fault("not_found_early")
    assert (await client.known("a"))[1]["code"] == -2013
    assert (await client.known("a"))[0] == 200


async def test_a_stop_is_refused_and_a_key_too(client: Client) -> None:
    await client.signed("POST", "order", **BUY)
    stop = {"symbol": "BTCUSDT", "side": "SELL", "type": "STOP_LOSS_LIMIT", "timeInForce": "GTC", "quantity": "0.009",
            "price": "50000", "stopPrice": "51000"}
    await client.fault("stop_refused")
    assert (await client.signed("POST", "order", **stop))[1]["code"] == -2010
    assert (await client.signed("POST", "order", **stop))[0] == 200
    await client.fault("bad_key")
    assert (await client.signed("GET", "account"))[1]["code"] == -2015


# ---- executions and the user stream ----------------------------------------------------------------


async def test_an_overfill_is_in_the_order_the_fills_and_the_balance(client: Client) -> None:
    await client.fault("overfill")
    await client.signed("POST", "order", **BUY, newClientOrderId="a")
    _, order = await client.known("a")
    assert (order["status"], Decimal(order["executedQty"])) == ("FILLED", Decimal("0.011"))
    _, fills = await client.signed("GET", "myTrades", symbol="BTCUSDT")
    assert sum(Decimal(fill["qty"]) for fill in fills) == Decimal("0.011")
    assert await client.total("BTC") == sum(Decimal(fill["qty"]) - Decimal(fill["commission"]) for fill in fills)


async def test_an_execution_in_parts_adds_up(client: Client) -> None:
    await client.fault("partial")
    _, order = await client.signed("POST", "order", **BUY)
    assert len(order["fills"]) >= 3
    assert sum(Decimal(fill["qty"]) for fill in order["fills"]) == Decimal("0.01")


async def listening(client: Client) -> aiohttp.ClientWebSocketResponse:
    ws = await client.session.ws_connect(client.urls.ws_api_url)
    now = (await client.get("/api/v3/time"))["serverTime"]
    await ws.send_json({"id": 1, "method": "userDataStream.subscribe.signature",
                        "params": {"apiKey": "k", "timestamp": now, "signature": "s"}})
    assert (await receive(ws))["status"] == 200
    return ws


@pytest.mark.parametrize(("fault", "told"), [("fill_lost", 0), ("fill_duplicate", 2)])
async def test_a_fill_is_told_not_at_all_or_twice(client: Client, fault: str, told: int) -> None:
    async with await listening(client) as ws:
        await client.fault(fault)
        await client.signed("POST", "order", **BUY)
        events: list[Any] = []
        while not events or events[-1]["e"] != "outboundAccountPosition":
            events.append((await receive(ws))["event"])
        assert [event["x"] for event in events[:-1]] == ["NEW", *["TRADE"] * told]


async def test_the_user_stream_is_cut_and_stays_closed_for_a_while(client: Client) -> None:
    async with await listening(client) as ws:
        await client.fault("stream_down", **{"for": 60})
        assert (await asyncio.wait_for(ws.receive(), 5)).type is aiohttp.WSMsgType.CLOSE
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await client.session.ws_connect(client.urls.ws_api_url)
    async with client.session.ws_connect(client.urls.ws_url) as market:
        assert not market.closed
    async with client.session.delete(f"{client.urls.rest_url}/practice/faults"):
        pass
    async with await listening(client) as ws:
        assert not ws.closed


async def test_money_comes_and_goes_and_a_hand_trades(client: Client) -> None:
    before = await client.total("USDT")
    for fault in ("deposit", "withdrawal"):
        await client.fault(fault)

    async def is_moved() -> bool:
        return await client.total("USDT") == before + 200

    async def bought() -> Decimal:
        return await client.total("ETH")

    await eventually(is_moved)
    await client.fault("foreign_order", target="ETH/USDT")
    held = await eventually(bought)
    await client.fault("sold_by_hand", target="ETH/USDT")

    async def is_half_gone() -> bool:
        return bool(await client.total("ETH") < held * Decimal("0.51"))

    await eventually(is_half_gone)
    _, orders = await client.signed("GET", "allOrders", symbol="ETHUSDT")
    assert [order["clientOrderId"][:4] for order in orders] == ["web_", "web_"]


# ---- market ----------------------------------------------------------------------------------------


async def test_a_crash_fills_what_rests_below(client: Client) -> None:
    price = Decimal((await client.get("/api/v3/ticker/price", symbol="BTCUSDT"))["price"])
    limit = (price * Decimal("0.985")).quantize(Decimal("0.01"))
    await client.signed("POST", "order", symbol="BTCUSDT", side="BUY", type="LIMIT", timeInForce="GTC",
                        quantity="0.01", price=str(limit), newClientOrderId="a")
    await client.fault("crash", target="BTC/USDT")

    async def is_filled() -> bool:
        return bool((await client.known("a"))[1]["status"] == "FILLED")

    assert await eventually(is_filled)


async def test_a_gap_on_coinbases_socket_is_a_missing_number(client: Client) -> None:
    async with client.session.ws_connect(client.urls.coinbase_ws_url) as ws:
        await ws.send_json({"type": "subscribe", "channel": "level2", "product_ids": ["BTC-USDT"]})
        first, second = await receive(ws), await receive(ws)
        assert [first["channel"], second["channel"]] == ["l2_data", "subscriptions"]
        assert first["events"][0]["type"] == "snapshot"
        assert first["events"][0]["updates"]
        await client.fault("gap")
        numbers = [(await receive(ws))["sequence_num"] for _ in range(6)]
    missing = sorted(set(range(2, numbers[-1] + 1)) - set(numbers))
    assert len(missing) == 1, numbers
    assert numbers == sorted(numbers)


# ---- how they are ordered --------------------------------------------------------------------------


async def test_a_script_runs_from_the_exchanges_start(tmp_path: Path) -> None:
    config = PracticeConfig(tmp_path, symbols=("BTC/USDT",), faults=(Fault(0.0, "deposit"), Fault(900.0, "gap")))
    async with running(config) as urls, aiohttp.ClientSession() as session:
        client = Client(session, urls)

        async def is_paid() -> bool:
            return await client.total("USDT") == 10_500

        await eventually(is_paid)
        listed = (await client.get("/practice/faults"))["faults"]
    told = [(row["fault"], row["state"], row["struck"]) for row in listed]
    assert told == [("deposit", "over", 1), ("gap", "waiting", 0)]


async def test_a_wrong_fault_is_refused_in_words(client: Client) -> None:
    async with client.session.post(f"{client.urls.rest_url}/practice/faults", data=b'{"fault": "hiccup"}') as answer:
        assert answer.status == 400
        assert "unknown fault 'hiccup'" in (await answer.json())["error"]


async def test_a_wrong_script_ends_the_start_with_a_sentence(tmp_path: Path) -> None:
    script = tmp_path / "faults.json"
    script.write_text('[{"at": 1, "fault": "hiccup"}]')
    with pytest.raises(ChildFailed, match=r"exit 2: practice exchange: --faults: .*entry 1: unknown fault 'hiccup'"):
        await child(tmp_path, "--faults", str(script))
