"""Packing an old stretch of the journal: state, tables, books and old ids stay; only words become fewer."""

import asyncio
import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmarks.trading_journal import instruments
from bus.codec import decode
from bus.messages.orders import OrderInitialized, SubmitOrder
from simulator.world import World
from store.checkpoint import Checkpoint, write_checkpoint
from store.journal import Journal, Record
from store.journal_check import examine_journal
from store.journal_files import segments_folder, segments_of
from store.journal_format import JournalError
from tests.tradingd.same_state import engine_parts, first_difference, model_parts
from tests.tradingd.test_backup import messages_in
from tradingd import backup as backup_module
from tradingd import journal_packing
from tradingd.backup import back_up, restore
from tradingd.checkpoint_parts import Scope
from tradingd.cli import app
from tradingd.journal_keeper import JournalKeeper
from tradingd.journal_packing import REASONS_LEFT_OUT, STEPS_FOLDED, due, fold_steps, pack
from tradingd.journal_repair import repair_journal
from tradingd.message_journal import MessageJournal
from tradingd.order_archive import read_order
from tradingd.projection import Projection
from tradingd.read_model import ReadModel
from tradingd.replay_check import check_replay
from tradingd.session import PastSessions
from tradingd.settings import JournalSettings

NAME = "journal-practice-paper.journal"
DAY_NS = 86_400 * 10**9
SCOPE = Scope.of("USDT", instruments())


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    """What an hour of the simulator leaves, deaths included: trails by the hundred."""
    folder = tmp_path_factory.mktemp("lived")
    World(11, None, 3600, folder).run()
    journal = Journal.open(folder / "sim.journal", read_only=True)
    try:
        return list(journal.read())
    finally:
        journal.close()


def in_files(folder: Path, records: list[Record], count: int, batch: int = 3) -> Path:
    """The same records in so many files, all but the last of them closed."""
    path = folder / NAME
    journal = Journal.open(path)
    each = len(records) // count
    for number in range(count):
        part = records[number * each : (number + 1) * each if number < count - 1 else None]
        for begin in range(0, len(part), batch):
            journal.append(part[begin : begin + batch], sync=False)
        if number < count - 1:
            assert journal.rotate()
    journal.close()
    return path


def pack_all(path: Path, keep_days: int = 0, now_ns: int = 0) -> list[journal_packing.Packed]:
    return list(pack(path, now_ns or time.time_ns(), 0, keep_days))


class Fold:
    """What a start makes of a journal."""

    def __init__(self, path: Path) -> None:
        self.past, self.model, self.engine = PastSessions(), ReadModel("USDT"), SCOPE.engine()
        self.messages = messages_in(path)
        for message in self.messages:
            self.past.apply(message)
            self.model.apply(message)
            self.engine.restore(message)


def without_steps(model: ReadModel) -> Any:
    """The latest events list steps, too."""
    for record in model.order_fold.by_id.values():
        record.steps, record.is_thin = [], False
    return [part for name, part in model_parts(model).items() if name != "events"]


@pytest.mark.parametrize("count", [2, 5, 13])
def test_what_follows_from_a_packed_journal_is_the_same(tmp_path: Path, lived: list[Record], count: int) -> None:
    path = in_files(tmp_path, lived, count)
    before = Fold(path)
    done = pack_all(path)
    assert len(done) == count - 1
    assert sum(each.bytes_after for each in done) < 0.25 * sum(each.bytes_before for each in done)
    assert sum(each.records_after for each in done) < sum(each.records_before for each in done)
    after = Fold(path)
    assert first_difference(before.past, after.past) == ""
    assert first_difference(without_steps(before.model), without_steps(after.model)) == ""
    assert first_difference(engine_parts(before.engine), engine_parts(after.engine)) == ""
    assert [m for m in before.messages if type(m.body).__name__ != "TrailingAdvanced"] == [
        m for m in after.messages if type(m.body).__name__ != "TrailingAdvanced"
    ]
    assert examine_journal(path).is_whole


def test_a_store_built_anew_from_a_packed_journal_has_the_same_rows(tmp_path: Path, lived: list[Record]) -> None:
    path = in_files(tmp_path, lived, 4)
    contents = []
    for name in ("before", "after"):
        projection = Projection(path, f"sqlite:///{tmp_path}/{name}.sqlite", "practice-paper", "USDT", is_own=True)
        projection.rebuild()
        contents.append(projection.store.contents())
        projection.close()
        pack_all(path)
    assert contents[0] == contents[1]
    assert contents[0]["fills"]


def test_a_store_half_filled_when_the_journal_is_packed_goes_on_and_ends_the_same(
    tmp_path: Path, lived: list[Record],
) -> None:
    path = in_files(tmp_path, lived, 6)
    url = f"sqlite:///{tmp_path}/slow.sqlite"
    slow = Projection(path, url, "practice-paper", "USDT", is_own=False)
    assert slow.step()
    slow.close()
    pack_all(path)
    slow = Projection(path, url, "practice-paper", "USDT", is_own=False)
    slow.catch_up()
    whole = Projection(path, f"sqlite:///{tmp_path}/whole.sqlite", "practice-paper", "USDT", is_own=True)
    whole.rebuild()
    assert slow.store.contents() == whole.store.contents()
    slow.close()
    whole.close()


def test_the_effects_replayed_from_a_packed_journal_have_no_difference(tmp_path: Path, lived: list[Record]) -> None:
    path = in_files(tmp_path, lived, 4)
    checks = []
    for keep_days in (0, 1):
        journal = MessageJournal.open(path, read_only=True)
        checks.append(check_replay(journal, "USDT"))
        journal.close()
        pack_all(path, keep_days)
    assert [check.count for check in checks] == [0, 0]
    assert checks[0].compared == checks[1].compared > 50


def test_an_order_of_a_packed_stretch_is_explained_from_it(tmp_path: Path, lived: list[Record]) -> None:
    path = in_files(tmp_path, lived, 3)
    bodies = [decode(record.data).body for record in lived if record.kind == "OrderInitialized"]
    ids = [body.order.client_order_id for body in bodies]
    before = {order_id: read_order(path, order_id) for order_id in ids[:12]}
    pack_all(path)
    for order_id, was in before.items():
        now = read_order(path, order_id)
        assert was is not None
        assert now is not None
        old, new = was.orders.by_id[order_id], now.orders.by_id[order_id]
        assert (old.state, old.filled, old.history, old.facts) == (new.state, new.filled, new.history, new.facts)
        assert len(old.steps) >= len(new.steps)
        assert old.steps[-1:] == new.steps[-1:]


def test_reasons_go_when_they_are_old_and_money_orders_and_ids_stay(tmp_path: Path, lived: list[Record]) -> None:
    path = in_files(tmp_path, lived, 3)
    before = Fold(path)
    old = time.time_ns() + 401 * DAY_NS
    assert [level for _, level in due(path, old, 24, 400)] == [REASONS_LEFT_OUT] * 2
    pack_all(path, 400, old)
    after = Fold(path)
    parts = [engine_parts(each.engine) for each in (before, after)]
    for each in (before, after):
        each.engine.desk.state.verdicts.clear()  # of proposals that have ended long ago
    assert first_difference(*parts) == ""
    gone = {type(m.body).__name__ for m in before.messages} - {type(m.body).__name__ for m in after.messages}
    assert "OrderInitialized" not in gone
    assert not any(isinstance(m.body, SubmitOrder) for m in after.messages[: len(after.messages) // 3])
    for message in before.messages:
        if isinstance(message.body, OrderInitialized):  # F37: a known id does nothing twice
            assert message.body.order.client_order_id in after.engine.desk.state.orders
    assert due(path, old, 24, 400) == []


def test_what_is_packed_already_is_packed_once_more_when_it_is_old(tmp_path: Path, lived: list[Record]) -> None:
    path = in_files(tmp_path, lived, 3)
    now = max(record.ts for record in lived)
    assert [level for _, level in due(path, time.time_ns(), 0, 0)] == [STEPS_FOLDED] * 2
    pack_all(path)
    assert due(path, now, 24, 400) == []
    assert [level for _, level in due(path, now + 402 * DAY_NS, 24, 400)] == [REASONS_LEFT_OUT] * 2
    again = pack_all(path, 400, now + 402 * DAY_NS)
    assert all(each.records_after < each.records_before for each in again)
    assert examine_journal(path).is_whole


def test_a_young_file_and_one_with_the_newest_checkpoint_wait(tmp_path: Path, lived: list[Record]) -> None:
    path = in_files(tmp_path, lived, 3)
    assert due(path, time.time_ns(), 24, 400) == []
    journal = Journal.open(path, read_only=True)
    place = next(place for place, _ in journal.read_from())
    journal.close()
    write_checkpoint(path, Checkpoint("p", "manual", place, {}))
    assert [segment.first for segment, _ in due(path, time.time_ns(), 0, 0)] == [segments_of(path)[1].first]


def test_steps_between_other_facts_become_the_last_of_them(lived: list[Record]) -> None:
    kept = list(fold_steps(lived))
    names = [record.kind for record in kept]
    assert names.count("TrailingAdvanced") < 0.5 * [r.kind for r in lived].count("TrailingAdvanced")
    assert [record for record in lived if record.kind != "TrailingAdvanced"] == [
        record for record in kept if record.kind != "TrailingAdvanced"
    ]
    assert kept == sorted(kept, key=lambda record: record.number)
    assert list(fold_steps(kept)) == kept


def _pack_and_die(path: Path, step: int) -> bool:
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    left = [step]

    def watched(real: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **named)

        return call

    try:
        os.fsync = watched(os.fsync)
        Path.replace = watched(Path.replace)  # type: ignore[method-assign]
        Path.unlink = watched(Path.unlink)  # type: ignore[method-assign]
        pack_all(path)
    finally:
        os._exit(0)


def test_a_death_at_any_step_of_packing_loses_nothing_and_the_next_one_ends_it(
    tmp_path: Path, lived: list[Record],
) -> None:
    (tmp_path / "source").mkdir()
    source = in_files(tmp_path / "source", lived[:1500], 4)
    expected = [m for m in messages_in(source) if type(m.body).__name__ != "TrailingAdvanced"]
    step = 0
    has_died = True
    while has_died:
        step += 1
        folder = tmp_path / str(step)
        shutil.copytree(source.parent, folder)
        path = folder / NAME
        has_died = _pack_and_die(path, step)
        assert [m for m in messages_in(path) if type(m.body).__name__ != "TrailingAdvanced"] == expected, step
        assert examine_journal(path).is_whole
        pack_all(path)
        assert all(each.is_packed for each in segments_of(path))
        assert len(list(segments_folder(path).glob("0*"))) == 3
        shutil.rmtree(folder)
    assert step > 9


def test_a_damaged_file_is_not_packed(tmp_path: Path, lived: list[Record]) -> None:
    path = in_files(tmp_path, lived, 3)
    target = segments_of(path)[0].path
    data = bytearray(target.read_bytes())
    data[len(data) // 2] ^= 1
    target.write_bytes(data)
    with pytest.raises(Exception, match="damaged, so it is not packed"):
        pack_all(path)
    assert target.read_bytes() == data


# ---- the daemon's keeper, the command, the backup --------------------------------------------------------------------


def test_the_keeper_closes_a_long_file_and_packs_what_is_due(tmp_path: Path, lived: list[Record]) -> None:
    path = tmp_path / NAME
    journal = MessageJournal.open(path)
    some = [decode(record.data) for record in lived[:50]]
    keeper = JournalKeeper(journal, JournalSettings(segment_mb=1, pack_after_hours=0), None)
    count = 0
    while journal.size < 1_000_000:
        journal.append(some, sync=False)
        count += len(some)
    asyncio.run(keeper.look())
    assert [segment.is_packed for segment in segments_of(path)] == [True]
    assert journal.size < 100
    assert len(journal) == count
    journal.append([decode(lived[0].data)], sync=True)
    asyncio.run(keeper.look())
    assert len(segments_of(path)) == 1
    journal.close()


def run(*arguments: str, data_dir: Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, [*arguments, "--data-dir", str(data_dir)])
    return result.exit_code, result.output


def test_the_commands_know_all_files(
    tmp_path: Path, lived: list[Record], monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRADINGD__JOURNAL__KEEP_DAYS", "0")  # these records are older than its default
    path = in_files(tmp_path, lived, 3)
    (tmp_path / "account.json").write_text(json.dumps({"journal": NAME}))
    code, output = run("journal", "pack", "--now", data_dir=tmp_path)
    assert code == 0
    assert output.count("records stay") == 2
    assert "nothing to pack" in run("journal", "pack", data_dir=tmp_path)[1]
    code, output = run("journal", "verify", data_dir=tmp_path)
    assert code == 0
    assert "in 3 files" in output
    assert "left out" in output
    code, output = run("journal", "show", "--limit", str(len(lived)), data_dir=tmp_path)
    assert output.splitlines()[-1].split()[0] == str(len(lived))
    assert output.splitlines()[0].split()[0] == "1"
    code, output = run("replay", data_dir=tmp_path)
    assert (code, "no difference" in output) == (0, True)
    segments_of(path)[0].path.unlink()
    code, output = run("journal", "verify", data_dir=tmp_path)
    assert code == 1
    assert "missing: the file with records 1 to" in output


def test_a_backup_holds_all_files_and_a_missing_one_is_told(tmp_path: Path, lived: list[Record]) -> None:
    data = tmp_path / "data"
    data.mkdir()
    path = in_files(data, lived, 4)
    expected = messages_in(path)
    next(iter(pack(path, time.time_ns(), 0, 0)))  # one is packed, the others are not
    manifest = back_up(data, tmp_path / "b.tar.gz")
    assert sum(1 for each in manifest.files if ".segments/" in each.name) == 3
    restore(tmp_path / "b.tar.gz", tmp_path / "new")
    again = messages_in(tmp_path / "new" / NAME)
    assert again == messages_in(path)
    assert [m for m in again if type(m.body).__name__ != "TrailingAdvanced"] == [
        m for m in expected if type(m.body).__name__ != "TrailingAdvanced"
    ]
    segments_of(path)[1].path.unlink()
    with pytest.raises(Exception, match="are missing, so a backup would be worth nothing"):
        back_up(data, tmp_path / "c.tar.gz")


def test_a_backup_taken_while_one_file_after_the_other_is_packed_holds_all(
    tmp_path: Path, lived: list[Record], monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    path = in_files(data, lived, 8)
    look = backup_module._entries_of

    def packs(folder: Path, *, with_tape: bool) -> list[Path]:
        found = look(folder, with_tape=with_tape)
        next(iter(pack(path, time.time_ns(), 0, 0)), None)
        return found

    monkeypatch.setattr(backup_module, "_entries_of", packs)
    back_up(data, tmp_path / "b.tar.gz")
    restore(tmp_path / "b.tar.gz", tmp_path / "new")
    assert messages_in(tmp_path / "new" / NAME) == messages_in(path)


def test_a_backup_after_a_repair_of_a_closed_file_leaves_out_what_was_set_aside(
    tmp_path: Path, lived: list[Record],
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    path = in_files(data, lived, 3)
    target = segments_of(path)[1].path
    damaged = bytearray(target.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    target.write_bytes(damaged)
    with pytest.raises(JournalError, match="damaged, so a backup would be worth nothing"):
        back_up(data, tmp_path / "a.tar.gz")
    assert repair_journal(path) is not None
    manifest = back_up(data, tmp_path / "b.tar.gz")
    assert not [each.name for each in manifest.files if "damaged" in each.name]
    restore(tmp_path / "b.tar.gz", tmp_path / "new")
    assert messages_in(tmp_path / "new" / NAME) == messages_in(path)
