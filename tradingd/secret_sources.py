"""Where secrets may come from, and that they never come from the settings file.

Environment (`TRADINGD__VENUES__BINANCE__API_KEY`) before systemd credentials (a file named `venues.binance.api_key`)
before the encrypted file (`tradingd secrets set venues.binance.api_key`).
"""

import ctypes
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import BaseModel

from tradingd.secrets import SecretsError, default_file, open_secrets, read_entries

ENVIRONMENT_PREFIX: Final = "TRADINGD__"
CREDENTIALS: Final = "CREDENTIALS_DIRECTORY"
"""systemd puts what LoadCredential= names into this directory."""
SECRET_KEYS: Final = {"venues": ("api_key", "api_secret"), "alerts": ("token",)}
"""Which keys of [venues.NAME] and [alerts.NAME] are secrets."""
_URLS: Final = ("bus.url", "store.url")
"""Secrets when they hold a password."""
_MAX_CREDENTIAL: Final = 64 * 1024
_NAME: Final = re.compile(r"[a-z0-9_]+")


class SecretSourceError(Exception):
    """A secret is where none may be, or cannot be read. The text says where and what to do."""


def is_secret_name(name: str) -> bool:
    """`venues.binance.api_key`, `alerts.phone.token`, `bus.url`, `store.url`."""
    if name in _URLS:
        return True
    parts = name.split(".")
    return len(parts) == 3 and bool(_NAME.fullmatch(parts[1])) and parts[2] in SECRET_KEYS.get(parts[0], ())


def variable_of(name: str) -> str:
    """The environment variable of a dotted key."""
    return ENVIRONMENT_PREFIX + name.replace(".", "__").upper()


def refuse_secrets_in_file(text: str, path: Path) -> None:
    """Raises `SecretSourceError` for the first one found; the value is not repeated."""
    data = tomllib.loads(text)
    found = [
        f"{section}.{name}.{key}"
        for section, keys in SECRET_KEYS.items() if isinstance(data.get(section), dict)
        for name, table in data[section].items() if isinstance(table, dict)
        for key in keys if table.get(key)
    ]
    for url in _URLS:
        section = data.get(url.partition(".")[0])
        if isinstance(section, dict) and _has_password(str(section.get("url", ""))):
            found.append(url)
    if found:
        what = f"{found[0]} holds a password: passwords" if found[0] in _URLS else f"{found[0]}: secrets"
        raise SecretSourceError(
            f"{path}: {what} do not belong into a file. Remove the line and set {variable_of(found[0])} in the "
            f"environment, or run `tradingd secrets set {found[0]}`."
        )


def overlay_secrets(data: dict[str, Any], environ: Mapping[str, str], data_dir: Path, *, unlock: bool) -> None:
    """Put what the environment left open into `data`; raises `SecretSourceError`.

    Credentials are plain files and always read. The encrypted file is opened only with `unlock`.
    """
    values = dict(_sealed(data, environ, data_dir)) if unlock else {}
    values.update(_credentials(environ))
    for name, value in sorted(values.items()):
        if variable_of(name) in environ:
            continue
        *sections, key = name.split(".")
        place = data
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                raise SecretSourceError(f"secret {name}: {section} is not a section of the settings.")
        place[key] = value


def wipe_environment(environ: Any = os.environ) -> None:
    """Secrets are in the settings now: children and later dumps of the environment need not have them."""
    for variable in list(environ):
        name = variable.removeprefix(ENVIRONMENT_PREFIX).lower().replace("__", ".")
        if variable == "TRADINGD_MASTER_KEY" or (variable.startswith(ENVIRONMENT_PREFIX) and is_secret_name(name)):
            if environ is os.environ:
                _overwrite(variable)
            del environ[variable]


def _overwrite(variable: str) -> None:
    """Deleting a variable leaves its text where the process was started with it: /proc/PID/environ shows it on."""
    library = ctypes.CDLL(None)
    library.getenv.restype = ctypes.c_void_p
    place = library.getenv(os.fsencode(variable))
    if place:
        ctypes.memset(place, 0, len(os.fsencode(os.environ[variable])))


def secret_variables(settings: BaseModel) -> dict[str, str]:
    """The environment that would give these settings their secrets, for a start of the same program in our place."""
    found: dict[str, str] = {}
    for section, keys in SECRET_KEYS.items():
        part = getattr(settings, section)
        tables: Mapping[str, BaseModel] = part if isinstance(part, dict) else part.channels
        for name, table in tables.items():
            for key in keys:
                value = getattr(table, key).get_secret_value()
                if value:
                    found[variable_of(f"{section}.{name}.{key}")] = value
    for name in _URLS:
        url = getattr(settings, name.partition(".")[0]).url
        if _has_password(url):
            found[variable_of(name)] = url
    return found


def _sealed(data: dict[str, Any], environ: Mapping[str, str], data_dir: Path) -> dict[str, str]:
    section = data.get("secrets")
    options: dict[str, Any] = section if isinstance(section, dict) else {}
    path = Path(options["file"]) if options.get("file") else default_file(data_dir)
    try:
        # Nothing is unlocked that is overridden anyway: a start in our own place has everything in its environment.
        if all(variable_of(entry.name) in environ for entry in read_entries(path)):
            return {}
        return open_secrets(path, environ, str(options.get("master_key_file", "")))
    except SecretsError as error:
        raise SecretSourceError(str(error)) from error


def _credentials(environ: Mapping[str, str]) -> dict[str, str]:
    folder = environ.get(CREDENTIALS, "")
    if not folder:
        return {}
    found = {}
    try:
        names = sorted(path for path in Path(folder).iterdir() if is_secret_name(path.name))
        for path in names:
            found[path.name] = path.read_text(encoding="utf-8")[:_MAX_CREDENTIAL].strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SecretSourceError(f"{folder}: a credential cannot be read ({error}). Mend its file.") from error
    return found


def _has_password(url: str) -> bool:
    try:
        return urlsplit(url).password is not None
    except ValueError:
        return False
