"""Answers for people: aligned tables, colour only on a terminal, nothing that a text could smuggle in."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from itertools import groupby
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from market.money import to_text
from tradingd import cli_layout
from tradingd.cli_layout import clean as clean
from tradingd.cli_layout import console as console

_GOOD: Final = frozenset({"ACTIVE", "FILLED", "running", "connected", "ok", "WIN"})
_BAD: Final = frozenset({"HALTED", "REJECTED", "failed", "lost", "fail", "LOSS", "stale"})
_MIXED: Final = frozenset({"REDUCING", "STOPPED", "PARTIAL", "warn", "EXPIRED", "connecting"})


def print_json(answer: object) -> None:
    """One document, readable."""
    sys.stdout.write(json.dumps(answer, indent=2, ensure_ascii=False) + "\n")


def cell(text: object) -> Text:
    """Text, coloured when it is a word for good or bad."""
    shown = clean(text)
    return Text(shown, style=_style(shown))


def _style(text: str) -> str:
    return "green" if text in _GOOD else "red" if text in _BAD else "yellow" if text in _MIXED else ""


def money(value: str | None, places: int = 2) -> str:
    """Decimal text rounded for reading, with thousands set apart; "-" for none."""
    if value is None:
        return "-"
    return f"{round(Decimal(value), places):,.{places}f}"


def percent(ratio: float | None, places: int = 2) -> str:
    """A ratio as percent; "-" for none."""
    return "-" if ratio is None else f"{ratio * 100:.{places}f} %"


def clock(iso: str | None) -> str:
    """Date and time to the second."""
    return "-" if not iso else iso[:19].replace("T", " ")


def rounded(text: str) -> str:
    """A price with as many digits as one reads: the digits of an average or a trigger help nobody here."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        return text
    size = abs(value)
    return f"{value:.2f}" if size >= 1000 else f"{value:.4f}" if size >= 1 else f"{value:.6f}"


def span(seconds: float) -> str:
    """42 s, 12 min 5 s, 3 h 20 min, 4 d 7 h: the two largest parts."""
    parts = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
    left, told = round(seconds), list[str]()
    for size, unit in parts:
        count, left = divmod(left, size)
        if count or told:
            told.append(f"{count} {unit}")
    return " ".join(told[:2]) or "0 s"


def moment(iso: str | None) -> str:
    """The time of day, with the date in front when it was not today (UTC)."""
    full = clock(iso)
    return full[11:] if full[:10] == datetime.now(UTC).date().isoformat() else full


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], numbers: Sequence[str] = (), *, later: Sequence[str] = (),
) -> None:
    """Columns named in `numbers` are aligned to the right; those in `later` go under the row first."""
    cli_layout.show(cli_layout.Table(columns, rows, numbers, later=later, style=_style))


def pairs(rows: Iterable[tuple[str, object]]) -> Table:
    """Name and value, one a line."""
    made = Table(box=None, show_header=False, pad_edge=False)
    made.add_column(style="dim")
    made.add_column()
    for name, value in rows:
        made.add_row(name, cell(value))
    return made


# ---- one function a view -----------------------------------------------------------------------------


def status(answer: Mapping[str, Any]) -> None:
    """`tradingd status`"""
    out, quote = console(), answer["quote"]
    started = f", up {span(answer['uptime_s'])}" if answer["pid"] else ""
    rows: list[tuple[str, object]] = [
        ("state", answer["state"]),
        ("daemon", f"{answer['mode']} on {answer['venue']}{' (replay)' if answer['is_replay'] else ''}{started}"),
        ("symbols", ", ".join(answer["symbols"])),
        ("equity", f"{money(answer['equity'])} {quote}"),
        ("profit", f"{money(answer['realized_pnl'])} realised, {money(answer['unrealized_pnl'])} unrealised {quote}"),
        ("positions", f"{answer['open_positions']} open"),
        ("orders", f"{answer['working_orders']} working, {answer['unknown_orders']} unknown"),
        ("fills", answer["fills"]),
        ("targets", _targets(answer.get("scorecard", ()))),
    ]
    if not answer["is_ready"]:
        rows.insert(1, ("not ready", answer["not_ready_reason"]))
    kill = answer["kill"]
    if kill is not None:
        said = f"ENGAGED ({kill['action']}) by {kill['by']} since {clock(kill['since'])}: {kill['reason']}"
        rows.insert(1, ("kill switch", said))
    for vote in answer["votes"]:
        if vote["state"] != "ACTIVE":
            rows.append(("vote", f"{vote['voter']}: {vote['state']} ({vote['reason']})"))
    for feed in answer["feeds"]:
        age = "" if feed["age_s"] is None else f", last {feed['age_s']:.1f} s ago"
        said = f"{feed['name']} {feed['state']}, {feed['messages']} messages{age} {feed['detail']}"
        rows.append(("feed", said.rstrip()))
    if answer["state"] == "STOPPED" and answer["open_positions"]:
        rows.append(("warning", "nobody watches the stops and trails of these positions until the next start"))
    rows += [("lock", f"{lock['symbol']}: {lock['reason']} (until {clock(lock['until'])})") for lock in answer["locks"]]
    rows += [("problem", f"{problem['text']} (since {clock(problem['since'])})") for problem in answer["problems"]]
    out.print(pairs(rows))
    if answer["agents"] and answer["state"] != "STOPPED":
        out.print()
        agents(answer["agents"], is_brief=True)


def _targets(scorecard: Sequence[Mapping[str, Any]]) -> str:
    """How many of the known figures are as one would like them, and which are not."""
    known = [each for each in scorecard if each["value"] is not None]
    missed = [f"{each['name']} {each['value']:.4g} (target {each['target']})" for each in known if not each["is_met"]]
    told = f"{len(known) - len(missed)} of {len(known)} known ones met"
    return f"{told}; not: {', '.join(missed)}" if missed else told


def agents(answer: Sequence[Mapping[str, Any]], *, is_brief: bool = False) -> None:
    """The agents of `tradingd agents`, or in a few words for `tradingd status`."""
    if is_brief:
        print_table(("agent", "state", "message"), [(each["name"], each["state"], _said(each)) for each in answer])
        return
    rows = [
        (
            agent["name"], agent["state"], agent["status"], f"{agent['progress']['percent']:.2f} %",
            agent["restarts"], agent["handled"], agent["emitted"], _p99_ms(agent.get("timing")), _said(agent),
        )
        for agent in answer
    ]
    columns = ("agent", "state", "doing", "progress", "restarts", "heard", "said", "p99 ms", "message")
    print_table(columns, rows, columns[3:8], later=("p99 ms", "restarts"))


def _said(agent: Mapping[str, Any]) -> str:
    return str(agent["error"] or agent["progress"]["message"])


def _p99_ms(timing: Mapping[str, Any] | None) -> str:
    return "-" if timing is None or timing["p99_us"] is None else f"{timing['p99_us'] / 1000:.2f}"


def _exits(row: Mapping[str, Any]) -> str:
    """How many, and what stops and trails cover where that is not all."""
    number, covered = len(row["exits"]), row["protected"]
    return str(number) if Decimal(covered) >= Decimal(row["quantity"]) else f"{number}, {covered} covered"


def positions(answer: Sequence[Mapping[str, Any]]) -> None:
    """`tradingd positions`"""
    rows = [
        (
            row["symbol"], row["quantity"], rounded(row["average_price"]), rounded(row["mark"] or "-"),
            money(row["value"]), money(row["unrealized_pnl"]), moment(row["opened"]), _exits(row),
        )
        for row in answer
    ]
    columns = ("symbol", "quantity", "average", "bid", "value", "profit", "opened (UTC)", "exits")
    _print_or(
        rows, columns, ("quantity", "average", "bid", "value", "profit", "exits"), "no open position",
        later=("opened (UTC)", "exits"),
    )


def orders(answer: Sequence[Mapping[str, Any]]) -> None:
    """`tradingd orders`"""
    rows = [
        (
            order["id"], moment(order["created"]), order["symbol"], order["side"], order["type"], order["quantity"],
            order["filled"],
            rounded(order["average_price"] or order["price"] or order["trigger"] or order["stop_price"] or "-"),
            order["state"], order["detail"], order["lead_alpha"] or order["origin"],
        )
        for order in answer
    ]
    columns = (
        "id", "created (UTC)", "symbol", "side", "type", "quantity", "filled", "price", "state", "detail", "from",
    )
    _print_or(
        rows, columns, ("quantity", "filled", "price"), "no orders",
        later=("created (UTC)", "from", "detail", "filled", "type"),
    )


def trades(answer: Sequence[Mapping[str, Any]]) -> None:
    """`tradingd trades`"""
    rows = [
        (
            moment(fill["time"]), fill["symbol"], fill["side"], fill["quantity"], rounded(fill["price"]),
            money(fill["value"]), f"{_short_fee(fill['fee'])} {fill['fee_asset']}", fill["order_id"],
        )
        for fill in answer
    ]
    columns = ("time (UTC)", "symbol", "side", "quantity", "price", "value", "fee", "order")
    _print_or(rows, columns, ("quantity", "price", "value", "fee"), "no fills", later=("order", "fee"))


def _short_fee(fee: str) -> str:
    """Rounded to eight places, which no venue goes beyond, and without the zeros behind."""
    return to_text(round(Decimal(fee), 8))


def performance(answer: Mapping[str, Any]) -> None:
    """`tradingd performance`"""
    quote, sharpe, factor = answer["quote"], answer["sharpe"], answer["profit_factor"]
    slippage = answer["average_slippage"]
    console().print(pairs([
        ("net profit", f"{money(answer['net_pnl'])} {quote}"),
        ("realised", f"{money(answer['realized_pnl'])} {quote}"),
        ("unrealised", f"{money(answer['unrealized_pnl'])} {quote}"),
        ("fees", f"{money(answer['fees'])} {quote}"),
        ("round trips", f"{answer['round_trips']} ({answer['wins']} won, {answer['losses']} lost)"),
        ("win rate", percent(answer["win_rate"])),
        ("profit factor", "-" if factor is None else f"{factor:.2f}"),
        ("expectancy", "-" if answer["expectancy"] is None else f"{money(answer['expectancy'], 4)} {quote}"),
        ("max drawdown", percent(answer["max_drawdown"])),
        ("sharpe", "-" if sharpe is None else f"{sharpe:.2f} ({answer['sharpe_basis'].replace('_', ' ')})"),
        ("slippage", percent(slippage, 4)),
        *([("path-dependent", f"{answer['path_dependent_trades']} round trips ({percent(share)})")]
          if (share := answer["path_dependent_share"]) is not None else []),
    ]))
    trips = answer["latest_round_trips"]
    if trips:
        rows = [
            (
                moment(trip["closed"]), trip["symbol"], trip["result"], trip["quantity"], rounded(trip["entry_price"]),
                rounded(trip["exit_price"]), money(trip["realized_pnl"], 4), percent(trip["return_ratio"], 3),
                f"{trip['duration_s']:.0f} s",
            )
            for trip in trips
        ]
        columns = ("closed (UTC)", "symbol", "result", "quantity", "bought at", "sold at", "profit", "return", "held")
        console().print()
        print_table(columns, rows, columns[3:], later=("held", "quantity", "return"))


def trace(wanted: str, answer: Sequence[Mapping[str, Any]], *, is_order: bool) -> None:
    """`tradingd explain ID`"""
    rows = [
        (clean(entry["time"]).replace("T", " ")[11:23], entry["kind"], entry["text"])
        for entry in _without_middle_steps(answer)
    ]
    what, end = ("Order", "fill") if is_order else ("Decision", "verdict")
    console().print(Text(f"{what} {clean(wanted)} of {clean(answer[0]['time'])[:10]}, from candle to {end}:"))
    print_table(("time (UTC)", "what", "says"), rows)


def _without_middle_steps(answer: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """A trail's steps follow each other by the dozen: first and last say it, the rest is counted (--json has all)."""
    kept: list[Mapping[str, Any]] = []
    for is_step, run in groupby(answer, key=lambda entry: entry["kind"] == "TrailingAdvanced"):
        steps = list(run)
        if is_step and len(steps) > 3:
            left_out = {**steps[1], "text": f"... {len(steps) - 2} more steps (all of them: --json) ..."}
            kept += [steps[0], left_out, steps[-1]]
        else:
            kept += steps
    return kept


def checks(answer: Sequence[Mapping[str, Any]]) -> None:
    """`tradingd doctor`"""
    print_table(("check", "", "says"), [(row["name"], row["level"], row["text"]) for row in answer])


def _print_or(
    rows: Sequence[Sequence[object]], columns: Sequence[str], numbers: Sequence[str], nothing: str, *,
    later: Sequence[str] = (),
) -> None:
    if rows:
        print_table(columns, rows, numbers, later=later)
    else:
        console().print(nothing)
