"""What can be looked at: health, status, agents, positions, orders and their traces, trades, performance."""

import asyncio
from dataclasses import asdict
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from tradingd.api.access import ControlOf, Viewer
from tradingd.api.errors import INVALID_FAMILY, ApiError, ErrorBody, json_response, sliced_response
from tradingd.api.models import HealthAnswer, Responses, Symbol
from tradingd.control import Control
from tradingd.council_view import MemberView, members
from tradingd.execution_quality import QualityView
from tradingd.order_archive import Archive
from tradingd.order_history import MOST_LISTED
from tradingd.read_model import ReadModel, order_view
from tradingd.read_model_results import fill_view
from tradingd.read_model_views import (
    WORKING_STATES,
    FillView,
    OrderState,
    OrderView,
    PerformanceView,
    PositionRow,
    TraceEntry,
)
from tradingd.status_view import StatusView, live_status
from tradingd.symbols import find_symbol

DAY_NS: Final = 86_400 * 1_000_000_000
ERRORS: Final[Responses] = {
    401: {"model": ErrorBody, "description": "No token, or not a valid one"},
    422: {"model": ErrorBody, "description": "The request is malformed"},
    429: {"model": ErrorBody, "description": "Too many requests: see Retry-After"},
    503: {"model": ErrorBody, "description": "The daemon cannot answer now"},
}
OrderId = Annotated[str, Path(min_length=1, max_length=64)]
SymbolQuery = Annotated[Symbol | None, Query()]

open_router = APIRouter(prefix="/api", tags=["health"])
router = APIRouter(prefix="/api", responses=ERRORS)


@open_router.get(
    "/health", response_model=HealthAnswer,
    responses={503: {"model": HealthAnswer, "description": "Not ready, and why"}},
)
async def health(control: ControlOf) -> Response:
    """Whether the daemon is ready to trade. Needs no token."""
    now = control.status()
    if now.is_ready:
        return json_response(HealthAnswer("ready", ""))
    return json_response(
        HealthAnswer("not_ready", now.not_ready_reason, "NOT_READY", now.not_ready_reason), 503, {"Retry-After": "1"}
    )


@router.get("/status", response_model=StatusView, tags=["status"])
async def status(control: ControlOf, _: Viewer) -> Response:
    """Everything at a glance."""
    return json_response(live_status(control))


@router.get("/agents", response_model=list[MemberView], tags=["status"])
async def agents(control: ControlOf, _: Viewer) -> Response:
    """The six agents and every alpha: how they are, what they said last, what they weigh, how long they think."""
    return json_response(members(control))


@router.get("/positions", response_model=list[PositionRow], tags=["account"])
async def positions(control: ControlOf, _: Viewer) -> Response:
    """What is held, marked to bid."""
    return json_response(control.read_model.positions())


@router.get("/orders", response_model=list[OrderView], tags=["orders"])
async def orders(
    control: ControlOf, _: Viewer,
    state: Annotated[OrderState | None, Query()] = None,
    symbol: SymbolQuery = None,
    limit: Annotated[int, Query(ge=1, le=5_000)] = 100,
    working: Annotated[bool, Query(description="only those that are not ended")] = False,
) -> Response:
    """Newest first. Beyond a hundred the journal is read, too."""
    wanted, model = symbol_of(control, symbol) if symbol else "", control.read_model
    if working or state in WORKING_STATES or not model.is_cut(limit):
        records = model.order_records(state=state or "", symbol=wanted, limit=limit, working_only=working)
        return await sliced_response(records, order_view)
    async with model.past_lock:  # what the journal tells is folded by one at a time
        past = await asyncio.to_thread(model.past_orders, MOST_LISTED if state or wanted else limit)
        return await sliced_response(model.with_past(past, state=state or "", symbol=wanted, limit=limit), order_view)


@router.get(
    "/orders/{order_id}", response_model=OrderView, tags=["orders"],
    responses={404: {"model": ErrorBody, "description": "No such order"}},
)
async def order(control: ControlOf, _: Viewer, order_id: OrderId) -> Response:
    """One order with its history and fires."""
    view = await order_or_past(control.read_model, order_id)
    if view is None:
        raise unknown_order(order_id)
    return json_response(view)


@router.get(
    "/orders/{order_id}/trace", response_model=list[TraceEntry], tags=["orders"],
    responses={404: {"model": ErrorBody, "description": "No such order"}},
)
async def trace(control: ControlOf, _: Viewer, order_id: OrderId) -> Response:
    """Why this order exists and what came of it, from candle to fill, in order of time."""
    model = control.read_model
    past = await _past(model, order_id) if model.is_past(order_id) else None
    entries = model.past_trace(order_id, past)
    if entries is None:
        raise unknown_order(order_id)
    return json_response([asdict(entry) for entry in entries])


@router.get("/trades", response_model=list[FillView], tags=["account"])
async def trades(
    control: ControlOf, _: Viewer,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 100,
    days: Annotated[int, Query(ge=1, le=3_650)] = 30,
) -> Response:
    """Fills of the last days (session time), newest first."""
    records = control.read_model.results.fill_records(limit, control.now() - days * DAY_NS)
    return await sliced_response(records, fill_view)


@router.get("/performance", response_model=PerformanceView, tags=["account"])
async def performance(control: ControlOf, _: Viewer) -> Response:
    """Profit, win rate, profit factor, drawdown, Sharpe, slippage, and the latest round trips."""
    return json_response(control.read_model.performance())


@router.get("/execution-quality", response_model=QualityView, tags=["account"])
async def execution_quality(
    control: ControlOf, _: Viewer,
    days: Annotated[int, Query(ge=1, le=3_650)] = 30,
    symbol: SymbolQuery = None,
    limit: Annotated[int, Query(ge=0, le=5_000)] = 50,
) -> Response:
    """Slippage, fill times, fees and refusals of the last days (session time), per order and in total."""
    wanted = symbol_of(control, symbol) if symbol else ""
    since_ns = control.now() - days * DAY_NS
    return json_response(control.read_model.quality.view(symbol=wanted, since_ns=since_ns, limit=limit))


async def order_or_past(model: ReadModel, order_id: str) -> OrderView | None:
    """As the read model knows it, or, when it has forgotten it, the journal; None when neither does."""
    view = model.order(order_id)
    if view is None and model.is_past(order_id):
        past = await _past(model, order_id)
        view = None if past is None else order_view(past.orders.by_id[order_id])
    return view


async def _past(model: ReadModel, order_id: str) -> Archive | None:
    """One search at a time: it reads the whole journal, and threads are few, for logins too."""
    async with model.past_lock:
        return await asyncio.to_thread(model.past, order_id)


def unknown_order(order_id: str) -> ApiError:
    """404."""
    message = f"there is no order {order_id[:64]!r}: `tradingd orders --all` and GET /api/orders list them"
    return ApiError(404, "UNKNOWN_ORDER", message)


def symbol_of(control: Control, text: str) -> str:
    """The product's name of a symbol as people write it; 422 when it is none of ours."""
    known = (*control.settings.symbols, *control.read_model.results.holdings)
    symbol = find_symbol(text, known)
    if symbol is None:
        names = ", ".join(control.settings.symbols[:10])
        message = f"symbol: not traded here. Use one of {names}, or add it to symbols in config.toml."
        raise ApiError(
            422, "UNKNOWN_SYMBOL", message, field="symbol", family=INVALID_FAMILY, rule="symbol", value="", limit=names
        )
    return symbol
