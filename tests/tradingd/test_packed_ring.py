"""What is packed comes back as it was, in order, and no more than was asked for is kept."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.ids import ClientOrderId, TradeId
from bus.messages.ledger import PositionClosed
from bus.messages.orders import OrderFilled
from tradingd.execution_quality import Execution
from tradingd.packed_ring import UNPACKED, packed, unpacked
from tradingd.read_model_results import FillRecord, FillRing, RoundTripRing

amounts = st.decimals(allow_nan=False, allow_infinity=False, places=12)


def fill(number: int, amount: Decimal = Decimal("0.10")) -> FillRecord:
    return FillRecord(number, OrderFilled(
        ClientOrderId(f"td-{number}"), "BTC/USDT", "buy", TradeId(f"t{number}"), amount, Decimal("94545.67"),
        Decimal("1E-8"), "BNB", amount, number % 2 == 0, False, True,
    ), "council", "momentum")


def trip(number: int) -> PositionClosed:
    return PositionClosed(
        "ETH/USDT", Decimal(number), Decimal("1.5"), Decimal("-0.0"), Decimal("-12.345678901234567890123456789"),
        Decimal(0), number, number + 1, ClientOrderId("td-x"),
    )


@pytest.mark.parametrize("count", [0, 1, UNPACKED, UNPACKED + 1, 200, 500])
def test_both_ways_through_it_tell_the_same_things_packed_or_not(count: int) -> None:
    ring = FillRing(300)
    for number in range(count):
        ring.append(fill(number))
    kept = [fill(number) for number in range(max(0, count - 300), count)]
    assert list(ring) == kept
    assert list(reversed(ring)) == kept[::-1]
    assert ring.newest(UNPACKED + 7) == kept[::-1][: UNPACKED + 7]
    assert len(ring) == len(kept)


def test_a_ring_smaller_than_what_stays_unpacked_keeps_to_its_bound() -> None:
    ring = RoundTripRing(3)
    for number in range(10):
        ring.append(trip(number))
    assert [each.opened_ns for each in ring] == [7, 8, 9]


@given(amounts)
def test_amounts_come_back_to_the_last_digit(amount: Decimal) -> None:
    ring = FillRing(UNPACKED + 1)
    for _ in range(UNPACKED + 1):
        ring.append(fill(1, amount))
    oldest = next(iter(ring))
    assert oldest == fill(1, amount)
    assert str(oldest.fill.quantity) == str(amount)
    assert str(oldest.fill.fee) == "1E-8"


def test_what_is_not_known_stays_unknown() -> None:
    known = Execution("td-1", "BTC/USDT", "buy", "market", "manual", "", 5, arrival=Decimal("1.10"))
    again = unpacked(Execution, packed(known))
    assert again == known
    assert again.trigger is None
    assert unpacked(PositionClosed, packed(trip(4))) == trip(4)
