"""What the websocket tells: which facts belong to which channel, and how each looks to people."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from bus.messages import council, grid, ledger, orders, system
from bus.messages.header import Message
from market.money import to_text
from market.ticks import Candle
from tradingd.read_model import ReadModel, order_view
from tradingd.read_model_results import fill_view, round_trip_view
from tradingd.read_model_views import plain, text_or_none, to_iso

Channel = Literal["price", "order", "trade", "position", "status", "agent", "performance", "alert", "progress"]
CHANNELS: Final[tuple[str, ...]] = get_args(Channel)

ORDER_EVENTS: Final[dict[type, str]] = {
    orders.OrderInitialized: "created",
    orders.OrderDenied: "denied",
    orders.OrderSubmitted: "submitted",
    orders.OrderAccepted: "accepted",
    orders.OrderRejected: "rejected",
    orders.OrderTriggered: "triggered",
    orders.OrderUpdated: "updated",
    orders.OrderPendingCancel: "cancelling",
    orders.OrderCancelled: "cancelled",
    orders.OrderExpired: "expired",
    orders.OrderUnknown: "unknown",
    orders.OrderFilled: "filled",
    orders.TrailingArmed: "armed",
}
_POSITION_EVENTS: Final[dict[type, str]] = {
    ledger.PositionOpened: "opened", ledger.PositionChanged: "changed", ledger.PositionClosed: "closed",
}
_STATUS_EVENTS: Final[dict[type, str]] = {
    system.DaemonStarted: "started", system.DaemonStopping: "stopping", system.TradingStateChanged: "trading",
    system.KillSwitchEngaged: "kill", system.KillSwitchReleased: "unlock", system.LockPlaced: "lock",
    system.LockLifted: "lock_lifted", system.SymbolReleased: "symbol_released", system.FeedConnected: "feed_connected",
    system.FeedLost: "feed_lost", system.ReconciliationCompleted: "reconciled", ledger.FundsChanged: "funds",
    grid.GridStarted: "grid_started", grid.GridStopping: "grid_stopping", grid.GridStopped: "grid_stopped",
    grid.GridTuned: "grid_tuned", grid.GridShifted: "grid_shifted",
}
_AGENT_EVENTS: Final[dict[type, str]] = {
    system.AgentStarted: "started", system.AgentFailed: "failed", system.AgentStopped: "stopped",
    council.AlphaSignal: "signal", council.TradeProposed: "proposed", council.ProposalApproved: "approved",
    council.ProposalVetoed: "vetoed", council.ProposalExpired: "expired", council.MandateIssued: "mandate",
    council.WeightChanged: "weight", council.CandidatesRanked: "candidates",
}
_ALERT_EVENTS: Final[dict[type, str]] = {system.AlertRaised: "alert", system.LimitBreached: "limit"}

_LOOKED_THROUGH: Final = 50
"""So many executions: the one that is told is among the newest."""

_NO_EVENTS: Final = frozenset({"status"})
"""Sources whose portfolio snapshots are made because somebody asked, not because anything changed."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing to tell, before it has a number. `ts` is UTC ns."""

    channel: str
    ts: int
    data: object


def channels_of(message: Message) -> tuple[str, ...]:
    """The channels this message is told on; () for what nobody is told."""
    if type(message.body) is ledger.PortfolioSnapshot and message.header.source in _NO_EVENTS:
        return ()
    return _CHANNELS_BY_KIND.get(type(message.body), ())


def events_of(message: Message, model: ReadModel) -> tuple[Event, ...]:
    """What to tell of a message. An order is shown as it is now, which may be later than the fact."""
    kind, ts = type(message.body), message.header.ts
    return tuple(Event(channel, ts, _RENDER[channel, kind](message, model)) for channel in channels_of(message))


def price_data(symbol: str, bid: str | None, ask: str | None, last: str | None) -> dict[str, str | None]:
    """The touch of one symbol."""
    return {"event": "quote", "symbol": symbol, "bid": bid, "ask": ask, "last": last}


def _order(message: Message, model: ReadModel) -> dict[str, Any]:
    body = message.body
    if isinstance(body, orders.TrailingAdvanced):
        return {
            "event": "trailing", "symbol": body.symbol, "side": body.side, "order_id": body.client_order_id,
            "best": to_text(body.best), "trigger": to_text(body.trigger), "count": body.count,
        }
    order_id = body.order.client_order_id if isinstance(body, orders.OrderInitialized) else body.client_order_id
    record = model.order_fold.by_id.get(order_id)
    shown = order_view(record) if record is not None else None
    return {"event": ORDER_EVENTS[type(body)], "order_id": order_id, "order": shown}


def _trade(message: Message, model: ReadModel) -> object:
    fill: orders.OrderFilled = message.body
    for record in model.results.fills.newest(_LOOKED_THROUGH):
        if record.fill is fill or record.fill.trade_id == fill.trade_id:
            return fill_view(record)
    return plain(fill)


def _position(message: Message, model: ReadModel) -> dict[str, Any]:
    body = message.body
    data: dict[str, Any] = {"event": _POSITION_EVENTS[type(body)], "symbol": body.symbol}
    if isinstance(body, ledger.PositionClosed):
        return {**data, "position": None, "round_trip": round_trip_view(body)}
    row = next((row for row in model.positions() if row.symbol == body.symbol), None)
    return {**data, "position": row, "round_trip": None}


def _marks(message: Message, _: ReadModel) -> dict[str, Any]:
    """Every position marked anew, once a second."""
    lines = ({
        "symbol": line.symbol, "quantity": to_text(line.quantity), "mark": text_or_none(line.mark),
    } for line in message.body.positions)
    return {"event": "marked", "positions": list(lines)}


def _candle(message: Message, _: ReadModel) -> dict[str, Any]:
    body: Candle = message.body
    return {
        "event": "candle", "symbol": body.symbol, "interval": body.interval, "time": to_iso(body.ts_open),
        "open": to_text(body.open), "high": to_text(body.high), "low": to_text(body.low),
        "close": to_text(body.close), "volume": to_text(body.volume),
    }


def _performance(message: Message, _: ReadModel) -> dict[str, Any]:
    body: ledger.PortfolioSnapshot = message.body
    return {
        "event": "portfolio", "quote": body.quote, "equity": to_text(body.equity), "cash": to_text(body.cash),
        "available": to_text(body.available), "exposure": to_text(body.exposure),
        "realized_pnl": to_text(body.realized_pnl), "unrealized_pnl": to_text(body.unrealized_pnl),
        "fees": to_text(body.fees), "daily_drawdown": body.daily_drawdown, "max_drawdown": body.max_drawdown,
    }


def _named(names: dict[type, str]) -> Callable[[Message, ReadModel], dict[str, Any]]:
    def render(message: Message, _: ReadModel) -> dict[str, Any]:
        return {"event": names[type(message.body)], **plain(message.body)}

    return render


_RENDER: Final[dict[tuple[str, type], Callable[[Message, ReadModel], object]]] = {
    ("price", Candle): _candle,
    **{("order", kind): _order for kind in (*ORDER_EVENTS, orders.TrailingAdvanced)},
    ("trade", orders.OrderFilled): _trade,
    **{("position", kind): _position for kind in _POSITION_EVENTS},
    ("position", ledger.PortfolioSnapshot): _marks,
    ("performance", ledger.PortfolioSnapshot): _performance,
    **{("status", kind): _named(_STATUS_EVENTS) for kind in _STATUS_EVENTS},
    **{("agent", kind): _named(_AGENT_EVENTS) for kind in _AGENT_EVENTS},
    **{("alert", kind): _named(_ALERT_EVENTS) for kind in _ALERT_EVENTS},
}


def _by_kind() -> dict[type, tuple[str, ...]]:
    found: dict[type, tuple[str, ...]] = {}
    for channel, kind in _RENDER:
        found[kind] = (*found.get(kind, ()), channel)
    return found


_CHANNELS_BY_KIND: Final = _by_kind()
