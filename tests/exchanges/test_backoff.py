from exchanges.backoff import Backoff


def test_waits_double_up_to_the_ceiling():
    backoff = Backoff(lambda: 0.5)
    assert [backoff.next_s() for _ in range(7)] == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_jitter_stays_within_ten_percent():
    assert Backoff(lambda: 0.0).next_s() == 0.9
    assert 1.09 < Backoff(lambda: 0.999999).next_s() < 1.1


def test_a_success_begins_anew():
    backoff = Backoff(lambda: 0.5)
    backoff.next_s()
    backoff.next_s()
    backoff.reset()
    assert backoff.attempts == 0
    assert backoff.next_s() == 1.0


def test_a_week_of_failures_does_not_overflow():
    backoff = Backoff(lambda: 0.5)
    for _ in range(5000):
        assert backoff.next_s() <= 30.0


def test_a_connection_that_is_dropped_at_once_is_no_success():
    """Somebody who takes everyone and drops him: once a second for ever would end in a ban."""
    backoff = Backoff(lambda: 0.5)
    waits = []
    for _ in range(6):
        backoff.lasted(0.05)
        waits.append(backoff.next_s())
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0]


def test_a_connection_that_held_as_long_as_was_waited_for_it_begins_anew():
    backoff = Backoff(lambda: 0.5)
    for _ in range(3):
        backoff.next_s()
    backoff.lasted(4.0)
    assert backoff.next_s() == 1.0
