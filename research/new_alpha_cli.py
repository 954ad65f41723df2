"""`tradelab new-alpha`: a runnable signal model of twenty lines, to be made one's own."""

import keyword
from pathlib import Path
from typing import Annotated, Final

import typer

from research import cli_session
from research.cli_session import CliError, DataDirOption

FOLDER: Final = "alphas"
TEMPLATE: Final = '''\
"""{title}: follows a close that leaves the range of the last 20 candles on more volume than usual."""

from agents.alphas.alpha import MarketView, Opinion, clamp, hold, no_opinion, trail_ratio, urgency_of


class {kind}:
    name = "{name}"  # its key in council.weights, in votes and in `tradingd agents`
    version = "1"  # raise it when its opinions change
    weight = 0.5  # 0 to 1; council.weights and `tradingd weight {name} VALUE` come before it
    regimes = ("trending", "volatile")  # where it may win when the alphas disagree

    def opinion(self, view: MarketView) -> Opinion:
        high, low, volume = (view.features.get(name) for name in ("highest_20", "lowest_20", "volume_ratio"))
        if high is None or low is None or volume is None:  # what lacks history is absent
            return no_opinion(f"needs 21 candles, has {{len(view.closes)}}")
        close = view.closes[-1]
        if low <= close <= high or volume < 1.2:
            return hold(view, f"no break of {{low:g}} to {{high:g}} on volume: {{close:g}} on {{volume:.1f}}x")
        confidence = clamp(0.4 + 0.15 * volume, 0.0, 0.9)  # how often you expect to be right
        return Opinion(
            "trail_buy" if close > high else "trail_sell", confidence, trail_ratio(view), urgency_of(confidence),
            f"{{close:g}} left {{low:g}} to {{high:g}} on {{volume:.1f}}x volume",
        )
'''
"""An example that trades: a newcomer changes what is there instead of beginning with nothing."""

NEXT: Final = """\
wrote {path}
  edit      its opinion(view): what it may look at is told in docs/alphas.md
  check     tradingd doctor --data-dir {data}
  try it    tradelab backtest --strategy council --data-dir {data} --symbol BTC/USDT --timeframe 1h
  trade     start the daemon anew: tradingd run --data-dir {data}
  look      tradingd agents; tradingd decisions --votes
  weigh it  tradingd weight {name} 0.3, or {name} = 0.3 in council.weights of config.toml
"""


def new_alpha(
    name: Annotated[str, typer.Argument(help="Small letters, digits and _, such as my_breakout.")],
    folder: Annotated[
        Path | None, typer.Option("--dir", metavar="DIR", help="Where to; default: alphas of the data directory.")
    ] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Write the template of a signal model that the council asks from the next start on."""
    from agents.alphas.registry import BUILT_IN_NAMES
    from tradingd.plugins.wire import NAME

    if NAME.fullmatch(name) is None or keyword.iskeyword(name):
        raise CliError(
            cli_session.USAGE, f"{name!r} is no name for an alpha: write small letters, digits and _, beginning with a "
            "letter, 40 at most, and no word of Python's.",
        )
    if name in BUILT_IN_NAMES:
        raise CliError(cli_session.USAGE, f"{name} is a built-in alpha: choose another name.")
    data = cli_session.history_root(data_dir).parent
    target = (folder if folder is not None else data / FOLDER) / f"{name}.py"
    words = name.split("_")
    text = TEMPLATE.format(name=name, kind="".join(map(str.capitalize, words)), title=" ".join(words).capitalize())
    try:
        if folder is None:
            data.mkdir(mode=0o700, parents=True, exist_ok=True)  # as the daemon makes it
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise CliError(
            cli_session.FAILURE, f"{target} is there already and stays as it is: choose another name, or move it away.",
        ) from error
    except OSError as error:
        why = f"{target} cannot be written ({error}): name a folder with --dir."
        raise CliError(cli_session.FAILURE, why) from error
    typer.echo(NEXT.format(path=target, data=data, name=name), nl=False)
    if folder is not None and folder.resolve() != (data / FOLDER).resolve():
        typer.echo(f"  note      only files in {data / FOLDER} are loaded: copy it there when it is ready")
