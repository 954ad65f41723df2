"""A crash loop is remembered until a person has seen it."""

from pathlib import Path

import pytest

from bus.messages.system import VoteTradingState
from tests.full_disk import no_file_beyond
from tests.orders.trading import instrument
from tests.tradingd.quiet_market import JOURNAL, QuietMarket, QuietRun, settings_of
from tradingd.crash_loop import CrashLoopMark
from tradingd.run_options import RunOptions
from tradingd.session import PastSessions


def found(path: Path, *, now: bool = False, is_wanted: bool = True) -> bool:
    return CrashLoopMark(path / JOURNAL).look(is_found_now=now, is_wanted=is_wanted)


def test_later_starts_wait_for_a_person_too_however_the_last_one_ended(tmp_path: Path) -> None:
    assert not found(tmp_path)
    assert found(tmp_path, now=True)
    assert found(tmp_path)
    assert not CrashLoopMark(tmp_path / "journal-binance-live.journal").look(is_found_now=False, is_wanted=True)
    CrashLoopMark(tmp_path / JOURNAL).clear()
    assert not found(tmp_path)


def test_who_wants_no_safe_mode_forgets_it(tmp_path: Path) -> None:
    assert found(tmp_path, now=True)
    assert not found(tmp_path, is_wanted=False)
    assert not found(tmp_path)


def test_a_replay_remembers_nothing_of_another_one(tmp_path: Path) -> None:
    replay = CrashLoopMark(tmp_path / JOURNAL, remembers=False)
    assert replay.look(is_found_now=True, is_wanted=True)
    assert not replay.look(is_found_now=False, is_wanted=True)
    assert found(tmp_path, now=True)
    replay.clear()
    assert found(tmp_path)


def test_on_a_full_disk_the_start_that_finds_it_waits_all_the_same(tmp_path: Path) -> None:
    with no_file_beyond(0):
        assert found(tmp_path, now=True)


async def test_an_orderly_restart_does_not_end_it_and_a_person_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    QuietMarket(monkeypatch, [instrument("BTC/USDT")])
    folder = tmp_path / "data"

    async def is_in_crash_loop(options: RunOptions | None = None, *, says_go_on: bool = False) -> bool:
        run = QuietRun(settings_of(folder), options)
        seen: list[str] = []

        def then() -> None:
            seen.extend(run.problems())
            if says_go_on:
                run.daemon._operations.obey(VoteTradingState("operator", "ACTIVE", "seen"), by="tester")
            run.daemon.life.end("the test is over")

        assert await run.until(lambda: run.daemon.life.is_up, then) == 0
        return any("crash loop" in text for text in seen)

    assert not await is_in_crash_loop()
    with monkeypatch.context() as patch:
        patch.setattr(PastSessions, "is_crash_loop", lambda past, now: True)
        assert await is_in_crash_loop()
    assert await is_in_crash_loop()
    assert await is_in_crash_loop(says_go_on=True)
    assert not await is_in_crash_loop()
