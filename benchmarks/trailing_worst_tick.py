"""The slowest single ticks there can be: everything fires at once, and every group merges at once."""

from collections.abc import Callable
from decimal import Decimal

from benchmarks.result import Result, median_seconds
from bus.ids import ClientOrderId
from orders.trailing import Trails

SIZES = (10, 1_000, 10_000, 100_000)
CENT = Decimal("0.01")


def run() -> list[Result]:
    results: list[Result] = []
    for size in SIZES:
        for case, prepare in (("mass fire", _mass_fire), ("mass fire of single groups", _fire_of_groups),
                              ("merge of single groups", _merge)):
            seconds = median_seconds(prepare(size), 3)
            results.append(Result("trailing_worst_tick", seconds * 1e6, "us", {"orders": size, "case": case}))
    return results


def _one_tick(trails: Trails, price: Decimal, events: int) -> Callable[[], object]:
    def work() -> None:
        got = len(trails.on_price(price))
        if got != events:
            raise AssertionError(f"expected {events} events, got {got}")

    return work


def _mass_fire(size: int) -> Callable[[], Callable[[], object]]:
    """One group, all different distances, one crash through all of them."""

    def prepare() -> Callable[[], object]:
        trails = Trails()
        for number in range(size):
            distance = Decimal(1_000 + number * 7_919 % size).scaleb(-6)
            trails.arm_trail(ClientOrderId(f"td-{number}"), "sell", Decimal(60_000), distance, True)
        return _one_tick(trails, Decimal(100), size)

    return prepare


def _spread(size: int) -> Trails:
    trails = Trails()
    for number in range(size):
        best = Decimal(60_000) + (number * 7_919 % size) * CENT
        trails.arm_trail(ClientOrderId(f"td-{number}"), "sell", best, Decimal("0.1"), True)
    return trails


def _fire_of_groups(size: int) -> Callable[[], Callable[[], object]]:
    return lambda: _one_tick(_spread(size), Decimal(100), size)


def _merge(size: int) -> Callable[[], Callable[[], object]]:
    """As many different bests as orders, and a new high above all of them."""
    return lambda: _one_tick(_spread(size), Decimal(90_000), 1)
