"""kill -9 of the real process at every step of an order's life, live on a practice exchange that goes on (F39).

`make kill-matrix TIMES=n` lives through all points n times; here two thirds of them, once, three lives at a time.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.kill_world import CHAINS, FULL_MATRIX_ONLY, Point, Survived, live_through

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

LIVES = [[point for point in chain if point.name not in FULL_MATRIX_ONLY] for chain in CHAINS]
RECOVERED_WITHIN_S = 30.0


@pytest.fixture(scope="module")
def survived(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Survived]:
    """How each death ended."""
    folder = tmp_path_factory.mktemp("kill-matrix")
    told: list[Survived] = []

    def live(number: int) -> None:
        live_through(folder / str(number), LIVES[number], told.append)

    with ThreadPoolExecutor(len(LIVES)) as lives:
        list(lives.map(live, range(len(LIVES))))
    return {each.point: each for each in told}


@pytest.mark.parametrize("point", [point for life in LIVES for point in life], ids=lambda point: point.name)
def test_after_a_death_books_orders_and_protection_are_as_the_exchange_has_them(
    point: Point, survived: dict[str, Survived]
) -> None:
    outcome = survived[point.name]
    assert outcome.problems == ()
    assert outcome.recovery_s < RECOVERED_WITHIN_S


def test_every_point_has_a_name_of_its_own() -> None:
    names = [point.name for chain in CHAINS for point in chain]
    assert len(names) == len(set(names)) >= 25
    assert set(names) >= FULL_MATRIX_ONLY


def test_every_point_is_one_at_which_the_daemon_can_die() -> None:
    source = (Path(__file__).parent / "dying_daemon.py").read_text()
    for chain in CHAINS:
        for point in chain:
            assert f'"{point.name}"' in source, point.name
