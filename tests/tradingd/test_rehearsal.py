"""The rehearsal goes the whole way, both ways."""

from tradingd.rehearsal import rehearse


def test_every_rehearsed_stop_fires_and_leaves():
    assert rehearse(6) == 6
