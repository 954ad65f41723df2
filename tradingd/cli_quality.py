"""The table of `tradingd quality`."""

from collections.abc import Mapping
from typing import Any

from tradingd.cli_tables import console, moment, money, pairs, percent, print_table, rounded


def show(answer: Mapping[str, Any]) -> None:
    """Totals first, then the refusals by code, then the latest orders."""
    out = console()
    out.print(pairs([
        ("filled orders", f"{answer['filled_orders']} in {answer['fills']} fills, worth {money(answer['value'])}"),
        ("slippage from decision", _total(answer["arrival"])),
        ("slippage from trigger", _total(answer["trigger"])),
        ("slippage from sending", _total(answer["sent"])),
        ("first fill after", _ms(answer["average_first_fill_ms"])),
        ("last fill after", f"{_ms(answer['average_last_fill_ms'])} (slowest {_ms(answer['slowest_fill_ms'])})"),
        ("fees", f"{money(answer['fees'], 4)} ({percent(answer['fee_ratio'], 4)} of the value)"),
        ("filled as maker", percent(answer["maker_share"])),
        ("rejected by the venue", str(answer["rejected"])),
        ("denied by us", str(answer["denied"])),
    ]))
    if answer["denials"]:
        out.print()
        print_table(("denial", "times"), [(each["code"], each["count"]) for each in answer["denials"]], ("times",))
    rows = [
        (
            moment(each["submitted"]), each["symbol"], each["side"], each["type"], rounded(each["average_price"]),
            _ratio(each["arrival"]), _ratio(each["trigger"]), _ratio(each["sent"]), _ms(each["last_fill_ms"]),
            money(each["fees"], 4), each["order_id"],
        )
        for each in answer["orders"]
    ]
    if rows:
        columns = ("sent (UTC)", "symbol", "side", "type", "price", "from decision", "from trigger", "from sending",
                   "filled after", "fees", "order")
        out.print()
        print_table(columns, rows, columns[4:10])


def _total(total: Mapping[str, Any]) -> str:
    if total["ratio"] is None:
        return "-"
    return f"{percent(total['ratio'], 4)}, {money(total['quote'], 4)} in all ({total['orders']} orders; minus = better)"


def _ratio(slippage: Mapping[str, Any] | None) -> str:
    return "-" if slippage is None else percent(slippage["ratio"], 4)


def _ms(duration: float | None) -> str:
    return "-" if duration is None else f"{duration:,.1f} ms"
