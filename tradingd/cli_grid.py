"""Grids of trailing orders from the command line: start, show, stop."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from tradingd import exit_codes
from tradingd.cli_session import (
    CliError,
    ConfigOption,
    DataDirOption,
    JsonOption,
    YesOption,
    ask,
    confirm,
    connect,
)

if TYPE_CHECKING:
    from tradingd.read_model import ReadModel
    from tradingd.settings import Settings

app = typer.Typer(help="Grids of trailing orders.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def start(
    symbol: Annotated[str, typer.Argument(help="Such as BTC/USDT.")],
    capital: Annotated[str, typer.Option("--capital", help="Quote money the grid may use, such as 1000.")],
    levels: Annotated[int, typer.Option("--levels", min=1, max=50, help="Above the centre, and as many below.")] = 10,
    spacing: Annotated[str, typer.Option("--spacing", help="auto, or a percentage such as 1.5%.")] = "auto",
    min_spacing: Annotated[str, typer.Option("--min-spacing", help="Bound of an auto spacing, such as 0.5%.")] = "",
    max_spacing: Annotated[str, typer.Option("--max-spacing", help="Bound of an auto spacing, such as 2%.")] = "",
    trail: Annotated[str, typer.Option("--trail", help="Of each order, such as 0.5%; default half the spacing.")] = "",
    floor: Annotated[str, typer.Option("--floor", help="Price at which all is sold; 5 % below the lowest level.")] = "",
    centre: Annotated[str, typer.Option("--centre", help="Price of level 0; the market's if not given.")] = "",
    entry: Annotated[str, typer.Option("--entry", help="now, or first: after a fall of 2 % or a buy signal.")] = "now",
    config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False,
) -> None:
    """Open a grid: a trailing buy at each level near the price, and a trailing sell one level up for what it bought."""
    if entry not in ("now", "first"):
        raise CliError(exit_codes.USAGE, f"--entry {entry!r}: write now or first.")
    body: dict[str, Any] = {"symbol": symbol, "capital": capital, "levels": levels, "entry": entry}
    percents = {"spacing": spacing, "min_spacing": min_spacing, "max_spacing": max_spacing, "trail": trail}
    for name, text in percents.items():
        if text and text != "auto":
            body[name] = text.strip().removesuffix("%").strip()
    for name, text in (("floor", floor), ("centre", centre)):
        if text:
            body[name] = text
    _show_one(connect(config, data_dir).post("/api/grids", body), as_json=json)


@app.command()
def show(
    grid_id: Annotated[str, typer.Argument(metavar="[ID]", help="Of one grid; without it: all of them.")] = "",
    config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False,
) -> None:
    """All grids, or one with its levels."""
    path = f"/api/grids/{quote(grid_id, safe='')}" if grid_id else "/api/grids"
    answer = ask(config, data_dir, lambda client: client.get(path), lambda model, _: _offline(model, grid_id, _))
    if grid_id:
        _show_one(answer, as_json=json)
    else:
        _show_all(answer, as_json=json)


@app.command()
def stop(
    grid_id: Annotated[str, typer.Argument(metavar="ID", help="See `tradingd grid show`.")],
    close: Annotated[bool, typer.Option("--close", help="Also sell what it holds, at market.")] = False,
    yes: YesOption = False,
    config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False,
) -> None:
    """End a grid: no more buys. Without --close its sells go on until all is sold."""
    confirm(f"Stop the grid {grid_id}{' and sell what it holds' if close else ''}?", yes=yes)
    path = f"/api/grids/{quote(grid_id, safe='')}?close={'true' if close else 'false'}"
    answer = connect(config, data_dir).delete(path)
    _show_one(answer, as_json=json)


def _offline(model: "ReadModel", grid_id: str, _: "Settings") -> Any:
    if not grid_id:
        return [asdict(view) for view in model.grid_views()]
    view = model.grid_view(grid_id)
    if view is None:
        raise CliError(exit_codes.NOT_FOUND, f"there is no grid {grid_id!r}: `tradingd grid show` lists them.")
    return asdict(view)


# ---- for people --------------------------------------------------------------------------------------


def _show_all(answer: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    from tradingd import cli_tables

    if as_json:
        cli_tables.print_json(answer)
        return
    if not answer:
        cli_tables.console().print("no grids: `tradingd grid start SYMBOL --capital MONEY` opens one")
        return
    numbers = ("capital", "centre", "spacing", "floor", "holds", "round trips", "profit")
    rows = [
        (each["id"], each["symbol"], each["state"], cli_tables.money(each["capital"]), each["centre"],
         _percent(each["spacing"]), each["floor"], each["quantity"], each["round_trips"],
         cli_tables.money(each["profit"]), each["reason"])
        for each in answer
    ]
    cli_tables.print_table(("id", "symbol", "state", *numbers, "why"), rows, numbers)


def _show_one(answer: Mapping[str, Any], *, as_json: bool) -> None:
    from tradingd import cli_tables

    if as_json:
        cli_tables.print_json(answer)
        return
    how = "tuned" if answer["is_auto"] else "fixed"
    out = cli_tables.console()
    out.print(cli_tables.clean(
        f"{answer['id']} {answer['symbol']} {answer['state']}: {answer['reason']}\n"
        f"capital {answer['capital']}, spacing {_percent(answer['spacing'])} ({how}), "
        f"trail {_percent(answer['trail'])}, centre {answer['centre']}, floor {answer['floor']}\n"
        f"holds {answer['quantity']} for {cli_tables.money(answer['cost'])}, {answer['round_trips']} round trips, "
        f"profit {cli_tables.money(answer['profit'], 4)} after fees of {cli_tables.money(answer['fees'], 4)}"
    ))
    if answer["warning"]:
        out.print(cli_tables.clean(f"WARNING: {answer['warning']}"))
    numbers = ("holds", "bought at", "round trips", "orders", "minutes", "profit")
    rows = [
        (row["level"], row["price"], row["state"], row["quantity"], cli_tables.money(row["average_price"], 4),
         row["round_trips"], row["orders"], f"{row['spent_s'] / 60:.1f}", cli_tables.money(row["profit"], 4),
         row["error"])
        for row in answer["rows"]
    ]
    columns = ("level", "price", "state", *numbers, "last error")
    cli_tables.print_table(columns, rows, ("level", "price", *numbers))


def _percent(ratio: str) -> str:
    return f"{Decimal(ratio) * 100:.3f}".rstrip("0").rstrip(".") + " %"
