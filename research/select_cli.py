"""`tradelab select`: strategies tried on history, and those written down that the daemon shall trade."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from research import cli_session
from research.backtest_options import HistoryVenueOption, amount_of, dataset_of
from research.cli_session import CliError, DataDirOption, JsonOption

if TYPE_CHECKING:
    from agents.strategies.selector import Selection


def select(
    strategy: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME[:KEY=VALUE,...]", help="Repeat it; default: every one of the library."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Candles: CSV, JSON, Parquet; else the history.")
    ] = None,
    symbol: Annotated[str, typer.Option(help="Such as BTC/USDT.")] = "",
    timeframe: Annotated[str, typer.Option(help="Such as 1h.")] = "",
    venue: HistoryVenueOption = "",
    start: Annotated[str, typer.Option(help="First day or moment, ISO, UTC.")] = "",
    end: Annotated[str, typer.Option(help="Last moment, ISO, UTC; not included.")] = "",
    cash: Annotated[str, typer.Option(help="Capital at the beginning.")] = "10000",
    fee: Annotated[str, typer.Option(help="Ratio of each fill's worth.")] = "0.001",
    spread: Annotated[str, typer.Option(help="Ratio between bid and ask.")] = "0",
    slippage: Annotated[str, typer.Option(help="Ratio beyond the half spread.")] = "0",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show it, write nothing.")] = False,
    json_: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Choose and weigh strategies by performance, robustness, correlation and fit to the regime.

    The daemon trades them with strategy.rule = "selection". When none is good enough, nothing is written.
    """
    from agents.strategies.candle_rule import RuleError
    from agents.strategies.selector import select as choose
    from research.backtest.data import DataError, DataOptionError
    from research.backtest.runner import Costs
    from research.selection.trial import candidate_of, regimes_of

    amounts = {
        key: amount_of(key, value)
        for key, value in (("cash", cash), ("fee", fee), ("spread", spread), ("slippage", slippage))
    }
    wanted = _wanted(strategy or [])
    series = {
        "data": str(data or ""), "symbol": symbol, "timeframe": timeframe, "venue": venue, "start": start, "end": end,
    }
    try:
        found = dataset_of(series, data_dir, [])
    except DataError as error:
        code = cli_session.USAGE if isinstance(error, DataOptionError) else cli_session.NOT_FOUND
        raise CliError(code, str(error)) from error
    costs = Costs(amounts["fee"], amounts["spread"], amounts["slippage"])
    regimes = regimes_of(found.bars)
    try:
        candidates = [
            candidate_of(name, given, found.bars, regimes, amounts["cash"], costs) for name, given in wanted
        ]
    except RuleError as error:
        raise CliError(cli_session.USAGE, str(error)) from error
    selection = choose(candidates)
    about = {"venue": venue} if venue else {}
    document = _document(selection, found, about | {key: str(value) for key, value in amounts.items()})
    if json_:
        cli_session.print_json(document)
    else:
        _tell(document)
    if not selection.chosen:
        raise CliError(cli_session.FAILURE, "no strategy is good enough: nothing was written, an earlier choice stays")
    if not dry_run:
        path = _write(document, data_dir)
        cli_session.note(
            f'written to {path}; the daemon trades it with strategy.rule = "selection" and '
            f'candles.decision = "{document["timeframe"]}"'
        )


def _wanted(given: list[str]) -> list[tuple[str, dict[str, float]]]:
    from agents.strategies.library import STRATEGIES

    found: dict[str, dict[str, float]] = {}
    for text in given or [name for name in STRATEGIES if name != "trailing_grid"]:
        name, _, rest = text.partition(":")
        if name not in STRATEGIES or name == "trailing_grid" or name in found:
            names = ", ".join(each for each in STRATEGIES if each != "trailing_grid")
            raise CliError(cli_session.USAGE, f"--strategy {text!r}: write each of these once at most: {names}")
        found[name] = dict(_pair(text, part) for part in rest.split(",") if part)
    return list(found.items())


def _pair(text: str, part: str) -> tuple[str, float]:
    key, _, value = part.partition("=")
    try:
        number = float(value)
    except ValueError:
        raise CliError(cli_session.USAGE, f"--strategy {text!r}: write NAME:KEY=NUMBER,KEY=NUMBER") from None
    return key.strip(), int(number) if number.is_integer() and "." not in value else number


def _document(selection: "Selection", found: Any, about: Mapping[str, str]) -> dict[str, Any]:
    bars = found.bars
    return {
        "symbol": bars.symbol, "timeframe": bars.interval, "first_ts": int(bars.ts[0]), "last_ts": int(bars.ts[-1]),
        "candles": len(bars), "fingerprint": found.fingerprint, **about,
        "strategies": [
            {
                "name": each.candidate.name, "param": dict(each.candidate.parameters), "weight": each.weight,
                "fit": dict(each.fit), "score": round(each.candidate.score, 6), "reason": each.reason,
            }
            for each in selection.chosen
        ],
        "left_out": [{"name": name, "reason": reason} for name, reason in selection.left_out],
    }


def _tell(document: Mapping[str, Any]) -> None:
    typer.echo(f"{document['candles']:,} candles of {document['symbol']} {document['timeframe']}")
    for each in document["strategies"]:
        fit = ", ".join(f"{regime} {value:g}" for regime, value in each["fit"].items())
        typer.echo(f"  {each['name']:<17} weight {each['weight']:.2f}  {each['reason']}")
        typer.echo(f"  {'':<17} fit: {fit}")
    for each in document["left_out"]:
        typer.echo(f"  {each['name']:<17} left out: {each['reason']}")


def _write(document: Mapping[str, Any], data_dir: Path | None) -> Path:
    from tradingd.strategy_choice import SELECTION_FILE

    path = cli_session.history_root(data_dir).parent / SELECTION_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    os.replace(temporary, path)
    return path
