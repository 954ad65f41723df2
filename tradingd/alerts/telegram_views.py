"""What the bot answers to those who only look: the read model in a few plain lines."""

from typing import Final

from tradingd.control import Control
from tradingd.read_model_views import OrderView, to_iso

MOST_LINES: Final = 25
HELP: Final = """/status - state, equity, what is wrong now
/positions - what is held
/orders - working orders
/profit - results
/explain ID - why an order was made; without ID the newest
/pause - no new entries, at once; exits go on
/kill [halt|cancel] [reason] - lock trading, at once (cancel unless you say halt)
/kill flatten [reason] - and sell everything *
/stop - pause, and cancel waiting entries *
/start or /resume - your vote: ACTIVE *
/unlock [reason] - release the kill switch *
/cancel - forget the open question
* asks for a code first, good for 60 seconds"""


def status_text(control: Control) -> str:
    """State, votes against it, money, problems and since when."""
    model, status = control.read_model, control.status()
    trading, counts, portfolio = model.trading(), model.counts(), model.results.portfolio
    money = "LIVE" if control.settings.mode == "live" else "paper"
    lines = [f"{trading.state} ({money}, {control.settings.venue})"]
    lines += [f"{vote.voter} says {vote.state}: {vote.reason}" for vote in trading.votes if vote.state != "ACTIVE"]
    kill = model.kill_view()
    if kill is not None:
        lines.append(f"KILL SWITCH {kill.action} by {kill.by} since {kill.since[:19]}: {kill.reason}. {kill.progress}")
    if not status.is_ready:
        lines.append(f"not ready: {status.not_ready_reason}")
    if portfolio is not None:
        lines.append(
            f"equity {portfolio.equity:,.2f} {model.quote}, free {portfolio.available:,.2f}, drawdown today "
            f"{portfolio.daily_drawdown:.2%}"
        )
    lines.append(
        f"{len(model.results.holdings)} positions, {counts.working} orders working, {counts.unknown} unknown, "
        f"{counts.fills} fills"
    )
    lines += [f"wrong since {to_iso(each.since_ns)[:19]}: {each.text}" for each in status.problems]
    return "\n".join(lines)


def positions_text(control: Control) -> str:
    """One line each."""
    rows = control.read_model.positions()
    lines = [
        f"{row.symbol}: {row.quantity} at {row.average_price}, worth {row.value or '?'}, "
        f"{'+' if not (row.unrealized_pnl or '').startswith('-') else ''}{row.unrealized_pnl or '?'}; "
        f"{len(row.exits)} exits"
        for row in rows
    ]
    return _limited(lines) or "nothing is held"


def orders_text(control: Control) -> str:
    """Working orders, newest first."""
    return _limited([order_line(order) for order in control.read_model.orders(working_only=True)]) or "no order works"


def order_line(order: OrderView) -> str:
    """One order in one line."""
    at = f" at {order.price}" if order.price else f", fires at {order.trigger}" if order.trigger else ""
    return f"{order.id}: {order.side} {order.quantity} {order.symbol} {order.type}{at} ({order.state}, {order.detail})"


def profit_text(control: Control) -> str:
    """Today and in total, after fees."""
    model = control.read_model
    results = model.performance()
    lines = [
        f"today: {day.profit} {model.quote} in {day.trades} round trips" for day in model.risk.day_views(1)
    ]
    won = f", {results.win_rate:.0%} won" if results.win_rate is not None else ""
    lines += [
        f"in total: {results.net_pnl} {results.quote} (realised {results.realized_pnl}, open {results.unrealized_pnl})",
        f"{results.round_trips} round trips{won}, fees {results.fees}, deepest fall {results.max_drawdown:.2%}",
    ]
    return "\n".join(lines)


def explain_text(control: Control, order_id: str) -> str:
    """The chain from candle to fill; without an id, of the newest order."""
    if not order_id:
        newest = control.read_model.orders(limit=1)
        if not newest:
            return "there is no order yet"
        order_id = newest[0].id
    trace = control.read_model.trace(order_id)
    if trace is None:
        return f"no order {order_id[:64]}: /orders names those that work"
    return f"{order_id}\n" + "\n".join(f"{entry.time[11:19]} {entry.text}" for entry in trace)


def _limited(lines: list[str]) -> str:
    more = len(lines) - MOST_LINES
    return "\n".join([*lines[:MOST_LINES], *([f"and {more} more"] if more > 0 else [])])
