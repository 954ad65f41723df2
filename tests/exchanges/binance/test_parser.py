import random
from decimal import Decimal

import orjson
import pytest

from exchanges.binance.parser import (
    AliveFrame,
    AnswerFrame,
    ClockFrame,
    EndFrame,
    FrameError,
    FrameParser,
    QuoteFrame,
    TradeFrame,
    UserFrame,
)
from exchanges.venue import AssetBalance
from market.ticks import BookDelta
from tests.exchanges.binance import recordings

NOW = 1_723_161_254_000_000_000
PARSER = FrameParser({"BTCUSDT": "BTC/USDT"})
TRADE = {
    "e": "trade", "E": 1723161255343, "s": "BTCUSDT", "t": 3735683259, "p": "61837.63000000", "q": "0.02000000",
    "T": 1723161255342, "m": True, "M": True,
}
QUOTE = {
    "u": 50093239212, "s": "BTCUSDT", "b": "61837.63000000", "B": "3.78826000", "a": "61837.64000000",
    "A": "1.54698000",
}
DEPTH = {
    "e": "depthUpdate", "E": 1723161255208, "s": "BTCUSDT", "U": 10, "u": 12,
    "b": [["61737.63000000", "0.00000000"]], "a": [["61837.64000000", "1.54698000"], ["61839.85000000", "2"]],
}


def parse(frame: object):
    return PARSER.parse_frame(orjson.dumps(frame), NOW)


def refused(frame: object) -> str:
    with pytest.raises(FrameError) as caught:
        parse(frame)
    return caught.value.reason


def test_a_trade_where_the_buyer_is_the_maker_was_a_sell():
    frame = parse(TRADE)
    assert isinstance(frame, TradeFrame)
    assert frame.tick == (
        "BTC/USDT", Decimal("61837.63"), Decimal("0.02"), "sell", "3735683259", 1_723_161_255_342_000_000, NOW
    )
    assert frame.number == 3735683259
    assert not frame.is_aggregate
    assert parse({**TRADE, "m": False}).tick.aggressor == "buy"


def test_far_more_prices_than_are_remembered_are_all_read_right():
    for number in range(20_000):
        price = f"{1 + number % 9_999}.{number % 7}"
        assert parse({**QUOTE, "b": price, "a": "99999"}).tick.bid == Decimal(price)
    assert refused({**QUOTE, "b": "0"}) == refused({**QUOTE, "b": "0"}) == "money"


def test_an_aggregated_trade_has_a_count_and_ids_of_its_own():
    frame = parse({**TRADE, "e": "aggTrade", "a": 77, "f": 1, "l": 3})
    assert frame.is_aggregate
    assert frame.number == 77
    assert frame.tick.trade_id == "agg-77"


def test_a_raw_quote_without_event_name_is_stamped_with_the_receive_time():
    frame = parse(QUOTE)
    assert isinstance(frame, QuoteFrame)
    assert frame.update_id == 50093239212
    assert frame.tick == (
        "BTC/USDT", Decimal("61837.63"), Decimal("3.78826"), Decimal("61837.64"), Decimal("1.54698"), NOW, NOW
    )


def test_wrapped_and_raw_frames_are_the_same():
    for frame in (TRADE, QUOTE, DEPTH):
        assert parse({"stream": "btcusdt@x", "data": frame}) == parse(frame)


def test_a_book_event_keeps_removals():
    delta = parse(DEPTH)
    assert delta == BookDelta(
        "BTC/USDT", ((Decimal("61737.63"), Decimal(0)),),
        ((Decimal("61837.64"), Decimal("1.54698")), (Decimal("61839.85"), Decimal(2))), 10, 12,
        1_723_161_255_208_000_000, NOW,
    )


def test_frames_without_anything_for_us_count_as_alive():
    assert parse({"e": "kline", "E": 1, "s": "BTCUSDT", "k": {}}) == AliveFrame("kline")
    assert parse({"stream": "!ticker@arr", "data": [{"e": "24hrTicker"}]}) == AliveFrame("list")


def test_answers_and_errors_are_told_apart():
    assert parse({"result": None, "id": 3}) == AnswerFrame(3, "")
    assert parse({"id": 4, "status": 200, "result": {"subscriptionId": 0}}) == AnswerFrame(4, "")
    assert parse({"error": {"code": 2, "msg": "Invalid request"}, "id": 5}) == AnswerFrame(5, "2: Invalid request")
    assert parse({"code": 2, "msg": "Invalid JSON"}) == AnswerFrame(None, "2: Invalid JSON")
    assert parse({"id": 6, "status": 401, "error": {"code": -2015, "msg": "no"}}) == AnswerFrame(6, "-2015: no")


@pytest.mark.parametrize(("data", "silence_s"), [
    ({"serverTime": 1659142907531, "retryAfter": 1659142937531}, 30.0), ({"serverTime": 5, "retryAfter": 4}, 0.0),
    ({"serverTime": 0, "retryAfter": 10**15}, 0.0), ({"retryAfter": "soon"}, 0.0), ([], 0.0), (None, 0.0),
])
def test_a_refusal_that_bans_us_says_for_how_long(data: object, silence_s: float):
    error = {"code": -1003, "msg": "banned", **({} if data is None else {"data": data})}
    assert parse({"id": 6, "status": 418, "error": error}) == AnswerFrame(6, "-1003: banned", silence_s)


def test_a_replay_tells_the_time_and_its_end():
    assert parse({"stream": "practice@clock", "data": {"e": "practiceClock", "N": NOW}}) == ClockFrame(NOW)
    assert parse({"e": "practiceEnd", "N": NOW}) == EndFrame(NOW)
    assert refused({"e": "practiceClock", "N": "soon"}) == "time"


EXECUTION = {
    "e": "executionReport", "E": 1723161255400, "s": "BTCUSDT", "c": "td-1", "C": "", "S": "BUY", "x": "TRADE",
    "X": "PARTIALLY_FILLED", "r": "NONE", "i": 4711, "l": "0.4", "L": "61837.63", "n": "0.0004", "N": "BTC",
    "T": 1723161255399, "t": 99, "m": False,
}


def test_an_account_event_of_a_fill_becomes_a_report():
    frame = parse({"subscriptionId": 0, "event": EXECUTION})
    assert isinstance(frame, UserFrame)
    (report,) = frame.reports
    assert (report.client_order_id, report.exec_type, report.trade_id) == ("td-1", "fill", "99")
    assert (report.quantity, report.price, report.fee, report.fee_asset) == (
        Decimal("0.4"), Decimal("61837.63"), Decimal("0.0004"), "BTC"
    )
    assert report.venue_order_id == "4711"


def test_a_cancel_names_the_original_order():
    event = {**EXECUTION, "x": "CANCELED", "c": "cancel-of-it", "C": "td-1"}
    (report,) = parse({"subscriptionId": 0, "event": event}).reports
    assert (report.client_order_id, report.exec_type) == ("td-1", "cancelled")


@pytest.mark.parametrize(("execution", "exec_type"), [("NEW", "accepted"), ("REJECTED", "rejected"),
                                                      ("EXPIRED", "expired")])
def test_order_events_keep_their_meaning(execution: str, exec_type: str):
    (report,) = parse({"subscriptionId": 0, "event": {**EXECUTION, "x": execution}}).reports
    assert report.exec_type == exec_type
    assert report.quantity == 0


@pytest.mark.parametrize(("status", "exec_types"), [
    ("EXPIRED_IN_MATCH", ["expired"]), ("FILLED", ["expired"]), ("NEW", []), ("PARTIALLY_FILLED", []),
])
def test_self_trade_prevention_ends_an_order_whose_status_says_so(status: str, exec_types: list[str]):
    event = {**EXECUTION, "x": "TRADE_PREVENTION", "X": status, "l": "0", "t": -1, "B": "3", "A": "3"}
    assert [each.exec_type for each in parse({"subscriptionId": 0, "event": event}).reports] == exec_types


def test_an_account_event_without_its_envelope_is_the_same_event():
    assert parse(EXECUTION) == parse({"subscriptionId": 0, "event": EXECUTION})


@pytest.mark.parametrize("kind", ["eventStreamTerminated", "serverShutdown", "listenKeyExpired"])
def test_the_last_words_of_a_stream_are_not_taken_for_a_sign_of_life(kind: str):
    assert refused({"subscriptionId": 0, "event": {"e": kind, "E": 1723161255400}}) == "ended"
    assert refused({"e": kind, "E": 1723161255400}) == "ended"


def test_an_answer_may_repeat_our_id_as_text_or_not_at_all():
    assert parse({"result": None, "id": "7"}) == AnswerFrame(7, "")
    assert parse({"result": None}) == AnswerFrame(None, "")


def test_the_refusal_of_a_copy_does_not_end_the_order():
    event = {**EXECUTION, "x": "REJECTED", "r": "DUPLICATE_ORDER"}
    (report,) = parse({"subscriptionId": 0, "event": event}).reports
    assert report.exec_type == "unknown"


def test_a_fill_of_nothing_is_refused():
    assert refused({"subscriptionId": 0, "event": {**EXECUTION, "l": "0"}}) == "unknown_shape"
    assert refused({"subscriptionId": 0, "event": {**EXECUTION, "L": 61837.63}}) == "unknown_shape"


def test_balance_events_say_nothing_of_orders():
    assert parse({"subscriptionId": 0, "event": {"e": "outboundAccountPosition", "B": []}}) == UserFrame(())
    told = [{"a": "BTC", "f": "1.5", "l": "0.50000000"}]
    assert parse({"subscriptionId": 0, "event": {"e": "outboundAccountPosition", "B": told}}) == UserFrame(
        (), balances={"BTC": AssetBalance(Decimal("1.5"), Decimal("0.5"))}
    )
    assert parse({"e": "outboundAccountPosition", "B": [{"a": "BTC", "f": 1}]}) == UserFrame(())


@pytest.mark.parametrize("bad", ["NaN", "Infinity", "-1", "0", "0.00000000", "1e5", "", " 1", "１", "9" * 19,
                                 "1000000000000000", 61837.63, 5, None, True, [], {}])
def test_a_price_or_quantity_that_is_no_positive_decimal_text_is_refused(bad: object):
    for frame, keys in ((TRADE, "pq"), (QUOTE, "bBaA")):
        for key in keys:
            assert refused({**frame, key: bad}) in ("money", "unknown_shape")
    assert refused({**DEPTH, "b": [[bad, "1"]]}) in ("money", "unknown_shape")


def test_a_refused_book_event_names_its_symbol():
    for change in ({"b": [["NaN", "1"]]}, {"a": [["1", "-1"]]}, {"b": "no list"}, {"U": 13}, {"u": "12"}, {"a": [[]]}):
        with pytest.raises(FrameError) as caught:
            parse({**DEPTH, **change})
        assert caught.value.symbol == "BTC/USDT"


def test_a_crossed_or_locked_quote_is_refused():
    assert refused({**QUOTE, "b": "61837.65"}) == "crossed"
    assert refused({**QUOTE, "b": "61837.64"}) == "crossed"


def test_what_was_not_subscribed_is_refused():
    assert refused({**TRADE, "s": "ETHUSDT"}) == "unknown_symbol"
    assert refused({**TRADE, "s": None}) == "unknown_symbol"
    assert refused({**TRADE, "s": []}) == "unknown_shape"


def test_times_and_numbers_must_be_whole_and_sane():
    assert refused({**TRADE, "T": 0}) == "time"
    assert refused({**TRADE, "T": "1723161255342"}) == "time"
    assert refused({**TRADE, "T": 10**16}) == "time"
    assert refused({**TRADE, "t": -1}) == "sequence"
    assert refused({**TRADE, "t": 1.5}) == "sequence"
    assert refused({**TRADE, "t": True}) == "sequence"
    assert refused({**QUOTE, "u": "7"}) == "sequence"


def test_missing_fields_and_unknown_events_are_refused():
    for key in ("p", "q", "T", "m", "s", "t"):
        assert refused({name: value for name, value in TRADE.items() if name != key}) in ("unknown_shape",)
    assert refused({"e": "somethingNew"}) == "unknown_event"
    assert refused({}) == "unknown_shape"
    assert refused("text") == "unknown_shape"
    assert refused({"stream": "x"}) == "unknown_shape"


def test_a_field_the_exchange_adds_does_no_harm():
    assert parse({**TRADE, "new": {"nested": [1]}}) == parse(TRADE)


@pytest.mark.parametrize("frame", ["", "{", "nul", "[" * 100_000, '{"a":' * 50_000, b"\xff\xfe", "{" + "}" * 9])
def test_what_is_no_json_or_nested_absurdly_is_refused(frame: str | bytes):
    with pytest.raises(FrameError) as caught:
        PARSER.parse_frame(frame, NOW)
    assert caught.value.reason == "malformed"


def test_a_frame_above_the_cap_is_refused_unread():
    with pytest.raises(FrameError) as caught:
        PARSER.parse_frame("[" + " " * 5_000_000 + "]", NOW)
    assert caught.value.reason == "too_large"


@pytest.mark.shared
@pytest.mark.parametrize("name", recordings.FILES)
def test_every_recorded_frame_is_understood(name: str):
    texts = recordings.frames(name)
    parser = FrameParser(recordings.symbols_in(texts))
    assert texts
    for received, text in texts:
        parser.parse_frame(text, received)


def is_sound(frame: object) -> bool:
    if isinstance(frame, TradeFrame):
        return 0 < frame.tick.price < 10**15 and 0 < frame.tick.quantity < 10**15 and frame.number >= 0
    if isinstance(frame, QuoteFrame):
        tick = frame.tick
        sizes = (tick.bid_quantity, tick.ask_quantity)
        return 0 < tick.bid < tick.ask < 10**15 and all(0 < size < 10**15 for size in sizes)
    if isinstance(frame, BookDelta):
        levels = frame.bids + frame.asks
        return frame.first_sequence <= frame.last_sequence and all(
            0 < price < 10**15 and 0 <= size < 10**15 for price, size in levels
        )
    return isinstance(frame, AliveFrame | AnswerFrame | ClockFrame | EndFrame | UserFrame)


def mutate(frame: bytes, chance: random.Random) -> bytes:
    """A frame with a few bytes changed, cut, doubled, or a number put where it hurts."""
    changed = bytearray(frame)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(changed) + 1)
        kind = chance.randrange(6)
        if kind == 0 and changed:
            changed[at % len(changed)] = chance.randrange(256)
        elif kind == 1:
            del changed[at : at + chance.randint(1, 8)]
        elif kind == 2:
            changed[at:at] = changed[at : at + 12]
        elif kind == 3:
            changed[at:at] = chance.choice((b"-", b"NaN", b"0", b"1e999", b"null", b'"', b"[", b"{}", b"\\u0000", b"."))
        elif kind == 4:
            changed = bytearray(
                bytes(changed).replace(chance.choice((b'"p":"', b'"b":"', b'"a":"', b'"q":"')), b'"p":"-', 1)
            )
        else:
            digits = [index for index, byte in enumerate(changed) if 48 <= byte <= 57]
            for index in chance.sample(digits, min(len(digits), 5)):
                changed[index] = chance.randrange(48, 58)
    return bytes(changed)


@pytest.mark.shared
def test_a_hundred_thousand_mutated_frames_never_crash_nor_pass_a_bad_price():
    chance = random.Random(20240808)
    texts = [text for name in ("ws1.tsv.gz", "ws_spot_btcusdt_20240808.tsv.gz") for text in recordings.frames(name)]
    parser = FrameParser(recordings.symbols_in(texts))
    short = [text.encode() for _, text in texts[:6000] if len(text) < 600]
    short += [orjson.dumps(each) for each in (TRADE, QUOTE, DEPTH, {"subscriptionId": 0, "event": EXECUTION})]
    passed = 0
    for _ in range(100_000):
        try:
            frame = parser.parse_frame(mutate(chance.choice(short), chance), NOW)
        except FrameError:
            continue
        assert is_sound(frame), frame
        passed += 1
    assert 1_000 < passed < 90_000  # the mutations hit, but not everything
