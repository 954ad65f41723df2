import gzip
from decimal import Decimal

import orjson
import pytest

from exchanges.binance.market_rest import (
    parse_candles,
    parse_instruments,
    parse_snapshot,
    parse_top_quotes,
    parse_trades,
)
from exchanges.binance.parser import FrameError
from market.ticks import QuoteTick
from tests.shared_data import shared_file

ENTRY = {
    "symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT", "isSpotTradingAllowed": True,
    "filters": [
        {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000.00", "tickSize": "0.01000000"},
        {"filterType": "LOT_SIZE", "minQty": "0.00001000", "maxQty": "9000.00000000", "stepSize": "0.00001000"},
        {"filterType": "MARKET_LOT_SIZE", "minQty": "0.00000000", "maxQty": "120.5", "stepSize": "0.00000000"},
        {"filterType": "NOTIONAL", "minNotional": "5.00000000", "applyMinToMarket": True},
    ],
}


def test_an_instrument_takes_its_filters():
    (instrument,) = parse_instruments({"symbols": [ENTRY]})
    assert (instrument.symbol, instrument.venue_symbol) == ("BTC/USDT", "BTCUSDT")
    assert (instrument.price_tick, instrument.quantity_step) == (Decimal("0.01"), Decimal("0.00001"))
    assert (instrument.min_quantity, instrument.max_quantity) == (Decimal("0.00001"), Decimal("120.5"))
    assert (instrument.min_notional, instrument.taker_fee) == (Decimal(5), Decimal("0.001"))
    assert instrument.is_trading


def test_a_halted_pair_is_listed_as_not_trading():
    (instrument,) = parse_instruments({"symbols": [{**ENTRY, "status": "BREAK"}]})
    assert not instrument.is_trading


@pytest.mark.parametrize("change", [
    {"filters": []}, {"filters": None}, {"symbol": "BTC<script>"}, {"baseAsset": None},
    {"filters": [{**ENTRY["filters"][0], "tickSize": "0.00000000"}, *ENTRY["filters"][1:]]},
    {"filters": [{**ENTRY["filters"][0], "tickSize": 0.01}, *ENTRY["filters"][1:]]},
])
def test_an_odd_listing_is_left_out_and_the_others_stay(change: dict):
    assert [each.symbol for each in parse_instruments({"symbols": [{**ENTRY, **change}, ENTRY]})] == ["BTC/USDT"]


@pytest.mark.parametrize("body", [None, [], {}, {"symbols": {}}])
def test_what_is_no_exchange_info_is_refused(body: object):
    with pytest.raises(FrameError):
        parse_instruments(body)


@pytest.mark.shared
def test_the_recorded_listing_is_understood_whole():
    with gzip.open(shared_file("messages/binance/rest_instruments.tsv.gz"), "rt") as file:
        body = orjson.loads(file.read().split("\t", 2)[2].split(" ", 1)[1])
    instruments = {each.symbol: each for each in parse_instruments(body)}
    assert len(instruments) == len(body["symbols"]) > 1000
    assert instruments["NKN/USDT"].min_notional == 10


@pytest.mark.shared
def test_the_recorded_books_are_understood():
    with gzip.open(shared_file("messages/binance/rest_books.tsv.gz"), "rt") as file:
        for line in file:
            body = orjson.loads(line.split("\t", 2)[2].split(" ", 1)[1])
            snapshot = parse_snapshot(body, "X", 1)
            assert snapshot.bids[0][0] < snapshot.asks[0][0]
            assert snapshot.sequence == body["lastUpdateId"]


def test_an_empty_snapshot_is_legal_and_a_crossed_one_is_not():
    assert parse_snapshot({"lastUpdateId": 4, "bids": [], "asks": []}, "X", 1).bids == ()
    with pytest.raises(FrameError, match="crossed"):
        parse_snapshot({"lastUpdateId": 4, "bids": [["5", "1"]], "asks": [["5", "1"]]}, "X", 1)
    with pytest.raises(FrameError):
        parse_snapshot({"lastUpdateId": "4", "bids": [], "asks": []}, "X", 1)


ROW = [1_723_161_240_000, "10", "12", "9", "11", "5.5", 1_723_161_299_999, "50", 7, "1", "1", "0"]
CLOSED = 1_723_161_300_000_000_000


def test_a_candle_is_closed_once_its_end_has_come():
    (candle,) = parse_candles([ROW], "BTC/USDT", "1m", CLOSED)
    assert (candle.ts_open, candle.ts_init, candle.trades) == (1_723_161_240_000_000_000, CLOSED, 7)
    assert (candle.open, candle.high, candle.low, candle.close, candle.volume) == (10, 12, 9, 11, Decimal("5.5"))
    assert parse_candles([ROW], "BTC/USDT", "1m", CLOSED - 1) == []


@pytest.mark.parametrize("change", [
    (1, "NaN"), (2, "8"), (3, "0"), (4, "13"), (4, 11.0), (5, "-1"), (0, "1723161240000"), (8, None),
])
def test_a_candle_that_does_not_fit_together_is_refused(change: tuple[int, object]):
    row = list(ROW)
    row[change[0]] = change[1]
    with pytest.raises(FrameError):
        parse_candles([row], "BTC/USDT", "1m", CLOSED)


def test_past_trades_come_oldest_first():
    rows = [{"id": number, "price": "10", "qty": "2", "time": 1_723_161_240_000, "isBuyerMaker": number == 2}
            for number in (2, 1)]
    trades = parse_trades(rows, "BTC/USDT", 9)
    assert [(number, tick.aggressor) for number, tick in trades] == [(1, "buy"), (2, "sell")]
    with pytest.raises(FrameError):
        parse_trades([{**rows[0], "price": "0"}], "BTC/USDT", 9)


def test_best_prices_of_one_or_several_symbols():
    one = {"symbol": "BTCUSDT", "bidPrice": "9", "bidQty": "1", "askPrice": "10", "askQty": "2"}
    table = {"BTCUSDT": "BTC/USDT"}
    expected = [QuoteTick("BTC/USDT", Decimal(9), Decimal(1), Decimal(10), Decimal(2), 5, 5)]
    assert parse_top_quotes(one, table, 5) == parse_top_quotes([one], table, 5) == expected
    for change in ({"bidPrice": "10"}, {"bidPrice": "NaN"}, {"askQty": "0.00"}, {"symbol": "ETHUSDT"}):
        assert parse_top_quotes([{**one, **change}], table, 5) == []
    with pytest.raises(FrameError):
        parse_top_quotes("no", table, 5)


def test_a_pair_without_filters_has_the_digits_that_the_venue_keeps():
    bare = {key: value for key, value in ENTRY.items() if key != "filters"}
    (one,) = parse_instruments({"symbols": [{**bare, "filters": [], "quotePrecision": 2, "baseAssetPrecision": 5}]})
    assert (one.price_tick, one.quantity_step) == (Decimal("0.01"), Decimal("0.00001"))
    assert one.min_quantity == one.quantity_step
    assert one.min_notional == 0
    assert one.max_quantity > 1000


@pytest.mark.parametrize("digits", [None, -1, 99, "2", True])
def test_digits_that_are_none_leave_the_pair_out(digits: object):
    assert parse_instruments({"symbols": [{**ENTRY, "filters": [], "quotePrecision": digits,
                                           "baseAssetPrecision": digits}]}) == []
