"""The figures of a soak: a straight line has its own slope, and the warm-up does not count."""

import os
import subprocess
import sys

import pytest

from benchmarks.soak import WARM_UP_MINUTES, Sample, memory_of_children, slope_per_hour, summary


def sample(at_s: float, memory: float, *, descriptors: int = 40, lag_ms: float = 1.0) -> Sample:
    return Sample(at_s, memory, 80.0, lag_ms, 5.0, descriptors, 9, int(at_s * 1000), 0, 7)


def test_a_straight_line_has_its_own_slope() -> None:
    assert slope_per_hour([(float(second), 100 + second / 3600) for second in range(0, 600, 5)]) == pytest.approx(1.0)
    assert slope_per_hour([(float(second), 100.0) for second in range(0, 600, 5)]) == 0.0
    assert slope_per_hour([(5.0, 1.0)]) == 0.0
    assert slope_per_hour([(5.0, 1.0), (5.0, 2.0)]) == 0.0


def test_one_outlier_does_not_make_a_slope_of_a_level() -> None:
    points = [(float(second), 100.0) for second in range(0, 3600, 5)]
    points[360] = (1800.0, 150.0)
    assert abs(slope_per_hour(points)) < 0.1


def test_what_grew_in_the_warm_up_does_not_count() -> None:
    samples = [sample(at, min(100 + at, 200)) for at in range(5, 1000, 5)]
    assert summary(samples, 100)["memory_mb_per_hour"] == 0.0
    assert summary(samples, 0)["memory_mb_per_hour"] > 50
    assert summary(samples, 100)["memory_mb_after_warm_up"] == 200


def test_the_summary_names_lag_descriptors_and_the_journals_growth() -> None:
    samples = [sample(at, 100, descriptors=40 + (at > 500), lag_ms=at / 100) for at in range(5, 1000, 5)]
    told = summary(samples, 100)
    assert (told["descriptors_after_warm_up"], told["descriptors_last"]) == (40, 41)
    assert told["loop_lag_ms_max"] == 9.95
    assert told["journal_mb_per_hour"] == 3.6


def test_a_run_that_cannot_wait_the_buffers_out_says_that_it_is_not_warm() -> None:
    long = [sample(at, 100) for at in range(5, 3000, 5)]
    assert summary(long, 60 * WARM_UP_MINUTES)["is_warm"] is True
    assert summary(long, 600)["is_warm"] is False
    assert summary([each for each in long if each.at_s < 2400], 60 * WARM_UP_MINUTES)["is_warm"] is False


def test_a_child_that_has_just_ended_weighs_nothing_and_does_not_end_the_soak() -> None:
    before = memory_of_children(os.getpid())
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is still listed
        assert memory_of_children(os.getpid()) == before
