"""The five ways to wish for a size, and that none of them ever passes a cap."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk.limits import RiskLimits
from risk.sizing import SizedEntry, kelly_cap, size_entry
from risk.sizing_methods import METHODS, Sizing
from tests.risk.examples import BTC, D

LOOSE = RiskLimits(exposure_per_asset=D(1), exposure_total=D(1), max_order_notional=D(1))
GOOD_RECORD = [D(20)] * 8 + [D(-10)] * 12  # Kelly 10 %, half of it 5 %


def size(sizing: Sizing, **changes: Any) -> SizedEntry:
    values: dict[str, Any] = {
        "instrument": BTC, "price": D(50_000), "equity": D(100_000), "available": D(100_000), "confidence": 0.8,
        "base_share": D("0.05"), "stop_ratio": D("0.02"), "atr_ratio": D("0.01"), "limits": LOOSE,
    }
    return size_entry(**(values | changes), sizing=sizing)


def by(method: Any, **numbers: Any) -> Sizing:
    return Sizing(method=method, **numbers)


@pytest.mark.parametrize(("sizing", "changes", "notional"), [
    (by("confidence"), {}, "4000"),
    (by("fixed"), {}, "10000"),
    (by("fixed", fixed_amount=D(7_000)), {"confidence": 0.1}, "7000"),
    (by("volatility"), {}, "10000"),                                    # 1 % of 10,000 over 1 %
    (by("volatility"), {"atr_ratio": D("0.02")}, "5000"),
    (by("volatility"), {"atr_ratio": D("0.001")}, "10000"),             # never above the base
    (by("volatility", atr_multiple=D(4)), {}, "2500"),
    (by("volatility", volatility_base=D(20_000)), {}, "20000"),
    (by("volatility"), {"atr_ratio": None}, "0"),
    (by("risk"), {}, "50000"),                                          # 1 % of 100,000 over 2 %
    (by("risk", risk_per_trade=D("0.005")), {}, "25000"),
    (by("risk"), {"stop_ratio": None}, "0"),
    (by("kelly"), {"round_trip_returns": GOOD_RECORD}, "5000"),
    (by("kelly", kelly_safety=D(1)), {"round_trip_returns": GOOD_RECORD}, "10000"),
    (by("kelly", kelly_cap=D("0.02")), {"round_trip_returns": GOOD_RECORD}, "2000"),
    (by("kelly"), {"round_trip_returns": [D(1)] * 20}, "25000"),        # at most 25 %
    (by("kelly"), {"round_trip_returns": GOOD_RECORD[:19]}, "4000"),    # too few: as by confidence
    (by("kelly"), {"round_trip_returns": [D(-1)] * 20}, "0"),
])
def test_each_method_wishes_for_its_own_size(sizing: Sizing, changes: dict[str, Any], notional: str) -> None:
    assert size(sizing, **changes).notional == D(notional)


@pytest.mark.parametrize("method", METHODS)
def test_whatever_the_method_the_stop_may_not_cost_more_than_the_risk_per_trade(method: Any) -> None:
    sized = size(by(method), stop_ratio=D("0.5"), base_share=D(1), round_trip_returns=[D(1)] * 20)
    assert sized.notional == 2_000


@pytest.mark.parametrize("method", METHODS)
def test_whatever_the_method_the_limits_hold(method: Any) -> None:
    sized = size(by(method), limits=RiskLimits(exposure_per_asset=D("0.01")), round_trip_returns=GOOD_RECORD)
    assert sized.notional < 1_000
    assert "exposure in BTC would exceed 1 %" in sized.reasons[-1]


def test_the_reasons_name_the_method() -> None:
    assert size(by("fixed")).reasons[0] == "A fixed 10000 USDT."
    assert size(by("risk")).reasons[0] == "1 % of 100000 USDT equity at risk over a stop of 2 %: 50000 USDT."
    assert size(by("volatility")).reasons[0] == "10000 USDT adjusted to a range of 1 %: 10000 USDT."
    assert size(by("kelly"), round_trip_returns=GOOD_RECORD).reasons[0].startswith("The Kelly share of 5 %")


@pytest.mark.parametrize(("changes", "key"), [
    ({"method": "martingale"}, "risk.sizing"), ({"fixed_amount": D(0)}, "risk.fixed_amount"),
    ({"volatility_base": D("NaN")}, "risk.volatility_base"), ({"atr_multiple": D(-1)}, "risk.atr_multiple"),
    ({"risk_per_trade": D("1.01")}, "risk.risk_per_trade"), ({"kelly_safety": D(2)}, "risk.kelly_safety"),
    ({"kelly_cap": D("Infinity")}, "risk.kelly_cap"),
])
def test_what_cannot_size_anything_is_refused_by_its_key(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(ValueError, match=key.replace(".", r"\.")):
        Sizing(**changes)


money = st.decimals(1, 1_000_000, places=2)
distances = st.one_of(st.none(), st.decimals("0.0005", "0.9", places=4))
records = st.lists(st.decimals(-50, 50, places=1), max_size=40)


@given(method=st.sampled_from(METHODS), equity=money, available=money, exposure=money, price=money,
       confidence=st.floats(0, 1), stop=distances, atr=distances, record=records, shrink=st.decimals(0, 1, places=2))
@settings(max_examples=300, deadline=None)
def test_no_method_ever_passes_a_cap_or_rounds_up(
    method: Any, equity: Decimal, available: Decimal, exposure: Decimal, price: Decimal, confidence: float,
    stop: Decimal | None, atr: Decimal | None, record: list[Decimal], shrink: Decimal,
) -> None:
    limits = RiskLimits()
    arguments: dict[str, Any] = {
        "equity": equity, "available": available, "asset_exposure": exposure, "total_exposure": exposure,
        "price": price, "confidence": confidence, "stop_ratio": stop, "atr_ratio": atr,
        "round_trip_returns": record, "limits": limits,
    }
    sized = size(by(method), **arguments, shrink=shrink)
    assert sized.quantity % BTC.quantity_step == 0
    assert sized.notional == sized.quantity * price
    assert sized.quantity <= size(by(method), **arguments).quantity
    if not sized.quantity:
        return
    assert limits.min_notional <= sized.notional <= available / (1 + BTC.taker_fee)
    assert sized.notional + exposure < limits.exposure_per_asset * equity
    assert stop is None or sized.notional * stop <= D("0.01") * equity
    share = kelly_cap(record)
    assert method not in ("confidence", "kelly") or share is None or sized.notional <= share * available
    assert method != "confidence" or sized.notional <= D("0.05") * D(repr(confidence)) * available
    assert method not in ("fixed", "volatility") or sized.notional <= 10_000


@given(st.sampled_from(METHODS), st.decimals("0.001", "0.5", places=3), st.decimals("0.001", "0.5", places=3))
@settings(max_examples=100, deadline=None)
def test_a_wider_range_or_stop_never_makes_a_size_larger(method: Any, one: Decimal, other: Decimal) -> None:
    near, far = min(one, other), max(one, other)
    for name in ("atr_ratio", "stop_ratio"):
        assert size(by(method), **{name: far}).quantity <= size(by(method), **{name: near}).quantity


def test_the_standard_method_is_t10() -> None:
    assert replace(Sizing()) == Sizing(
        method="confidence", fixed_amount=D(10_000), volatility_base=D(10_000), atr_multiple=D(1),
        risk_per_trade=D("0.01"), kelly_safety=D("0.5"), kelly_cap=D("0.25"))
