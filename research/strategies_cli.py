"""`tradelab strategies`: the rules that a backtest, the selection and the daemon know by name."""

import inspect
from typing import Annotated, Any

import typer

from research import cli_session
from research.cli_session import CliError, JsonOption


def strategies(
    name: Annotated[str, typer.Argument(help="Only this one, with all that is to be said of it.")] = "",
    json_: JsonOption = False,
) -> None:
    """The rules by name: what they do, their parameters and defaults."""
    from research.backtest.rules import BY_NAME

    if name and name not in BY_NAME:
        raise CliError(cli_session.NOT_FOUND, f"no rule is called {name!r}: there are {', '.join(BY_NAME)}")
    rows = [_row(each, maker) for each, maker in BY_NAME.items() if name in ("", each)]
    if json_:
        cli_session.print_json(rows)
        return
    for row in rows:
        told = " ".join(f"{key}={value}" for key, value in row["param"].items())
        typer.echo(f"{row['name']:<22} {told}")
        for line in row["about"].splitlines() if name else row["about"].splitlines()[:1]:
            typer.echo(f"  {line}" if line else "")
    if not name:
        typer.echo("\ntradelab strategies NAME tells one exactly; docs/strategies.md and docs/backtest.md tell all.")


def _row(name: str, maker: Any) -> dict[str, Any]:
    known = inspect.signature(maker).parameters.values()
    return {
        "name": name, "param": {each.name: each.default for each in known if each.default is not each.empty},
        "about": inspect.getdoc(maker) or "",
    }
