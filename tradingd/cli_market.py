"""Commands about what the council sees: the scanner's ranking, and one symbol through the analyst's eyes."""

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from tradingd.cli_session import ConfigOption, DataDirOption, JsonOption, connect

_FEATURES_SHOWN = (
    ("RSI 14", ("rsi_14",)), ("MACD, signal, histogram", ("macd", "macd_signal", "macd_histogram")),
    ("ATR 14, its average", ("atr_14", "atr_average")),
    ("Bollinger low, middle, high", ("bollinger_lower", "bollinger_middle", "bollinger_upper")),
    ("SMA 20, 50", ("sma_20", "sma_50")), ("EMA 12, 26", ("ema_12", "ema_26")), ("VWAP of the day", ("vwap",)),
    ("volume, average, ratio", ("volume", "volume_average_20", "volume_ratio")),
    ("order flow, takers", ("order_flow_20", "taker_flow_20")),
    ("value area low, most traded, high", ("value_area_low", "point_of_control", "value_area_high")),
    ("support, touches", ("support", "support_touches")), ("resistance, touches", ("resistance", "resistance_touches")),
    ("swing low, high, trend", ("swing_low", "swing_high", "swing_trend")),
    ("divergence of RSI, MACD", ("divergence", "macd_divergence")),
    ("slope 10, efficiency 20", ("slope_10", "efficiency_20")),
)


def scanner(config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False) -> None:
    """The ranked symbols with scores and reasons, the watch list first, and who was left out and why."""
    from tradingd import cli_tables

    answer = connect(config, data_dir).get("/api/scanner")
    if json:
        cli_tables.print_json(answer)
        return
    out = cli_tables.console()
    if answer["time"] is None:
        out.print("nothing ranked yet: the scanner needs candles, and ranks every scanner.refresh_s seconds")
        return
    rows = [
        (one["rank"], one["symbol"], f"{one['score']:.1f}", "watched" if one["is_watched"] else "", *_joined(one))
        for one in answer["ranked"]
    ]
    out.print(f"ranked {cli_tables.moment(answer['time'])} UTC")
    cli_tables.print_table(("rank", "symbol", "score", "list", "reasons"), rows, ("rank", "score"))
    if answer["left_out"]:
        out.print()
        left_out = [(one["symbol"], one["reason"]) for one in answer["left_out"]]
        cli_tables.print_table(("left out", "reason"), left_out)


def market(
    symbol: Annotated[str, typer.Argument(metavar="SYMBOL", help="Such as BTC/USDT.")], config: ConfigOption = None,
    data_dir: DataDirOption = None, json: JsonOption = False,
) -> None:
    """One symbol as the council sees it: regime, indicators, patterns, every alpha's opinion, and thirty days."""
    from tradingd import cli_tables

    answer = connect(config, data_dir).get(f"/api/market?{urlencode({'symbol': symbol})}")
    if json:
        cli_tables.print_json(answer)
        return
    out = cli_tables.console()
    analysis, month = answer["analysis"], answer["month"]
    if analysis is None:
        out.print(f"{answer['symbol']}: not analysed yet (only symbols on the watch list are: `tradingd scanner`)")
    else:
        moment = cli_tables.moment(analysis["time"])
        out.print(
            f"{answer['symbol']} at {analysis['close']}, {analysis['interval']} candle of {moment} UTC: "
            f"{analysis['regime']}"
        )
        out.print(cli_tables.pairs(_indicator_rows(analysis["features"])))
        out.print()
        opinions = [
            (
                one["alpha"], f"{one['weight']:g}", one["action"], f"{one['confidence']:.2f}",
                cli_tables.percent(one["trail_ratio"]), one["urgency"], one["reasoning"],
            )
            for one in analysis["opinions"]
        ]
        columns = ("alpha", "weight", "action", "confidence", "trail", "urgency", "says")
        cli_tables.print_table(columns, opinions, ("weight", "confidence", "trail"))
    out.print()
    if month is None:
        out.print("thirty days: too few stored candles; `tradelab data backfill` fetches them")
    else:
        out.print(cli_tables.pairs(_month_rows(month)))
    known = answer["fundamentals"]
    age = f"{known['age_days']:.1f} days, by the oldest stored candle" if known["age_days"] is not None else "not known"
    out.print(cli_tables.pairs([("at the venue", known["venue_status"]), ("listed for at least", age)]))


def _joined(one: Mapping[str, Any]) -> tuple[str]:
    return (", ".join(one["reasons"]),)


def _indicator_rows(features: Mapping[str, float]) -> list[tuple[str, str]]:
    rows = [
        (label, ", ".join(f"{features[name]:.6g}" if name in features else "-" for name in names))
        for label, names in _FEATURES_SHOWN if any(name in features for name in names)
    ]
    for prefix, label in (("candle_", "candlesticks"), ("chart_", "chart patterns")):
        seen = [
            f"{name.removeprefix(prefix).replace('_', ' ')}{' (bearish)' if value < 0 else ''}"
            for name, value in features.items() if name.startswith(prefix) and value and name != "chart_target"
        ]
        rows.append((label, ", ".join(seen) or "none"))
    return rows


def _month_rows(month: Mapping[str, Any]) -> list[tuple[str, str]]:
    from tradingd.cli_tables import moment, percent

    value_area = "-"
    if month["point_of_control"] is not None:
        low, high = month["value_area_low"], month["value_area_high"]
        value_area = f"{month['point_of_control']:.6g}, 70 % between {low:.6g} and {high:.6g}"
    stretch = f"{month['days']:.1f} days of {month['interval']}"
    return [
        (stretch, f"{month['candles']} candles from {moment(month['first'])}"),
        ("price", f"{month['first_price']:.6g} to {month['last_price']:.6g} ({percent(month['change_ratio'])})"),
        ("lowest, highest", f"{month['lowest']:.6g}, {month['highest']:.6g}"),
        ("largest drawdown", percent(month["max_drawdown"])),
        ("volatility a day", f"{percent(month['volatility'])}, last day {percent(month['recent_volatility'])}"),
        ("swing of a day", f"{percent(month['average_swing_ratio'])} on average"),
        ("straightness", f"{month['efficiency']:.2f} (0 = noise, 1 = a line)"),
        ("turnover a day", f"{month['turnover_per_day']:,.0f}"),
        ("busiest, quietest hour", f"{month['busiest_hour']:02d}:00, {month['quietest_hour']:02d}:00 UTC"),
        ("most traded at", value_area),
    ]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (scanner, market):
        app.command(rich_help_panel="Look")(command)
