"""`tradelab backtest` and `tradelab sessions`."""

import textwrap
import time
import tomllib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from research import cli_session, data_cli
from research.cli_session import CliError, DataDirOption, JsonOption

_KEYS: Final = frozenset(
    {
        "name",
        "strategy",
        "data",
        "symbol",
        "timeframe",
        "start",
        "end",
        "cash",
        "stake",
        "fee",
        "spread",
        "slippage",
        "param",
    }
)
COUNCIL: Final = "council"
"""The name under which the product itself, agents and all, is run."""
sessions = typer.Typer(no_args_is_help=True, help="Backtests that were run: list, show, compare.")


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
        Path | None, typer.Option(metavar="FILE", help="Candles: CSV, JSON, Parquet; else the history.")
    ] = None,
    symbol: Annotated[str, typer.Option(help="Such as BTC/USDT.")] = "",
    timeframe: Annotated[str, typer.Option(help="Such as 1h.")] = "",
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
        "data": str(data or ""),
        "symbol": symbol,
        "timeframe": timeframe,
        "start": start,
        "end": end,
        "cash": cash,
        "stake": stake,
        "fee": fee,
        "spread": spread,
        "slippage": slippage,
        "name": name,
        "param": _parameters(param or []),
    }
    _run({**given, **_of_file(config)} if config is not None else given, out, data_dir)


def _run(chosen: Mapping[str, Any], out: Path | None, data_dir: Path | None) -> None:
    from research.backtest.data import Dataset
    from research.backtest.guard import LookAheadError
    from research.backtest.rules import RuleError, make_rule
    from research.backtest.runner import Costs
    from research.backtest.session import SessionError

    if not chosen["strategy"]:
        raise CliError(cli_session.USAGE, "no strategy: write --strategy sma_cross, or name one in the config")
    amounts = {key: _amount(key, chosen[key]) for key in ("cash", "stake", "fee", "spread", "slippage")}
    costs = Costs(amounts["fee"], amounts["spread"], amounts["slippage"])

    def make() -> Any:
        return make_rule(str(chosen["strategy"]), chosen["param"])

    is_council = chosen["strategy"] == COUNCIL
    try:
        if not is_council:
            make()
        data: Dataset = _data(chosen, data_dir)
        symbol = data.bars.symbol.replace("/", "").replace(":", "-")
        title = str(chosen["name"]) or f"{Path(str(chosen['strategy'])).stem}-{symbol}-{data.bars.interval}"
        about = {
            "strategy": str(chosen["strategy"]),
            "param": dict(chosen["param"]),
            "rule_sha256": _rule_digest(chosen["strategy"]),
            "symbol": data.bars.symbol,
            "timeframe": data.bars.interval,
            "first_ts": int(data.bars.ts[0]),
            "last_ts": int(data.bars.ts[-1]),
            **{key: str(value) for key, value in amounts.items()},
        }
        store = session_store(data_dir)
        store.begin(title, about)
    except (RuleError, SessionError) as error:
        raise CliError(cli_session.USAGE, str(error)) from error
    try:
        _execute(
            None if is_council else make, data, amounts["cash"], amounts["stake"], costs, about, title, store, out,
            data_dir,
        )
    except (RuleError, LookAheadError) as error:
        store.fail(title, about, str(error))
        raise CliError(cli_session.FAILURE, str(error)) from error
    except BaseException as error:
        store.fail(title, about, str(error) or type(error).__name__)
        raise


def _execute(
    make: Any, data: Any, cash: Decimal, stake: Decimal, costs: Any, about: Mapping[str, Any], title: str, store: Any,
    out: Path | None, data_dir: Path | None,
) -> None:
    from research.backtest.progress import watched
    from research.backtest.session import result_document, with_equity
    from research.backtest.statistics import statistics
    from research.backtest.trade_figures import execution_figures

    bars = data.bars
    begin = time.perf_counter()
    with watched(title, len(bars)) as progress:
        result, check = _of_council(bars, cash, costs, progress, data_dir) if make is None else _of_rule(
            make, bars, cash, stake, costs, progress
        )
        took = time.perf_counter() - begin
        cuts = check()
    figures = {
        **statistics(result.equity, bars.ts, bars.close, result.trades, float(cash)),
        **execution_figures(result.decision_prices, result.rejected, sum(result.denials.values())),
    }
    if make is None:
        figures["alphas"] = result.alphas
        figures["path_dependent"] = result.path_dependent
    document = result_document(result, figures, data.fingerprint, data.quality, {**about, "look_ahead_cuts": cuts})
    if make is None:
        document["story"] = [{"title": each.title, "lines": list(each.lines)} for each in result.story]
    store.complete(title, document, bars, result.equity)
    if out is not None:
        out.write_text(with_equity(document, bars.ts, result.equity))
    _tell(title, figures, result, len(bars), took, cuts, data.quality)
    for section in document.get("story", ()):
        _tell_section(section)


def _of_rule(
    make: Any, bars: Any, cash: Decimal, stake: Decimal, costs: Any, progress: Any
) -> tuple[Any, Callable[[], int]]:
    from research.backtest import guard
    from research.backtest.runner import Backtest

    result = Backtest(bars, cash, stake, costs).run(guard.prepared(make(), bars), progress)
    return result, lambda: guard.check(make, bars, result.decisions, cash, stake, costs)


def _of_council(
    bars: Any, cash: Decimal, costs: Any, progress: Any, data_dir: Path | None
) -> tuple[Any, Callable[[], int]]:
    from research.backtest import council
    from tradingd.settings import ConfigError, load_settings

    try:
        settings = load_settings(overrides={"data_dir": str(data_dir)} if data_dir is not None else None)
    except ConfigError as error:
        raise CliError(cli_session.CONFIGURATION, str(error)) from error
    result = council.CouncilBacktest(bars, cash, costs, settings).run(progress)
    return result, lambda: council.check(bars, cash, costs, settings, result.decisions)


def _rule_digest(strategy: object) -> str:
    """SHA-256 of a rule's file: a result names the code it came from. "" for a rule of the library."""
    path = Path(str(strategy).rpartition(":")[0] or str(strategy))
    return sha256(path.read_bytes()).hexdigest() if ".py" in str(strategy) and path.is_file() else ""


def _tell(
    title: str,
    figures: Mapping[str, Any],
    result: Any,
    candles: int,
    took: float,
    cuts: int,
    quality: Mapping[str, Any],
) -> None:
    rows = [
        ("candles", f"{candles:,} in {took:.1f} s ({candles / max(took, 1e-9):,.0f} a second)"),
        (
            "data",
            f"{quality['missing']} missing in {quality['gaps']} gaps, {quality['silent']} without volume, "
            f"{quality['oddities']} odd",
        ),
        ("look-ahead", f"none: decisions repeated at {cuts} cuts"),
        (
            "trades",
            f"{figures['trades']}, {_percent(figures['win_rate'])} won, "
            f"profit factor {_number(figures['profit_factor'])}",
        ),
        (
            "return",
            f"{_percent(figures['total_return'])} (buy and hold {_percent(figures['buy_and_hold_return'])}), "
            f"a year {_percent(figures['annual_return'])}",
        ),
        ("drawdown", f"{_percent(figures['max_drawdown'])}, {figures['max_drawdown_candles']} candles below a peak"),
        (
            "sharpe",
            f"{_number(figures['sharpe'])}, sortino {_number(figures['sortino'])}, calmar {_number(figures['calmar'])}",
        ),
        ("fees", f"{figures['fees']:,.2f}"),
        ("equity", f"{figures['final_equity']:,.2f}"),
    ]
    if figures.get("path_dependent") is not None:
        share = _percent(figures["path_dependent"])
        rows.append(("path", f"{share} of exits rest on which extreme of a candle came first: try shorter candles"))
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


def _tell_section(section: Mapping[str, Any]) -> None:
    typer.echo(f"\n{section['title']}")
    for line in section["lines"]:
        whole = line.replace(" %", "\xa0%")  # a number keeps its unit on its line
        typer.echo(textwrap.fill(whole, 110, initial_indent="  ", subsequent_indent="    ").replace("\xa0", " "))


# ---- sessions --------------------------------------------------------------------------------------


@sessions.command("list")
def list_sessions(json_: JsonOption = False, data_dir: DataDirOption = None) -> None:
    """All sessions, one line each."""
    store = session_store(data_dir)
    rows = [_row(name, store.read(name)) for name in store.names()]
    if json_:
        cli_session.print_json(rows)
        return
    for row in rows:
        if row["status"] != "completed":
            typer.echo(f"{row['name']:<40} {row['status']}")
            continue
        typer.echo(f"{row['name']:<40} {row['trades']:>6} trades  return {_percent(row['total_return']):>9}  "
                   f"drawdown {_percent(row['max_drawdown']):>8}  sharpe {_number(row['sharpe'])}")
    if not rows:
        typer.echo("no sessions yet: tradelab backtest --help")


@sessions.command()
def show(name: str, json_: JsonOption = False, data_dir: DataDirOption = None) -> None:
    """What was run, and every figure."""
    document = _read(name, data_dir)
    if json_:
        cli_session.print_json(document)
        return
    for part in ("about", "stats"):
        typer.echo(part)
        for key, value in sorted(document[part].items()):
            typer.echo(f"  {key:<24} {value if value is not None else '-'}")
    typer.echo(f"trades {len(document['trades'])}, fingerprint {document['fingerprint']}")


@sessions.command()
def compare(names: list[str], json_: JsonOption = False, data_dir: DataDirOption = None) -> None:
    """The main figures of several sessions side by side."""
    documents = {name: _read(name, data_dir) for name in names}
    keys = ("total_return", "annual_return", "sharpe", "sortino", "calmar", "max_drawdown", "trades", "win_rate",
            "profit_factor", "fees")
    if json_:
        cli_session.print_json({key: {name: each["stats"][key] for name, each in documents.items()} for key in keys})
        return
    typer.echo(f"{'':<16}" + "".join(f"{name[-22:]:>24}" for name in names))
    for key in keys:
        typer.echo(f"{key:<16}" + "".join(f"{_number(each['stats'][key]):>24}" for each in documents.values()))


def _row(name: str, document: Mapping[str, Any]) -> dict[str, Any]:
    stats = document.get("stats", {})
    return {
        "name": name,
        "status": document["status"],
        **{key: stats.get(key) for key in ("trades", "total_return", "max_drawdown", "sharpe")},
    }


def _read(name: str, data_dir: Path | None) -> dict[str, Any]:
    from research.backtest.session import SessionError

    try:
        return session_store(data_dir).read_completed(name)  # type: ignore[no-any-return]
    except SessionError as error:
        raise CliError(cli_session.NOT_FOUND, str(error)) from error


def session_store(data_dir: Path | None) -> Any:
    """Where sessions are kept: `lab/sessions` of the data directory."""
    from research.backtest.session import SessionStore

    return SessionStore(data_cli.open_store(data_dir, "binance").root.parent / "lab" / "sessions")


# ---- options ---------------------------------------------------------------------------------------


def _of_file(path: Path) -> dict[str, Any]:
    try:
        document = tomllib.loads(path.read_text())
    except OSError as error:
        raise CliError(cli_session.CONFIGURATION, f"{path}: {error.strerror}. Name an existing file.") from error
    except tomllib.TOMLDecodeError as error:
        raise CliError(cli_session.CONFIGURATION, f"{path}: not TOML: {error}") from error
    for key in document:
        if key not in _KEYS:
            known = ", ".join(sorted(_KEYS))
            raise CliError(cli_session.CONFIGURATION, f"{path}: unknown key {key!r}; known are {known}")
    return document


def _parameters(given: list[str]) -> dict[str, str]:
    made: dict[str, str] = {}
    for text in given:
        key, sign, value = text.partition("=")
        if not sign or not key or not value:
            raise CliError(cli_session.USAGE, f"--param {text!r}: write KEY=VALUE, such as fast=20")
        made[key] = value
    return made


def _amount(key: str, value: object) -> Decimal:
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        raise CliError(cli_session.USAGE, f"{key} is {value!r}; write a number") from None
    highest = Decimal(10**12) if key == "cash" else Decimal(1)
    if not amount.is_finite() or amount < 0 or amount > highest or (key in ("cash", "stake") and not amount):
        raise CliError(cli_session.USAGE, f"{key} is {value}; write a number from 0 to {highest}")
    return amount


def _moment(key: str, text: str) -> int | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise CliError(cli_session.USAGE, f"{key} is {text!r}; write it as 2024-01-31 or 2024-01-31T12:00") from None
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    return int(at.timestamp()) * 1_000_000_000


def _data(chosen: Mapping[str, Any], data_dir: Path | None) -> Any:
    from research.backtest.data import DataError, of_file, of_store

    start, end = _moment("start", str(chosen.get("start", ""))), _moment("end", str(chosen.get("end", "")))
    symbol, timeframe = str(chosen.get("symbol", "")), str(chosen.get("timeframe", ""))
    try:
        if chosen.get("data"):
            return of_file(Path(str(chosen["data"])), symbol, timeframe, start, end)
        if not symbol or not timeframe:
            raise CliError(
                cli_session.USAGE, "no candles: write --data FILE, or --symbol and --timeframe of the history"
            )
        return of_store(data_cli.open_store(data_dir, "binance"), symbol, timeframe, start, end)
    except DataError as error:
        raise CliError(cli_session.NOT_FOUND, str(error)) from error


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value * 100:,.2f} %"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.3f}"
