"""`tradingd venue check`: what works at an exchange, before money depends on it."""

import os
from typing import Annotated, Any

import typer

from tradingd import exit_codes
from tradingd.cli_session import CliError, ConfigOption, DataDirOption, JsonOption

app = typer.Typer(no_args_is_help=True, help="Exchanges: what works there.", rich_markup_mode=None)


@app.callback()
def _venue() -> None:
    """Exchanges: what works there."""


@app.command()
def check(
    name: Annotated[str, typer.Argument(metavar="NAME", help="One of [venues.*].")],
    place: Annotated[
        bool, typer.Option("--place", help="Also place a small limit buy far below the market, and cancel it.")
    ] = False,
    config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False,
) -> None:
    """Connect to an exchange and say what works: data, stream, clock, rules, keys and their rights."""
    import asyncio
    from dataclasses import asdict

    from tradingd import cli_tables
    from tradingd.redaction import redact
    from tradingd.settings_errors import ConfigError
    from tradingd.settings_loading import LIVE_CONSENT, load_settings
    from tradingd.venue_check import VenueCheck

    overrides: dict[str, Any] = {"venue": name}
    if data_dir is not None:
        overrides["data_dir"] = str(data_dir)
    try:
        settings = load_settings(config, overrides=overrides, environ={**os.environ, LIVE_CONSENT: "yes"}, unlock=True)
    except ConfigError as error:  # here the venue is no option
        raise CliError(exit_codes.CONFIGURATION, str(error).removeprefix("--venue: ")) from error
    redact.learn_settings(settings)
    results = asyncio.run(VenueCheck(settings, places_order=place).run())
    rows = [asdict(result) for result in results]
    if json:
        cli_tables.print_json(rows)
    else:
        cli_tables.checks(rows)
    if any(result.level == "fail" for result in results):
        raise typer.Exit(exit_codes.FAILURE)
