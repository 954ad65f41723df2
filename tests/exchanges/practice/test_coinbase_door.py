"""Coinbase's door: its formats against recorded answers, its tokens, and orders it does not take."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import orjson
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import ec

from exchanges.coinbase.keys import read_keys
from exchanges.practice.coinbase.keys import CoinbaseKeys, Unauthorized
from exchanges.practice.config import PracticeConfig, PracticeUrls
from tests.exchanges.practice.running import receive, running
from tests.shared_data import shared_file

KEY = ec.generate_private_key(ec.SECP256R1())
NAME = "organizations/a/apiKeys/b"


def token(uri: str = "", *, key: Any = KEY, algorithm: str = "ES256", **changes: Any) -> str:
    now = int(time.time())
    claims = {"sub": NAME, "iss": "cdp", "nbf": now, "exp": now + 120, "uri": uri, **changes}
    return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": NAME, "nonce": "0" * 32})


class Door:
    """Signed calls of the Coinbase door."""

    def __init__(self, session: aiohttp.ClientSession, urls: PracticeUrls) -> None:
        self.session = session
        self.urls = urls
        self.host = urls.rest_url.removeprefix("http://")

    async def call(self, method: str, path: str, body: Any = None, bearer: str | None = None) -> tuple[int, Any]:
        full = f"/api/v3/brokerage/{path}"
        bearer = bearer or token(f"{method} {self.host}{full.partition('?')[0]}")
        headers = {"Authorization": f"Bearer {bearer}"}
        data = None if body is None else orjson.dumps(body)
        async with self.session.request(method, self.urls.rest_url + full, data=data, headers=headers) as answer:
            text = await answer.read()
            return answer.status, orjson.loads(text) if text.startswith(b"{") else text.decode()

    async def good(self, path: str) -> Any:
        status, body = await self.call("GET", path)
        assert status == 200, body
        return body

    async def order(self, side: str = "BUY", client_id: str = "a", **configuration: Any) -> Any:
        names = {"client_order_id": client_id, "product_id": "ADA-USDT", "side": side}
        body = {**names, "order_configuration": configuration}
        status, answer = await self.call("POST", "orders", body)
        assert status == 200, answer
        return answer


@pytest_asyncio.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    config = PracticeConfig(tmp_path, symbols=("ADA/USDT",))
    async with running(config) as urls, aiohttp.ClientSession() as session:
        yield Door(session, urls)


def recorded(part: str) -> Any:
    for line in shared_file("messages/coinbase_advanced/rest_responses.jsonl").read_text().splitlines():
        row = orjson.loads(line)
        if part in row["request"]:
            return row["response"]
    raise AssertionError(part)


def kinds(row: dict[str, Any]) -> dict[str, str]:
    return {key: type(value).__name__ for key, value in row.items() if value is not None}


async def test_its_rows_have_the_fields_and_types_of_the_recorded_ones(door: Door) -> None:
    await door.order(market_market_ioc={"base_size": "20"})
    extra = {  # of the real venue's own housekeeping, which no client needs
        "new_at", "market_cap", "base_cbrn", "quote_cbrn", "product_cbrn", "icon_color", "icon_url",
        "display_name_overwrite", "is_alpha_testing", "about_description", "best_bid_price", "best_ask_price",
        "high_24h", "low_24h", "hidden_from_discovery", "cursor",
    }
    pairs = (
        (recorded("market/products/BTC-USD"), await door.good("market/products/ADA-USDT")),
        (recorded("accounts")["accounts"][0], (await door.good("accounts"))["accounts"][0]),
        (recorded("fetchTicker")["trades"][0], (await door.good("market/products/ADA-USDT/ticker"))["trades"][0]),
        (recorded("fetchMyTrades")["fills"][0], (await door.good("orders/historical/fills"))["fills"][0]),
        (recorded("fetchClosedOrders")["orders"][0], (await door.good("orders/historical/batch"))["orders"][0]),
    )
    for real, ours in pairs:
        expected = {key: kind for key, kind in kinds(real).items() if key not in extra}
        assert {key: kind for key, kind in kinds(ours).items() if key in expected} == expected


async def test_frames_have_the_outside_of_recorded_ones_and_numbers_without_a_hole(door: Door) -> None:
    async with door.session.ws_connect(door.urls.coinbase_ws_user_url) as ws:
        await ws.send_json({"type": "subscribe", "channel": "user", "product_ids": ["ADA-USDT"], "jwt": token()})
        await ws.send_json({"type": "subscribe", "channel": "heartbeats"})
        frames = [await receive(ws) for _ in range(4)]
    assert [frame["channel"] for frame in frames] == ["user", "subscriptions", "subscriptions", "heartbeats"]
    assert [frame["sequence_num"] for frame in frames] == [0, 1, 2, 3]
    lines = shared_file("messages/coinbase_advanced/ws_user_envelopes.tsv").read_text().splitlines()
    real = orjson.loads(lines[0].split("\t", 2)[2])
    assert frames[0].keys() == real.keys()
    assert frames[0]["events"][0]["type"] == real["events"][0]["type"]


async def test_a_bad_token_opens_neither_rest_nor_the_user_channel(door: Door) -> None:
    assert (await door.call("GET", "accounts", bearer="nonsense"))[0] == 401
    assert (await door.call("GET", "accounts", bearer=token("GET elsewhere/accounts")))[0] == 401
    async with door.session.ws_connect(door.urls.coinbase_ws_user_url) as ws:
        await ws.send_json({"type": "subscribe", "channel": "user", "jwt": "nonsense"})
        assert (await receive(ws))["type"] == "error"


@pytest.mark.parametrize(
    "bad",
    [
        {"exp": 1}, {"nbf": 4_000_000_000, "exp": 4_000_000_060}, {"exp": int(time.time()) + 9_999}, {"sub": "other"},
        {"nbf": None},
    ],
)
def test_a_token_that_is_not_for_now_or_of_another_name_is_refused(tmp_path: Path, bad: dict[str, Any]) -> None:
    keys = CoinbaseKeys(tmp_path, is_checked=False)
    keys.check(token("GET host/x"), "GET host/x")
    with pytest.raises(Unauthorized):
        keys.check(token("GET host/x", **bad), "GET host/x")


@pytest.mark.parametrize("is_old_form", [False, True])
def test_tokens_of_the_daemon_are_taken_in_both_forms(tmp_path: Path, is_old_form: bool) -> None:
    keys = CoinbaseKeys(tmp_path, is_checked=True)
    made = orjson.loads((tmp_path / "coinbase-key.json").read_bytes())
    pair = read_keys("coinbase", made["name"], made["privateKey"])
    now = int(time.time())
    keys.check(pair.token(now, "GET", "http://host/x", is_old_form=is_old_form), "GET host/x")
    keys.check(pair.token(now, is_old_form=is_old_form), None)


def test_only_es256_is_a_signature(tmp_path: Path) -> None:
    with pytest.raises(Unauthorized):
        CoinbaseKeys(tmp_path, is_checked=False).check(token(key="s" * 32, algorithm="HS256"), None)


def test_the_own_key_is_kept_and_a_foreign_signature_refused(tmp_path: Path) -> None:
    CoinbaseKeys(tmp_path, is_checked=True)
    made = (tmp_path / "coinbase-key.json").read_bytes()
    keys = CoinbaseKeys(tmp_path, is_checked=True)
    assert (tmp_path / "coinbase-key.json").read_bytes() == made
    with pytest.raises(Unauthorized):
        keys.check(token(sub=orjson.loads(made)["name"]), None)


@pytest.mark.parametrize(
    ("configuration", "error"),
    [
        ({"limit_limit_gtd": {"base_size": "20", "limit_price": "0.5"}}, "UNSUPPORTED_ORDER_CONFIGURATION"),
        ({"limit_limit_gtc": {"base_size": "0.001", "limit_price": "0.5"}}, "INVALID_SIZE_PRECISION"),
        ({"limit_limit_gtc": {"base_size": "20", "limit_price": "0.50000001"}}, "INVALID_PRICE_PRECISION"),
        ({"limit_limit_gtc": {"base_size": "1", "limit_price": "0.5"}}, "INVALID_ORDER_SIZE"),
        ({"limit_limit_gtc": {"base_size": "999999", "limit_price": "0.5"}}, "INSUFFICIENT_FUND"),
        (
            {"limit_limit_gtc": {"base_size": "20", "limit_price": "9", "post_only": True}},
            "INVALID_LIMIT_PRICE_POST_ONLY",
        ),
        ({"market_market_ioc": {}}, "INVALID_REQUEST"),
    ],
)
async def test_what_it_does_not_take_it_refuses_in_its_own_words(
    door: Door, configuration: dict[str, Any], error: str
) -> None:
    answer = await door.order(**configuration)
    assert (answer["success"], answer["error_response"]["error"]) == (False, error)
    assert (await door.good("orders/historical/batch"))["orders"] == []


async def test_a_stop_order_comes_back_as_it_was_sent(door: Door) -> None:
    await door.order(market_market_ioc={"base_size": "20"})
    prices = {"limit_price": "0.4", "stop_price": "0.45"}
    terms = {"base_size": "19", **prices, "stop_direction": "STOP_DIRECTION_STOP_DOWN"}
    placed = await door.order("SELL", "b", stop_limit_stop_limit_gtc=terms)
    found = (await door.good(f"orders/historical/{placed['order_id']}"))["order"]
    assert found["order_configuration"] == {"stop_limit_stop_limit_gtc": terms}
    assert (found["status"], found["trigger_status"], found["order_type"]) == ("OPEN", "STOP_PENDING", "STOP_LIMIT")


async def test_orders_come_in_pages_newest_first(door: Door) -> None:
    for number in range(5):
        await door.order(client_id=str(number), limit_limit_gtc={"base_size": "20", "limit_price": "0.5"})
    first = await door.good("orders/historical/batch?limit=3")
    rest = await door.good(f"orders/historical/batch?limit=3&cursor={first['cursor']}")
    assert [row["client_order_id"] for row in first["orders"] + rest["orders"]] == ["4", "3", "2", "1", "0"]
    assert (first["has_next"], rest["has_next"]) == (True, False)
    ids = [row["order_id"] for row in first["orders"]]
    _, answer = await door.call("POST", "orders/batch_cancel", {"order_ids": [*ids, "nobody's"]})
    assert [row["success"] for row in answer["results"]] == [True, True, True, False]
    assert len((await door.good("orders/historical/batch?order_status=OPEN"))["orders"]) == 2
