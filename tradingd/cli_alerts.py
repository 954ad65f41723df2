"""`tradingd alerts`: try the channels from a shell, without a running daemon."""

import asyncio
import os
from typing import TYPE_CHECKING, Annotated

import typer

from tradingd import exit_codes
from tradingd.cli_session import CliError, ConfigOption, DataDirOption, JsonOption

if TYPE_CHECKING:
    from tradingd.settings import Settings

app = typer.Typer(help="Channels to people.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """Channels to people."""


@app.command("test")
def try_channels(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]", help="Of channels; without: all.")] = None,
    config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False,
) -> None:
    """Send one message over each channel and say what its service answered."""
    from tradingd import cli_tables
    from tradingd.redaction import redact
    from tradingd.settings_loading import LIVE_CONSENT, load_settings

    overrides = {"data_dir": str(data_dir)} if data_dir is not None else {}
    settings = load_settings(config, overrides=overrides, environ={**os.environ, LIVE_CONSENT: "yes"}, unlock=True)
    redact.learn_settings(settings)
    known = settings.alerts.channels
    unknown = [name for name in names or () if name not in known]
    if unknown or not known:
        told = f"no channel {unknown[0]!r}" if unknown else "no channels are set"
        raise CliError(exit_codes.NOT_FOUND, f"{told}: add [alerts.NAME] to {settings.source}, see docs/alerts.md.")
    results = asyncio.run(_try_all(settings, tuple(names or known)))
    if json:
        cli_tables.print_json([{"name": name, "error": error} for name, error in results])
    else:
        for name, error in results:
            cli_tables.console().print(cli_tables.clean(f"{name}: {error or 'delivered'}"))
    if any(error for _, error in results):
        raise typer.Exit(exit_codes.FAILURE)


async def _try_all(settings: "Settings", names: tuple[str, ...]) -> list[tuple[str, str]]:
    from tradingd.alerts.alert import DeliveryError, Letter
    from tradingd.alerts.make_service import make_service
    from tradingd.redaction import redact

    limit = settings.alerts.timeout_s
    results = []
    for name in names:
        service = make_service(name, settings.alerts.channels[name], limit)
        error = ""
        try:
            text = f"[tradingd] a test of channel {name}: if you can read this, it works"
            async with asyncio.timeout(limit):
                await service.send(Letter("[tradingd] test", text, "info"))
        except DeliveryError as failure:
            error = redact(str(failure))
        except TimeoutError:
            error = f"no answer within {limit:g} s"
        finally:
            await service.close()
        results.append((name, error))
    return results
