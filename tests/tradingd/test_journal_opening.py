"""The journal that a run goes on with: what is told while it is read."""

from contextlib import closing
from pathlib import Path

import pytest

from store.checkpoint import folder_of
from store.journal_format import JournalError
from tests.tradingd.stored_journal import alerts, written
from tradingd import journal_opening
from tradingd.checkpoint import Recovery
from tradingd.data_dir import JOURNAL, DataDir, whereabouts
from tradingd.journal_opening import open_journal
from tradingd.message_journal import MessageJournal
from tradingd.read_model import ReadModel
from tradingd.reading_progress import ReadingProgress
from tradingd.replay_run import ReplayRun
from tradingd.run_options import RunOptions
from tradingd.service_notify import ServiceNotify
from tradingd.session import PastSessions
from tradingd.settings import Settings


def test_while_a_start_reads_its_journal_the_command_line_can_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []

    def reads(
        journal: MessageJournal, past: PastSessions, model: ReadModel, *, use_checkpoints: bool,
        progress: ReadingProgress | None,
    ) -> Recovery:
        told.append(whereabouts(tmp_path))
        return Recovery(journal, past, model, use_checkpoints=use_checkpoints)

    monkeypatch.setattr(journal_opening, "Recovery", reads)
    settings = Settings(data_dir=tmp_path)
    replay = ReplayRun(settings, RunOptions(), tmp_path)
    with closing(DataDir.open(tmp_path)) as data_dir:
        with closing(open_journal(data_dir, settings, replay, ServiceNotify({}), is_replay=False).journal) as journal:
            assert len(journal) == 0
        assert len(told) == 1
        assert told[0].endswith("is starting: it reads its journal")


def test_what_a_start_cuts_off_is_told_with_the_place_where_it_is_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture,
) -> None:
    path = written(tmp_path / JOURNAL, alerts(6))
    data = path.read_bytes()
    path.write_bytes(data[:-5] + b"?" + data[-4:])
    settings = Settings(data_dir=tmp_path)
    replay = ReplayRun(settings, RunOptions(), tmp_path)
    with closing(DataDir.open(tmp_path)) as data_dir:
        for _ in range(2):
            opened = open_journal(data_dir, settings, replay, ServiceNotify({}), is_replay=False)
            assert len(opened.journal) == 3
            opened.journal.close()
    (told,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert told.startswith(f"{path}: ")
    assert f"kept in {path.name}.torn" in told
    assert path.with_name(f"{path.name}.torn").stat().st_size > 0


def test_a_journal_that_was_emptied_is_no_new_one(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    replay = ReplayRun(settings, RunOptions(), tmp_path)
    path = written(tmp_path / JOURNAL, alerts(6))
    known = folder_of(path) / "000000000006.checkpoint"
    known.parent.mkdir(parents=True)
    known.write_bytes(b"not read")
    with closing(DataDir.open(tmp_path)) as data_dir:
        path.write_bytes(b"")
        with pytest.raises(JournalError, match=r"is empty, and a checkpoint knows of 6 records.*remove"):
            open_journal(data_dir, settings, replay, ServiceNotify({}), is_replay=False)
        assert path.stat().st_size == 0
        known.unlink()
        with pytest.raises(JournalError, match="is empty, and an earlier start wrote to it"):
            open_journal(data_dir, settings, replay, ServiceNotify({}), is_replay=False)
        path.unlink()
        opened = open_journal(data_dir, settings, replay, ServiceNotify({}), is_replay=False)
        assert len(opened.journal) == 0
        opened.journal.close()
