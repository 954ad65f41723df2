"""Commands about the council: its decisions, its agents and alphas, and how much each alpha counts."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import quote, urlencode

import typer

from tradingd import exit_codes
from tradingd.cli_session import CliError, ConfigOption, DataDirOption, JsonOption, ask, connect

if TYPE_CHECKING:
    from tradingd.read_model import ReadModel
    from tradingd.settings import Settings

_OUTCOMES: Final = ("proposed", "hold", "unsure", "blocked", "no_plan", "approved", "vetoed", "expired")
_WORDS: Final = {"trail_buy": "buy", "trail_sell": "sell", "hold": "hold"}


def decisions(
    config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False,
    symbol: Annotated[str, typer.Option("--symbol", help="Such as BTC/USDT.")] = "",
    outcome: Annotated[str, typer.Option("--outcome", metavar="WORD", help=f"One of {', '.join(_OUTCOMES)}.")] = "",
    votes: Annotated[bool, typer.Option("--votes", help="A line for each alpha, with its reasoning.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most this many, newest first.")] = 20,
) -> None:
    """What the council decided, with every vote: the holds and what led to nothing, too."""
    wanted = outcome.strip().lower().replace("-", "_").replace(" ", "_")
    if wanted and wanted not in _OUTCOMES:
        said = ", ".join(_OUTCOMES[:5]), ", ".join(_OUTCOMES[5:])
        text = f"--outcome {outcome!r}: write one of {said[0]}; or what became of a proposal: {said[1]}."
        raise CliError(exit_codes.USAGE, text)

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
        _show_decisions(answer, votes=votes, is_chosen=bool(wanted or symbol))


def _show_decisions(answer: Sequence[Mapping[str, Any]], *, votes: bool, is_chosen: bool) -> None:
    from tradingd import cli_tables

    out = cli_tables.console()
    if not answer:
        out.print("no such decision" if is_chosen else "no decision yet")
        return
    if not votes:
        rows = []
        for each in answer:
            skipped = "".join(f"; {one['alpha']} skipped ({one['code']})" for one in each["skipped"])
            rows.append((*_head(each), _reason(each) + skipped, _id_of(each)))
        columns = ("time (UTC)", "symbol", "market", "outcome", "side", "sure", "says", "id")
        cli_tables.print_table(columns, rows, ("sure",), later=("id",))
        out.print("`tradingd explain ID` tells one with every vote")
        return
    for each in answer:
        out.print(cli_tables.clean("  ".join(_head(each)) + f"  {_reason(each)} ({_id_of(each)})"))
        lines = [
            (one["alpha"], _WORDS[one["action"]], f"{one['confidence']:.2f}", f"{one['weight']:g}", one["reasoning"])
            for one in each["votes"]
        ]
        lines += [
            (one["alpha"], "skipped", "-", f"{one['weight']:g}", f"{one['code']}, {one['family']}: {one['reason']}")
            for one in each["skipped"]
        ]
        indented = [(f"  {name}", *rest) for name, *rest in lines]
        cli_tables.print_table(("  alpha", "vote", "sure", "weight", "says"), indented, ("sure", "weight"))


def _id_of(decision: Mapping[str, Any]) -> str:
    """What `tradingd explain` takes: the shorter one where there are two."""
    return str(decision["proposal_id"] or decision["id"])


def _reason(decision: Mapping[str, Any]) -> str:
    """Why it was decided so, and why the risk officer said no where that was the end of it."""
    veto = decision["verdict_reason"]
    return f"{decision['reason']}; {veto} [{decision['verdict_code']}]" if veto else str(decision["reason"])


def _head(decision: Mapping[str, Any]) -> tuple[str, ...]:
    from tradingd import cli_tables

    outcome = decision["outcome"] + (f", {decision['verdict']}" if decision["verdict"] else "")
    return (
        cli_tables.moment(decision["time"]), decision["symbol"], decision["regime"], outcome,
        _WORDS[decision["action"]], f"{decision['confidence']:.2f}",
    )


def agents(config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False) -> None:
    """The six agents and every alpha: state, last signal, weight, times, success."""

    def offline(model: "ReadModel", settings: "Settings") -> Any:
        from tradingd.council_view import offline_members

        return [asdict(view) for view in offline_members(model, settings.council.weights)]

    answer = ask(config, data_dir, lambda client: client.get("/api/agents"), offline)
    from tradingd import cli_tables

    if json:
        cli_tables.print_json(answer)
        return
    cli_tables.agents([each for each in answer if each["kind"] == "agent"])
    _show_alphas([each for each in answer if each["kind"] == "alpha"])


def _show_alphas(answer: Sequence[Mapping[str, Any]]) -> None:
    from tradingd import cli_tables

    rows = []
    for each in answer:
        alpha, timing, last = each["alpha"], each["timing"] or {}, each["alpha"]["last_signal"]
        said = f"{_WORDS[last['action']]} {last['confidence']:.2f}" if last else "-"
        weight = f"{alpha['weight']:g}" + {"config": "", "person": " set", "learnt": " learnt"}[alpha["weight_source"]]
        right = f"{alpha['right']}/{alpha['outcomes']}" if alpha["outcomes"] else "-"
        memory = "-" if alpha["memory_bytes"] is None else f"{alpha['memory_bytes'] / 1e6:.0f} MB"
        rows.append((
            each["name"], each["state"], weight, said, cli_tables.percent(alpha["success_rate"], 0), right,
            _milliseconds(timing.get("p50_us")), _milliseconds(timing.get("p99_us")),
            _milliseconds(timing.get("max_us")), memory, alpha["skipped"], each["error"] or each["progress"]["message"],
        ))
    columns = (
        "alpha", "state", "weight", "last", "right", "trips", "p50 ms", "p99 ms", "max ms", "memory", "skipped",
        "message",
    )
    cli_tables.console().print()
    numbers = ("weight", "right", "trips", "p50 ms", "p99 ms", "max ms", "memory", "skipped")
    cli_tables.print_table(columns, rows, numbers, later=("p50 ms", "max ms", "memory", "p99 ms", "skipped"))


def _milliseconds(microseconds: float | None) -> str:
    return "-" if microseconds is None else f"{microseconds / 1000:.2f}"


def weight(
    alpha: Annotated[str, typer.Argument(help="Such as momentum; none: all of them.")] = "",
    value: Annotated[float | None, typer.Argument(min=0, max=1, help="0 = off, 1 = counts fully.")] = None,
    release: Annotated[bool, typer.Option("--release", help="Give it back to what is learnt, or the file.")] = False,
    version: Annotated[int | None, typer.Option("--version", min=1, help="Back to the weight of this change.")] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why, for those who read it later.")] = "",
    config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False,
) -> None:
    """How much an alpha counts: look at it, set it, or give it back. What a person sets holds until it is released."""
    from tradingd import cli_tables

    if sum((value is not None, release, version is not None)) > 1:
        raise CliError(exit_codes.USAGE, "give one of VALUE, --version and --release.")
    is_change = value is not None or release or version is not None
    if is_change and not alpha:
        raise CliError(exit_codes.USAGE, "name the alpha: tradingd weight ALPHA VALUE. `tradingd weight` lists them.")
    client = connect(config, data_dir)
    if not alpha:
        known = [each["name"] for each in client.get("/api/agents") if each["alpha"] and each["alpha"]["version"]]
        answers = [client.get(f"/api/agents/{quote(name, safe='')}/weight") for name in known]
        if json:
            cli_tables.print_json(answers)
        else:
            _show_weights(answers)
        return
    path = f"/api/agents/{quote(alpha, safe='')}/weight"
    if release:
        answer = client.delete(path)
    elif is_change:
        wish = {"weight": value} if value is not None else {"version": version}
        answer = client.post(path, {**wish, "reason": reason})
    else:
        answer = client.get(path)
    if json:
        cli_tables.print_json(answer)
        return
    _show_weights([answer])
    if not is_change and answer["changes"]:
        cli_tables.console().print()
        rows = [
            (change["version"], cli_tables.moment(change["time"]), f"{change['weight']:g}", change["by"],
             "until released" if change["is_pinned"] else "", change["reason"])
            for change in answer["changes"]
        ]
        columns = ("version", "time (UTC)", "weight", "by", "holds", "says")
        cli_tables.print_table(columns, rows, ("version", "weight"))


def _show_weights(answers: Sequence[Mapping[str, Any]]) -> None:
    from tradingd import cli_tables

    rows = [
        (
            each["alpha"], f"{each['weight']:g}", f"{each['configured']:g}",
            {"config": "the file", "learnt": "outcomes", "person": each["by"] or "a person"}[each["source"]],
            f"{each['right']}/{each['outcomes']}", each["version"], each["reason"],
        )
        for each in answers
    ]
    columns = ("alpha", "weight", "configured", "said by", "right", "version", "says")
    cli_tables.print_table(columns, rows, ("weight", "configured", "right", "version"))


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (agents, decisions):
        app.command(rich_help_panel="Look")(command)
    app.command(rich_help_panel="Steer")(weight)
