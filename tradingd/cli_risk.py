"""Commands about risk: the limits, the figures of each day, the locks and how to lift them."""

from dataclasses import asdict
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import typer

from tradingd.cli_session import (
    ConfigOption,
    DataDirOption,
    JsonOption,
    ask,
    client_of,
    connect,
    read_journal,
    settings_of,
)

locks_app = typer.Typer(
    help="What keeps new entries out for a while, and why.", invoke_without_command=True, rich_markup_mode=None,
)


def _print(answer: Any, *, as_json: bool, columns: dict[str, str], nothing: str) -> None:
    """JSON, or a table of `columns` (field: heading; a heading in capitals is a number's)."""
    from tradingd import cli_tables

    if as_json:
        cli_tables.print_json(answer)
    elif not answer:
        cli_tables.console().print(nothing)
    else:
        rows = [[_cell(field, row[field]) for field in columns] for row in answer]
        headings = [heading.lower() for heading in columns.values()]
        numbers = [heading.lower() for heading in columns.values() if heading.isupper()]
        cli_tables.print_table(headings, rows, numbers)


def _cell(field: str, value: Any) -> Any:
    from tradingd import cli_tables

    if field in ("profit", "fees", "opening_equity", "closing_equity"):
        return cli_tables.money(value)
    if field == "drawdown":
        return cli_tables.percent(value)
    if field == "sharpe":
        return "-" if value is None else f"{value:.2f}"
    return cli_tables.moment(value) if field in ("since", "until") else value


def stats(
    config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False,
    days: Annotated[int, typer.Option("--days", min=1, max=800, help="At most so many, newest first.")] = 30,
) -> None:
    """Trades, wins, losses, profit, drawdown and Sharpe of each UTC day."""
    answer = ask(
        config, data_dir, lambda client: client.get(f"/api/stats/daily?days={days}"),
        lambda model, _: [asdict(view) for view in model.risk.day_views(days)],
    )
    columns = {
        "day": "day", "trades": "TRADES", "wins": "WINS", "losses": "LOSSES", "profit": "PROFIT", "fees": "FEES",
        "drawdown": "DRAWDOWN", "sharpe": "SHARPE", "opening_equity": "OPENED AT", "closing_equity": "CLOSED AT",
    }
    _print(answer, as_json=json, columns=columns, nothing="no day was traded yet")


def limits(config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False) -> None:
    """The three settings, what follows from them, every risk limit; and who set each of them."""
    from tradingd.client import NotReachableError
    from tradingd.data_dir import current_journal
    from tradingd.parameters import number_views

    settings = settings_of(config, data_dir)
    try:
        answer = client_of(settings.data_dir).get("/api/limits")
    except NotReachableError as error:
        changed = None
        if current_journal(settings.data_dir).exists():
            changed = read_journal(settings, error).tuning.current
        answer = [asdict(view) for view in number_views(settings, changed)]
    if json:
        _print(answer, as_json=True, columns={}, nothing="")
    else:
        from tradingd.cli_limits import show

        show(answer, settings.account.quote)


@locks_app.callback()
def locks(
    context: typer.Context, config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False,
) -> None:
    """What keeps new entries out for a while, and why."""
    if context.invoked_subcommand is not None:
        return
    answer = ask(
        config, data_dir, lambda client: client.get("/api/locks"),
        lambda model, _: [asdict(view) for view in model.risk.lock_views(model.last_ts)],
    )
    columns = {"id": "id", "symbol": "symbol", "rule": "rule", "until": "until (utc)", "reason": "says"}
    _print(answer, as_json=json, columns=columns, nothing="no locks: entries are open")


@locks_app.command("lift")
def lift(
    lock_id: Annotated[str, typer.Argument(metavar="ID", help="Of a lock: see `tradingd locks`.")],
    reason: Annotated[str, typer.Option("--reason", help="Why, for the journal.")] = "",
    config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False,
) -> None:
    """End a lock before its time."""
    from tradingd import cli_tables

    query = f"?{urlencode({'reason': reason})}" if reason else ""
    answer = connect(config, data_dir).delete(f"/api/locks/{quote(lock_id, safe='')}{query}")
    if json:
        cli_tables.print_json(answer)
        return
    lock = answer["lifted"]
    what = "every symbol" if lock["symbol"] == "*" else lock["symbol"]
    cli_tables.console().print(cli_tables.clean(f"{lock['id']} ({lock['rule']}) no longer locks {what}"))


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command(rich_help_panel="Look")(stats)
    app.command(rich_help_panel="Look")(limits)
    app.add_typer(locks_app, name="locks", rich_help_panel="Steer")
