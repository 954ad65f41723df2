"""`tradingd journal`, `replay`, `store`, `backup`, `restore`: what people type, on real files."""

import json
import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bus.messages.header import Message
from bus.messages.ledger import PortfolioSnapshot, PositionClosed
from bus.messages.orders import OrderFilled
from bus.messages.system import KillSwitchEngaged
from store.journal_check import examine_journal
from store.journal_files import segments_of
from tests.store.test_journal_segments import dies_at
from tests.tradingd.stored_journal import alerts, written
from tradingd.cli import app
from tradingd.data_dir import JOURNAL
from tradingd.exit_codes import CONFIGURATION, FAILURE, NOT_FOUND, USAGE
from tradingd.journal_repair import repair_journal
from tradingd.message_journal import MessageJournal
from tradingd.replay_check import check_replay


def run(*words: str, data_dir: Path) -> tuple[int, str]:
    done = CliRunner().invoke(app, [*words, "--data-dir", str(data_dir)])
    return done.exit_code, done.output


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


# ---- replay ------------------------------------------------------------------------------------------


def differences(tmp_path: Path, messages: list[Message]) -> list[str]:
    journal = MessageJournal.open(written(tmp_path / "r.journal", messages), read_only=True)
    try:
        check = check_replay(journal, "USDT")
    finally:
        journal.close()
    assert check.count == len(check.differences)
    return [each.what for each in check.differences]


def changed(messages: list[Message], kind: type, **values: object) -> list[Message]:
    """The first message of the kind says something else."""
    place = next(n for n, message in enumerate(messages) if type(message.body) is kind)
    body = replace(messages[place].body, **values)
    return [*messages[:place], messages[place]._replace(body=body), *messages[place + 1 :]]


def test_what_the_engine_wrote_is_computed_anew_without_a_difference(tmp_path: Path, traded: list[Message]) -> None:
    journal = MessageJournal.open(written(tmp_path / "r.journal", traded), read_only=True)
    check = check_replay(journal, "USDT")
    journal.close()
    assert check.differences == []
    assert check.messages == len(traded)
    assert check.compared > 50


def test_a_round_trip_with_another_profit_is_a_difference(tmp_path: Path, traded: list[Message]) -> None:
    trip = next(message.body for message in traded if type(message.body) is PositionClosed)
    told = changed(traded, PositionClosed, realized_pnl=trip.realized_pnl + 1)
    assert differences(tmp_path, told) == ["BTC/USDT profit of the round trip"]


def test_an_execution_that_was_booked_twice_is_a_difference(tmp_path: Path, traded: list[Message]) -> None:
    place = next(n for n, message in enumerate(traded) if type(message.body) is OrderFilled)
    told = [*traded[: place + 1], traded[place], *traded[place + 1 :]]
    assert any("execution" in what for what in differences(tmp_path, told))


def test_a_portfolio_with_other_cash_is_a_difference(tmp_path: Path, traded: list[Message]) -> None:
    snapshot = next(message.body for message in traded if type(message.body) is PortfolioSnapshot)
    told = changed(traded, PortfolioSnapshot, cash=snapshot.cash + 1)
    assert differences(tmp_path, told) == ["cash"]


def test_a_lost_fact_is_a_difference(tmp_path: Path, traded: list[Message]) -> None:
    place = next(n for n, message in enumerate(traded) if type(message.body) is OrderFilled)
    assert differences(tmp_path, [*traded[:place], *traded[place + 1 :]]) != []


def test_replay_on_the_command_line_ends_with_a_code_that_tells(tmp_path: Path, traded: list[Message]) -> None:
    written(tmp_path / JOURNAL, traded)
    code, output = run("replay", data_dir=tmp_path)
    assert code == 0
    assert "no difference" in output
    other = tmp_path / "other"
    other.mkdir()
    snapshot = next(message.body for message in traded if type(message.body) is PortfolioSnapshot)
    written(other / JOURNAL, changed(traded, PortfolioSnapshot, fees=snapshot.fees + 1))
    code, output = run("replay", "--json", data_dir=other)
    assert code == FAILURE
    assert json.loads(output)["listed"][0]["what"] == "fees"


# ---- show, verify, repair ----------------------------------------------------------------------------


def test_show_prints_the_latest_records(tmp_path: Path) -> None:
    written(tmp_path / JOURNAL, alerts(30))
    code, output = run("journal", "show", "--limit", "2", data_dir=tmp_path)
    assert code == 0
    assert [line.split()[0] for line in output.splitlines()] == ["29", "30"]
    code, output = run("journal", "show", "--json", "--after", "28", "--kind", "AlertRaised", data_dir=tmp_path)
    assert [json.loads(line)["number"] for line in output.splitlines()] == [29, 30]
    assert json.loads(output.splitlines()[0])["message"]["fields"]["title"] == "t28"


def test_verify_says_whole_or_what_is_lost(tmp_path: Path) -> None:
    path = written(tmp_path / JOURNAL, alerts(30))
    code, output = run("journal", "verify", data_dir=tmp_path)
    assert code == 0
    assert "30 records in 10 batches" in output
    damage(path)
    code, output = run("journal", "verify", data_dir=tmp_path)
    assert code == FAILURE
    assert "3 records lost" in output
    assert "tradingd journal repair" in output
    code, output = run("journal", "verify", "--json", data_dir=tmp_path)
    assert code == FAILURE
    assert json.loads(output)["is_whole"] is False


def test_a_missing_journal_is_named(tmp_path: Path) -> None:
    code, output = run("journal", "verify", data_dir=tmp_path)
    assert code == NOT_FOUND
    assert JOURNAL in output


@pytest.mark.parametrize("command", [("journal", "verify"), ("journal", "repair", "--yes"), ("replay",)])
def test_a_folder_that_is_named_as_a_journal_is_told_for_what_it_is(tmp_path: Path, command: tuple[str, ...]) -> None:
    code, output = run(*command, "--file", str(tmp_path), data_dir=tmp_path)
    assert code == USAGE
    assert f"{tmp_path} is a folder: name a journal in it" in " ".join(output.split())


def test_of_a_journal_whose_last_file_is_lost_the_closed_ones_are_kept_as_the_words_say(tmp_path: Path) -> None:
    path = written(tmp_path / JOURNAL, alerts(30))
    older = path.read_bytes()
    journal = MessageJournal.open(path)
    assert journal.rotate()
    journal.append(alerts(3, 30), sync=True)
    assert journal.rotate()
    journal.append(alerts(3, 33), sync=True)
    journal.close()
    assert run("journal", "pack", "--now", data_dir=tmp_path)[0] == 0
    path.unlink()
    for command in (("journal", "verify"), ("journal", "repair", "--yes")):
        code, output = run(*command, data_dir=tmp_path)
        assert code == NOT_FOUND
        assert "make an empty file of its name: `tradingd journal repair` then keeps" in " ".join(output.split())
    path.write_bytes(older)
    code, output = run("journal", "verify", data_dir=tmp_path)
    assert code == FAILURE
    assert "it begins with record 1, and" in output
    assert "whole:" not in output
    path.write_bytes(b"")
    assert run("journal", "verify", data_dir=tmp_path)[0] == FAILURE
    code, output = run("journal", "repair", "--yes", data_dir=tmp_path)
    assert code == 0, output
    assert "kept 33 records" in output
    assert run("journal", "verify", data_dir=tmp_path)[0] == 0


def test_repair_keeps_the_beginning_and_engages_the_kill_switch(tmp_path: Path) -> None:
    path = written(tmp_path / JOURNAL, alerts(30))
    damage(path)
    code, output = run("journal", "repair", "--yes", data_dir=tmp_path)
    assert code == 0, output
    assert "kept 12 records" in output or "kept 15 records" in output
    journal = MessageJournal.open(path, read_only=True)
    messages = list(journal.read())
    journal.close()
    kept = len(messages) - 1
    assert messages[:-1] == alerts(30)[:kept]
    latch = messages[-1].body
    assert isinstance(latch, KillSwitchEngaged)
    assert (latch.action, latch.by) == ("halt", "rule")
    assert repair_journal(path) is None
    code, output = run("journal", "repair", "--yes", data_dir=tmp_path)
    assert code == 0
    assert "nothing to repair" in output


@pytest.mark.parametrize("is_in_a_closed_file", [False, True])
def test_a_repair_that_is_cut_off_at_any_step_leaves_damage_or_the_latch(
    tmp_path: Path, is_in_a_closed_file: bool,
) -> None:
    """Mended without it, the journal would be traded on: a second repair finds nothing to do."""
    path, step, has_died = tmp_path / "data" / JOURNAL, 0, True
    while has_died:
        step += 1
        shutil.rmtree(path.parent, ignore_errors=True)
        path.parent.mkdir()
        damage(written(path, alerts(30)))
        if is_in_a_closed_file:
            path.unlink()
            journal = MessageJournal.open(written(path, alerts(30)))
            assert journal.rotate()
            journal.append(alerts(3, 30), sync=True)
            journal.close()
            damage(segments_of(path)[0].path)
        has_died = dies_at(step, lambda: repair_journal(path))
        if examine_journal(path).is_whole:
            journal = MessageJournal.open(path, read_only=True)
            assert isinstance(list(journal.read())[-1].body, KillSwitchEngaged), step
            journal.close()
    assert step > 4


# ---- what root does for a service of another user --------------------------------------------------------

SERVICE = 12_345


def of_root_in(folder: Path) -> list[str]:
    """What the service could not open."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.lstat().st_uid != SERVICE)


def given_to_the_service(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, SERVICE, SERVICE)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("is_in_a_closed_file", [False, True])
def test_a_journal_that_root_repairs_can_be_opened_by_the_owner_of_its_folder(
    tmp_path: Path, is_in_a_closed_file: bool,
) -> None:
    path = written(tmp_path / JOURNAL, alerts(30))
    if is_in_a_closed_file:
        journal = MessageJournal.open(path)
        assert journal.rotate()
        journal.append(alerts(3, 30), sync=True)
        journal.close()
    damage(segments_of(path)[0].path if is_in_a_closed_file else path)
    given_to_the_service(tmp_path)
    code, output = run("journal", "repair", "--yes", data_dir=tmp_path)
    assert code == 0, output
    assert of_root_in(tmp_path) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_packs_can_be_read_and_packed_on_by_the_owner_of_its_folder(tmp_path: Path) -> None:
    """The daemon may be running: its next start has to read what was packed."""
    journal = MessageJournal.open(written(tmp_path / JOURNAL, alerts(30)))
    assert journal.rotate()
    journal.close()
    given_to_the_service(tmp_path)
    code, output = run("journal", "pack", "--now", data_dir=tmp_path)
    assert code == 0, output
    assert [segment.is_packed for segment in segments_of(tmp_path / JOURNAL)] == [True]
    assert of_root_in(tmp_path) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("command", ["rebuild", "status"])
def test_a_store_that_root_makes_anew_can_be_filled_by_the_owner_of_its_folder(tmp_path: Path, command: str) -> None:
    written(tmp_path / JOURNAL, alerts(30))
    given_to_the_service(tmp_path)
    code, output = run("store", command, data_dir=tmp_path)
    assert code == 0, output
    assert of_root_in(tmp_path) == []


# ---- store, backup -----------------------------------------------------------------------------------


def test_the_store_is_rebuilt_and_told_of(tmp_path: Path) -> None:
    written(tmp_path / JOURNAL, alerts(30))
    assert "0 of 30 records" in run("store", "status", data_dir=tmp_path)[1]
    code, output = run("store", "rebuild", data_dir=tmp_path)
    assert (code, output) == (0, "the store holds the journal up to record 30\n")
    code, output = run("store", "status", "--json", data_dir=tmp_path)
    told = json.loads(output)
    assert (told["records"], told["stored"], told["rows"]["logs"]) == (30, 30, 30)
    assert (tmp_path / "trading.sqlite").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", ["what?", "50%", "%41", "ä b#c?d=e"])
def test_the_store_lies_in_the_data_directory_whatever_that_is_called(tmp_path: Path, name: str) -> None:
    data = tmp_path / name
    data.mkdir()
    written(data / JOURNAL, alerts(3))
    code, output = run("store", "rebuild", data_dir=data)
    assert code == 0, output
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert "3 of 3 records" in run("store", "status", data_dir=data)[1]
    with closing(sqlite3.connect(data / "trading.sqlite")) as connection:
        assert connection.execute("SELECT count(*) FROM logs").fetchall() == [(3,)]


def test_a_store_that_is_off_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path / JOURNAL, alerts(3))
    monkeypatch.setenv("TRADINGD__STORE__URL", "off")
    code, output = run("store", "status", data_dir=tmp_path)
    assert code == CONFIGURATION
    assert "store.url is off" in output


def test_backup_and_restore_are_one_command_each(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    written(data / JOURNAL, alerts(30))
    code, output = run("backup", str(tmp_path / "b.tar.gz"), data_dir=data)
    assert code == 0
    assert "30 records, read back and whole" in output
    code, output = run("restore", str(tmp_path / "b.tar.gz"), "--yes", data_dir=tmp_path / "new")
    assert code == 0
    assert (tmp_path / "new" / JOURNAL).read_bytes() == (data / JOURNAL).read_bytes()
    code, output = run("restore", str(tmp_path / "none.tar.gz"), "--yes", data_dir=tmp_path / "new")
    assert code == FAILURE
    assert "not a whole backup" in output


@pytest.mark.parametrize(("content", "told"), [
    (b"", "the file is empty: a start would begin with an empty account"),
    (b"a shopping list\n" * 30, "the head of the file does not name a journal of tradingd"),
])
def test_a_file_without_a_record_is_told_for_what_it_is_and_not_repaired(
    content: bytes, told: str, tmp_path: Path,
) -> None:
    path = tmp_path / "journal-practice-paper.journal"
    path.write_bytes(content)
    code, output = run("journal", "verify", data_dir=tmp_path)
    assert code == 1
    assert told in output
    assert "nothing in it to keep" in output
    assert "unfinished append" not in output
    code, output = run("journal", "repair", "--yes", data_dir=tmp_path)
    assert code == 1
    assert "no whole record in it" in output
    assert path.read_bytes() == content
