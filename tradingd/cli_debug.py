"""`tradingd debug`: the glass over alphas, agents and events of the running daemon."""

import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final
from urllib.parse import quote, urlencode

import typer

from tradingd.cli_session import ConfigOption, DataDirOption, JsonOption, connect, note

_LOOK_EVERY_S: Final = 0.5
_MOST: Final = 2_000

app = typer.Typer(
    help="Look into the running daemon: alphas live, how long agents think, events again.", no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def alphas(config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False) -> None:
    """Each alpha live: last signal, confidence, state, time it takes, memory it holds, success rate."""
    from tradingd import cli_tables

    answer = connect(config, data_dir).get("/api/debug/alphas")
    if json:
        cli_tables.print_json(answer)
        return
    columns = (
        "alpha", "state", "weight", "last signal", "confidence", "right", "mean", "longest", "memory", "reasoning",
    )
    cli_tables.print_table(columns, [_alpha_row(each) for each in answer], columns[4:9])


@app.command()
def profile(
    agent: Annotated[str, typer.Argument(help="ceo, scanner, analyst, strategy, risk or trader.")],
    config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False,
) -> None:
    """How long an agent thinks, how busy it keeps the daemon, and how much memory hangs on it."""
    from tradingd import cli_tables

    answer = connect(config, data_dir).get(f"/api/debug/agents/{quote(agent, safe='')}/profile")
    if json:
        cli_tables.print_json(answer)
        return
    memory = _bytes(answer["memory_bytes"]) + ("" if answer["is_memory_complete"] else " or more")
    cli_tables.console().print(cli_tables.pairs([
        ("agent", answer["name"]), ("reactions", f"{answer['reactions']:,} ({answer['failures']} failed)"),
        ("takes", f"{_us(answer['mean_us'])} on average, {_us(answer['longest_us'])} at most, "
                  f"{_us(answer['last_us'])} the last time"),
        ("busy", cli_tables.percent(answer["busy_ratio"], 3)), ("memory", memory),
    ]))


@app.command()
def events(
    config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False,
    after: Annotated[str, typer.Option("--after", metavar="ID", help="Only what came after this event.")] = "",
    kind: Annotated[str, typer.Option("--kind", metavar="KIND", help="Such as OrderFilled.")] = "",
    source: Annotated[str, typer.Option("--source", metavar="WHO", help="Such as engine or analyst.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=_MOST, help="At most so many, oldest first.")] = 200,
    follow: Annotated[bool, typer.Option("--follow", help="Go on until Ctrl-C.")] = False,
) -> None:
    """The last 2,000 events again, as they happened. With --json one object a line."""
    client = connect(config, data_dir)
    at = after
    while True:
        query = urlencode({"after": at, "kind": kind, "source": source, "limit": limit})
        answer = client.get(f"/api/debug/events?{query}")
        for event in answer:
            _tell_event(event, as_json=json)
        if not follow:
            if not answer and not json:
                note("no such event among the latest. Kinds are written like OrderFilled, sources like engine.")
            return
        at = answer[-1]["id"] if answer else at
        time.sleep(_LOOK_EVERY_S)


def _tell_event(event: Mapping[str, Any], *, as_json: bool) -> None:
    import orjson

    from tradingd import cli_tables

    if as_json:
        typer.echo(orjson.dumps(event).decode())
        return
    data = ", ".join(f"{name} {_short(value)}" for name, value in event["data"].items() if value not in ("", None, []))
    line = f"{event['time'][11:23]}  {event['source']:<9} {event['kind']:<22} {data}"
    typer.echo(cli_tables.clean(line)[:400])


def _short(value: object) -> str:
    text = f"[{len(value)}]" if isinstance(value, Sequence) and not isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _alpha_row(each: Mapping[str, Any]) -> tuple[object, ...]:
    from tradingd.cli_tables import percent

    last, shown = each["last_signal"], each["profile"]
    signal = "-" if last is None else f"{last['action'].replace('_', '-')} {last['symbol']} {last['time'][11:19]}"
    confidence = "-" if last is None else f"{last['confidence']:.2f}"
    return (
        each["alpha"], each["state"], f"{each['weight']:g}", signal, confidence,
        percent(each["result"]["success_rate"]), "-" if shown is None else _us(shown["mean_us"]),
        "-" if shown is None else _us(shown["longest_us"]), "-" if shown is None else _bytes(shown["memory_bytes"]),
        "" if last is None else last["reasoning"],
    )


def _us(microseconds: float) -> str:
    return f"{microseconds:,.0f} us" if microseconds < 10_000 else f"{microseconds / 1000:,.1f} ms"


def _bytes(count: int) -> str:
    if count < 10 * 1024:
        return f"{count:,} B"
    return f"{count / 1024:,.0f} KiB" if count < 10 * 1024 * 1024 else f"{count / 1024 / 1024:,.1f} MiB"
