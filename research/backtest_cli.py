"""`tradelab backtest`: one rule, or the council, over history."""

import os
import textwrap
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from research import cli_session
from research.backtest_options import (
    HistoryVenueOption,
    amount_of,
    dataset_of,
    options_of,
    parameters_of,
    range_of,
    recorded_files,
)
from research.cli_session import CliError, DataDirOption
from research.sessions_cli import number, percent, session_store

COUNCIL: Final = "council"
"""The name under which the product itself, agents and all, is run."""
_SHIPPED: Final = Path(__file__).resolve().parent.parent / "config.toml"


def backtest(
    config: Annotated[
        Path | None, typer.Argument(help="TOML file with the options below as keys ([param] for the rule's).")
    ] = None,
    strategy: Annotated[
        str, typer.Option(help="A name (docs/strategies.md), FILE.py:CLASS, or council: the live agents.")
    ] = "",
    param: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="A parameter of the rule; repeat it.")
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="Candles: CSV, JSON, Parquet; or recorded ticks and frames (several); "
                     "`ticks`: the daemon's own tape. Default: the history."),
    ] = None,
    symbol: Annotated[str, typer.Option(help="Such as BTC/USDT.")] = "",
    timeframe: Annotated[str, typer.Option(help="Such as 1h.")] = "",
    venue: HistoryVenueOption = "",
    stamps: Annotated[
        str, typer.Option(metavar="open|close", help="Which end of a candle the times of --data name.")
    ] = "open",
    start: Annotated[str, typer.Option(help="First day or moment, ISO, UTC.")] = "",
    end: Annotated[str, typer.Option(help="Last moment, ISO, UTC; not included.")] = "",
    cash: Annotated[str, typer.Option(help="Capital at the beginning.")] = "10000",
    stake: Annotated[str, typer.Option(help="Share of the cash per entry, 0-1.")] = "0.99",
    fee: Annotated[str, typer.Option(help="Ratio of each fill's worth.")] = "0.001",
    spread: Annotated[str, typer.Option(help="Ratio between bid and ask.")] = "0",
    slippage: Annotated[str, typer.Option(help="Ratio beyond the half spread.")] = "0",
    name: Annotated[str, typer.Option(help="Name of the session; default: from strategy, symbol and timeframe.")] = "",
    out: Annotated[
        Path | None, typer.Option("--json", metavar="OUT", help="Write trades, statistics and equity to this file.")
    ] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Run one rule over history with the live engine, gate and ledger."""
    given: dict[str, Any] = {
        "strategy": strategy,
        "data": list(data or []),
        "symbol": symbol,
        "timeframe": timeframe,
        "venue": venue,
        "stamps": stamps,
        "start": start,
        "end": end,
        "cash": cash,
        "stake": stake,
        "fee": fee,
        "spread": spread,
        "slippage": slippage,
        "name": name,
        "param": parameters_of(param or []),
    }
    named = options_of(config) if config is not None else {}
    out = out if out is not None or "json" not in named else Path(str(named["json"]))
    data_dir = data_dir if data_dir is not None or "data_dir" not in named else Path(str(named["data_dir"]))
    if out is not None and (out.is_dir() or not out.parent.is_dir()):
        what = "is a folder" if out.is_dir() else f"there is no folder {out.parent}"
        raise CliError(cli_session.USAGE, f"--json {out}: {what}; name a file in a folder that exists")
    _run({**given, **named}, out, data_dir)


def _run(chosen: Mapping[str, Any], out: Path | None, data_dir: Path | None) -> None:
    from research.backtest.data import DataError, DataOptionError
    from research.backtest.guard import LookAheadError
    from research.backtest.room import give_back_freed
    from research.backtest.rules import RuleError, make_rule
    from research.backtest.runner import Costs
    from research.backtest.session import SessionError, session_name

    if not chosen["strategy"]:
        raise CliError(cli_session.USAGE, "no strategy: write --strategy sma_cross, or name one in the config")
    give_back_freed()
    amounts = {key: amount_of(key, chosen[key]) for key in ("cash", "stake", "fee", "spread", "slippage")}
    costs = Costs(amounts["fee"], amounts["spread"], amounts["slippage"])

    def make() -> Any:
        return make_rule(str(chosen["strategy"]), chosen["param"])

    try:
        job = _job(chosen, make, amounts["cash"], amounts["stake"], costs, data_dir)
        symbol = job.symbol.replace("/", "").replace(":", "-")
        title = str(chosen["name"]) or session_name(Path(str(chosen["strategy"])).stem, symbol, job.interval)
        about = {
            "strategy": str(chosen["strategy"]),
            "param": dict(chosen["param"]),
            "rule_sha256": _rule_digest(chosen["strategy"]),
            "symbol": job.symbol,
            "timeframe": job.interval,
            **({"venue": str(chosen["venue"])} if chosen["venue"] else {}),
            "data": job.unit,
            **{key: str(value) for key, value in amounts.items()},
        }
        store = session_store(data_dir)
        store.begin(title, about)
    except (RuleError, SessionError, DataOptionError) as error:
        raise CliError(cli_session.USAGE, str(error)) from error
    except DataError as error:
        raise CliError(cli_session.NOT_FOUND, str(error)) from error
    try:
        _execute(job, amounts["cash"], about, title, store, out)
    except (RuleError, LookAheadError, DataError) as error:
        store.fail(title, about, str(error))
        raise CliError(cli_session.FAILURE, str(error)) from error
    except BaseException as error:
        store.fail(title, about, str(error) or type(error).__name__)
        raise


def _job(
    chosen: Mapping[str, Any], make: Callable[[], Any], cash: Decimal, stake: Decimal, costs: Any,
    data_dir: Path | None,
) -> Any:
    """Raises `RuleError` and `DataError`."""
    from research.backtest.jobs import CouncilJob, RuleJob, TickJob

    is_council = chosen["strategy"] == COUNCIL
    if not is_council:
        _try(make)  # a wrong name or parameter is told before anything is read
    recorded = recorded_files(chosen, data_dir)
    if not is_council:
        found = dataset_of(chosen, data_dir, recorded)
        return RuleJob(str(chosen["strategy"]), chosen["param"], found, cash, stake, costs)
    settings = _settings(data_dir)
    if recorded:
        from research.backtest.ticks import TickRecording

        recording = TickRecording(recorded, *range_of(chosen))
        return TickJob(recording, str(chosen["symbol"]), str(chosen["timeframe"]), cash, costs, settings)
    return CouncilJob(dataset_of(chosen, data_dir, recorded), cash, costs, settings)


def _try(make: Callable[[], Any]) -> None:
    """Raises `RuleError`; for a rule that reaches for more than its candles the run itself does."""
    from research.backtest.rule_cage import caged
    from research.backtest.rules import RuleError

    with caged() as tries:
        try:
            make()
        except RuleError:
            if not tries:
                raise


def _settings(data_dir: Path | None) -> Any:
    from tradingd.settings_errors import ConfigError
    from tradingd.settings_loading import BUILT_IN, load_settings
    from tradingd.strategy_choice import GRID, chosen_strategies

    overrides = {"data_dir": str(data_dir)} if data_dir is not None else {}
    try:
        settings = load_settings(overrides=overrides)
        if settings.source == BUILT_IN and _SHIPPED.is_file():
            # A tree that is not packed: the file beside the code is what would be packed into it.
            folder = cli_session.history_root(data_dir).parent.absolute()
            settings = load_settings(_SHIPPED, overrides={"data_dir": str(folder)})
        chosen_strategies(settings)
    except ConfigError as error:
        raise CliError(cli_session.CONFIGURATION, str(error)) from error
    if not any(weight > 0 for weight in settings.council.weights.values()):
        raise CliError(
            cli_session.CONFIGURATION, f"{settings.source}: council.weights gives no alpha a weight, so the council "
            "hears nobody: write weights there, or run where config.toml is (TRADINGD_CONFIG names one elsewhere)"
        )
    if settings.source != str(Path(os.environ.get("TRADINGD_CONFIG") or "config.toml")):
        cli_session.note(f"no config.toml here: the council has the settings that ship ({settings.source})")
    if settings.strategy.rule == GRID:
        raise CliError(
            cli_session.CONFIGURATION,
            f'strategy.rule is "{GRID}": only the daemon opens the engine\'s grids. Try the rule: --strategy {GRID}',
        )
    return settings


def _execute(job: Any, cash: Decimal, about: Mapping[str, Any], title: str, store: Any, out: Path | None) -> None:
    from research.backtest.progress import watched
    from research.backtest.session import result_document, with_equity
    from research.backtest.statistics import statistics
    from research.backtest.trade_figures import execution_figures

    begin = time.perf_counter()
    with watched(title, job.total) as progress:
        result = job.run(progress)
        took = time.perf_counter() - begin
        cuts = job.check()
    bars = job.bars
    figures = {
        **statistics(result.equity, bars.ts, bars.close, result.trades, float(cash)),
        **execution_figures(result.decision_prices, result.rejected, sum(result.denials.values())),
    }
    if about["strategy"] == COUNCIL:
        figures["alphas"] = result.alphas
        figures["path_dependent"] = result.path_dependent
    told = {**about, "first_ts": int(bars.ts[0]), "last_ts": int(bars.ts[-1]), "look_ahead_cuts": cuts}
    quality = job.quality
    document = result_document(result, figures, job.fingerprint, quality, told)
    if about["strategy"] == COUNCIL:
        document["story"] = [{"title": each.title, "lines": list(each.lines)} for each in result.story]
    store.complete(title, document, bars, result.equity)
    if out is not None:
        with out.open("w") as stream:
            stream.writelines(with_equity(document, bars.ts, result.equity))
    _tell(title, figures, result, (job.total, job.unit), took, cuts, quality)
    for section in document.get("story", ()):
        _tell_section(section)


def _rule_digest(strategy: object) -> str:
    """SHA-256 of a rule's file: a result names the code it came from. "" for a rule of the library."""
    path = Path(str(strategy).rpartition(":")[0] or str(strategy))
    return sha256(path.read_bytes()).hexdigest() if ".py" in str(strategy) and path.is_file() else ""


def _tell(
    title: str,
    figures: Mapping[str, Any],
    result: Any,
    done: tuple[int, str],
    took: float,
    cuts: int,
    quality: Mapping[str, Any],
) -> None:
    rows = [
        (done[1], f"{done[0]:,} in {took:.1f} s ({done[0] / max(took, 1e-9):,.0f} a second)"),
        (
            "data",
            f"{quality['missing']} missing in {quality['gaps']} gaps, {quality['silent']} without volume, "
            f"{quality['oddities']} odd{_of_file_only(quality)}",
        ),
        ("look-ahead", f"none: decisions repeated at {cuts} cuts"),
        (
            "trades",
            f"{figures['trades']}, {percent(figures['win_rate'])} won, "
            f"profit factor {number(figures['profit_factor'])}",
        ),
        (
            "return",
            f"{percent(figures['total_return'])} (buy and hold {percent(figures['buy_and_hold_return'])}), "
            f"a year {percent(figures['annual_return'])}",
        ),
        ("drawdown", f"{percent(figures['max_drawdown'])}, {figures['max_drawdown_candles']} candles below a peak"),
        (
            "sharpe",
            f"{number(figures['sharpe'])}, sortino {number(figures['sortino'])}, calmar {number(figures['calmar'])}",
        ),
        ("fees", f"{figures['fees']:,.2f}"),
        ("equity", f"{figures['final_equity']:,.2f}"),
    ]
    if figures.get("path_dependent") is not None:
        share = percent(figures["path_dependent"])
        advice = ": try shorter candles" if figures["path_dependent"] else ""
        rows.append(("path", f"{share} of exits rest on which extreme of a candle came first{advice}"))
    if result.open_quantity:
        rows.append(("open", f"{result.open_quantity} are still held at the end; marked, not counted as a trade"))
    if result.rejected:
        rows.append(("rejected", f"{result.rejected} entries: not enough cash at the open, after a gap"))
    for code, count in sorted(result.denials.items()):
        rows.append(("denied", f"{count} x {code}"))
    typer.echo(title)
    for word, text in rows:
        typer.echo(f"  {word:<11} {text}")
    typer.echo(f"  {'report':<11} tradelab report {title}")


def _of_file_only(quality: Mapping[str, Any]) -> str:
    """Rows that were no candles, and times that came twice (the last one counts)."""
    parts = [f"{quality[key]} {word}" for key, word in (("refused", "rows refused"), ("duplicates", "repeated"))
             if quality.get(key)]
    return "".join(f", {part}" for part in parts)


def _tell_section(section: Mapping[str, Any]) -> None:
    typer.echo(f"\n{section['title']}")
    for line in section["lines"]:
        whole = line.replace(" %", "\xa0%")  # a number keeps its unit on its line
        typer.echo(textwrap.fill(whole, 110, initial_indent="  ", subsequent_indent="    ").replace("\xa0", " "))
