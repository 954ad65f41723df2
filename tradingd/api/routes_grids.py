"""Grids of trailing orders: start, look, stop."""

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from bus.messages.grid import GridStarted, StopGrid
from bus.messages.orders import OrderDenied
from tradingd.api.access import ControlOf, Operator, Viewer
from tradingd.api.errors import ApiError, ErrorBody, denied, json_response
from tradingd.api.models import Responses
from tradingd.api.models_grids import GridRequest
from tradingd.api.routes_read import ERRORS, symbol_of
from tradingd.api.routes_trading import OPERATOR_ERRORS
from tradingd.control import Control, ControlUnavailableError
from tradingd.grid_bounds import within_preset
from tradingd.read_model_grids import GridView

_UNKNOWN: Final[Responses] = {404: {"model": ErrorBody, "description": "There is no such grid"}}
_EXISTS: Final[Responses] = {409: {"model": ErrorBody, "description": "The symbol has a grid already"}}
GridId = Annotated[str, Path(min_length=1, max_length=20)]

router = APIRouter(prefix="/api", tags=["grids"], responses=ERRORS)


@router.post("/grids", response_model=GridView, status_code=202, responses=OPERATOR_ERRORS | _EXISTS)
async def start(control: ControlOf, who: Operator, request: GridRequest) -> Response:
    """Open a grid on a symbol that has none."""
    symbol = symbol_of(control, request.symbol)
    running = control.read_model.grids.of_symbol(symbol)
    if running is not None:
        told = f"{symbol} has the grid {running.grid_id} already ({running.phase}): stop it first"
        raise ApiError(409, "GRID_EXISTS", told)
    command = within_preset(request.command(symbol, f"started by {who.user}"), control.settings.risk.preset)
    facts = await control.execute(command, by=who.user)
    for message in facts:
        if isinstance(message.body, OrderDenied) and message.body.order is None:
            raise denied(message.body)
    for message in facts:
        if isinstance(message.body, GridStarted):
            return json_response(_known(control, message.body.grid_id), 202)
    raise ControlUnavailableError("the grid was asked for, but nothing is known of it yet: GET /api/grids lists them")


@router.get("/grids", response_model=list[GridView])
async def grids(control: ControlOf, _: Viewer) -> Response:
    """Every grid that runs, and the last fifty that have stopped; newest first."""
    return json_response(control.read_model.grid_views())


@router.get("/grids/{grid_id}", response_model=GridView, responses=_UNKNOWN)
async def grid(control: ControlOf, _: Viewer, grid_id: GridId) -> Response:
    """One grid with a row per level."""
    return json_response(_known(control, grid_id))


@router.delete(
    "/grids/{grid_id}", response_model=GridView, status_code=202, responses=OPERATOR_ERRORS | _UNKNOWN
)
async def stop(
    control: ControlOf, who: Operator, grid_id: GridId,
    close: Annotated[bool, Query(description="Sell what it holds at market; else its sells go on.")] = False,
) -> Response:
    """No more buys. The grid has ended when nothing is left: see its state. Again is no error."""
    _known(control, grid_id)
    facts = await control.execute(StopGrid(grid_id, close, f"stopped by {who.user}"), by=who.user)
    for message in facts:
        if isinstance(message.body, OrderDenied) and message.body.order is None:
            raise denied(message.body)
    return json_response(_known(control, grid_id), 202)


def _known(control: Control, grid_id: str) -> GridView:
    view = control.read_model.grid_view(grid_id)
    if view is None:
        message = f"there is no grid {grid_id!r}: `tradingd grid show` and GET /api/grids list them"
        raise ApiError(404, "UNKNOWN_GRID", message)
    return view
