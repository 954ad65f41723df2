"""P1: ticks per second through `Trails.on_price` with N live trailing orders, beside a plain loop over orders.

Prices are prebuilt Decimals of a random walk in cents; the trails (2 % to 40 % away, half of them in quote
currency) were armed at bests spread over the walk's past, so groups, heaps and new extremes are as live.
"""

import random
from collections.abc import Callable, Sequence
from decimal import Decimal

from benchmarks.result import Result, median_rate
from bus.ids import ClientOrderId
from bus.messages.orders import Side
from orders.trailing import Trails

CENT = Decimal("0.01")
START = Decimal("60000.00")
SIZES = (10, 1_000, 10_000, 100_000)
TICKS = 300_000


def armed(count: int, seed: int = 7) -> Trails:
    """Half sells, half buys; bests a little behind or ahead of the start."""
    chance = random.Random(seed)
    trails = Trails()
    for number in range(count):
        side: Side = "sell" if number % 2 else "buy"
        best = START + chance.randint(-2_000, 2_000) * CENT
        ratio = Decimal(chance.randint(200, 4_000)) / 10_000
        if number % 4 < 2:
            trails.arm_trail(ClientOrderId(f"td-{number}"), side, best, ratio, True)
        else:
            trails.arm_trail(ClientOrderId(f"td-{number}"), side, best, (best * ratio).quantize(CENT), False)
    return trails


def random_walk(count: int, seed: int = 11) -> list[Decimal]:
    chance = random.Random(seed)
    cents = int(START / CENT)
    prices = []
    for _ in range(count):
        cents += chance.randint(-5, 5)
        prices.append(Decimal(cents).scaleb(-2))
    return prices


def rising(count: int) -> list[Decimal]:
    """Each tick is a new high: an event on every one."""
    first = int(START / CENT) + 5_000
    return [Decimal(first + step).scaleb(-2) for step in range(count)]


def run() -> list[Result]:
    results: list[Result] = []
    walk, climb = random_walk(TICKS), rising(TICKS)
    for size in SIZES:
        runs = 5 if size < 100_000 else 3
        quiet = median_rate(_feeding(size, walk), TICKS, runs)
        results.append(Result("trailing_ticks", quiet, "ticks/s", {"orders": size}))
        events = median_rate(_feeding(size, climb), TICKS, runs)
        results.append(Result("trailing_ticks", events, "ticks/s", {"orders": size, "events": True}))
        ticks = max(10, min(TICKS, 2_000_000 // size))
        plain = median_rate(_plain_loop(size, walk[:ticks]), ticks, 3)
        results.append(Result("trailing_ticks", plain, "ticks/s", {"orders": size, "peer": "plain loop over orders"}))
        results.append(Result("trailing_ticks_ratio", quiet / plain, "x plain loop", {"orders": size}))
    return results


def _feeding(size: int, prices: Sequence[Decimal]) -> Callable[[], Callable[[], object]]:
    def prepare() -> Callable[[], object]:
        trails = armed(size)
        trails.on_price(prices[0])  # its merge of all groups is `trailing_worst_tick`'s subject

        def work() -> None:
            on_price = trails.on_price
            for price in prices:
                on_price(price)

        return work

    return prepare


def _plain_loop(size: int, prices: Sequence[Decimal]) -> Callable[[], Callable[[], object]]:
    """The least a loop over orders can do in Python: a float best and a ratio per order."""

    def prepare() -> Callable[[], object]:
        chance = random.Random(7)
        orders = [[float(START), 1 - chance.randint(200, 4_000) / 10_000, True] for _ in range(size)]
        floats = [float(price) for price in prices]

        def work() -> int:
            fired = 0
            for price in floats:
                for order in orders:
                    if price > order[0]:
                        order[0] = price
                    elif price <= order[0] * order[1]:
                        fired += 1
            return fired

        return work

    return prepare
