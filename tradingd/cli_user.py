"""`tradingd user`: who may log in."""

import sys
from typing import TYPE_CHECKING, Annotated, Final

import typer

from tradingd import exit_codes
from tradingd.cli_session import CliError, ConfigOption, DataDirOption, JsonOption, note, settings_of

if TYPE_CHECKING:  # `tradingd --help` must not wait for argon2
    from tradingd.auth import Role

app: Final = typer.Typer(help="Who may log in.", no_args_is_help=True, rich_markup_mode=None)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Small letters, digits, - and _.")]
RoleOption = Annotated[str, typer.Option("--role", help="viewer | operator")]


@app.command("add")
def add(name: Name, role: RoleOption = "viewer", config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """Make a user and print the password once. Nobody else is logged out."""
    from tradingd.users import add_user

    _check_name(name)
    password = add_user(settings_of(config, data_dir).data_dir, name, role_of(role))
    note(f"{name} is a new {role}; the password, shown only this once:")
    sys.stdout.write(password + "\n")


@app.command("password")
def password(
    user: Annotated[str, typer.Argument(help="Made when it is new.")] = "operator",
    role: Annotated[str, typer.Option("--role", help="viewer | operator; of a new user: viewer.")] = "",
    config: ConfigOption = None, data_dir: DataDirOption = None,
) -> None:
    """Set a new random password and print it once. All earlier tokens become void."""
    from tradingd.auth import reset_password

    _check_name(user)
    told = reset_password(settings_of(config, data_dir).data_dir, user, role_of(role) if role else None)
    note(f"the new password of {user}, shown only this once (earlier tokens are void):")
    sys.stdout.write(told + "\n")


@app.command("remove")
def remove(name: Name, config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """Take a user's right to log in away; their tokens are void at once."""
    from tradingd.users import remove_user

    remove_user(settings_of(config, data_dir).data_dir, name)
    note(f"{name} may not log in any more")


@app.command("revoke")
def revoke(name: Name, config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """Void every token of a user; the password stays."""
    from tradingd.users import revoke_tokens

    revoke_tokens(settings_of(config, data_dir).data_dir, name)
    note(f"every token of {name} is void")


@app.command("list")
def show(config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False) -> None:
    """Who may log in, and as what."""
    from tradingd import cli_tables
    from tradingd.users import list_users

    users = list_users(settings_of(config, data_dir).data_dir)
    if json:
        cli_tables.print_json([{"name": user.name, "role": user.role} for user in users])
        return
    for user in users:
        sys.stdout.write(f"{user.name:<32}  {user.role}\n")


def role_of(text: str) -> "Role":
    """viewer or operator; raises `CliError`."""
    if text == "operator":
        return "operator"
    if text == "viewer":
        return "viewer"
    raise CliError(exit_codes.USAGE, f"--role {text!r}: write viewer or operator.")


def _check_name(name: str) -> None:
    from tradingd.auth import CredentialsError, check_user_name

    try:
        check_user_name(name)
    except CredentialsError as error:
        raise CliError(exit_codes.USAGE, str(error)) from error
