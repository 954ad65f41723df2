"""`tradingd kill` and `tradingd unlock`: the kill switch from a shell, also when the daemon does not answer."""

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tradingd import exit_codes
from tradingd.cli_session import (
    CliError,
    ConfigOption,
    DataDirOption,
    JsonOption,
    YesOption,
    client_of,
    confirm,
    connect,
    explain_failure,
    note,
    settings_of,
)

if TYPE_CHECKING:
    from bus.messages.orders import KillAction
    from tradingd.client import Client

_TIMEOUT_S: Final = 5.0
"""A daemon that does not answer within this is told by file instead."""
_POLL_S: Final = 0.25
_MOST_REASON: Final = 500

ReasonOption = Annotated[str, typer.Option("--reason", help="Why, for the journal.")]
WaitOption = Annotated[float, typer.Option(
    "--wait", min=0, max=3600, metavar="SECONDS", help="So long at most for orders to end and positions to be sold.",
)]


def kill(
    action: Annotated[str, typer.Option("--action", help="halt | cancel | flatten")] = "cancel",
    reason: ReasonOption = "",
    yes: YesOption = False,
    wait: WaitOption = 5.0,
    config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False,
) -> None:
    """Lock trading: halt = nothing is sent, held stops and trails included; cancel = and entries end; flatten =
    and positions are closed. A daemon that cannot be told over its API is told by the file KILL."""
    if action not in ("halt", "cancel", "flatten"):
        raise CliError(exit_codes.USAGE, f"--action {action!r}: write halt, cancel or flatten.")
    confirm(f"Engage the kill switch ({action})? Only `tradingd unlock` releases it.", yes=yes)
    folder, reason = _data_dir_of(config, data_dir), _fitting(reason)
    try:
        client = replace(client_of(folder), timeout_s=_TIMEOUT_S)
        answer = _checked(client.post("/api/trading/kill", {"action": action, "reason": reason}), client)
    except Exception as error:  # whatever it was, credentials, another program on the port: the file needs none of it
        raise _told_by_file(folder, action, reason, error) from error
    latch = _wait_for_end(client, answer["kill"] or {"action": action, "by": "?", "reason": reason}, wait)
    if answer["kill"] is not None:
        answer["kill"] = latch
    _tell(answer, latch, as_json=json)


def _fitting(reason: str) -> str:
    """As the daemon takes it: no reason, however long and in however many lines, keeps a kill from being obeyed."""
    from tradingd.plain_text import one_line

    return one_line(" ".join(reason.split()))[:_MOST_REASON] or "no reason was given"


def _data_dir_of(config: Path | None, data_dir: Path | None) -> Path:
    """Of the daemon to lock. Settings that were spoilt since it started do not stand in the way."""
    from tradingd.data_dir import is_data_dir
    from tradingd.settings_data_dir import told_data_dir
    from tradingd.settings_errors import ConfigError

    try:
        return settings_of(config, data_dir).data_dir
    except ConfigError as error:
        folder = told_data_dir(config, data_dir, os.environ)
        if folder is None or not is_data_dir(folder):
            raise
        note(f"{error} The kill goes to the daemon of {folder} all the same.")
        return folder


def _checked(answer: Any, client: "Client") -> Any:
    """A daemon's answer, and not that of whoever else listens there now."""
    from tradingd.client import NotReachableError

    if not isinstance(answer, dict) or not {"changed", "kill", "state"} <= answer.keys():
        raise NotReachableError(f"another program answers at {client.url}")
    return answer


def _tell(answer: Any, latch: Any, *, as_json: bool) -> None:
    from tradingd import cli_tables

    if as_json:
        cli_tables.print_json(answer)
        return
    word = "engaged" if answer["changed"] else "was engaged already"
    said = f"kill switch {word}: {latch['action']} by {latch['by']} ({latch['reason']}); trading is {answer['state']}"
    cli_tables.console().print(cli_tables.clean(said))
    if latch.get("progress"):
        cli_tables.console().print(cli_tables.clean(latch["progress"]))


def _wait_for_end(client: "Client", latch: Any, wait_s: float) -> Any:
    """The latch as it stands when nothing is left to do, or when the time is over."""
    from tradingd.client import AnswerError, NotReachableError

    until = time.monotonic() + wait_s
    while latch.get("not_cancelled", 0) + latch.get("not_sold", 0) and time.monotonic() < until:
        time.sleep(_POLL_S)
        try:
            latch = client.get("/api/status")["kill"] or latch
        except (AnswerError, NotReachableError):
            continue
    return latch


def _told_by_file(folder: Path, action: str, reason: str, error: Exception) -> CliError:
    """Leave the kill file, and say so; nothing can be left where there is no data directory."""
    from tradingd.kill_file import read_kill_file, write_kill_file

    why = _why(error)
    if not folder.is_dir():
        return CliError(exit_codes.NOT_REACHABLE, f"{why}. Start it with `tradingd run`, or name its --data-dir.")
    wish: KillAction = action  # type: ignore[assignment]  # checked by `kill`
    try:
        path = write_kill_file(folder, wish, reason)
    except OSError as failure:
        return CliError(exit_codes.NOT_REACHABLE, f"{why}, and no kill file could be left: {failure}.")
    asked = read_kill_file(path)[0]
    return CliError(
        exit_codes.NOT_REACHABLE,
        f"{why}. Left the kill file {path} instead: a daemon that runs there locks trading ({asked}) within a "
        "second, and one that is started (`tradingd run`) before it sends anything. Look with `tradingd status`; "
        "delete the file before `tradingd unlock`.",
    )


def _why(error: Exception) -> str:
    from tradingd.client import AnswerError, NotReachableError

    if isinstance(error, AnswerError):
        return f"what answers there did not take it ({error.message.rstrip('.')})"
    return (str(error) if isinstance(error, NotReachableError) else explain_failure(error).text).rstrip(".")


def unlock(
    reason: ReasonOption,
    yes: YesOption = False,
    config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False,
) -> None:
    """Release the kill switch. Trading goes on as the four votes allow."""
    from tradingd import cli_tables

    confirm("Release the kill switch?", yes=yes)
    answer = connect(config, data_dir).post("/api/trading/unlock", {"reason": reason, "confirm": "unlock"})
    if json:
        cli_tables.print_json(answer)
        return
    word = "released" if answer["changed"] else "was not engaged"
    cli_tables.console().print(cli_tables.clean(f"kill switch {word}; trading is {answer['state']}"))
