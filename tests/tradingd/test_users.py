"""Users come and go, and their tokens with them, while the daemon runs."""

from pathlib import Path

import jwt
import pytest

from tradingd.auth import CREDENTIALS_FILE, Auth, CredentialsError, LoginRefusedError, TokenError, mint_token
from tradingd.auth import read_credentials as read
from tradingd.users import add_user, list_users, remove_user, revoke_tokens


def test_a_new_user_logs_in_at_once_and_nobody_else_is_logged_out(tmp_path: Path) -> None:
    auth = Auth.open(tmp_path)
    token = auth.login("operator", auth.take_new_password(), "a")
    password = add_user(tmp_path, "ann", "viewer")
    assert auth.principal(auth.login("ann", password, "a")).role == "viewer"
    assert auth.principal(token).is_operator
    assert [(user.name, user.role) for user in list_users(tmp_path)] == [("operator", "operator"), ("ann", "viewer")]


@pytest.mark.parametrize("name", ["operator", "", "Ann", "a b", "../x", "x" * 40])
def test_a_name_that_is_taken_or_no_name_is_refused(tmp_path: Path, name: str) -> None:
    Auth.open(tmp_path)
    before = (tmp_path / CREDENTIALS_FILE).read_bytes()
    with pytest.raises(CredentialsError):
        add_user(tmp_path, name, "viewer")
    assert (tmp_path / CREDENTIALS_FILE).read_bytes() == before


def test_a_removed_users_tokens_are_void_and_stay_void_when_the_name_comes_back(tmp_path: Path) -> None:
    auth = Auth.open(tmp_path)
    password = add_user(tmp_path, "ann", "operator")
    token = auth.login("ann", password, "a")
    remove_user(tmp_path, "ann")
    with pytest.raises(TokenError, match="revoked"):
        auth.principal(token)
    with pytest.raises(LoginRefusedError):
        auth.login("ann", password, "a")
    add_user(tmp_path, "ann", "viewer")
    with pytest.raises(TokenError):
        auth.principal(token)


def test_a_removed_and_added_user_with_the_same_role_does_not_revive_old_tokens(tmp_path: Path) -> None:
    auth = Auth.open(tmp_path)
    token = auth.login("ann", add_user(tmp_path, "ann", "viewer"), "a")
    remove_user(tmp_path, "ann")
    add_user(tmp_path, "ann", "viewer")
    with pytest.raises(TokenError, match="revoked"):
        auth.principal(token)


def test_the_last_operator_cannot_be_removed(tmp_path: Path) -> None:
    Auth.open(tmp_path)
    add_user(tmp_path, "ann", "viewer")
    with pytest.raises(CredentialsError, match="last operator"):
        remove_user(tmp_path, "operator")


def test_a_revocation_voids_all_tokens_of_one_user_and_keeps_the_password(tmp_path: Path) -> None:
    auth = Auth.open(tmp_path)
    password = add_user(tmp_path, "ann", "viewer")
    old, operators = auth.login("ann", password, "a"), mint_token(tmp_path)
    revoke_tokens(tmp_path, "ann")
    with pytest.raises(TokenError, match="revoked"):
        auth.principal(old)
    assert auth.principal(operators).is_operator
    assert auth.principal(auth.login("ann", password, "a")).user == "ann"
    with pytest.raises(CredentialsError, match="does not exist"):
        revoke_tokens(tmp_path, "bob")


def test_a_logout_survives_a_restart_and_only_the_own_token_ends(tmp_path: Path) -> None:
    auth = Auth.open(tmp_path)
    one, other = mint_token(tmp_path), mint_token(tmp_path)
    auth.logout(one)
    for reader in (auth, Auth.open(tmp_path)):
        with pytest.raises(TokenError, match="revoked"):
            reader.principal(one)
        assert reader.principal(other).is_operator
    assert (tmp_path / "revoked-tokens.json").stat().st_mode & 0o077 == 0


def test_a_token_cannot_claim_a_role_that_the_file_does_not_give(tmp_path: Path) -> None:
    auth = Auth.open(tmp_path)
    add_user(tmp_path, "ann", "viewer")
    secret = read(tmp_path / CREDENTIALS_FILE).secret
    claims = {"iss": "tradingd", "sub": "ann", "role": "operator", "iat": 0, "exp": 9_999_999_999, "jti": "1",
              "minted": True}
    with pytest.raises(TokenError):
        auth.principal(jwt.encode(claims, secret, "HS256"))
    assert auth.principal(mint_token(tmp_path, "ann", "operator")).user == "ann-operator"


def test_a_damaged_list_of_given_back_tokens_is_an_empty_one(tmp_path: Path) -> None:
    Auth.open(tmp_path)
    (tmp_path / "revoked-tokens.json").write_text("[1")
    assert Auth.open(tmp_path).principal(mint_token(tmp_path)).is_operator


def test_the_first_user_is_an_operator_whatever_the_name(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match="must be an operator"):
        add_user(tmp_path, "operator", "viewer")
    add_user(tmp_path, "operator", "operator")
