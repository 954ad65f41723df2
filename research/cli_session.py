"""Where the laboratory's commands find their data, and how a failure becomes one sentence and an exit code."""

import json
import os
import sys
import tomllib
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer

OK: Final = 0
FAILURE: Final = 1
USAGE: Final = 2
CONFIGURATION: Final = 3
NOT_REACHABLE: Final = 4
NOT_FOUND: Final = 7
INTERRUPTED: Final = 130

_USUAL: Final = {"binance": "https://api.binance.com", "coinbase": "https://api.coinbase.com"}
"""Where a venue is that no setting says."""
_HEEDED: Final = frozenset({"TRADINGD_CONFIG", "TRADINGD__DATA_DIR"})

MEANINGS: Final[dict[int, str]] = {
    OK: "done",
    FAILURE: "something failed; the sentence on stderr says what",
    USAGE: "wrong options or arguments",
    CONFIGURATION: "a setting is missing, wrong or unsafe",
    NOT_REACHABLE: "a venue or archive does not answer",
    NOT_FOUND: "no such candles",
    INTERRUPTED: "stopped with Ctrl-C; what was done is kept",
}
"""Each code and what it means, as `tradelab --help` prints them."""

DataDirOption = Annotated[
    Path | None, typer.Option("--data-dir", metavar="DIR", help="The daemon's data directory; default: of config.toml.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="For programs: one JSON document on stdout.")]


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
    """Something to know, on stderr, so that stdout stays for the answer."""
    sys.stderr.write(f"tradelab: {text}\n")


def print_json(answer: object) -> None:
    """One document, readable."""
    sys.stdout.write(json.dumps(answer, indent=2, ensure_ascii=False) + "\n")


def settings_table() -> tuple[Path, dict[str, Any]]:
    """The settings file (TRADINGD_CONFIG, or ./config.toml) as plain tables; empty when there is none."""
    named = os.environ.get("TRADINGD_CONFIG")
    path = Path(named or "config.toml")
    try:
        return path, tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if named:
            text = f"TRADINGD_CONFIG: there is no file {path}. Name one, or unset it."
            raise CliError(CONFIGURATION, text) from error
        return path, {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CliError(CONFIGURATION, f"{path}: cannot be read ({error}). Mend it.") from error


def history_root(data_dir: Path | None) -> Path:
    """`<data directory>/history`: --data-dir, else TRADINGD__DATA_DIR, else data_dir of config.toml, else ./data.

    Raises `CliError` for a variable that was meant to say so and does not.
    """
    _check_environment()
    if data_dir is not None:
        return data_dir / "history"
    named = os.environ.get("TRADINGD__DATA_DIR")
    if named:
        return Path(named) / "history"
    path, table = settings_table()
    return path.resolve().parent / str(table.get("data_dir", "data")) / "history"


def _check_environment() -> None:
    """A misspelt variable is told as the daemon tells it, whatever setting it was meant for."""
    if all(name in _HEEDED or not name.startswith("TRADINGD_") for name in os.environ):
        return
    from tradingd.settings_errors import ConfigError  # 0.1 s, for who has more of them
    from tradingd.settings_loading import check_variables

    try:
        check_variables(dict(os.environ))
    except ConfigError as error:
        raise CliError(CONFIGURATION, str(error)) from error


def own_venue() -> str:
    """The venue that the settings name; "" where none is named, or it has no address of its own (the practice one)."""
    _, table = settings_table()
    named = os.environ.get("TRADINGD__VENUE") or str(table.get("venue", ""))
    return named if named and rest_url(named) else ""


def rest_url(venue: str) -> str:
    """`venues.<venue>.rest_url` of environment or config.toml; "" when there is none."""
    named = os.environ.get(f"TRADINGD__VENUES__{venue.upper()}__REST_URL")
    if named:
        return named
    _, table = settings_table()
    venues = table.get("venues", {})
    entry = venues.get(venue, {}) if isinstance(venues, dict) else {}
    found = str(entry.get("rest_url", "")) if isinstance(entry, dict) else ""
    return found or _USUAL.get(venue, "")
