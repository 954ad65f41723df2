"""`tradelab data backfill`: what is missing, from a venue's REST klines or from Binance's monthly archives."""

import asyncio
import random
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import urlsplit

import typer

from research.cli_session import (
    FAILURE,
    INTERRUPTED,
    NOT_REACHABLE,
    USAGE,
    CliError,
    DataDirOption,
    JsonOption,
    fail,
    note,
    print_json,
    rest_url,
)
from research.data_cli import VenueOption, open_store

if TYPE_CHECKING:  # imported where needed: `tradelab --help` must not wait for pyarrow
    from collections.abc import Sequence

    from research.history.backfill import BackfillReport, CandleSource
    from store.candles import CandleStore

ARCHIVES: Final = "https://data.binance.vision/data/spot/monthly/klines"
_SOURCES: Final = ("rest", "archives", "both")
_DAY_NS: Final = 86_400_000_000_000
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class BackfillJob:
    """What was asked for; times in UTC ns, [start, end)."""

    symbols: tuple[str, ...]
    interval: str
    start_ns: int
    end_ns: int
    source: str
    venue: str
    rest_url: str
    fallback_url: str
    archive_url: str
    pause_s: float
    reconciles: bool


def backfill(
    symbol: Annotated[str, typer.Option("--symbol", metavar="A,B", help="Such as BTC/USDT.")],
    timeframe: Annotated[str, typer.Option("--timeframe", metavar="TF", help="1m 5m 15m 1h 4h 6h 1d.")] = "1m",
    start: Annotated[str, typer.Option("--start", metavar="DATE", help="UTC; default: 30 days ago.")] = "",
    end: Annotated[str, typer.Option("--end", metavar="DATE", help="Exclusive; default: now.")] = "",
    source: Annotated[str, typer.Option("--source", metavar="|".join(_SOURCES), help="Where from.")] = "rest",
    url: Annotated[str, typer.Option("--rest-url", help="Default: of the venue in config.toml.")] = "",
    fallback_url: Annotated[str, typer.Option("--fallback-url", help="A second venue, for what the first lacks.")] = "",
    base_url: Annotated[str, typer.Option("--base-url", help="Of the monthly archives.")] = ARCHIVES,
    rate: Annotated[float, typer.Option("--rate", min=0.1, max=40, help="Requests a second at most.")] = 8.0,
    reconcile: Annotated[bool, typer.Option("--reconcile", help="Compare with --fallback-url (or the venue).")] = False,
    venue: VenueOption = "binance", data_dir: DataDirOption = None, as_json: JsonOption = False,
) -> None:
    """Fetch what is missing, 300 candles a request. Stopped or killed, the same command goes on where it was."""
    from store.candles import INTERVALS

    if source not in _SOURCES:
        raise CliError(USAGE, f"--source {source!r}: write rest, archives or both.")
    if timeframe not in INTERVALS:
        raise CliError(USAGE, f"--timeframe {timeframe!r}: write one of {', '.join(INTERVALS)}.")
    now_ns = time.time_ns()
    first, last = _time("--start", start, now_ns - 30 * _DAY_NS), _time("--end", end, now_ns)
    if first >= last:
        raise CliError(USAGE, "--start must be before --end.")
    address = url or rest_url(venue)
    if source != "archives" and not address:
        raise CliError(USAGE, f"{venue} has no rest_url in config.toml: give --rest-url.")
    from research.history.symbol_names import our_symbol

    symbols = tuple(our_symbol(name, is_crypto=True) for name in symbol.split(",") if name.strip())
    job = BackfillJob(
        symbols, timeframe, first, last, source, venue, address, fallback_url, base_url, 1 / rate, reconcile
    )
    store = open_store(data_dir, venue)
    try:
        rows = asyncio.run(run_job(store, job))
    except KeyboardInterrupt:
        fail(INTERRUPTED, "stopped; what has arrived is kept: the same command goes on from there")
    if as_json:
        print_json(rows)
    else:
        show_rows(rows)
    if any(row["problem"] for row in rows):
        raise typer.Exit(NOT_REACHABLE if all(row["problem"] for row in rows) else FAILURE)


def _time(option: str, text: str, default_ns: int) -> int:
    if not text:
        return default_ns
    from research.history.open_times import parse_time

    made = parse_time(text)
    if made is None:
        raise CliError(USAGE, f"{option} {text!r}: write a date such as 2024-01-31 or 2024-01-31T12:00 (UTC).")
    return made


def empty_row(symbol: str, interval: str) -> Row:
    """Of a symbol for which nothing was done yet."""
    return {
        "symbol": symbol, "interval": interval, "wanted": 0, "added": 0, "from_fallback": 0, "absent": 0,
        "requests": 0, "months": [], "compared": 0, "differences": [], "problem": "",
    }


async def run_job(store: "CandleStore", job: BackfillJob) -> list[Row]:
    """One row a symbol; a venue that fails is told in `problem`, and the next symbol has its turn."""
    from exchanges import long_bans
    from exchanges.answers import VenueError

    long_bans.of_this_process.keep_in(store.root.parent)  # where the daemon of this data directory keeps them, too
    rows: list[Row] = []
    sources: list[CandleSource] = []
    async with AsyncExitStack() as stack:
        for symbol in job.symbols:
            row = empty_row(symbol, job.interval)
            rows.append(row)
            try:
                if job.source != "rest":
                    await _from_archives(store, job, symbol, row)
                if job.source != "archives":
                    sources = sources or await _open_sources(job, stack)
                    await _from_venues(store, job, symbol, row, sources)
            except VenueError as error:
                row["problem"] = str(error)
                note(f"{symbol}: {error}")  # the next symbol may fare better
    return rows


async def _open_sources(job: BackfillJob, stack: AsyncExitStack) -> "list[CandleSource]":
    """The venue, and a second one where it is named. Coinbase is known by its name or its address."""
    from bus.clock import LiveClock
    from research.history.coinbase_source import CoinbaseSource
    from research.history.kline_source import KlineSource

    found: list[CandleSource] = []
    for name, url in ((job.venue, job.rest_url), (urlsplit(job.fallback_url).netloc, job.fallback_url)):
        if url:
            is_coinbase = "coinbase" in name or "coinbase" in urlsplit(url).netloc
            kind = CoinbaseSource if is_coinbase else KlineSource
            found.append(await stack.enter_async_context(kind(name, url, LiveClock(), random.random)))
    return found


async def _from_venues(
    store: "CandleStore", job: BackfillJob, symbol: str, row: Row, sources: "Sequence[CandleSource]"
) -> None:
    from research.data_views import gap_row, moment, progress
    from research.history.backfill import Backfill, reconcile
    from research.history.kline_source import IntervalNotOfferedError

    with progress(f"{symbol} {job.interval}", 0) as advance:
        async def fill(interval: str) -> "BackfillReport":
            return await Backfill(
                store, sources, symbol, interval, time.time_ns(), pause_s=job.pause_s, progress=advance
            ).run(job.start_ns, job.end_ns)

        try:
            report = await fill(job.interval)
        except IntervalNotOfferedError:
            report = await _from_hours(store, job, symbol, fill)
    for trouble in report.troubles:
        note(f"{symbol}: {trouble} The second venue gave what was missing.")
    row["wanted"], row["requests"], row["absent"] = report.wanted, report.requests, report.absent
    row["from_fallback"] = report.from_fallback
    row["added"] += report.written.added
    if job.reconciles:
        compared, found = await reconcile(
            store, sources[-1], symbol, job.interval, job.start_ns, job.end_ns, pause_s=job.pause_s
        )
        row["compared"] = compared
        row["differences"] = [
            {"time": moment(each.ts_ns), "field": each.field, "ours": each.ours, "theirs": each.theirs}
            for each in found
        ]
    row["gaps"] = [gap_row(gap) for gap in store.coverage(symbol, job.interval).gaps]


async def _from_hours(store: "CandleStore", job: BackfillJob, symbol: str, fill: Any) -> "BackfillReport":
    """A venue without 4h or 6h candles: hours are fetched, and the longer ones made of them."""
    from exchanges.answers import VenueError
    from market.interval import interval_ns
    from research.history.aggregation import aggregate_series

    if interval_ns(job.interval) <= interval_ns("1h"):
        raise VenueError(f"{job.venue} has no {job.interval} candles: backfill a shorter --timeframe and aggregate it.")
    note(f"{job.venue} has no {job.interval} candles: they are made of 1h candles")
    report: BackfillReport = await fill("1h")
    report.written = aggregate_series(store, symbol, "1h", job.interval, job.start_ns, job.end_ns)
    return report


async def _from_archives(store: "CandleStore", job: BackfillJob, symbol: str, row: Row) -> None:
    """Whole months; those that are bad or not published are told, and the others go on."""
    from research.data_views import progress
    from research.history.archives import ArchiveLine, months
    from research.history.importing import ImportOptions, import_file

    first, last = _month(job.start_ns), _month(min(job.end_ns, time.time_ns()) - 1)
    total = len(list(months(first, last)))
    folder = store.root / "archives"
    with progress(f"{symbol} {job.interval} months", total) as advance:
        async with ArchiveLine(folder, job.archive_url, jitter=random.random) as line:
            async for fetched in line.fetch(symbol, job.interval, first, last):
                told: Row = {
                    "year": fetched.year, "month": fetched.month, "outcome": fetched.outcome, "added": 0,
                    "problem": fetched.problem,
                }
                if fetched.path is not None:
                    report = import_file(store, fetched.path, ImportOptions(symbol, job.interval))
                    told["added"], told["problem"] = report.written.added, report.problem
                    row["added"] += report.written.added
                row["months"].append(told)
                if told["problem"]:
                    note(f"{symbol} {fetched.year}-{fetched.month:02d}: {told['problem']}")
                advance(len(row["months"]), total)
    if row["months"] and all(month["problem"] for month in row["months"]):
        row["problem"] = "no month could be had"


def _month(ts_ns: int) -> tuple[int, int]:
    moment = datetime.fromtimestamp(ts_ns // 1_000_000_000, UTC)
    return moment.year, moment.month


def show_rows(rows: list[Row]) -> None:
    """As a table, and what a comparison found."""
    from research.data_views import table

    table(
        ("symbol", "interval", "wanted", "added", "from fallback", "absent", "requests", "months", "differences", ""),
        [(row["symbol"], row["interval"], f"{row['wanted']:,}", f"{row['added']:,}", f"{row['from_fallback']:,}",
          f"{row['absent']:,}", row["requests"], _months_word(row["months"]),
          f"{len(row['differences'])} of {row['compared']}" if row["compared"] else "-",
          "FAILED" if row["problem"] else "") for row in rows],
        ("wanted", "added", "from fallback", "absent", "requests"),
    )
    for row in rows:
        for each in row["differences"][:20]:
            note(f"{row['symbol']} {each['time']} {each['field']}: ours {each['ours']}, theirs {each['theirs']}")


def _months_word(done: list[Row]) -> str:
    if not done:
        return "-"
    bad = sum(1 for month in done if month["problem"] or month["outcome"] == "not published")
    return f"{len(done) - bad} of {len(done)}"
