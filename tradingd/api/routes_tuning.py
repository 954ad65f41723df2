"""Self-tuning over the API: what holds and why, an earlier version put back, off and on, today's work at once."""

from typing import Annotated, Final

from fastapi import APIRouter
from pydantic import Field
from starlette.responses import Response

from tradingd.api.access import ControlOf, Operator, Viewer
from tradingd.api.errors import ApiError, ErrorBody, json_response
from tradingd.api.models import WHOLE, Request, Responses
from tradingd.api.routes_read import ERRORS
from tradingd.api.routes_trading import OPERATOR_ERRORS
from tradingd.control import Control
from tradingd.tuner import TuningError
from tradingd.tuning_view import TuningView, tuning_view

_CONFLICT: Final[Responses] = {409: {"model": ErrorBody, "description": "Not now; the message says why"}}

router = APIRouter(prefix="/api/tuning", tags=["tuning"], responses=ERRORS)


class RevertRequest(Request):
    """Which version to put back: 0 = as configured, none = the one before."""

    version: Annotated[int, Field(ge=0, le=1_000_000_000), WHOLE] | None = None


class SwitchRequest(Request):
    """On or off."""

    on: bool


@router.get("", response_model=TuningView)
async def show(control: ControlOf, _: Viewer) -> Response:
    """The parameters that hold, how each fares, and every version with its reason."""
    return json_response(_view(control))


@router.post("/run", response_model=TuningView, status_code=202, responses=OPERATOR_ERRORS | _CONFLICT)
async def run(control: ControlOf, _: Operator) -> Response:
    """Begin today's tuning now; at most once a day."""
    try:
        control.tuner().start()
    except TuningError as error:
        raise ApiError(409, "TUNING", str(error)) from error
    return json_response(_view(control), 202)


@router.post("/revert", response_model=TuningView, responses=OPERATOR_ERRORS | _CONFLICT)
async def revert(control: ControlOf, who: Operator, request: RevertRequest) -> Response:
    """Put an earlier version's values back, as a new version."""
    try:
        control.tuner().revert(request.version, who.user)
    except TuningError as error:
        raise ApiError(409, "TUNING", str(error)) from error
    return json_response(_view(control))


@router.post("/switch", response_model=TuningView, responses=OPERATOR_ERRORS | _CONFLICT)
async def switch(control: ControlOf, who: Operator, request: SwitchRequest) -> Response:
    """Off: the configured values hold again and nothing is tuned. On: it goes on from there."""
    try:
        control.tuner().switch(request.on, who.user)
    except TuningError as error:
        raise ApiError(409, "TUNING", str(error)) from error
    return json_response(_view(control))


def _view(control: Control) -> TuningView:
    tuner = control.tuner()
    return tuning_view(
        control.settings, control.read_model.tuning, is_on=tuner.is_on, is_running=tuner.is_running, last=tuner.last,
    )
