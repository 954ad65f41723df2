"""What the options of a backtest and of a selection mean: a TOML file of them, amounts, moments, candles and ticks."""

import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from research import cli_session, data_cli
from research.cli_session import CliError

_KEYS: Final = frozenset(
    {
        "name",
        "strategy",
        "data",
        "symbol",
        "timeframe",
        "venue",
        "start",
        "end",
        "cash",
        "stake",
        "fee",
        "spread",
        "slippage",
        "param",
        "stamps",
        "json",
        "data_dir",
    }
)
HistoryVenueOption = Annotated[
    str, typer.Option(help=f"Whose history, without --data; default: {data_cli.HISTORY_OF}.")
]
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
TICKS: Final = "ticks"
"""In place of files: what the daemon recorded."""


def options_of(path: Path) -> dict[str, Any]:
    """What a TOML file says, under the options' names; raises `CliError`."""
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
    if not isinstance(document.get("param", {}), dict):
        raise CliError(cli_session.CONFIGURATION, f"{path}: param is no table; write [param] and below it fast = 20")
    return document


def parameters_of(given: list[str]) -> dict[str, str]:
    """Of "KEY=VALUE" texts; raises `CliError`."""
    made: dict[str, str] = {}
    for text in given:
        key, sign, value = text.partition("=")
        if not sign or not key or not value:
            raise CliError(cli_session.USAGE, f"--param {text!r}: write KEY=VALUE, such as fast=20")
        made[key] = value
    return made


def amount_of(key: str, value: object) -> Decimal:
    """An option that is an amount or a ratio; raises `CliError`."""
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
    return (at - _EPOCH) // timedelta(microseconds=1) * 1_000


def range_of(chosen: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """UTC ns, the end not included; None where nothing is said."""
    start, end = _moment("start", str(chosen.get("start", ""))), _moment("end", str(chosen.get("end", "")))
    if start is not None and end is not None and start >= end:
        raise CliError(
            cli_session.USAGE, f"start {chosen['start']} is not before end {chosen['end']}: the end is not included"
        )
    return start, end


def recorded_files(chosen: Mapping[str, Any], data_dir: Path | None) -> list[Path]:
    """The files of ticks that `data` names, if it names such; "ticks": the daemon's own tape."""
    from research.backtest.tick_files import tick_files

    given = chosen.get("data") or []
    named = [str(each) for each in given] if isinstance(given, list | tuple) else [str(given)]
    if named == [TICKS]:
        return [cli_session.history_root(data_dir).parent / "tape"]
    return tick_files([Path(each) for each in named])


def dataset_of(chosen: Mapping[str, Any], data_dir: Path | None, recorded: list[Path]) -> Any:
    """The candles that the options name, or the ticks of these files; raises `DataError` or `CliError`."""
    from research.backtest.data import DataError, of_file, of_store, of_ticks

    start, end = range_of(chosen)
    venue = str(chosen.get("venue", ""))
    if venue and (recorded or chosen.get("data")):
        raise CliError(
            cli_session.USAGE, f"--venue {venue} names a history, and --data takes none: leave out one of them"
        )
    symbol, timeframe = str(chosen.get("symbol", "")), str(chosen.get("timeframe", ""))
    if recorded:
        return of_ticks(recorded, symbol, timeframe, start, end)
    given = chosen.get("data") or []
    named = [given] if isinstance(given, str) else list(given)
    if len(named) > 1:
        raise DataError("candles come from one file: import several first (tradelab data import), or name ticks")
    if named:
        stamps = str(chosen.get("stamps", "open"))
        if stamps not in ("open", "close"):
            raise CliError(cli_session.USAGE, f"stamps is {stamps!r}; write open or close")
        return of_file(Path(str(named[0])), symbol, timeframe, start, end, stamps_are_closes=stamps == "close")
    if not symbol or not timeframe:
        raise CliError(
            cli_session.USAGE, "no candles: write --data FILE, or --symbol and --timeframe of the history"
        )
    return of_store(data_cli.open_store(data_dir, venue or data_cli.HISTORY_OF), symbol, timeframe, start, end)
