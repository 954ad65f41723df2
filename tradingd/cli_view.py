"""Commands that only look: status, agents, positions, orders, trades, performance, explain.

They ask the running daemon, and the journal when none runs.
"""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote, urlencode

import typer

from bus.ids import CLIENT_ID_PREFIX
from tradingd import exit_codes
from tradingd.cli_session import CliError, ConfigOption, DataDirOption, JsonOption, ask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tradingd.client import Client
    from tradingd.read_model import ReadModel
    from tradingd.settings import Settings

LimitOption = Annotated[int, typer.Option("--limit", min=1, max=5000, help="At most this many, newest first.")]
_STATES = ("PENDING", "SUBMITTED", "PARTIAL", "FILLED", "CANCELLED", "REJECTED", "EXPIRED")
_DAY_NS = 86_400 * 1_000_000_000


def _jsonable(views: "Sequence[Any]") -> list[Any]:
    return [asdict(view) for view in views]


def _show(answer: Any, *, as_json: bool, view: str) -> None:
    from tradingd import cli_tables

    if as_json:
        cli_tables.print_json(answer)
    else:
        getattr(cli_tables, view)(answer)


def status(config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False) -> None:
    """Everything at a glance."""

    def offline(model: "ReadModel", settings: "Settings") -> Any:
        from tradingd.status_view import offline_status

        return asdict(offline_status(model, settings))

    _show(ask(config, data_dir, lambda client: client.get("/api/status"), offline), as_json=json, view="status")


def positions(config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False) -> None:
    """What is held, marked to bid."""
    answer = ask(
        config, data_dir, lambda client: client.get("/api/positions"), lambda model, _: _jsonable(model.positions())
    )
    _show(answer, as_json=json, view="positions")


def orders(
    config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False,
    everything: Annotated[bool, typer.Option("--all", help="Ended orders too.")] = False,
    state: Annotated[str, typer.Option("--state", help="PENDING, SUBMITTED, PARTIAL, FILLED, CANCELLED, ...")] = "",
    symbol: Annotated[str, typer.Option("--symbol", help="Such as BTC/USDT.")] = "",
    limit: LimitOption = 5000,
) -> None:
    """Working orders; with --all also the ended ones."""
    wanted_state = state.strip().upper()
    if wanted_state and wanted_state not in _STATES:
        raise CliError(exit_codes.USAGE, f"--state {state!r}: write one of {', '.join(_STATES)}.")
    show_ended = everything or bool(wanted_state)

    def offline(model: "ReadModel", settings: "Settings") -> Any:
        from tradingd.symbols import find_symbol

        known = find_symbol(symbol, settings.symbols) or symbol if symbol else ""
        if show_ended and model.is_cut(limit):
            from tradingd.read_model import order_view

            past = model.past_orders()
            records = model.with_past(past, state=wanted_state, symbol=known, limit=limit)
            return _jsonable([order_view(record) for record in records])
        return _jsonable(
            model.orders(state=wanted_state, symbol=known, limit=limit, working_only=not show_ended)
        )

    def online(client: Any) -> Any:
        query = {"limit": str(limit)} if show_ended else {"limit": "5000", "working": "true"}
        if wanted_state:
            query["state"] = wanted_state
        if symbol:
            query["symbol"] = symbol
        found = client.get(f"/api/orders?{urlencode(query)}")
        if show_ended:
            return found
        return [order for order in found if order["state"] in ("PENDING", "SUBMITTED", "PARTIAL")][:limit]

    _show(ask(config, data_dir, online, offline), as_json=json, view="orders")


def trades(
    config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False, limit: LimitOption = 100,
    days: Annotated[int, typer.Option("--days", min=1, max=3650, help="Not older than this.")] = 30,
) -> None:
    """Fills, newest first."""
    answer = ask(
        config, data_dir, lambda client: client.get(f"/api/trades?limit={limit}&days={days}"),
        lambda model, _: _jsonable(model.fills(limit=limit, since_ns=model.last_ts - days * _DAY_NS)),
    )
    _show(answer, as_json=json, view="trades")


def performance(config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False) -> None:
    """Profit, win rate, drawdown, Sharpe, and the latest round trips."""
    answer = ask(
        config, data_dir, lambda client: client.get("/api/performance"), lambda model, _: asdict(model.performance())
    )
    _show(answer, as_json=json, view="performance")


def quality(
    config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False,
    days: Annotated[int, typer.Option("--days", min=1, max=3650, help="Fills not older than this.")] = 30,
    symbol: Annotated[str, typer.Option("--symbol", help="Such as BTC/USDT.")] = "",
    limit: LimitOption = 20,
) -> None:
    """How well orders were executed: slippage, fill times, fees, refusals."""

    def offline(model: "ReadModel", settings: "Settings") -> Any:
        from tradingd.symbols import find_symbol

        known = find_symbol(symbol, settings.symbols) or symbol if symbol else ""
        since_ns = model.last_ts - days * _DAY_NS
        return asdict(model.quality.view(symbol=known, since_ns=since_ns, limit=limit))

    def online(client: Any) -> Any:
        query = {"days": str(days), "limit": str(limit)} | ({"symbol": symbol} if symbol else {})
        return client.get(f"/api/execution-quality?{urlencode(query)}")

    answer = ask(config, data_dir, online, offline)
    if json:
        _show(answer, as_json=True, view="")
    else:
        from tradingd.cli_quality import show

        show(answer)


def explain(
    wanted: Annotated[
        str, typer.Argument(
            metavar="ID", help="Of an order (`tradingd orders --all`), a decision or a proposal (`tradingd decisions`)."
        ),
    ],
    config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False,
) -> None:
    """Why an order exists and what came of it, from candle to fill; or why the council decided as it did."""
    wanted = wanted.strip()
    answer = ask(
        config, data_dir, lambda client: _trace(client, wanted), lambda model, _: _offline_trace(model, wanted),
    )
    if json:
        _show(answer, as_json=True, view="")
    else:
        from tradingd import cli_tables

        cli_tables.trace(wanted, answer, is_order=wanted.startswith(CLIENT_ID_PREFIX))


def _trace(client: "Client", wanted: str) -> Any:
    from tradingd.client import AnswerError

    order, decision = (f"/api/{kind}/{quote(wanted, safe='')}/trace" for kind in ("orders", "decisions"))
    if wanted.startswith(CLIENT_ID_PREFIX):
        return client.get(order)
    try:
        return client.get(decision)
    except AnswerError as error:
        raise _nothing(wanted) if error.status == 404 else error from None


def _offline_trace(model: "ReadModel", wanted: str) -> Any:
    if wanted.startswith(CLIENT_ID_PREFIX):
        entries = model.past_trace(wanted, model.past(wanted) if model.is_past(wanted) else None)
    else:
        entries = model.decision_trace(wanted)
        if entries is None and model.is_past_decision(wanted):
            entries = model.past_decision_trace(wanted)
    if entries is None:
        raise _nothing(wanted)
    return _jsonable(entries)


def _nothing(wanted: str) -> CliError:
    if wanted.startswith(CLIENT_ID_PREFIX):
        return CliError(exit_codes.NOT_FOUND, f"there is no order {wanted!r}: `tradingd orders --all` lists them.")
    return CliError(
        exit_codes.NOT_FOUND, f"there is no order, decision or proposal {wanted!r}: `tradingd orders --all` and "
        "`tradingd decisions` list their ids.",
    )


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (status, positions, orders, trades, performance, quality, explain):
        app.command(rich_help_panel="Look")(command)
