"""Where a command finds its daemon, or its journal, and how a failure becomes one sentence and an exit code."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

import typer

from tradingd import exit_codes

if TYPE_CHECKING:  # imported where needed: `tradingd --help` must not wait for pydantic
    from tradingd.client import AnswerError, Client
    from tradingd.read_model import ReadModel
    from tradingd.settings import Settings

ConfigOption = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Settings file. Default: ./config.toml.")
]
DataDirOption = Annotated[
    Path | None, typer.Option("--data-dir", metavar="DIR", help="Where the daemon keeps its state.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="For programs: one JSON document on stdout.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

_TOKEN_HOURS: Final = 0.25


class CliError(Exception):
    """One sentence for stderr, and the exit code."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def fail(code: int, text: str) -> NoReturn:
    """Say it on stderr and end."""
    note(text)
    raise typer.Exit(code)


def note(text: str) -> None:
    """Something to know, on stderr, so that stdout stays for the answer. What others said drives no terminal."""
    from tradingd.plain_text import some_lines

    sys.stderr.write(f"tradingd: {some_lines(text)}\n")


def explain_failure(error: Exception) -> CliError:
    """Any failure as a sentence and a code; the text of an unknown one is kept, its traceback is not."""
    from store.journal_format import JournalError
    from tradingd.auth import CredentialsError
    from tradingd.client import AnswerError, NotReachableError
    from tradingd.data_dir import AlreadyRunningError, DataDirError
    from tradingd.settings_errors import ConfigError

    if isinstance(error, CliError):
        return error
    if isinstance(error, AnswerError):
        by_the_rules = error.status == 422 and "order_id" in error.body
        return CliError(_code_of(error), f"{error.message} [{error.code}]" if by_the_rules else error.message)
    if isinstance(error, NotReachableError):
        return CliError(exit_codes.NOT_REACHABLE, f"{error}. {_remedy(error)}")
    if isinstance(error, ConfigError | DataDirError | CredentialsError):
        return CliError(exit_codes.CONFIGURATION, str(error))
    if isinstance(error, JournalError):
        return CliError(exit_codes.FAILURE, str(error))
    if isinstance(error, AlreadyRunningError):
        return CliError(exit_codes.ALREADY_RUNNING, str(error))
    return CliError(exit_codes.FAILURE, f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)


def _remedy(error: Exception) -> str:
    from tradingd.client import AnswerLostError

    if isinstance(error, AnswerLostError):
        return (
            "What you asked for may have been done all the same: look with `tradingd status` and `tradingd orders "
            "--all` before you ask again."
        )
    if "starting" in str(error):
        return "Look again in a moment, or end it with Ctrl-C or SIGTERM."
    return "Start it with `tradingd run`, or name its --data-dir."


def _code_of(error: "AnswerError") -> int:
    if error.status in (401, 403):
        return exit_codes.NOT_AUTHORISED
    if error.status == 404 or error.code == "UNKNOWN_SYMBOL":
        return exit_codes.NOT_FOUND
    if error.code == "INVALID_REQUEST":
        return exit_codes.USAGE
    if error.status in (409, 422):
        return exit_codes.REFUSED
    if error.status == 503:
        return exit_codes.NOT_REACHABLE
    return exit_codes.FAILURE


# ---- settings, daemon, journal -----------------------------------------------------------------------


def settings_of(config: Path | None, data_dir: Path | None) -> "Settings":
    """Settings for a command that only talks to a daemon: live mode needs no consent to be looked at or stopped."""
    from tradingd.settings_loading import LIVE_CONSENT, load_settings

    overrides = {"data_dir": str(data_dir)} if data_dir is not None else {}
    return load_settings(config, overrides=overrides, environ={**os.environ, LIVE_CONSENT: "yes"})


def client_of(data_dir: Path) -> "Client":
    """A client of the daemon of this data directory, with a token of its own; raises `NotReachableError`."""
    from tradingd.auth import mint_token
    from tradingd.client import Client, NotReachableError
    from tradingd.data_dir import read_run_info, whereabouts

    info = read_run_info(data_dir)
    if info is None or _is_gone(info.pid, data_dir):
        raise NotReachableError(whereabouts(data_dir))
    return Client(info.url, mint_token(data_dir, hours=_TOKEN_HOURS))


def _is_gone(pid: int, data_dir: Path) -> bool:
    """Was the daemon killed that said where it listens? Whoever listens there now is not to be shown a token."""
    from tradingd.data_dir import is_held

    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return not is_held(data_dir)  # in another container it has another number
    except (OSError, OverflowError):
        return False
    return False


def connect(config: Path | None, data_dir: Path | None) -> "Client":
    """The daemon of the settings' data directory, for a command that needs it to run."""
    return client_of(settings_of(config, data_dir).data_dir)


def ask(
    config: Path | None, data_dir: Path | None, online: "Callable[[Client], Any]",
    offline: "Callable[[ReadModel, Settings], Any]",
) -> Any:
    """The daemon's answer, or the journal's when no daemon runs (said on stderr)."""
    from tradingd.client import NotReachableError

    settings = settings_of(config, data_dir)
    try:
        return online(client_of(settings.data_dir))
    except NotReachableError as error:
        model = read_journal(settings, error)
        note(f"{error}: this is what its journal says")
        return offline(model, settings)


def read_journal(settings: "Settings", reason: Exception) -> "ReadModel":
    """The read model folded from the data directory's journal."""
    from tradingd.data_dir import current_journal
    from tradingd.message_journal import MessageJournal
    from tradingd.read_model import ReadModel

    path = current_journal(settings.data_dir)
    if not path.exists():
        text = f"{reason}, and there is no journal yet. {_remedy(reason)}"
        raise CliError(exit_codes.NOT_REACHABLE, text)
    model = ReadModel(settings.account.quote)
    journal = MessageJournal.open(path, read_only=True)
    try:
        for message in journal.read():
            model.apply(message)
    finally:
        journal.close()
    model.journal = path
    return model


def confirm(question: str, *, yes: bool) -> None:
    """Ask a person; without one, refuse unless `--yes` was given."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise CliError(exit_codes.USAGE, "this needs a person's yes: add --yes when no terminal is attached.")
    if not typer.confirm(question):
        raise CliError(exit_codes.FAILURE, "nothing was done.")
