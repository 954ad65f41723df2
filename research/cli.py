"""`tradelab`: the laboratory's command line. Everything heavy is imported inside the command that needs it."""

import os
from typing import Any, Final

import typer
from typer.core import TyperGroup

from research import (
    backfill_cli,
    backtest_cli,
    backtest_report_cli,
    cli_session,
    data_cli,
    maintain_cli,
    new_alpha_cli,
    parity_cli,
    select_cli,
    sessions_cli,
    strategies_cli,
    tune_cli,
)
from tradingd.usage_words import mention_negative_numbers

_EPILOG: Final = "\b\nExit codes:\n" + "\n".join(f"  {code}  {text}" for code, text in cli_session.MEANINGS.items())


class _OneSentence(TyperGroup):
    """Turns every failure of a command into a sentence on stderr and an exit code, never a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            cli_session.fail(cli_session.INTERRUPTED, "stopped; what was done is kept: the same command goes on")
        except Exception as error:
            if isinstance(error, BrokenPipeError) or type(error).__module__.split(".")[0] in ("typer", "click"):
                mention_negative_numbers(error)
                raise  # usage errors and ordered exits say it themselves
            if isinstance(error, cli_session.CliError):
                cli_session.fail(error.code, error.text)
            cli_session.fail(cli_session.FAILURE, str(error) or type(error).__name__)


app = typer.Typer(
    name="tradelab", cls=_OneSentence, no_args_is_help=True, add_completion=False, rich_markup_mode=None,
    pretty_exceptions_enable=False, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]},
    help="The laboratory beside the trading daemon: history, backtests, statistics.",
)
data_cli.app.command("backfill")(backfill_cli.backfill)
data_cli.app.command("maintain")(maintain_cli.maintain)
app.add_typer(data_cli.app, name="data")
app.command("backtest")(backtest_cli.backtest)
app.add_typer(sessions_cli.sessions, name="sessions")
app.command("strategies")(strategies_cli.strategies)
app.command("report")(backtest_report_cli.report)
app.command("parity")(parity_cli.parity)
app.command("select")(select_cli.select)
app.command("tune")(tune_cli.tune)
app.command("new-alpha")(new_alpha_cli.new_alpha)


@app.callback()
def _root() -> None:
    """The laboratory beside the trading daemon: history, backtests, statistics."""


def main() -> None:
    """The console script."""
    # Arrow's own allocator keeps what was freed, by thread: up to 50 MB, and it is no faster here.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    app()
