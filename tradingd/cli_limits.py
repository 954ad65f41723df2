"""The table of `tradingd limits`: each number with its unit, its meaning, and who set it, for people."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from tradingd import cli_tables

_SOURCES: Final = {"config": "you"}
_LEGEND: Final = (
    "Set by you: in config.toml, TRADINGD__SECTION__KEY or an option; by tolerance: account.risk_tolerance; by preset: "
    "risk.preset; by tuning: `tradingd tuning`; else the default holds. Change one and start anew."
)

MEANINGS: Final[Mapping[str, tuple[str, str]]] = {
    "symbols": ("", "what may be traded"),
    "account.capital": ("quote", "paper starting money"),
    "account.risk_tolerance": ("", "conservative, moderate or aggressive"),
    "grid.spacing": ("%", "distance of a grid's levels"),
    "strategy.base_trail": ("%", "base of all trail distances"),
    "council.threshold": ("", "least confidence for a trade (0 to 1)"),
    "strategy.position_size": ("%", "of free capital per entry"),
    "exposure_per_asset": ("%", "of equity in one asset"),
    "exposure_total": ("%", "of equity in all assets"),
    "daily_drawdown": ("%", "below the day's peak equity"),
    "weekly_drawdown": ("%", "below the week's peak equity"),
    "max_drawdown": ("%", "below the highest equity ever"),
    "daily_loss": ("%", "below the day's opening equity"),
    "max_positions": ("", "positions and waiting entries"),
    "stop_loss": ("%", "from the entry to its stop"),
    "min_notional": ("quote", "the smallest order"),
    "collar": ("%", "from the market to an order's price"),
    "max_order_notional": ("%", "of equity in one order"),
    "orders_per_second": ("", "orders a second"),
    "orders_per_minute": ("", "orders a minute"),
    "notional_per_minute": ("%", "of equity in entries a minute"),
    "runaway_loss": ("%", "lost in a minute: kill switch"),
    "duplicate_window_s": ("s", "the same order again is refused"),
    "stale_after_s": ("s", "older prices: no entries"),
    "kill_loss": ("%", "of the capital lost: kill switch"),
}
"""Unit and meaning by key: "%" is a ratio shown as percent, "quote" money."""

_FIRST: Final = 3
_BEFORE_LIMITS: Final = 7


def show(answer: Sequence[Mapping[str, str]], quote: str) -> None:
    """Three settings, what follows from them, and the limits, under headings."""
    out = cli_tables.console()
    out.print(cli_tables.pairs([
        (row[0], f"{row[1]} ({row[2]})") for row in (_row(view, quote) for view in answer[:_FIRST])
    ]))
    parts = (
        ("follows from these", answer[_FIRST:_BEFORE_LIMITS]), ("limit of [risk]", answer[_BEFORE_LIMITS:]),
    )
    for heading, views in parts:
        out.print()
        rows = [_row(view, quote) for view in views]
        cli_tables.print_table((heading, "value", "set by", "meaning"), rows, ("value",))
    out.print()
    out.print(_LEGEND)


def _row(view: Mapping[str, str], quote: str) -> tuple[str, str, str, str]:
    unit, meaning = MEANINGS.get(view["key"], ("", ""))
    value = view["value"]
    if unit == "%":
        value = f"{(Decimal(value) * 100).normalize():f} %"
    elif unit == "quote":
        value = f"{Decimal(value):,} {quote}"
    elif unit:
        value = f"{value} {unit}"
    source = view["source"].replace("(version ", "").replace(")", "")
    return view["key"], value, _SOURCES.get(source, source), meaning
