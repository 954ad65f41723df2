"""Candles heard only in part, one after the other: status says why nothing is decided."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from market.interval import SECOND_NS
from market.ticks import Candle
from tests.orders.trading import BTC, ETH
from tests.tradingd.live_runtime import Scene
from tradingd.part_heard_watch import LONG_NS, PartHeardWatch

D = Decimal


class Room:
    """A runtime whose trades of BTC skip or do not, second by second."""

    def __init__(self, folder: Path) -> None:
        self.scene = Scene(folder).open()
        self.watch = PartHeardWatch(self.scene.runtime.health, "1s")
        self.scene.runtime.listeners.append(self.watch.listen)

    def hear(self, seconds: int, *, misses: bool) -> None:
        for _ in range(seconds):
            self.scene.price(BTC, "100", after_ms=1_000)
            if misses:
                self.scene.runtime.hear_whole_from(self.scene.clock.now(), BTC)
            self.scene.price(ETH, "10")
            self.scene.runtime.tick()
            self.watch.on_second(self.scene.clock.now())

    @property
    def problems(self) -> list[str]:
        return [each.text for each in self.scene.runtime.health.problems]


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


def test_a_symbol_of_which_no_candle_was_whole_for_a_minute_is_named_until_one_is(room: Room) -> None:
    room.hear(50, misses=True)
    assert room.problems == []
    room.hear(20, misses=True)
    (problem,) = room.problems
    assert f"every 1s candle of {BTC} is heard only in part" in problem
    assert ETH not in problem
    assert room.scene.runtime.health.reasons_to_reduce == ()
    room.hear(3, misses=False)
    assert room.problems == []


def test_whole_candles_between_those_heard_in_part_are_no_problem(room: Room) -> None:
    for _ in range(9):
        room.hear(8, misses=True)
        room.hear(3, misses=False)
        assert room.problems == []


def test_a_symbol_that_has_fallen_quiet_is_no_problem_any_more(room: Room) -> None:
    room.hear(70, misses=True)
    assert room.problems
    now = room.scene.clock.now()
    room.watch.on_second(now + LONG_NS + 2 * SECOND_NS)
    assert room.problems == []


def test_candles_of_other_intervals_and_single_ones_far_apart_do_not_count(room: Room) -> None:
    body = Candle(BTC, "1s", 0, D(1), D(1), D(1), D(1), D(1), 1, 0, is_warmup=True)
    for number in range(9):
        ts = number * (LONG_NS + SECOND_NS)
        room.watch.listen(room.scene.runtime.make("engine", replace(body, ts_init=ts)))
        room.watch.listen(room.scene.runtime.make("engine", replace(body, interval="5s", ts_init=ts)))
        room.watch.on_second(ts)
        assert room.problems == []
