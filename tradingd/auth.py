"""Who may do what: one credentials file, argon2 passwords, HS256 tokens, and a lock against guessing.

Tokens live by wall time, also in a replay: they are about people, not about the market.
"""

import json
import os
import re
import secrets
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, Self, TextIO, get_args

import jwt
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from tradingd.revoked_tokens import REVOKED_FILE, RevokedTokens

Role = Literal["viewer", "operator"]
ROLES: Final[tuple[str, ...]] = get_args(Role)
OPERATOR: Final = "operator"
CREDENTIALS_FILE: Final = "credentials.json"
ISSUER: Final = "tradingd"
MIN_SECRET: Final = 32
MAX_PASSWORD: Final = 256
TRIES_PER_MINUTE: Final = 5
TRIES_PER_ADDRESS: Final = 30
_USER_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_WINDOW_S: Final = 60.0
_MAX_THROTTLED: Final = 10_000
_WELL_KNOWN: Final = ("changeme", "secret", "default", "password", "tradingd", "example")

# OWASP's second recommendation for argon2id: 19 MiB, 2 passes. The library's 64 MiB would show in the daemon's size.
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


class CredentialsError(RuntimeError):
    """The credentials file is missing, unsafe or damaged. The text says where and what to do."""


class LoginRefusedError(Exception):
    """Wrong user or password; which of the two is not said."""


class TooManyTriesError(Exception):
    """Guessing is locked for `retry_after_s` seconds."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"too many tries: wait {retry_after_s} s and try again")
        self.retry_after_s = retry_after_s


class TokenError(Exception):
    """A token that is missing, damaged, forged, expired, or of another data directory."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who speaks."""

    user: str
    role: Role

    @property
    def is_operator(self) -> bool:
        return self.role == OPERATOR


@dataclass(frozen=True, slots=True)
class UserRecord:
    """One line of the credentials file. A token is void when its `epoch` is not the user's any more."""

    name: str
    role: Role
    password_hash: str
    epoch: str = ""


@dataclass(frozen=True, slots=True)
class Credentials:
    """The whole credentials file."""

    users: tuple[UserRecord, ...]
    secret: str

    def user(self, name: str) -> UserRecord | None:
        return next((user for user in self.users if user.name == name), None)


class LoginThrottle:
    """At most 5 tries a minute for a user, from wherever they come, and 30 from an address. Bounded: the oldest keys
    are forgotten.

    The address from which a user logged in last has five tries of its own: who guesses elsewhere cannot keep him out.
    Nor from steering: tokens go on, and the command line needs no login.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()  # logins run in threads
        self._tries: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()
        self._home: OrderedDict[str, str] = OrderedDict()

    def check(self, address: str, user: str) -> None:
        """Count one try; raises `TooManyTriesError` (a refused try is not counted)."""
        now = self._clock()
        with self._lock:
            keys = ((self._key_of(address, user), TRIES_PER_MINUTE), ((address, ""), TRIES_PER_ADDRESS))
            for key, allowed in keys:
                tries = self._recent(key, now)
                if len(tries) >= allowed:
                    raise TooManyTriesError(max(1, int(tries[0] + _WINDOW_S - now + 0.999)))
            for key, _ in keys:
                self._tries.setdefault(key, deque()).append(now)
            while len(self._tries) > _MAX_THROTTLED:
                self._tries.popitem(last=False)

    def succeeded(self, address: str, user: str) -> None:
        """The password was right: this is the user's address from now on, and its count starts anew."""
        with self._lock:
            self._tries.pop(self._key_of(address, user), None)
            self._home[user] = address
            self._home.move_to_end(user)
            if len(self._home) > _MAX_THROTTLED:
                self._home.popitem(last=False)

    def _key_of(self, address: str, user: str) -> tuple[str, str]:
        return (address if self._home.get(user) == address else "", user)

    def _recent(self, key: tuple[str, str], now: float) -> deque[float]:
        """Of the last minute. Asking makes no key: made-up names that are refused must not push real ones out."""
        tries = self._tries.get(key)
        if tries is None:
            return deque()
        self._tries.move_to_end(key)
        while tries and tries[0] <= now - _WINDOW_S:
            tries.popleft()
        return tries


class Auth:
    """Checks passwords and tokens against the credentials file, and reads it anew when it changed."""

    def __init__(
        self, path: Path, token_hours: int, *, clock: Callable[[], float] = time.time,
        throttle: LoginThrottle | None = None,
    ) -> None:
        self._path = path
        self._token_s = token_hours * 3600
        self._clock = clock
        self._throttle = throttle or LoginThrottle()
        self._new_password = ""
        self._revoked = RevokedTokens(path.with_name(REVOKED_FILE))
        self._stamp = _stamp(path)
        self._credentials = read_credentials(path)
        # Compared with when the user is unknown, so that a wrong name takes as long as a wrong password.
        self._dummy_hash = _HASHER.hash(secrets.token_urlsafe(16))

    @classmethod
    def open(cls, data_dir: Path, token_hours: int = 24) -> Self:
        """The data directory's credentials, made at the first start with a random password for user "operator":
        `show_new_password` tells it, once. Raises `CredentialsError`.
        """
        path = data_dir / CREDENTIALS_FILE
        password = ""
        if not path.exists():
            password = new_password()
            user = UserRecord(OPERATOR, "operator", _HASHER.hash(password))
            write_credentials(path, Credentials((user,), new_secret()))
        auth = cls(path, token_hours)
        auth._new_password = password
        return auth

    def take_new_password(self) -> str:
        """The password made by `open`, the first time this is asked; "" afterwards and when none was made."""
        password, self._new_password = self._new_password, ""
        return password

    def show_new_password(self, stream: TextIO) -> None:
        """Write the password made by `open` to a person's terminal; nothing when there is none to tell."""
        password = self.take_new_password()
        if password and os.environ.get("JOURNAL_STREAM"):
            # A service of systemd: what we write is kept in the journal, and a password has no place there.
            stream.write(f"  first start: set the password of user {OPERATOR} with: tradingd user password\n")
            stream.flush()
        elif password:
            stream.write(
                f"  first start: user {OPERATOR}, password {password}  (shown only this once; "
                "a new one: tradingd user password)\n"
            )
            stream.flush()

    @property
    def token_s(self) -> int:
        """How long a login lasts, in seconds."""
        return self._token_s

    def login(self, user: str, password: str, address: str) -> str:
        """A token for the right password. Takes some 20 ms of CPU: call it in a thread.

        Raises `LoginRefusedError` or `TooManyTriesError`.
        """
        self._throttle.check(address, user)
        credentials = self._current()
        record = credentials.user(user)
        try:
            _HASHER.verify(record.password_hash if record is not None else self._dummy_hash, password[:MAX_PASSWORD])
        except (VerificationError, InvalidHashError) as error:
            raise LoginRefusedError("wrong user or password") from error
        if record is None or len(password) > MAX_PASSWORD:
            raise LoginRefusedError("wrong user or password")
        self._throttle.succeeded(address, user)
        return _sign(credentials.secret, record.name, record.role, record.epoch, self._clock(), self._token_s)

    def principal(self, token: str) -> Principal:
        """Who holds this token; raises `TokenError`."""
        claims = self._claims(token)
        return Principal(claims["sub"], claims["role"])

    def logout(self, token: str) -> None:
        """This token is void from now on, also after a restart; writes a file: call it in a thread.

        Raises `TokenError`, and OSError when it cannot be written down: then it is void until a restart only.
        """
        claims = self._claims(token)
        self._revoked.add(claims["jti"], claims["exp"], self._clock())

    def _claims(self, token: str) -> dict[str, Any]:
        credentials = self._current()
        try:
            claims: dict[str, Any] = jwt.decode(
                token, credentials.secret, algorithms=["HS256"], issuer=ISSUER,
                options={"require": ["exp", "iat", "sub", "iss", "jti"], "verify_exp": False, "verify_iat": False},
            )
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            raise TokenError("the token is not one of this daemon: log in again") from error
        if type(claims["exp"]) is not int or claims["exp"] <= self._clock():  # nan and infinity never pass
            raise TokenError("the token has expired: log in again")
        user, role = claims["sub"], claims.get("role")
        if not isinstance(user, str) or role not in ROLES or not isinstance(claims["jti"], str):
            raise TokenError("the token names no user or role: log in again")
        record = credentials.user(user)
        # Whoever can read the credentials file may mint a token for a name that is not in it (the command line).
        is_void = claims["jti"] in self._revoked or (
            not claims.get("minted") if record is None
            else (record.role, record.epoch) != (role, claims.get("epoch"))
        )
        if is_void:
            raise TokenError("the token was revoked: log in again")
        return claims

    def _current(self) -> Credentials:
        stamp = _stamp(self._path)
        if stamp != self._stamp:
            self._credentials = read_credentials(self._path)
            self._stamp = stamp
        return self._credentials


# ---- the file ---------------------------------------------------------------------------------------


def read_credentials(path: Path) -> Credentials:
    """The checked content of the file; raises `CredentialsError`."""
    try:
        mode = path.stat().st_mode
        data: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CredentialsError(f"{path}: no credentials yet. Start the daemon once: it makes them.") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CredentialsError(f"{path}: cannot be read ({error}). Remove it: the next start makes one.") from error
    if mode & 0o077:
        raise CredentialsError(f"{path}: others can read it (mode {mode & 0o777:o}). Run: chmod 600 {path}")
    try:
        users = tuple(
            UserRecord(str(user["name"]), _role(user["role"]), str(user["password_hash"]), str(user.get("epoch", "")))
            for user in data["users"]
        )
        secret = data["jwt_secret"]
    except (KeyError, TypeError, ValueError) as error:
        raise CredentialsError(f"{path}: damaged ({error}). Remove it: the next start makes a new one.") from error
    if not users:
        raise CredentialsError(f"{path}: users is empty. Run: tradingd user password")
    check_secret(secret, path)
    return Credentials(users, secret)


def check_secret(secret: object, path: Path) -> None:
    """Raises `CredentialsError` for a secret that can be guessed: empty, short, well known, or of few characters."""
    text = secret if isinstance(secret, str) else ""
    is_known = any(word in text.lower() for word in _WELL_KNOWN)
    if len(text) < MIN_SECRET or len(set(text)) < 12 or is_known:
        raise CredentialsError(
            f"{path}: jwt_secret is empty, short or guessable. Run: tradingd user password (it makes a new one)."
        )


def write_credentials(path: Path, credentials: Credentials) -> None:
    """All or nothing, readable by the owner only; raises `CredentialsError`."""
    data = {
        "users": [
            {"name": user.name, "role": user.role, "password_hash": user.password_hash, "epoch": user.epoch}
            for user in credentials.users
        ],
        "jwt_secret": credentials.secret,
    }
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(data, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
            _give_to_owner(file.fileno(), path.parent)
        temporary.replace(path)
    except OSError as error:
        raise CredentialsError(f"{path}: cannot be written ({error}). Make the folder writable.") from error


def _give_to_owner(descriptor: int, parent: Path) -> None:
    """Written by root for a service of another user: the file is for whoever owns the folder.

    The open one: under its name he may have put a link to a file of root's by now.
    """
    folder = parent.stat()
    if os.geteuid() == 0 and folder.st_uid != 0:
        os.fchown(descriptor, folder.st_uid, folder.st_gid)


def reset_password(data_dir: Path, user: str = OPERATOR, role: Role | None = None) -> str:
    """A new password for the user, returned to be shown once; the user is made when new (as `role`, default
    viewer, or operator for "operator"). All earlier tokens of the data directory become void.
    Raises `CredentialsError`.
    """
    path = data_dir / CREDENTIALS_FILE
    try:
        users = read_credentials(path).users
    except CredentialsError:
        users = _users_of_unsafe_file(path)
    password = new_password()
    known = next((record for record in users if record.name == user), None)
    if known is None:
        known = UserRecord(user, role or ("operator" if user == OPERATOR else "viewer"), "")
    changed = replace(known, role=role or known.role, password_hash=_HASHER.hash(password))
    others = tuple(record for record in users if record.name != user)
    write_credentials(path, Credentials((*others, changed), new_secret()))
    return password


def mint_token(data_dir: Path, user: str = OPERATOR, role: Role = "operator", hours: float = 24) -> str:
    """A token for whoever can read the credentials file (the command line); raises `CredentialsError`."""
    credentials = read_credentials(data_dir / CREDENTIALS_FILE)
    record = credentials.user(user)
    known = record is not None and record.role == role
    epoch = record.epoch if record is not None and known else None
    who = user if record is None or known else f"{user}-{role}"  # the file's word on a user's role holds
    return _sign(credentials.secret, who, role, epoch, time.time(), int(hours * 3600))


def check_user_name(name: str) -> None:
    """Raises `CredentialsError` for a name that is not a plain lower-case word."""
    if not _USER_NAME.fullmatch(name):
        raise CredentialsError(
            f"user {name[:40]!r}: write a name of small letters, digits, - and _, up to 32, starting with a letter."
        )


def hash_password(password: str) -> str:
    """argon2id, for the credentials file; takes some 20 ms."""
    return _HASHER.hash(password)


def new_password() -> str:
    """Random, 144 bits, easy to copy."""
    return secrets.token_urlsafe(18)


def new_secret() -> str:
    """Random, 384 bits."""
    return secrets.token_urlsafe(48)


def _users_of_unsafe_file(path: Path) -> tuple[UserRecord, ...]:
    """The users of a file that was refused (mode, secret): a reset mends it. None when it is missing or damaged."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return tuple(
            UserRecord(str(user["name"]), _role(user["role"]), str(user["password_hash"])) for user in data["users"]
        )
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def _role(value: object) -> Role:
    if value == "viewer":
        return "viewer"
    if value == "operator":
        return "operator"
    raise ValueError(f"role {value!r} is not viewer or operator")


def _sign(secret: str, user: str, role: str, epoch: str | None, now: float, seconds: int) -> str:
    """`epoch` None: minted for a name that is not in the file."""
    claims = {
        "iss": ISSUER, "sub": user, "role": role, "iat": int(now), "exp": int(now) + seconds,
        "jti": secrets.token_hex(12),
    }
    claims |= {"minted": True} if epoch is None else {"epoch": epoch}
    return jwt.encode(claims, secret, algorithm="HS256")


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise CredentialsError(f"{path}: cannot be read ({error}). Start the daemon again: it makes one.") from error
    return found.st_mtime_ns, found.st_ino, found.st_size
