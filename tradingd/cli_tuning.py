"""`tradingd tuning`: what self-tuning did and why; putting a version back, off and on."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tradingd.cli_session import ConfigOption, DataDirOption, JsonOption, ask, connect

if TYPE_CHECKING:
    from tradingd.read_model import ReadModel
    from tradingd.settings import Settings

app = typer.Typer(
    help="The daily self-tuning: what holds and why.", invoke_without_command=True, rich_markup_mode=None,
)
_SHOWN = 10


@app.callback()
def show(
    context: typer.Context, config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False,
) -> None:
    """The parameters that hold, how each fares, and the last versions with their reasons."""
    if context.invoked_subcommand is None:
        _print(ask(config, data_dir, lambda client: client.get("/api/tuning"), _offline), as_json=json)


@app.command()
def revert(
    version: Annotated[
        int | None, typer.Argument(metavar="[VERSION]", min=0, help="0 = as configured; without it: the one before.")
    ] = None,
    config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False,
) -> None:
    """Put an earlier version's values back, as a new version."""
    body = {} if version is None else {"version": version}
    _print(connect(config, data_dir).post("/api/tuning/revert", body), as_json=json)


@app.command()
def off(config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False) -> None:
    """The configured values hold again, and nothing is tuned."""
    _print(connect(config, data_dir).post("/api/tuning/switch", {"on": False}), as_json=json)


@app.command()
def on(config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False) -> None:
    """Tune again, once a day."""
    _print(connect(config, data_dir).post("/api/tuning/switch", {"on": True}), as_json=json)


@app.command()
def run(config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False) -> None:
    """Begin today's tuning now instead of waiting; at most once a day."""
    _print(connect(config, data_dir).post("/api/tuning/run", {}), as_json=json)


def _offline(model: "ReadModel", settings: "Settings") -> Any:
    from tradingd.tuning_view import tuning_view

    current = model.tuning.current
    is_on = settings.tuning.enabled if current is None else current.is_tuning
    return asdict(tuning_view(settings, model.tuning, is_on=is_on, is_running=False, last="the daemon is not running"))


def _print(answer: Mapping[str, Any], *, as_json: bool) -> None:
    from tradingd import cli_tables

    if as_json:
        cli_tables.print_json(answer)
        return
    console = cli_tables.console()
    holds = f"version {answer['version']}" if answer["version"] else "as configured"
    state = "at work now" if answer["is_running"] else f"on, at {answer['at']} UTC" if answer["is_on"] else "off"
    console.print(cli_tables.clean(f"tuning: {state}; what holds: {holds}"))
    console.print(cli_tables.clean(f"last: {answer['last']}"))
    rows = [
        [
            row["name"], row["value"], row["configured"], f"{row['lowest']} to {row['highest']}", row["outcomes"],
            cli_tables.percent(row["success"], 0), f"{row['outcome_confidence']:.2f}",
        ]
        for row in answer["parameters"]
    ]
    headings = ("parameter", "holds", "configured", "bounds", "outcomes", "won", "confidence")
    cli_tables.print_table(headings, rows, headings[1:])
    if answer["versions"]:
        rows = [
            [row["version"], row["parent"], cli_tables.moment(row["ts"]), row["by"], row["reason"]]
            for row in answer["versions"][:_SHOWN]
        ]
        cli_tables.print_table(("version", "from", "at (utc)", "by", "says"), rows, ("version", "from"))
