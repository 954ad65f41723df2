"""Bad days against the whole engine with the default limits: a fat finger, broken numbers, a strategy gone wild."""

from decimal import Decimal
from typing import Any

import pytest

from bus.messages.orders import OrderDenied, OrderSubmitted, Protection
from bus.messages.system import LockPlaced
from market.interval import SECOND_NS
from risk.limits import RiskLimits
from risk.locks import Protections
from tests.orders.trading import BTC, ETH, Bench, of_type, sent

D = Decimal


def bench(**config: Any) -> Bench:
    made = Bench(RiskLimits(), **config)
    for symbol in (BTC, ETH):
        made.quote("99.99", "100.01", symbol)
        made.trade("100", symbol)
    return made


@pytest.mark.parametrize(("quantity", "price", "code"), [
    ("400", "100", "MAX_ORDER_NOTIONAL"),            # a digit too many
    ("99999999", "100", "QUANTITY_TOO_LARGE"),
    ("4", "1000", "PRICE_COLLAR"),                   # the decimal point one place off
    ("4", "10", "PRICE_COLLAR"),
    ("5", "100", "EXPOSURE_PER_ASSET"),
    ("0.00001", "100", "QUANTITY_NOT_POSITIVE"),     # nothing is left of it on the step
    ("0.01", "100", "BELOW_VENUE_MIN_NOTIONAL"),
])
def test_a_fat_finger_is_caught(quantity: str, price: str, code: str) -> None:
    effects = bench().submit("td-1", "buy", "limit", quantity, price=price)
    assert [denial.code for denial in of_type(effects, OrderDenied)] == [code]
    assert not sent(effects)


@pytest.mark.parametrize("nonsense", ["NaN", "sNaN", "Infinity", "-Infinity"])
def test_numbers_that_are_none_are_refused_and_harm_nothing(nonsense: str) -> None:
    engine = bench()
    for client_order_id, quantity, price in (("td-1", nonsense, "100"), ("td-2", "1", nonsense)):
        effects = engine.submit(client_order_id, "buy", "limit", quantity, price=price)
        assert of_type(effects, OrderDenied)
        assert not sent(effects)
    assert sent(engine.submit("td-3", "buy", "limit", "1", price="100"))


def test_of_a_thousand_orders_in_a_second_ten_leave() -> None:
    engine = bench()
    left = 0
    for number in range(1_000):
        engine.now += SECOND_NS // 1_000
        if number % 100 == 0:
            engine.trade("100")
        effects = engine.submit(f"td-{number}", "buy", "limit", "0.12", price=f"{99 + number % 99 / 100:.2f}")
        left += len(of_type(effects, OrderSubmitted))
    assert left <= 10
    assert engine.engine._desk.state.orders.commitments.of("td-999") is None


def test_a_strategy_that_always_loses_to_its_stop_is_locked_out_by_the_default_protections() -> None:
    engine = bench(protections=Protections(
        stop_guard_stops=4, stop_guard_window_ns=600 * SECOND_NS, stop_guard_pause_ns=120 * SECOND_NS))
    codes = []
    for number in range(6):
        engine.now += 6 * SECOND_NS
        engine.quote("99.99", "100.01")
        engine.trade("100")
        entry = f"td-{number}"
        effects = engine.submit(entry, "buy", "market", "1", protection=Protection(stop_ratio=D("0.02")))
        if denials := of_type(effects, OrderDenied):
            codes.append(denials[0].code)
            continue
        engine.accept(entry)
        engine.fill(entry, "1", "100")
        engine.quote("97.89", "97.91")
        engine.trade("97.9")
        engine.accept(f"{entry}-s")
        engine.fill(f"{entry}-s", "1", "97.9")
    assert codes == ["SYMBOL_LOCKED", "SYMBOL_LOCKED"]
    assert [message.body.rule for message in engine.journal if isinstance(message.body, LockPlaced)] == ["stop_guard"]
