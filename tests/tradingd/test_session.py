"""One run of the process: its id, and what the journal says of the earlier ones."""

import pytest

from bus.ids import SessionId
from bus.messages.header import MessageMaker
from bus.messages.system import DaemonStarted, DaemonStopping
from tradingd.session import CRASH_WINDOW_NS, PastSessions, live_session_id, replay_session_id

SECOND = 1_000_000_000
EPOCH_2024 = 1_704_067_200 * SECOND


def past(*events: tuple[str, int]) -> PastSessions:
    maker = MessageMaker("daemon", SessionId("s1"))
    sessions = PastSessions()
    for what, second in events:
        body = (
            DaemonStarted(SessionId("s1"), "0", "paper", "practice", (), 7, False) if what == "start"
            else DaemonStopping("asked")
        )
        sessions.apply(maker.make(body, second * SECOND))
    return sessions


def test_a_fresh_journal_has_no_past() -> None:
    sessions = past()
    assert (sessions.count, sessions.last_ts, sessions.ended_unclean) == (0, 0, False)
    assert not sessions.is_crash_loop(SECOND)


def test_a_session_without_a_farewell_ended_unclean() -> None:
    assert past(("start", 1)).ended_unclean
    assert not past(("start", 1), ("stop", 2)).ended_unclean
    assert past(("start", 1), ("stop", 2), ("start", 3)).ended_unclean


def test_the_last_time_and_the_number_of_sessions_are_kept() -> None:
    sessions = past(("start", 5), ("stop", 9), ("start", 7))
    assert sessions.count == 2
    assert sessions.last_ts == 9 * SECOND


def test_the_third_start_after_two_crashes_is_a_crash_loop() -> None:
    assert not past(("start", 1)).is_crash_loop(10 * SECOND)
    assert past(("start", 1), ("start", 5)).is_crash_loop(10 * SECOND)


def test_an_orderly_end_ends_the_crash_loop() -> None:
    assert not past(("start", 1), ("start", 5), ("stop", 6)).is_crash_loop(10 * SECOND)
    assert not past(("start", 1), ("start", 5), ("stop", 6), ("start", 7)).is_crash_loop(10 * SECOND)


def test_crashes_long_ago_do_not_count() -> None:
    crashed = past(("start", 1), ("start", 5))
    assert crashed.is_crash_loop(SECOND + CRASH_WINDOW_NS)
    assert not crashed.is_crash_loop(2 * SECOND + CRASH_WINDOW_NS)


@pytest.mark.parametrize(("after_s", "name"), [(0, "s0"), (35, "sz"), (36, "s10"), (36**3, "s1000")])
def test_a_live_session_is_named_by_its_second_in_base_36(after_s: int, name: str) -> None:
    assert live_session_id(EPOCH_2024 + after_s * SECOND) == name


def test_live_sessions_of_different_seconds_differ_and_are_short() -> None:
    names = {live_session_id(EPOCH_2024 + n * SECOND) for n in range(5000)}
    assert len(names) == 5000
    assert len(live_session_id(EPOCH_2024 + 10**9 * SECOND)) <= 8


def test_a_clock_before_2024_still_gives_a_name() -> None:
    assert live_session_id(0) == "s0"


def test_a_start_within_the_same_second_or_with_a_clock_set_back_has_an_id_of_its_own() -> None:
    now = EPOCH_2024 + 1_000_000 * SECOND
    first = live_session_id(now)
    second = live_session_id(now, first)
    third = live_session_id(now + SECOND, second)
    fourth = live_session_id(now - 3600 * SECOND, third)
    assert len({first, second, third, fourth}) == 4
    assert live_session_id(now + 60 * SECOND, fourth) == live_session_id(now + 60 * SECOND)
    assert live_session_id(now, SessionId("r7x2")) == first
    assert live_session_id(now, SessionId("s")) == first


def test_the_past_knows_the_last_sessions_id() -> None:
    assert past().last_id is None
    assert past(("start", 5), ("stop", 9)).last_id == "s1"


def test_replays_of_one_seed_on_fresh_folders_have_one_name_and_later_ones_others() -> None:
    assert replay_session_id(7, 0) == replay_session_id(7, 0) == "r7"
    assert len({replay_session_id(7, n) for n in range(4)} | {replay_session_id(8, 0)}) == 5
