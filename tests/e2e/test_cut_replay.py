"""A replay killed with -9 goes on where it was cut, and ends with the very journal of one that was never cut."""

import shutil
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bus.codec import encode
from bus.messages.grid import GridStarted
from bus.messages.header import Message
from bus.messages.orders import OrderFilled, OrderSubmitted
from bus.messages.system import DaemonStarted, DaemonStopping
from store.journal import Journal
from tests.e2e.process import NOT_YET, Process, is_alive, journal_of, tradingd, until
from tests.golden.recording import write_recording
from tests.shared_data import shared_file
from tradingd.client import AnswerError
from tradingd.cut_replay import NOTES_FILE
from tradingd.data_dir import current_journal
from tradingd.message_journal import MessageJournal

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(280)]
NS = 1_000_000_000
CANDLES = {
    "TRADINGD__CANDLES__INTERVALS": "1m,5m", "TRADINGD__CANDLES__DECISION": "1m",
    "TRADINGD__RISK__MAX_POSITIONS": "5",
}


@dataclass(frozen=True)
class Whole:
    """A replay that nobody cut: its data directory, its start line, and what it journalled."""

    data_dir: Path
    arguments: tuple[str, ...]
    env: dict[str, str]
    journal: list[Message]

    def wires(self) -> list[bytes]:
        return [encode(message) for message in self.journal]


def start_grid(process: Process, grid: dict[str, str]) -> dict[str, Any]:
    def attempt() -> dict[str, Any] | None:
        try:
            answer: dict[str, Any] = process.client.post("/api/grids", grid)
        except AnswerError as error:
            if error.code in NOT_YET:
                return None
            raise
        return answer

    return until(attempt, "a grid that is taken", 20)


def played(data_dir: Path, files: list[Path], seconds: int, grid: dict[str, str], env: dict[str, str], *,
           speed: float) -> Whole:
    """One replay to its end, with a grid that a person starts while it runs."""
    replays = [part for file in files for part in ("--replay", str(file))]
    arguments = (*replays, "--for", str(seconds))
    process = Process(data_dir, *arguments, "--speed", str(speed), env=env)
    try:
        process.ready()
        assert start_grid(process, grid)["state"] == "RUNNING"
        assert process.wait(200) == 0, process.err
    finally:
        process.kill()
    return Whole(data_dir, arguments, env, journal_of(data_dir))


def cut(whole: Whole, data_dir: Path, records: int) -> None:
    """What a kill -9 leaves of the whole replay when its journal has so many records."""
    data_dir.mkdir(mode=0o700)
    for name in (NOTES_FILE, "account.json"):
        shutil.copy(whole.data_dir / name, data_dir / name)
    journal = MessageJournal.open(data_dir / current_journal(whole.data_dir).name)
    journal.append(whole.journal[:records], sync=True)
    journal.close()


def killed_twice_more(whole: Whole, data_dir: Path) -> None:
    """Gone on with, killed with -9 when its journal has grown, the same again, then to its end."""
    for share in (0.5, 0.8):
        wanted = int(len(whole.journal) * share)
        process = Process(data_dir, *whole.arguments, "--speed", "15", env=whole.env)
        try:
            until(partial(_has_grown, process, data_dir, wanted), f"{wanted} records", 60)
        finally:
            process.kill()
        assert wanted < records_in(data_dir) < len(whole.journal)
    process = Process(data_dir, *whole.arguments, "--speed", "0", env=whole.env)
    assert process.wait(120) == 0, process.err
    assert "goes on from here" in process.out


def _has_grown(process: Process, data_dir: Path, wanted: int) -> bool:
    assert is_alive(process.pid), process.err
    return records_in(data_dir) > wanted


def records_in(data_dir: Path) -> int:
    journal = Journal.open(current_journal(data_dir), read_only=True)
    try:
        return len(journal)
    finally:
        journal.close()


def check_same_end(whole: Whole, data_dir: Path) -> None:
    after = [encode(message) for message in journal_of(data_dir)]
    first = next((i for i, (a, b) in enumerate(zip(after, whole.wires(), strict=False)) if a != b), None)
    assert first is None, (whole.journal[first], after[first])
    assert len(after) == len(whole.journal)


@pytest.mark.shared
def test_a_grid_over_ticks_killed_three_times_ends_with_the_journal_of_one_that_was_not(tmp_path: Path) -> None:
    names = ("trades", "quotes")
    files = [shared_file(f"ticks/binance_spot_btcusdt_20240808_{name}.parquet") for name in names]
    grid = {"symbol": "BTC/USDT", "capital": "2000", "spacing": "0.1", "trail": "0.05"}
    whole = played(tmp_path / "whole", files, 290, grid, {"TRADINGD__RISK__MAX_POSITIONS": "5"}, speed=15)
    assert [m.body for m in whole.journal if isinstance(m.body, OrderFilled)]
    started = next(i for i, m in enumerate(whole.journal) if isinstance(m.body, GridStarted))
    cut(whole, tmp_path / "cut", max(started + 1, len(whole.journal) // 4))
    killed_twice_more(whole, tmp_path / "cut")
    check_same_end(whole, tmp_path / "cut")


@pytest.mark.shared
def test_a_grid_over_minute_candles_cut_anywhere_ends_with_the_journal_of_one_that_was_not(tmp_path: Path) -> None:
    files = [shared_file("candles/binance_spot_1m_BTC_2025-05_2025-08.parquet")]
    grid = {"symbol": "BTC/USDT", "capital": "2000", "spacing": "0.1", "trail": "0.05"}
    whole = played(tmp_path / "whole", files, 3600, grid, CANDLES, speed=600)
    fills = [m.body for m in whole.journal if isinstance(m.body, OrderFilled)]
    assert len({fill.side for fill in fills}) == 2
    sent = [i for i, m in enumerate(whole.journal) if isinstance(m.body, OrderSubmitted)]
    assert sent
    # In the middle of things: an order is on its way to the venue, and its answer is in no journal.
    for number, records in enumerate((sent[len(sent) // 3] + 1, sent[-1] + 1, len(whole.journal) - 2)):
        data_dir = tmp_path / f"cut{number}"
        cut(whole, data_dir, records)
        process = Process(data_dir, *whole.arguments, "--speed", "0", env=whole.env)
        assert process.wait(200) == 0, process.err
        check_same_end(whole, data_dir)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recording(tmp_path_factory.mktemp("cut") / "made_up.tsv", seed=11, seconds=120)


def run(data_dir: Path, recording: Path, *arguments: str, speed: float = 0) -> Any:
    return tradingd(
        "run", "--replay", str(recording), "--speed", str(speed), "--port", "0", "--data-dir", str(data_dir),
        *arguments,
    )


def cut_run(data_dir: Path, recording: Path) -> None:
    process = Process(data_dir, "--replay", str(recording), "--speed", "20")
    try:
        until(lambda: records_in(data_dir) > 30 if process.ready() else None, "some records", 120)
    finally:
        process.kill()


def test_another_recording_is_not_taken_for_the_one_that_was_cut(tmp_path: Path, small: Path) -> None:
    cut_run(tmp_path / "data", small)
    other = write_recording(tmp_path / "other.tsv", seed=12, seconds=60)
    ended = run(tmp_path / "data", other, "--for", "30")
    assert ended.returncode == 0, ended.stderr
    assert "this is another one" in ended.stdout
    assert len([m for m in journal_of(tmp_path / "data") if isinstance(m.body, DaemonStarted)]) == 1
    assert list((tmp_path / "data").glob("journal-*-000001.journal"))


def test_what_does_not_repeat_itself_is_said_and_the_next_start_begins_anew(tmp_path: Path, small: Path) -> None:
    data_dir = tmp_path / "data"
    cut_run(data_dir, small)
    path = current_journal(data_dir)
    facts = journal_of(data_dir)
    path.unlink()
    changed = MessageJournal.open(path)
    changed.append([*facts[:10], facts[11]], sync=True)
    changed.close()
    ended = run(data_dir, small, "--for", "60")
    assert ended.returncode == 1
    assert "cannot be gone on with: record 11 is a" in ended.stderr
    assert len(journal_of(data_dir)) == 11
    assert run(data_dir, small, "--for", "60").returncode == 0


def test_a_replay_ends_at_the_same_moment_at_any_speed(tmp_path: Path, small: Path) -> None:
    ends = []
    for number, speed in enumerate((0, 40)):
        assert run(tmp_path / str(number), small, "--for", "50.5", speed=speed).returncode == 0
        journal = journal_of(tmp_path / str(number))
        assert isinstance(journal[-1].body, DaemonStopping)
        ends.append(journal[-1].header.ts)
        assert Decimal(ends[-1] - recording_start(small)) % (7 * 86_400 * NS) < 51 * NS
    assert ends[0] == ends[1]


def recording_start(recording: Path) -> int:
    return int(recording.read_text().split("\t", 1)[0])
