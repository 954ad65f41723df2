"""How long a kept ban lasts, whatever becomes of the machine's clock."""

from pathlib import Path

import pytest

from exchanges.long_bans import LongBans
from market.interval import SECOND_NS

NOW_NS = 1_723_161_255_000_000_000
HOUR_NS = 3_600 * SECOND_NS
VENUE = "http://venue"


class Process:
    """What one process knows; `passed_s` goes on while `now_ns` may be set."""

    def __init__(self, folder: Path) -> None:
        self.passed_s = 0.0
        self.bans = LongBans(monotonic=lambda: self.passed_s)
        self.bans.keep_in(folder)

    def left_s(self, now_ns: int) -> float:
        return self.bans.left_s(VENUE, now_ns)


@pytest.mark.parametrize("set_by_ns", [-HOUR_NS, HOUR_NS])
def test_a_clock_that_is_set_makes_a_ban_neither_longer_nor_shorter(tmp_path: Path, set_by_ns: int) -> None:
    banned, beside = Process(tmp_path), Process(tmp_path)
    banned.bans.note(VENUE, 120.0, NOW_NS)
    assert beside.left_s(NOW_NS) == pytest.approx(120.0)
    for each in (banned, beside):
        each.passed_s = 30.0
        assert each.left_s(NOW_NS + 30 * SECOND_NS + set_by_ns) == pytest.approx(90.0)
        each.passed_s = 121.0
        assert each.left_s(NOW_NS + 121 * SECOND_NS + set_by_ns) == 0.0


def test_a_ban_that_is_lengthened_by_another_process_lasts_to_its_new_end(tmp_path: Path) -> None:
    banned, beside = Process(tmp_path), Process(tmp_path)
    banned.bans.note(VENUE, 60.0, NOW_NS)
    assert beside.left_s(NOW_NS) == pytest.approx(60.0)
    banned.bans.note(VENUE, 300.0, NOW_NS + 10 * SECOND_NS)
    beside.passed_s = 20.0
    assert beside.left_s(NOW_NS + 20 * SECOND_NS) == pytest.approx(290.0)
