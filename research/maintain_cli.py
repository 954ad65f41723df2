"""`tradelab data maintain`: what keeps the history whole, once or again and again."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from research.backfill_cli import BackfillJob, empty_row, run_job, show_rows
from research.cli_session import (
    FAILURE,
    USAGE,
    CliError,
    DataDirOption,
    JsonOption,
    note,
    own_venue,
    print_json,
    rest_url,
)
from research.data_cli import HISTORY_OF, VenueOption, chosen, open_store

if TYPE_CHECKING:
    from store.candles import CandleStore

_DAY_NS: Final = 86_400_000_000_000
Row = dict[str, Any]


def maintain(
    days: Annotated[int, typer.Option("--days", min=1, help="So far back gaps are looked for.")] = 30,
    every: Annotated[
        str, typer.Option("--every", metavar="1d", help="Again and again, so long after the last: 1d, 6h, 30m.")
    ] = "",
    compact_after: Annotated[
        int, typer.Option("--compact-after", metavar="DAYS", min=0, help="Then minutes become hours; 0: never.")
    ] = 0,
    url: Annotated[str, typer.Option("--rest-url", help="Default: of the venue in config.toml.")] = "",
    fallback_url: Annotated[str, typer.Option("--fallback-url", help="A second venue, for what the first lacks.")] = "",
    rate: Annotated[float, typer.Option("--rate", min=0.1, max=40, help="Requests a second at most.")] = 8.0,
    venue: VenueOption = "", data_dir: DataDirOption = None, as_json: JsonOption = False,
) -> None:
    """Take in the daemon's candles, fetch what is missing of every series, judge it all, compact what is old.

    Without --venue those of the venue that the settings name, or Binance's where it has no address. By itself once;
    with --every until it is stopped. A round that fails is told, and the next one comes.
    """
    pause_s = _pause(every)
    venue = venue or own_venue() or HISTORY_OF
    address = url or rest_url(venue)
    if not address:
        raise CliError(USAGE, f"{venue} has no rest_url in config.toml: give --rest-url.")

    def once() -> bool:
        store = open_store(data_dir, venue)
        rows = _round(store, address, fallback_url, 1 / rate, days, compact_after)
        if as_json:
            print_json(rows)
        else:
            show_rows([row["backfill"] for row in rows])
            for row in rows:
                if row["findings"] or row["compacted"]:
                    typer.echo(
                        f"{row['symbol']} {row['interval']}: {row['findings']} findings (tradelab data audit), "
                        f"{row['compacted']:,} candles made into hours"
                    )
        return not any(row["backfill"]["problem"] for row in rows)

    _again(once, pause_s)


def _pause(every: str) -> float:
    from market.interval import IntervalError, interval_ns

    try:
        return interval_ns(every) / 1e9 if every else 0.0
    except IntervalError as error:
        raise CliError(USAGE, f"--every {every!r}: {error}") from error


def _again(once: Callable[[], bool], pause_s: float, sleep: Callable[[float], None] = time.sleep) -> None:
    while True:
        try:
            is_well = once()
        except Exception as error:  # a full disk, a file in the way: the next round may fare better
            if not pause_s:
                raise
            note(str(error) or type(error).__name__)
            is_well = False
        if not pause_s:
            if not is_well:
                raise typer.Exit(FAILURE)
            return
        sleep(pause_s)


def _round(
    store: "CandleStore", address: str, fallback: str, pause_s: float, days: int, compact_after: int,
) -> list[Row]:
    """A series that cannot be read or written is told, and the next one has its turn."""
    from store.candle_parts import CandlePartError
    from store.candles import CandleStoreError

    now_ns, rows = time.time_ns(), list[Row]()
    for symbol, interval in chosen(store, "", ""):
        row: Row = {
            "symbol": symbol, "interval": interval, "backfill": empty_row(symbol, interval), "compacted": 0,
            "findings": 0,
        }
        rows.append(row)
        job = BackfillJob(
            (symbol,), interval, now_ns - days * _DAY_NS, now_ns, "rest", store.venue, address, fallback, "", pause_s,
            reconciles=False,
        )
        try:
            _look_after(store, job, compact_after, row)
        except (CandlePartError, CandleStoreError) as error:
            row["backfill"]["problem"] = str(error)
            note(f"{symbol} {interval}: {error}")
    return rows


def _look_after(store: "CandleStore", job: BackfillJob, compact_after: int, row: Row) -> None:
    from market.interval import interval_ns
    from research.history import compaction
    from research.history.audit import audit

    (symbol,), length = job.symbols, interval_ns(job.interval)
    first = max(job.start_ns, int(store.open_times(symbol, job.interval)[0]))
    (row["backfill"],) = asyncio.run(run_job(store, replace(job, start_ns=first // length * length)))
    row["findings"] = len(audit(store, symbol, job.interval).findings)
    if compact_after and (symbol, job.interval) in compaction.compactable(store, symbol):
        row["compacted"] = compaction.compact(store, symbol, job.interval, job.end_ns, compact_after).removed
