"""Commands about the council: its decisions, its agents and alphas, and how much each alpha counts."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import urlencode

import typer

from tradingd import exit_codes
from tradingd.cli_session import CliError, ConfigOption, DataDirOption, JsonOption, ask

if TYPE_CHECKING:
    from tradingd.read_model import ReadModel
    from tradingd.settings import Settings

_OUTCOMES: Final = ("proposed", "hold", "unsure", "blocked", "no_plan")
_WORDS: Final = {"trail_buy": "buy", "trail_sell": "sell", "hold": "hold"}


def decisions(
    config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False,
    symbol: Annotated[str, typer.Option("--symbol", help="Such as BTC/USDT.")] = "",
    outcome: Annotated[str, typer.Option("--outcome", help=f"{' | '.join(_OUTCOMES)}")] = "",
    votes: Annotated[bool, typer.Option("--votes", help="A line for each alpha, with its reasoning.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most this many, newest first.")] = 20,
) -> None:
    """What the council decided, with every vote: the holds and what led to nothing, too."""
    wanted = outcome.lower().replace("-", "_")
    if wanted and wanted not in _OUTCOMES:
        raise CliError(exit_codes.USAGE, f"--outcome {outcome!r}: write one of {', '.join(_OUTCOMES)}.")

    def offline(model: "ReadModel", settings: "Settings") -> Any:
        from tradingd.decision_view import decision_views
        from tradingd.symbols import find_symbol

        known = find_symbol(symbol, settings.symbols) or symbol if symbol else ""
        return [asdict(view) for view in decision_views(model.council, symbol=known, outcome=wanted, limit=limit)]

    query = {"limit": str(limit)} | ({"symbol": symbol} if symbol else {}) | ({"outcome": wanted} if wanted else {})
    answer = ask(config, data_dir, lambda client: client.get(f"/api/decisions?{urlencode(query)}"), offline)
    from tradingd import cli_tables

    if json:
        cli_tables.print_json(answer)
    else:
        _show_decisions(answer, votes=votes)


def _show_decisions(answer: Sequence[Mapping[str, Any]], *, votes: bool) -> None:
    from tradingd import cli_tables

    out = cli_tables.console()
    if not answer:
        out.print("no decision yet")
        return
    if not votes:
        rows = []
        for each in answer:
            skipped = "".join(f"; {one['alpha']} skipped ({one['code']})" for one in each["skipped"])
            rows.append((*_head(each), each["reason"] + skipped))
        columns = ("time (UTC)", "symbol", "market", "outcome", "side", "sure", "says")
        out.print(cli_tables.table(columns, rows, ("sure",)))
        return
    for each in answer:
        out.print(cli_tables.clean("  ".join(_head(each)) + f"  {each['reason']}"))
        lines = [
            (one["alpha"], _WORDS[one["action"]], f"{one['confidence']:.2f}", f"{one['weight']:g}", one["reasoning"])
            for one in each["votes"]
        ]
        lines += [
            (one["alpha"], "skipped", "-", f"{one['weight']:g}", f"{one['code']}, {one['family']}: {one['reason']}")
            for one in each["skipped"]
        ]
        indented = [(f"  {name}", *rest) for name, *rest in lines]
        out.print(cli_tables.table(("  alpha", "vote", "sure", "weight", "says"), indented, ("sure", "weight")))


def _head(decision: Mapping[str, Any]) -> tuple[str, ...]:
    from tradingd import cli_tables

    outcome = decision["outcome"] + (f", {decision['verdict']}" if decision["verdict"] else "")
    return (
        cli_tables.moment(decision["time"]), decision["symbol"], decision["regime"], outcome,
        _WORDS[decision["action"]], f"{decision['confidence']:.2f}",
    )


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command(rich_help_panel="Look")(decisions)
