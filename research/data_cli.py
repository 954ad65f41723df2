"""`tradelab data`: candles in, and what is known about them. See `research.data_views` for how answers look."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from research.cli_session import (
    FAILURE,
    NOT_FOUND,
    USAGE,
    CliError,
    DataDirOption,
    JsonOption,
    history_root,
    note,
    print_json,
)

if TYPE_CHECKING:  # imported where needed: `tradelab --help` must not wait for pyarrow
    from store.candles import CandleStore

VenueOption = Annotated[str, typer.Option("--venue", help="Whose candles: each venue has a history of its own.")]
SymbolOption = Annotated[str, typer.Option("--symbol", metavar="S", help="Such as BTC/USDT; default: all.")]
TimeframeOption = Annotated[str, typer.Option("--timeframe", metavar="TF", help="1m 5m 15m 1h 4h 6h 1d; default: all.")]
HISTORY_OF: Final = "binance"
"""Whose history is meant where nobody says."""

app = typer.Typer(
    help="Candle history: import, backfill, coverage, quality.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("import")
def import_files(
    paths: Annotated[list[Path], typer.Argument(metavar="FILE|DIR...", help="CSV, JSON, Parquet, Feather, zip.")],
    symbol: Annotated[str, typer.Option("--symbol", metavar="S", help="When the files do not tell it.")] = "",
    timeframe: Annotated[str, typer.Option("--timeframe", metavar="TF", help="When rows do not tell it.")] = "",
    strict: Annotated[bool, typer.Option("--strict", help="Nothing of a file in which a row is refused.")] = False,
    stamps: Annotated[str, typer.Option("--stamps", metavar="open|close", help="Which end its times name.")] = "open",
    venue: VenueOption = HISTORY_OF, data_dir: DataDirOption = None, as_json: JsonOption = False,
) -> None:
    """Files of candles into the history. A bad row is told and left out; a time that is there already is replaced."""
    if stamps not in ("open", "close"):
        raise CliError(USAGE, f"--stamps {stamps!r}: write open or close.")
    store = open_store(data_dir, venue)
    from research import data_views
    from research.history import archives, importing
    from research.history.source_piece import SourceError

    options = importing.ImportOptions(symbol, timeframe, strict, stamps == "close")
    try:
        files = importing.find_files(paths)
    except SourceError as error:
        raise CliError(NOT_FOUND, str(error)) from error
    reports = []
    with data_views.progress("importing", len(files)) as advance:
        for number, path in enumerate(files, 1):
            if path.suffix.lower() == ".zip" and archives.is_intact(path) is False:
                reports.append(importing.damaged(path, timeframe))
            else:
                reports.append(importing.import_file(store, path, options))
            advance(number, len(files))
    if as_json:
        print_json([importing.describe(report) for report in reports])
    else:
        data_views.imports(reports)
    for report in reports:
        data_views.tell_refusals(report)
    if any(report.problem for report in reports):
        raise typer.Exit(FAILURE)


@app.command("list")
def list_series(
    archives: Annotated[
        Path | None, typer.Option("--archives", metavar="DIR", help="List monthly archive files in a folder instead.")
    ] = None,
    venue: Annotated[str, typer.Option("--venue", help="Only what is of this venue; default: of all.")] = "",
    data_dir: DataDirOption = None, as_json: JsonOption = False,
) -> None:
    """What is in the history: venue, symbol, interval, from, to, candles, bytes."""
    from research import data_views

    if archives is not None:
        from research.history.archives import find_archives

        found = find_archives(archives)
        if as_json:
            print_json([data_views.archive_row(each) for each in found])
        else:
            data_views.archive_table(found)
        return
    from store.candles import venues_in

    store = open_store(data_dir, venue or HISTORY_OF)
    stores = [store] if venue else [open_store(data_dir, each) for each in venues_in(store.root)]
    rows = [each.coverage(*series) for each in stores for series in each.series()]
    if as_json:
        print_json([data_views.series_row(row) for row in rows])
    else:
        data_views.series_table(rows, store.root, venue)


@app.command()
def coverage(
    symbol: SymbolOption = "", timeframe: TimeframeOption = "",
    gaps: Annotated[bool, typer.Option("--gaps", help="Each gap, not only their number.")] = False,
    venue: VenueOption = HISTORY_OF, data_dir: DataDirOption = None, as_json: JsonOption = False,
) -> None:
    """How much of each series is there, and what is missing (gaps of up to 5 are interpolated when read)."""
    store = open_store(data_dir, venue)
    from research import data_views

    rows = [store.coverage(*each) for each in chosen(store, symbol, timeframe)]
    if as_json:
        print_json([data_views.coverage_row(row) for row in rows])
    else:
        data_views.coverage_table(rows, with_gaps=gaps)


@app.command()
def audit(
    symbol: SymbolOption = "", timeframe: TimeframeOption = "", venue: VenueOption = HISTORY_OF,
    data_dir: DataDirOption = None, as_json: JsonOption = False,
) -> None:
    """Judge the candles: gaps, outliers (a move above 50 %, high above twice low), suspected splits, silence.

    Daily candles of a market that rests at weekends: days on which none of its symbols traded are its holidays.
    """
    store = open_store(data_dir, venue)
    from research import data_views
    from research.history.audit import audit as judge
    from research.history.trading_days import holidays

    wanted = chosen(store, symbol, timeframe)
    closed = holidays(store) if any(interval == "1d" for _, interval in wanted) else frozenset()
    audits = [judge(store, *each, closed) for each in wanted]
    if as_json:
        print_json([data_views.audit_row(each) for each in audits])
    else:
        data_views.audit_table(audits)


@app.command()
def aggregate(
    symbol: SymbolOption = "",
    source: Annotated[str, typer.Option("--from", metavar="TF", help="The shorter candles.")] = "1m",
    target: Annotated[str, typer.Option("--to", metavar="TF", help="The longer ones.")] = "1d",
    venue: VenueOption = HISTORY_OF, data_dir: DataDirOption = None, as_json: JsonOption = False,
) -> None:
    """Make longer candles of shorter ones, where at least 90 % of these are there. The venue's own stay."""
    store = open_store(data_dir, venue)
    from research import data_views
    from research.history.aggregation import AggregationError, aggregate_series, check_intervals

    try:
        check_intervals(source, target)
    except AggregationError as error:
        raise CliError(USAGE, f"--from {source} --to {target}: {error}") from error
    done = [(name, target, aggregate_series(store, name, source, target)) for name, _ in chosen(store, symbol, source)]
    if as_json:
        print_json([data_views.written_row(*each) for each in done])
    else:
        data_views.written_table(done)


@app.command()
def compact(
    days: Annotated[int, typer.Option("--older-than", metavar="DAYS", min=1, help="Days that stay as they are.")] = 90,
    symbol: SymbolOption = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    venue: VenueOption = HISTORY_OF, data_dir: DataDirOption = None, as_json: JsonOption = False,
) -> None:
    """Turn old candles below an hour into hours. What they were cannot be had back from the hours."""
    store = open_store(data_dir, venue)
    import time

    from research import data_views
    from research.history import compaction

    series = compaction.compactable(store, symbol)
    if not series:
        raise CliError(NOT_FOUND, f"no candles of {symbol or store.venue} below an hour in {store.root}.")
    if not yes:
        typer.confirm(
            f"Turn candles below an hour that are older than {days} days into hours ({len(series)} series)?",
            abort=True, err=True,
        )
    done = [compaction.compact(store, *each, time.time_ns(), days) for each in series]
    if as_json:
        print_json([data_views.compaction_row(each) for each in done])
    else:
        data_views.compaction_table(done)


@app.command()
def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="Over the table candles.")],
    data_dir: DataDirOption = None, as_json: JsonOption = False,
) -> None:
    """SQL (DuckDB) over all candles: SELECT symbol, max(high) FROM candles WHERE venue = 'binance' GROUP BY symbol."""
    root = history_root(data_dir)
    absorb_live(root)
    from research import data_views
    from research.history.sql import QueryError, run_query

    try:
        names, rows = run_query(root, sql)
    except QueryError as error:
        raise CliError(USAGE, str(error)) from error
    if as_json:
        print_json([dict(zip(names, map(data_views.plain, row), strict=True)) for row in rows])
    else:
        data_views.query_table(names, rows)


# ---- what the commands share -------------------------------------------------------------------------


def open_store(data_dir: Path | None, venue: str) -> "CandleStore":
    """The history, with what the daemon has written meanwhile; raises `CliError`."""
    from store.candles import CandleStore, CandleStoreError

    root = history_root(data_dir)
    absorb_live(root)
    try:
        return CandleStore(root, venue)
    except CandleStoreError as error:
        raise CliError(USAGE, f"--venue: {error}") from error


def absorb_live(root: Path) -> None:
    """Take in what the daemon has written."""
    if not (root / "incoming").is_dir():
        return
    from research.history.incoming import absorb

    taken = absorb(root)
    if taken.unreadable:
        note(f"{taken.unreadable} damaged lines in {root / 'incoming'} were left out; a backfill mends the gaps")


def chosen(store: "CandleStore", symbol: str, timeframe: str) -> list[tuple[str, str]]:
    """The series the options name; raises `CliError` when there is none."""
    from store.candles import venues_in

    series = store.series()
    found = [
        each for each in series if (not symbol or each[0] == symbol) and (not timeframe or each[1] == timeframe)
    ]
    if not found:
        wanted = " ".join(word for word in (symbol, timeframe) if word) or "candles"
        there = ", ".join(f"{name} {interval}" for name, interval in series[:8])
        remedy = f"There: {there}" if there else "`tradelab data import` or `backfill` brings some"
        others = [each for each in venues_in(store.root) if each != store.venue]
        if others and not there:
            remedy = f"There are some of {', '.join(others)}: --venue {others[0]}"
        raise CliError(NOT_FOUND, f"no {wanted} of {store.venue} in {store.root}. {remedy}.")
    return found
