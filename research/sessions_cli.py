"""`tradelab sessions`: backtests that were run, and where they are kept."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from research import cli_session, data_cli
from research.cli_session import CliError, DataDirOption, JsonOption

sessions = typer.Typer(no_args_is_help=True, help="Backtests that were run: list, show, compare.")


@sessions.command("list")
def list_sessions(json_: JsonOption = False, data_dir: DataDirOption = None) -> None:
    """All sessions, one line each."""
    store = session_store(data_dir)
    rows = [_row(name, _read_or_damaged(store, name)) for name in store.names()]
    if json_:
        cli_session.print_json(rows)
        return
    for row in rows:
        if row["status"] != "completed":
            typer.echo(f"{row['name']:<40} {row['status']}")
            continue
        typer.echo(f"{row['name']:<40} {row['trades']:>6} trades  return {percent(row['total_return']):>9}  "
                   f"drawdown {percent(row['max_drawdown']):>8}  sharpe {number(row['sharpe'])}")
    if not rows:
        typer.echo("no sessions yet: tradelab backtest --help")


@sessions.command()
def show(name: str, json_: JsonOption = False, data_dir: DataDirOption = None) -> None:
    """What was run, and every figure."""
    document = _read(name, data_dir)
    if json_:
        cli_session.print_json(document)
        return
    for part in ("about", "stats"):
        typer.echo(part)
        for key, value in sorted(document[part].items()):
            typer.echo(f"  {key:<24} {value if value is not None else '-'}")
    typer.echo(f"trades {len(document['trades'])}, fingerprint {document['fingerprint']}")


@sessions.command()
def compare(names: list[str], json_: JsonOption = False, data_dir: DataDirOption = None) -> None:
    """The main figures of several sessions side by side."""
    documents = {name: _read(name, data_dir) for name in names}
    keys = ("total_return", "annual_return", "sharpe", "sortino", "calmar", "max_drawdown", "trades", "win_rate",
            "profit_factor", "fees")
    if json_:
        cli_session.print_json({key: {name: each["stats"][key] for name, each in documents.items()} for key in keys})
        return
    typer.echo(f"{'':<16}" + "".join(f"{name[-22:]:>24}" for name in names))
    for key in keys:
        typer.echo(f"{key:<16}" + "".join(f"{number(each['stats'][key]):>24}" for each in documents.values()))


def _row(name: str, document: Mapping[str, Any]) -> dict[str, Any]:
    stats = document.get("stats", {})
    return {
        "name": name,
        "status": document["status"],
        **{key: stats.get(key) for key in ("trades", "total_return", "max_drawdown", "sharpe")},
    }


def _read_or_damaged(store: Any, name: str) -> Mapping[str, Any]:
    """One file that cannot be read hides no other session."""
    from research.backtest.session import SessionError

    try:
        return store.read(name)  # type: ignore[no-any-return]
    except SessionError as error:
        cli_session.note(str(error))
        return {"status": "damaged"}


def _read(name: str, data_dir: Path | None) -> dict[str, Any]:
    from research.backtest.session import SessionError

    try:
        return session_store(data_dir).read_completed(name)  # type: ignore[no-any-return]
    except SessionError as error:
        raise CliError(cli_session.NOT_FOUND, str(error)) from error


def session_store(data_dir: Path | None) -> Any:
    """Where sessions are kept: `lab/sessions` of the data directory."""
    from research.backtest.session import SessionStore

    return SessionStore(data_cli.open_store(data_dir, "binance").root.parent / "lab" / "sessions")


def percent(value: float | None) -> str:
    """A ratio; "-" for none."""
    return "-" if value is None else f"{value * 100:,.2f} %"


def number(value: float | None) -> str:
    """With three digits behind the point; "-" for none."""
    return "-" if value is None else f"{value:,.3f}"
