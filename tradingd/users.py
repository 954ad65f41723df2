"""Who may log in: people are added, removed, and their tokens voided, while the daemon runs or not.

The daemon reads the credentials file anew when it changes, so each act holds at once.
"""

import secrets
from dataclasses import replace
from pathlib import Path

from tradingd.auth import (
    CREDENTIALS_FILE,
    OPERATOR,
    Credentials,
    CredentialsError,
    Role,
    UserRecord,
    check_user_name,
    hash_password,
    new_password,
    new_secret,
    read_credentials,
    write_credentials,
)


def list_users(data_dir: Path) -> tuple[UserRecord, ...]:
    """Everybody, in the order in which they came; raises `CredentialsError`."""
    return read_credentials(data_dir / CREDENTIALS_FILE).users


def add_user(data_dir: Path, name: str, role: Role) -> str:
    """A new person; their password, to be shown once. Nobody else's token is touched. Raises `CredentialsError`."""
    check_user_name(name)
    path = data_dir / CREDENTIALS_FILE
    known = read_credentials(path) if path.exists() else Credentials((), new_secret())
    if known.user(name) is not None:
        raise CredentialsError(
            f"user {name!r} exists already: `tradingd user password {name}` makes a new password for them."
        )
    password = new_password()
    users = known.users
    if not users and role != OPERATOR:
        raise CredentialsError("the first user must be an operator: add one with --role operator, or start the daemon.")
    user = UserRecord(name, role, hash_password(password), _new_epoch())
    write_credentials(path, Credentials((*users, user), known.secret))
    return password


def remove_user(data_dir: Path, name: str) -> None:
    """They may not log in any more, and their tokens are void; raises `CredentialsError`."""
    known = _with(data_dir, name)
    others = tuple(user for user in known.users if user.name != name)
    if not any(user.role == OPERATOR for user in others):
        raise CredentialsError(f"user {name!r} is the last operator: add another one first.")
    write_credentials(data_dir / CREDENTIALS_FILE, Credentials(others, known.secret))


def revoke_tokens(data_dir: Path, name: str) -> None:
    """Every token of this person is void; the password stays. Raises `CredentialsError`."""
    known = _with(data_dir, name)
    epoch = _new_epoch()
    users = tuple(replace(user, epoch=epoch) if user.name == name else user for user in known.users)
    write_credentials(data_dir / CREDENTIALS_FILE, Credentials(users, known.secret))


def _new_epoch() -> str:
    """Tokens carry it: one of an earlier epoch, or of an earlier user of the same name, is void."""
    return secrets.token_hex(8)


def _with(data_dir: Path, name: str) -> Credentials:
    known = read_credentials(data_dir / CREDENTIALS_FILE)
    if known.user(name) is None:
        names = ", ".join(user.name for user in known.users)
        raise CredentialsError(f"user {name[:40]!r} does not exist. Known: {names}.")
    return known
