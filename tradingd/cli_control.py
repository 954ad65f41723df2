"""Commands that change something in the running daemon: trading state, kill switch, orders, the end."""

import re
from collections.abc import Callable
from typing import Annotated, Any, Final
from urllib.parse import quote

import typer

from tradingd import exit_codes
from tradingd.cli_session import CliError, ConfigOption, DataDirOption, JsonOption, YesOption, confirm, connect

_TRAIL: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(%|atr)?", re.IGNORECASE)
ReasonOption = Annotated[str, typer.Option("--reason", help="Why, for the journal.")]


def _say(answer: Any, sentence: str, *, as_json: bool) -> None:
    from tradingd import cli_tables

    if as_json:
        cli_tables.print_json(answer)
    else:
        cli_tables.console().print(cli_tables.clean(sentence))


def _vote(name: str, about: str) -> Callable[..., None]:
    def command(config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False) -> None:
        answer = connect(config, data_dir).post(f"/api/trading/{name}")
        ended = answer["cancelled"]
        sentence = f"trading is {answer['state']}"
        others = [vote for vote in answer["trading"]["votes"] if vote["state"] != "ACTIVE"]
        if others:
            sentence += ": " + "; ".join(f"{vote['voter']} says {vote['state']} ({vote['reason']})" for vote in others)
        if answer["kill"] is not None:
            sentence += "; the kill switch is engaged (tradingd unlock releases it)"
        if ended:
            sentence += f"; cancelled {len(ended)} entries"
        _say(answer, sentence, as_json=json)
        if name in ("start", "resume") and answer["kill"] is not None:
            raise typer.Exit(exit_codes.REFUSED)  # a script must see that trading did not begin

    command.__name__ = name
    command.__doc__ = about
    return command


def kill(
    action: Annotated[str, typer.Option("--action", help="halt | cancel | flatten")],
    reason: ReasonOption,
    yes: YesOption = False,
    config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False,
) -> None:
    """Lock trading: halt = nothing is sent, stops and trails included; cancel = and entries end; flatten = and
    positions are closed."""
    if action not in ("halt", "cancel", "flatten"):
        raise CliError(exit_codes.USAGE, f"--action {action!r}: write halt, cancel or flatten.")
    confirm(f"Engage the kill switch ({action})? Only `tradingd unlock` releases it.", yes=yes)
    answer = connect(config, data_dir).post("/api/trading/kill", {"action": action, "reason": reason})
    latch = answer["kill"] or {"action": action, "by": "?", "reason": reason}
    word = "engaged" if answer["changed"] else "was engaged already"
    said = f"kill switch {word}: {latch['action']} by {latch['by']} ({latch['reason']}); trading is {answer['state']}"
    _say(answer, said, as_json=json)


def unlock(
    reason: ReasonOption,
    yes: YesOption = False,
    config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False,
) -> None:
    """Release the kill switch."""
    confirm("Release the kill switch?", yes=yes)
    answer = connect(config, data_dir).post("/api/trading/unlock", {"reason": reason})
    word = "released" if answer["changed"] else "was not engaged"
    _say(answer, f"kill switch {word}; trading is {answer['state']}", as_json=json)


def order(
    side: Annotated[str, typer.Argument(help="buy | sell")],
    symbol: Annotated[str, typer.Argument(help="Such as BTC/USDT.")],
    quantity: Annotated[str, typer.Argument(metavar="QTY", help="In the base currency, such as 0.01.")],
    kind: Annotated[str, typer.Option("--type", help="market | limit | stop | trailing")] = "",
    price: Annotated[str, typer.Option("--price", help="Of a limit order.")] = "",
    stop_price: Annotated[str, typer.Option("--stop-price", help="Of a stop order.")] = "",
    trail: Annotated[str, typer.Option("--trail", help="Of a trailing order: 2%, 2atr, or 150 (quote).")] = "",
    tag: Annotated[str, typer.Option("--tag", help="A word of yours.")] = "",
    config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False,
) -> None:
    """Submit an order by hand. Sells only reduce what is held."""
    given = "trailing" if trail else "stop" if stop_price else "limit" if price else "market"
    body: dict[str, Any] = {
        "symbol": symbol, "side": side.lower(), "type": kind.lower() or given, "quantity": quantity,
    }
    if price:
        body["price"] = price
    if stop_price:
        body["stop_price"] = stop_price
    if trail:
        body["trail"] = parse_trail(trail)
    if tag:
        body["tag"] = tag
    answer = connect(config, data_dir).post("/api/orders", body)
    more = f", average price {answer['average_price']}" if answer["average_price"] else ""
    more += f", trigger {answer['trigger']}" if answer["trigger"] else ""
    sentence = (
        f"{answer['id']}: {answer['side']} {answer['quantity']} {answer['symbol']} {answer['type']}: "
        f"{answer['state']} ({answer['detail']}){more}"
    )
    _say(answer, sentence, as_json=json)


def parse_trail(text: str) -> dict[str, str]:
    """`2%` -> percent, `2atr` -> atr, `150` -> absolute, in quote; raises `CliError`."""
    found = _TRAIL.fullmatch(text.strip())
    if found is None:
        raise CliError(exit_codes.USAGE, f"--trail {text!r}: write 2% (percent), 2atr (ATRs) or 150 (quote currency).")
    kind = {"%": "percent", "atr": "atr"}.get((found[2] or "").lower(), "absolute")
    return {"kind": kind, "value": found[1]}


def cancel(
    order_id: Annotated[str, typer.Argument(metavar="ID")],
    config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False,
) -> None:
    """Cancel a working order."""
    answer = connect(config, data_dir).delete(f"/api/orders/{quote(order_id, safe='')}")
    _say(answer, f"{answer['id']}: {answer['state']} ({answer['detail']})", as_json=json)


def close(
    symbol: Annotated[str, typer.Argument(help="Such as BTC/USDT.")],
    config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False,
) -> None:
    """Sell a position at market."""
    answer = connect(config, data_dir).post("/api/positions/close", {"symbol": symbol})
    made = f" with {', '.join(answer['orders'])}" if answer["orders"] else ""
    _say(answer, f"closing {', '.join(answer['symbols'])}{made}", as_json=json)


def shutdown(config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False) -> None:
    """End the daemon in order. Positions stay open; their stops and trails are watched by nobody meanwhile."""
    answer = connect(config, data_dir).post("/api/shutdown")
    _say(answer, answer["message"], as_json=json)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    votes = (
        ("start", "Vote ACTIVE: trading begins when the other voters agree."),
        ("stop", "Pause, and cancel the entries that still wait. The daemon goes on."),
        ("pause", "No new entries; exits and stops go on."),
        ("resume", "Vote ACTIVE again after a pause."),
    )
    for name, about in votes:
        app.command(name, rich_help_panel="Steer")(_vote(name, about))
    for command in (kill, unlock, order, cancel, close, shutdown):
        app.command(rich_help_panel="Steer")(command)
