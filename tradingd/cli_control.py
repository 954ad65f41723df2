"""Commands that change something in the running daemon: trading state, kill switch, the end."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from tradingd import exit_codes
from tradingd.cli_kill import kill, unlock
from tradingd.cli_orders import say
from tradingd.cli_session import (
    CliError,
    ConfigOption,
    DataDirOption,
    JsonOption,
    YesOption,
    client_of,
    confirm,
    connect,
    note,
    settings_of,
)


def _vote(name: str, about: str) -> Callable[..., None]:
    def command(config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False) -> None:
        answer = connect(config, data_dir).post(f"/api/trading/{name}")
        awaited = answer["awaiting_venue"]
        ended = [each for each in answer["cancelled"] if each not in awaited]
        sentence = f"trading is {answer['state']}"
        others = [vote for vote in answer["trading"]["votes"] if vote["state"] != "ACTIVE"]
        if others:
            sentence += ": " + "; ".join(f"{vote['voter']} says {vote['state']} ({vote['reason']})" for vote in others)
        if answer["kill"] is not None:
            sentence += "; the kill switch is engaged (tradingd unlock releases it)"
        if ended:
            sentence += f"; cancelled {len(ended)} entries"
        if awaited:
            sentence += (
                f"; the exchange was asked to cancel {len(awaited)} entries and has not confirmed it yet "
                "(tradingd orders shows them)"
            )
        say(answer, sentence, as_json=json)
        if name in ("start", "resume") and answer["kill"] is not None:
            raise typer.Exit(exit_codes.REFUSED)  # a script must see that trading did not begin

    command.__name__ = name
    command.__doc__ = about
    return command


def shutdown(config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False) -> None:
    """End the daemon in order. Positions stay open; until it starts again only stops at the venue watch them."""
    answer = connect(config, data_dir).post("/api/shutdown")
    say(answer, answer["message"], as_json=json)


def mode(
    wanted: Annotated[
        str, typer.Argument(metavar="[paper|live]", help="Where orders go; without it: where they go now.")
    ] = "",
    yes: YesOption = False,
    config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False,
) -> None:
    """Paper or live: look, or switch. The account must be flat, and the daemon starts anew in the other mode."""
    if not wanted:
        _tell_mode(config, data_dir, as_json=json)
        return
    if wanted not in ("paper", "live"):
        raise CliError(exit_codes.USAGE, f"{wanted!r}: write paper or live.")
    client = connect(config, data_dir)
    body = {"mode": wanted}
    if wanted == "live":
        confirm("Orders will go to the venue, with its money. Go live?", yes=yes)
        body["confirm"] = "live"
    answer = client.post("/api/trading/mode", body)
    say(answer, answer["message"], as_json=json)


def _tell_mode(config: Path | None, data_dir: Path | None, *, as_json: bool) -> None:
    from tradingd.client import NotReachableError
    from tradingd.mode_switch import as_chosen

    settings = settings_of(config, data_dir)
    try:
        status = client_of(settings.data_dir).get("/api/status")
        present, venue, is_running = status["mode"], status["venue"], True
    except NotReachableError as error:
        present, venue, is_running = as_chosen(settings).mode, settings.venue, False
        note(f"{error}: this is how the next start would be")
    where = "no order leaves this machine" if present == "paper" else f"orders go to {venue}"
    how = (
        "to go live write mode = \"live\" in config.toml, set TRADINGD_ALLOW_LIVE=yes and start anew"
        if settings.mode != "live" else f"`tradingd mode {'live' if present == 'paper' else 'paper'}` switches"
    )
    answer = {"mode": present, "venue": venue, "configured": settings.mode, "is_running": is_running}
    say(answer, f"{present} on {venue}: {where}; {how}, when no position is open and no order works", as_json=as_json)


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
    for command in (kill, unlock, mode, shutdown):
        app.command(rich_help_panel="Steer")(command)
