"""`tradelab parity`: a session that was traded, run again through the backtest, and compared."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from research import cli_session
from research.cli_session import CliError, JsonOption

if TYPE_CHECKING:
    from bus.messages.header import Message
    from research.parity.compare import Comparison
    from tradingd.session_inputs import Head


def parity(
    data_dir: Annotated[
        Path | None, typer.Argument(metavar="[DATA_DIR]", help="The daemon's data directory; default: of config.toml.")
    ] = None,
    session: Annotated[str, typer.Option(help="Id of the session (`--list` names them); default: the last.")] = "",
    list_: Annotated[bool, typer.Option("--list", help="The sessions that can be run again.")] = False,
    json_: JsonOption = False,
) -> None:
    """Run a session again from its recorded inputs: the same orders and fills must come, one by one.

    The exit code is 1 at the first difference.
    """
    folder = data_dir if data_dir is not None else cli_session.history_root(None).parent
    heads = _heads(folder)
    if list_:
        _list(heads, as_json=json_)
        return
    head = _chosen(heads, session, folder)
    before, written = _split(_journal_of(folder, head), head)
    made = _run(head, before, written)
    if json_:
        cli_session.print_json(_document(head, made))
    else:
        for line in _told(head, made):
            typer.echo(line)
    if made.difference is not None:
        raise typer.Exit(cli_session.FAILURE)


def _heads(folder: Path) -> "list[Head]":
    from tradingd.session_inputs import FOLDER, InputsError, sessions

    try:
        heads = sessions(folder / FOLDER)
    except InputsError as error:
        raise CliError(cli_session.FAILURE, str(error)) from error
    if not heads:
        raise CliError(
            cli_session.NOT_FOUND,
            f"{folder / FOLDER}: no session whose beginning is recorded. Run `tradingd run` with tape.enabled = true "
            "(and the council in memory, not over Redis); a session longer than tape.max_mb loses its beginning.",
        )
    return heads


def _chosen(heads: "Sequence[Head]", session: str, folder: Path) -> "Head":
    found = [head for head in heads if session in ("", head.session)]
    if not found:
        known = ", ".join(head.session for head in heads[-8:])
        raise CliError(cli_session.NOT_FOUND, f"{folder}: no session {session!r} is recorded: there are {known}")
    return found[-1]


def _list(heads: "Sequence[Head]", *, as_json: bool) -> None:
    rows = [
        {
            "session": head.session, "mode": head.settings.mode, "venue": head.settings.venue,
            "journal": head.journal, "version": head.version, "bytes": sum(path.stat().st_size for path in head.files),
        }
        for head in heads
    ]
    if as_json:
        cli_session.print_json(rows)
        return
    for row in rows:
        typer.echo(f"{row['session']:<14} {row['mode']:<6} {row['venue']:<12} {int(str(row['bytes'])) / 1e6:8.1f} MB  "
                   f"{row['journal']}")


def _journal_of(folder: Path, head: "Head") -> "list[Message]":
    """The journal in which the session stands; a replay's may have made way for the next one's."""
    from bus.messages.system import DaemonStarted
    from store.journal import JournalError
    from tradingd.message_journal import MessageJournal

    named = folder / head.journal
    for path in (named, *sorted(folder.glob(f"{named.stem}-*{named.suffix}"), reverse=True)):
        if not path.exists():
            continue
        try:
            journal = MessageJournal.open(path, read_only=True)
            try:
                messages = list(journal.read())
            finally:
                journal.close()
        except JournalError as error:
            raise CliError(cli_session.FAILURE, str(error)) from error
        if any(type(each.body) is DaemonStarted and each.body.session == head.session for each in messages):
            return messages
    raise CliError(cli_session.NOT_FOUND, f"{named}: session {head.session} does not stand in it")


def _split(messages: "list[Message]", head: "Head") -> "tuple[list[Message], list[Message]]":
    """What came before the session, and what it wrote."""
    from bus.messages.system import DaemonStarted

    starts = [number for number, each in enumerate(messages) if type(each.body) is DaemonStarted]
    first = next(number for number in starts if messages[number].body.session == head.session)
    end = next((number for number in starts if number > first), len(messages))
    return messages[:first], messages[first:end]


def _run(head: "Head", before: "list[Message]", written: "list[Message]") -> "Comparison":
    from research.backtest.progress import watched
    from research.parity.compare import compare
    from research.parity.replay import run_again
    from tradingd.message_journal import MessageJournal
    from tradingd.session_inputs import InputsError, inputs_of

    total = sum(1 for _ in inputs_of(head))
    with tempfile.TemporaryDirectory(prefix="tradelab-") as place, watched(f"session {head.session}", total) as told:
        path = Path(place) / "again.journal"
        try:
            last_ns = run_again(head, before, path, told)
        except InputsError as error:
            raise CliError(cli_session.FAILURE, str(error)) from error
        journal = MessageJournal.open(path, read_only=True)
        try:
            return compare(written, list(journal.read()), last_ns)
        finally:
            journal.close()


def _document(head: "Head", made: "Comparison") -> dict[str, object]:
    from dataclasses import asdict

    return {
        "session": head.session, "mode": head.settings.mode, "same": made.difference is None,
        "identical_journal": made.is_identical, "facts": made.facts, "same_facts": made.same_facts,
        "uncovered": made.uncovered, "orders": dict(sorted(made.orders.items())),
        "difference": None if made.difference is None else asdict(made.difference),
    }


def _told(head: "Head", made: "Comparison") -> list[str]:
    count = made.orders
    lines = [
        f"session {head.session} ({head.settings.mode}, {head.settings.venue}), run again",
        f"  orders      {count['OrderInitialized']} made, {count['OrderSubmitted']} sent, "
        f"{count['OrderTriggered']} fired, {count['OrderDenied']} denied: the same",
        f"  executions  {count['OrderFilled']} fills, {count['PositionClosed']} round trips: the same",
    ]
    if made.uncovered:
        lines.append(
            f"  not covered {made.uncovered} facts behind the last recorded input: the process was killed, or the disk "
            "was full"
        )
    found = made.difference
    if found is None:
        whole = (
            f"identical, {made.facts} records to the byte" if made.is_identical
            else f"{made.same_facts} of {made.facts} records identical"
        )
        lines.append(f"  journal     {whole}")
        lines.append("parity: the same orders and the same executions")
        return lines
    lines += [
        f"  first difference, order fact {found.number}",
        f"    journal  {found.journal}",
        f"    replay   {found.replay}",
    ]
    lines += [f"    {name}: {mine} in the journal, {other} in the replay" for name, mine, other in found.fields]
    lines.append("parity: NOT the same")
    return lines
