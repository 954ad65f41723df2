"""An unmodified ccxt, pointed at the Coinbase door, trades and listens as it would on the real venue."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from exchanges.practice.config import PracticeConfig, PracticeUrls
from tests.exchanges.practice.running import running

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
NAME = "organizations/1111-2222/apiKeys/3333-4444"


def new_pem() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()


def pointed(urls: PracticeUrls, name: str = NAME, pem: str = "") -> Any:
    import ccxt.pro

    exchange = ccxt.pro.coinbase({
        "apiKey": name, "secret": pem or new_pem(), "enableRateLimit": False,
        "options": {"fetchBalance": "v3PrivateGetBrokerageAccounts"},
    })
    exchange.urls["api"]["rest"] = urls.rest_url
    exchange.urls["api"]["ws"] = urls.coinbase_ws_url
    return exchange


@pytest_asyncio.fixture
async def urls(tmp_path: Path) -> AsyncIterator[PracticeUrls]:
    async with running(PracticeConfig(tmp_path, symbols=("BTC/USD", "ETH/USD"))) as found:
        yield found


@pytest_asyncio.fixture
async def exchange(urls: PracticeUrls) -> AsyncIterator[Any]:
    client = pointed(urls)
    yield client
    await client.close()


async def test_ccxt_reads_the_market(exchange: Any) -> None:
    markets = await exchange.load_markets()
    assert {"BTC/USD", "ETH/USD"} == set(markets)
    precision = markets["BTC/USD"]["precision"]
    assert (precision["price"], precision["amount"]) == (0.01, 1e-05)
    candles = await exchange.fetch_ohlcv("BTC/USD", "1m", limit=100)
    assert 99 <= len(candles) <= 100
    assert [row[0] for row in candles] == sorted(row[0] for row in candles)
    book = await exchange.fetch_order_book("BTC/USD", 10)
    assert len(book["bids"]) == 10
    assert book["bids"][0][0] < book["asks"][0][0]
    assert len(await exchange.fetch_trades("BTC/USD", limit=5)) == 5
    assert (await exchange.fetch_ticker("BTC/USD"))["bid"] > 0
    assert await exchange.fetch_time() > 1_700_000_000_000


async def test_ccxt_trades_and_the_money_adds_up(exchange: Any) -> None:
    book = await exchange.fetch_order_book("BTC/USD", 1)
    ask, bid = book["asks"][0][0], book["bids"][0][0]
    bought = await exchange.create_order("BTC/USD", "limit", "buy", 0.01, round(ask * 1.01, 2), {"timeInForce": "IOC"})
    order = await exchange.fetch_order(bought["id"], "BTC/USD")
    assert (order["status"], order["filled"]) == ("closed", 0.01)
    fills = await exchange.fetch_my_trades("BTC/USD")
    assert {fill["order"] for fill in fills} == {bought["id"]}
    assert {fill["fee"]["currency"] for fill in fills} == {"USD"}
    balance = await exchange.fetch_balance()
    paid = sum(fill["cost"] + fill["fee"]["cost"] for fill in fills)
    assert balance["USD"]["total"] == pytest.approx(10_000 - paid, abs=1e-6)
    assert balance["BTC"]["total"] == 0.01
    assert balance["USD"]["used"] == 0

    resting = await exchange.create_order("BTC/USD", "limit", "sell", 0.004, round(ask * 1.5, 2), {"postOnly": True})
    stop = await exchange.create_order(
        "BTC/USD", "limit", "sell", 0.005, round(bid * 0.9, 2), {"stopLossPrice": round(bid * 0.91, 2)}
    )
    assert {each["id"] for each in await exchange.fetch_open_orders("BTC/USD")} == {resting["id"], stop["id"]}
    assert (await exchange.fetch_balance())["BTC"]["used"] == pytest.approx(0.009)
    await exchange.cancel_order(resting["id"], "BTC/USD")
    assert (await exchange.fetch_order(resting["id"], "BTC/USD"))["status"] == "canceled"
    assert len(await exchange.fetch_orders("BTC/USD")) == 3
    market = await exchange.create_order("BTC/USD", "market", "sell", 0.005, None)
    assert (await exchange.fetch_order(market["id"], "BTC/USD"))["average"] > 0


async def test_a_client_id_that_exists_gives_that_order_and_no_second_one(exchange: Any) -> None:
    price = (await exchange.fetch_order_book("BTC/USD", 1))["bids"][0][0]
    terms = ("BTC/USD", "limit", "buy", 0.001, round(price * 0.5, 2), {"client_order_id": "ours-1"})
    first, second = await exchange.create_order(*terms), await exchange.create_order(*terms)
    assert first["id"] == second["id"]
    assert len(await exchange.fetch_open_orders("BTC/USD")) == 1


async def test_ccxt_hears_of_refusals(exchange: Any) -> None:
    import ccxt

    price = (await exchange.fetch_order_book("BTC/USD", 1))["bids"][0][0]
    with pytest.raises(ccxt.InsufficientFunds):
        await exchange.create_order("BTC/USD", "limit", "buy", 5, round(price * 0.9, 2))
    with pytest.raises(ccxt.ExchangeError, match="not found"):
        await exchange.fetch_order("00000000-0000-4000-8000-000000000001", "BTC/USD")


async def test_ccxt_listens_to_the_market_and_to_its_own_orders(exchange: Any) -> None:
    trades = await exchange.watch_trades("BTC/USD")
    assert {trade["symbol"] for trade in trades} == {"BTC/USD"}
    ticker = await exchange.watch_ticker("BTC/USD")
    assert ticker["bid"] < ticker["ask"]
    book = await exchange.watch_order_book("BTC/USD")
    for _ in range(5):
        book = await exchange.watch_order_book("BTC/USD")
        assert book["bids"][0][0] < book["asks"][0][0]
    watching = exchange.watch_orders("BTC/USD")
    placed = await exchange.create_order("BTC/USD", "limit", "buy", 0.001, round(book["bids"][0][0] * 0.5, 2))
    (order,) = await watching
    assert (order["id"], order["status"]) == (placed["id"], "open")


async def test_the_exchanges_own_key_opens_and_no_other(tmp_path: Path) -> None:
    import ccxt

    config = PracticeConfig(tmp_path, symbols=("BTC/USD",), checks_coinbase_key=True)
    async with running(config) as urls:
        path = tmp_path / "practice" / "coinbase-key.json"
        assert path.stat().st_mode & 0o777 == 0o600
        key = orjson.loads(path.read_bytes())
        ours, another = pointed(urls, key["name"], key["privateKey"]), pointed(urls, key["name"])
        try:
            assert (await ours.fetch_balance())["USD"]["free"] == 10_000
            with pytest.raises(ccxt.AuthenticationError):
                await another.fetch_balance()
        finally:
            await ours.close()
            await another.close()
