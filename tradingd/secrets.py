"""The encrypted secrets file: names and ages in the clear, values sealed with a master key that lies elsewhere.

AES-256-GCM under a key that scrypt (RFC 7914) derives from the master key and a random salt; a new salt and nonce for
every write. Names and dates are authenticated with the values, so nobody can exchange one for another unnoticed.
"""

import base64
import json
import os
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

FILE: Final = "secrets.json"
MASTER_KEY: Final = "TRADINGD_MASTER_KEY"
MASTER_KEY_FILE: Final = "TRADINGD_MASTER_KEY_FILE"
CREDENTIAL: Final = "tradingd.master-key"
"""The master key's name among systemd's credentials."""
NEXT: Final = ".next"
"""Ending of a new master key's file until everything is encrypted with it."""
MIN_KEY: Final = 16
MAX_FILE: Final = 1_000_000
MAX_VALUE: Final = 64 * 1024
_SCRYPT: Final = {"n": 32_768, "r": 8, "p": 1}  # OWASP: 32 MiB, about 0.1 s
_MAX_SCRYPT: Final = {"n": 131_072, "r": 8, "p": 4}
_SALT: Final = 16
_NONCE: Final = 12


class SecretsError(RuntimeError):
    """The secrets file or its master key is missing, wrong or unsafe. The text says where and what to do."""


class WrongKeyError(SecretsError):
    """The key does not open the file."""


@dataclass(frozen=True, slots=True)
class SecretEntry:
    """One secret without its value: the setting it belongs to, and when it was set (UTC seconds)."""

    name: str
    set_at: int

    def age_days(self, now_s: float) -> float:
        return max(0.0, (now_s - self.set_at) / 86_400)


@dataclass(slots=True)
class MasterKey:
    """The key while it is needed. `path` is the file it came from, None for environment and credential.

    `wipe` overwrites our copy; Python may have made others, which is why it is held as shortly as possible.
    """

    value: bytearray
    source: str
    path: Path | None = None

    def wipe(self) -> None:
        for index in range(len(self.value)):
            self.value[index] = 0


def default_file(data_dir: Path) -> Path:
    """The sealed file: with the data, for it is of no use without the key."""
    return data_dir / FILE


def default_key_file(environ: Mapping[str, str]) -> Path:
    """Away from the data directory, so that a backup of that does not hold both."""
    base = environ.get("XDG_CONFIG_HOME") or str(Path(environ.get("HOME") or "~").expanduser() / ".config")
    return Path(base) / "tradingd" / "master.key"


def find_master_key(environ: Mapping[str, str], key_file: str = "") -> MasterKey:
    """Environment, systemd credential, the file the settings or the environment name, the default file.

    Raises `SecretsError` when there is none, or one that others can read or that is too short.
    """
    if environ.get(MASTER_KEY):
        return _checked(MasterKey(bytearray(environ[MASTER_KEY].strip().encode()), MASTER_KEY))
    folder = environ.get("CREDENTIALS_DIRECTORY", "")
    if folder and (Path(folder) / CREDENTIAL).is_file():
        return _checked(MasterKey(_read_key(Path(folder) / CREDENTIAL, is_private=False), CREDENTIAL))
    path = Path(environ.get(MASTER_KEY_FILE) or key_file or default_key_file(environ))
    if not path.is_file():
        raise SecretsError(
            f"no master key: {path} does not exist. Set {MASTER_KEY} or {MASTER_KEY_FILE}, or run `tradingd secrets "
            "set`, which makes one when there are no secrets yet."
        )
    return _checked(MasterKey(_read_key(path, is_private=True), str(path), path))


def make_master_key(path: Path) -> MasterKey:
    """A new random key (256 bits) in a file of its own, readable by the owner only; raises `SecretsError`."""
    text = new_master_key()
    write_private(path, text + "\n")
    return MasterKey(bytearray(text.encode()), str(path), path)


def new_master_key() -> str:
    """Random, 256 bits, as text."""
    return secrets.token_urlsafe(32)


def read_entries(path: Path) -> tuple[SecretEntry, ...]:
    """Names and dates, without a key; () when there is no file. Raises `SecretsError`."""
    if not path.exists():
        return ()
    return _entries(_read(path), path)


def open_secrets(path: Path, environ: Mapping[str, str], key_file: str = "") -> dict[str, str]:
    """The values by name; the master key is found, used and wiped. Raises `SecretsError`."""
    key = find_master_key(environ, key_file)
    try:
        return unseal(path, key)
    except WrongKeyError:
        # An exchange of the master key that was cut off: the new one lies beside the old one.
        waiting = key.path.with_name(key.path.name + NEXT) if key.path is not None else None
        if waiting is None or not waiting.is_file():
            raise
        return unseal(path, _checked(MasterKey(_read_key(waiting, is_private=True), str(waiting), waiting)))
    finally:
        key.wipe()


def unseal(path: Path, key: MasterKey) -> dict[str, str]:
    """The values by name; raises `SecretsError` for a wrong key or a file somebody changed."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    data = _read(path)
    entries = _entries(data, path)
    try:
        derived = _derive(key, base64.b64decode(data["salt"]), data["kdf"])
        opened = AESGCM(derived).decrypt(
            base64.b64decode(data["nonce"]), base64.b64decode(data["sealed"]), _bound(data["kdf"], entries)
        )
        values = json.loads(opened)
    except InvalidTag as error:
        raise WrongKeyError(
            f"{path}: the master key ({key.source}) does not open it, or somebody changed it. Give the right key."
        ) from error
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, error) from error
    return {entry.name: str(values[entry.name]) for entry in entries}


def seal(path: Path, key: MasterKey, values: Mapping[str, str], entries: tuple[SecretEntry, ...]) -> None:
    """Write all of them anew, all or nothing; raises `SecretsError`."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    salt, nonce = secrets.token_bytes(_SALT), secrets.token_bytes(_NONCE)
    chosen = tuple(sorted(entries, key=lambda entry: entry.name))
    plain = json.dumps({entry.name: values[entry.name] for entry in chosen}).encode()
    sealed = AESGCM(_derive(key, salt, _SCRYPT)).encrypt(nonce, plain, _bound(_SCRYPT, chosen))
    data = {
        "format": 1, "kdf": _SCRYPT, "entries": [{"name": each.name, "set_at": each.set_at} for each in chosen],
        "salt": _text(salt), "nonce": _text(nonce), "sealed": _text(sealed),
    }
    write_private(path, json.dumps(data, indent=1) + "\n")


def due_for_rotation(entries: tuple[SecretEntry, ...], now_s: float, after_days: int) -> tuple[SecretEntry, ...]:
    """Those older than allowed, oldest first; none when `after_days` is 0."""
    if not after_days:
        return ()
    return tuple(sorted((e for e in entries if e.age_days(now_s) > after_days), key=lambda e: (e.set_at, e.name)))


def set_at_text(entry: SecretEntry) -> str:
    """The day it was set, UTC."""
    return datetime.fromtimestamp(entry.set_at, UTC).date().isoformat()


def write_private(path: Path, text: str) -> None:
    """All or nothing, readable by the owner only; raises `SecretsError`."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            _give_to_owner(file.fileno(), path.parent)
        temporary.replace(path)
    except OSError as error:
        raise SecretsError(f"{path}: cannot be written ({error}). Make the folder writable.") from error


def _give_to_owner(descriptor: int, parent: Path) -> None:
    """Written by root for a service of another user: the file is for whoever owns the folder."""
    folder = parent.stat()
    if os.geteuid() == 0 and folder.st_uid != 0:
        os.fchown(descriptor, folder.st_uid, folder.st_gid)


def _read_key(path: Path, *, is_private: bool) -> bytearray:
    try:
        mode = path.stat().st_mode
        text = path.read_bytes().strip()
    except OSError as error:
        raise SecretsError(f"{path}: the master key cannot be read ({error}). Mend its permissions.") from error
    if is_private and stat.S_IMODE(mode) & 0o077:
        raise SecretsError(f"{path}: others can read the master key. Run: chmod 600 {path}")
    return bytearray(text)


def _checked(key: MasterKey) -> MasterKey:
    if len(key.value) < MIN_KEY:
        key.wipe()
        raise SecretsError(f"the master key ({key.source}) is shorter than {MIN_KEY} characters: make a longer one.")
    return key


def _derive(key: MasterKey, salt: bytes, kdf: Mapping[str, Any]) -> bytes:
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    cost = {name: int(kdf[name]) for name in _SCRYPT}
    if any(not 1 <= cost[name] <= _MAX_SCRYPT[name] for name in cost):
        raise ValueError("its key derivation costs more than is allowed")
    return Scrypt(salt=salt, length=32, **cost).derive(bytes(key.value))


def _bound(kdf: Mapping[str, Any], entries: tuple[SecretEntry, ...]) -> bytes:
    """What is authenticated with the values."""
    index = [[entry.name, entry.set_at] for entry in entries]
    return json.dumps([1, [int(kdf[name]) for name in sorted(_SCRYPT)], index]).encode()


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_FILE:
            raise ValueError("too large")
        data = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(data, dict) or data.get("format") != 1:
            raise ValueError("not of format 1")
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error
    return data


def _entries(data: dict[str, Any], path: Path) -> tuple[SecretEntry, ...]:
    try:
        return tuple(SecretEntry(str(each["name"]), int(each["set_at"])) for each in data["entries"])
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> SecretsError:
    return SecretsError(f"{path}: cannot be read ({error}). Restore it from a backup, or remove it and set them anew.")


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()
