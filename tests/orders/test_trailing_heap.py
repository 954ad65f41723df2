"""The heap under the trails: whatever is pushed, moved and taken out, it comes out in order."""

from collections.abc import Callable
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from orders.keyed_heap import KeyedHeap

STEPS = st.lists(
    st.tuples(st.sampled_from(("push", "push", "discard", "pop", "many")), st.integers(0, 90), st.integers(0, 50)),
    max_size=200,
)


def at_most(keys: dict[int, Decimal], limit: int) -> Callable[[int], bool]:
    return lambda number: keys[number] <= limit


@given(steps=STEPS, crowd=st.integers(0, 120))
def test_it_agrees_with_a_sorted_dictionary(steps: list[tuple[str, int, int]], crowd: int) -> None:
    heap: KeyedHeap[int] = KeyedHeap()
    keys: dict[int, Decimal] = {}
    for number in range(crowd):
        keys[number] = Decimal(number * 37 % 51)
        heap.push(keys[number], number, number)
    for what, number, key in steps:
        if what == "push":
            keys[number] = Decimal(key)
            heap.push(keys[number], number, number)
        elif what == "discard":
            keys.pop(number, None)
            heap.discard(number)
        elif what == "pop" and keys:
            expected = min(keys, key=lambda n: (keys[n], n))
            assert heap.pop() == expected
            del keys[expected]
        elif what == "many":
            expected_many = sorted((n for n in keys if keys[n] <= key), key=lambda n: (keys[n], n))
            assert heap.pop_while(at_most(keys, key)) == expected_many
            for taken in expected_many:
                del keys[taken]
        assert len(heap) == len(keys)
        if keys:
            assert heap.head == min(keys, key=lambda n: (keys[n], n))
            assert heap.head_key == min(keys.values())


@given(sizes=st.lists(st.integers(0, 40), min_size=1, max_size=8), dropped=st.sets(st.integers(0, 300)))
def test_absorbing_others_loses_nothing_and_revives_nothing(sizes: list[int], dropped: set[int]) -> None:
    heaps: list[KeyedHeap[int]] = []
    alive: dict[int, Decimal] = {}
    number = 0
    for size in sizes:
        heap: KeyedHeap[int] = KeyedHeap()
        for _ in range(size):
            number += 1
            alive[number] = Decimal(number * 31 % 17)
            heap.push(alive[number], number, number)
        for gone in sorted(dropped):
            heap.discard(gone)
        heaps.append(heap)
    for gone in dropped:
        alive.pop(gone, None)
    heaps[0].absorb(heaps[1:])
    assert len(heaps[0]) == len(alive)
    assert heaps[0].pop_while(lambda _: True) == sorted(alive, key=lambda n: (alive[n], n))
