import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.codec import BODY_TYPES, CodecError, decode, encode
from bus.ids import ClientOrderId, SessionId
from bus.messages.header import Message, MessageMaker
from bus.messages.ledger import FundsChanged, PositionView
from bus.messages.orders import SubmitOrder, TrailSpec
from bus.messages.system import Heartbeat, TradingStateChanged
from market.money import ONE
from tests.agents.council_scene import portfolio

MAKER = MessageMaker("tester", SessionId("s1"))


def order(quantity: Decimal = Decimal("0.5")) -> SubmitOrder:
    return SubmitOrder(
        ClientOrderId("td-1"), "BTC/USDT", "buy", "trailing", quantity, "council",
        trail=TrailSpec("percent", Decimal("0.02")), confidence=0.75,
    )


def wire(message: Message) -> dict[str, object]:
    return dict(json.loads(encode(message)))


def test_a_nested_order_comes_back_equal() -> None:
    message = MAKER.make(order(), 123, cause="x", expires=9, target="engine")
    assert decode(encode(message)) == message


def test_money_travels_as_text() -> None:
    fields = wire(MAKER.make(order(), 1))["fields"]
    assert isinstance(fields, dict)
    assert fields["quantity"] == "0.5"
    assert fields["trail"]["distance"] == "0.02"


@given(st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=-10**12, max_value=10**12))
def test_every_amount_survives_exactly(amount: Decimal) -> None:
    message = MAKER.make(FundsChanged("USDT", amount, amount, "test"), 1)
    assert decode(encode(message)).body.delta == amount


def test_tuples_of_tuples_keep_their_shape() -> None:
    body = TradingStateChanged("ACTIVE", (("operator", "ACTIVE", ""), ("health", "ACTIVE", "")), "start")
    assert decode(encode(MAKER.make(body, 1))).body == body


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"type": "Nonsense"}, "type"),
        ({"type": 7}, "type"),
        ({"version": 2}, "version"),
        ({"header": ["a"]}, "header"),
        ({"header": ["tester", "1", 1, "", 0, 5, ""]}, "header"),
        ({"header": ["tester", True, 1, "", 0, 5, ""]}, "header"),
        ({"session": None}, "header"),
        ({"extra": 1}, "exactly"),
    ],
)
def test_a_wrong_envelope_is_refused(change: dict[str, object], place: str) -> None:
    data = wire(MAKER.make(Heartbeat("risk"), 1)) | change
    with pytest.raises(CodecError, match=place):
        decode(json.dumps(data))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("quantity", 0.5), ("quantity", 1), ("quantity", "NaN"), ("quantity", "1e3"), ("quantity", "Infinity"),
        ("quantity", None), ("side", "hold"), ("symbol", 3), ("expire_at", "0"), ("reduce_only", 0),
        ("confidence", "0.5"), ("trail", {"kind": "percent"}), ("unknown", 1),
    ],
)
def test_a_wrong_field_is_refused_by_name(field: str, value: object) -> None:
    data = wire(MAKER.make(order(), 1))
    fields = data["fields"]
    assert isinstance(fields, dict)
    fields[field] = value
    with pytest.raises(CodecError, match=field):
        decode(json.dumps(data))


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff\xfe", b"null", b"NaN", b'{"type":"Heartbeat"}'])
def test_bytes_that_are_no_message_are_refused(data: bytes) -> None:
    with pytest.raises(CodecError):
        decode(data)


def test_what_was_written_before_a_field_existed_is_read_with_its_default() -> None:
    line = PositionView("BTC/USDT", ONE, ONE, ONE, ONE, ONE, opened_ns=7)
    whole = MAKER.make(portfolio(line, replaceable=(("BTC/USDT", ONE),)), 1)
    old = wire(whole)
    fields: Any = old["fields"]
    del fields["replaceable"], fields["positions"][0]["opened_ns"]
    body = decode(json.dumps(old).encode()).body
    assert body == replace(whole.body, replaceable=(), positions=(replace(line, opened_ns=0),))


def test_oversize_is_refused() -> None:
    with pytest.raises(CodecError, match="limit"):
        decode(b" " * 1_000_001)


def test_nan_cannot_be_sent() -> None:
    with pytest.raises(CodecError):
        encode(MAKER.make(FundsChanged("USDT", Decimal("NaN"), Decimal(1), ""), 1))


@given(st.data())
def test_the_compiled_reader_and_the_slow_one_agree(data: st.DataObject) -> None:
    """Whatever one field becomes, the message is refused or read exactly as the slow reader alone would."""
    from bus.codec import _decoder
    from bus.codec_plans import Doubt, unpacker

    fields = wire(MAKER.make(order(), 1))["fields"]
    assert isinstance(fields, dict)
    odd = st.sampled_from([
        None, True, 0, 1, -1, 0.0, 1e308, "", "1", "-0", "1.5", "01", "1e3", "NaN", "buy", "td-1", [], {}, ["a"],
        {"kind": "percent", "distance": "0.1"}, {"kind": "percent"}, 2**70, "1" * 70, "0." + "1" * 25,
    ])
    for name in data.draw(st.lists(st.sampled_from(sorted(fields)), max_size=2)):
        fields[name] = data.draw(odd)
    if data.draw(st.booleans()):
        fields.pop(data.draw(st.sampled_from(sorted(fields))))
    try:
        slow = _decoder(SubmitOrder)(fields, "SubmitOrder")
    except CodecError:
        slow = None
    try:
        fast = unpacker(SubmitOrder)(fields)
    except (Doubt, KeyError, TypeError):
        return  # a doubt is always allowed: the slow reader decides
    assert fast == slow


def test_a_number_with_more_digits_than_a_price_survives() -> None:
    amount = Decimal("0.1234567890123456789012345678")
    message = MAKER.make(FundsChanged("USDT", amount, amount, "an average"), 1)
    assert decode(encode(message)) == message


@pytest.mark.parametrize("value", ["5", 5, 0.5, None])
def test_what_is_no_decimal_cannot_be_sent_as_money(value: object) -> None:
    with pytest.raises(CodecError, match="FundsChanged"):
        encode(MAKER.make(FundsChanged("USDT", value, Decimal(1), ""), 1))  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_float_that_is_no_number_cannot_be_sent(value: float) -> None:
    with pytest.raises(CodecError):
        encode(MAKER.make(replace(order(), confidence=value), 1))


def test_the_vocabulary_has_a_decoder_for_every_body() -> None:
    from bus.codec import _decoder

    assert len(BODY_TYPES) > 50
    for name, kind in BODY_TYPES.items():
        with pytest.raises(CodecError, match=name):
            _decoder(kind)({"surely unknown": 1}, name)
