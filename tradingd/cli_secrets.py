"""`tradingd secrets`: keys and tokens in the encrypted file, without a value ever standing on a command line."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

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
    from tradingd.secrets import MasterKey, SecretEntry
    from tradingd.settings import Settings

T = TypeVar("T")
app = typer.Typer(help="Keys and tokens, encrypted.", no_args_is_help=True, rich_markup_mode=None)
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Such as venues.binance.api_key.")]


@app.command("set")
def set_secret(name: NameArgument, config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """Store one, new or in place of the old: asked for on a terminal, else read from stdin."""
    from tradingd.secret_sources import is_secret_name
    from tradingd.secrets import MAX_VALUE, SecretEntry

    if not is_secret_name(name):
        raise CliError(
            exit_codes.USAGE, f"{name!r} is no secret of the settings: write venues.NAME.api_key, "
            "venues.NAME.api_secret, alerts.NAME.token, bus.url or store.url, in small letters.",
        )
    settings = settings_of(config, data_dir)
    path, values, entries, key = _open(settings)
    value = _ask(name)
    if not value or len(value) > MAX_VALUE:
        key.wipe()
        raise CliError(exit_codes.USAGE, "the value is empty or longer than 64 KiB: nothing was stored.")
    kept = tuple(entry for entry in entries if entry.name != name)
    _seal(path, key, {**values, name: value}, (*kept, SecretEntry(name, int(time.time()))))
    note(f"{name} is stored in {path}; a daemon that runs takes it at its next start.")


@app.command("remove")
def remove(
    name: NameArgument, yes: YesOption = False, config: ConfigOption = None, data_dir: DataDirOption = None,
) -> None:
    """Forget one."""
    from tradingd.settings import secrets_file

    settings = settings_of(config, data_dir)
    sealed = secrets_file(settings)
    if not sealed.exists():  # opening it would make a master key
        raise CliError(exit_codes.NOT_FOUND, f"no secret {name!r}: there is no {sealed}.")
    path, values, entries, key = _open(settings)
    if name not in values:
        key.wipe()
        raise CliError(exit_codes.NOT_FOUND, f"no secret {name!r} in {path}: `tradingd secrets list` names them.")
    confirm(f"Forget {name}?", yes=yes)
    _seal(path, key, values, tuple(entry for entry in entries if entry.name != name))
    note(f"{name} is forgotten.")


@app.command("list")
def list_secrets(config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False) -> None:
    """Names and ages of those in the file, and what the environment overrides; never values."""
    from tradingd import cli_tables

    rows = secret_rows(settings_of(config, data_dir))
    if json:
        cli_tables.print_json(rows)
        return
    if not rows:
        note("no secrets are stored: tradingd secrets set NAME")
    for row in rows:
        due = "  replace it" if row["is_due"] else ""
        over = "  (overridden by the environment)" if row["is_overridden"] else ""
        sys.stdout.write(f"{row['name']:<32} set {row['set_at']}, {row['age_days']} days ago{due}{over}\n")


def secret_rows(settings: "Settings") -> list[dict[str, object]]:
    """One for each entry of the file, by name. Needs no key."""
    from tradingd.secret_sources import variable_of
    from tradingd.secrets import due_for_rotation, read_entries, set_at_text
    from tradingd.settings import secrets_file

    entries = _explained(lambda: read_entries(secrets_file(settings)))
    now = time.time()
    due = {entry.name for entry in due_for_rotation(entries, now, settings.secrets.rotate_after_days)}
    return [
        {"name": entry.name, "set_at": set_at_text(entry), "age_days": int(entry.age_days(now)),
         "is_due": entry.name in due, "is_overridden": variable_of(entry.name) in os.environ}
        for entry in entries
    ]


@app.command("rotate")
def rotate(yes: YesOption = False, config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """Exchange the master key: everything is encrypted anew. To replace one secret use `tradingd secrets set`."""
    from tradingd.secrets import NEXT, MasterKey, new_master_key, write_private

    settings = settings_of(config, data_dir)
    path, values, entries, key = _open(settings)
    where = key.path
    if where is None:
        confirm(f"The new master key will be printed once; put it into {key.source} yourself. Go on?", yes=yes)
    text = new_master_key()
    fresh = MasterKey(bytearray(text.encode()), "the new key", where)
    key.wipe()
    if where is None:
        _seal(path, fresh, values, entries)
        sys.stdout.write(text + "\n")
        note("that is the new master key, shown only this once.")
        return
    # The new key is on disk before anything is sealed with it; `open_secrets` finds it if we end in between.
    waiting = where.with_name(where.name + NEXT)
    _explained(lambda: write_private(waiting, text + "\n"))
    _seal(path, fresh, values, entries)
    waiting.replace(where)
    note(f"{len(entries)} secrets are encrypted anew; the new master key is in {where}.")


def _open(settings: "Settings") -> "tuple[Path, dict[str, str], tuple[SecretEntry, ...], MasterKey]":
    """Everything in the file, and the key to write it again (made when this is the first secret)."""
    from tradingd.secrets import default_key_file, find_master_key, make_master_key, read_entries, unseal
    from tradingd.settings import secrets_file

    path = secrets_file(settings)
    named = settings.secrets.master_key_file

    def opened() -> "tuple[Path, dict[str, str], tuple[SecretEntry, ...], MasterKey]":
        if path.exists():
            key = find_master_key(os.environ, named)
            return path, unseal(path, key), read_entries(path), key
        from tradingd.secrets import CREDENTIAL, MASTER_KEY, MASTER_KEY_FILE

        folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
        key_file = Path(os.environ.get(MASTER_KEY_FILE) or named or default_key_file(os.environ))
        has_key = os.environ.get(MASTER_KEY) or (folder and (Path(folder) / CREDENTIAL).is_file()) or key_file.exists()
        if has_key:
            return path, {}, (), find_master_key(os.environ, named)
        key = make_master_key(key_file)
        note(f"made a master key: {key_file}. Keep a copy away from the backups of {settings.data_dir}.")
        return path, {}, (), key

    return _explained(opened)


def _seal(path: Path, key: "MasterKey", values: dict[str, str], entries: "tuple[SecretEntry, ...]") -> None:
    from tradingd.secrets import seal

    try:
        _explained(lambda: seal(path, key, values, entries))
    finally:
        key.wipe()


def _ask(name: str) -> str:
    if sys.stdin.isatty():
        value: str = typer.prompt(name, hide_input=True, confirmation_prompt=True)
        return value.strip()
    return sys.stdin.read(1_000_000).strip("\r\n")


def _explained(act: Callable[[], T]) -> T:
    """A failure of the file or the key as one sentence with the exit code for settings."""
    from tradingd.secrets import SecretsError

    try:
        return act()
    except SecretsError as error:
        raise CliError(exit_codes.CONFIGURATION, str(error)) from error
