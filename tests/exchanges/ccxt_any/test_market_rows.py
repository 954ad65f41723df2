from decimal import Decimal
from typing import Any

import pytest

from exchanges.ccxt_any.market_rows import (
    DECIMAL_PLACES,
    TICK_SIZE,
    RowError,
    parse_book,
    parse_candle,
    parse_instrument,
    parse_trade,
)

D = Decimal
NOW = 1_795_000_000_000_000_000
ROW: dict[str, Any] = {
    "id": "XXBTZUSD", "base": "BTC", "quote": "USD", "spot": True, "active": True, "maker": "0.0025", "taker": "0.004",
    "precision": {"price": "0.1", "amount": "1e-8"},
    "limits": {"amount": {"min": "0.0001", "max": None}, "cost": {"min": "0.5"}},
}
TRADE: dict[str, Any] = {"id": "7", "price": "100.5", "amount": "0.2", "timestamp": 1_795_000_000_000, "side": "sell"}


def test_a_spot_pair_takes_its_rules():
    one = parse_instrument(ROW, TICK_SIZE)
    assert one is not None
    assert (one.symbol, one.venue_symbol) == ("BTC/USD", "XXBTZUSD")
    assert (one.price_tick, one.quantity_step, one.min_quantity) == (D("0.1"), D("0.00000001"), D("0.0001"))
    assert (one.min_notional, one.maker_fee, one.taker_fee) == (D("0.5"), D("0.0025"), D("0.004"))
    assert one.is_trading


def test_steps_told_as_decimal_places_are_steps():
    one = parse_instrument({**ROW, "precision": {"price": 2, "amount": 5}}, DECIMAL_PLACES)
    assert one is not None
    assert (one.price_tick, one.quantity_step) == (D("0.01"), D("0.00001"))


def test_fees_that_are_not_told_are_dear_ones_and_a_halt_is_seen():
    one = parse_instrument({**ROW, "maker": None, "taker": None, "active": False}, TICK_SIZE)
    assert one is not None
    assert one.taker_fee == D("0.006")
    assert not one.is_trading


@pytest.mark.parametrize("change", [
    {"spot": False}, {"base": None}, {"precision": {}}, {"precision": {"price": "0", "amount": "1"}},
    {"precision": {"price": "-1", "amount": "1"}}, {"precision": {"price": "1e-9999", "amount": "1"}},
    {"limits": {"amount": {"min": "x"}}}, {"precision": None},
])
def test_a_pair_whose_rules_cannot_be_told_is_left_out(change: dict[str, Any]):
    assert parse_instrument({**ROW, **change}, TICK_SIZE) is None


def test_significant_digits_are_no_steps():
    assert parse_instrument({**ROW, "precision": {"price": 5, "amount": 8}}, 3) is None


def test_a_trade_and_one_without_an_id():
    tick = parse_trade(TRADE, "BTC/USD", NOW)
    assert (tick.price, tick.quantity, tick.aggressor, tick.trade_id) == (D("100.5"), D("0.2"), "sell", "7")
    assert tick.ts_event == NOW
    nameless = parse_trade({**TRADE, "id": None}, "BTC/USD", NOW)
    assert nameless.trade_id == "1795000000000-100.5-0.2"


@pytest.mark.parametrize("change", [
    {"price": "0"}, {"price": "NaN"}, {"amount": "-1"}, {"amount": None}, {"timestamp": None}, {"timestamp": "1"},
    {"price": "Infinity"}, {"price": True},
])
def test_a_trade_that_cannot_be_is_refused(change: dict[str, Any]):
    with pytest.raises(RowError):
        parse_trade({**TRADE, **change}, "BTC/USD", NOW)


def test_the_best_prices_of_a_book():
    quote = parse_book({"bids": [[99.5, 1.5, 7]], "asks": [["100", "2"]]}, "BTC/USD", NOW)
    assert (quote.bid, quote.bid_quantity, quote.ask, quote.ask_quantity) == (D("99.5"), D("1.5"), D(100), D(2))


@pytest.mark.parametrize("book", [
    {}, {"bids": [], "asks": []}, {"bids": [["100", "1"]], "asks": [["100", "1"]]},
    {"bids": [["101", "1"]], "asks": [["100", "1"]]}, {"bids": [["0", "1"]], "asks": [["100", "1"]]},
    {"bids": [["1"]], "asks": [["100", "1"]]},
])
def test_a_book_that_cannot_be_is_refused(book: dict[str, Any]):
    with pytest.raises(RowError):
        parse_book(book, "BTC/USD", NOW)


def test_a_candle_and_one_that_does_not_fit_together():
    candle = parse_candle([1_795_000_020_000, "10", "12", "9", "11", "5"], "BTC/USD", "1m")
    assert (candle.high, candle.volume, candle.ts_init - candle.ts_open) == (D(12), D(5), 60_000_000_000)
    for row in ([1, "10", "9", "9", "11", "5"], [None, "1", "1", "1", "1", "1"], ["x"], None):
        with pytest.raises(RowError):
            parse_candle(row, "BTC/USD", "1m")


@pytest.mark.parametrize("absurd", ["1e99", "1e15", "1000000000000000"])
def test_absurd_prices_and_sizes_are_refused(absurd: str):
    row = {"price": "100", "amount": "1", "timestamp": 1_700_000_000_000, "id": "1", "side": "buy"}
    for key in ("price", "amount"):
        with pytest.raises(RowError, match="absurd"):
            parse_trade({**row, key: Decimal(absurd)}, "BTC/USD", 1)
    for bid, ask in (([Decimal(99), absurd], [101, 1]), ([99, 1], [101, absurd]), ([99, 1], [absurd, 1])):
        with pytest.raises(RowError, match="absurd"):
            parse_book({"bids": [bid], "asks": [ask]}, "BTC/USD", 1)
    with pytest.raises(RowError, match="absurd"):
        parse_candle([1_700_000_000_000, 1, 2, 1, 2, absurd], "BTC/USD", "1m")
