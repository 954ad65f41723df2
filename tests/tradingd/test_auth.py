"""Passwords, tokens, the credentials file, and the lock against guessing."""

import io
import json
import os
import stat
from pathlib import Path

import jwt
import pytest

from tradingd.auth import (
    CREDENTIALS_FILE,
    Auth,
    CredentialsError,
    LoginRefusedError,
    LoginThrottle,
    TokenError,
    TooManyTriesError,
    check_secret,
    check_user_name,
    mint_token,
    new_secret,
    read_credentials,
    reset_password,
)


class Seconds:
    """A clock a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_first_start_makes_an_operator_and_tells_the_password_once(tmp_path: Path) -> None:
    auth = Auth.open(tmp_path)
    shown = io.StringIO()
    auth.show_new_password(shown)
    password = shown.getvalue().split("password ")[1].split()[0]
    assert auth.principal(auth.login("operator", password, "127.0.0.1")).is_operator
    auth.show_new_password(shown)
    assert shown.getvalue().count(password) == 1
    assert Auth.open(tmp_path).take_new_password() == ""


def test_the_file_is_private_and_holds_no_password(tmp_path: Path) -> None:
    password = Auth.open(tmp_path).take_new_password()
    path = tmp_path / CREDENTIALS_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert password not in path.read_text()
    assert "$argon2id$" in path.read_text()
    assert [file.name for file in tmp_path.iterdir()] == [CREDENTIALS_FILE]


@pytest.mark.parametrize("user", ["operator", "nobody", ""])
def test_a_wrong_password_and_a_wrong_user_are_refused_alike(tmp_path: Path, user: str) -> None:
    auth = Auth.open(tmp_path)
    with pytest.raises(LoginRefusedError, match=r"^wrong user or password$"):
        auth.login(user, "guess", "127.0.0.1")


def test_a_password_longer_than_the_limit_is_refused_even_if_it_begins_right(tmp_path: Path) -> None:
    auth = Auth.open(tmp_path)
    with pytest.raises(LoginRefusedError):
        auth.login("operator", auth.take_new_password() + "x" * 300, "127.0.0.1")


def test_the_sixth_try_within_a_minute_is_locked_and_says_for_how_long(tmp_path: Path) -> None:
    clock = Seconds()
    Auth.open(tmp_path)
    auth = Auth(tmp_path / CREDENTIALS_FILE, 24, throttle=LoginThrottle(clock))
    for _ in range(5):
        with pytest.raises(LoginRefusedError):
            auth.login("operator", "guess", "10.0.0.1")
    clock.now += 10
    with pytest.raises(TooManyTriesError) as refusal:
        auth.login("operator", "guess", "10.0.0.1")
    assert refusal.value.retry_after_s == 50


def test_the_lock_is_the_users_from_wherever_it_is_tried_and_ends_after_a_minute() -> None:
    clock = Seconds()
    throttle = LoginThrottle(clock)
    for number in range(5):
        throttle.check(f"10.0.0.{number}", "operator")
    throttle.check("a", "viewer")
    for address in ("a", "10.0.0.1"):
        with pytest.raises(TooManyTriesError):
            throttle.check(address, "operator")
    clock.now += 60
    throttle.check("a", "operator")


def test_one_address_cannot_try_many_names() -> None:
    throttle = LoginThrottle(Seconds())
    for number in range(30):
        throttle.check("a", f"user{number}")
    with pytest.raises(TooManyTriesError):
        throttle.check("a", "another")


def test_a_right_password_ends_the_count() -> None:
    throttle = LoginThrottle(Seconds())
    for _ in range(4):
        throttle.check("a", "operator")
    throttle.succeeded("a", "operator")
    for _ in range(5):
        throttle.check("a", "operator")


def test_who_guesses_elsewhere_cannot_keep_a_user_out_of_the_address_he_logged_in_from_last() -> None:
    throttle = LoginThrottle(Seconds())
    throttle.check("home", "operator")
    throttle.succeeded("home", "operator")
    for number in range(5):
        throttle.check(f"10.0.0.{number}", "operator")
    with pytest.raises(TooManyTriesError):
        throttle.check("10.0.0.9", "operator")
    for _ in range(5):
        throttle.check("home", "operator")
    with pytest.raises(TooManyTriesError):
        throttle.check("home", "operator")


def test_a_login_at_home_gives_those_who_guess_elsewhere_no_further_tries() -> None:
    throttle = LoginThrottle(Seconds())
    throttle.succeeded("home", "operator")
    for number in range(5):
        throttle.check(f"10.0.0.{number}", "operator")
    throttle.check("home", "operator")
    throttle.succeeded("home", "operator")
    with pytest.raises(TooManyTriesError):
        throttle.check("10.0.0.9", "operator")


def test_made_up_names_do_not_make_it_forget_how_often_somebody_was_tried() -> None:
    throttle = LoginThrottle(Seconds())
    for _ in range(5):
        throttle.check("a", "operator")
    refused = 0
    for number in range(10_050):
        try:
            throttle.check("b", f"x{number}")
        except TooManyTriesError:
            refused += 1
    assert refused == 10_020
    with pytest.raises(TooManyTriesError):
        throttle.check("a", "operator")


def test_the_throttle_forgets_rather_than_grows() -> None:
    throttle = LoginThrottle(Seconds())
    for number in range(12_000):
        throttle.check(f"10.0.{number // 250}.{number % 250}", f"x{number}")
    assert len(throttle._tries) <= 10_001


def test_a_token_ends_when_its_hours_are_over(tmp_path: Path) -> None:
    clock = Seconds()
    password = Auth.open(tmp_path).take_new_password()
    auth = Auth(tmp_path / CREDENTIALS_FILE, 2, clock=clock)
    token = auth.login("operator", password, "a")
    clock.now += 2 * 3600 - 1
    assert auth.principal(token).user == "operator"
    clock.now += 1
    with pytest.raises(TokenError, match="expired"):
        auth.principal(token)


def test_a_minted_token_carries_its_role(tmp_path: Path) -> None:
    auth = Auth.open(tmp_path)
    principal = auth.principal(mint_token(tmp_path, "viewer", "viewer", hours=1))
    assert (principal.user, principal.role, principal.is_operator) == ("viewer", "viewer", False)


def test_a_token_of_another_data_directory_is_refused(tmp_path: Path) -> None:
    Auth.open(tmp_path / "a")
    other = Auth.open(tmp_path / "b")
    with pytest.raises(TokenError):
        other.principal(mint_token(tmp_path / "a"))


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "\x00"])
def test_nonsense_is_no_token(tmp_path: Path, token: str) -> None:
    with pytest.raises(TokenError):
        Auth.open(tmp_path).principal(token)


def test_a_token_without_a_signature_or_with_missing_claims_is_refused(tmp_path: Path) -> None:
    auth = Auth.open(tmp_path)
    secret = read_credentials(tmp_path / CREDENTIALS_FILE).secret
    claims = {"iss": "tradingd", "sub": "operator", "role": "operator", "iat": 0, "exp": 9_999_999_999, "jti": "1",
              "epoch": ""}
    assert auth.principal(jwt.encode(claims, secret, "HS256")).is_operator
    forged = [
        jwt.encode(claims, "", "none"),
        jwt.encode(claims, secret, "HS512"),
        jwt.encode({**claims, "role": "root"}, secret, "HS256"),
        jwt.encode({**claims, "iss": "another"}, secret, "HS256"),
        jwt.encode({key: value for key, value in claims.items() if key != "exp"}, secret, "HS256"),
        *(jwt.encode({**claims, "exp": until}, secret, "HS256")
          for until in (float("inf"), float("nan"), "9999999999", [1], {}, None, True)),
    ]
    for token in forged:
        with pytest.raises(TokenError):
            auth.principal(token)


def test_a_reset_is_seen_by_the_running_daemon_and_voids_its_tokens(tmp_path: Path) -> None:
    auth = Auth.open(tmp_path)
    old = auth.take_new_password()
    token = auth.login("operator", old, "a")
    new = reset_password(tmp_path)
    with pytest.raises(TokenError):
        auth.principal(token)
    with pytest.raises(LoginRefusedError):
        auth.login("operator", old, "a")
    assert auth.principal(auth.login("operator", new, "a")).is_operator


def test_a_new_user_is_a_viewer_unless_told_otherwise(tmp_path: Path) -> None:
    auth = Auth.open(tmp_path)
    password = reset_password(tmp_path, "guest")
    assert auth.principal(auth.login("guest", password, "a")).role == "viewer"
    assert {user.name for user in read_credentials(tmp_path / CREDENTIALS_FILE).users} == {"operator", "guest"}


def test_a_file_others_can_read_is_refused_with_the_remedy(tmp_path: Path) -> None:
    Auth.open(tmp_path)
    (tmp_path / CREDENTIALS_FILE).chmod(0o644)
    with pytest.raises(CredentialsError, match="chmod 600"):
        Auth.open(tmp_path)


@pytest.mark.parametrize("secret", ["", "short", "a" * 64, "changeme" * 8, None, 7])
def test_a_guessable_secret_is_refused(tmp_path: Path, secret: object) -> None:
    with pytest.raises(CredentialsError, match="tradingd user password"):
        check_secret(secret, tmp_path / CREDENTIALS_FILE)


def test_a_secret_of_ours_is_accepted(tmp_path: Path) -> None:
    check_secret(new_secret(), tmp_path / CREDENTIALS_FILE)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"users": []}', '{"users": [{"name": "x"}], "jwt_secret": "y"}'])
def test_a_damaged_file_is_named_with_the_remedy(tmp_path: Path, text: str) -> None:
    path = tmp_path / CREDENTIALS_FILE
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(CredentialsError, match=CREDENTIALS_FILE):
        Auth.open(tmp_path)


def test_a_reset_mends_an_unsafe_file_and_keeps_the_other_users(tmp_path: Path) -> None:
    Auth.open(tmp_path)
    reset_password(tmp_path, "guest")
    path = tmp_path / CREDENTIALS_FILE
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, "jwt_secret": "changeme"}))
    path.chmod(0o644)
    reset_password(tmp_path)
    assert {user.name for user in read_credentials(path).users} == {"operator", "guest"}


@pytest.mark.parametrize("name", ["", "Operator", "../x", "a b", "a" * 33, "1a", "\x1b"])
def test_a_user_name_is_a_plain_word(name: str) -> None:
    with pytest.raises(CredentialsError):
        check_user_name(name)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root writes for others")
def test_what_root_writes_for_a_service_gives_away_no_file_that_is_linked_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The service's user may change the folder at any moment; the file of root's must stay root's."""
    folder, of_root = tmp_path / "state", tmp_path / "shadow"
    folder.mkdir(mode=0o700)
    os.chown(folder, 65534, 65534)
    of_root.write_text("root's")

    def swap(descriptor: int) -> None:
        (temporary,) = folder.glob(".*.new")
        temporary.unlink()
        temporary.symlink_to(of_root)

    reset_password(folder)
    assert (folder / "credentials.json").stat().st_uid == 65534
    monkeypatch.setattr(os, "fsync", swap)
    reset_password(folder)
    assert of_root.stat().st_uid == 0
