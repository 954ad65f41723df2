"""How `tradelab data` shows its answers: tables for people, plain dicts for JSON."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from research.cli_session import note
from research.history.archives import Archive
from research.history.audit import Audit
from research.history.compaction import Compaction
from research.history.importing import ImportReport
from store.candle_grid import Gap
from store.candles import Coverage, WriteResult
from tradingd import cli_layout

_MOST_FINDINGS: Final = 20
Row = dict[str, Any]


# ---- JSON --------------------------------------------------------------------------------------------


def moment(ts_ns: int) -> str:
    """ISO, UTC; "" for none."""
    return datetime.fromtimestamp(ts_ns / 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if ts_ns else ""


def plain(value: object) -> object:
    """For JSON: decimals and times as text."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    return value if isinstance(value, int | float | str | bool | None) else str(value)


def series_row(row: Coverage) -> Row:
    """`tradelab data list`"""
    return {
        "venue": row.venue, "symbol": row.symbol, "interval": row.interval, "first": moment(row.first_ns),
        "end": moment(row.end_ns), "candles": row.candles, "files": row.files, "bytes": row.size_bytes,
    }


def gap_row(gap: Gap) -> Row:
    """One gap. `kind` is what becomes of it: interpolated when read, or missing."""
    return {
        "start": moment(gap.start_ns), "end": moment(gap.end_ns), "candles": gap.candles,
        "kind": "interpolated" if gap.is_short else "missing", "confirmed": gap.is_confirmed,
    }


def coverage_row(row: Coverage) -> Row:
    """`tradelab data coverage`"""
    return {
        **series_row(row), "expected": row.expected, "ratio": round(row.ratio, 6),
        "interpolated": sum(gap.candles for gap in row.gaps if gap.is_short),
        "missing": sum(gap.candles for gap in row.gaps if not gap.is_short),
        "gaps": [gap_row(gap) for gap in row.gaps],
    }


def audit_row(each: Audit) -> Row:
    """`tradelab data audit`"""
    return {
        **coverage_row(each.coverage), "duplicates": each.repeats, "silent": each.silent,
        "longest_still": each.longest_still, "holidays": each.holidays, "clean": each.is_clean,
        "findings": [
            {"kind": found.kind, "time": moment(found.ts_ns), "value": found.value, "text": found.sentence()}
            for found in each.findings
        ],
    }


def archive_row(each: Archive) -> Row:
    """`tradelab data list --archives`"""
    return {
        "pair": each.pair, "timeframe": each.interval, "year": each.year, "month": each.month,
        "bytes": each.size_bytes, "path": str(each.path), "verified": each.is_verified,
    }


def written_row(symbol: str, interval: str, written: WriteResult) -> Row:
    """What was stored of one series."""
    return {
        "symbol": symbol, "interval": interval, "added": written.added, "replaced": written.replaced,
        "unchanged": written.unchanged,
    }


def compaction_row(each: Compaction) -> Row:
    """`tradelab data compact`"""
    return {
        "symbol": each.symbol, "interval": each.interval, "hours": each.hours, "removed": each.removed,
        "bytes_before": each.bytes_before, "bytes_after": each.bytes_after,
    }


# ---- tables ------------------------------------------------------------------------------------------


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], numbers: Sequence[str] = ()) -> None:
    """Aligned columns, those in `numbers` to the right; what has no room stands under its row."""
    cli_layout.show(cli_layout.Table(columns, rows, numbers))


def size(count: int) -> str:
    """Bytes for reading."""
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} B"


def minute(ts_ns: int) -> str:
    """2024-01-31 12:00, UTC."""
    return moment(ts_ns)[:16].replace("T", " ")


def series_table(rows: Sequence[Coverage], root: Path, venue: str) -> None:
    """`tradelab data list`; `venue` "": of all."""
    if not rows:
        whose = f" of {venue}" if venue else ""
        note(f"no candles{whose} in {root} yet: `tradelab data import` or `backfill` brings some")
        return
    table(
        ("venue", "symbol", "interval", "from (UTC)", "to (UTC)", "candles", "files", "size"),
        [(row.venue, row.symbol, row.interval, minute(row.first_ns), minute(row.end_ns), f"{row.candles:,}", row.files,
          size(row.size_bytes)) for row in rows],
        ("candles", "files", "size"),
    )


def coverage_table(rows: Sequence[Coverage], *, with_gaps: bool) -> None:
    """`tradelab data coverage`"""
    table(
        ("symbol", "interval", "from (UTC)", "to (UTC)", "candles", "expected", "there", "interpolated", "missing",
         "gaps"),
        [(row.symbol, row.interval, minute(row.first_ns), minute(row.end_ns), f"{row.candles:,}", f"{row.expected:,}",
          f"{row.ratio * 100:.3f} %", sum(gap.candles for gap in row.gaps if gap.is_short),
          sum(gap.candles for gap in row.gaps if not gap.is_short), len(row.gaps)) for row in rows],
        ("candles", "expected", "there", "interpolated", "missing", "gaps"),
    )
    if with_gaps and any(row.gaps for row in rows):
        sys.stdout.write("\n")
        table(
            ("symbol", "interval", "from (UTC)", "to (UTC)", "candles", "will be", "the source"),
            [(row.symbol, row.interval, minute(gap.start_ns), minute(gap.end_ns), gap.candles,
              "interpolated" if gap.is_short else "missing", "has none" if gap.is_confirmed else "was not asked")
             for row in rows for gap in row.gaps],
            ("candles",),
        )


def audit_table(audits: Sequence[Audit]) -> None:
    """`tradelab data audit`"""
    table(
        ("symbol", "interval", "candles", "interpolated", "missing", "outliers", "splits", "silent", "longest still",
         "judgement"),
        [(each.coverage.symbol, each.coverage.interval, f"{each.coverage.candles:,}",
          sum(gap.candles for gap in each.coverage.gaps if gap.is_short),
          sum(gap.candles for gap in each.coverage.gaps if not gap.is_short),
          sum(1 for found in each.findings if found.kind != "split"),
          sum(1 for found in each.findings if found.kind == "split"), f"{each.silent:,}", each.longest_still,
          "clean" if each.is_clean else "look") for each in audits],
        ("candles", "interpolated", "missing", "outliers", "splits", "silent", "longest still"),
    )
    resting = [each.holidays for each in audits if each.holidays]
    if resting:
        note(f"days on which the whole market was closed are no gaps: {max(resting)} at most, in {len(resting)} series")
    findings = [(each.coverage, found) for each in audits for found in each.findings]
    shown = findings[:_MOST_FINDINGS]
    if findings:
        sys.stdout.write("\n")
        table(
            ("symbol", "interval", "time (UTC)", "finding"),
            [(of.symbol, of.interval, minute(found.ts_ns), found.sentence()) for of, found in shown],
        )
    if len(findings) > _MOST_FINDINGS:
        note(f"{len(findings) - _MOST_FINDINGS} more findings (all of them: --json)")


def archive_table(found: Sequence[Archive]) -> None:
    """`tradelab data list --archives`"""
    words = {True: "ok", False: "DAMAGED", None: "no checksum"}
    table(
        ("pair", "timeframe", "year", "month", "bytes", "checksum", "path"),
        [(each.pair, each.interval, each.year, each.month, f"{each.size_bytes:,}", words[each.is_verified], each.path)
         for each in found],
        ("year", "month", "bytes"),
    )


def imports(reports: Sequence[ImportReport]) -> None:
    """`tradelab data import`"""
    table(
        ("file", "symbols", "interval", "rows", "added", "replaced", "the same", "duplicates", "refused", ""),
        [(each.path.name, ", ".join(each.symbols[:3]) + (f" +{len(each.symbols) - 3}" if len(each.symbols) > 3 else ""),
          each.interval, f"{each.rows:,}", f"{each.written.added:,}", f"{each.written.replaced:,}",
          f"{each.written.unchanged:,}", each.duplicates, each.refused, "FAILED" if each.problem else "")
         for each in reports],
        ("rows", "added", "replaced", "the same", "duplicates", "refused"),
    )


def tell_refusals(report: ImportReport) -> None:
    """On stderr: what was refused and why."""
    if report.problem:
        note(report.problem)
    for refusal in report.refusals:
        note(f"{report.path}: {refusal.sentence()}")
    if report.refused > len(report.refusals):
        note(f"{report.path}: {report.refused - len(report.refusals)} more rows refused")


def written_table(done: Sequence[tuple[str, str, WriteResult]]) -> None:
    """What was stored."""
    table(
        ("symbol", "interval", "added", "replaced", "there before"),
        [(name, interval, f"{written.added:,}", f"{written.replaced:,}", f"{written.unchanged:,}")
         for name, interval, written in done],
        ("added", "replaced", "there before"),
    )


def compaction_table(done: Sequence[Compaction]) -> None:
    """`tradelab data compact`"""
    table(
        ("symbol", "interval", "candles removed", "hours added", "before", "after"),
        [(each.symbol, each.interval, f"{each.removed:,}", f"{each.hours:,}", size(each.bytes_before),
          size(each.bytes_after)) for each in done],
        ("candles removed", "hours added", "before", "after"),
    )


def query_table(names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """`tradelab data query`"""
    numbers = [
        name for at, name in enumerate(names) if rows and isinstance(rows[0][at], int | float | Decimal)
    ]
    table(names, [["" if cell is None else plain(cell) for cell in row] for row in rows], numbers)


@contextlib.contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int, int], None]]:
    """A bar with the time left on a terminal's stderr; nothing elsewhere. Give it (done, of)."""
    if not sys.stderr.isatty():
        yield lambda done, of: None
        return
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
        console=Console(file=sys.stderr), transient=True,
    )
    with bar:
        task = bar.add_task(what, total=total)
        yield lambda done, of: bar.update(task, completed=done, total=of)
