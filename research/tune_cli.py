"""`tradelab tune`: what varied parameters would have made of recent history."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from research import cli_session, data_cli
from research.cli_session import CliError, DataDirOption, JsonOption

if TYPE_CHECKING:
    from agents.parameters import Parameters
    from research.backtest.bars import Bars
    from tradingd.settings import Settings


def tune(
    candles: Annotated[int, typer.Option(min=100, max=10_000, help="So many of the newest, of each symbol.")] = 500,
    timeframe: Annotated[str, typer.Option(help="Such as 1h; default: that of decisions, else the shortest.")] = "",
    symbols: Annotated[str, typer.Option(help="Separated by commas; default: of config.toml.")] = "",
    venue: Annotated[str, typer.Option(help="Whose history; default: of config.toml.")] = "",
    sets: Annotated[str, typer.Option(help="JSON list of sets; default: the configured one and ten variations.")] = "",
    json_: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Replay recent history with the parameters of config.toml and ten variations of them; nothing is changed.

    The daemon does the same once a day and moves a tenth of the way to the best.
    """
    from research.backtest.progress import watched
    from research.tuning.replay import MOST_SYMBOLS, judge

    settings = _settings(data_dir)
    wanted = [name.strip() for name in symbols.split(",") if name.strip()] or list(settings.symbols)
    chosen = _sets(sets, settings)
    bars = _bars(data_dir, venue or settings.venue, wanted[:MOST_SYMBOLS], timeframe, candles, settings)
    with watched("tuning", len(chosen)) as progress:
        judged = judge(chosen, bars, settings, progress or (lambda done: None))
    names = ", ".join(each.symbol for each in bars)
    told = f"{sum(map(len, bars)):,} candles of {bars[0].interval}: {names}"
    if json_:
        cli_session.print_json({
            "council": judged.council, "grid": judged.grid, "trades": judged.trades, "told": told,
        })
        return
    _tell(chosen, judged, told)


def _tell(chosen: "tuple[Parameters, ...]", judged: Any, told: str) -> None:
    from agents.parameters import BOUNDS

    typer.echo(told)
    typer.echo("".join(f"{name:>12}" for name in ("set", *BOUNDS, "council", "grid", "trades")))
    for number, each in enumerate(chosen):
        scores = [f"{scores[number]:+.4f}" if scores else "-" for scores in (judged.council, judged.grid)]
        row = ("current" if not number else str(number), *(f"{each.value(name):f}" for name in BOUNDS), *scores)
        typer.echo("".join(f"{text:>12}" for text in (*row, str(judged.trades[number]))))
    typer.echo("scores: return less deepest drawdown; - where no set made a difference")


def _settings(data_dir: Path | None) -> "Settings":
    from tradingd.settings_errors import ConfigError
    from tradingd.settings_loading import load_settings

    try:
        return load_settings(overrides={"data_dir": str(data_dir)} if data_dir is not None else None)
    except ConfigError as error:
        raise CliError(cli_session.CONFIGURATION, str(error)) from error


def _sets(text: str, settings: "Settings") -> "tuple[Parameters, ...]":
    from decimal import Decimal, InvalidOperation

    from agents.parameters import BOUNDS, Parameters
    from agents.tuning import variations
    from tradingd.parameters import configured_parameters

    if not text:
        configured = configured_parameters(settings)
        return variations(configured.within_bounds(configured), configured, settings.seed, 0)
    try:
        rows = json.loads(text)
        found = tuple(Parameters(**{name: Decimal(row[name]) for name in BOUNDS}) for row in rows)
    except (ValueError, KeyError, TypeError, InvalidOperation) as error:
        raise CliError(cli_session.USAGE, f"--sets: no list of sets of parameters ({type(error).__name__})") from error
    if not found:
        raise CliError(cli_session.USAGE, "--sets: the list is empty")
    return found


def _bars(
    data_dir: Path | None, venue: str, symbols: list[str], timeframe: str, count: int, settings: "Settings",
) -> "list[Bars]":
    """Of each symbol; without `timeframe` those that the council decides on, else the nearest there is: the shortest.
    """
    from market.interval import interval_ns
    from research.backtest.bars import Bars

    store = data_cli.open_store(data_dir, venue)
    series = store.series()
    found = []
    for symbol in symbols:
        steps = sorted(
            (step for name, step in series if name == symbol and timeframe in ("", step)),
            key=lambda step: (step != settings.candles.decision, interval_ns(step)),
        )
        if not steps:
            continue
        times = store.open_times(symbol, steps[0])
        if len(times) >= count // 2:  # of years of minutes only so many are read
            found.append(Bars(symbol, steps[0], store.read(symbol, steps[0], int(times[-count:][0]))))
    if not found:
        raise CliError(
            cli_session.NOT_FOUND,
            f"no history to replay: {store.root} holds fewer than {count // 2} candles of {', '.join(symbols)}. "
            "The daemon stores them as they close; or: tradelab data backfill",
        )
    return found
