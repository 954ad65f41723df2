import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchanges.binance.parser import FrameError
from exchanges.coinbase.parser import (
    BookChange,
    MarketParser,
    Trade,
    confirmed_channels,
    parse_envelope,
)
from exchanges.coinbase.user_events import parse_orders
from exchanges.coinbase.wire_values import TimeError, time_ns, to_wire_time
from market.ticks import QuoteTick
from tests.shared_data import shared_file

SYMBOLS = {"BTC-USD": "BTC/USD", "ETH-USD": "ETH/USD"}
PARSER = MarketParser(SYMBOLS)
STAMP = "2026-09-30T02:39:53.945252774Z"
NOW = 1_790_735_994_000_000_000


def frame(channel: str, *events: object, sequence: object = 7, **more: object) -> bytes:
    return orjson.dumps({
        "channel": channel, "timestamp": STAMP, "sequence_num": sequence, "events": list(events), **more,
    })


def parse(raw: bytes | str) -> list:
    return PARSER.parse(parse_envelope(raw), NOW)


def trade(number: str = "5", **more: object) -> dict:
    return {"product_id": "BTC-USD", "trade_id": number, "price": "83277.26", "size": "0.00058346",
            "time": "2026-09-30T02:39:53.977543Z", "side": "SELL", **more}


def level(side: str, price: str, quantity: str) -> dict:
    return {"side": side, "event_time": STAMP, "price_level": price, "new_quantity": quantity}


def ticker(**more: object) -> dict:
    return {"type": "update", "tickers": [{
        "product_id": "BTC-USD", "price": "100", "best_bid": "99", "best_bid_quantity": "1", "best_ask": "101",
        "best_ask_quantity": "2", **more,
    }]}


def recorded(name: str) -> list[str]:
    with shared_file(f"messages/coinbase_advanced/{name}").open() as file:
        return [line.rstrip("\n").split("\t", 2)[2] for line in file]


@pytest.mark.shared
def test_every_recorded_market_frame_is_read_without_loss():
    levels = trades = 0
    for text in recorded("ws_l2_trades_heartbeats.tsv"):
        raw = orjson.loads(text)
        envelope = parse_envelope(text)
        assert envelope.sequence == raw["sequence_num"]
        if envelope.channel == "heartbeats":
            continue
        for event, found in zip(raw["events"], PARSER.parse(envelope, NOW), strict=True):
            if isinstance(found, BookChange):
                told = {(u["side"], u["price_level"]): u["new_quantity"] for u in event["updates"]}
                assert len(found.bids) + len(found.asks) == len(told)
                for side, rows in (("bid", found.bids), ("offer", found.asks)):
                    for price, quantity in rows:
                        assert told[side, str(price)] == str(quantity)
                        levels += 1
            else:
                assert isinstance(found, Trade)
                assert str(found.tick.price) == event["trades"][0]["price"]
                assert found.number == int(event["trades"][0]["trade_id"])
                trades += 1
    assert (levels, trades) == (56, 1)


@pytest.mark.shared
def test_every_recorded_frame_of_the_user_channel_is_read():
    envelopes = [parse_envelope(text) for text in recorded("ws_user_envelopes.tsv")]
    assert [each.channel for each in envelopes] == ["user", "subscriptions", "heartbeats"]
    assert parse_orders(envelopes[0]) == []
    assert confirmed_channels(envelopes[1]) == {"user"}


@pytest.mark.shared
def test_every_documented_frame_is_read():
    kinds = []
    with shared_file("fixtures/coinbase_advanced_nautilus.jsonl").open() as file:
        for line in file:
            document = orjson.loads(line)
            name = document["file"].rpartition("/")[2]
            if not name.startswith("ws_"):
                continue
            envelope = parse_envelope(document["raw"])
            if envelope.channel == "user":
                kinds += [type(each).__name__ for each in parse_orders(envelope)]
            elif envelope.channel not in ("heartbeats", "subscriptions"):
                kinds += [type(each).__name__ for each in PARSER.parse(envelope, NOW)]
    assert sorted(kinds) == ["BookChange", "BookChange", "OrderNews", "QuoteTick", "Trade", "Trade"]


def test_the_aggressor_is_the_other_side_than_the_makers():
    (found,) = parse(frame("market_trades", {"type": "update", "trades": [trade()]}))
    assert found.tick.aggressor == "buy"
    assert found.tick.ts_event == 1_790_735_993_977_543_000


def test_trades_come_out_oldest_first_though_the_venue_lists_the_newest_first():
    found = parse(frame("market_trades", {"type": "snapshot", "trades": [trade("9"), trade("8"), trade("7")]}))
    assert [(each.number, each.is_past) for each in found] == [(7, True), (8, True), (9, True)]


def test_a_snapshot_is_a_whole_book_best_first_without_empty_levels():
    (book,) = parse(frame("l2_data", {"type": "snapshot", "product_id": "BTC-USD", "updates": [
        level("bid", "98", "1"), level("bid", "99", "2"), level("bid", "97", "0"), level("offer", "103", "1"),
        level("offer", "101", "3"),
    ]}))
    assert book.is_snapshot
    assert [int(price) for price, _ in book.bids] == [99, 98]
    assert [int(price) for price, _ in book.asks] == [101, 103]


def test_a_level_told_twice_in_one_frame_has_its_last_quantity():
    (book,) = parse(frame("l2_data", {"type": "update", "product_id": "BTC-USD", "updates": [
        level("bid", "98", "1"), level("bid", "98", "0"),
    ]}))
    assert [int(quantity) for _, quantity in book.bids] == [0]


def test_a_ticker_becomes_a_quote_and_an_empty_side_none():
    (quote,) = parse(frame("ticker", ticker()))
    assert isinstance(quote, QuoteTick)
    assert (quote.bid, quote.ask, quote.symbol) == (99, 101, "BTC/USD")
    assert parse(frame("ticker", ticker(best_bid="0", best_bid_quantity="0"))) == []
    assert parse(frame("ticker", ticker(best_ask="", best_ask_quantity=""))) == []


@pytest.mark.parametrize(("raw", "reason"), [
    (b"{broken", "malformed"), (b"[]", "unknown_shape"), (b"{}", "unknown_shape"),
    (frame("ticker", sequence=-1), "sequence"), (frame("ticker", sequence="7"), "sequence"),
    (frame("ticker", timestamp="yesterday"), "time"), (frame("ticker", timestamp="1970-01-01T00:00:00Z"), "time"),
    (frame("what"), None), (frame("what", {}), "unknown_event"),
    (frame("market_trades", {"type": "update", "trades": [trade(price="NaN")]}), "money"),
    (frame("market_trades", {"type": "update", "trades": [trade(price=5)]}), "money"),
    (frame("market_trades", {"type": "update", "trades": [trade(price="-5")]}), "money"),
    (frame("market_trades", {"type": "update", "trades": [trade(size="0")]}), "money"),
    (frame("market_trades", {"type": "update", "trades": [trade("x1")]}), "sequence"),
    (frame("market_trades", {"type": "update", "trades": [trade(side="UP")]}), "unknown_shape"),
    (frame("market_trades", {"type": "update", "trades": [trade(product_id="DOGE-USD")]}), "unknown_symbol"),
    (frame("market_trades", {"type": "update"}), "unknown_shape"),
    (frame("market_trades", 5), "unknown_shape"),
    (frame("market_trades", {"type": "update", "trades": [trade(time="2026-99-30T02:39:53Z")]}), "time"),
    (frame("ticker", ticker(best_bid="101")), "crossed"), (frame("ticker", ticker(best_bid=[])), "unknown_shape"),
    (frame("ticker", ticker(best_ask="1000000000000000000")), "money"),
    (frame("l2_data", {"type": "update", "product_id": "BTC-USD", "updates": [level("left", "1", "1")]}),
     "unknown_shape"),
    (frame("l2_data", {"type": "update", "product_id": "BTC-USD", "updates": [level("bid", "1", "-1")]}), "money"),
    (frame("l2_data", {"type": "half", "product_id": "BTC-USD", "updates": []}), "unknown_shape"),
])
def test_what_is_doubtful_is_refused_with_a_reason(raw: bytes, reason: str | None):
    if reason is None:
        assert parse(raw) == []
        return
    with pytest.raises(FrameError) as caught:
        parse(raw)
    assert caught.value.reason == reason


def test_a_refused_level_names_the_book_that_misses_it():
    with pytest.raises(FrameError) as caught:
        parse(frame("l2_data", {"type": "update", "product_id": "ETH-USD", "updates": [level("bid", "NaN", "1")]}))
    assert caught.value.symbol == "ETH/USD"


def test_an_error_of_the_venue_is_told_in_its_words():
    envelope = parse_envelope(b'{"type":"error","message":"too many requests"}')
    assert (envelope.channel, envelope.error) == ("error", "too many requests")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(max_size=8) | st.sampled_from(
        ["l2_data", "market_trades", "ticker", "BTC-USD", "update", "snapshot", "1.5", "0", "bid", "offer", STAMP]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["channel", "events", "type", "product_id", "updates", "trades", "tickers", "side", "price", "size", "trade_id",
         "price_level", "new_quantity", "time", "subscriptions", "orders"]) | st.text(max_size=3), inner, max_size=5),
    max_leaves=12,
)


@given(events=st.lists(_JSON, max_size=3), channel=st.sampled_from(["l2_data", "market_trades", "ticker", "user"]))
def test_no_frame_whatever_it_holds_raises_anything_but_a_refusal(events: list, channel: str):
    try:
        envelope = parse_envelope(frame(channel, *events))
        found = parse_orders(envelope) if channel == "user" else PARSER.parse(envelope, NOW)
    except FrameError:
        return
    for each in found:
        if isinstance(each, QuoteTick):
            assert 0 < each.bid < each.ask
        elif isinstance(each, Trade):
            assert each.tick.price > 0


@given(st.binary(max_size=80) | st.text(max_size=80))
def test_no_bytes_raise_anything_but_a_refusal(raw: bytes | str):
    with pytest.raises(FrameError):
        parse(raw)


@pytest.mark.parametrize(("text", "expected"), [
    ("2026-09-30T02:39:53.945252774Z", 1_790_735_993_945_252_774), ("2026-09-30T02:39:53Z", 1_790_735_993_000_000_000),
    ("2026-09-30T02:39:53.5+00:00", 1_790_735_993_500_000_000),
])
def test_times_keep_every_digit(text: str, expected: int):
    assert time_ns(text) == expected
    assert time_ns(to_wire_time(expected)) == expected // 10**9 * 10**9


@pytest.mark.parametrize("text", ["", None, 5, "2026-09-30", "2026-13-30T02:39:53Z", "2026-09-30T02:39:53",
                                  "1999-01-01T00:00:00Z", "2026-09-30T02:39:53.5+01:00"])
def test_what_is_no_moment_in_utc_is_refused(text: object):
    with pytest.raises(TimeError):
        time_ns(text)
