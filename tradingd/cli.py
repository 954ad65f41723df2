"""The command line. Everything heavy is imported inside the command that needs it, so `--help` is quick."""

import math
import os
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from tradingd import (
    cli_alerts,
    cli_backup,
    cli_control,
    cli_council,
    cli_debug,
    cli_grid,
    cli_journal,
    cli_market,
    cli_orders,
    cli_risk,
    cli_secrets,
    cli_store,
    cli_tuning,
    cli_user,
    cli_venue,
    cli_view,
    exit_codes,
)
from tradingd.cli_session import (
    CliError,
    ConfigOption,
    DataDirOption,
    JsonOption,
    explain_failure,
    fail,
    settings_of,
)
from tradingd.usage_words import mention_negative_numbers

_SYMBOLS: Final = "TRADINGD__SYMBOLS"
_PATIENCE_ON_TERMINAL_S: Final = 20.0
"""An outage is often over by then; who mistyped an address reads the reason meanwhile."""
_EPILOG: Final = "\b\nExit codes:\n" + "\n".join(f"  {code}  {text}" for code, text in exit_codes.MEANINGS.items())


class _OneSentence(TyperGroup):
    """Turns every failure of a command into a sentence on stderr and an exit code, never a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            if isinstance(error, BrokenPipeError) or type(error).__module__.split(".")[0] in ("typer", "click"):
                mention_negative_numbers(error)
                raise  # usage errors and ordered exits say it themselves
            told = explain_failure(error)
            fail(told.code, told.text)


app = typer.Typer(
    name="tradingd", cls=_OneSentence, no_args_is_help=True, add_completion=False, rich_markup_mode=None,
    pretty_exceptions_enable=False, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]},
    help="A live trading daemon: agents that argue, a risk officer with a veto, trailing orders.",
)


@app.command()
def run(
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    port: Annotated[int | None, typer.Option("--port", min=0, max=65535, help="Of the API; 0 = a free one.")] = None,
    venue: Annotated[str | None, typer.Option("--venue", help="One of [venues.*]; practice needs no key.")] = None,
    symbols: Annotated[str | None, typer.Option("--symbols", metavar="A,B", help="What may be traded.")] = None,
    replay: Annotated[
        list[str] | None, typer.Option("--replay", metavar="FILE", help="Trade on recordings (repeat, or a,b).")
    ] = None,
    speed: Annotated[float, typer.Option("--speed", min=0, help="Of a replay; 0 = as fast as possible.")] = 1.0,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Root of all chance.")] = None,
    for_seconds: Annotated[
        float | None, typer.Option("--for", metavar="SECONDS", min=0, help="End by itself after this long.")
    ] = None,
    log: Annotated[str | None, typer.Option("--log", metavar="console|json", help="Format of the log.")] = None,
    faults: Annotated[
        Path | None, typer.Option("--faults", metavar="FILE", help="What goes wrong at the practice exchange.")
    ] = None,
    wait: Annotated[
        bool | None, typer.Option(
            "--wait/--no-wait", show_default=False,
            help="When a first start does not reach the venue: wait for it, or end. Default: end, on a terminal, after "
            "some tries.",
        ),
    ] = None,
    no_safe: Annotated[bool, typer.Option("--no-safe", help="Trade at once even after repeated crashes.")] = False,
) -> None:
    """Run the daemon until Ctrl-C, SIGTERM or `tradingd shutdown`."""
    from tradingd.run_options import RunOptions

    files = replay_files(replay or [])
    if log is not None and log not in ("console", "json"):
        raise CliError(exit_codes.USAGE, f"--log {log!r}: write console or json.")
    overrides: dict[str, Any] = {}
    for key, value in (("data_dir", data_dir and str(data_dir)), ("venue", venue), ("seed", seed)):
        if value is not None:
            overrides[key] = value
    if symbols is not None:
        overrides["symbols"] = [part.strip().upper() for part in symbols.split(",") if part.strip()]
    if port is not None:
        overrides["api"] = {"port": port}
    if faults is not None:
        overrides["practice"] = {"faults": str(faults)}
    if log is not None:
        overrides["log"] = {"format": log}
    from tradingd.secret_sources import wipe_environment
    from tradingd.settings_loading import load_settings

    settings = load_settings(config, overrides=overrides, unlock=True)
    wipe_environment()
    from tradingd.collection_pause import no_collection

    with no_collection():
        from tradingd.process import run_daemon

    named = symbols is not None or _SYMBOLS in os.environ
    if wait is None:
        patience_s = _PATIENCE_ON_TERMINAL_S if sys.stdout.isatty() else math.inf
    else:
        patience_s = math.inf if wait else 0.0
    options = RunOptions(files, speed, for_seconds, no_safe, symbols_given=named, patience_s=patience_s)
    raise typer.Exit(run_daemon(settings, options))


def replay_files(given: list[str]) -> tuple[Path, ...]:
    """Each --replay may name one recording or several, separated by commas; raises `CliError` for a missing one."""
    files = tuple(Path(part.strip()) for text in given for part in text.split(",") if part.strip())
    for file in files:
        if not file.exists():
            raise CliError(exit_codes.USAGE, f"--replay {file}: there is no such file. Name an existing recording.")
    return files


@app.command(
    add_help_option=False, context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
)
def practice(ctx: typer.Context) -> None:
    """Run only the practice exchange (options: tradingd practice --help)."""
    import runpy

    sys.argv = ["tradingd practice", *ctx.args]
    runpy.run_module("exchanges.practice", run_name="__main__", alter_sys=True)


@app.command()
def token(
    role: Annotated[str, typer.Option("--role", help="viewer | operator")] = "operator",
    hours: Annotated[float, typer.Option("--hours", min=0.01, max=720, help="How long it is good for.")] = 24,
    config: ConfigOption = None, data_dir: DataDirOption = None,
) -> None:
    """Print a token for the API."""
    from tradingd.auth import mint_token

    wanted = cli_user.role_of(role)
    user = "operator" if wanted == "operator" else "viewer"
    sys.stdout.write(mint_token(settings_of(config, data_dir).data_dir, user, wanted, hours) + "\n")


app.add_typer(cli_user.app, name="user")
app.add_typer(cli_grid.app, name="grid", rich_help_panel="Steer")
app.add_typer(cli_tuning.app, name="tuning", rich_help_panel="Steer")
app.add_typer(cli_secrets.app, name="secrets")
app.add_typer(cli_alerts.app, name="alerts")
app.add_typer(cli_venue.app, name="venue")
app.add_typer(cli_debug.app, name="debug")


@app.command()
def doctor(
    config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False,
) -> None:
    """Check this machine, the settings, and what the daemon needs."""
    from dataclasses import asdict

    from tradingd import cli_tables
    from tradingd.doctor import examine

    results = examine(config, {"data_dir": str(data_dir)} if data_dir is not None else {})
    rows = [asdict(result) for result in results]
    if json:
        cli_tables.print_json(rows)
    else:
        cli_tables.checks(rows)
    if any(result.level == "fail" for result in results):
        raise typer.Exit(exit_codes.FAILURE)


@app.command()
def version() -> None:
    """Print the version."""
    from tradingd.version import VERSION

    sys.stdout.write(f"tradingd {VERSION}\n")


cli_view.register(app)
cli_market.register(app)
cli_council.register(app)
cli_risk.register(app)
cli_control.register(app)
cli_orders.register(app)
cli_journal.register(app)
cli_store.register(app)
cli_backup.register(app)


def main() -> None:
    """Entry point of `tradingd`."""
    try:
        app()
    except BrokenPipeError:
        # The reader of our pipe has left (`tradingd orders | head`): nothing more to say, and no failure.
        sys.stderr.close()
        raise SystemExit(exit_codes.OK) from None
