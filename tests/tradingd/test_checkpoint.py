"""Checkpoints: the same state as the whole fold at every cut, and never trusted when anything about them is wrong."""

import asyncio
import os
import shutil
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from typer.testing import CliRunner

import tradingd
from benchmarks.trading_journal import START, instruments, write_journal
from bus.codec import BODY_TYPES
from bus.codec_plans import is_body
from bus.ids import ClientOrderId, SessionId
from bus.messages.header import Message, MessageMaker
from bus.messages.orders import TrailingAdvanced
from simulator.world import World
from store.checkpoint import Checkpoint, CheckpointError, folder_of, paths_of
from store.journal import JournalError
from tests.tradingd.same_state import engine_parts, first_difference, model_parts
from tradingd import checkpoint, checkpoint_parts
from tradingd.checkpoint import MOST_UNFLUSHED, Recovery, make_checkpoint, note_scope
from tradingd.checkpoint_graph import GraphError, read_graph, write_graph
from tradingd.checkpoint_keeper import CheckpointKeeper
from tradingd.checkpoint_parts import Scope, read_engine_into, read_model_into, write_engine, write_model
from tradingd.cli import app
from tradingd.message_journal import MessageJournal
from tradingd.read_model import ReadModel
from tradingd.session import PastSessions

TRADED = Scope.of("USDT", instruments())


class Fold:
    """All that a start folds."""

    def __init__(self, scope: Scope = TRADED) -> None:
        self.scope = scope
        self.past, self.model, self.engine = PastSessions(), ReadModel(scope.quote), scope.engine()

    def take(self, messages: list[Message]) -> None:
        for message in messages:
            self.past.apply(message)
            self.model.apply(message)
            self.engine.restore(message)

    def copy(self) -> "Fold":
        """By way of a checkpoint's bytes."""
        made = Fold(self.scope)
        read_model_into(write_model(self.past, self.model), made.past, made.model)
        read_engine_into(write_engine(self.engine, self.scope), made.engine, self.scope)
        return made

    def difference(self, other: "Fold") -> str:
        return (
            first_difference(self.past, other.past)
            or first_difference(model_parts(self.model), model_parts(other.model))
            or first_difference(engine_parts(self.engine), engine_parts(other.engine))
        )


def batches(path: Path) -> list[list[Message]]:
    journal = MessageJournal.open(path, read_only=True)
    try:
        return [messages for _, messages in journal.read_from()]
    finally:
        journal.close()


@pytest.fixture(scope="module")
def long_journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("long") / "journal-practice-paper.journal"
    write_journal(path, 1500)
    return path


@pytest.fixture
def journal(long_journal: Path, tmp_path: Path) -> Path:
    note_scope(tmp_path / long_journal.name, TRADED)
    return Path(shutil.copy(long_journal, tmp_path))


def recover(path: Path, scope: Scope = TRADED) -> tuple[Recovery, Fold]:
    opened = MessageJournal.open(path)
    try:
        fold = Fold(scope)
        recovery = Recovery(opened, fold.past, fold.model)
        recovery.fold_engine(fold.engine, scope)
        return recovery, fold
    finally:
        opened.close()


def whole(path: Path, scope: Scope = TRADED) -> Fold:
    fold = Fold(scope)
    for messages in batches(path):
        fold.take(messages)
    return fold


# ---- the same state ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_checkpoint_and_tail_give_the_state_of_the_whole_fold_at_every_cut_of_a_random_life(
    seed: int, tmp_path: Path,
) -> None:
    world = World(seed, None, 1200, tmp_path)
    world.run()
    lived = batches(tmp_path / "sim.journal")
    scope = Scope.of("USDT", world.instruments)
    full, resumed = Fold(scope), Fold(scope)
    step = max(1, len(lived) // 40)
    for number, messages in enumerate(lived):
        full.take(messages)
        resumed.take(messages)  # a fold that begins again from a checkpoint at every cut, and goes on from there
        if number % step == 0:
            resumed = resumed.copy()
            assert full.difference(resumed) == ""
    assert full.difference(resumed) == ""
    assert full.engine.desk.state.born > 5


def test_at_every_single_batch_of_a_busy_stretch_the_state_is_the_same(long_journal: Path) -> None:
    resumed, full = Fold(), Fold()
    for messages in batches(long_journal)[:100]:
        full.take(messages)
        resumed.take(messages)
        resumed = resumed.copy()
    assert full.difference(resumed) == ""
    assert full.engine.orders.working()


def test_a_start_from_a_checkpoint_protects_exactly_as_a_start_without_one(journal: Path) -> None:
    make_checkpoint(journal, "manual")
    recovery, quick = recover(journal)
    assert recovery.is_engine_restored
    started = []
    for fold in (quick, whole(journal)):
        effects = list(fold.engine.finish_restore(START * 2))
        assert effects
        started.append([repr(each) for each in effects])
    assert started[0] == started[1]


def test_the_triggers_that_the_markets_look_at_are_the_restored_ones(journal: Path) -> None:
    make_checkpoint(journal, "manual")
    _, fold = recover(journal)
    desk = fold.engine.desk
    assert len(desk.state.watch) > 0
    for market in desk.markets.values():
        assert market.lasts is desk.state.watch.trails(market.symbol, "last")
        assert market.on_last.__self__ is market.lasts  # type: ignore[attr-defined]
    assert sum(len(market.lasts) for market in desk.markets.values()) == len(desk.state.watch)


def test_the_comparison_sees_one_changed_number(journal: Path) -> None:
    left, right = whole(journal), whole(journal)
    next(iter(right.engine.orders)).filled += Decimal("1e-12")
    assert "filled" in left.difference(right)
    other = whole(journal)
    other.engine.desk.tracker.peak_equity += 1
    assert left.difference(other) != ""


def _parts(hint: Any) -> Iterator[type]:
    if is_body(hint):
        yield hint
        for part in get_type_hints(hint).values():
            yield from _parts(part)
    for part in get_args(hint):
        yield from _parts(part)


@pytest.mark.parametrize("kind", BODY_TYPES.values())
def test_whatever_a_message_may_hold_can_be_kept(kind: type) -> None:
    for part in _parts(kind):
        assert checkpoint_parts.TYPES.name_of(part) in checkpoint_parts.TYPES.by_name


def test_a_type_that_is_not_on_the_list_is_refused_not_kept_halfway() -> None:
    with pytest.raises(GraphError, match="Path cannot be kept"):
        write_graph([Path("x")], {}, checkpoint_parts.TYPES)


def test_bytes_name_no_type_that_is_not_on_the_list() -> None:
    data = write_graph(PastSessions(), {}, checkpoint_parts.TYPES)
    with pytest.raises(GraphError):
        read_graph(data.replace(b"tradingd.session.PastSessions", b"tradingd.daemon.SomethingElse"), {},
                   checkpoint_parts.TYPES)


# ---- when one is used -----------------------------------------------------------------------------------


def test_only_the_records_behind_the_checkpoint_are_folded(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lived = journal.read_bytes()
    cut = _end_of_record(journal, 1200)
    journal.write_bytes(lived[:cut])
    made = make_checkpoint(journal, "auto")
    assert made is not None
    assert 1200 <= made.position.records < 1300
    journal.write_bytes(lived)
    folded = []
    monkeypatch.setattr(PastSessions, "apply", lambda self, message: folded.append(message))
    recovery, _ = recover(journal)
    assert recovery.checkpointed == made.position.records
    assert len(folded) == sum(map(len, batches(journal))) - made.position.records


def _end_of_record(path: Path, number: int) -> int:
    opened = MessageJournal.open(path, read_only=True)
    try:
        return next(position.end for position, _ in opened.read_from() if position.records >= number)
    finally:
        opened.close()


@pytest.mark.parametrize("is_from_a_checkpoint", [False, True])
def test_what_is_written_between_the_two_folds_of_a_long_tail_is_in_neither(
    journal: Path, monkeypatch: pytest.MonkeyPatch, is_from_a_checkpoint: bool,
) -> None:
    """The daemon writes on while a checkpoint is made; what the engine knew too early would be folded into it twice."""
    lived = journal.read_bytes()
    if is_from_a_checkpoint:
        journal.write_bytes(lived[: _end_of_record(journal, 1000)])
        make_checkpoint(journal, "manual")
        journal.write_bytes(lived)
    journal.write_bytes(lived[: _end_of_record(journal, 1200)])
    before = whole(journal)
    monkeypatch.setattr(checkpoint, "KEPT_MESSAGES", 5)
    reader = MessageJournal.open(journal, read_only=True)
    fold = Fold()
    recovery = Recovery(reader, fold.past, fold.model)
    journal.write_bytes(lived)
    recovery.fold_engine(fold.engine, TRADED)
    reader.close()
    assert recovery.is_engine_restored == is_from_a_checkpoint
    assert fold.difference(before) == ""


def test_nothing_new_makes_no_new_checkpoint(journal: Path) -> None:
    assert make_checkpoint(journal, "manual") is not None
    assert make_checkpoint(journal, "manual") is None


def test_the_newest_two_are_kept(journal: Path) -> None:
    lived = journal.read_bytes()
    for records in (300, 600, 900, 1200):
        journal.write_bytes(lived[: _end_of(lived, journal, records)])
        make_checkpoint(journal, "auto")
    assert len(paths_of(journal)) == 2
    assert int(paths_of(journal)[0].stem) >= 1200


def _end_of(lived: bytes, journal: Path, records: int) -> int:
    journal.write_bytes(lived)
    return _end_of_record(journal, records)


def _two_checkpoints(journal: Path) -> None:
    lived = journal.read_bytes()
    for records in (700, 1300):
        journal.write_bytes(lived[: _end_of(lived, journal, records)])
        make_checkpoint(journal, "auto")
    journal.write_bytes(lived)


@pytest.mark.parametrize("place", [0.0, 0.0002, 0.01, 0.3, 0.6, 0.9999])
def test_a_damaged_byte_anywhere_sends_the_start_to_the_checkpoint_before_and_is_told(
    journal: Path, place: float,
) -> None:
    _two_checkpoints(journal)
    newest, older = paths_of(journal)
    data = bytearray(newest.read_bytes())
    data[int(place * len(data))] ^= 1
    newest.write_bytes(bytes(data))
    recovery, fold = recover(journal)
    assert recovery.checkpointed == int(older.stem)
    assert len(recovery.problems) == 1
    assert newest.name in recovery.problems[0]
    assert fold.difference(whole(journal)) == ""


def test_a_checkpoint_that_was_cut_off_is_passed_over(journal: Path) -> None:
    _two_checkpoints(journal)
    newest = paths_of(journal)[0]
    for length in (0, 10, 200, newest.stat().st_size - 1):
        newest.write_bytes(newest.read_bytes()[:length].ljust(0))
        recovery, fold = recover(journal)
        assert recovery.checkpointed == int(paths_of(journal)[1].stem)
        assert fold.difference(whole(journal)) == ""


def test_when_all_are_damaged_the_whole_journal_is_folded(journal: Path) -> None:
    _two_checkpoints(journal)
    for path in paths_of(journal):
        path.write_bytes(path.read_bytes()[:-7])
    recovery, fold = recover(journal)
    assert recovery.checkpoint is None
    assert len(recovery.problems) == 2
    assert fold.difference(whole(journal)) == ""


def test_another_versions_checkpoint_is_no_problem_and_is_not_used(
    journal: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_checkpoint(journal, "manual")
    monkeypatch.setattr(checkpoint, "program", lambda: "another")
    recovery, fold = recover(journal)
    assert recovery.checkpoint is None
    assert recovery.problems == []
    assert fold.difference(whole(journal)) == ""


def test_the_program_is_another_one_after_any_change_of_the_folding_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:
    top = Path(checkpoint_parts.__file__).parent.parent
    for package in ("bus", "market", "risk", "orders", "tradingd"):
        shutil.copytree(top / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__", "api"))
    monkeypatch.setattr(tradingd, "__file__", str(tmp_path / "tradingd" / "__init__.py"))
    before = checkpoint_parts.program.__wrapped__()
    assert before == checkpoint_parts.program.__wrapped__()
    with (tmp_path / "orders" / "state.py").open("a") as source:
        source.write("# another\n")
    assert checkpoint_parts.program.__wrapped__() != before


def test_a_checkpoint_of_another_journal_is_not_used(journal: Path) -> None:
    make_checkpoint(journal, "manual")
    journal.unlink()
    write_journal(journal, 1600, seed=2)
    recovery, fold = recover(journal)
    assert recovery.checkpoint is None
    assert "another journal" in recovery.problems[0]
    assert fold.difference(whole(journal)) == ""


def test_a_journal_that_lost_its_end_in_a_power_cut_does_not_get_it_back_from_a_checkpoint(journal: Path) -> None:
    make_checkpoint(journal, "auto")
    journal.write_bytes(journal.read_bytes()[: _end_of_record(journal, 1000)])
    recovery, fold = recover(journal)
    assert recovery.checkpoint is None
    assert fold.difference(whole(journal)) == ""


@pytest.mark.parametrize(
    ("missing", "is_told"), [(MOST_UNFLUSHED + 100, True), (MOST_UNFLUSHED - 100, False), (0, False)],
)
def test_a_journal_that_lacks_more_than_a_power_cut_takes_says_what_is_known_to_be_lost(
    journal: Path, missing: int, is_told: bool,
) -> None:
    known = len(MessageJournal.open(journal, read_only=True))
    make_checkpoint(journal, "auto")
    journal.write_bytes(journal.read_bytes()[: _end_of_record(journal, known - missing)])
    recovery, _ = recover(journal)
    held = len(MessageJournal.open(journal, read_only=True))
    told = f"it holds {held} records, and a checkpoint knows of {known}"
    assert (told in recovery.lost) == is_told
    assert bool(recovery.lost) == is_told


def test_a_power_cut_after_a_checkpoint_of_a_rally_that_nobody_had_flushed_is_no_loss(
    journal: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Steps of trails are not flushed; a checkpoint that knew of those the machine's death took would latch a halt."""
    opened = MessageJournal.open(journal)
    maker = MessageMaker("engine", SessionId("s2"))
    for step in range(MOST_UNFLUSHED + 100):
        price = Decimal(100) + Decimal(step) / 100
        body = TrailingAdvanced("BTC/USDT", "sell", "last", price, 1, ClientOrderId("trail"), price - 1)
        opened.append([maker.make(body, START + step)], sync=False)
    disk = {"flushed": opened.synced, "kept": 0}
    flush, write = os.fdatasync, checkpoint.write_checkpoint

    def flushed(descriptor: int) -> None:
        flush(descriptor)
        if os.path.samestat(os.fstat(descriptor), journal.stat()):
            disk["flushed"] = opened.size

    def written(path: Path, made: Checkpoint) -> None:
        disk["kept"] = disk["flushed"]  # no later flush counts: the power goes as soon as the checkpoint is on disk
        write(path, made)

    monkeypatch.setattr(os, "fdatasync", flushed)
    monkeypatch.setattr(checkpoint, "write_checkpoint", written)
    made = make_checkpoint(journal, "auto")
    assert made is not None
    opened.abandon()
    os.truncate(journal, disk["kept"])
    recovery, _ = recover(journal)
    assert recovery.lost == ""
    assert recovery.checkpointed == made.position.records


def test_a_disk_that_does_not_flush_gets_no_checkpoint_and_the_reason_is_told(
    journal: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fails)
    with pytest.raises(JournalError, match=r"cannot be flushed .*Input/output error"):
        make_checkpoint(journal, "auto")
    assert paths_of(journal) == []


def test_a_loss_that_was_written_down_is_not_told_again_at_each_start(journal: Path) -> None:
    known = len(MessageJournal.open(journal, read_only=True))
    make_checkpoint(journal, "auto")
    journal.write_bytes(journal.read_bytes()[: _end_of_record(journal, known - MOST_UNFLUSHED - 100)])
    for _ in range(2):  # one that ended before it could write it down tells it again
        recovery, _fold = recover(journal)
        assert recovery.lost
    recovery.forget_lost()
    recovery, _fold = recover(journal)
    assert (recovery.lost, recovery.problems) == ("", [])
    make_checkpoint(journal, "auto")
    recovery, _fold = recover(journal)
    recovery.forget_lost()
    assert len(paths_of(journal)) == 1


def test_a_journal_that_was_begun_anew_has_lost_nothing(journal: Path) -> None:
    make_checkpoint(journal, "auto")
    some = journal.read_bytes()[: _end_of_record(journal, 5)]
    journal.unlink()
    MessageJournal.open(journal).close()
    recovery, _ = recover(journal)
    assert recovery.lost == ""
    recovery.forget_lost()
    journal.write_bytes(some)
    recovery, _ = recover(journal)
    assert recovery.lost == ""


def test_for_other_symbols_the_engine_is_folded_from_the_beginning(journal: Path) -> None:
    make_checkpoint(journal, "manual")
    fewer = Scope.of("USDT", instruments()[:2])
    recovery, fold = recover(journal, fewer)
    assert recovery.checkpoint is not None
    assert not recovery.is_engine_restored
    assert fold.difference(whole(journal, fewer)) == ""


def test_a_symbol_that_is_no_longer_configured_stays_in_the_books(journal: Path) -> None:
    fewer = Scope.of("USDT", instruments()[:1])
    note_scope(journal, fewer)
    make_checkpoint(journal, "manual")
    recovery, fold = recover(journal, fewer)
    assert recovery.is_engine_restored
    assert set(fold.engine.desk.markets) == {"BTC/USDT", "ETH/USDT", "SOL/USDT"}
    assert fold.difference(whole(journal, fewer)) == ""


def test_without_a_scope_none_is_made_and_the_reason_is_told(journal: Path) -> None:
    shutil.rmtree(folder_of(journal))
    with pytest.raises(CheckpointError, match="Start the daemon once"):
        make_checkpoint(journal, "manual")


# ---- when one is made -----------------------------------------------------------------------------------


def test_the_keeper_makes_one_beside_the_writing_daemon_when_enough_is_new(
    journal: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened = MessageJournal.open(journal)
    try:
        monkeypatch.setattr("tradingd.checkpoint_keeper.EVERY_RECORDS", 1000)
        keeper = CheckpointKeeper(opened, 0)
        assert asyncio.run(keeper.look())
        assert not asyncio.run(keeper.look())
        assert not asyncio.run(keeper.at_end())
    finally:
        opened.close()
    recovery, _ = recover(journal)
    assert recovery.checkpoint is not None
    assert recovery.checkpoint.kind == "auto"
    assert recovery.checkpointed == sum(map(len, batches(journal)))


def test_a_checkpoint_that_fails_costs_nothing_but_a_line_in_the_log(
    journal: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:
    shutil.rmtree(folder_of(journal))
    opened = MessageJournal.open(journal)
    try:
        monkeypatch.setattr("tradingd.checkpoint_keeper.AT_END_RECORDS", 1)
        assert not asyncio.run(CheckpointKeeper(opened, 0).at_end())
    finally:
        opened.close()
    assert "no checkpoint" in caplog.text


def test_people_make_one_on_the_command_line(journal: Path) -> None:
    done = CliRunner().invoke(app, ["journal", "checkpoint", "--file", str(journal)])
    assert done.exit_code == 0, done.output
    assert str(sum(map(len, batches(journal)))) in done.output
    again = CliRunner().invoke(app, ["journal", "checkpoint", "--file", str(journal)])
    assert again.exit_code == 0
    recovery, _ = recover(journal)
    assert recovery.checkpoint is not None
    assert recovery.checkpoint.kind == "manual"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_one_that_root_makes_can_be_read_by_the_owner_of_its_folder(journal: Path) -> None:
    for path in (journal.parent, *journal.parent.rglob("*")):
        os.chown(path, 12_345, 12_345)
    assert CliRunner().invoke(app, ["journal", "checkpoint", "--file", str(journal)]).exit_code == 0
    assert [path.stat().st_uid for path in paths_of(journal)] == [12_345]
