"""Nonsense in an order, whatever field it is in: a denial with a code, written down so that it can be read again."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus import codec
from bus.ids import ClientOrderId
from bus.messages.header import Message
from bus.messages.orders import OrderDenied, Protection, SubmitOrder, TrailSpec
from orders.sane_numbers import absurd_number, without_absurd_numbers
from risk.codes import DENIAL_CODES
from risk.limits import RiskLimits
from tests.orders.trading import BTC, WIDE, Bench, of_type, sent

D = Decimal
NONSENSE = (
    D("NaN"), D("sNaN"), D("Infinity"), D("-Infinity"), D(-1), D(0), D("-0"), D("1e400"), D("1e-400"), D("1E+999999"),
    D("1E-999999"), D("9" * 60), D("1." + "3" * 50), D("1e29"), D("9" * 30),
)
PLACES = (
    "quantity", "price", "stop_price", "trail.distance", "trail.activation_price", "trail.limit_offset",
    "trail.decay_ratio_per_minute", "trail.decay_floor", "trail.break_even_ratio", "protection.stop_ratio",
    "protection.take_profit_ratio",
)
KINDS: dict[str, dict[str, Any]] = {
    "market": {}, "limit": {"price": D(99)}, "stop": {"stop_price": D(110)},
    "trailing": {"trail": TrailSpec("percent", D("0.02"))},
}


def wishes(place: str, number: Decimal) -> Iterator[SubmitOrder]:
    """A buy and a sell of each kind with `number` at `place`."""
    part, _, name = place.rpartition(".")
    for kind, fields in KINDS.items():
        for side in ("buy", "sell"):
            plain = SubmitOrder(
                ClientOrderId(f"td-{kind}-{side}"), BTC, side, kind, D("0.5"), "manual",  # type: ignore[arg-type]
                reduce_only=side == "sell", **fields,
            )
            if part == "trail":
                for form in ("percent", "absolute", "atr"):
                    trail = replace(TrailSpec(form, D("0.02")), **{name: number})  # type: ignore[arg-type]
                    yield replace(plain, client_order_id=ClientOrderId(f"{plain.client_order_id}-{form}"), trail=trail)
            elif part:
                yield replace(plain, protection=Protection(**{name: number}))
            else:
                yield replace(plain, **{name: number})


@pytest.mark.parametrize("limits", [WIDE, RiskLimits()], ids=["wide limits", "default limits"])
@pytest.mark.parametrize("place", PLACES)
def test_nonsense_is_denied_and_the_engine_goes_on(place: str, limits: RiskLimits) -> None:
    for number in NONSENSE:
        bench = Bench(limits)
        bench.trade("100")
        for wish in wishes(place, number):
            effects = bench.say(wish)
            for denial in of_type(effects, OrderDenied):
                assert denial.code in DENIAL_CODES
                assert denial.message
            for call in sent(effects):
                assert absurd_number(call.approved.order) is None
        bench.second()
        bench.trade("101")
        bench.trade("101")
        bench.second()
        for message in bench.journal:
            assert codec.decode(codec.encode(message)) == message
        again = bench.restarted()
        again.engine.finish_restore(again.now)


def test_what_is_denied_says_where_the_nonsense_was() -> None:
    bench = Bench()
    bench.trade("100")
    wish = SubmitOrder(
        ClientOrderId("td-1"), BTC, "buy", "trailing", D(1), "council", trail=TrailSpec("percent", D("0.02"),
        activation_price=D("Infinity")),
    )
    (denial,) = of_type(bench.say(wish), OrderDenied)
    assert (denial.code, denial.rule, denial.value) == ("INVALID_ORDER", "trail.activation_price", "Infinity")
    assert bench.order("td-1").state == "REJECTED"


def test_a_trigger_below_one_tick_is_denied() -> None:
    bench = Bench()
    bench.trade("100")
    (denial,) = of_type(bench.submit("td-1", "buy", "stop", "1", stop_price="0.001"), OrderDenied)
    assert (denial.code, denial.rule) == ("PRICE_NOT_POSITIVE", "stop_price")
    assert "0.01" in denial.message


def test_a_quantity_with_three_digits_too_many_is_denied_by_the_funds() -> None:
    bench = Bench(RiskLimits())
    bench.trade("100")
    (denial,) = of_type(bench.submit("td-1", "buy", "market", "2000"), OrderDenied)
    assert denial.code in ("MAX_ORDER_NOTIONAL", "INSUFFICIENT_FUNDS")


def test_a_price_with_a_digit_missing_is_denied_by_the_collar() -> None:
    bench = Bench(RiskLimits())
    bench.quote("99.99", "100.01")
    for number, price in enumerate(("10", "1000")):
        (denial,) = of_type(bench.submit(f"td-{number}", "buy", "limit", "0.4", price=price), OrderDenied)
        assert denial.code == "PRICE_COLLAR"


@given(st.decimals(allow_nan=True, allow_infinity=True) | st.sampled_from(NONSENSE))
def test_a_cleaned_order_can_always_be_written_down_and_read_again(number: Decimal) -> None:
    wish = SubmitOrder(
        ClientOrderId("td-1"), BTC, "buy", "limit", number, "manual", price=number,
        protection=Protection(trail=TrailSpec("percent", number)),
    )
    cleaned = without_absurd_numbers(wish)
    assert absurd_number(cleaned) is None
    if absurd_number(wish) is None:
        assert cleaned == wish
    bench = Bench(capital="")
    message: Message = bench._commands.make(cleaned, bench.now)
    assert codec.decode(codec.encode(message)) == message
