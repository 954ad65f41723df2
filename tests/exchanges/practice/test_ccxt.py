"""An unmodified ccxt, pointed here, trades as it would on the real venue."""

from pathlib import Path
from typing import Any

import pytest

from exchanges.practice.config import PracticeConfig, PracticeUrls
from tests.exchanges.practice.running import running


def pointed(urls: PracticeUrls) -> Any:
    import ccxt.async_support as ccxt

    exchange = ccxt.binance({
        "apiKey": "any", "secret": "any", "enableRateLimit": False,
        "options": {"defaultType": "spot", "fetchMarkets": {"types": ["spot"]}, "fetchCurrencies": False,
                    "fetchMargins": False},
    })

    def replaced(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: replaced(one) for key, one in value.items()}
        return f"{urls.rest_url}/api/v3" if isinstance(value, str) else value

    exchange.urls["api"] = replaced(exchange.urls["api"])
    return exchange


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_ccxt_reads_the_market_and_trades(tmp_path: Path) -> None:
    async with running(PracticeConfig(tmp_path, symbols=("BTC/USDT", "ETH/USDT"))) as urls:
        exchange = pointed(urls)
        try:
            markets = await exchange.load_markets()
            assert set(markets) == {"BTC/USDT", "ETH/USDT"}
            precision = markets["BTC/USDT"]["precision"]
            assert (precision["price"], precision["amount"]) == (0.01, 1e-05)
            candles = await exchange.fetch_ohlcv("BTC/USDT", "1m", limit=100)
            assert len(candles) == 100
            book = await exchange.fetch_order_book("BTC/USDT", 10)
            assert len(book["bids"]) == 10
            ask, bid = book["asks"][0][0], book["bids"][0][0]
            assert bid < ask
            assert (await exchange.fetch_ticker("BTC/USDT"))["last"] > 0
            assert len(await exchange.fetch_trades("BTC/USDT", limit=5)) == 5

            bought = await exchange.create_order("BTC/USDT", "market", "buy", 0.01, None, {"clientOrderId": "ours-1"})
            assert (bought["status"], bought["filled"], bought["clientOrderId"]) == ("closed", 0.01, "ours-1")
            resting = await exchange.create_order("BTC/USDT", "limit", "sell", 0.005, round(ask * 1.5, 2))
            assert resting["status"] == "open"
            assert [o["id"] for o in await exchange.fetch_open_orders("BTC/USDT")] == [resting["id"]]
            balance = await exchange.fetch_balance()
            assert balance["BTC"]["used"] == 0.005
            assert balance["BTC"]["total"] == pytest.approx(0.00999)
            assert (await exchange.cancel_order(resting["id"], "BTC/USDT"))["status"] == "canceled"
            assert (await exchange.fetch_order(resting["id"], "BTC/USDT"))["status"] == "canceled"
            fills = await exchange.fetch_my_trades("BTC/USDT")
            assert {fill["order"] for fill in fills} == {bought["id"]}
            assert fills[0]["fee"]["currency"] == "BTC"
            stop = await exchange.create_order("BTC/USDT", "limit", "sell", 0.005, round(bid * 0.9, 2),
                                               {"stopLossPrice": round(bid * 0.91, 2)})
            assert (await exchange.fetch_order(stop["id"], "BTC/USDT"))["info"]["type"] == "STOP_LOSS_LIMIT"
            assert len(await exchange.fetch_orders("BTC/USDT")) == 3
            await _errors(exchange, ask)
        finally:
            await exchange.close()


async def _errors(exchange: Any, ask: float) -> None:
    import ccxt

    with pytest.raises(ccxt.InsufficientFunds):
        await exchange.create_order("BTC/USDT", "limit", "buy", 5, round(ask * 0.9, 2))
    with pytest.raises(ccxt.OrderNotFound):
        await exchange.fetch_order("1", "BTC/USDT")
    with pytest.raises(ccxt.OrderNotFound):
        await exchange.cancel_order("1", "BTC/USDT")
    with pytest.raises(ccxt.BadRequest, match="NOTIONAL"):
        await exchange.create_order("BTC/USDT", "limit", "buy", 0.00001, round(ask * 0.5, 2))
