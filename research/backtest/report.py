"""One self-contained HTML page a session: no network, no framework, no script; readable on a phone."""

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any, Final

import numpy as np

from research.backtest import charts
from research.backtest.charts import Mark
from research.backtest.session import Curve

MOST_TRADES: Final = 500
"""Rows of the table of trades; all of them are in the exports."""
_LATEST: Final = 160
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_PERCENT: Final = frozenset({
    "total_return", "annual_return", "volatility", "downside_deviation", "max_drawdown", "var_95", "cvar_95",
    "buy_and_hold_return", "buy_and_hold_drawdown", "time_in_market", "win_rate", "average_trade_return",
    "fees_of_gross_profit", "fill_ratio", "path_dependent",
})
_GROUPS: Final[Mapping[str, Sequence[str]]] = {
    "Return": ("total_return", "annual_return", "buy_and_hold_return", "final_equity", "time_in_market"),
    "Risk": (
        "volatility",
        "max_drawdown",
        "max_drawdown_days",
        "buy_and_hold_drawdown",
        "var_95",
        "cvar_95",
        "downside_deviation",
    ),
    "Ratios": ("sharpe", "sortino", "calmar", "recovery_factor", "beta", "correlation"),
    "Trades": (
        "trades",
        "win_rate",
        "profit_factor",
        "expectancy",
        "average_trade_return",
        "average_win",
        "average_loss",
        "largest_win",
        "largest_loss",
        "longest_winning_streak",
        "longest_losing_streak",
    ),
    "Time": ("average_hold_s", "longest_hold_s", "best_hour", "worst_hour", "best_weekday", "worst_weekday"),
    "Execution": (
        "fees",
        "fees_of_gross_profit",
        "fill_ratio",
        "rejected",
        "denied",
        "shortfall_bps",
        "worst_shortfall_bps",
        "wait_bps",
        "slippage_bps",
        "path_dependent",
    ),
}
_CSS: Final = """
:root{color-scheme:light dark;--ink:#1c2430;--soft:#667085;--line:#e3e7ee;--page:#f6f7f9;--card:#fff;--up:#0f8a5f;
--down:#c8402f;--main:#2457c5;--second:#9aa4b5}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ef;--soft:#98a2b3;--line:#2a313d;--page:#12161c;--card:#1a2029;
--up:#35b988;--down:#ee6a58;--main:#7aa5ff;--second:#6b7688}}*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.45 system-ui,sans-serif}
main{max-width:1080px;margin:0 auto;padding:20px 14px 48px}h1{font-size:22px;margin:0 0 2px;overflow-wrap:anywhere}
h2{font-size:16px;margin:0 0 10px}
section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px;margin-top:14px}
p{margin:4px 0;color:var(--soft)}.story{margin:0;padding-left:18px}.story li{margin:3px 0;overflow-wrap:anywhere}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(130px,1fr));gap:10px;margin-top:14px}
.tiles div{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:10px 12px}
.tiles small{display:block;color:var(--soft)}.tiles strong{font-size:20px;font-variant-numeric:tabular-nums}
.good{color:var(--up)}.bad{color:var(--down)}.chart{position:relative;margin-right:64px}
.chart svg{width:100%;height:100%;display:block;overflow:visible}
.chart path{fill:none;vector-effect:non-scaling-stroke;stroke-width:1.5}
.chart b{position:absolute;left:100%;margin-left:6px;transform:translateY(-50%);font:11px system-ui;
color:var(--soft);white-space:nowrap}.chart path.grid{stroke:var(--line);stroke-width:1}
.chart path.up{stroke:var(--up);fill:var(--up);stroke-width:1}
.chart path.down{stroke:var(--down);fill:var(--down);stroke-width:1}.chart path.equity{stroke:var(--main)}
.chart path.hold{stroke:var(--second)}.chart path.fall{stroke:var(--down);fill:var(--down);fill-opacity:.18}
.chart path.entries{stroke:var(--main);stroke-width:2}.chart path.exits{stroke:var(--ink);stroke-width:1.5}
.chart i{position:absolute;width:0;height:0;border:5px solid transparent;margin-left:-5px}
.chart i.in{border-bottom:9px solid var(--main);border-top:0;margin-top:2px}
.chart i.out{border-top:9px solid var(--ink);border-bottom:0;margin-top:-11px}
.days{display:flex;justify-content:space-between;margin-right:64px;font-size:11px;color:var(--soft);padding-top:4px}
.key{font-size:13px}.key i{display:inline-block;width:12px;height:3px;vertical-align:middle;margin:0 5px 0 12px}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(250px,1fr));gap:4px 28px}
.figures h3{font-size:13px;color:var(--soft);margin:8px 0 2px;font-weight:600}
dl{display:grid;grid-template-columns:1fr auto;margin:0;gap:2px 10px}
dd{margin:0;text-align:right;font-variant-numeric:tabular-nums}.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:13px;font-variant-numeric:tabular-nums}
td,th{padding:4px 8px;text-align:right;white-space:nowrap;border-bottom:1px solid var(--line)}
th{color:var(--soft);font-weight:600}td:first-child,th:first-child{text-align:left}
"""


def page(name: str, document: Mapping[str, Any], curve: Curve) -> str:
    """The whole page; the same session gives the same bytes."""
    about, stats = document["about"], document["stats"]
    marks = _marks(document["trades"], curve)
    depths = 1.0 - curve.equity / np.maximum.accumulate(np.maximum(curve.equity, stats["start_cash"]))
    hold = curve.close / curve.close[0] * stats["start_cash"]
    latest = max(0, len(curve) - _LATEST)
    if marks:
        latest = max(0, min(latest, marks[-1].index - _LATEST // 2))
    until = min(len(curve), latest + _LATEST)
    parts = [
        f"<h1>{escape(name)}</h1><p>{_subtitle(about)}</p>",
        _tiles(stats),
        *(_section(each["title"], _story(each["lines"])) for each in document.get("story", ())),
        _section("Candles, entries and exits", charts.candles(curve, 0, len(curve), 240, marks) + _KEY_TRADES),
        _section(
            "The last trades, candle by candle", charts.candles(curve, latest, until, _LATEST, marks) + _KEY_TRADES
        )
        if marks and len(curve) > _LATEST
        else "",
        _section(
            "Equity", charts.lines(curve, (("hold", hold), ("equity", curve.equity)), charts.price_text) + _KEY_EQUITY
        ),
        _section("Drawdown", charts.drawdown(curve, depths)),
        _section("Monthly returns", _months(stats["monthly_returns"])),
        _section("Rolling returns", _rolling(stats["rolling_returns"])),
        _section("All figures", _figures(stats)),
        _alphas(stats.get("alphas")),
        _section(f"Trades ({len(document['trades'])})", _trades(document["trades"])),
        _section("Data and settings", _settings(document)),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(name)}: backtest</title><style>{_CSS}</style></head><body><main>"
        f"{''.join(parts)}</main></body></html>\n"
    )


def trades_csv(trades: Sequence[Mapping[str, Any]]) -> str:
    """One round trip a line; times as UTC nanoseconds, money as decimal text."""
    out = io.StringIO()
    names = (
        "symbol",
        "side",
        "entry_ts",
        "entry_price",
        "exit_ts",
        "exit_price",
        "quantity",
        "fees",
        "pnl",
        "exit_reason",
    )
    writer = csv.DictWriter(out, names, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(trades)
    return out.getvalue()


# ---- parts -----------------------------------------------------------------------------------------

_KEY_TRADES: Final = (
    '<p class="key"><i style="background:var(--main)"></i>entry<i style="background:var(--ink)"></i>exit</p>'
)
_KEY_EQUITY: Final = (
    '<p class="key"><i style="background:var(--main)"></i>equity'
    '<i style="background:var(--second)"></i>buy and hold</p>'
)


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def _subtitle(about: Mapping[str, Any]) -> str:
    parameters = ", ".join(f"{key} {value}" for key, value in sorted(about.get("param", {}).items()))
    rule = str(about["strategy"]) + (f" ({parameters})" if parameters else "")
    return escape(
        f"{rule} on {about['symbol']} {about['timeframe']}, {_day(about['first_ts'])} to {_day(about['last_ts'])}"
    )


def _tiles(stats: Mapping[str, Any]) -> str:
    shown = (
        ("Return", "total_return"),
        ("A year", "annual_return"),
        ("Drawdown", "max_drawdown"),
        ("Sharpe", "sharpe"),
        ("Trades", "trades"),
        ("Won", "win_rate"),
    )
    tiles = []
    for title, key in shown:
        value = stats[key]
        tone = (
            ""
            if key not in ("total_return", "annual_return", "sharpe") or value is None
            else "good"
            if value >= 0
            else "bad"
        )
        tiles.append(f'<div><small>{title}</small><strong class="{tone}">{_figure(key, value)}</strong></div>')
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _figures(stats: Mapping[str, Any]) -> str:
    groups = []
    for title, keys in _GROUPS.items():
        rows = "".join(
            f"<dt>{key.replace('_', ' ')}</dt><dd>{_figure(key, stats[key])}</dd>" for key in keys if key in stats
        )
        groups.append(f"<div><h3>{title}</h3><dl>{rows}</dl></div>")
    return f'<div class="figures">{"".join(groups)}</div>'


def _months(months: Mapping[str, float]) -> str:
    years: dict[str, dict[int, float]] = {}
    for month, value in months.items():
        years.setdefault(month[:4], {})[int(month[5:7])] = value
    head = "".join(f"<th>{name}</th>" for name in (*_MONTHS, "Year"))
    rows = []
    for year, found in sorted(years.items()):
        cells = "".join(_cell(found.get(month)) for month in range(1, 13))
        rows.append(
            f"<tr><td>{year}</td>{cells}{_cell(float(np.prod([1 + each for each in found.values()]) - 1))}</tr>"
        )
    return f'<div class="wide"><table><tr><th></th>{head}</tr>{"".join(rows)}</table></div>'


def _cell(value: float | None) -> str:
    if value is None:
        return "<td></td>"
    return f'<td class="{"good" if value >= 0 else "bad"}">{value * 100:+.1f}</td>'


def _rolling(rolling: Mapping[str, Mapping[str, float] | None]) -> str:
    names = ("worst", "mean", "best", "latest")
    rows = [
        f"<tr><td>{days} days</td>{''.join(_cell(found[name]) for name in names)}</tr>"
        for days, found in sorted(rolling.items(), key=lambda each: int(each[0])) if found
    ]
    if not rows:
        return "<p>The data are shorter than 30 days.</p>"
    head = "".join(f"<th>{name}</th>" for name in names)
    return f'<div class="wide"><table><tr><th>percent</th>{head}</tr>{"".join(rows)}</table></div>'


def _alphas(alphas: Mapping[str, Mapping[str, Any]] | None) -> str:
    if not alphas:
        return ""
    keys = list(next(iter(alphas.values())))
    head = "".join(f"<th>{key.replace('_', ' ')}</th>" for key in keys)
    rows = "".join(
        f"<tr><td>{escape(name)}</td>{''.join(f'<td>{_figure(key, figures[key])}</td>' for key in keys)}</tr>"
        for name, figures in alphas.items()
    )
    return _section("Alphas", f'<div class="wide"><table><tr><th>alpha</th>{head}</tr>{rows}</table></div>')


def _story(lines: Sequence[str]) -> str:
    """Sentences; one that begins with an agent or a model has its name in bold."""
    told = []
    for line in lines:
        name, colon, rest = line.partition(": ")
        is_named = bool(colon) and len(name) <= 20 and not name[:1].isdigit()
        text = f"<strong>{escape(name)}</strong> {escape(rest)}" if is_named else escape(line)
        told.append(f"<li>{text}</li>")
    return f'<ul class="story">{"".join(told)}</ul>'


def _trades(trades: Sequence[Mapping[str, Any]]) -> str:
    if not trades:
        return "<p>None was closed.</p>"
    rows = []
    for each in trades[-MOST_TRADES:]:
        profit = float(each["pnl"])
        ratio = profit / (float(each["entry_price"]) * float(each["quantity"]))
        rows.append(
            f"<tr><td>{_moment(each['entry_ts'])}</td><td>{charts.price_text(float(each['entry_price']))}</td>"
            f"<td>{_moment(each['exit_ts'])}</td><td>{charts.price_text(float(each['exit_price']))}</td>"
            f"<td>{float(each['quantity']):.6g}</td><td>{float(each['fees']):,.2f}</td>"
            f'<td class="{"good" if profit >= 0 else "bad"}">{profit:+,.2f}</td>'
            f'<td class="{"good" if profit >= 0 else "bad"}">{ratio * 100:+.2f} %</td>'
            f'<td>{escape(each["exit_reason"])}</td></tr>'
        )
    names = ("entry (UTC)", "price", "exit (UTC)", "price", "quantity", "fees", "profit", "", "by")
    head = "".join(f"<th>{name}</th>" for name in names)
    left = len(trades) - MOST_TRADES
    note = f"<p>The last {MOST_TRADES}; the {left} before them are in the exports: tradelab report NAME --csv FILE</p>"
    return (note if left > 0 else "") + f'<div class="wide"><table><tr>{head}</tr>{"".join(rows)}</table></div>'


def _settings(document: Mapping[str, Any]) -> str:
    about, data = document["about"], document["data"]
    shown = {
        **{key: about[key] for key in ("cash", "stake", "fee", "spread", "slippage", "version") if key in about},
        "candles": document["stats"]["candles"], "missing candles": f"{data['missing']} in {data['gaps']} gaps",
        "candles without volume": data["silent"], "odd candles": data["oddities"],
        "look-ahead": f"none found at {about['look_ahead_cuts']} cuts" if "look_ahead_cuts" in about else "live agents",
        "data fingerprint": document["fingerprint"][:16],
    }
    rows = "".join(f"<dt>{escape(key)}</dt><dd>{escape(str(value))}</dd>" for key, value in shown.items())
    odd = "".join(f"<p>{_moment(each['ts'])}: {escape(each['text'])}</p>" for each in data["shown"])
    return f"<dl>{rows}</dl>{odd}"


def _marks(trades: Sequence[Mapping[str, Any]], curve: Curve) -> list[Mark]:
    marks = []
    for each in trades:
        for word, is_entry in (("entry", True), ("exit", False)):
            ts, price = each[f"{word}_ts"], float(each[f"{word}_price"])
            index = int(np.searchsorted(curve.ts, ts, side="right")) - 1
            marks.append(Mark(index, price, is_entry, escape(f"{word} {_moment(ts)} at {charts.price_text(price)}")))
    return marks


def _figure(key: str, value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return escape(value)
    if key in _PERCENT or key.endswith("_ratio") or key == "accuracy":
        return f"{value * 100:,.2f} %"
    if key.endswith("_hold_s"):
        return _length(value)
    if isinstance(value, int):
        return f"{value:02d}:00" if key.endswith("_hour") else f"{value:,}"
    return f"{value:,.3f}" if abs(value) < 1000 else f"{value:,.2f}"


def _length(seconds: float) -> str:
    for size, word in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= size:
            return f"{seconds / size:,.1f} {word}"
    return f"{seconds:.0f} seconds"


def _day(ts: int) -> str:
    return datetime.fromtimestamp(ts // 10**9, UTC).strftime("%Y-%m-%d")


def _moment(ts: int) -> str:
    return datetime.fromtimestamp(ts // 10**9, UTC).strftime("%Y-%m-%d %H:%M")
