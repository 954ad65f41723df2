"""How much to buy."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk.limits import RiskLimits
from risk.sizing import SizedEntry, drawdown_factor, kelly_cap, size_entry
from tests.risk.examples import BTC, D

WON, LOST = D(20), D(-10)
LOOSE = RiskLimits(exposure_per_asset=D(1), exposure_total=D(1), max_order_notional=D(1))


def size(**changes: Any) -> SizedEntry:
    values: dict[str, Any] = {
        "instrument": BTC, "price": D(50_000), "equity": D(10_000), "available": D(10_000), "confidence": 0.8,
        "base_share": D("0.05"), "stop_ratio": D("0.02"), "limits": RiskLimits(),
    }
    return size_entry(**(values | changes))


def test_the_base_is_the_share_of_available_cash_times_the_confidence() -> None:
    sized = size()
    assert sized.notional == D(400)
    assert sized.quantity == D("0.008")
    assert sized.reasons == ("5 % of 10000 USDT available, times a confidence of 0.8: 400 USDT.",)


def test_sizes_are_rounded_down_to_the_step_never_up() -> None:
    sized = size(price=D(49_999))
    assert sized.quantity == D("0.00800")
    assert size(price=D(50_001)).quantity == D("0.00799")


@pytest.mark.parametrize(("stop", "notional"), [("0.25", "400"), ("0.4", "250"), ("0.5", "200")])
def test_the_stop_may_cost_one_percent_of_equity(stop: str, notional: str) -> None:
    sized = size(stop_ratio=D(stop))
    assert sized.notional == D(notional)
    assert (len(sized.reasons) == 2) == (sized.notional < 400)


def test_a_volatile_market_lowers_the_size() -> None:
    sized = size(atr_ratio=D("0.5"))
    assert sized.notional == D(200)
    assert sized.reasons[-1] == "Lowered to 200 USDT: else a usual move would cost more than 1 % of equity."


def test_the_kelly_share_caps_the_size() -> None:
    record = [WON] * 8 + [LOST] * 12  # f = 0.4 - 0.6 / 2 = 0.1; half of it is 5 %
    assert kelly_cap(record) == D("0.05")
    assert size(round_trip_returns=record, base_share=D("0.2"), limits=LOOSE).notional == D(500)


@pytest.mark.parametrize(("record", "cap"), [
    ([], None),
    ([WON] * 19, None),
    ([WON] * 20, "0.25"),
    ([WON] * 16 + [LOST] * 4, "0.25"),
    ([WON] * 10 + [-WON] * 10, "0"),
    ([LOST] * 20, "0"),
    ([D(0)] * 20, "0"),
    ([WON] * 5 + [D(0)] * 15, "0.125"),
    ([LOST] * 500 + [WON] * 100, "0.25"),
])
def test_kelly_is_half_of_the_edge_between_nothing_and_a_quarter(record: list[Decimal], cap: str | None) -> None:
    assert kelly_cap(record) == (None if cap is None else D(cap))


def test_a_record_without_an_edge_sends_nothing() -> None:
    sized = size(round_trip_returns=[LOST] * 20)
    assert (sized.quantity, sized.notional) == (D(0), D(0))
    assert "Kelly share of 0 %" in sized.reasons[1]


@pytest.mark.parametrize(("drawdown", "factor"), [
    ("0", "1"), ("0.0799", "1"), ("0.08", "1"), ("0.085", "0.75"), ("0.09", "0.5"), ("0.095", "0.25"), ("0.1", "0"),
    ("0.2", "0"),
])
def test_sizes_shrink_linearly_from_eighty_percent_of_a_drawdown_limit(drawdown: str, factor: str) -> None:
    assert drawdown_factor(D(drawdown), D("0.1")) == D(factor)


@given(st.decimals(0, 1, places=6), st.decimals(0, 1, places=6), st.decimals("0.01", 1, places=6))
def test_a_deeper_drawdown_never_allows_more(one: Decimal, other: Decimal, limit: Decimal) -> None:
    assert 0 <= drawdown_factor(max(one, other), limit) <= drawdown_factor(min(one, other), limit) <= 1


def test_the_shrink_factor_is_applied_last() -> None:
    assert size(shrink=D("0.5")).notional == D(200)
    assert size(shrink=D("0.5"), stop_ratio=D("0.5")).notional == D(100)
    assert size(shrink=D(0)).quantity == 0


@pytest.mark.parametrize(("changes", "notional"), [
    ({"asset_exposure": D(300)}, "199.5"),
    ({"total_exposure": D(2_300)}, "199.5"),
    ({"equity": D(1_000), "stop_ratio": None, "limits": replace(LOOSE, max_order_notional=D("0.25"))}, "250"),
    ({"base_share": D(1), "confidence": 1.0, "limits": LOOSE, "stop_ratio": None}, "9970"),
])
def test_the_limits_on_money_cap_the_size_and_are_not_reached(changes: dict[str, Any], notional: str) -> None:
    assert size(**changes).notional == D(notional)


def test_the_venues_largest_quantity_is_kept() -> None:
    assert size(instrument=replace(BTC, max_quantity=D("0.0011"))).quantity == D("0.0011")


@pytest.mark.parametrize(("available", "quantity"), [("250", "0.0002"), ("249.9", "0"), ("0", "0"), ("-5", "0")])
def test_what_is_too_small_is_not_sent(available: str, quantity: str) -> None:
    sized = size(available=D(available))
    assert sized.quantity == D(quantity)
    assert sized.reasons[-1].startswith("Too small to send") == (sized.quantity == 0)


def test_the_larger_of_both_minimums_decides() -> None:
    assert size(available=D(400), instrument=replace(BTC, min_notional=D(17))).quantity == 0
    assert size(available=D(400), instrument=replace(BTC, min_notional=D(15))).notional == 16
    assert size(instrument=replace(BTC, min_quantity=D("0.01"))).quantity == 0


@pytest.mark.parametrize("changes", [
    {"confidence": 1.01}, {"confidence": -0.1}, {"confidence": float("nan")}, {"price": D(0)}, {"price": D("NaN")},
    {"base_share": D("1.1")}, {"base_share": D("NaN")},
])
def test_nonsense_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"confidence|price|position_size"):
        size(**changes)


@pytest.mark.parametrize("changes", [{"confidence": 0.0}, {"base_share": D(0)}])
def test_no_confidence_and_no_share_are_sizes_of_nothing(changes: dict[str, Any]) -> None:
    assert size(**changes).quantity == 0


money = st.decimals("0.01", 1_000_000, places=2)


@given(price=money, equity=money, available=money, confidence=st.floats(0, 1), exposure=money,
       stop=st.decimals("0.001", "0.5", places=3), shrink=st.decimals(0, 1, places=2))
@settings(max_examples=200, deadline=None)
def test_no_size_ever_exceeds_a_cap(
    price: Decimal, equity: Decimal, available: Decimal, confidence: float, exposure: Decimal, stop: Decimal,
    shrink: Decimal,
) -> None:
    sized = size(price=price, equity=equity, available=available, confidence=confidence, asset_exposure=exposure,
                 total_exposure=exposure, stop_ratio=stop, shrink=shrink)
    assert sized.notional == sized.quantity * price
    assert sized.quantity % BTC.quantity_step == 0
    if sized.quantity:
        assert sized.notional <= D("0.05") * D(repr(confidence)) * available
        assert sized.notional + exposure < D("0.05") * equity
        assert sized.notional * stop <= D("0.01") * equity
        assert sized.notional >= 10
        assert shrink > 0
