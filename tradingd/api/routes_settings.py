"""The settings as they hold, and the one that can be changed while the daemon runs: paper or live."""

from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter
from pydantic import Field
from starlette.responses import Response

from tradingd.api.access import ControlOf, Operator, Viewer
from tradingd.api.errors import ErrorBody, json_response
from tradingd.api.models import Request, Responses
from tradingd.api.routes_read import ERRORS
from tradingd.api.routes_trading import OPERATOR_ERRORS
from tradingd.settings_view import settings_view

_CONFLICT: Final[Responses] = {409: {"model": ErrorBody, "description": "Not flat, or not allowed here"}}

router = APIRouter(prefix="/api", responses=ERRORS)


class ModeRequest(Request):
    """Which mode, and for live the word."""

    mode: Literal["paper", "live"]
    confirm: Annotated[str, Field(max_length=20, description='"live" when the mode is live')] = ""


@dataclass(frozen=True, slots=True)
class ModeAnswer:
    """The mode the daemon will be in; when `changed`, it starts anew in it and is back within seconds."""

    mode: Literal["paper", "live"]
    changed: bool
    message: str


@router.get("/config", response_model=dict[str, Any], tags=["status"])
async def config(control: ControlOf, _: Viewer) -> Response:
    """Every setting as it holds, under the names of config.toml; secrets are replaced by stars."""
    return json_response(settings_view(control.settings))


@router.post(
    "/trading/mode", response_model=ModeAnswer, status_code=202, tags=["trading"],
    responses=OPERATOR_ERRORS | _CONFLICT,
)
async def mode(control: ControlOf, who: Operator, request: ModeRequest) -> Response:
    """Paper or live. Needs a flat account: no working order, no open position; live also needs the configuration's
    consent and the word. The daemon ends in order and starts anew in the other mode, with that mode's own account.
    """
    if request.mode == control.settings.mode:
        return json_response(ModeAnswer(request.mode, False, f"the mode is {request.mode} already"), 202)
    control.switch_mode(request.mode, confirm=request.confirm, by=who.user)
    return json_response(ModeAnswer(request.mode, True, f"the daemon starts anew in {request.mode} mode"), 202)
