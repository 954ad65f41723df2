from decimal import Decimal
from typing import Any

import orjson
import pytest

from exchanges.binance.parser import FrameError
from exchanges.coinbase.market_rest import (
    parse_aliases,
    parse_candles,
    parse_fees,
    parse_instruments,
    parse_quote,
    parse_time,
    parse_trades,
)
from tests.exchanges.coinbase.exchange import PRODUCT
from tests.shared_data import shared_file

D = Decimal
NOW = 1_790_735_994_000_000_000


def fixture(name: str) -> Any:
    with shared_file("fixtures/coinbase_advanced_nautilus.jsonl").open() as file:
        for line in file:
            document = orjson.loads(line)
            if document["file"].endswith(f"/{name}.json"):
                return orjson.loads(document["raw"])
    raise AssertionError(name)


def response(request: str) -> Any:
    with shared_file("messages/coinbase_advanced/rest_responses.jsonl").open() as file:
        for line in file:
            document = orjson.loads(line)
            if request in document["request"]:
                return document["response"]
    raise AssertionError(request)


@pytest.mark.shared
def test_the_captured_product_becomes_an_instrument_with_the_venues_own_rules():
    (btc,) = parse_instruments({"products": [response("products/BTC-USD")]})
    assert (btc.symbol, btc.venue_symbol, btc.price_tick, btc.quantity_step) == (
        "BTC/USD", "BTC-USD", D("0.01"), D("0.00000001")
    )
    assert (btc.min_quantity, btc.max_quantity, btc.min_notional) == (D("0.00000001"), D(3400), D(1))
    assert btc.is_trading


@pytest.mark.shared
def test_captured_products_are_read_futures_are_left_out_and_aliases_are_known():
    body = fixture("http_products")
    assert [each.symbol for each in parse_instruments(body)] == ["BTC/USD", "BTC/USDC"]
    assert parse_aliases(body) == {"BTC-USDC": "BTC-USD"}


@pytest.mark.shared
def test_captured_trades_candles_and_books_are_read():
    trades = parse_trades(fixture("http_ticker"), "BTC/USD", NOW)
    assert [number for number, _ in trades] == [995098661, 995098662, 995098663]
    assert trades[-1][1].aggressor == "buy"
    candles = parse_candles(fixture("http_candles"), "BTC/USD", "1h", NOW)
    assert [candle.close for candle in candles] == [D("66314.59"), D("66181.6")]
    assert [candle.ts_open for candle in candles] == [1712188800 * 10**9, 1712192400 * 10**9]
    quote = parse_quote(fixture("http_product_book"), "BTC/USD", NOW)
    assert quote is not None
    assert (quote.bid, quote.ask) == (D("68923.66"), D("68923.67"))


@pytest.mark.parametrize("key", [
    "trading_disabled", "is_disabled", "cancel_only", "post_only", "view_only", "auction_mode",
])
def test_a_product_that_is_closed_to_us_is_known_but_does_not_trade(key: str):
    (instrument,) = parse_instruments({"products": [{**PRODUCT, key: True}]})
    assert not instrument.is_trading


@pytest.mark.parametrize("change", [
    {"base_increment": "0"}, {"price_increment": "NaN"}, {"base_currency_id": "B<C"}, {"product_id": "BTC-EUR"},
    {"base_max_size": 5}, {"product_type": "FUTURE"},
])
def test_one_odd_listing_does_not_keep_us_from_the_others(change: dict):
    other = {**PRODUCT, "product_id": "ETH-USD", "base_currency_id": "ETH"}
    assert [each.symbol for each in parse_instruments({"products": [{**PRODUCT, **change}, other, 7]})] == ["ETH/USD"]


@pytest.mark.parametrize("missing", ["base_min_size", "base_max_size", "quote_min_size", "price_increment", "status"])
def test_a_product_without_something_optional_trades_all_the_same(missing: str):
    (instrument,) = parse_instruments({"products": [{key: PRODUCT[key] for key in PRODUCT if key != missing}]})
    assert instrument.is_trading
    assert instrument.min_quantity <= instrument.max_quantity


def test_the_time_may_be_told_in_seconds_only():
    assert parse_time({"epochSeconds": "1790735994"}) == parse_time({"epochMillis": "1790735994000"})


def test_the_accounts_own_fees_are_read():
    tier = {"maker_fee_rate": "0.0025", "taker_fee_rate": "0.004"}
    assert parse_fees({"fee_tier": tier}) == (D("0.0025"), D("0.004"))


def test_candles_that_have_not_closed_yet_are_left_out():
    rows = [{"start": str(start), "low": "1", "high": "3", "open": "2", "close": "2", "volume": "0"}
            for start in (1_700_000_100, 1_700_000_160)]
    found = parse_candles({"candles": rows}, "BTC/USD", "1m", 1_700_000_219 * 10**9)
    assert [candle.ts_open // 10**9 for candle in found] == [1_700_000_100]


def test_an_empty_or_crossed_book_gives_no_quote():
    level = {"price": "5", "size": "1"}
    assert parse_quote({"pricebook": {"bids": [], "asks": [level]}}, "BTC/USD", NOW) is None
    assert parse_quote({"pricebook": {"bids": [level], "asks": [level]}}, "BTC/USD", NOW) is None


@pytest.mark.parametrize("read", [
    lambda body: parse_instruments(body), lambda body: parse_fees(body), lambda body: parse_time(body),
    lambda body: parse_candles(body, "BTC/USD", "1m", NOW), lambda body: parse_trades(body, "BTC/USD", NOW),
    lambda body: parse_quote(body, "BTC/USD", NOW),
])
@pytest.mark.parametrize("body", [
    None, [], {}, 5, {"candles": [{"start": "x"}], "trades": [5], "products": 5, "fee_tier": {}, "epochMillis": 1.5,
                      "pricebook": {"bids": [5], "asks": [5]}},
    {"fee_tier": {"maker_fee_rate": "2", "taker_fee_rate": "0"}},
    {"candles": [{"start": "1700000100", "low": "5", "high": "3", "open": "2", "close": "2", "volume": "0"}]},
])
def test_what_is_not_documented_is_refused(read, body: object):
    with pytest.raises(FrameError):
        read(body)
