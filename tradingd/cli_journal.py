"""`tradingd journal show|verify|repair|pack|checkpoint` and `tradingd replay`: the truth, looked at and mended."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tradingd import exit_codes
from tradingd.cli_session import (
    CliError,
    ConfigOption,
    DataDirOption,
    JsonOption,
    YesOption,
    confirm,
    note,
    settings_of,
)

if TYPE_CHECKING:
    from store.journal_check import Examination, JournalExamination
    from tradingd.replay_check import ReplayCheck
    from tradingd.settings import Settings

FileOption = Annotated[
    Path | None, typer.Option("--file", metavar="FILE", help="A journal elsewhere. Default: the data directory's.")
]
journal_app = typer.Typer(
    help="The journal: show it, verify it, repair it.", no_args_is_help=True, rich_markup_mode=None,
)


def journal_of(settings: "Settings", file: Path | None) -> Path:
    """The named journal, or that of the last session on the data directory; raises `CliError` when it is missing."""
    from store.journal_files import ALONE, segments_folder, segments_of
    from tradingd.data_dir import current_journal

    path = file or current_journal(settings.data_dir)
    if not path.exists() and segments_of(path):
        raise CliError(
            exit_codes.NOT_FOUND,
            f"{path}: it is missing, and {segments_folder(path)} holds what came before. Put it back. {ALONE}",
        )
    if not path.exists():
        raise CliError(
            exit_codes.NOT_FOUND, f"{path}: there is no journal. Start the daemon once, or name one with --file."
        )
    if path.is_dir():
        raise CliError(
            exit_codes.USAGE,
            f"{path} is a folder: name a journal in it with --file, or a data directory with --data-dir.",
        )
    return path


@journal_app.command("show")
def show(
    file: FileOption = None,
    after: Annotated[int, typer.Option("--after", min=0, metavar="N", help="Only records behind number N.")] = 0,
    kind: Annotated[str, typer.Option("--kind", help="Only messages of this type, such as OrderFilled.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most this many, the latest ones.")] = 100,
    config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False,
) -> None:
    """What is written down, record by record. With --json one JSON object a line, as it is in the file."""
    from collections import deque

    from store.journal import Journal

    journal = Journal.open(journal_of(settings_of(config, data_dir), file), read_only=True)
    try:
        wanted = (record for record in journal.read(after) if not kind or record.kind == kind)
        records = deque(wanted, maxlen=limit)
    finally:
        journal.close()
    if json:
        for record in records:
            typer.echo(b'{"number":%d,"message":%b}' % (record.number, record.data))
        return
    from tradingd.read_model_views import to_iso

    if not records:
        what = f"no record of the kind {kind!r}" if kind else "no record"
        note(f"{what}{f' behind number {after}' if after else ''}. Kinds are written like OrderFilled.")
    for each in records:
        typer.echo(f"{each.number:>8}  {to_iso(each.ts)}  {each.kind:<20}  {_fields_of(each.data)}")


def _fields_of(data: bytes) -> str:
    """The fields as they are written; a record of another version is shown as it is."""
    import orjson

    try:
        return orjson.dumps(orjson.loads(data)["fields"]).decode()
    except (ValueError, KeyError, TypeError):
        return data.decode(errors="replace")


@journal_app.command("verify")
def verify(
    file: FileOption = None, config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False,
) -> None:
    """Check every byte and every message. Exit code 1 when something that was promised is lost."""
    from store.journal_check import examine_journal

    path = journal_of(settings_of(config, data_dir), file)
    found = examine_journal(path)
    unreadable = _unreadable(path, found.files[-1].first) if found.is_whole else ""
    is_whole = found.is_whole and not unreadable
    if json:
        from tradingd.cli_tables import print_json

        print_json({
            "path": str(path), "is_whole": is_whole, "unreadable": unreadable, "records": found.records,
            "kept_records": found.kept_records, "gaps": [asdict(each) for each in found.gaps],
            "files": [{**asdict(each), "path": str(each.path), "is_whole": each.is_whole} for each in found.files],
        })
    else:
        for line in _told(found, unreadable):
            typer.echo(line)
    if not is_whole:
        raise typer.Exit(exit_codes.FAILURE)


def _unreadable(path: Path, first: int) -> str:
    """The first record that is whole and yet no message of this version, or what no start reads; "" when it is well."""
    from store.journal import JournalError
    from store.journal_files import refuse_strangers
    from tradingd.message_journal import MessageJournal

    journal = MessageJournal.open(path, read_only=True)
    try:
        refuse_strangers(path, first)
        for _ in journal.read():
            pass
    except JournalError as error:
        return str(error)
    finally:
        journal.close()
    return ""


def _told(found: "JournalExamination", unreadable: str) -> list[str]:
    lines: list[str] = []
    for each in found.files:
        lines += _told_of_file(each)
    for gap in found.gaps:
        lines.append(f"missing: the file with records {gap.after + 1} to {gap.before - 1}")
    if unreadable:
        lines.append(unreadable)
    if found.is_whole and not unreadable:
        count = "" if len(found.files) == 1 else f" ({found.records} records in {len(found.files)} files)"
        lines.append(f"whole: every checksum is right and every record can be read{count}")
    elif not found.kept_records:
        lines.append("there is nothing in it to keep: restore a backup (`tradingd restore`), or name the right file")
    elif not found.is_whole:
        lines.append("restore a backup (`tradingd restore`), or keep what is whole: `tradingd journal repair`")
    return lines


def _told_of_file(found: "Examination") -> list[str]:
    from tradingd.read_model_views import to_iso

    left_out = found.kept_last - found.first + 1 - found.records if found.is_packed and found.is_whole else 0
    packed = f" (packed, {left_out} left out)" if found.is_packed else ""
    lines = [f"{found.path}: {found.records} records in {found.batches} batches{packed}"]
    if found.records:
        lines.append(f"from {to_iso(found.first_ns)} to {to_iso(found.last_ns)}")
    if not found.size:
        lines.append("the file is empty: a start would begin with an empty account")
    elif not found.version:
        lines.append("the head of the file does not name a journal of tradingd")
    for damage in found.damages:
        lost = damage.before - damage.after - 1
        is_gap = damage.before > damage.after
        what = f"{lost} record{'' if lost == 1 else 's'} lost" if is_gap else "records that repeat earlier numbers"
        lines.append(f"damaged: bytes {damage.begin} to {damage.end}, behind record {damage.after}: {what}")
    if found.torn_bytes:
        lines.append(f"{found.torn_bytes} bytes of an unfinished append at the end: no damage, a start cuts it off")
    return lines


@journal_app.command("pack")
def pack_segments(
    now: Annotated[bool, typer.Option("--now", help="All closed files, however young.")] = False,
    file: FileOption = None, config: ConfigOption = None, data_dir: DataDirOption = None,
) -> None:
    """Pack closed files that are due, as the daemon does by itself once an hour. The daemon may be running."""
    import time

    from tradingd.journal_packing import pack

    settings = settings_of(config, data_dir)
    path = journal_of(settings, file)
    hours = 0 if now else settings.journal.pack_after_hours
    count = 0
    for each in pack(path, time.time_ns(), hours, settings.journal.keep_days):
        count += 1
        typer.echo(
            f"{each.path}: {each.bytes_before / 1e6:.1f} MB became {each.bytes_after / 1e6:.1f} MB, "
            f"{each.records_after} of {each.records_before} records stay"
        )
    if not count:
        note(
            f"{path}: nothing to pack. A file is closed at {settings.journal.segment_mb} MB (journal.segment_mb); one "
            "that holds the newest checkpoint waits, as one does that the daemon packs at this moment."
        )


@journal_app.command("checkpoint")
def checkpoint(file: FileOption = None, config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """Write down what the journal folds to, so that the next start is quick. The daemon may be running."""
    from store.checkpoint import CheckpointError
    from tradingd.checkpoint import make_checkpoint

    path = journal_of(settings_of(config, data_dir), file)
    try:
        made = make_checkpoint(path, "manual")
    except CheckpointError as error:
        raise CliError(exit_codes.FAILURE, str(error)) from error
    if made is None:
        note(f"{path}: nothing new since the last checkpoint.")
        return
    size = sum(map(len, made.sections.values())) / 1e6
    typer.echo(f"{path}: checkpoint of {made.position.records} records ({size:.1f} MB)")


@journal_app.command("repair")
def repair(
    file: FileOption = None, yes: YesOption = False, config: ConfigOption = None, data_dir: DataDirOption = None,
) -> None:
    """Keep what comes before the damage and engage the kill switch; the original is kept beside it."""
    from store.journal_check import examine_journal
    from tradingd.journal_repair import repair_journal

    path = journal_of(settings_of(config, data_dir), file)
    found = examine_journal(path)
    if found.is_whole:
        note(f"{path}: nothing to repair ({found.records} records).")
        return
    if not found.kept_records:
        repair_journal(path)  # says why it cannot
    confirm(
        f"{path}: keep {found.kept_records} records and set {found.records - found.kept_records} later ones aside? "
        "Orders and positions of these will be unknown to the daemon until it is reconciled.", yes=yes,
    )
    done = repair_journal(path)
    if done is not None:
        typer.echo(
            f"kept {done.kept_records} records, set {done.set_aside_records} aside in {done.original}. The kill switch "
            "is engaged: compare positions and orders with the venue, then `tradingd unlock`."
        )


def replay(
    file: FileOption = None, config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False,
) -> None:
    """Fold the journal through the engine's own code and print where effects differ from what it says.

    Recorded market frames are traded on anew with `tradingd run --replay`.
    """
    from tradingd.message_journal import MessageJournal
    from tradingd.replay_check import check_replay

    settings = settings_of(config, data_dir)
    path = journal_of(settings, file)
    journal = MessageJournal.open(path, read_only=True)
    try:
        check = check_replay(journal, settings.account.quote)
    finally:
        journal.close()
    _show_replay(path, check, as_json=json)
    if check.count:
        raise typer.Exit(exit_codes.FAILURE)


def _show_replay(path: Path, check: "ReplayCheck", *, as_json: bool) -> None:
    from tradingd.cli_tables import print_json, print_table

    if as_json:
        print_json({
            "journal": str(path), "messages": check.messages, "compared": check.compared, "differences": check.count,
            "listed": [asdict(each) for each in check.differences],
        })
        return
    if check.differences:
        rows = [(str(each.number), each.kind, each.what, each.journal, each.computed) for each in check.differences]
        print_table(("record", "fact", "what", "journal", "computed"), rows, ("record",))
    told = "no difference" if not check.count else f"{check.count} differences"
    typer.echo(f"{path}: {check.messages} messages folded, {check.compared} figures computed anew: {told}")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(journal_app, name="journal", rich_help_panel="Keep")
    app.command("replay", rich_help_panel="Keep")(replay)
